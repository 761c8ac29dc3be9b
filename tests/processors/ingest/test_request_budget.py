"""The request budget: the inventory first, the rest fairly, nothing wasted, nothing above it; and polls that keep to it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.endpoint import Endpoints
from processors.ingest.request_budget import share_out
from processors.ingest.token_bucket import RequestRates
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import ScriptedWebex, device, error, workspace

counts = st.integers(0, 500)


@given(counts, counts, counts, counts)
def test_it_is_never_overdrawn_and_nobody_gets_more_than_wanted(total: int, inventory: int, rooms: int, metrics: int) -> None:
    budget = share_out(total, inventory, rooms, metrics)
    assert 0 <= budget.room_status <= rooms
    assert 0 <= budget.metrics <= metrics
    assert budget.room_status + budget.metrics <= max(0, total - inventory)


@given(counts, counts, counts, counts)
def test_nothing_that_is_wanted_is_left_unused(total: int, inventory: int, rooms: int, metrics: int) -> None:
    budget = share_out(total, inventory, rooms, metrics)
    left = max(0, total - inventory) - budget.room_status - budget.metrics
    assert left == 0 or (budget.room_status, budget.metrics) == (rooms, metrics)


@given(counts, counts, counts, counts)
def test_neither_tier_can_starve_the_other(total: int, inventory: int, rooms: int, metrics: int) -> None:
    budget = share_out(total, inventory, rooms, metrics)
    half = max(0, total - inventory) // 2
    assert budget.room_status >= min(rooms, half)
    assert budget.metrics >= min(metrics, half)


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock) -> None:
    """Every test at 2026-11-24 10:00:03."""


def crowd(estate: ScriptedWebex, number: int = 30) -> None:
    """More rooms than a poll can ask about, all of them in need."""
    fields: dict[str, Any] = {
        "permissions": ["xapi:all"], "connectionStatus": "connected_with_issues", "errorCodes": ["camerapairing"]
    }  # fmt: skip
    estate.listings["/workspaces"] = [workspace(n, "temperature") for n in range(number)]
    estate.listings["/devices"] = [device(n, **fields) for n in range(number)]
    estate.statuses.update({f"device-{n}": {"Standby": {"State": "Off"}} for n in range(number)})


class TestPolls:
    def test_a_poll_plans_its_requests_logs_the_plan_and_keeps_to_it(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, caplog: pytest.LogCaptureFixture
    ) -> None:
        crowd(estate)
        poller = make_poller(poll_seconds=1, metric_requests=100, rates=RequestRates(20, 8, 1e6, 5))
        with caplog.at_level(logging.INFO):
            report = poller.poll()
        total = report.budget["total"]
        assert 20 <= total <= 24
        assert report.budget == {"total": total, "inventory": 3, "room_status": 0, "metrics": total - 3}
        (planned,) = [vars(record)["ids"] for record in caplog.records if record.msg == "planned"]
        assert planned == {"pollId": report.poll_id, **report.budget}
        assert report.requests <= report.budget["total"]
        assert not report.partial
        assert report.made["inventory"] == 3
        assert report.made["roomStatus"] >= 8
        assert report.made["metrics"] >= 8

    def test_every_room_has_its_turn_over_several_polls(
        self, make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock
    ) -> None:
        crowd(estate)
        poller = make_poller(poll_seconds=10, metric_requests=10, rates=RequestRates(1e6, 1e6, 1e-3, 10))
        for _ in range(3):
            poller.client.endpoints = Endpoints(poller.client.rates)
            poller.poll()
            standing_clock.advance(10)
        for path, name in (("/xapi/status", "deviceId"), ("/workspaceMetrics", "workspaceId")):
            asked = [request.params[name] for request in estate.asked(path)]
            assert len(asked) == len(set(asked)) == 30

    def test_a_failing_tier_does_not_starve_the_other(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        crowd(estate)
        estate.always["/xapi/status"] = error(503)
        estate.metrics["workspace-7", "temperature"] = [{"timestamp": "2026-11-24T09:59:00.000Z", "value": 21}]
        make_poller(metric_requests=30).poll()
        assert len(kept.taken("workspace")) == 1

    def test_readings_of_a_failing_city_hold_up_no_other(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.listings["/workspaces"] = [workspace(n, "temperature") for n in (1, 2, 3)]
        estate.listings["/workspaces"].append(workspace(4, "temperature", locationId="location-2"))
        estate.metrics["workspace-4", "temperature"] = [{"timestamp": "2026-11-24T09:59:00.000Z", "value": 21}]
        answer = estate.answer
        estate.respond = lambda request: (
            error(503) if request.params.get("workspaceId", "workspace-4") != "workspace-4" else answer(request)
        )
        report = make_poller(metric_requests=30).poll()
        assert [data["entityId"] for data in kept.taken("workspace")] == ["workspace-4"]
        assert len(estate.asked("/workspaceMetrics")) == 4
        assert not report.partial

    def test_a_throttled_inventory_leaves_the_slow_tiers_for_later(self, make_poller: MakePoller, estate: ScriptedWebex) -> None:
        crowd(estate)
        estate.faults["/devices"] = [error(429, Retry_After="1")]
        report = make_poller(poll_seconds=2.5, metric_requests=30, rates=RequestRates(4, 8, 2, 5)).poll()
        assert (report.partial, report.throttled) == (False, 1)
        assert report.requests_per_second == pytest.approx(2, abs=0.1)
        assert report.requests <= 8

    def test_a_poll_that_begins_late_leaves_its_slow_tiers_to_the_next_one(
        self, make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock
    ) -> None:
        crowd(estate)
        poller = make_poller(poll_seconds=10, metric_requests=30, rates=RequestRates(1e6, 1e6, 1e6, 5))
        standing_clock.advance(5.5)  # 8.5 s into the slot: the next poll is due in 1.5 s
        late = poller.poll(followed=True)
        assert late.made == {"inventory": 3}
        assert (late.partial, late.faults) == (False, [])
        standing_clock.advance(1.5)
        following = poller.poll(followed=True)
        assert (following.made["roomStatus"], following.made["metrics"]) == (30, 30)

    def test_a_single_poll_asks_everything_whenever_it_begins(
        self, make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock
    ) -> None:
        crowd(estate)
        standing_clock.advance(5.5)
        report = make_poller(poll_seconds=10, metric_requests=30, rates=RequestRates(1e6, 1e6, 1e6, 5)).poll()
        assert (report.made["roomStatus"], report.made["metrics"]) == (30, 30)
