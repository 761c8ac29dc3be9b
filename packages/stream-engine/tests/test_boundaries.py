"""Where a window, a join or a tolerance begins and ends, to the microsecond, against plain readings of the definitions.

Events lie on, just before and just after the boundaries, and every event is a batch of its own, so that ticks end there as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_runner import START, Row, run_query, schema_of

from asa_engine.errors import QueryError
from asa_engine.plan import plan_query
from asa_engine.time_policy import TimePolicy

SECOND = 1_000_000
ALIGNED_AT = -round(START.timestamp()) * SECOND
"""Where windows are aligned, as a time since the start: the epoch, which is a midnight."""
EARLY = 300 * SECOND

Event = tuple[int, str, int]
"""Time in microseconds since the start, key, number."""


def moment(microseconds: int) -> str:
    return (START + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def since_start(text: str) -> int:
    return round((datetime.fromisoformat(text.rstrip("Z")[:26] + "+00:00") - START) / timedelta(microseconds=1))


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Events in order, on multiples of 5 s and of 7 s, a microsecond before or after, of two keys."""
    places = st.tuples(st.integers(1, 12), st.sampled_from([5, 7]), st.sampled_from([-1, 0, 1]))
    times = sorted(place * unit * SECOND + shift for place, unit, shift in draw(st.lists(places, min_size=1, max_size=14)))
    return [(time, draw(st.sampled_from("ab")), number) for number, time in enumerate(times)]


def rows_of(events: Iterable[Event]) -> list[Row]:
    return [{"d": key, "n": number, "ts": moment(time)} for time, key, number in events]


def run_one_by_one(query: str, events: Sequence[Event]) -> list[dict[str, Any]]:
    rows = rows_of(events)
    # far away in every respect: moves time on, and is not a part of what is compared
    rows.append({"d": "z", "n": -1, "ts": moment(7200 * SECOND)})
    batches = list(range(1, len(rows)))
    found = run_query(query, {"inp": rows}, batches=batches, policy=TimePolicy.of_seconds(5, 0))["o"]
    return [row for row in found if row["d"] != "z"]


def first_end(time: int, hop: int, offset: int) -> int:
    return time + (hop - (time - ALIGNED_AT - offset) % hop) % hop


def tumbling(size: int, offset: int = 0) -> Callable[[Event], list[int]]:
    return lambda event: [first_end(event[0], size, offset)]


def hopping(size: int, hop: int, offset: int = 0) -> Callable[[Event], list[int]]:
    return lambda event: list(range(first_end(event[0], hop, offset), event[0] + size, hop))


Results = set[tuple[str, int, tuple[int, ...]]]
"""Key, end of the window, numbers of the events in it."""


def by_window(events: Sequence[Event], ends_of: Callable[[Event], list[int]]) -> Results:
    members: dict[tuple[str, int], list[int]] = {}
    for event in events:
        for end in ends_of(event):
            members.setdefault((event[1], end), []).append(event[2])
    return {(key, end, tuple(numbers)) for (key, end), numbers in members.items()}


def sliding(events: Sequence[Event], size: int) -> Results:
    found: Results = set()
    for key in {event[1] for event in events}:
        own = [event for event in events if event[1] == key]
        for end in {change for event in own for change in (event[0], event[0] + size)}:
            inside = tuple(event[2] for event in own if end - size < event[0] <= end)
            found |= {(key, end, inside)} if inside else set()
    return found


