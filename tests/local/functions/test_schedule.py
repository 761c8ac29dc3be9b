"""NCRONTAB: seconds first, faults explained, poll periods turned into schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.functions.schedule import Schedule, ScheduleError, every

PERIODS = [1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600]


def test_the_first_field_is_seconds() -> None:
    moment = datetime(2026, 10, 3, 12, 0, 1, tzinfo=UTC)
    assert Schedule("*/10 * * * * *").after(moment) == datetime(2026, 10, 3, 12, 0, 10, tzinfo=UTC)
    assert Schedule("0 30 9 * * 1-5").after(moment) == datetime(2026, 10, 5, 9, 30, tzinfo=UTC)


def test_a_time_of_the_schedule_is_after_the_one_before() -> None:
    moment = datetime(2026, 10, 3, 12, 0, 10, tzinfo=UTC)
    assert Schedule("*/10 * * * * *").after(moment) == moment + timedelta(seconds=10)


def test_what_it_was_asked_before_changes_nothing() -> None:
    schedule, moment = Schedule("0 30 9 * * 1-5"), datetime(2026, 10, 3, 12, tzinfo=UTC)
    asked = [schedule.after(moment + timedelta(days=days)) for days in (9, 0, 2, 0)]
    assert asked == [datetime(2026, 10, day, 9, 30, tzinfo=UTC) for day in (13, 5, 6, 5)]


@settings(deadline=None)
@given(st.sampled_from(PERIODS), st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))  # noqa: DTZ001
def test_every_period_comes_round_at_its_multiples(seconds: int, moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    following = Schedule(every(seconds)).after(moment)
    assert following.timestamp() % seconds == 0
    assert timedelta(0) < following - moment <= timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [0, -10, 0.5, 7, 45, 90, 420, 7200, 2.5])
def test_a_period_that_can_not_be_scheduled_says_which_can(seconds: float) -> None:
    with pytest.raises(ScheduleError, match=r"choose seconds that divide a minute .* or minutes that divide an hour"):
        every(seconds)


@pytest.mark.parametrize("expression", ["* * * * *", "", "every minute", "*/10 * * * * * *"])
def test_a_schedule_without_six_fields_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleError, match="must have six fields, seconds first"):
        Schedule(expression)


def test_a_malformed_field_is_named() -> None:
    with pytest.raises(ScheduleError, match=r'"99 \* \* \* \* \*" is malformed'):
        Schedule("99 * * * * *")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("*/10 * * * * *", "every 10 s"), ("*/1 * * * * *", "every second"), ("* * * * * *", "every second"),
        ("0 * * * * *", "every minute"), ("0 */5 * * * *", "every 5 min"), ("0 0 * * * *", "every hour"),
        ("0 0 */6 * * *", "every 6 h"), ("0 30 9 * * 1-5", "at 0 30 9 * * 1-5"), ("30 */5 * * * *", "at 30 */5 * * * *"),
    ],
)  # fmt: skip
def test_a_schedule_is_said_in_words_where_it_has_a_plain_form(expression: str, words: str) -> None:
    assert Schedule(expression).words == words
