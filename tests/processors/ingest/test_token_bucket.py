"""The token bucket: never faster than its rate, whatever the order of turns, pauses and slow-downs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.token_bucket import SLOWEST_SHARE, TokenBucket


class Clock:
    """Seconds as a test sets them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def bucket(per_second: float, burst: float) -> tuple[TokenBucket, Clock]:
    clock = Clock()
    return TokenBucket(per_second, burst, clock), clock


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    tokens, _ = bucket(2, 3)
    assert [tokens.reserve(10) for _ in range(5)] == pytest.approx([0, 0, 0, 0.5, 1.0])


def test_a_turn_that_would_come_too_late_is_not_taken() -> None:
    tokens, clock = bucket(1, 1)
    assert tokens.reserve(0) == 0
    assert tokens.reserve(0.9) is None
    clock.now += 1
    assert tokens.reserve(0) == 0


def test_it_is_halved_and_comes_back_by_a_tenth_a_minute() -> None:
    tokens, clock = bucket(4, 8)
    tokens.slow_down(15)
    assert tokens.rate == 2
    clock.now += 60
    assert tokens.rate == pytest.approx(2.4)
    clock.now += 3600
    assert tokens.rate == 4


def test_a_storm_does_not_stop_it_altogether() -> None:
    tokens, _ = bucket(4, 8)
    for _ in range(50):
        tokens.slow_down(1)
    assert tokens.rate == pytest.approx(4 * SLOWEST_SHARE)


def test_nobody_goes_during_a_pause_nor_all_at_once_after_it() -> None:
    tokens, clock = bucket(4, 8)
    tokens.slow_down(10)
    assert tokens.reserve(9) is None
    clock.now += 10
    waits = [tokens.reserve(60) for _ in range(4)]
    assert waits == pytest.approx([0, 1 / tokens.rate, 2 / tokens.rate, 3 / tokens.rate])


steps = st.one_of(
    st.tuples(st.just("turn"), st.floats(0, 5)),
    st.tuples(st.just("wait"), st.floats(0, 20)),
    st.tuples(st.just("slow"), st.floats(1, 60)),
)


@given(st.floats(0.5, 20), st.integers(1, 10), st.lists(steps, max_size=80))
def test_no_span_of_time_holds_more_turns_than_burst_and_rate_allow(
    rate: float, burst: int, course: list[tuple[str, float]]
) -> None:
    tokens, clock = bucket(rate, burst)
    turns = []
    for what, amount in course:
        if what == "wait":
            clock.now += amount
        elif what == "slow":
            tokens.slow_down(amount)
        elif (wait := tokens.reserve(amount)) is not None:
            assert 0 <= wait <= amount
            turns.append(clock.now + wait)
    turns.sort()
    for first in range(len(turns)):
        for last in range(first, len(turns)):
            assert last - first + 1 <= burst + rate * (turns[last] - turns[first]) + 1e-6


@given(st.floats(0.5, 20), st.integers(1, 10), st.floats(0, 30))
def test_what_it_promises_it_keeps(rate: float, burst: int, seconds: float) -> None:
    tokens, _ = bucket(rate, burst)
    promised = tokens.within(seconds)
    assert all(tokens.reserve(seconds + 1e-6) is not None for _ in range(promised))
