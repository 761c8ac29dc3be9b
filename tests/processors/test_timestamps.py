"""Times as text: one form, which sorts as time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import clock
from processors.timestamps import format_time, parse_time, slot_of

moments = st.integers(946_684_800_000_000, 4_102_444_800_000_000).map(
    lambda microseconds: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
)


@given(moments)
def test_what_is_written_can_be_read(moment: datetime) -> None:
    read = parse_time(format_time(moment))
    assert read is not None and abs(read - moment) < timedelta(milliseconds=1)


@given(moments, moments)
def test_text_sorts_as_time(one: datetime, other: datetime) -> None:
    assert (format_time(one) < format_time(other)) <= (one < other)


def test_other_offsets_become_utc() -> None:
    assert format_time(datetime(2026, 11, 24, 12, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-24T10:00:00.000Z"
    assert parse_time("2026-11-24T12:00:00+02:00") == datetime(2026, 11, 24, 10, tzinfo=UTC)


def test_the_seven_digits_of_stream_analytics_are_read() -> None:
    assert parse_time("2026-11-24T10:00:00.1230000Z") == datetime(2026, 11, 24, 10, 0, 0, 123000, UTC)


@pytest.mark.parametrize("text", [None, 5, "", "yesterday", "2026-11-24", "2026-11-24T10:00:00", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_complete_time_is_none(text: int | str | None) -> None:
    assert parse_time(text) is None


@given(st.text() | st.integers() | st.none())
def test_no_text_raises(text: str | int | None) -> None:
    parse_time(text)


@given(moments, st.sampled_from([0.5, 5, 10, 60]))
def test_a_slot_holds_its_moment(moment: datetime, seconds: float) -> None:
    assert slot_of(moment, seconds) <= moment < slot_of(moment, seconds) + timedelta(seconds=seconds)


def test_the_clock_can_be_given_and_taken_back() -> None:
    clock.use(lambda: datetime(2030, 1, 1, tzinfo=UTC))
    assert clock.utc_now().year == 2030
    clock.use(None)
    assert abs(clock.utc_now() - datetime.now(UTC)) < timedelta(seconds=5)
