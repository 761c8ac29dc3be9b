"""What Webex says of a room's health, and what one needs to find a device, in its observations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processors.ingest.records import read_device, read_workspace
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import ScriptedWebex, device, workspace

ISSUE = {
    "id": "issue-1",
    "createdAt": "2026-11-24T08:12:00Z",
    "level": "error",
    "title": "Touch panel disconnected",
    "description": "The touch panel has lost its connection.",
    "recommendedAction": "See that the cable to the touch panel is plugged in.",
}
TOLD = {
    "level": "error",
    "title": "Touch panel disconnected",
    "description": "The touch panel has lost its connection.",
    "recommendedAction": "See that the cable to the touch panel is plugged in.",
    "since": "2026-11-24T08:12:00.000Z",
}
IDENTITY = {"serial": "FOC2301ABCD", "mac": "5C:71:0D:00:11:22", "ip": "10.20.30.40", "upgradeChannel": "Stable"}


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock) -> None:
    """Every test at 2026-11-24 10:00:03."""


def observed(kept: KeptEvents, device_id: str = "device-1") -> dict[str, object]:
    return next(data for data in kept.taken("device") if data["entityId"] == device_id)


@pytest.mark.parametrize("level", ["error", {"Members": "error"}])
def test_a_device_says_what_webex_says_of_its_room(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, level: str | dict[str, str]
) -> None:
    estate.listings["/workspaces"][0] |= {"health": {"level": level, "issues": [{**ISSUE, "level": level}]}, "floorId": "floor-3"}
    estate.listings["/devices"][0] |= IDENTITY
    make_poller().poll()
    data = observed(kept)
    assert data["details"] == {"room": {"level": "error", "issues": [TOLD]}, **IDENTITY}


def test_a_device_asked_for_its_status_says_so_too(make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents) -> None:
    estate.listings["/workspaces"][0]["health"] = {"level": "warning", "issues": []}
    estate.listings["/devices"] = [device(1, connectionStatus="connected_with_issues", permissions=["xapi:readonly"])]
    estate.statuses["device-1"] = {"Standby": {"State": "Standby"}}
    make_poller(xapi_seconds=10).poll()
    assert [data["details"]["room"] for data in kept.taken("device")] == [{"level": "warning", "issues": []}] * 2


@pytest.mark.parametrize("health", [None, "", {}, {"level": "fine"}, {"issues": None}, {"issues": ["x", None, 5]}])
def test_what_tells_nothing_is_left_out(health: str | dict[str, Any] | None) -> None:
    assert read_workspace(workspace(1, health=health)).health == read_workspace(workspace(1)).health


@pytest.mark.parametrize(
    ("health", "odd"),
    [
        ("error", {"health": "no object"}),
        ({"issues": "many"}, {"health": "issues that are not a list"}),
        ({"issues": [{"title": 5}]}, {"title": "a number"}),
    ],
)
def test_what_is_odd_is_counted(health: str | dict[str, Any], odd: dict[str, str]) -> None:
    noted: dict[str, str] = {}
    read_workspace(workspace(1, health=health), noted.__setitem__)
    assert noted == odd


def test_at_most_ten_issues_of_a_room() -> None:
    issues = [ISSUE | {"title": str(number)} for number in range(40)]
    assert [issue.title for issue in read_workspace(workspace(1, health={"issues": issues})).health.issues] == list("0123456789")


def test_a_personal_device_is_told_without_what_it_could_be_found_by(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
) -> None:
    estate.listings["/devices"] = [{"id": "desk", "personId": "p", "displayName": "Jane", **IDENTITY}]
    make_poller(personal_devices=True).poll()
    assert IDENTITY["serial"] not in json.dumps(kept.taken())


def test_a_device_is_behind_only_what_its_own_channel_has(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
) -> None:
    estate.listings["/devices"] = [
        device(1, software="RoomOS 26.5.1", upgradeChannel="Stable Delayed"),
        device(2, software="RoomOS 26.6.1", upgradeChannel="stable delayed"),
        device(3, software="RoomOS 26.9.1", upgradeChannel="Preview"),
    ]
    poller = make_poller()
    poller.poll()
    assert [poller.state.devices[f"device-{n}"].condition.days_behind for n in (1, 2, 3)] == [31, 0, 0]


def test_the_state_knows_the_channel_after_a_restart(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    estate.listings["/devices"] = [device(1, upgradeChannel="Preview", serial="S1")]
    make_poller().poll()
    standing_clock.advance(10)
    kept.taken()
    again = make_poller()
    again.poll()
    assert kept.taken("device") == []
    assert again.state.devices["device-1"].device == read_device(estate.listings["/devices"][0])._replace(last_seen=None)
