"""Locations and workspaces are optional: whatever they answer, devices are polled, and stay where they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processors.ingest import poll, webex_client
from processors.ingest.disappearance import Shrunken
from processors.ingest.places import Register
from processors.ingest.records import Location
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import Answer, ScriptedWebex, device, error, location, workspace

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
FAILURES = {
    "403": error(403),
    "404": error(404),
    "429": error(429, Retry_After="300"),
    "500": error(500),
    "503": error(503),
    "silence": Answer(stall=5),
    "a drip": Answer(body=b" " * 2000, drip=0.01),
    "HTML": Answer(body=b"<html>"),
    "half a JSON": Answer(body=b'{"items": [{"id'),
    "nothing": Answer(),
}
PATHS = {"locations": ("/locations",), "workspaces": ("/workspaces",), "both": ("/locations", "/workspaces")}


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test at 2026-11-24 10:00:03; waits are short."""
    monkeypatch.setattr(webex_client, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(webex_client, "READ_SECONDS", 0.4)
    monkeypatch.setattr(poll, "DIRECTORY_SHARE", 0.05)


def cities(observations: list[dict[str, Any]]) -> dict[str, str]:
    return {data["entityId"]: data["cityId"] for data in observations}


@pytest.mark.parametrize("paths", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("restarted", [True, False], ids=["after a restart", "while it runs"])
def test_an_outage_is_told_in_its_city_and_room_and_the_fault_is_said(
    make_poller: MakePoller,
    estate: ScriptedWebex,
    kept: KeptEvents,
    standing_clock: StandingClock,
    paths: tuple[str, ...],
    answer: Answer,
    restarted: bool,
) -> None:
    poller = make_poller(location_minutes=0.01)
    poller.poll()
    if restarted:
        poller.close()
        poller = make_poller(location_minutes=0.01)
    for path in paths:
        estate.always[path] = answer
    for number in (1, 4):
        kept.taken()
        standing_clock.advance(10)
        estate.listings["/devices"][number - 1]["connectionStatus"] = "disconnected"
        report = poller.poll()
        down = {data["entityId"]: data for data in kept.taken("device")}[f"device-{number}"]
        assert (down["connectionStatus"], down["workspaceName"]) == ("disconnected", f"Room {number}")
        assert down["cityId"] == ("oslo" if number == 4 else "lyon")
        assert down["locationName"] == ("Oslo Lysaker" if number == 4 else "Lyon Part-Dieu")
        assert report.partial
        assert all(any(path in fault for fault in report.faults) for path in paths)
    poller.close()


def test_a_listing_that_fails_again_and_again_is_asked_less_often_and_said_every_time(
    make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock
) -> None:
    poller = make_poller(poll_seconds=10)
    poller.poll()
    estate.always["/workspaces"] = error(503)
    before = len(estate.asked("/workspaces"))
    for _ in range(30):
        standing_clock.advance(10)
        assert any("/workspaces" in fault for fault in poller.poll().faults)
    assert len(estate.asked("/workspaces")) - before <= 6 * 3
    assert len(estate.asked("/devices")) == 31
    del estate.always["/workspaces"]
    for _ in range(31):
        standing_clock.advance(10)
        report = poller.poll()
    assert not report.partial


@pytest.mark.parametrize("path", ["/locations", "/workspaces"])
@pytest.mark.parametrize("restarted", [True, False], ids=["after a restart", "while it runs"])
def test_a_row_left_out_of_a_listing_moves_no_device(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock, path: str, restarted: bool
) -> None:
    poller = make_poller(location_minutes=0.1)
    poller.poll()
    everything = estate.listings[path]
    for left_out in range(len(everything)):
        if restarted:
            poller.close()
            poller = make_poller(location_minutes=0.1)
        estate.listings[path] = everything[:left_out] + everything[left_out + 1 :]
        for _ in range(4):
            kept.taken()
            standing_clock.advance(10)
            poller.poll()
            assert cities(kept.taken("device")) == {}
    poller.close()


def test_a_device_moves_when_it_says_so_itself(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    poller = make_poller()
    poller.poll()
    kept.taken()
    estate.listings["/locations"] = []
    estate.listings["/devices"][0] |= {"locationId": "location-2", "workspaceId": "workspace-4"}
    standing_clock.advance(10)
    poller.poll()
    assert cities(kept.taken("device")) == {"device-1": "oslo"}


def test_a_room_in_maintenance_stays_so_while_nobody_can_list_it(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    estate.listings["/workspaces"][0]["plannedMaintenance"] = {"mode": "on"}
    make_poller().poll()
    kept.taken()
    estate.always["/workspaces"] = error(503)
    estate.listings["/devices"][0]["connectionStatus"] = "disconnected"
    standing_clock.advance(10)
    make_poller().poll()
    (down,) = kept.taken("device")
    assert down["signals"][0] == {**down["signals"][0], "name": "offline", "value": 0, "text": "planned maintenance"}


class TestRegister:
    def register(self, number: int) -> Register[Location]:
        return Register("/locations", {f"location-{n}": Location(f"location-{n}", f"Site {n}") for n in range(number)})

    def test_one_that_nobody_refers_to_goes_when_three_listings_in_a_row_lack_it(self) -> None:
        register = self.register(10)
        rest = {key: record for key, record in register.records.items() if key != "location-3"}
        for turn, left in enumerate((10, 10, 9)):
            register.pending = dict(rest)
            register.take(lambda: frozenset(), NOW + timedelta(days=turn))
            assert len(register.records) == left

    def test_one_that_a_device_refers_to_stays(self) -> None:
        register = self.register(10)
        for turn in range(9):
            register.pending = dict(list(register.records.items())[:9])
            register.take(lambda: {"location-9"}, NOW + timedelta(days=turn))
        assert len(register.records) == 10

    @pytest.mark.parametrize(("listed", "believed"), [(0, False), (1, False), (9, False), (15, False), (17, True), (19, True)])
    def test_an_empty_or_much_shorter_listing_is_not_believed_and_what_it_lists_is_taken(
        self, listed: int, believed: bool
    ) -> None:
        register = self.register(20)
        news = {"new": Location("new", "New site")} | {
            f"location-{n}": Location(f"location-{n}", "Renamed") for n in range(listed)
        }
        for _ in range(5):
            register.pending = dict(news)
            if not believed:
                with pytest.raises(Shrunken, match=rf"{20 - listed} of 2[01] that were known.*doctor"):
                    register.take(lambda: frozenset(), NOW)
        if not believed:
            assert len(register.records) == 21
            assert {register.records[key].name for key in news} <= {"Renamed", "New site"}


def test_what_was_known_before_a_restart_is_what_the_devices_say(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    """Also by a city's name in an address, and a new device at a location that the state knows."""
    estate.listings["/locations"].append(location(3, "Somewhere", city="Lyon"))
    estate.listings["/workspaces"].append(workspace(5, locationId="location-3"))
    estate.listings["/devices"].append(device(5, locationId="location-3"))
    make_poller().poll()
    assert cities(kept.taken("device"))["device-5"] == "lyon"
    for path in ("/locations", "/workspaces"):
        estate.always[path] = error(503)
    estate.listings["/devices"].append(device(6, locationId="location-3"))
    standing_clock.advance(10)
    make_poller().poll()
    assert cities(kept.taken("device")) == {"device-6": "lyon"}
