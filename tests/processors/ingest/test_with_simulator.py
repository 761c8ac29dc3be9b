"""The ingest against the simulated organisation with all its oddities, into the Event Hubs stand-in: nothing is misunderstood."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from event_hubs_local.server import EventHubsServer
from local.clock import SimulatedClock
from local.run_settings import LocalCity, RunSettings
from local.webex.part import simulator_of
from processors import clock
from processors.alert_fanout.alerts import Alert, alerts_in
from processors.alert_fanout.incidents import Book, take
from processors.alert_fanout.render import notice
from processors.alert_fanout.settings import City as FanoutCity
from processors.alert_fanout.settings import FanoutSettings
from processors.alert_fanout.steps import Step
from processors.contracts.validation import OBSERVATION
from processors.ingest.environment import make_poller
from processors.ingest.poll import Poller
from processors.ingest.settings import AlertRule, City, IngestSettings
from processors.ingest.sinks import EventHubsSink
from tests.processors.ingest.conftest import KeptEvents
from tests.support.contracts import faults_of_message
from tests.support.hub_reader import events_in
from tests.support.roompulse_query import results
from tests.support.scripted_webex import FAST
from webex_simulator.scenarios import ScenarioClient
from webex_simulator.server import WebexSimulator

NOON = 1_795_518_000.0
"""2026-11-24 11:00 UTC: office hours in Lyon."""
RULES = (AlertRule("site-outage", "location", "offlineRatio", ">=", 0.5, 0, 1),)


@pytest.fixture
def hands() -> list[float]:
    """The hands of the run's clock, for tests that let time pass."""
    return [NOON]


@pytest.fixture
def run(tmp_path: Path, hands: list[float]) -> RunSettings:
    city = LocalCity("lyon", "Lyon", "Europe/Paris", ("Lyon Part-Dieu", "Lyon Confluence"))
    turned = SimulatedClock(NOON, NOON, 1.0, lambda: hands[0])
    return RunSettings(tmp_path, "test", (city,), devices=300, webex_port=0, clock=turned)


@pytest.fixture
def simulator(run: RunSettings) -> Iterator[WebexSimulator]:
    started = simulator_of(run)
    started.start()
    clock.use(run.clock.now)
    yield started
    clock.use(None)
    started.stop()


@pytest.fixture
def poller(simulator: WebexSimulator, event_hubs: EventHubsServer) -> Iterator[Poller]:
    environment = environment_of(simulator) | {"EVENT_HUBS": event_hubs.connection_string}
    cities = (City("lyon", "Lyon", ("Lyon Part-Dieu", "Lyon Confluence"), RULES),)
    settings = IngestSettings(10, 15, 30, ("temperature", "peopleCount"), cities, FAST, xapi_seconds=10)
    made = make_poller(environment, settings, EventHubsSink(environment))
    yield made
    made.close()


def environment_of(simulator: WebexSimulator) -> dict[str, str]:
    """What tells an ingest where this Webex is, its status page too."""
    return {
        "WEBEX_API_BASE": simulator.url,
        "WEBEX_STATUS_BASE": simulator.status_url,
        "WEBEX_ACCESS_TOKEN": "simulated-access-token",
    }


def test_a_poll_of_the_whole_estate_reaches_the_hub_as_its_contract_says(poller: Poller, event_hubs: EventHubsServer) -> None:
    report = poller.poll()
    assert (report.partial, report.faults, report.quarantined) == (False, [], 0)
    documents = [json.loads(event.body) for event in events_in(event_hubs.connection_string, "observations", report.observations)]
    assert [fault for document in documents for fault in faults_of_message(OBSERVATION, document)] == []
    entities = Counter(document["data"]["entity"] for document in documents)
    assert report.devices == 300 - report.personal_devices
    told = {document["data"]["entityId"] for document in documents if document["data"]["entity"] == "device"}
    assert len(told) == report.devices
    assert entities["device"] - report.devices <= report.made["roomStatus"]
    assert entities["location"] >= 2
    assert entities["workspace"] > 0
    assert len({document["id"] for document in documents}) == len(documents)


def test_an_outage_of_a_site_is_seen_by_the_next_poll(
    poller: Poller, simulator: WebexSimulator, event_hubs: EventHubsServer
) -> None:
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


