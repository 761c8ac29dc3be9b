"""Windows whose rules no example of the documentation shows."""

from __future__ import annotations

import numpy as np
import pytest
from query_runner import at, run_query

from asa_engine.window_step import session_ends

SECOND = 1_000_000


def ends_of(times: list[float], timeout: float, longest: float) -> list[float]:
    stamps = np.array([round(time * SECOND) for time in times], dtype=np.int64)
    ends = session_ends(np.zeros(len(times), dtype=np.int64), stamps, round(timeout * SECOND), round(longest * SECOND))
    return [float(end) / SECOND for end in ends]


def test_a_session_ends_when_its_timeout_has_passed_without_an_event() -> None:
    assert ends_of([1, 3, 10], timeout=4, longest=100) == [7, 7, 14]


def test_a_busy_session_is_cut_at_a_multiple_of_the_maximum_and_may_reach_twice_its_length() -> None:
    assert ends_of(list(range(5, 30)), timeout=2, longest=10) == [20.0] * 16 + [31.0] * 9


def test_a_session_that_follows_another_of_its_key_is_cut_by_its_own_first_event() -> None:
    # a recording of 2018 has 1800 for the second: docs/decisions/0017 of RoomPulse's repository
    before, first = -300.0, -57.08
    assert ends_of([before, first, *range(30, 1000, 100)], timeout=180, longest=900) == [before + 180, *[900.0] * 10, 1110.0]


def test_sessions_of_different_owners_do_not_mix() -> None:
    owners = np.array([0, 0, 1, 1], dtype=np.int64)
    times = np.array([0, SECOND, 0, 9 * SECOND], dtype=np.int64)
    assert list(session_ends(owners, times, 2 * SECOND, 60 * SECOND)) == [3 * SECOND, 3 * SECOND, 2 * SECOND, 11 * SECOND]


def test_aggregates_beyond_counting() -> None:
    rows = [
        {"v": value, "d": text, "ts": at(second)}
        for second, (value, text) in enumerate([(4, "x"), (1, "y"), (3, "z"), (2, "w")], 1)
    ]
    query = """SELECT STDEV(v) AS sd, STDEVP(v) AS sdp, VAR(v) AS va, VARP(v) AS vap, STRING_AGG(d, '+') AS texts,
        PERCENTILE_CONT(0.5) OVER (ORDER BY v) AS median, PERCENTILE_DISC(0.75) OVER (ORDER BY v) AS p75,
        COLLECT(v) AS vs, CollectTop(2, v) OVER (ORDER BY v DESC) AS best, TopOne() OVER (ORDER BY v ASC) AS least
        INTO o FROM inp TIMESTAMP BY ts GROUP BY TumblingWindow(second, 10)"""
    (row,) = run_query(query, {"inp": rows}, batches=3)["o"]
    assert [row["sd"], row["sdp"], row["va"], row["vap"]] == pytest.approx([1.290994, 1.118034, 1.666667, 1.25], abs=1e-6)
    assert (row["texts"], row["median"], row["p75"], row["vs"]) == ("x+y+z+w", 2.5, 3, [4, 1, 3, 2])
    assert row["best"] == [{"rank": 1, "value": 4}, {"rank": 2, "value": 3}]
    assert row["least"] == {"v": 1, "d": "y", "ts": at(2)}


def test_rows_leave_the_waiting_table_with_their_last_window() -> None:
    from query_runner import schema_of

    from asa_engine.engine import StreamEngine

    rows = [{"v": 1, "ts": at(second)} for second in range(300)]
    query = "SELECT COUNT(*) AS n INTO o FROM inp TIMESTAMP BY ts GROUP BY HoppingWindow(second, 10, 5)"
    engine = StreamEngine(query, {"inp": schema_of(rows)})
    import json

    engine.feed("inp", [json.dumps(row) for row in rows])
    engine.advance()
    waiting = [table for step in engine.plan.steps for table in step.state_tables]
    assert [engine.connection.sql(f'SELECT count(*) FROM "{table}"').fetchall()[0][0] <= 10 for table in waiting] == [True]
