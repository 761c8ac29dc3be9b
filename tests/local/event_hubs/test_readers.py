"""What becomes of our own readers when the log they read is cut, deleted or damaged: nothing that is there is missed, and what is
lost is told. Each way of losing a log meets each reader: the Functions trigger, the stream job's receivers, the lake's sink.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from event_hubs_clients import GROUP, free_port, send

from event_hubs_local import amqp
from event_hubs_local.bookmarks import Position
from event_hubs_local.checkpoints import SqliteCheckpointStore
from event_hubs_local.config import HubConfig
from event_hubs_local.hubs import LogReporter, Namespace
from event_hubs_local.message import DATA
from event_hubs_local.server import EventHubsServer, real_milliseconds, serving_in_thread
from local.functions import hub_events
from local.functions.app import EventHubTrigger
from local.lake import service
from local.lake.delta_table import DeltaTableWriter
from local.lake.hub_sink import Hub, HubSink, Tables
from local.lake.tables import live_tables
from local.part import Part
from local.run_settings import RunSettings
from local.stream_job import arrivals
from powerbi.kusto_schema import read_tables

HUBS = [HubConfig("hub", 1, (GROUP, service.CONSUMER_GROUP))]
ONE_A_SEGMENT = 1
"""Segments of this size hold one batch each, so that any event can be taken away."""
SECONDS = 30.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers that try again at once."""
    monkeypatch.setattr(hub_events, "BALANCING_SECONDS", 0.1)
    monkeypatch.setattr(hub_events, "RETRIES", 0)
    monkeypatch.setattr(arrivals, "RESUME_SECONDS", 0.1)
    monkeypatch.setattr(arrivals, "CLIENT_RETRIES", 0)
    monkeypatch.setattr(service, "REBALANCE_SECONDS", 0.1)
    monkeypatch.setattr(service, "CLIENT_RETRIES", 0)


class QuietPart(Part):
    """A part that keeps what it tells of faults."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__("reader", RunSettings(data_dir=folder, stack="test", cities=(), event_hubs_port=port))
        self.reported: list[str] = []

    def _report(self, record: dict[str, Any]) -> None:
        if record["event"] == "warning":
            self.reported.append(record["text"])


class Reader(ABC):
    """One of our readers, with what it keeps over a restart. `got`: the names of the events it has brought, in order."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.got: list[str] = []
        self.part = QuietPart(folder, port)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it within this block, as a process of its own would: only what is on disk is there from before."""
        self.got.clear()
        self.part = QuietPart(self.folder, self.port)
        async with self._running():
            yield

    @abstractmethod
    def _running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Run until the block ends."""

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for what is certain to come; the limit only keeps a broken test from hanging."""
        try:
            async with asyncio.timeout(SECONDS):
                while not condition():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"no {what}: got {self.got}, told {self.part.reported}") from None

    async def until_got(self, *names: str) -> None:
        await self.until(lambda: set(names) <= set(self.got), f"{names}")

    async def until_reported(self, text: str) -> None:
        await self.until(lambda: any(text in reported for reported in self.part.reported), text)


class FunctionsTrigger(Reader):
    """local/functions/hub_events.py: checkpoints in SQLite."""

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        with contextlib.closing(SqliteCheckpointStore(self.folder / "checkpoints.sqlite")) as store:
            connection = self.part.settings.event_hubs_connection_string
            trigger = EventHubTrigger(hub="hub", consumer_group=GROUP, connection_string=connection)
            loop = hub_events.HubLoop(RecordingInvoker(self), trigger, store, asyncio.Event())  # type: ignore[arg-type]
            running = asyncio.create_task(loop.run())
            yield
            await loop.stop()
            running.cancel()
            await asyncio.wait([running], timeout=0.05)


class RecordingInvoker:
    """Takes a function's place."""

    def __init__(self, reader: Reader) -> None:
        self.part = reader.part
        self.idle = asyncio.Event()
        self.idle.set()
        self._got = reader.got

    async def invoke(self, events: list[Any]) -> bool:
        """Note the events."""
        self._got.extend(name_of(event.get_body()) for event in events)
        return True


class StreamJobReceivers(Reader):
    """local/stream_job/arrivals.py: the job keeps the positions in its own state."""

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        reader = arrivals.HubReader(self.part, "hub", GROUP)
        note = self.folder / "position.json"
        positions = {0: Position(*json.loads(note.read_text()))} if note.exists() else {}
        receiving = asyncio.create_task(reader.receive(positions, [0]))
        taking = asyncio.create_task(self._take(reader, note))
        yield
        receiving.cancel()
        taking.cancel()
        await asyncio.wait([receiving, taking], timeout=0.05)  # closing takes the client a second

    async def _take(self, reader: arrivals.HubReader, note: Path) -> None:
        while True:
            arrived = reader.take()
            self.got.extend(name_of(body.encode()) for body in arrived.bodies)
            if arrived.positions:
                remember(note, arrived.positions[0])
            await asyncio.sleep(0.02)


