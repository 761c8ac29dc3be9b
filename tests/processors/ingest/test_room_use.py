"""Bookings against use: a ghost meeting is said while it lasts, a no-show when it is over, and what nobody can tell is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.contracts.signals import METRICS
from processors.ingest.room_status import MOST_EXPRESSIONS, expressions, read_room_status
from processors.ingest.room_use import RoomUses
from processors.timestamps import format_time
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.pushed import Heard, signals, status
from tests.support.scripted_webex import ScriptedWebex, device, error, workspace

BEGIN = datetime(2026, 11, 24, 10, tzinfo=UTC)

Word = tuple[float, bool | None, bool | None]
"""At which minute, whether somebody is there, whether the room is booked."""


def said(*words: Word) -> list[dict[str, float]]:
    """What follows from words on a room, one after the other."""
    uses = RoomUses()
    return [uses.note("room", BEGIN + timedelta(minutes=minute), used, booked, "device") for minute, used, booked in words]


FREE: dict[str, float] = {"booked": 0, "unattendedMinutes": 0}
BOOKED: dict[str, float] = {"booked": 1}

CASES: dict[str, tuple[list[Word], list[dict[str, float]]]] = {
    "nobody comes, and that is a no-show": (
        [(0, False, False), (5, False, True), (16, False, True), (30, False, False)],
        [FREE, BOOKED | {"unattendedMinutes": 0}, BOOKED | {"unattendedMinutes": 11}, FREE | {"noShow": 1}],
    ),
    "somebody comes late": (
        [(0, False, False), (5, False, True), (20, True, True), (25, False, True), (30, False, False)],
        [FREE, BOOKED | {"unattendedMinutes": 0}, *[BOOKED | {"unattendedMinutes": 0}] * 2, FREE | {"noShow": 0}],
    ),
    "they were there before it began": (
        [(0, True, False), (5, True, True), (30, True, False)],
        [FREE, BOOKED | {"unattendedMinutes": 0}, FREE | {"noShow": 0}],
    ),
    "the beginning was not seen": ([(0, False, True), (30, False, False)], [BOOKED | {"unattendedMinutes": 0}, FREE]),
    "it was given back at once": (
        [(0, False, False), (5, False, True), (14, False, False)],
        [FREE, BOOKED | {"unattendedMinutes": 0}, FREE],
    ),
    "whether anybody came is not known": (
        [(0, False, False), (5, None, True), (30, False, True), (40, False, False)],
        [FREE, BOOKED, BOOKED, FREE],
    ),
    "it was not known at first, and then somebody came": (
        [(0, None, False), (5, None, True), (30, True, True), (40, None, False)],
        [FREE, BOOKED, BOOKED | {"unattendedMinutes": 0}, FREE | {"noShow": 0}],
    ),
    "bookings are not asked for": ([(0, True, None), (5, False, None)], [{}, {}]),
    "an old word comes late": (
        [(0, False, False), (5, False, True), (4, True, False), (16, False, True)],
        [FREE, BOOKED | {"unattendedMinutes": 0}, {}, BOOKED | {"unattendedMinutes": 11}],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_follows_from_one_word_to_the_next(case: str) -> None:
    words, expected = CASES[case]
    assert said(*words) == expected


@given(st.lists(st.tuples(st.sampled_from([None, False, True]), st.sampled_from([None, False, True])), max_size=12))
def test_nobody_is_said_to_be_missing_where_somebody_came_or_nobody_knows(words: list[tuple[bool | None, bool | None]]) -> None:
    attended = known = False
    for number, ((used, booked), found) in enumerate(
        zip(words, said(*((float(20 * n), *word) for n, word in enumerate(words))), strict=True)
    ):
        begins = booked and not (number and words[number - 1][1])
        attended, known = (used is True, used is not None) if begins else (attended or used is True, known and used is not None)
        assert (found.get("unattendedMinutes", 0) > 0) <= (booked is True and known and not attended)
        assert ("booked" in found) == (booked is not None)


def test_a_count_of_people_counts_as_use_and_leaves_the_booking_as_it_is() -> None:
    uses = RoomUses()
    uses.note("room", BEGIN, False, False, "device")
    uses.note("room", BEGIN + timedelta(minutes=1), False, True, "device")
    assert uses.note("room", BEGIN + timedelta(minutes=9), True) == {}
    over = uses.note("room", BEGIN + timedelta(minutes=30), False, False, "device")
    assert over["noShow"] == 0


@pytest.mark.parametrize("bookings", [True, False])
def test_a_device_is_asked_for_bookings_only_where_that_is_on_and_within_what_one_question_may_ask(bookings: bool) -> None:
    asked = expressions(bookings)
    assert len(asked) <= MOST_EXPRESSIONS
    assert any(one.startswith("Bookings.") for one in asked) == bookings


@pytest.mark.parametrize(
    ("status", "booked"),
    [("BookedUntil", True), ("Booked", True), ("Free", False), ("FreeUntil", False), ("Unavailable", None), (7, None)],
)
def test_the_availability_of_a_room_is_read_with_tolerance(status: Any, booked: bool | None) -> None:
    read = read_room_status({"Bookings": {"Availability": {"Status": status}}})
    assert read.booked is booked
    assert ("Bookings.Availability.Status" in read.odd) == (booked is None)


def room(used: bool, booked: bool) -> dict[str, Any]:
    """What a device says of its room."""
    analytics = {"RoomInUse": str(used)}
    return {"RoomAnalytics": analytics, "Bookings": {"Availability": {"Status": "BookedUntil" if booked else "FreeUntil"}}}


def of_room(data: list[dict[str, Any]]) -> list[dict[str, float]]:
    return [signals(one) for one in data if one["entity"] == "workspace"]


def of_city(data: list[dict[str, Any]]) -> tuple[float, float]:
    (lyon,) = (signals(one) for one in data if one["entityId"] == "lyon")
    return lyon["roomsReporting"], lyon["roomsInUse"]


class TestAPoll:
    def test_a_ghost_meeting_is_said_again_by_every_poll_until_somebody_comes(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: Any
    ) -> None:
        estate.listings["/devices"] = [device(1, tags=["board"], permissions=["xapi:readonly"])]
        poller = make_poller(poll_seconds=60, xapi_seconds=240, priority_tags=("board",), bookings=True)
        found: list[tuple[list[dict[str, float]], tuple[float, float]]] = []
        for used, booked in [(False, False), *[(False, True)] * 12, *[(True, True)] * 5]:
            estate.statuses["device-1"] = room(used, booked)
            poller.poll()
            data = kept.taken()
            found.append((of_room(data), of_city(data)))
            standing_clock.advance(60)
        unattended = [one.get("unattendedMinutes") for rooms, _ in found for one in rooms]
        assert unattended == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0], (
            "asked at minutes 0, 4, 8, 12, 16; 0 once somebody came"
        )
        assert [counts for _, counts in found][1] == (1, 0), "what was said by the poll before"
        assert [counts for _, counts in found][-1] == (1, 1)

    def test_where_it_is_off_nothing_of_bookings_is_asked_or_sent(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.listings["/devices"] = [device(1, tags=["board"], permissions=["xapi:readonly"])]
        estate.statuses["device-1"] = room(used=True, booked=False) | {"Bookings": {}}
        make_poller(xapi_seconds=10, priority_tags=("board",)).poll()
        assert of_room(kept.taken()) == [{"inUse": 1}]
        assert "Bookings" not in str([request.params for request in estate.asked("/xapi/status")])

    def test_rooms_that_said_so_long_ago_are_not_counted_as_empty_or_in_use(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: Any
    ) -> None:
        estate.listings["/devices"] = [device(1, tags=["board"], permissions=["xapi:readonly"])]
        estate.statuses["device-1"] = room(used=True, booked=False)
        poller = make_poller(poll_seconds=60, xapi_seconds=3600, priority_tags=("board",))
        counts = []
        for _ in range(18):
            poller.poll()
            counts.append(of_city(kept.taken()))
            standing_clock.advance(60)
        assert counts == [(0, 0), *[(1, 1)] * 15, (0, 0), (0, 0)]


class TestPush:
    def test_what_is_pushed_makes_the_same_signals_and_a_quiet_room_is_said_again_by_the_poll(
        self, make_poller: MakePoller, kept: KeptEvents, standing_clock: Any
    ) -> None:
        standing_clock.advance(3600)
        use, booked = "RoomAnalytics.RoomInUse", "Bookings.Availability.Status"
        heard = Heard(make_poller(poll_seconds=60, push=["lyon"], bookings=True), kept)
        assert of_room(heard.hear(status(1, 0, {use: "False", booked: "Free"}))) == [FREE | {"inUse": 0}]
        assert of_room(heard.hear(status(1, 5, {booked: "BookedUntil"}))) == [{"inUse": 0, "booked": 1, "unattendedMinutes": 0}]
        standing_clock.advance(660)
        assert of_room(heard.poll()) == [{"booked": 1, "unattendedMinutes": 10.92}]
        assert of_room(heard.hear(status(1, 700, {booked: "Free"}))) == [FREE | {"inUse": 0, "noShow": 1}]

    def test_where_it_is_off_a_pushed_booking_is_nothing(
        self, make_poller: MakePoller, kept: KeptEvents, standing_clock: Any
    ) -> None:
        standing_clock.advance(3600)
        heard = Heard(make_poller(push=["lyon"]), kept)
        assert heard.hear(status(1, 0, {"Bookings.Availability.Status": "BookedUntil"})) == []


class TestDurations:
    @pytest.fixture
    def bookable(self, estate: ScriptedWebex) -> ScriptedWebex:
        calendar = {"type": "microsoft", "emailAddress": "room@example.com"}
        estate.listings["/workspaces"] = [workspace(1, calendar=calendar), workspace(2, calendar={"type": "none"})]
        return estate

    def test_each_full_hour_is_read_once_of_rooms_that_can_be_booked(
        self, make_poller: MakePoller, bookable: ScriptedWebex, kept: KeptEvents, standing_clock: Any
    ) -> None:
        begin = standing_clock.now
        hour = begin.replace(minute=0, second=0, microsecond=0)
        times = [hour + timedelta(hours=n) for n in range(-3, 4)]
        for measurement, minutes in (("timeBooked", 60), ("timeUsed", 20)):
            bookable.durations["workspace-1", measurement] = [
                {"start": format_time(a), "end": format_time(b), "duration": minutes} for a, b in pairwise(times)
            ]
        poller = make_poller(poll_seconds=60, metric_requests=10, metrics=("timeBooked", "timeUsed"))
        found = []
        for _ in range(12):
            poller.poll()
            events = [event for event in kept.events["observations"] if event["data"]["entity"] == "workspace"]
            found += [(event["time"], signals(event["data"])) for event in events]
            kept.taken()
            standing_clock.advance(600)
        assert len(found) == len({str(one) for one in found}), "nothing twice"
        assert {name: minutes for _, values in found for name, minutes in values.items()} == {"timeBooked": 60, "timeUsed": 20}
        asked = bookable.asked("/workspaceDurationMetrics")
        assert len(found) == len(asked) and 4 <= len(asked) <= 6, "once an hour and measurement, not with every poll"
        assert {request.params["workspaceId"] for request in asked} == {"workspace-1"}
        assert {request.params["aggregation"] for request in asked} == {"hourly"}

    @pytest.mark.parametrize("duration", [61, -1, None, "60", True, 1e400])
    def test_what_no_hour_has_is_put_aside_and_the_others_hold(
        self, make_poller: MakePoller, bookable: ScriptedWebex, kept: KeptEvents, standing_clock: Any, duration: Any
    ) -> None:
        end = standing_clock.now.replace(minute=0, second=0, microsecond=0)
        end -= timedelta(hours=standing_clock.now.minute < 15)
        bad = {"start": format_time(end - timedelta(hours=1)), "end": format_time(end), "duration": duration}
        bookable.durations["workspace-1", "timeUsed"] = [bad, bad | {"duration": 7}]
        report = make_poller(metric_requests=10, metrics=("timeUsed",)).poll()
        assert [signals(one) for one in kept.taken("workspace")] == [{"timeUsed": 7}]
        assert report.quarantined == 1

    def test_it_is_off_unless_a_stack_names_it(self) -> None:
        assert METRICS["timeBooked"] == METRICS["timeUsed"] == "calendar"

    @pytest.mark.parametrize("metrics", [("temperature", "timeUsed"), ("timeUsed", "temperature")])
    def test_a_pause_of_one_endpoint_keeps_the_other_from_nothing(
        self, make_poller: MakePoller, estate: ScriptedWebex, standing_clock: Any, metrics: tuple[str, str]
    ) -> None:
        paths = {"temperature": "/workspaceMetrics", "timeUsed": "/workspaceDurationMetrics"}
        paused, other = (paths[name] for name in metrics)
        estate.listings["/workspaces"] = [workspace(n, "temperature", calendar={"type": "google"}) for n in range(1, 9)]
        estate.always = {paused: error(429, Retry_After="60")}
        poller = make_poller(metric_requests=8, metrics=metrics)
        asked = []
        for _ in range(2):
            poller.poll()
            asked.append({request.params["workspaceId"] for request in estate.asked(other)})
            standing_clock.advance(120)
        assert len(asked[1]) == 8, "every room by the second poll"
