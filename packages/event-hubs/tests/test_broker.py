"""The stand-in as clients see it: the unmodified azure-eventhub package, over a real socket."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub._utils import event_position_selector
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.eventhub.aio import EventHubProducerClient as AsyncProducerClient
from azure.eventhub.exceptions import ConnectError, EventDataSendError, EventHubError
from event_hubs_clients import GROUP, Reader, event_hubs, producer, read, receive, send, store

from event_hubs_local import amqp
from event_hubs_local.config import HubConfig
from event_hubs_local.hubs import LogReporter, Namespace, Refused
from event_hubs_local.log import read_bodies
from event_hubs_local.message import DATA
from event_hubs_local.server import EventHubsServer, serving_in_thread


class TestSending:
    def test_events_keep_their_bodies_properties_and_order_and_get_a_place_and_a_time(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path, clock=lambda: 2_000_000_000_123) as server:
            with producer(server) as client:
                batch = client.create_batch()
                for number in range(50):
                    event = EventData(f"body {number}")
                    event.properties = {"Table": "Processed", "number": number}
                    event.message_id = f"id-{number}"
                    batch.add(event)
                client.send_batch(batch)
                client.send_event(EventData(b"\x00\xff"))
                client.send_event(EventData("several frames".ljust(1_000_000)))
            got = [event for _, event in read(server, 52).events]
        assert [event.body_as_str() for event in got[:50]] == [f"body {number}" for number in range(50)]
        assert b"".join(got[50].body) == b"\x00\xff"
        assert got[51].body_as_str() == "several frames".ljust(1_000_000)
        assert got[7].properties == {b"Table": b"Processed", b"number": 7}
        assert got[7].message_id == "id-7"
        assert [event.sequence_number for event in got] == list(range(52))
        assert {event.enqueued_time for event in got} == {dt.datetime(2033, 5, 18, 3, 33, 20, 123000, tzinfo=dt.UTC)}

    def test_a_partition_key_always_leads_to_the_same_partition(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path, partitions=4) as server:
            with producer(server) as client:
                for number in range(20):
                    client.send_batch([EventData(f"{number}")], partition_key=f"room-{number % 5}")
            got = read(server, 20).events
        partitions: dict[bytes, set[str]] = {}
        for partition, event in got:
            partitions.setdefault(event.partition_key, set()).add(partition)
        assert set(partitions) == {f"room-{number}".encode() for number in range(5)}
        assert all(len(found) == 1 for found in partitions.values())

    def test_without_a_key_partitions_take_turns_and_a_named_one_is_kept(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path, partitions=4) as server, producer(server) as client:
            for number in range(8):
                client.send_batch([EventData(f"turn {number}")])
            for number in range(3):
                client.send_batch([EventData(f"named {number}")], partition_id="2")
            counts = [partition.log.next_sequence for partition in server.namespace.hubs["hub"].partitions]
        assert counts == [2, 2, 5, 2]

    async def test_asynchronous_and_buffered_producers_work(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path, partitions=2) as server:
            sent: list[object] = []

            async def on_success(events: object, partition: str) -> None:
                sent.append(events)

            async def on_error(events: object, partition: str, fault: Exception) -> None:
                raise fault

            buffered = AsyncProducerClient.from_connection_string(
                server.connection_string, eventhub_name="hub", buffered_mode=True, max_wait_time=0.1,
                on_success=on_success, on_error=on_error,
            )  # fmt: skip
            async with buffered:
                for number in range(200):
                    await buffered.send_event(EventData(str(number)))
                await buffered.flush()
            reader = await receive(server.connection_string, lambda reader: len(reader.events) >= 200)
        assert sorted(map(int, reader.bodies)) == list(range(200))
        assert sent

    def test_an_event_over_a_megabyte_is_refused_and_the_next_one_is_not(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path) as server, producer(server, retry_total=0) as client:
            with pytest.raises(EventHubError, match="A message may have 1048576 bytes"):
                client.send_event(EventData(b"z" * 1_100_000))
            client.send_event(EventData("small"))
        assert list(read_bodies(tmp_path, "hub")) == [b"small"]


def test_a_hub_is_as_old_as_its_folder_however_often_the_broker_starts(tmp_path: Path) -> None:
    def created(at_ms: int) -> int:
        with event_hubs(tmp_path, clock=lambda: at_ms) as server, producer(server) as client:
            made: datetime = client.get_eventhub_properties()["created_at"]
            return round(made.timestamp() * 1000)

    assert (created(1_000), created(2_000)) == (1_000, 1_000)
    shutil.rmtree(tmp_path / "hub")
    assert created(3_000) == 3_000


class TestReading:
    def test_a_reader_starts_where_it_says(self, tmp_path: Path) -> None:
        """Each position the client can ask for, in the client's own words: ten events, a second apart."""
        now = iter(range(1_700_000_000_000, 1_800_000_000_000, 1000))
        hubs = Namespace(tmp_path, [HubConfig("hub", 1)], lambda: next(now), LogReporter())
        event = amqp.described(DATA, amqp.binary(b"x"))
        offsets = []
        for _ in range(10):
            offsets.append(hubs.store(hubs.find("hub"), event, None).log.last_offset)
        partition = hubs.hubs["hub"].partitions[0]
        moment = dt.datetime.fromtimestamp(partition.log.last_enqueued_ms / 1000, dt.UTC) - dt.timedelta(seconds=4)
        for position in (5, str(offsets[5]), moment):
            assert partition.position(event_position_selector(position, False).decode()) == 6
            assert partition.position(event_position_selector(position, True).decode()) == 5
        assert partition.position(event_position_selector("-1", False).decode()) == 0
        assert partition.position(event_position_selector("@latest", False).decode()) == 10
        assert partition.position(None) == 0
        for nonsense in ("colour > 'red'", "amqp.annotation.x-opt-sequence-number > 'red'"):
            with pytest.raises(Refused, match="The filter"):
                partition.position(nonsense)
        hubs.close()

    def test_a_reader_goes_on_after_the_offset_it_knows(self, tmp_path: Path) -> None:
        store(tmp_path, *"abcdef")
        with event_hubs(tmp_path) as server:
            offset = server.namespace.hubs["hub"].partitions[0].log.last_offset
            send(server, "g", "h")
            assert read(server, 2, starting_position=str(offset)).bodies == ["g", "h"]

    def test_a_reader_can_follow_how_far_behind_it_is(self, tmp_path: Path) -> None:
        last: list[dict[str, object]] = []

        async def main(connection_string: str) -> None:
            client = EventHubConsumerClient.from_connection_string(connection_string, GROUP, eventhub_name="hub")

            async def on_batch(context: PartitionContext, events: list[EventData]) -> None:
                last.append(context.last_enqueued_event_properties)

            task = asyncio.create_task(
                client.receive_batch(on_batch, starting_position="-1", track_last_enqueued_event_properties=True)
            )
            while not last:
                await asyncio.sleep(0.02)
            task.cancel()

        store(tmp_path, *"abcdef")
        with event_hubs(tmp_path) as server:
            asyncio.run(asyncio.wait_for(main(server.connection_string), 20))
        assert last[0]["sequence_number"] == 5

    async def test_from_the_end_only_what_comes_later_is_seen(self, tmp_path: Path) -> None:
        store(tmp_path, "before")
        with event_hubs(tmp_path) as server:

            def attached() -> bool:
                return bool(server.namespace.hubs["hub"].partitions[0].readers)

            async def later() -> None:
                while not attached():
                    await asyncio.sleep(0.02)
                await asyncio.to_thread(send, server, "after")

            task = asyncio.create_task(later())
            reader = await receive(server.connection_string, lambda reader: bool(reader.events), starting_position="@latest")
            await task
        assert reader.bodies == ["after"]

    def test_every_consumer_group_reads_everything(self, tmp_path: Path) -> None:
        store(tmp_path, "a", "b")
        with event_hubs(tmp_path) as server:
            assert read(server, 2).bodies == read(server, 2, group="$Default").bodies == ["a", "b"]


