"""Office hours in a city's own time, also on the days when clocks change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.dashboard.office_hours import DAYS, office_hours, office_hours_text
from local.run_settings import LocalCity

PARIS = LocalCity("paris", "Paris", "Europe/Paris", ())
ZONES = st.sampled_from(["Europe/Paris", "America/Toronto", "Asia/Singapore", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])
MOMENTS = st.integers(0, 730 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
WORKING_DAYS = st.sets(st.sampled_from(list(DAYS)), min_size=1).map(tuple)
HOURS = st.sampled_from([("08:00", "18:00"), ("09:30", "17:15"), ("00:00", "24:00"), ("14:00", "24:00")])


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_working_day_in_winter_and_in_summer() -> None:
    assert office_hours(PARIS, at("2026-01-14"), at("2026-01-15")) == [(at("2026-01-14T07:00"), at("2026-01-14T17:00"))]
    assert office_hours(PARIS, at("2026-07-15"), at("2026-07-16")) == [(at("2026-07-15T06:00"), at("2026-07-15T16:00"))]


def test_spans_are_cut_to_the_hour_that_is_shown() -> None:
    singapore = replace(PARIS, time_zone="Asia/Singapore")
    opening = office_hours(singapore, at("2026-11-23T23:30"), at("2026-11-24T00:30"))
    assert opening == [(at("2026-11-24T00:00"), at("2026-11-24T00:30"))]


def test_there_are_none_on_days_off() -> None:
    toronto = replace(PARIS, time_zone="America/Toronto")
    assert office_hours(toronto, at("2026-11-21T05:00"), at("2026-11-23T05:00")) == []
    sundays = replace(toronto, office_days=("sun",), opens="10:00", closes="24:00")
    assert office_hours(sundays, at("2026-11-21T05:00"), at("2026-11-23T06:00")) == [
        (at("2026-11-22T15:00"), at("2026-11-23T05:00"))
    ]


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (("mon", "tue", "wed", "thu", "fri"), "Monday to Friday"),
        (("sun", "mon", "tue"), "Monday, Tuesday and Sunday"),
        (("sat", "sun"), "Saturday and Sunday"),
        (("wed",), "Wednesday"),
        (tuple(DAYS), "Every day"),
    ],
)
def test_the_words_for_them(days: tuple[str, ...], words: str) -> None:
    assert office_hours_text(replace(PARIS, office_days=days)) == f"{words}, 08:00 to 18:00"


@given(ZONES, WORKING_DAYS, HOURS, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=9)), st.floats(0, 1))
def test_a_moment_is_inside_exactly_when_the_local_clock_says_so(
    zone: str, days: tuple[str, ...], hours: tuple[str, str], begin: datetime, length: timedelta, share: float
) -> None:
    end = begin + length
    moment = begin + length * share
    local = moment.astimezone(ZoneInfo(zone))
    opens, closes = hours
    open_then = list(DAYS)[local.weekday()] in days and opens <= f"{local:%H:%M}" < closes and moment < end
    spans = office_hours(LocalCity("any", "Any", zone, (), days, opens, closes), begin, end)
    assert any(start <= moment < stop for start, stop in spans) == open_then
    assert spans == sorted(spans)
