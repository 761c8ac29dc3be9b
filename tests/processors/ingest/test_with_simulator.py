"""The ingest against the simulated organisation with all its oddities, into the Event Hubs stand-in: nothing is misunderstood."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_reader import events_in

from local.clock import SimulatedClock
from local.run_settings import LocalCity, RunSettings
from local.webex.scenarios import ScenarioClient
from local.webex.server import WebexSimulator
from processors import clock
from processors.contracts.validation import OBSERVATION, faults
from processors.ingest.environment import make_poller
from processors.ingest.poll import Poller
from processors.ingest.settings import AlertRule, City, IngestSettings
from processors.ingest.sinks import EventHubsSink

NOON = 1_795_518_000.0
"""2026-11-24 11:00 UTC: office hours in Lyon."""
RULES = (AlertRule("site-outage", "location", "offlineRatio", ">=", 0.5, 0, 1),)


@pytest.fixture
def run(tmp_path: Path) -> RunSettings:
    city = LocalCity("lyon", "Lyon", "Europe/Paris", ("Lyon Part-Dieu", "Lyon Confluence"))
    return RunSettings(tmp_path, "test", (city,), devices=300, webex_port=0, clock=SimulatedClock(NOON, NOON, 1.0, lambda: NOON))


@pytest.fixture
def simulator(run: RunSettings) -> Iterator[WebexSimulator]:
    started = WebexSimulator(run)
    started.start()
    clock.use(run.clock.now)
    yield started
    clock.use(None)
    started.stop()


@pytest.fixture
def poller(simulator: WebexSimulator, event_hubs) -> Iterator[Poller]:
    environment = {
        "WEBEX_API_BASE": simulator.url,
        "WEBEX_ACCESS_TOKEN": "simulated-access-token",
        "EVENT_HUBS": event_hubs.connection_string,
    }
    cities = (City("lyon", "Lyon", ("Lyon Part-Dieu", "Lyon Confluence"), RULES),)
    made = make_poller(environment, IngestSettings(60, 15, 30, ("temperature", "humidity"), cities), EventHubsSink(environment))
    yield made
    made.close()


def test_a_poll_of_the_whole_estate_reaches_the_hub_as_its_contract_says(poller: Poller, event_hubs) -> None:
    report = poller.poll()
    assert (report.partial, report.faults, report.quarantined) == (False, [], 0)
    documents = [json.loads(event.body) for event in events_in(event_hubs.connection_string, "observations", report.observations)]
    assert [fault for document in documents for fault in faults(OBSERVATION, document)] == []
    entities = Counter(document["data"]["entity"] for document in documents)
    assert entities["device"] == report.devices == 300 - report.personal_devices
    assert entities["location"] >= 2
    assert entities["workspace"] > 0
    assert len({document["id"] for document in documents}) == len(documents)


def test_an_outage_of_a_site_is_seen_by_the_next_poll(poller: Poller, simulator: WebexSimulator, event_hubs) -> None:
    first = poller.poll()
    ScenarioClient(simulator.control_url).outage(location="Lyon Confluence")
    second = poller.poll()
    events = events_in(event_hubs.connection_string, "observations", first.observations + second.observations)
    ratios: dict[str, list[float]] = {}
    for event in events:
        data = json.loads(event.body)["data"]
        if data["entity"] == "location" and data["cityId"] == "lyon":
            ratios.setdefault(data["name"], []).append(data["signals"][0]["value"])
    assert ratios["Lyon Confluence"][0] < 0.5
    assert ratios["Lyon Confluence"][1] == 1
    assert ratios["Lyon Part-Dieu"][1] < 0.5