def sessions(events: Sequence[Event], timeout: int, longest: int) -> Results:
    found: Results = set()
    for key in {event[1] for event in events}:
        own = [event for event in events if event[1] == key]
        while own:
            cut = -(-(own[0][0] - ALIGNED_AT + longest) // longest) * longest + ALIGNED_AT
            length = 1
            while length < len(own) and own[length][0] - own[length - 1][0] <= timeout and own[length][0] <= cut:
                length += 1
            inside, own = own[:length], own[length:]
            found.add((key, min(inside[-1][0] + timeout, cut), tuple(event[2] for event in inside)))
    return found


def snapshots(events: Sequence[Event]) -> Results:
    return by_window(events, lambda event: [event[0]])


WINDOWS: dict[str, tuple[str, Callable[[Sequence[Event]], Results]]] = {
    "tumbling": ("TumblingWindow(second, 5)", lambda events: by_window(events, tumbling(5 * SECOND))),
    "tumbling, shifted": (
        "TumblingWindow(Duration(second, 7), Offset(second, 2))",
        lambda events: by_window(events, tumbling(7 * SECOND, 2 * SECOND)),
    ),
    "tumbling, other side": (
        "TumblingWindow(Duration(second, 5), Offset(microsecond, -1))",
        lambda events: by_window(events, tumbling(5 * SECOND, -1)),
    ),
    "tumbling, offset beyond its length": (
        "TumblingWindow(second, 5, 13)",
        lambda events: by_window(events, tumbling(5 * SECOND, 13 * SECOND)),
    ),
    "hopping": ("HoppingWindow(second, 10, 5)", lambda events: by_window(events, hopping(10 * SECOND, 5 * SECOND))),
    "hopping, uneven": ("HoppingWindow(second, 12, 7)", lambda events: by_window(events, hopping(12 * SECOND, 7 * SECOND))),
    "hopping, shifted": (
        "HoppingWindow(Duration(second, 10), Hop(second, 5), Offset(second, -1))",
        lambda events: by_window(events, hopping(10 * SECOND, 5 * SECOND, -SECOND)),
    ),
    "hopping with gaps": ("HoppingWindow(second, 5, 7)", lambda events: by_window(events, hopping(5 * SECOND, 7 * SECOND))),
    "sliding": ("SlidingWindow(second, 5)", lambda events: sliding(events, 5 * SECOND)),
    "session": (
        "SessionWindow(second, 5, 20) OVER (PARTITION BY d)",
        lambda events: sessions(events, 5 * SECOND, 20 * SECOND),
    ),
    "session of equal lengths": (
        "SessionWindow(second, 7, 7) OVER (PARTITION BY d)",
        lambda events: sessions(events, 7 * SECOND, 7 * SECOND),
    ),
    "snapshot": ("System.Timestamp()", snapshots),
}


@pytest.mark.parametrize("name", WINDOWS)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(streams())
def test_a_window_holds_exactly_the_events_after_its_start_and_up_to_its_end(name: str, events: list[Event]) -> None:
    window, definition = WINDOWS[name]
    query = f"""SELECT d, COLLECT(n) AS numbers, System.Timestamp() AS w INTO o FROM inp TIMESTAMP BY ts GROUP BY d, {window}"""
    found = [(row["d"], since_start(row["w"]), tuple(row["numbers"])) for row in run_one_by_one(query, events)]
    assert len(found) == len(set(found)), "every window once"
    assert set(found) == definition(events)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(streams())
def test_windows_side_by_side_give_what_each_gives_alone(events: list[Event]) -> None:
    """Also when a row waits for the longer window after the shorter one has given it out."""
    together = {
        "5": ("TumblingWindow(second, 5)", tumbling(5 * SECOND)),
        "10": ("TumblingWindow(Duration(second, 10), Offset(second, -1))", tumbling(10 * SECOND, -SECOND)),
        "hop": ("HoppingWindow(second, 12, 7)", hopping(12 * SECOND, 7 * SECOND)),
    }
    windows = ", ".join(f"Window('{name}', {window})" for name, (window, _) in together.items())
    query = f"""SELECT d, System.Window().Id AS id, COLLECT(n) AS numbers, System.Timestamp() AS w INTO o
        FROM inp TIMESTAMP BY ts GROUP BY d, Windows({windows})"""
    found = [(row["id"], row["d"], since_start(row["w"]), tuple(row["numbers"])) for row in run_one_by_one(query, events)]
    assert len(found) == len(set(found)), "every window once"
    assert set(found) == {(name, *row) for name, (_, ends) in together.items() for row in by_window(events, ends)}


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("INNER", -5, 7), ("INNER", 0, 5), ("LEFT", -7, 5), ("LEFT", -7, -5), ("LEFT", 5, 7)]
)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(events=streams())
def test_a_join_pairs_rows_whose_distance_lies_within_its_bounds(kind: str, low: int, high: int, events: list[Event]) -> None:
    query = f"""WITH l AS (SELECT d, n FROM inp TIMESTAMP BY ts WHERE d <> 'b'),
        r AS (SELECT d, n FROM inp TIMESTAMP BY ts WHERE d = 'b')
        SELECT l.d, l.n AS ln, r.n AS rn, System.Timestamp() AS t INTO o
        FROM l {kind} JOIN r ON DATEDIFF(second, l, r) BETWEEN {low} AND {high}"""
    found = [(row["ln"], row["rn"], since_start(row["t"])) for row in run_one_by_one(query, events)]
    expected: list[tuple[int, int | None, int]] = []
    for time, key, number in events:
        if key == "b":
            continue
        partners = [e for e in events if e[1] == "b" and low * SECOND <= e[0] - time <= high * SECOND]
        expected += [(number, partner[2], max(time, partner[0])) for partner in partners]
        if kind == "LEFT" and not partners:
            expected.append((number, None, time + max(high, 0) * SECOND))
    assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(
    ("condition", "low", "high"),
    [
        ("DATEDIFF(second, l, r) > 0 AND DATEDIFF(second, l, r) < 5", 1, 5 * SECOND - 1),
        ("DATEDIFF(second, l, r) >= 0 AND DATEDIFF(second, l, r) <= 5", 0, 5 * SECOND),
        ("0 < DATEDIFF(second, l, r) AND 5 > DATEDIFF(second, l, r)", 1, 5 * SECOND - 1),
        ("0 <= DATEDIFF(second, l, r) AND 5 >= DATEDIFF(second, l, r)", 0, 5 * SECOND),
        ("DATEDIFF(second, r, l) > -5 AND DATEDIFF(second, r, l) < 0", 1, 5 * SECOND - 1),
        ("DATEDIFF(second, r, l) >= -5 AND DATEDIFF(second, r, l) <= 0", 0, 5 * SECOND),
        ("DATEDIFF(second, l, r) = 5", 5 * SECOND, 5 * SECOND),
        ("DATEDIFF(second, l, r) BETWEEN 0 AND 0", 0, 0),
        ("DATEDIFF(second, l, r) BETWEEN 0 AND 9 AND DATEDIFF(second, l, r) BETWEEN -2 AND 5", 0, 5 * SECOND),
    ],
)
def test_the_bounds_of_a_join_may_be_written_in_any_way(condition: str, low: int, high: int) -> None:
    distances = [-SECOND, -1, 0, 1, 5 * SECOND - 1, 5 * SECOND, 5 * SECOND + 1, 9 * SECOND]
    events = [(10 * SECOND, "a", 0), *((10 * SECOND + distance, "b", distance) for distance in distances)]
    query = f"""WITH l AS (SELECT d, n FROM inp TIMESTAMP BY ts WHERE d <> 'b'),
        r AS (SELECT d, n FROM inp TIMESTAMP BY ts WHERE d = 'b')
        SELECT l.d, r.n AS n INTO o FROM l JOIN r ON {condition}"""
    found = run_one_by_one(query, sorted(events))
    assert sorted(row["n"] for row in found) == [distance for distance in distances if low <= distance <= high]


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("TumblingWindow(second, 0)", "longer than nothing"),
        ("TumblingWindow(day, 7)", None),
        ("TumblingWindow(second, 604801)", "7 days"),
        ("TumblingWindow(second)", "takes a unit"),
        ("TumblingWindow(second, 5, 1)", None),
        ("TumblingWindow(second, 5, 1, 2)", "too many"),
        ("HoppingWindow(second, 10)", "takes a unit"),
        ("HoppingWindow(second, 10, 5, 1)", None),
        ("HoppingWindow(second, 10, 5, 1, 2)", "too many"),
        ("HoppingWindow(Duration(second, 10))", "needs Hop"),
        ("HoppingWindow(Duration(second, 10), Hop(second, 5), Offset(second, 1), 3)", "Offset"),
        ("SessionWindow(second, 5, 5)", None),
        ("SessionWindow(second, 5, 4)", None),
    ],
)
def test_a_window_is_refused_or_taken_at_the_edge_of_what_is_allowed(query: str, fault: str | None) -> None:
    text = f"SELECT COUNT(*) AS n INTO o FROM inp TIMESTAMP BY ts GROUP BY {query}"
    if fault is None:
        plan_query(text, {"inp": schema_of([{"ts": moment(0)}])}, {}, "query")
        return
    with pytest.raises(QueryError, match=fault):
        plan_query(text, {"inp": schema_of([{"ts": moment(0)}])}, {}, "query")


