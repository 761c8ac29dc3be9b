"""Microsoft's clients for Python (sync and aio), JavaScript and Go judge the stand-in: each of them does all of this.

What the service answers is known from their sources and from reports of their users (docs/stages/event-hubs.md).
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from event_hubs_clients import GROUP, free_port

from event_hubs_local.config import HubConfig
from event_hubs_local.hubs import Partition
from event_hubs_local.server import EventHubsServer, serving_in_thread
from tests.support.four_clients import NAMES, Answer, Client, client

NOW_MS = 2_000_000_000_123
PARTITIONS = 3
SECONDS = 20.0


@pytest.fixture(scope="module", params=NAMES)
def judge(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client, started once for all cases."""
    with client(request.param) as made:
        yield made


class Service:
    """The stand-in with one hub of three partitions, and a client of it."""

    def __init__(self, folder: Path, judge: Client, **options: Any) -> None:
        self.folder = folder
        self.judge = judge
        self.port = free_port()
        self.options = options
        self.readers: list[str] = []

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        hubs = [HubConfig("hub", PARTITIONS, (GROUP,))]
        self.server = EventHubsServer(self.folder, hubs, port=self.port, clock=lambda: NOW_MS, **self.options)
        with serving_in_thread(self.server):
            yield

    def close(self) -> None:
        """Close every reader."""
        for reader in self.readers:
            self.judge.get("close", reader=reader)

    @property
    def partitions(self) -> list[Partition]:
        """The broker's own side of the hub."""
        return self.server.namespace.hubs["hub"].partitions

    def place(self, hub: str = "hub", retries: int = 0) -> Answer:
        return {"connection": self.server.connection_string, "hub": hub, "retries": retries}

    def send(self, *bodies: bytes, partition: str | None = "0", key: str | None = None, **properties: Any) -> None:
        events = [{"body": base64.b64encode(body).decode(), "properties": properties} for body in bodies]
        self.judge.get("send", **self.place(retries=3), partition=partition, key=key, events=events)

    def properties(self, partition: str = "0") -> Answer:
        return self.judge.get("partition", **self.place(), partition=partition)

    def reader(self, start: str = "start", value: object = "", **options: Any) -> str:
        """Begin to receive, by default from the start of partition 0; gives the reader's name."""
        name = f"{self.folder.parent.name} {len(self.readers)}"
        self.readers.append(name)
        retries = options.pop("retries", 0)
        hub = options.pop("hub", "hub")
        place = {"from": start, "value": str(value), "inclusive": False, "group": GROUP, "partition": "0", "owner": None}
        self.judge.get("open", reader=name, **self.place(hub, retries), **{**place, **options})
        return name

    def receive(self, reader: str, count: int, seconds: float = SECONDS) -> list[Answer]:
        events: list[Answer] = self.judge.get("receive", reader=reader, count=count, seconds=seconds)["events"]
        return events

    def bodies(self, reader: str, count: int) -> list[bytes]:
        return [base64.b64decode(event["body"]) for event in self.receive(reader, count)]

    def refused(self, condition: str, reader: str) -> str:
        """What a reader hears that must not get anything."""
        return self.judge.refusal(condition, "receive", reader=reader, count=1, seconds=SECONDS)


@pytest.fixture
def service(tmp_path: Path, judge: Client) -> Iterator[Service]:
    made = Service(tmp_path / "hubs", judge)
    with made.serving(), contextlib.closing(made):  # a client that closes when nobody serves may look for its service for ever
        yield made


def test_what_is_sent_is_received_with_everything_that_belongs_to_it(service: Service) -> None:
    contents = [b"text", "Bjørvika \N{SNOWMAN}".encode(), b"\x00\xff not UTF-8", b"", b'{"json": 1}', b"1", b"long" * 50_000]
    service.send(*contents, partition=None, key="room-ø", Table="Alerts", number=7, flag=True, text="Bjørvika")
    (partition,) = (each for each in service.partitions if each.log.next_sequence)
    events = service.receive(service.reader(partition=partition.id), len(contents))
    assert [base64.b64decode(event["body"]) for event in events] == contents
    assert [event["sequence"] for event in events] == list(range(len(contents)))
    assert {event["time_ms"] for event in events} == {NOW_MS}
    assert {event["key"] for event in events} == {"room-ø"}
    offsets = [int(event["offset"]) for event in events]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == partition.log.last_offset
    for event in events:
        assert event["properties"] == {"Table": "Alerts", "number": 7, "flag": True, "text": "Bjørvika"}


def test_a_key_leads_to_the_same_partition_always_and_a_named_partition_is_kept(service: Service) -> None:
    for _ in range(3):
        service.send(b"keyed", partition=None, key="room")
    counts = [each.log.next_sequence for each in service.partitions]
    assert sorted(counts) == [0, 0, 3]
    service.send(b"named", b"named too", partition="1")
    assert [each.log.next_sequence for each in service.partitions] == [counts[0], counts[1] + 2, counts[2]]


def test_hub_and_partitions_are_described_in_every_field(service: Service) -> None:
    assert service.judge.get("hub", **service.place()) == {
        "name": "hub", "created_ms": NOW_MS, "partitions": ["0", "1", "2"], "replicated": False
    }  # fmt: skip
    assert {**service.properties("1"), "time_ms": 0} == {
        "hub": "hub", "partition": "1", "begin": 0, "last": -1, "offset": "-1", "time_ms": 0, "empty": True
    }  # fmt: skip
    service.send(b"one", b"two", partition="1")
    offset = str(service.partitions[1].log.last_offset)
    assert service.properties("1") == {
        "hub": "hub", "partition": "1", "begin": 0, "last": 1, "offset": offset, "time_ms": NOW_MS, "empty": False
    }  # fmt: skip


