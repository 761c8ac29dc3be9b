"""Sinks: acknowledged means there, in order per entity, and nothing that is too large stops the rest."""

from __future__ import annotations

import errno
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from event_hubs_local.config import read_config
from event_hubs_local.hubs import Partition, Refused
from event_hubs_local.server import EventHubsServer, serving_in_thread
from local.event_hubs.part import CONFIG
from processors.ingest.cloud_events import OBSERVATION_TYPE, Event, sealed
from processors.ingest.sinks import (
    BUSY_WAITS_SECONDS,
    DEADLETTER,
    OBSERVATIONS,
    EventHubsSink,
    JsonLinesSink,
    SendError,
    destination_faults,
)
from tests.support.hub_reader import events_in


def event(subject: str, number: int = 0, padding: int = 0) -> Event:
    return sealed(OBSERVATION_TYPE, subject, "2026-11-24T10:00:00.000Z", {"number": number, "padding": "x" * padding})


@pytest.fixture
def sink(event_hubs: EventHubsServer) -> Iterator[EventHubsSink]:
    opened = EventHubsSink({"EVENT_HUBS": event_hubs.connection_string})
    yield opened
    opened.close()


@pytest.fixture
def throttled(monkeypatch: pytest.MonkeyPatch) -> Callable[[EventHubsServer, list[bool]], list[str]]:
    """Have the namespace refuse transfers as one without throughput units left does; gives the list of what it refused."""
    monkeypatch.setattr("processors.ingest.sinks.BUSY_WAITS_SECONDS", (0.01,) * len(BUSY_WAITS_SECONDS))

    def refuse(server: EventHubsServer, busy: list[bool]) -> list[str]:
        store, answers, refused = server.namespace.store, iter(busy), []

        def answered(*arguments: Any) -> Partition:
            if next(answers, False):
                refused.append("50002")
                raise Refused("com.microsoft:server-busy", "The request was terminated because the namespace is being throttled.")
            return store(*arguments)

        monkeypatch.setattr(server.namespace, "store", answered)
        return refused

    return refuse


class TestEventHubs:
    def test_events_of_an_entity_stay_in_order_in_one_partition_and_entities_spread(
        self, event_hubs: EventHubsServer, sink: EventHubsSink
    ) -> None:
        entities = [f"device-{n}" for n in range(60)]
        sent = [event(entity, number) for number in range(5) for entity in random.Random(number).sample(entities, 60)]
        for begin in range(0, 300, 100):
            assert sink.send(sent[begin : begin + 100], OBSERVATIONS) == []
        read = events_in(event_hubs.connection_string, "observations", 300)
        by_entity: dict[str, list[tuple[str, int]]] = {}
        for one in read:
            document = json.loads(one.body)
            by_entity.setdefault(document["subject"], []).append((one.partition, document["data"]["number"]))
        for arrivals in by_entity.values():
            assert [number for _, number in arrivals] == [0, 1, 2, 3, 4]
            assert len({partition for partition, _ in arrivals}) == 1
        assert len({one.partition for one in read}) == 4

    def test_many_large_events_are_split_into_batches(self, event_hubs: EventHubsServer, sink: EventHubsSink) -> None:
        sink.send([event("device-1", n, padding=200_000) for n in range(12)], OBSERVATIONS)
        read = events_in(event_hubs.connection_string, "observations", 12)
        assert [json.loads(one.body)["data"]["number"] for one in read] == list(range(12))

    def test_one_event_too_large_is_given_back_and_the_others_arrive(
        self, event_hubs: EventHubsServer, sink: EventHubsSink
    ) -> None:
        huge = event("device-1", 1, padding=2_000_000)
        assert sink.send([event("device-1", 0), huge, event("device-1", 2)], OBSERVATIONS) == [huge]
        read = events_in(event_hubs.connection_string, "observations", 2)
        assert [json.loads(one.body)["data"]["number"] for one in read] == [0, 2]

    def test_hubs_are_kept_apart(self, event_hubs: EventHubsServer, sink: EventHubsSink) -> None:
        sink.send([event("good")], OBSERVATIONS)
        sink.send([event("bad")], DEADLETTER)
        assert json.loads(events_in(event_hubs.connection_string, "deadletter", 1)[0].body)["subject"] == "bad"

    def test_a_hub_that_is_missing_says_what_to_check(self, event_hubs: EventHubsServer, sink: EventHubsSink) -> None:
        with pytest.raises(SendError, match="no-such-hub"):
            sink.send([event("a")], "no-such-hub")

    def test_a_throttled_namespace_is_given_time_and_nothing_is_lost_or_doubled(
        self, event_hubs: EventHubsServer, sink: EventHubsSink, throttled: Callable[[EventHubsServer, list[bool]], list[str]]
    ) -> None:
        throttled(event_hubs, [True, True, True, False, True, True, False])
        sent = [event("device-1", n, padding=600_000) for n in range(3)]
        assert sink.send(sent, OBSERVATIONS) == []
        read = events_in(event_hubs.connection_string, "observations", 3)
        assert [json.loads(one.body)["data"]["number"] for one in read] == [0, 1, 2]

    def test_a_namespace_that_stays_throttled_ends_the_poll_with_the_reason(
        self, event_hubs: EventHubsServer, sink: EventHubsSink, throttled: Callable[[EventHubsServer, list[bool]], list[str]]
    ) -> None:
        refused = throttled(event_hubs, [True] * 100)
        with pytest.raises(SendError, match="server-busy"):
            sink.send([event("a")], OBSERVATIONS)
        assert len(BUSY_WAITS_SECONDS) < len(refused) < 100

    def test_a_broker_that_is_restarted_is_found_again(self, tmp_path: Path) -> None:
        hubs = read_config(CONFIG)
        with serving_in_thread(EventHubsServer(tmp_path / "kept", hubs)) as server:
            port = server.port
            sink = EventHubsSink({"EVENT_HUBS": server.connection_string})
            sink.send([event("a", 1)], OBSERVATIONS)
        with serving_in_thread(EventHubsServer(tmp_path / "kept", hubs, port=port)) as server:
            sink.send([event("a", 2)], OBSERVATIONS)
            read = events_in(server.connection_string, "observations", 2)
            assert [json.loads(one.body)["data"]["number"] for one in read] == [1, 2]
            sink.close()


