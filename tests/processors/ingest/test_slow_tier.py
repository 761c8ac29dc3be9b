"""A slow tier beside the inventory: its trouble is its own, and a room's trouble is the room's own."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from processors.ingest import webex_client
from processors.ingest.token_bucket import RequestRates
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import Answer, Request, ScriptedWebex, device, error, workspace


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock) -> None:
    """Every test at 2026-11-24 10:00:03."""


def crowd(estate: ScriptedWebex, number: int) -> None:
    """Rooms in need with a sensor, all in Lyon."""
    fields: dict[str, Any] = {
        "permissions": ["xapi:all"], "connectionStatus": "connected_with_issues", "errorCodes": ["camerapairing"]
    }  # fmt: skip
    estate.listings["/workspaces"] = [workspace(n, "temperature") for n in range(number)]
    estate.listings["/devices"] = [device(n, **fields) for n in range(number)]
    estate.statuses.update({f"device-{n}": {"Standby": {"State": "Off"}} for n in range(number)})


def break_rooms(estate: ScriptedWebex, path: str, rooms: range, answer: Answer) -> Counter[str]:
    """Let these rooms answer a tier amiss; counts the proper answers of the others."""
    proper, well = estate.answer, Counter[str]()

    def answers(request: Request) -> Answer:
        room = (request.params.get("deviceId") or request.params.get("workspaceId") or "").rpartition("-")[2]
        if request.path == path and int(room) in rooms:
            return answer
        well[request.path] += 1
        return proper(request)

    estate.respond = answers
    return well


@pytest.mark.parametrize("path", ["/xapi/status", "/workspaceMetrics"])
@pytest.mark.parametrize("retry_after", ["30", "300", None])
def test_a_tier_that_is_throttled_for_long_is_said_and_keeps_no_poll_from_the_devices(
    make_poller: MakePoller,
    estate: ScriptedWebex,
    kept: KeptEvents,
    standing_clock: StandingClock,
    path: str,
    retry_after: str | None,
) -> None:
    crowd(estate, 5)
    estate.always[path] = error(429, **({"Retry_After": retry_after} if retry_after else {}))
    poller = make_poller(poll_seconds=6, metric_requests=20, xapi_seconds=6)
    for number in range(21):
        if number:
            estate.listings["/devices"][number % 5]["connectionStatus"] = "disconnected" if number % 2 else "connected"
        report = poller.poll()
        assert not report.partial
        assert any(path in fault and ("429" in fault or "left alone" in fault) for fault in report.faults)
        if number:
            assert f"device-{number % 5}" in {data["entityId"] for data in kept.taken("device")}
        standing_clock.advance(6)
    assert len(estate.asked("/devices")) == 21
    assert len(estate.asked(path)) <= 5  # those in flight when the first was refused


@pytest.mark.parametrize("path", ["/xapi/status", "/workspaceMetrics"])
@pytest.mark.parametrize("broken", [range(6), range(20, 26), range(54, 60)])
@pytest.mark.parametrize("answer", [error(500), error(503), Answer(body=b"<html>"), error(403)], ids=lambda a: str(a.status))
def test_broken_rooms_cost_their_city_hardly_an_answer(
    make_poller: MakePoller,
    estate: ScriptedWebex,
    standing_clock: StandingClock,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    broken: range,
    answer: Answer,
) -> None:
    """Sixty rooms, ten questions a poll: without a fault the others answer 54 in 60 times."""
    crowd(estate, 60)
    well = break_rooms(estate, path, broken, answer)
    poller = make_poller(poll_seconds=10, metric_requests=10, xapi_seconds=60, rates=RequestRates(1e6, 1e6, 1e6, 1))
    due = poller.slow_tiers.rooms_due
    monkeypatch.setattr(poller.slow_tiers, "rooms_due", lambda now: due(now)[:10])
    for _ in range(12):
        poller.poll()
        standing_clock.advance(10)
    assert well[path] >= 0.9 * 12 * 10 * 54 / 60


@pytest.mark.parametrize("path", ["/xapi/status", "/workspaceMetrics"])
def test_a_refused_question_goes_to_the_end_of_the_queue(
    make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(webex_client, "pause_seconds", lambda *_: 0.001)
    crowd(estate, 4)
    break_rooms(estate, path, range(1), error(429))
    poller = make_poller(metric_requests=10, rates=RequestRates(1e6, 1e6, 1e6, 1))
    poller.poll()
    asked = [(r.params.get("deviceId") or r.params["workspaceId"]).rpartition("-")[2] for r in estate.asked(path)]
    assert asked == ["0", "1", "2", "3", "0"]


@pytest.mark.parametrize("path", ["/xapi/status", "/workspaceMetrics"])
def test_a_city_that_fails_as_a_whole_is_asked_less_and_less_and_said_and_soon_asked_again_when_it_is_well(
    make_poller: MakePoller,
    estate: ScriptedWebex,
    kept: KeptEvents,
    standing_clock: StandingClock,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    crowd(estate, 40)
    estate.always[path] = error(503)
    poller = make_poller(metric_requests=4, metrics=("temperature",), xapi_seconds=60)
    due = poller.slow_tiers.rooms_due
    monkeypatch.setattr(poller.slow_tiers, "rooms_due", lambda now: due(now)[:4])
    for _ in range(60):
        report = poller.poll()
        standing_clock.advance(10)
    asked = len(estate.asked(path))
    assert asked < 60
    assert any("city lyon" in fault and "left alone until" in fault for fault in report.faults)
    del estate.always[path]
    for _ in range(31):
        poller.poll()
        standing_clock.advance(10)
    assert len(estate.asked(path)) > asked + 4


def test_a_room_that_hangs_takes_none_of_the_others_time(
    make_poller: MakePoller, estate: ScriptedWebex, monkeypatch: pytest.MonkeyPatch, standing_clock: StandingClock
) -> None:
    monkeypatch.setattr(webex_client, "ANSWER_SECONDS", 0.2)
    crowd(estate, 20)
    well = break_rooms(estate, "/workspaceMetrics", range(3), Answer(stall=3))
    poller = make_poller(metric_requests=20, rates=RequestRates(1e6, 1e6, 0, 5))
    report = poller.poll()
    assert well["/workspaceMetrics"] == 17
    assert not report.partial
    assert report.seconds < 8


@pytest.mark.parametrize("path", ["/xapi/status", "/workspaceMetrics"])
@pytest.mark.parametrize("status", [302, 307, 401, 407, 511])
def test_what_would_refuse_anybody_bars_no_room_for_an_hour(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock, path: str, status: int
) -> None:
    """A sign-in page of the network, a proxy, a token that has ended: when it is over, rooms are asked as after any failure."""
    crowd(estate, 5)
    estate.always[path] = Answer(status, b"", {"Location": "https://sign.in.example/"})
    poller = make_poller(poll_seconds=60, metric_requests=20, xapi_seconds=60)
    for _ in range(3):
        assert poller.poll().not_permitted == 0
        standing_clock.advance(60)
    del estate.always[path]
    before = len(estate.asked(path))
    for _ in range(6):
        poller.poll()
        standing_clock.advance(60)
    of_whom = "deviceId" if path == "/xapi/status" else "workspaceId"
    assert len({request.params[of_whom] for request in estate.asked(path)[before:]}) == 5