@pytest.mark.parametrize(("bound", "taken"), [("BETWEEN 0 AND 7", True), ("BETWEEN -8 AND 0", False), ("BETWEEN 0 AND 8", False)])
def test_a_join_reaches_seven_days_at_most(bound: str, taken: bool) -> None:
    text = f"SELECT a.n INTO o FROM inp a TIMESTAMP BY ts JOIN inp b TIMESTAMP BY ts ON DATEDIFF(day, a, b) {bound}"
    schemas = {"inp": schema_of([{"ts": moment(0), "n": 1}])}
    if taken:
        plan_query(text, schemas, {}, "query")
    else:
        with pytest.raises(QueryError, match="7 days"):
            plan_query(text, schemas, {}, "query")


Arrival = tuple[int, int]
"""When an event happened and when it arrived, in microseconds since the start."""


def handled(events: Sequence[Arrival], late: int | None, out_of_order: int, drop: bool) -> list[tuple[int, int]]:
    """Number and time of the events that stay, by the time handling page of the documentation, for one partition."""
    latest: int | None = None
    stays = []
    for number, (time, arrival) in enumerate(events):
        if time > arrival + EARLY:
            continue
        if late is not None and time < arrival - late:
            if drop:
                continue
            time = arrival - late
        if latest is not None and time < latest - out_of_order:
            if drop:
                continue
            time = latest - out_of_order
        latest = time if latest is None else max(latest, time)
        stays.append((number, time))
    return stays


