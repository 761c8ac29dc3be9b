"""The names of floors, learnt location by location."""

from __future__ import annotations

from typing import Any

import pytest

from processors.ingest.records import BadRecord, read_floor
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import ScriptedWebex, device, error


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock) -> None:
    """Every test at 2026-11-24 10:00:03."""


def floors_of(kept: KeptEvents) -> dict[str, str | None]:
    return {data["entityId"]: data.get("details", {}).get("floor") for data in kept.taken("device")}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"displayName": "The basement", "floorNumber": -1}, "The basement"), ({"floorNumber": -1}, "Floor -1"),
        ({"floorNumber": 0}, "Floor 0"), ({"floorNumber": True}, None), ({"floorNumber": "3"}, None), ({}, None),
        ({"floorNumber": 10**40}, None), ({"displayName": 5, "floorNumber": 2}, "Floor 2"),
    ],
)  # fmt: skip
def test_a_floor_goes_by_its_name_or_its_number(fields: dict[str, Any], name: str | None) -> None:
    assert read_floor({"id": "floor-1", **fields}).name == name


def test_a_floor_without_an_id_is_nobodys() -> None:
    with pytest.raises(BadRecord):
        read_floor({"displayName": "Third floor"})


@pytest.fixture
def two_floors(estate: ScriptedWebex) -> ScriptedWebex:
    """Rooms 1 and 4 are on floors, in two locations; nothing is well."""
    for number in (0, 3):
        estate.listings["/workspaces"][number]["floorId"] = f"floor-{number + 1}"
    estate.listings["/locations/location-1/floors"] = [{"id": "floor-1", "displayName": "Third floor"}, "x", {"floorNumber": 1}]
    estate.listings["/locations/location-2/floors"] = [{"id": "floor-4", "floorNumber": 2}]
    estate.listings["/devices"] = [device(n, connectionStatus="disconnected") for n in (1, 2)]
    estate.listings["/devices"] += [device(4, locationId="location-2", connectionStatus="disconnected")]
    return estate


def test_they_are_asked_once_a_day_after_the_estate_is_told(
    make_poller: MakePoller, two_floors: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    poller = make_poller()
    poller.poll()
    assert floors_of(kept) == {"device-1": None, "device-2": None, "device-4": None}
    for seconds in (10, 1440 * 60 - 20):
        standing_clock.advance(seconds)
        poller.poll()
        assert floors_of(kept) == {"device-1": "Third floor", "device-2": None, "device-4": "Floor 2"}
    assert len(two_floors.asked("/locations/location-1/floors")) == 1
    standing_clock.advance(20)
    poller.poll()
    assert len(two_floors.asked("/locations/location-1/floors")) == 2


def test_a_location_that_fails_costs_no_other_and_no_poll(
    make_poller: MakePoller, two_floors: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    two_floors.always["/locations/location-1/floors"] = error(500)
    poller = make_poller()
    report = poller.poll()
    assert not report.partial and any("/locations/location-1/floors: 500" in fault for fault in report.faults)
    standing_clock.advance(10)
    kept.taken()
    poller.poll()
    assert floors_of(kept)["device-4"] == "Floor 2"
    assert len(two_floors.asked("/locations/location-1/floors")) == 1, "it is left alone for some minutes"
    del two_floors.always["/locations/location-1/floors"]
    for _ in range(2):
        standing_clock.advance(300)
        kept.taken()
        poller.poll()
    assert floors_of(kept)["device-1"] == "Third floor"


def test_where_a_device_is_not_well_comes_first(make_poller: MakePoller, estate: ScriptedWebex) -> None:
    names = [f"site-{number:02d}" for number in range(14)]
    estate.listings["/workspaces"] = [
        {"id": name, "displayName": name, "locationId": name, "floorId": f"f{name}"} for name in names
    ]
    estate.listings["/locations"] += [{"id": name, "name": name} for name in names]
    estate.listings |= {f"/locations/{name}/floors": [] for name in names}
    estate.listings["/devices"] = [device(1, locationId="site-13", workspaceId="site-13", connectionStatus="disconnected")]
    make_poller().poll()
    asked = [request.path for request in estate.requests if request.path.endswith("/floors")]
    assert asked[0] == "/locations/site-13/floors" and len(asked) == 10