class TestScenarios:
    """What `roompulse scenario` breaks, as the signals of the ingest tell it."""

    @pytest.fixture
    def polls(self, simulator: WebexSimulator, hands: list[float], kept: KeptEvents) -> Callable[[], dict[str, dict[str, float]]]:
        """Polls ten seconds apart: each gives the signals of every device, room and location it told, by id."""
        cities = (City("lyon", "Lyon", ("Lyon Part-Dieu", "Lyon Confluence"), RULES),)
        settings = IngestSettings(10, 15, 1000, ("peopleCount",), cities, FAST, xapi_seconds=10)
        poller = make_poller(environment_of(simulator), settings, kept)

        def once() -> dict[str, dict[str, float]]:
            hands[0] += 10
            report = poller.poll()
            assert (report.faults, report.unknown) == ([], {})
            told: dict[str, dict[str, float]] = {}
            for data in kept.taken():
                told.setdefault(data["entityId"], {}).update({s["name"]: s["value"] for s in data["signals"]})
            return told

        return once

    @pytest.fixture
    def scenario(self, simulator: WebexSimulator) -> ScenarioClient:
        return ScenarioClient(simulator.control_url)

    def device(self, simulator: WebexSimulator, product: str) -> Any:
        """A connected device of a product, in a room with seats."""
        headers = {"Authorization": "Bearer simulated-access-token"}
        params = {"product": product, "connectionStatus": "connected"}
        listed = requests.get(f"{simulator.url}/devices", params=params, headers=headers, timeout=5).json()["items"]
        devices = [simulator.estate.device_of_id[item["id"]] for item in listed]
        return next(d for d in devices if d.workspace and d.workspace.seats and d.location and d.location.city)

    def test_a_flap_is_counted(
        self, polls: Callable[[], dict[str, dict[str, float]]], simulator: WebexSimulator, scenario: ScenarioClient
    ) -> None:
        device = self.device(simulator, "Cisco Room Bar")
        polls()
        scenario.flap(device=device.id, down_seconds=20, up_seconds=20)
        seen = [polls().get(device.id, {}) for _ in range(11)]
        assert max(signals.get("drops", 0) for signals in seen) == 3

    def test_an_outage_in_planned_maintenance_is_none(
        self, polls: Callable[[], dict[str, dict[str, float]]], simulator: WebexSimulator, scenario: ScenarioClient
    ) -> None:
        device = self.device(simulator, "Cisco Room Bar")
        polls()
        scenario.maintenance(location=device.location.name)
        scenario.outage(location=device.location.name)
        signals = polls()
        assert signals[device.id]["offline"] == 0
        assert signals[device.location.id]["offlineRatio"] == 0
        scenario.clear()
        scenario.outage(location=device.location.name)
        assert polls()[device.location.id]["offlineRatio"] == 1

    def test_a_room_in_planned_maintenance_is_too(
        self, polls: Callable[[], dict[str, dict[str, float]]], simulator: WebexSimulator, scenario: ScenarioClient
    ) -> None:
        device = self.device(simulator, "Cisco Room Bar")
        scenario.maintenance(room=device.workspace.id)
        scenario.outage(device=device.id)
        assert polls()[device.id]["offline"] == 0

    def test_an_overcrowded_room_is_over_full(
        self, polls: Callable[[], dict[str, dict[str, float]]], simulator: WebexSimulator, scenario: ScenarioClient
    ) -> None:
        device = self.device(simulator, "Cisco Room Kit EQ")
        scenario.overcrowd(device.workspace.id, 40)
        told = polls()[device.workspace.id]
        assert (told["peopleCount"], told["inUse"]) == (40, 1)
        assert told["occupancy"] == pytest.approx(40 / told["capacity"], abs=0.001)

    def test_a_message_of_an_unusable_room_says_what_webex_tells_of_it(
        self, simulator: WebexSimulator, scenario: ScenarioClient, hands: list[float], kept: KeptEvents
    ) -> None:
        """Acceptance 3 of issue 17: from the simulator through the ingest and the query into a message."""
        rule = AlertRule("room-unusable", "device", "criticalIssues", ">=", 1, 15, 3)
        cities = (City("lyon", "Lyon", ("Lyon Part-Dieu", "Lyon Confluence"), (rule,)),)
        poller = make_poller(environment_of(simulator), IngestSettings(10, 15, 0, (), cities, FAST, xapi_seconds=10), kept)
        device = self.device(simulator, "Cisco Room Bar")
        scenario.issue(device.id, "touchpanelconnection")
        scenario.webex_incident("Meetings: some users can't join")
        for _ in range(3):
            hands[0] += 10
            poller.poll()
        poller.close()
        rows = results([event for event in kept.events["observations"] if event["subject"] == device.id])["alerts"]
        (alert,) = alerts_in(json.dumps(rows[-1]).encode())
        assert isinstance(alert, Alert)
        book, city, now = Book(), FanoutCity("Lyon", "Europe/Paris", ()), clock.utc_now()
        take(book, [alert], city, {}, now)
        told = notice(book, Step(alert.alert_id, "inbox", "open"), FanoutSettings({}, {}), city).text
        for line in (
            "Cisco recommends: Check that the touch panel has power and its cable is plugged in, then pair it again.",
            f"What: device {device.name} (Cisco Room Bar)",
            "Fault: touch panel lost",
            "Device says: Error: No touch panel connected.",
            "Webex says: No touch panel connected, since Tue 24 Nov 2026 12:00 (Europe/Paris)",
            f"Where: Floor {device.workspace.floor}, {device.location.name}, Lyon",
            "Webex reports: Meetings: some users can't join, investigating, since Tue 24 Nov 2026 12:00 (Europe/Paris)",
        ):
            assert line in told.splitlines()
        assert re.search(r"^Lost: Touch panel .*, serial number FOC\w{8}, connection lost$", told, re.MULTILINE)
        assert re.search(r"^Serial number: FOC\w{8}$", told, re.MULTILINE)
        assert re.search(r"^Network: switch switch-.*\.example\.com, port GigabitEthernet1/0/\d+, IP 10\.", told, re.MULTILINE)

    def test_a_bad_call_is_measured_and_ends(
        self, polls: Callable[[], dict[str, dict[str, float]]], simulator: WebexSimulator, scenario: ScenarioClient
    ) -> None:
        device = self.device(simulator, "Cisco Room Bar")
        scenario.bad_call(device.id, loss=8, jitter=80)
        told = polls()[device.id]
        assert (told["inCall"], told["callLoss"], told["callJitter"]) == (1, 8, 80)
        scenario.clear()
        seen = [polls().get(device.id, {}) for _ in range(5)]
        assert [signals["callLoss"] for signals in seen if "callLoss" in signals][-1] < 1
