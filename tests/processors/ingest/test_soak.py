"""Half an hour of benchmarks/soak.py, at a hundred devices: faults in every tier; at the end what was said is what there is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import soak
from local.clock import SimulatedClock
from local.run_settings import LocalCity, RunSettings
from local.webex.part import simulator_of
from processors import clock
from processors.ingest import webex_client
from processors.ingest.cloud_events import OBSERVATION_TYPE
from processors.ingest.poll import Poller
from processors.ingest.settings import City, IngestSettings
from processors.ingest.state import IngestState
from processors.ingest.webex_client import Deadline, WebexClient
from tests.support.ingest_faults import Consumer
from tests.support.scripted_webex import FAST, OneToken
from webex_simulator.server import WebexSimulator

LOCATIONS = ("Lyon Part-Dieu", "Lyon Confluence")
DEVICES = 100
POLLS = 30


@pytest.fixture
def hands() -> list[float]:
    """The hands of the clock of everybody here."""
    return [soak.BEGIN]


@pytest.fixture
def simulator(tmp_path: Path, hands: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[WebexSimulator]:
    waits = {"BACKOFF_SECONDS": 0.001, "SHORTEST_PAUSE_SECONDS": 0.001, "LONGEST_PAUSE_SECONDS": 0.002}
    for name, seconds in waits.items():
        monkeypatch.setattr(webex_client, name, seconds)
    turned = SimulatedClock(soak.BEGIN, soak.BEGIN, 1.0, lambda: hands[0])
    city = LocalCity("lyon", "Lyon", "Europe/Paris", LOCATIONS)
    started = simulator_of(RunSettings(tmp_path, "soak", (city,), devices=DEVICES, webex_port=0, clock=turned))
    started.start()
    clock.use(turned.now)
    yield started
    clock.use(None)
    started.stop()


def test_after_half_an_hour_of_faults_in_every_tier_what_is_told_is_true_and_nothing_was_removed(
    simulator: WebexSimulator, hands: list[float]
) -> None:
    consumer, chance = Consumer(), random.Random(soak.SEED)
    settings = IngestSettings(
        60, 15, 4, ("temperature",), (City("lyon", "Lyon", LOCATIONS, ()),), FAST, location_minutes=soak.LOCATION_MINUTES
    )
    client = WebexClient(simulator.url, OneToken("simulated-access-token"), FAST)
    poller = Poller(settings, client, consumer, IngestState())
    control, down, partial, met = soak.control_of(simulator.url), list[str](), 0, set[str]()
    poller.poll()
    for _ in range(POLLS):
        hands[0] += 60
        soak.change(control, chance, sorted(poller.state.devices), down)
        kind, fields = soak.trouble(chance)
        (effect,) = control(kind, **fields)
        met.add(fields.get("path", kind))
        partial += poller.poll().partial
        control("clear", id=effect["id"])
    hands[0] += 60
    assert not poller.poll().partial
    pages = list(client.pages("/devices", {}, 1000, Deadline(60)))
    poller.close()
    listed = {item["id"]: item["connectionStatus"] for page in pages for item in page.items if item["id"] in poller.state.devices}
    events = [event for event in consumer.events if event["type"] == OBSERVATION_TYPE]
    devices = [event["data"] for event in events if event["data"]["entity"] == "device"]
    told = {data["entityId"]: data["connectionStatus"] for data in devices}
    assert met >= set(soak.TIERS)
    assert 0 < partial < POLLS / 2
    assert told == listed
    assert list(told.values()).count("disconnected") >= soak.CHANGES
    assert len({event["id"] for event in events}) == len(events)
    assert "removed" not in {data["connectionStatus"] for data in devices}