class TestEventstream:
    """A custom endpoint is one hub with a name of Fabric's choice; the stand-in's hub `processed` plays it."""

    def test_everything_goes_there_when_it_is_all_there_is(self, event_hubs: EventHubsServer) -> None:
        sink = EventHubsSink({"EVENTSTREAM": event_hubs.connection_string.rstrip(";") + ";EntityPath=processed"})
        sink.send([event("good")], OBSERVATIONS)
        sink.send([event("bad")], DEADLETTER)
        sink.close()
        subjects = {json.loads(one.body)["subject"] for one in events_in(event_hubs.connection_string, "processed", 2)}
        assert subjects == {"good", "bad"}

    def test_dead_letters_go_to_event_hubs_where_there_is_one(self, event_hubs: EventHubsServer) -> None:
        stream = {"EVENTSTREAM": event_hubs.connection_string.rstrip(";") + ";EntityPath=processed"}
        sink = EventHubsSink({"EVENT_HUBS": event_hubs.connection_string, **stream})
        sink.send([event("good")], OBSERVATIONS)
        sink.send([event("bad")], DEADLETTER)
        sink.close()
        assert json.loads(events_in(event_hubs.connection_string, "processed", 1)[0].body)["subject"] == "good"
        assert json.loads(events_in(event_hubs.connection_string, "deadletter", 1)[0].body)["subject"] == "bad"

    @pytest.mark.parametrize(
        ("environment", "words"),
        [
            ({"EVENTSTREAM": "Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=secret"}, "EntityPath"),
            ({"EVENTSTREAM__fullyQualifiedNamespace": "x.servicebus.windows.net"}, "EVENTSTREAM__eventHubName"),
            ({}, "EVENT_HUBS is not set"),
        ],
    )
    def test_what_is_missing_is_said_without_the_key(self, environment: dict[str, Any], words: str) -> None:
        (fault,) = destination_faults(environment)
        assert words in fault and "secret" not in fault

    def test_keyless_needs_no_connection_string(self) -> None:
        keyless = {"EVENTSTREAM__fullyQualifiedNamespace": "x.servicebus.windows.net", "EVENTSTREAM__eventHubName": "es_1"}
        assert destination_faults(keyless) == []
        with_hubs = EventHubsSink(keyless).producer(OBSERVATIONS)
        assert (with_hubs.eventhub_name, with_hubs._address.hostname) == ("es_1", "x.servicebus.windows.net")
        with_hubs.close()


class TestJsonLines:
    def test_a_file_is_appended_to(self, tmp_path: Path) -> None:
        path = tmp_path / "out.jsonl"
        for number in range(2):
            sink = JsonLinesSink(path)
            sink.send([event("é", number)], OBSERVATIONS)
            sink.close()
        assert [json.loads(line)["data"]["number"] for line in path.read_text(encoding="utf-8").splitlines()] == [0, 1]

    def test_a_file_that_can_not_be_opened_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(SendError, match="--to"):
            JsonLinesSink(tmp_path / "no" / "folder.jsonl")

    def test_a_full_disk_is_no_success(self) -> None:
        from pathlib import Path

        sink = JsonLinesSink(Path("/dev/full"))
        with pytest.raises(SendError, match="disk has room"):
            sink.send([event("a")], OBSERVATIONS)
        sink.close()

    def test_what_could_be_written_of_a_send_that_failed_is_taken_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "out.jsonl"
        sink = JsonLinesSink(path)
        sink.send([event("a", 1)], OBSERVATIONS)
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", _no_space)
            with pytest.raises(SendError, match="disk has room"):
                sink.send([event("b", 2)], OBSERVATIONS)
        sink.send([event("b", 2)], OBSERVATIONS)
        sink.close()
        assert [json.loads(line)["data"]["number"] for line in path.read_text(encoding="utf-8").splitlines()] == [1, 2]


def _no_space(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
