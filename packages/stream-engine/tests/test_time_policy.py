"""Late, early and out-of-order events; watermarks over partitions, quiet ones included."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from query_runner import Row, at, microseconds, run_query, schema_of

from asa_engine.engine import StreamEngine
from asa_engine.time_policy import TimePolicy

QUERY = "SELECT n, System.Timestamp() AS t INTO o FROM inp TIMESTAMP BY ts"


def engine(late: float = 5, out_of_order: float = 0) -> StreamEngine:
    return StreamEngine(QUERY, {"inp": schema_of([{"n": 1, "ts": at(0)}])}, policy=TimePolicy.of_seconds(late, out_of_order))


def feed(running: StreamEngine, number: int, second: float, arrived: float, partition: int = 0) -> None:
    body = json.dumps({"n": number, "ts": at(second)})
    assert running.feed("inp", [body], np.array([microseconds(at(arrived))]), np.array([partition])) == []


def stamp(second: float) -> str:
    """A time as the engine writes it, with seven digits."""
    return at(second).replace(".000", ".0000000")


def released(running: StreamEngine) -> list[int]:
    return [row["n"] for output in running.advance() for row in output.rows()]


def test_an_event_waits_until_nothing_earlier_can_come() -> None:
    running = engine(out_of_order=3)
    feed(running, 1, 10, 10)
    assert released(running) == []
    feed(running, 2, 13, 13)
    assert released(running) == [], "an event at the watermark itself may still come"
    feed(running, 3, 13.001, 13.001)
    assert released(running) == [1]


def test_the_slowest_partition_holds_time_back_until_it_is_known_to_be_quiet() -> None:
    running = engine(late=5)
    running.declare_partitions("inp", [0, 1])
    for number, second in ((1, 10), (2, 18), (3, 20)):
        feed(running, number, second, second, partition=0)
    assert released(running) == [], "nothing is known of partition 1"
    running.heartbeat("inp", 1, microseconds(at(16)))
    assert released(running) == [1], "partition 1 brings nothing before 16 - 5"
    running.heartbeat("inp", 1, microseconds(at(40)))
    running.heartbeat("inp", 0, microseconds(at(40)))
    assert released(running) == [2, 3]


def test_the_slower_of_two_inputs_holds_time_back() -> None:
    query = "SELECT n INTO o FROM fast TIMESTAMP BY ts UNION SELECT n FROM slow TIMESTAMP BY ts"
    schema = schema_of([{"n": 1, "ts": at(0)}])
    running = StreamEngine(query, {"fast": schema, "slow": schema}, policy=TimePolicy.of_seconds(5, 0))
    for name, seconds in (("fast", (10, 18, 20)), ("slow", (5, 12))):
        assert running.feed(name, [json.dumps({"n": second, "ts": at(second)}) for second in seconds]) == []
    assert released(running) == [5, 10], "input slow has come to 12"


def test_an_input_that_has_ended_holds_time_back_no_longer() -> None:
    """A join finds the same then: the ended input's rows wait for their partners."""
    query = """WITH q AS (SELECT n FROM quick TIMESTAMP BY ts), s AS (SELECT n FROM slow TIMESTAMP BY ts)
        SELECT q.n AS n, s.n AS m INTO o FROM q LEFT JOIN s ON DATEDIFF(second, q, s) BETWEEN -10 AND 0"""
    schema = schema_of([{"n": 1, "ts": at(0)}])
    running = StreamEngine(query, {"quick": schema, "slow": schema}, policy=TimePolicy.of_seconds(5, 0))
    bodies = {second: json.dumps({"n": second, "ts": at(second)}) for second in (5, 10, 12, 40, 50)}
    running.feed("slow", [bodies[5], bodies[12]])
    running.feed("quick", [bodies[second] for second in (10, 12, 40, 50)])
    assert released(running) == [10], "input slow has come to 12"
    running.end("slow")
    assert [(row["n"], row.get("m")) for output in running.advance() for row in output.rows()] == [(12, 5), (12, 12), (40, None)]
    running.end("quick")
    assert released(running) == [50]


def test_an_event_behind_released_time_is_moved_up_and_never_lost() -> None:
    running = engine(late=5)
    feed(running, 1, 10, 10)
    running.heartbeat("inp", 0, microseconds(at(100)))
    assert released(running) == [1]
    feed(running, 2, 11, 12)
    running.heartbeat("inp", 0, microseconds(at(200)))
    (output,) = running.advance()
    assert output.rows() == [{"n": 2, "t": stamp(95)}]  # the first moment that isn't released yet


def test_what_is_dropped_is_counted() -> None:
    running = engine(late=5)
    for number, second in enumerate((10, 10 + 300, 10 + 300.001, 10 + 400)):
        feed(running, number, second, 10)
    assert running.dropped("inp") == 2, "more than five minutes early"
    running.heartbeat("inp", 0, microseconds(at(1000)))
    assert released(running) == [0, 1]


def test_the_latest_arrival_of_a_batch_tells_how_far_time_has_come() -> None:
    running = engine(late=5, out_of_order=60)
    bodies = [json.dumps({"n": number, "ts": at(second)}) for number, second in ((1, 10), (2, 16))]
    assert running.feed("inp", bodies, np.array([microseconds(at(10)), microseconds(at(20))])) == []
    assert released(running) == [1], "nothing before 20 - 5 is still to come"


def test_without_timestamp_by_time_is_the_arrival_and_never_goes_back() -> None:
    query = "SELECT n, System.Timestamp() AS t INTO o FROM inp"
    running = StreamEngine(query, {"inp": schema_of([{"n": 1}])}, policy=TimePolicy.of_seconds(5, 0))
    arrivals = np.array([microseconds(at(second)) for second in (10, 9, 12, 30)])
    assert running.feed("inp", [json.dumps({"n": number}) for number in range(4)], arrivals) == []
    (output,) = running.advance()
    assert [row["t"] for row in output.rows()] == [stamp(second) for second in (10, 10, 12)]