class TestDescribing:
    def test_hubs_and_partitions_are_described_and_kept_apart(self, tmp_path: Path) -> None:
        hubs = [HubConfig("hub", 3), HubConfig("other", 1)]
        with serving_in_thread(EventHubsServer(tmp_path, hubs)) as server, producer(server) as client:
            assert client.get_eventhub_properties()["eventhub_name"] == "hub"
            assert client.get_partition_ids() == ["0", "1", "2"]
            empty = client.get_partition_properties("1")
            assert (empty["is_empty"], empty["last_enqueued_sequence_number"]) == (True, -1)
            client.send_batch([EventData("a"), EventData("b")], partition_id="1")
            filled = client.get_partition_properties("1")
            assert not filled["is_empty"]
            assert (filled["beginning_sequence_number"], filled["last_enqueued_sequence_number"]) == (0, 1)
            other = EventHubProducerClient.from_connection_string(server.connection_string, eventhub_name="OTHER")
            with other:
                assert other.get_partition_properties("0")["is_empty"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("address", "condition", "says"),
        [
            ("nowhere", "amqp:not-found", "There is no hub 'nowhere'. Hubs here: hub."),
            ("hub/ConsumerGroups/x/Partitions/0", "amqp:not-found", "no consumer group 'x'. Its groups: $default, g"),
            ("hub/Partitions/9", "com.microsoft:argument-out-of-range", "no partition '9': they are 0 to 1"),
            ("hub/Partitions/-1", "com.microsoft:argument-out-of-range", "no partition '-1'"),
        ],
    )
    def test_what_is_not_there_is_named_with_what_there_is(self, tmp_path: Path, address: str, condition: str, says: str) -> None:
        hubs = Namespace(tmp_path, [HubConfig("hub", 2, ("G",))], lambda: 0, LogReporter())
        with pytest.raises(Refused) as refused:
            hubs.find(address)
        assert refused.value.condition == condition
        assert says in str(refused.value)
        hubs.close()

    def test_an_address_may_be_a_path_or_an_url_in_any_case(self, tmp_path: Path) -> None:
        hubs = Namespace(tmp_path, [HubConfig("Hub", 2, ("Group",))], lambda: 0, LogReporter())
        place = hubs.find("amqps://127.0.0.1:5672/hub/consumergroups/GROUP/partitions/1")
        assert place.partition is not None
        assert (place.hub.name, place.group, place.partition.id) == ("Hub", "group", "1")
        hubs.close()

    async def test_a_client_hears_why_it_is_refused(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path) as server:
            refused = await receive(
                server.connection_string, lambda reader: bool(reader.errors), group="strangers", partition_id="0"
            )
        assert "no consumer group 'strangers'" in str(refused.errors[0])

    def test_a_producer_of_an_unknown_hub_fails(self, tmp_path: Path) -> None:
        with event_hubs(tmp_path) as server:
            client = EventHubProducerClient.from_connection_string(
                server.connection_string, eventhub_name="nowhere", retry_total=0
            )
            with client, pytest.raises(ConnectError, match="404"):
                client.send_event(EventData("x"))


