"""What is gone from Webex goes from the ingest's memory and state too: a process that lives for years does not grow by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import MakePoller
from tests.support.scripted_webex import ScriptedWebex, device, error, workspace

ROOMS = 4


@pytest.fixture(autouse=True)
def _estate(estate: ScriptedWebex, standing_clock: StandingClock) -> None:
    """Rooms whose sensors and devices are asked, at 2026-11-24 10:00:03."""
    asked: dict[str, Any] = {
        "permissions": ["xapi:all"], "connectionStatus": "connected_with_issues", "errorCodes": ["camerapairing"]
    }  # fmt: skip
    estate.listings["/workspaces"] = [workspace(n, "temperature") for n in range(1, ROOMS + 1)]
    estate.listings["/devices"] = [device(n, **asked) for n in range(1, ROOMS + 1)]
    estate.statuses = {f"device-{n}": {"Standby": {"State": "Off"}} for n in range(1, ROOMS + 1)}


@pytest.fixture
def poll(make_poller: MakePoller, standing_clock: StandingClock) -> Callable[..., Any]:
    """Polls of one process, or of another one that goes on."""
    pollers: list[Any] = []

    def several(number: int, restarted: bool = False) -> Any:
        if restarted or not pollers:
            for old in pollers:
                old.close()
            pollers[:] = [make_poller(metric_requests=10, xapi_seconds=60)]
        for _ in range(number):
            pollers[0].report = pollers[0].poll()
            standing_clock.advance(61)
        return pollers[0]

    return several


def rooms_read(poller: Any) -> set[str]:
    return {workspace_id for workspace_id, _ in poller.state.watermarks}


@pytest.mark.parametrize("restarted", [False, True])
def test_how_far_a_deleted_workspace_was_read_goes_with_it_for_good(
    poll: Callable[..., Any], estate: ScriptedWebex, restarted: bool
) -> None:
    assert rooms_read(poll(1)) == {f"workspace-{n}" for n in range(1, ROOMS + 1)}
    del estate.listings["/devices"][0], estate.listings["/workspaces"][0]
    left = {f"workspace-{n}" for n in range(2, ROOMS + 1)}
    assert rooms_read(poll(8, restarted)) == left
    assert rooms_read(poll(0, restarted=True)) == left


@pytest.mark.parametrize("listing", ["missing once", "partial", "shrunken", "with its device"])
def test_what_may_still_be_there_keeps_it(poll: Callable[..., Any], estate: ScriptedWebex, listing: str) -> None:
    poll(1)
    everything = estate.listings["/workspaces"]
    if listing == "partial":
        estate.faults["/workspaces"] = [error(500)] * 3
    elif listing == "with its device":
        del everything[0]
    else:
        estate.listings["/workspaces"] = everything[1:] if listing == "missing once" else []
    poller = poll(8 if listing in ("shrunken", "with its device") else 1)
    assert rooms_read(poller) == {f"workspace-{n}" for n in range(1, ROOMS + 1)}


@pytest.mark.parametrize(("path", "left_alone"), [("/workspaceMetrics", "workspace-1"), ("/xapi/status", "device-1")])
def test_who_was_refused_is_no_longer_counted_once_gone(
    poll: Callable[..., Any], estate: ScriptedWebex, path: str, left_alone: str
) -> None:
    proper = estate.answer
    estate.respond = lambda r: error(403) if r.path == path and left_alone in r.params.values() else proper(r)
    assert poll(3).report.not_permitted == 1
    del estate.listings["/devices"][0], estate.listings["/workspaces"][0]
    assert poll(8).report.not_permitted == 0


def test_one_that_comes_back_under_its_old_id_is_asked_at_once(poll: Callable[..., Any], estate: ScriptedWebex) -> None:
    proper, row, room = estate.answer, estate.listings["/devices"][0], estate.listings["/workspaces"][0]
    estate.respond = lambda r: error(403) if {"device-1", "workspace-1"} & set(r.params.values()) else proper(r)
    poll(3)
    del estate.listings["/devices"][0], estate.listings["/workspaces"][0]
    poll(8)
    estate.respond = proper
    estate.listings["/devices"].append(row)
    estate.listings["/workspaces"].append(room)
    estate.requests.clear()
    poll(1)
    assert [r.params["deviceId"] for r in estate.asked("/xapi/status") if r.params["deviceId"] == "device-1"]
    assert [r for r in estate.asked("/workspaceMetrics") if r.params["workspaceId"] == "workspace-1"]
