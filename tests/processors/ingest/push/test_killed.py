"""An ingest that is killed at every step, beside lost, doubled and late messages: nothing lost, nothing under two ids."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors import clock
from processors.ingest import slow_tiers
from tests.support.killed_ingest import World

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_clock() -> Iterator[None]:
    yield
    clock.use(None)


def world(listed_after: float = 0.0, rooms: int = 2, poll_seconds: float = 60) -> World:
    found = World(NOON, rooms, listed_after, poll_seconds)
    clock.use(lambda: found.now)
    return found


def begun(listed_after: float = 0.0) -> World:
    """A world in which both sensors were pushed and polled, and whose process has then been killed with nothing in hand."""
    found = world(listed_after)
    comes_to_rest(found)
    found.start()
    return found


def comes_to_rest(found: World) -> None:
    """Nothing happens any more but what always does: rooms tell, and polls go on until each gap is closed."""
    found.kill_at, found.fails = None, 0
    for _ in range(3):
        found.passes(1)
        for room in range(2):
            found.reads(room, 30)
        found.listens(100)
        for _ in range(2):
            found.passes(61)
            found.polls()
            found.listens(100)


def an_hour(found: World, draw: random.Random, steps: int = 40) -> None:
    """Whatever may happen, in any order."""
    for number in range(steps):
        found.passes(draw.choice([1, 5, 20, 61, 61, 900]))
        room, value = draw.randrange(2), 20 + number / 10
        match draw.randrange(8):
            case 0 | 1 | 2:
                found.reads(room, value, twice=draw.random() < 0.2, before=draw.choice([0, 0, 1, 2]))
            case 3 | 4:
                found.listens(draw.choice([1, 2, 5]))
            case 5:
                found.polls()
            case 6:
                found.fails += draw.random() < 0.3
            case _:
                in_hand = draw.choice([0, 0, 1, 2])
                found.is_killed_with(in_hand) if in_hand or draw.random() < 0.5 else found.drops_the_queue()


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32), kill_at=st.integers(1, 60), listed_after=st.sampled_from([0.0, 45.0]))
def test_whatever_happens_in_whatever_order_nothing_is_lost_and_nothing_is_under_two_ids(
    seed: int, kill_at: int, listed_after: float
) -> None:
    found = begun(listed_after)
    found.kills_after(kill_at)
    an_hour(found, random.Random(seed))
    comes_to_rest(found)
    assert (found.lost(), found.under_two_ids()) == ([], [])


@pytest.mark.parametrize("listed_after", [0.0, 45.0])
def test_a_kill_at_each_single_step_of_pushing_and_polling_loses_nothing(listed_after: float) -> None:
    for kill_at in range(1, 40):
        found = begun(listed_after)
        found.kills_after(kill_at)
        for number in range(4):
            for room in range(2):
                found.reads(room, 20 + number, before=number % 2, twice=number == 2)
            found.listens(2)
            found.polls()
            found.passes(61 if number % 2 else 900)
        comes_to_rest(found)
        assert (kill_at, found.lost(), found.under_two_ids()) == (kill_at, [], [])


def test_what_a_poll_could_not_send_is_not_skipped_by_the_next_push() -> None:
    found = begun()
    found.reads(0, 20)
    found.listens()
    found.passes(1)
    found.reads(0, 21, pushed=False)
    found.fails = 1
    found.passes(900)
    found.polls()
    found.reads(0, 22)
    found.listens()
    found.passes(900)
    comes_to_rest(found)
    assert found.lost() == []


def test_a_late_message_in_hand_when_the_process_ends_is_polled() -> None:
    found = world()
    found.reads(0, 20)
    found.listens()
    found.passes(61)
    found.polls()
    found.reads(0, 21)
    found.passes(5)
    found.reads(0, 22, before=1)
    found.listens()
    found.is_killed_with(1)
    found.passes(120)
    comes_to_rest(found)
    assert found.lost() == []


@pytest.mark.parametrize(("late", "lost"), [(29, 0), (31, 0), (599, 0), (601, 1)])
def test_a_message_that_is_late_and_in_hand_at_a_kill_is_polled_up_to_ten_minutes(late: float, lost: int) -> None:
    found = begun()
    comes_to_rest(found)
    found.reads(0, 21)
    delayed, found.queue = list(found.queue), []
    found.passes(late)
    found.reads(0, 22)
    found.listens()
    found.queue += delayed
    found.is_killed_with(1)
    found.passes(900)
    comes_to_rest(found)
    assert (len(found.lost()), found.under_two_ids()) == (lost, [])


def test_a_reading_that_webex_lists_later_than_it_pushes_closes_no_gap_before() -> None:
    found = begun(listed_after=45.0)
    found.passes(900)
    found.reads(0, 21)
    found.is_killed_with(1)
    found.passes(1)
    found.reads(0, 22)
    found.listens()
    found.polls()
    found.reads(0, 23)
    found.passes(60)
    found.reads(0, 24)
    found.listens(9)
    found.passes(900)
    comes_to_rest(found)
    assert found.lost() == []


def test_a_fault_of_ours_in_one_answer_takes_nothing_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """The desk keeps what it could not send for the same messages, not for others."""
    found = world()
    desk = found._listener._desk
    assert desk is not None
    found.reads(0, 20)
    first, found.queue = list(found.queue), []
    monkeypatch.setattr(found, "send", _fault)
    with pytest.raises(RuntimeError):
        desk.take(first)
    monkeypatch.undo()
    found.reads(1, 21)
    desk.take(list(found.queue))
    assert [room for room, _ in found.hub] == ["room-1"]


def _fault(*_: object) -> None:
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize(("rooms", "polls"), [(1, 1), (144, 144), (145, 73), (300, 100)])
def test_every_gap_closes_within_a_day_at_the_pace_as_deployed(monkeypatch: pytest.MonkeyPatch, rooms: int, polls: int) -> None:
    """Each room has a reading in hand when the process ends, and tells the next. Polls every ten minutes, 144 in a day."""
    monkeypatch.setattr(slow_tiers, "PUSHED_SAMPLE", 1)
    found = world(rooms=rooms, poll_seconds=600)
    for value, in_hand in ((20, 0), (21, rooms), (22, 0)):
        for room in range(rooms):
            found.reads(room, value)
        found.listens(rooms) if not in_hand else found.is_killed_with(in_hand)
        found.passes(60)
    took = 0
    while found.open_gaps and took < 144:
        found.passes(600)
        found.polls()
        took += 1
    assert (found.open_gaps, found.lost(), found.under_two_ids()) == (0, [], [])
    assert (took, found.asked) == (polls, rooms), "each once, as slowly as a day allows"
