"""The checkpoint store: shared by processes, fair about ownership, quick to free what the dead held, clear when damaged."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient
from checkpoint_processes import PLACE, checkpoint, hold, ownership, write_many
from event_hubs_clients import GROUP, Reader, event_hubs, producer

from event_hubs_local.checkpoints import CheckpointError, SqliteCheckpointStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "checkpoints.sqlite"


async def test_a_checkpoint_is_remembered_by_its_group_and_partition(path: Path) -> None:
    store = SqliteCheckpointStore(path)
    await store.update_checkpoint(checkpoint("0", 5))
    await store.update_checkpoint(checkpoint("1", 7))
    await store.update_checkpoint(checkpoint("0", 9))
    store.close()
    again = SqliteCheckpointStore(path)
    assert sorted(found["sequence_number"] for found in await again.list_checkpoints(*PLACE)) == [7, 9]
    assert list(await again.list_checkpoints("127.0.0.1", "hub", "other")) == []
    again.close()


async def test_of_two_that_claim_a_partition_one_wins(path: Path) -> None:
    one, two = SqliteCheckpointStore(path), SqliteCheckpointStore(path)
    assert [won["owner_id"] for won in await one.claim_ownership([ownership("0", "one")])] == ["one"]
    assert list(await two.claim_ownership([ownership("0", "two")])) == []
    (listed,) = await two.list_ownership(*PLACE)
    assert listed["owner_id"] == "one"
    assert [won["owner_id"] for won in await two.claim_ownership([{**listed, "owner_id": "two"}])] == ["two"]
    assert list(await one.claim_ownership([listed])) == [], "the etag has changed since"
    one.close()
    two.close()


async def test_what_a_closed_store_owned_is_free_at_once(path: Path) -> None:
    one, two = SqliteCheckpointStore(path), SqliteCheckpointStore(path)
    await one.claim_ownership([ownership("0", "one"), ownership("1", "one")])
    assert len(list(await two.list_ownership(*PLACE))) == 2
    one.close()
    assert list(await two.list_ownership(*PLACE)) == []
    two.close()


async def test_what_a_killed_process_owned_is_free_at_once(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(path, ready))
    process.start()
    assert await asyncio.to_thread(ready.wait, 20)
    store = SqliteCheckpointStore(path)
    assert [held["owner_id"] for held in await store.list_ownership(*PLACE)] == ["doomed"]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(await store.list_ownership(*PLACE)) == []
    store.close()


async def test_many_processes_share_one_file(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_many, args=(path, str(number))) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join)
    assert [process.exitcode for process in processes] == [0, 0]
    store = SqliteCheckpointStore(path)
    assert [found["sequence_number"] for found in await store.list_checkpoints(*PLACE)] == [199, 199]
    store.close()


class TestDamage:
    @pytest.mark.parametrize("content", [b"this is not a database " * 400, b"\x00" * 8192])
    def test_a_file_that_is_no_database_is_named_with_the_way_out(self, path: Path, content: bytes) -> None:
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"checkpoints.sqlite is damaged .*: delete it\."):
            SqliteCheckpointStore(path)

    async def test_a_database_with_broken_pages_is_named(self, path: Path) -> None:
        store = SqliteCheckpointStore(path)
        for number in range(300):
            await store.update_checkpoint(checkpoint(str(number), number))
        store.close()
        with sqlite3.connect(path) as database:
            (size,) = database.execute("pragma page_count").fetchone()
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * 4096 * (size - 1))
        with pytest.raises(CheckpointError, match="is damaged"):
            SqliteCheckpointStore(path)

    async def test_a_file_that_is_locked_for_long_is_named(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("event_hubs_local.checkpoints._BUSY_SECONDS", 0.05)
        store = SqliteCheckpointStore(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin exclusive")
        with pytest.raises(CheckpointError, match=r"can't be used .*locked.*: look for a full disk"):
            await store.update_checkpoint(checkpoint("0", 1))
        other.execute("rollback")
        other.close()
        await store.update_checkpoint(checkpoint("0", 1))
        store.close()


async def test_two_consumers_share_the_partitions_and_one_takes_over_when_the_other_dies(path: Path, tmp_path: Path) -> None:
    """Nothing is lost; what the first had not checkpointed may come again."""
    with event_hubs(tmp_path / "hubs", partitions=4) as server:
        first, second = Consumer(server.connection_string, path), Consumer(server.connection_string, path)
        with producer(server) as client:

            def send(start: int) -> None:
                for number in range(start, start + 8):
                    client.send_batch([EventData(str(number))], partition_id=str(number % 4))

            async with asyncio.timeout(40):
                first.start()
                await asyncio.to_thread(send, 0)
                await first.until(8)
                second.start()
                while len(first.partitions) != 2 or len(second.partitions) != 2:
                    await asyncio.sleep(0.05)
                await asyncio.to_thread(send, 8)
                while set(first.bodies) | set(second.bodies) != {str(number) for number in range(16)}:
                    await asyncio.sleep(0.05)
                first.die()
                await asyncio.to_thread(send, 16)
                while set(first.bodies) | set(second.bodies) != {str(number) for number in range(24)}:
                    await asyncio.sleep(0.05)
        second.die()
    assert set(second.bodies) >= {str(number) for number in range(16, 24)}


class Consumer(Reader):
    """A consumer that checkpoints what it has received."""

    def __init__(self, connection_string: str, path: Path) -> None:
        super().__init__()
        self.partitions: set[str] = set()
        self.store = SqliteCheckpointStore(path)
        self.client = EventHubConsumerClient.from_connection_string(
            connection_string, GROUP, eventhub_name="hub", checkpoint_store=self.store,
            load_balancing_interval=0.3, partition_ownership_expiration_interval=60,
        )  # fmt: skip

    def start(self) -> None:
        self.task = asyncio.create_task(
            self.client.receive_batch(
                self.on_batch, on_partition_initialize=self.on_begin, on_partition_close=self.on_end, starting_position="-1"
            )
        )

    async def on_batch(self, context: Any, events: list[EventData]) -> None:
        await super().on_batch(context, events)
        await context.update_checkpoint(events[-1])

    async def on_begin(self, context: Any) -> None:
        self.partitions.add(context.partition_id)

    async def on_end(self, context: Any, reason: Any) -> None:
        self.partitions.discard(context.partition_id)

    async def until(self, count: int) -> None:
        while len(self.events) < count:
            await asyncio.sleep(0.02)

    def die(self) -> None:
        self.store.close()
        self.task.cancel()