class LakeSink(Reader):
    """local/lake: positions in the Delta tables, beside the rows."""

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        layouts = live_tables()
        writers = {name: layout.writer(self.part.settings.lake_dir) for name, layout in layouts.items()}
        with contextlib.ExitStack() as stack:
            for writer in writers.values():
                stack.callback(writer.close)
            executor = stack.enter_context(ThreadPoolExecutor(1))
            database = stack.enter_context(duckdb.connect())
            tables = Tables(read_tables(), layouts, writers)
            hub = Hub("hub", ("Alerts",), gather_seconds=0.0)
            sink = HubSink(hub, tables, database, lambda: datetime.now(UTC), executor, self.part.warning)
            receiving = asyncio.create_task(service._receive(self.part, sink))
            storing = asyncio.create_task(sink.run(self.part))
            looking = asyncio.create_task(self._look(writers["Alerts"]))
            yield
            receiving.cancel()
            looking.cancel()
            self.part.stopping.set()
            await storing
            await asyncio.wait([receiving, looking], timeout=0.05)

    async def _look(self, writer: DeltaTableWriter) -> None:
        known = self._stored(writer)
        while True:
            self.got[:] = [name for name in self._stored(writer) if name not in known]
            await asyncio.sleep(0.05)

    @staticmethod
    def _stored(writer: DeltaTableWriter) -> list[str]:
        files = writer._table.file_uris() if writer._table is not None else []
        return [name for (name,) in duckdb.sql(f"select alertId from read_parquet({files})").fetchall()] if files else []


def remember(note: Path, position: Position) -> None:
    note.write_text(json.dumps(position))


def body_of(name: str) -> str:
    return json.dumps({"alertId": name, "state": "fired", "observedAt": "2031-05-04T12:00:00Z"})


def name_of(body: bytes) -> str:
    return str(json.loads(body)["alertId"])


@dataclass
class Bench:
    """A hub of one partition that is served from time to time, and a reader of it."""

    folder: Path
    port: int
    reader: Reader

    @property
    def segments(self) -> list[Path]:
        """One for each event, unless it was taken away."""
        return [path for path in sorted((self.folder / "hub" / "00").glob("*.segment")) if path.stat().st_size > 24]

    def store(self, *names: str) -> None:
        """Send events while nobody reads."""
        namespace = Namespace(self.folder, HUBS, real_milliseconds, LogReporter(), segment_bytes=ONE_A_SEGMENT)
        for name in names:
            namespace.store(namespace.find("hub"), amqp.described(DATA, amqp.binary(body_of(name).encode())), None)
        namespace.close()

    @contextlib.contextmanager
    def serving(self) -> Iterator[EventHubsServer]:
        server = EventHubsServer(self.folder, HUBS, port=self.port, segment_bytes=ONE_A_SEGMENT)
        with serving_in_thread(server):
            yield server


