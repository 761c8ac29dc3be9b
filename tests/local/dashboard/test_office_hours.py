"""Office hours in a city's own time, also on the days when clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from local.dashboard.office_hours import CLOSES, OPENS, office_hours

ZONES = st.sampled_from(["Europe/Paris", "America/Toronto", "Asia/Singapore", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])
MOMENTS = st.integers(0, 730 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_working_day_in_winter_and_in_summer() -> None:
    assert office_hours("Europe/Paris", at("2026-01-14"), at("2026-01-15")) == [(at("2026-01-14T07:00"), at("2026-01-14T17:00"))]
    assert office_hours("Europe/Paris", at("2026-07-15"), at("2026-07-16")) == [(at("2026-07-15T06:00"), at("2026-07-15T16:00"))]


def test_spans_are_cut_to_the_hour_that_is_shown() -> None:
    opening = office_hours("Asia/Singapore", at("2026-11-23T23:30"), at("2026-11-24T00:30"))
    assert opening == [(at("2026-11-24T00:00"), at("2026-11-24T00:30"))]


def test_there_are_none_at_the_weekend() -> None:
    assert office_hours("America/Toronto", at("2026-11-21T05:00"), at("2026-11-23T05:00")) == []


@given(ZONES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=9)), st.floats(0, 1))
def test_a_moment_is_inside_exactly_when_the_local_clock_says_so(
    zone: str, begin: datetime, length: timedelta, share: float
) -> None:
    end = begin + length
    moment = begin + length * share
    local = moment.astimezone(ZoneInfo(zone))
    open_then = local.weekday() < 5 and OPENS <= local.time() < CLOSES and moment < end
    spans = office_hours(zone, begin, end)
    assert any(opens <= moment < closes for opens, closes in spans) == open_then
    assert spans == sorted(spans)
