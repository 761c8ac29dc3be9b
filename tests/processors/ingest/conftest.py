"""What the tests of whole polls share: settings, a sink that keeps what it gets, and pollers on the scripted Webex."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from processors.contracts.signals import OF_ENTITY
from processors.contracts.validation import OBSERVATION, QUARANTINED
from processors.ingest.cloud_events import Event
from processors.ingest.poll import Poller
from processors.ingest.push.listener import Listener
from processors.ingest.settings import AlertRule, City, IngestSettings
from processors.ingest.sinks import SendError
from processors.ingest.sqlite_state import SqliteState
from processors.ingest.token_bucket import RequestRates
from processors.ingest.webex_client import WebexClient
from tests.support.contracts import faults_of_message
from tests.support.scripted_webex import FAST, OneToken, ScriptedWebex, device, location, workspace

RULES = (
    AlertRule("device-offline", "device", "offline", ">=", 1, 300, 2),
    AlertRule("site-outage", "location", "offlineRatio", ">=", 0.5, 0, 1),
    AlertRule("room-too-warm", "workspace", "temperature", ">=", 28, 600, 3),
)
LYON = City("lyon", "Lyon", ("Lyon Part-Dieu",), RULES)
OSLO = City("oslo", "Oslo", ("Oslo Lysaker",), ())


def _undeclared(data: dict[str, Any]) -> list[str]:
    """The signals of an observation that its entity does not have."""
    return [signal["name"] for signal in data.get("signals", ()) if signal["name"] not in OF_ENTITY[data["entity"]]]


class KeptEvents:
    """A sink that keeps events by hub, checks each against its contract, and fails when told to."""

    def __init__(self) -> None:
        self.events: dict[str, list[dict[str, Any]]] = {"observations": [], "deadletter": []}
        self.sends_until_failure: int | None = None
        self.limit_bytes = 1_000_000

    def send(self, events: Sequence[Event], hub: str) -> list[Event]:
        """Keep the events; a failure keeps half of them, as a broken connection would."""
        schema = OBSERVATION if hub == "observations" else QUARANTINED
        arrived = list(events)
        if self.sends_until_failure is not None:
            if self.sends_until_failure == 0:
                arrived = arrived[: len(arrived) // 2]
            self.sends_until_failure -= 1
        too_large = [event for event in arrived if len(event.body) > self.limit_bytes]
        for event in arrived:
            if event not in too_large:
                document = json.loads(event.body)
                assert faults_of_message(schema, document) == []
                assert _undeclared(document["data"]) == [], "declare it in processors/contracts/signals.py"
                self.events[hub].append(document)
        if self.sends_until_failure is not None and self.sends_until_failure < 0:
            raise SendError("the hub is gone")
        return too_large

    def close(self) -> None:
        """Nothing to close."""

    def taken(self, entity: str | None = None) -> list[dict[str, Any]]:
        """The data of the observations since the last call, of one entity or of all; forgets them."""
        data = [event["data"] for event in self.events["observations"] if entity in (None, event["data"]["entity"])]
        self.events["observations"].clear()
        return data


@pytest.fixture
def kept() -> KeptEvents:
    """The sink of the test."""
    return KeptEvents()


@pytest.fixture
def estate(webex: ScriptedWebex) -> ScriptedWebex:
    """Two cities: three rooms at Lyon Part-Dieu, one in Oslo."""
    webex.listings["/locations"] = [location(1, "Lyon Part-Dieu"), location(2, "Oslo Lysaker")]
    webex.listings["/workspaces"] = [workspace(n, "temperature") for n in (1, 2, 3)] + [workspace(4, locationId="location-2")]
    webex.listings["/devices"] = [device(n) for n in (1, 2, 3)] + [device(4, locationId="location-2")]
    return webex


MakePoller = Callable[..., Poller]


@pytest.fixture
def make_poller(estate: ScriptedWebex, kept: KeptEvents, tmp_path: Path) -> MakePoller:
    """Pollers that share one state file, as one that is started again does."""

    def make(
        poll_seconds: float = 10,
        snapshot_minutes: float = 15,
        metric_requests: int = 0,
        metrics: tuple[str, ...] = ("temperature",),
        rules: tuple[AlertRule, ...] = RULES,
        rates: RequestRates = FAST,
        push: Collection[str] = (),
        listener: Listener | None = None,
        lives: Callable[[], Mapping[str, float | None]] | None = None,
        **more: Any,
    ) -> Poller:
        named = (dataclasses.replace(LYON, rules=rules), OSLO)
        cities = tuple(dataclasses.replace(city, push=city.slug in push) for city in named)
        settings = IngestSettings(poll_seconds, snapshot_minutes, metric_requests, metrics, cities, rates, **more)
        client, state = WebexClient(estate.base, OneToken(), rates), SqliteState(tmp_path / "ingest.sqlite")
        return Poller(settings, client, kept, state, listener=listener, lives=lives)

    return make