def test_a_batch_near_the_limit_is_taken_and_an_event_beyond_it_refused(service: Service) -> None:
    ten = [bytes([48 + number]) * 100_000 for number in range(10)]
    service.send(*ten)
    too_large = [{"body": base64.b64encode(b"x" * 1_050_000).decode(), "properties": {}}]
    service.judge.refusal("too large", "send", **service.place(), partition="0", key=None, events=too_large)
    service.send(b"the next one")
    assert service.bodies(service.reader(), 11) == [*ten, b"the next one"]


def test_many_batches_come_in_order(service: Service) -> None:
    for start in range(0, 600, 100):
        service.send(*(f"{number:05d}".encode() for number in range(start, start + 100)))
    assert service.bodies(service.reader(), 600) == [f"{number:05d}".encode() for number in range(600)]


def test_a_reader_starts_where_it_says(service: Service) -> None:
    service.send(*(f"{number}".encode() for number in range(6)))
    log = service.partitions[0].log
    offset = log._segments[0].base + log._segments[0].positions[3]
    behind = [service.reader(start, value) for start, value in (("sequence", 3), ("offset", offset))]
    at = [service.reader(start, value, inclusive=True) for start, value in (("sequence", 3), ("offset", offset))]
    since = service.reader("time", NOW_MS - 1)
    for reader in behind:
        assert service.bodies(reader, 2) == [b"4", b"5"]
    for reader in at:
        assert service.bodies(reader, 3) == [b"3", b"4", b"5"]
    assert service.bodies(since, 6)[0] == b"0"


def test_a_reader_at_the_end_gets_only_what_comes_then(service: Service) -> None:
    service.send(b"before")
    log = service.partitions[0].log
    readers = [service.reader("end"), service.reader("offset", log.last_offset), service.reader("sequence", 0)]
    for reader in readers:  # the Go client attaches when it is asked for events
        assert service.receive(reader, 1, seconds=0.5) == []
    deadline = time.monotonic() + SECONDS
    while len(service.partitions[0].readers) < len(readers):
        assert time.monotonic() < deadline, "they never attached"
        time.sleep(0.02)
    service.send(b"after")
    for reader in readers:
        assert service.bodies(reader, 1) == [b"after"]


def test_a_reader_that_was_disconnected_goes_on_without_loss_or_repeat(tmp_path: Path, judge: Client) -> None:
    with contextlib.closing(Service(tmp_path / "hubs", judge)) as service:
        with service.serving():
            service.send(b"0", b"1", b"2")
            reader = service.reader(retries=8)
            assert service.bodies(reader, 3) == [b"0", b"1", b"2"]
        with service.serving():
            service.send(b"3", b"4")
            service.send(b"5")
            assert service.bodies(reader, 3) == [b"3", b"4", b"5"]


def test_an_idle_client_keeps_its_connection_by_itself(tmp_path: Path, judge: Client) -> None:
    """The broker cuts off who is silent for longer than it said; a client that listens sends empty frames in time."""
    with contextlib.closing(Service(tmp_path / "hubs", judge, idle_seconds=1.0)) as service, service.serving():
        service.send(b"0")
        reader = service.reader(retries=8)
        assert service.bodies(reader, 1) == [b"0"]
        (attached,) = service.partitions[0].readers
        assert service.receive(reader, 1, seconds=1.5) == []
        assert service.partitions[0].readers == [attached]
        service.send(b"1")
        assert service.bodies(reader, 1) == [b"1"]


def test_a_higher_owner_level_takes_a_partition_over_and_a_lower_one_is_turned_away(service: Service) -> None:
    service.send(b"0")
    low = service.reader(owner=1)
    assert service.bodies(low, 1) == [b"0"]
    high = service.reader(owner=2)
    assert service.bodies(high, 1) == [b"0"]
    service.refused("amqp:link:stolen", low)
    service.refused("amqp:link:stolen", service.reader(owner=1))
    service.send(b"1")
    assert service.bodies(high, 1) == [b"1"]


def test_an_unknown_hub_is_refused(service: Service) -> None:
    unknown = service.place("nowhere")
    event = [{"body": "", "properties": {}}]
    service.judge.refusal("amqp:not-found", "hub", **unknown)
    service.judge.refusal("amqp:not-found", "send", **unknown, partition="0", key=None, events=event)
    service.refused("amqp:not-found", service.reader(hub="nowhere"))


def test_an_unknown_consumer_group_and_an_unknown_partition_are_refused(service: Service) -> None:
    strange, ninth = service.reader(group="strangers"), service.reader(partition="9")
    assert "has no consumer group 'strangers'" in service.refused("amqp:not-found", strange)
    service.refused("com.microsoft:argument-out-of-range", ninth)
    service.judge.refusal("com.microsoft:argument-out-of-range", "partition", **service.place(), partition="9")


@pytest.mark.parametrize("events", [0, 2])
def test_a_place_that_is_gone_or_not_there_yet_is_refused_in_the_words_of_azure(service: Service, events: int) -> None:
    if events:
        service.send(*[b"x"] * events)
    log = service.partitions[0].log
    places = {"sequence number": (events, events - 1), "offset": (log.last_offset + 1, log.last_offset)}
    readers = [
        (service.reader(what.split()[0], supplied, inclusive=inclusive), what, supplied, last)
        for what, (supplied, last) in places.items()
        for inclusive in (False, True)
    ]
    for reader, what, supplied, last in readers:
        text = service.refused("com.microsoft:argument-error", reader)
        assert f"The supplied {what} '{supplied}' is invalid. The last {what} in the system is '{last}'" in text