class TestOwnerLevels:
    async def test_a_higher_owner_level_takes_the_partition_and_a_lower_one_is_turned_away(self, tmp_path: Path) -> None:
        store(tmp_path, "x")
        with event_hubs(tmp_path) as server:
            low, high, late = Reader(), Reader(), Reader()
            async with asyncio.timeout(30):
                async with reading(server, low, owner_level=1):
                    await seen(low.events)
                    async with reading(server, high, owner_level=2):
                        await seen(high.events)
                        await seen(low.errors)
                        async with reading(server, late, owner_level=1):
                            await seen(late.errors)
        assert "epoch 2 took partition 0 over" in str(low.errors[0])
        assert "epoch 2 holds partition 0" in str(late.errors[0])
        assert not high.errors


async def seen(things: Sequence[object]) -> None:
    while not things:
        await asyncio.sleep(0.02)


class reading:
    """Receives partition 0 in the background."""

    def __init__(self, server: EventHubsServer, reader: Reader, owner_level: int) -> None:
        self.client = EventHubConsumerClient.from_connection_string(
            server.connection_string, GROUP, eventhub_name="hub", retry_total=0
        )
        self.reader, self.owner_level = reader, owner_level

    async def __aenter__(self) -> None:
        self.task = asyncio.create_task(
            self.client.receive_batch(
                self.reader.on_batch, on_error=self.reader.on_error, partition_id="0",
                owner_level=self.owner_level, starting_position="-1",
            )
        )  # fmt: skip

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()


def test_a_rejected_batch_says_why(tmp_path: Path) -> None:
    """A batch message whose data is not an event: no client sends it, a broken one might."""
    with event_hubs(tmp_path) as server, producer(server, retry_total=0) as client:
        batch = client.create_batch()
        batch.add(EventData("x"))
        batch._message = batch._message._replace(data=[b"no event"])
        batch._internal_events[:] = []
        with pytest.raises(EventDataSendError, match="no section at byte 0"):
            client.send_batch(batch)
        client.send_event(EventData("good"))
    assert list(read_bodies(tmp_path, "hub")) == [b"good"]