AGES = (*range(-2, 9), *range(-2, 9), *range(-2, 9), -300, -301)
"""How much older than their arrival events are, in seconds. Few are so far ahead that all others come too late after them."""
arrivals_by_key = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from((0, 1, 2, 4, 40)), st.sampled_from(AGES)), min_size=1, max_size=25
)  # key, seconds since the arrival before, how much older than its arrival the event is


@example(drawn=[("a", 0, 0)] * 3, batches=1, out_of_order=0, drop=True, over="")
@example(drawn=[("a", 0, 0)] * 3, batches=1, out_of_order=0, drop=True, over=" OVER k")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrivals_by_key, st.integers(1, 6), st.integers(0, 3), st.booleans(), st.sampled_from(("", " OVER k")))
def test_events_are_adjusted_or_dropped_by_the_clock_of_all_or_of_their_key(
    drawn: list[tuple[str, int, int]], batches: int, out_of_order: int, drop: bool, over: str
) -> None:
    rows: list[Row] = []
    expected: list[tuple[int, float]] = []
    latest: dict[str, int] = {}
    arrival, late = 100, 5
    for number, (key, step, age) in enumerate(drawn):
        arrival += step
        event = arrival - age
        rows.append({"k": key, "n": number, "ts": at(event), "arrived": at(arrival)})
        if event > arrival + 300 or (drop and event < arrival - late):
            continue
        time, clock = max(event, arrival - late), key if over else "of all"
        mark = latest[clock] - out_of_order if clock in latest else time
        latest[clock] = max(time, latest.get(clock, time))
        if not drop or time >= mark:
            expected.append((number, max(time, mark)))
    query = f"SELECT n, System.Timestamp() AS t INTO o FROM inp TIMESTAMP BY ts{over}"
    policy = TimePolicy.of_seconds(late, out_of_order, "Drop" if drop else "Adjust")
    found = run_query(query, {"inp": rows}, batches=batches, policy=policy, arrival="arrived")["o"]
    assert sorted((row["n"], row["t"]) for row in found) == [(n, stamp(time)) for n, time in expected]


def test_with_a_clock_per_key_the_arrivals_tell_how_far_time_has_come_or_without_them_the_events() -> None:
    query = "SELECT n INTO o FROM inp TIMESTAMP BY ts OVER k"
    bodies = [
        json.dumps({"n": number, "k": key, "ts": at(second)})
        for number, key, second in ((1, "a", 10), (2, "b", 18), (3, "a", 20))
    ]
    running = StreamEngine(query, {"inp": schema_of([{"n": 1, "k": "a", "ts": at(0)}])}, policy=TimePolicy.of_seconds(5, 0))
    assert running.feed("inp", bodies) == []
    assert released(running) == [1, 2], "the latest event is at 20"
    running = StreamEngine(query, {"inp": schema_of([{"n": 1, "k": "a", "ts": at(0)}])}, policy=TimePolicy.of_seconds(5, 0))
    assert running.feed("inp", bodies, np.array([microseconds(at(second)) for second in (10, 20, 22)])) == []
    assert released(running) == [1], "the latest arrival was at 22, and an event may be 5 s older"


def test_the_oldest_event_that_waits_is_known_by_its_number() -> None:
    running = engine(out_of_order=3)
    for number, second in enumerate((10, 20, 21, 22)):
        feed(running, number, second, second)
    assert running.oldest_waiting("inp") == 0
    assert released(running) == [0]
    assert running.oldest_waiting("inp") == 1
    running.heartbeat("inp", 0, microseconds(at(100)))
    assert released(running) == [1, 2, 3]
    assert running.oldest_waiting("inp") is None


def test_a_late_tolerance_of_minus_one_waits_for_ever() -> None:
    rows: list[Row] = [{"n": 1, "ts": at(0), "a": at(5000)}, {"n": 2, "ts": at(4000), "a": at(5001)}]
    found = run_query(QUERY, {"inp": rows}, policy=TimePolicy.of_seconds(-1, 0), arrival="a")["o"]
    assert [row["t"][:19] for row in found] == [at(0)[:19], at(4000)[:19]]


def test_out_of_order_follows_the_time_handling_page() -> None:
    """Watermark = latest event time - tolerance, whatever the arrival: the case in which the documentation contradicts itself."""
    rows: list[Row] = [{"n": 1, "ts": at(420), "a": at(500)}, {"n": 2, "ts": at(415), "a": at(600)}]
    found = run_query(QUERY, {"inp": rows}, policy=TimePolicy.of_seconds(300, 8), arrival="a")["o"]
    assert {row["n"]: row["t"][:19] for row in found} == {1: at(420)[:19], 2: at(415)[:19]}


def test_events_that_do_not_fit_the_schema_are_handed_back_with_the_reason() -> None:
    running = engine()
    bodies = [
        '{"n": 1, "ts": "2026-03-01T00:00:01Z"}',
        "{",
        '"text"',
        '{"n": "1", "ts": "2026-03-01T00:00:01Z"}',
        '{"n": 2}',
        '{"n": 3, "ts": "soon"}',
    ]
    rejected = {rejection.index: rejection.reason for rejection in running.feed("inp", bodies)}
    assert rejected == {
        1: "not valid JSON",
        2: "not a JSON object",
        3: "n is not a bigint",
        4: "TIMESTAMP BY finds no time",
        5: "TIMESTAMP BY finds no time",
    }
    assert [row["n"] for output in running.finish() for row in output.rows()] == [1]