@pytest.fixture(scope="module", params=[FunctionsTrigger, StreamJobReceivers, LakeSink], ids=["functions", "stream job", "lake"])
def three_read(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A reader that has read three events, `zero` to `two`, and is down."""
    folder, port = tmp_path_factory.mktemp("three-read"), free_port()
    bench = Bench(folder / "hubs", port, request.param(folder, port))

    async def read() -> None:
        with bench.serving():
            async with bench.reader.running():
                await bench.reader.until_got("zero", "one", "two")

    bench.store("zero", "one", "two")
    asyncio.run(read())
    assert bench.reader.part.reported == []
    return bench.reader


@pytest.fixture
def bench(three_read: Reader, tmp_path: Path) -> Bench:
    """That reader's folder and its hub, for one test."""
    shutil.copytree(three_read.folder, tmp_path, dirs_exist_ok=True)
    return Bench(tmp_path / "hubs", three_read.port, type(three_read)(tmp_path, three_read.port))


async def test_a_log_that_was_left_alone_is_read_on_without_repeat_and_without_a_word(bench: Bench) -> None:
    bench.store("three")
    with bench.serving() as server:
        async with bench.reader.running():
            await bench.reader.until_got("three")
            await asyncio.to_thread(send, server, body_of("four"))
            await bench.reader.until_got("four")
    assert (sorted(bench.reader.got), bench.reader.part.reported) == (["four", "three"], [])


async def test_a_reader_at_the_very_end_gets_what_comes_then_and_nothing_else(bench: Bench) -> None:
    with bench.serving() as server:
        async with bench.reader.running():
            while not server.namespace.hubs["hub"].partitions[0].readers:
                await asyncio.sleep(0.02)
            await asyncio.to_thread(send, server, body_of("three"))
            await bench.reader.until_got("three")
    assert (bench.reader.got, bench.reader.part.reported) == (["three"], [])


async def test_a_log_that_was_cut_at_its_front_is_read_from_what_is_left(bench: Bench) -> None:
    bench.store("three", "four", "five")
    for segment in bench.segments[:5]:
        segment.unlink()
    with bench.serving() as server:
        async with bench.reader.running():
            await bench.reader.until_got("five")
            await asyncio.to_thread(send, server, body_of("six"))
            await bench.reader.until_got("six")
    assert sorted(bench.reader.got) == ["five", "six"]
    assert len(bench.reader.part.reported) == 1
    assert "hub hub, partition 0: 2 events are gone, 3 to 4" in bench.reader.part.reported[0]


async def test_a_log_that_was_deleted_is_read_from_its_start_when_it_is_empty(bench: Bench) -> None:
    shutil.rmtree(bench.folder)
    with bench.serving() as server:
        async with bench.reader.running():
            await bench.reader.until_reported("hub hub, partition 0: its log ends (-1) before the place that was read (event 2)")
            await asyncio.to_thread(send, server, body_of("new"))
            await bench.reader.until_got("new")
    assert bench.reader.got == ["new"]
    assert len(bench.reader.part.reported) == 1


@pytest.mark.parametrize("count", [1, 4])
async def test_a_log_that_was_deleted_is_read_from_its_start_however_much_it_has_grown(bench: Bench, count: int) -> None:
    shutil.rmtree(bench.folder)
    names = [f"new {number}" for number in range(count)]
    bench.store(*names)
    with bench.serving():
        async with bench.reader.running():
            await bench.reader.until_got(*names)
    assert sorted(bench.reader.got) == names
    assert len(bench.reader.part.reported) == 1
    assert "its log began anew: event 2 was read last, and now comes event 0" in bench.reader.part.reported[0]


async def test_a_log_that_became_shorter_than_what_was_read_gives_what_comes_then(bench: Bench) -> None:
    bench.segments[-1].unlink()
    with bench.serving() as server:
        async with bench.reader.running():
            await bench.reader.until_reported("before the place that was read (event 2)")
            await asyncio.to_thread(send, server, body_of("new"))
            await bench.reader.until_got("new")
    assert set(bench.reader.got) <= {"zero", "one", "new"}
    assert len(bench.reader.part.reported) == 1


async def test_a_log_that_was_cut_at_its_end_gives_what_was_sent_while_nobody_read(bench: Bench) -> None:
    bench.segments[-1].unlink()
    names = [f"new {number}" for number in range(3)]
    bench.store(*names)
    with bench.serving():
        async with bench.reader.running():
            await bench.reader.until_got(*names)
    assert sorted(bench.reader.got) == names
    assert len(bench.reader.part.reported) == 1
    assert "its log began anew: event 2 was read last, and now comes event 2" in bench.reader.part.reported[0]


async def test_a_damaged_event_is_counted_and_the_next_is_read(bench: Bench) -> None:
    bench.store("three", "four")
    damaged = bench.segments[3]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    with bench.serving():
        async with bench.reader.running():
            await bench.reader.until_got("four")
    assert bench.reader.got == ["four"]
    assert len(bench.reader.part.reported) == 1
    assert "1 events are gone, 3 to 3" in bench.reader.part.reported[0]


async def test_a_log_that_is_deleted_under_a_running_reader_is_read_from_its_start(bench: Bench) -> None:
    async with bench.reader.running():
        with bench.serving() as server:
            await asyncio.to_thread(send, server, body_of("three"))
            await bench.reader.until_got("three")
        shutil.rmtree(bench.folder)
        with bench.serving() as server:
            await bench.reader.until_reported("before the place that was read (event 3)")
            await asyncio.to_thread(send, server, body_of("new"))
            await bench.reader.until_got("new")
    assert sorted(bench.reader.got) == ["new", "three"]


async def test_what_was_read_again_from_the_start_is_remembered_after_a_restart(bench: Bench) -> None:
    shutil.rmtree(bench.folder)
    bench.store("new 0", "new 1")
    with bench.serving() as server:
        async with bench.reader.running():
            await bench.reader.until_got("new 0", "new 1")
            await asyncio.sleep(0.1)
        async with bench.reader.running():
            await asyncio.to_thread(send, server, body_of("new 2"))
            await bench.reader.until_got("new 2")
    assert (bench.reader.got, bench.reader.part.reported) == (["new 2"], [])
