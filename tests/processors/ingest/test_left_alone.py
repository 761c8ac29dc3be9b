"""Who is left alone after a failure: a room by itself, a city only when several of its rooms fail, and nobody for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.left_alone import BARRED_FOR, LONGEST_BACK_OFF, LONGEST_BREAK, Breaker, LeftAlone

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLL = timedelta(seconds=10)


class TestOneRoom:
    def test_it_waits_twice_as_long_after_every_failure_up_to_an_hour(self) -> None:
        rooms: LeftAlone[str] = LeftAlone(MINUTE)
        waits, now = [], NOW
        for _ in range(9):
            rooms.failed("a", now)
            began = now
            while rooms.includes("a", now):
                now += MINUTE
            waits.append((now - began) // MINUTE)
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    def test_its_neighbours_do_not_wait(self) -> None:
        rooms: LeftAlone[str] = LeftAlone(MINUTE)
        rooms.failed("a", NOW)
        assert rooms.includes("a", NOW) and not rooms.includes("b", NOW)

    def test_an_answer_makes_all_of_it_forgotten(self) -> None:
        rooms: LeftAlone[str] = LeftAlone(MINUTE)
        for _ in range(5):
            rooms.failed("a", NOW)
            rooms.refused("a", NOW)
        rooms.answered("a")
        assert not rooms.includes("a", NOW)
        rooms.failed("a", NOW)
        assert not rooms.includes("a", NOW + MINUTE)

    def test_a_refusal_counts_the_second_time_in_a_row(self) -> None:
        rooms: LeftAlone[str] = LeftAlone(MINUTE)
        rooms.refused("a", NOW)
        assert not rooms.includes("a", NOW)
        rooms.refused("a", NOW)
        assert (rooms.includes("a", NOW), rooms.barred(NOW)) == (True, 1)
        assert (rooms.includes("a", NOW + BARRED_FOR), rooms.barred(NOW + BARRED_FOR)) == (False, 0)

    @given(st.integers(1, 10_000))
    def test_nothing_is_left_alone_for_longer_than_an_hour(self, failures: int) -> None:
        rooms: LeftAlone[str] = LeftAlone(timedelta(minutes=5))
        for _ in range(min(failures, 60)):
            rooms.failed("a", NOW)
        assert not rooms.includes("a", NOW + LONGEST_BACK_OFF)


class TestGoing:
    @given(
        st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["failed", "refused"])), max_size=12),
        st.sets(st.sampled_from("abcd")),
    )
    def test_what_is_gone_is_as_if_it_had_never_been_there(self, course: list[tuple[str, str]], there: set[str]) -> None:
        rooms, others = LeftAlone[str](MINUTE), LeftAlone[str](MINUTE)
        for room, what in course:
            for memory in (rooms, others) if room in there else (rooms,):
                getattr(memory, what)(room, NOW)
        rooms.forget_gone(there.__contains__)
        assert vars(rooms) == vars(others)


class TestAClockThatIsSetBack:
    @pytest.mark.parametrize("back", [timedelta(seconds=1), MINUTE, timedelta(hours=3), timedelta(days=300)])
    def test_what_was_left_alone_before_is_asked_again(self, back: timedelta) -> None:
        rooms: LeftAlone[str] = LeftAlone(MINUTE)
        rooms.failed("failed", NOW)
        for _ in range(2):
            rooms.refused("refused", NOW)
        assert rooms.includes("failed", NOW) and rooms.includes("refused", NOW)
        assert not rooms.includes("failed", NOW - back) and not rooms.includes("refused", NOW - back)
        assert rooms.barred(NOW - back) == 0

    @pytest.mark.parametrize("back", [timedelta(seconds=31), timedelta(hours=3)])
    def test_a_city_is_too_and_an_answer_from_before_does_not_speak_for_it(self, back: timedelta) -> None:
        city = Breaker(2, 2 * MINUTE, MINUTE)
        for turn, room in enumerate("ab"):
            city.failed(room, NOW + turn * POLL)
        assert city.open_until(NOW + POLL)
        assert not city.open_until(NOW + POLL - back)
        city.answered(NOW)
        for turn, room in enumerate("ab"):
            city.failed(room, NOW - back + turn * POLL)
        assert city.open_until(NOW - back + POLL)


class TestACity:
    @pytest.fixture
    def city(self) -> Breaker:
        return Breaker(3, 2 * MINUTE, POLL)

    def test_it_is_left_alone_when_several_different_rooms_failed_over_more_than_a_poll(self, city: Breaker) -> None:
        for room in ("a", "b", "c"):
            city.failed(room, NOW)
        assert city.open_until(NOW) is None
        city.failed("a", NOW + POLL)
        assert city.open_until(NOW + POLL) == NOW + 2 * POLL

    @pytest.mark.parametrize("times", [3, 10, 100])
    def test_one_broken_room_leaves_it_alone_however_often_it_fails(self, city: Breaker, times: int) -> None:
        for turn in range(times):
            city.failed("a", NOW + turn * POLL)
            city.failed("b", NOW + turn * POLL)
        assert city.open_until(NOW + times * POLL) is None

    def test_an_answer_of_any_room_a_while_ago_keeps_it_open_to_questions(self, city: Breaker) -> None:
        city.answered(NOW)
        for turn, room in enumerate(("a", "b", "c", "d")):
            city.failed(room, NOW + turn * POLL)
        assert city.open_until(NOW + 3 * POLL) is None
        city.failed("a", NOW + 2 * MINUTE)
        assert city.open_until(NOW + 2 * MINUTE) is not None

    def test_each_time_it_is_left_alone_for_longer_up_to_five_minutes_and_an_answer_ends_it(self, city: Breaker) -> None:
        now, waits = NOW, []
        for room in ("a", "b"):
            city.failed(room, now)
        for _ in range(9):
            now += POLL
            city.failed("c", now)
            until = city.open_until(now)
            assert until is not None
            waits.append((until - now).total_seconds())
            now = until
        assert waits == [10, 20, 40, 80, 160, 300, 300, 300, 300]
        assert LONGEST_BREAK.total_seconds() == 300
        city.answered(now)
        assert city.open_until(now) is None
