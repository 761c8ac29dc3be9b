"""Outputs computed beside each other are the outputs computed one after the other."""

from __future__ import annotations

import json
import threading

import pytest
from query_runner import at, schema_of

from asa_engine.engine import OutputRows, StreamEngine
from asa_engine.errors import ConversionError

ROWS = [{"k": f"k{number % 7}", "v": number % 5, "ts": at(number / 4)} for number in range(400)]
QUERY = """
WITH seen AS (SELECT k, v, LAG(v) OVER (PARTITION BY k LIMIT DURATION(minute, 1)) AS before FROM inp TIMESTAMP BY ts)
SELECT k, v, before, LAST(v) OVER (PARTITION BY k LIMIT DURATION(minute, 1) WHEN v > 2) AS large INTO turns FROM seen
SELECT k, COUNT(*) AS n, SUM(before) AS total INTO counts FROM seen GROUP BY k, TumblingWindow(second, 10)
SELECT k INTO plain FROM inp TIMESTAMP BY ts WHERE v = 3
"""


def test_the_rows_are_the_same_in_every_tick() -> None:
    one, other = (StreamEngine(QUERY, {"inp": schema_of(ROWS)}) for _ in range(2))
    for first in range(0, len(ROWS), 37):
        bodies = [json.dumps(row) for row in ROWS[first : first + 37]]
        one.feed("inp", bodies)
        other.feed("inp", bodies)
        after = {rows.name: rows.json_lines() for rows in one.advance()}
        beside = dict(other.advance_beside(lambda rows: (rows.name, rows.json_lines())))
        assert beside == after
        assert list(beside) == ["turns", "counts", "plain"]


def test_nothing_is_consumed_while_time_stands_still() -> None:
    engine = StreamEngine(QUERY, {"inp": schema_of(ROWS)})
    assert engine.advance_beside(lambda rows: rows.name) == []


def test_when_one_consumer_fails_the_others_have_finished() -> None:
    engine = StreamEngine(QUERY, {"inp": schema_of(ROWS)})
    engine.feed("inp", [json.dumps(row) for row in ROWS])
    finished: list[str] = []
    failed = threading.Event()

    def consume(rows: OutputRows) -> None:
        if rows.name == "plain":
            failed.set()
            raise OSError("disk full")
        assert failed.wait(30)
        finished.append(rows.name)

    with pytest.raises(OSError, match="disk full"):
        engine.advance_beside(consume)
    assert sorted(finished) == ["counts", "turns"]


def test_a_cast_that_fails_is_named_whoever_computes_it() -> None:
    query = "SELECT CAST(k AS bigint) AS n INTO o FROM inp TIMESTAMP BY ts SELECT k INTO p FROM inp TIMESTAMP BY ts"
    engine = StreamEngine(query, {"inp": schema_of(ROWS)})
    engine.feed("inp", [json.dumps(row) for row in ROWS])
    with pytest.raises(ConversionError, match="TRY_CAST"):
        engine.advance_beside(lambda rows: rows.json_lines())
