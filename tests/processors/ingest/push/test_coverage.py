"""What polling leaves out while rooms tell by themselves, and when a silence is more than a quiet estate."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from processors.ingest.push.coverage import QUIET_SECONDS, UNANSWERED_SECONDS, Coverage

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
PAIR = ("room-1", "temperature")


class Watch:
    """A clock that a test turns, and the coverage that reads it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.coverage = Coverage(lambda: self.now)
        self.coverage.begin()

    def after(self, seconds: float) -> str:
        self.now += seconds
        return self.coverage.look()

    def report(self, value: float = 21.0, at: datetime = NOON) -> None:
        self.coverage.heard()
        self.coverage.reported("device-1", {PAIR: (at, value)})

    def in_rhythm(self, seconds: float, times: int = 30) -> None:
        for _ in range(times):
            self.now += seconds
            self.report()


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_only_what_was_told_is_covered_and_only_while_something_is_told(watch: Watch) -> None:
    assert not watch.coverage.covers(PAIR)
    watch.report()
    assert (watch.coverage.covers(PAIR), watch.coverage.covers_device("device-1")) == (True, True)
    assert not watch.coverage.covers(("room-1", "humidity"))
    assert not watch.coverage.covers_device("device-2")
    watch.after(QUIET_SECONDS + 1)
    assert (watch.coverage.covers(PAIR), watch.coverage.covers_device("device-1")) == (False, False)
    watch.coverage.heard()
    assert watch.coverage.covers(PAIR), "it was only quiet: nothing need be told anew"


@pytest.mark.parametrize(
    ("prepare", "seconds", "state"),
    [
        (lambda watch: watch.in_rhythm(1), QUIET_SECONDS, "live"),
        (lambda watch: watch.in_rhythm(1), QUIET_SECONDS + 1, "silent"),
        (lambda watch: watch.in_rhythm(30), QUIET_SECONDS + 1, "quiet"),
        (lambda watch: watch.in_rhythm(30), 599, "quiet"),
        (lambda watch: watch.in_rhythm(30), 601, "silent"),
        (lambda watch: watch.report(), 1799, "quiet"),
        (lambda watch: watch.report(), 1801, "silent"),
        (lambda watch: None, QUIET_SECONDS + 1, "quiet"),
        (lambda watch: None, 1801, "silent"),
    ],
)
def test_a_silence_is_measured_by_how_far_messages_were_apart(
    watch: Watch, prepare: Callable[[Watch], None], seconds: float, state: str
) -> None:
    prepare(watch)
    assert watch.after(seconds) == state


@pytest.mark.parametrize(
    ("later", "value", "state"),
    [
        (timedelta(minutes=5), 25.0, "silent"),
        (timedelta(minutes=5), 21.04, "quiet"),
        (timedelta(minutes=5), 21.06, "silent"),
        (timedelta(seconds=20), 25.0, "quiet"),
        (timedelta(minutes=-5), 25.0, "quiet"),
    ],
)
def test_a_polled_reading_that_should_have_been_pushed_tells_silence_from_quiet(
    watch: Watch, later: timedelta, value: float, state: str
) -> None:
    watch.report(21.0)
    assert watch.after(QUIET_SECONDS + 1) == "quiet"
    watch.coverage.polled(PAIR, (NOON + later, value))
    assert watch.coverage.look() == state


def test_a_queue_that_cant_be_polled_is_silent_after_half_a_minute(watch: Watch) -> None:
    watch.report()
    watch.coverage.failed("no answer")
    assert watch.after(UNANSWERED_SECONDS) == "live"
    assert watch.after(1) == "silent"
    assert watch.coverage.cause == "no answer"
    watch.coverage.answered()
    assert watch.coverage.look() == "silent", "an empty answer shows nothing yet"
    watch.report()
    assert watch.coverage.look() == "live"


def test_one_failure_between_answers_is_none(watch: Watch) -> None:
    for _ in range(10):
        watch.report()
        watch.coverage.failed("reset")
        watch.now += 20
        watch.coverage.answered()
    assert watch.coverage.look() == "live"


def test_after_a_silence_nothing_is_covered_that_was_not_told_since(watch: Watch) -> None:
    watch.in_rhythm(1)
    watch.after(QUIET_SECONDS + 1)
    watch.coverage.heard()
    assert (watch.coverage.look(), watch.coverage.covers(PAIR)) == ("live", False)
    watch.report()
    assert watch.coverage.covers(PAIR)


def test_silence_and_its_end_are_said_once(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "roompulse.ingest.push")
    watch.in_rhythm(1)
    for _ in range(5):
        watch.after(QUIET_SECONDS + 1)
    watch.report()
    watch.report()
    assert [record.getMessage() for record in caplog.records] == [
        "Webex pushes nothing that rooms measure any more: they are polled until it does",
        "Webex pushes what rooms measure again",
    ]


def test_the_whole_silence_of_a_busy_estate_is_noticed_within_two_minutes(watch: Watch) -> None:
    """Forty-five seconds, and a poll a minute that says it."""
    watch.in_rhythm(2)
    assert [watch.after(15) for _ in range(4)][-1] == "silent"


def test_when_nobody_listens_nothing_is_covered(watch: Watch) -> None:
    watch.report()
    watch.coverage.end("deactivated")
    assert (watch.coverage.look(), watch.coverage.covers(PAIR), watch.coverage.cause) == ("off", False, "deactivated")
    watch.report()
    assert watch.coverage.look() == "off"


def test_a_sensor_is_continuous_once_polling_has_come_as_far_as_the_first_push(watch: Watch) -> None:
    watch.coverage.polled(PAIR, (NOON, 21.0))
    assert not watch.coverage.is_continuous(PAIR)
    watch.report()
    assert not watch.coverage.is_continuous(PAIR)
    watch.coverage.polled(PAIR, None)
    watch.coverage.polled(PAIR, (NOON - timedelta(seconds=1), 20.0), NOON - timedelta(minutes=1))
    assert not watch.coverage.is_continuous(PAIR), "Webex lists readings some time after it has pushed them"
    watch.coverage.polled(PAIR, (NOON, 21.0))
    assert watch.coverage.is_continuous(PAIR)
    watch.coverage.begin()
    assert not watch.coverage.is_continuous(PAIR), "nobody knows what was missed"
    watch.report()
    watch.coverage.polled(PAIR, None, NOON)
    assert watch.coverage.is_continuous(PAIR), "it was known as far as that before"