@st.composite
def arrivals(draw: st.DrawFn) -> list[Arrival]:
    """Events around the edges of the tolerances of 5 s (late) and 3 s (out of order), and of 5 minutes (early)."""
    arrival = 1000 * SECOND
    events = []
    distance = st.sampled_from([-5 * SECOND - 1, -5 * SECOND, -3 * SECOND - 1, -3 * SECOND, -1, 0, EARLY, EARLY + 1])
    for step, away in draw(
        st.lists(st.tuples(st.sampled_from([0, 1, SECOND, 3 * SECOND, 3 * SECOND + 1]), distance), max_size=12)
    ):
        arrival += step
        events.append((arrival + away, arrival))
    return [(arrival - 10 * SECOND, 1000 * SECOND), *events]


@pytest.mark.parametrize("late", [5, 0, -1])
@pytest.mark.parametrize("out_of_order", [3, 0])
@pytest.mark.parametrize("action", ["Adjust", "Drop"])
@pytest.mark.parametrize("by_key", [False, True])
@settings(max_examples=8, deadline=None, derandomize=True)
@given(events=arrivals())
def test_late_early_and_out_of_order_events_are_handled_as_documented(
    late: int, out_of_order: int, action: str, by_key: bool, events: list[Arrival]
) -> None:
    rows = [{"n": number, "k": 1, "ts": moment(time), "a": moment(arrival)} for number, (time, arrival) in enumerate(events)]
    query = f"SELECT n, System.Timestamp() AS t INTO o FROM inp TIMESTAMP BY ts {'OVER k' if by_key else ''}"
    policy = TimePolicy.of_seconds(late, out_of_order, action)
    found = run_query(query, {"inp": rows}, policy=policy, arrival="a")["o"]
    expected = handled(events, late * SECOND if late >= 0 else None, out_of_order * SECOND, action == "Drop")
    assert sorted((row["n"], since_start(row["t"])) for row in found) == expected


def test_pairs_of_neighbours_cover_the_whole_stream() -> None:
    """The streams drawn above do hold neighbours a microsecond apart: otherwise the tests above would prove little."""
    close = 0

    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(streams())
    def look(events: list[Event]) -> None:
        nonlocal close
        close += sum(later[0] - earlier[0] == 1 for earlier, later in pairwise(events))

    look()
    assert close > 10
