"""The poller, its listener and the simulated Webex: what changes in a room is an observation, whatever happens on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from webex_world import World

from processors import clock
from processors.ingest.cloud_events import Event
from processors.ingest.poll import Poller
from processors.ingest.push import listener as listener_module
from processors.ingest.push.activation import activation_from
from processors.ingest.push.coverage import Coverage
from processors.ingest.push.home import FolderHome
from processors.ingest.push.listener import Listener
from processors.ingest.push.manifest import manifest
from processors.ingest.push.trust import Trust
from processors.ingest.settings import City, IngestSettings
from processors.ingest.sqlite_state import SqliteState
from processors.ingest.webex_client import WebexClient
from tests.support.pushed import signals
from tests.support.scripted_webex import FAST, OneToken

CITIES = (City("lyon", "Lyon", ("Lyon Part-Dieu", "Lyon Confluence"), (), push=True),)


class Arrivals:
    """A sink that a test can wait at."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.changed = threading.Condition()

    def send(self, events: Sequence[Event], hub: str) -> list[Event]:
        """See Sink."""
        import json

        with self.changed:
            self.events += [json.loads(event.body) for event in events]
            self.changed.notify_all()
        return []

    def close(self) -> None:
        """Nothing to close."""

    def until(self, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event that is meant, once it is there."""
        with self.changed:
            assert self.changed.wait_for(lambda: any(map(found, self.events)), timeout=20), f"{len(self.events)} came"
            return next(filter(found, self.events))

    def rooms(self) -> list[dict[str, Any]]:
        return [event["data"] for event in self.events if event["data"].get("entity") == "workspace"]


class Site:
    """A simulated Lyon that is polled and listened to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World(folder / "webex", devices=100)
        self.world.simulator.integrations.hold_seconds = 0.05
        clock.use(lambda: datetime.fromtimestamp(self.world.now, UTC))
        trust = Trust(self.world.simulator.url)
        home = FolderHome(folder / "integration", trust)
        given = self.world.scenario.integrate(manifest())
        home.keep(activation_from(given["activationCode"], given["clientId"], trust), given["clientSecret"])
        self.listener = Listener(home, trust, Coverage())
        self.sink = Arrivals()
        self.poller = self.new_poller()

    def new_poller(self) -> Poller:
        metrics = ("temperature", "humidity", "tvoc", "ambientNoise", "soundLevel", "peopleCount")
        settings = IngestSettings(60, 15, 500, metrics, CITIES, FAST)
        client = WebexClient(self.world.simulator.url, OneToken("simulated-access-token"), FAST)
        state = SqliteState(self.folder / "ingest.sqlite")
        return Poller(settings, client, self.sink, state, listener=self.listener)

    def close(self) -> None:
        self.poller.close()
        self.listener.close(5)
        clock.use(None)
        self.world.close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("SHORTEST_ROUND_SECONDS", "ERROR_SECONDS", "LOOK_AGAIN_SECONDS"):
        monkeypatch.setattr(listener_module, name, 0.01)
    site = Site(tmp_path)
    yield site
    site.close()


def until(reached: Callable[[], bool]) -> None:
    """Wait for what the listening thread does."""
    for _ in range(2000):
        if reached():
            return
        threading.Event().wait(0.01)
    raise AssertionError("never came")


def of(site: Site, metric: str) -> dict[str, Any]:
    """A room in Lyon that has told a metric."""
    event = site.sink.until(lambda event: event["data"].get("entity") == "workspace" and metric in signals(event["data"]))
    return dict(event["data"])


def test_a_change_in_a_room_is_an_observation_without_a_poll(site: Site) -> None:
    site.poller.poll()
    until(lambda: site.poller.pushed.coverage.rooms >= 10)
    room = of(site, "temperature")
    site.world.scenario.heat(room["entityId"], 33.5)
    hot = site.sink.until(
        lambda event: signals(event["data"]).get("temperature") == 33.5 if "signals" in event["data"] else False
    )
    assert (hot["data"]["name"], hot["data"]["cityId"], hot["data"]["reason"]) == (room["name"], "lyon", "metric")


def test_rooms_that_tell_are_asked_in_samples_only(site: Site) -> None:
    site.poller.poll()
    until(lambda: site.poller.pushed.coverage.rooms >= 10)
    site.world.now += 61
    site.poller.poll()
    asked_before = {pair: mark.asked_at for pair, mark in site.poller.state.watermarks.items()}
    covered = [pair for pair in asked_before if site.poller.pushed.coverage.covers(pair)]
    site.world.now += 61
    site.poller.poll()
    asked = [pair for pair in covered if site.poller.state.watermarks[pair].asked_at != asked_before[pair]]
    assert (len(asked), len(covered) > 20) == (10, True)


def test_a_kill_in_the_middle_loses_nothing_and_tells_nothing_twice(site: Site) -> None:
    """The process dies with an answer in hand; the next one begins with what is on disk."""
    site.poller.poll()
    until(lambda: site.poller.pushed.coverage.rooms >= 10)
    room = of(site, "temperature")
    site.listener.detach()
    site.world.scenario.heat(room["entityId"], 31.5)
    died = site.listener
    site.poller.state.close()
    site.listener = Listener(died._home, died._trust, Coverage())
    died.close(5)
    site.poller = site.new_poller()
    for _ in range(2):
        site.world.now += 61
        site.poller.poll()
    site.sink.until(lambda event: signals(event["data"]).get("temperature") == 31.5 if "signals" in event["data"] else False)
    told = [(data["entityId"], event["time"], name, value) for event in site.sink.events for data in [event["data"]]
            if data.get("entity") == "workspace" for name, value in signals(data).items()]  # fmt: skip
    ids = {event["id"] for event in site.sink.events if event["data"].get("entity") == "workspace"}
    assert len(set(told)) == sum(
        len(event["data"]["signals"])
        for event in {event["id"]: event for event in site.sink.events}.values()
        if event["id"] in ids
    ), "one reading has one id"


def test_a_silent_integration_is_said_and_polled_and_given_back(site: Site) -> None:
    site.poller.poll()
    until(lambda: site.poller.pushed.coverage.rooms >= 10)
    room = of(site, "temperature")
    now = [0.0]
    coverage = site.poller.pushed.coverage
    real = coverage._clock
    coverage._clock = lambda: real() + now[0]
    site.world.scenario.push_silence()
    site.world.scenario.heat(room["entityId"], 34.5)
    for minute in (1, 2):
        now[0] += 50
        site.world.now += 300
        site.sink.events.clear()
        site.poller.poll()
        if minute == 1:
            assert 34.5 in [signals(data).get("temperature") for data in site.sink.rooms()], "polling has taken over"
    lyon = next(e["data"] for e in site.sink.events if e["data"].get("entity") == "city" and e["data"]["cityId"] == "lyon")
    assert signals(lyon)["pushSilent"] == 1
    site.world.scenario.clear()
    site.world.now += 300
    until(lambda: site.poller.pushed.coverage.look() == "live")
    site.world.now += 60
    site.sink.events.clear()
    site.poller.poll()
    lyon = next(e["data"] for e in site.sink.events if e["data"].get("entity") == "city" and e["data"]["cityId"] == "lyon")
    assert signals(lyon)["pushSilent"] == 0
