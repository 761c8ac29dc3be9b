"""Aggregates OVER (... LIMIT DURATION ...), as the OVER page has them: for every row over the rows of its key up to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_runner import at, run_query

EVENTS: list[dict[str, Any]] = [
    {"id": key, "v": value, "t": at(second)}
    for key, value, second in (
        ("a", 1, 10),
        ("b", 10, 11),
        ("a", 3, 20),
        ("a", None, 30),
        ("b", 20, 71),
        ("a", 5, 80),
        ("a", 7, 200),
    )
]
OVER = "OVER (PARTITION BY id LIMIT DURATION(minute, 1))"


def column(expression: str, **more: Any) -> list[Any]:
    query = f"SELECT {expression} AS x INTO o FROM inp TIMESTAMP BY t"
    return [row["x"] for row in run_query(query, {"inp": EVENTS}, **more)["o"]]


CASES = {
    f"SUM(v) {OVER}": [1, 10, 4, 4, 30, 8, 7],
    f"AVG(v) {OVER}": [1.0, 10.0, 2.0, 2.0, 15.0, 4.0, 7.0],
    f"MIN(v) {OVER}": [1, 10, 1, 1, 10, 3, 7],
    f"MAX(v) {OVER} + 1": [2, 11, 4, 4, 21, 6, 8],
    f"COUNT(v) {OVER}": [1, 1, 2, 2, 2, 2, 1],
    f"COUNT(*) {OVER}": [1, 1, 2, 3, 2, 3, 1],
    "SUM(v) OVER (LIMIT DURATION(minute, 1))": [1, 11, 14, 14, 33, 28, 7],
    "SUM(v) OVER (PARTITION BY id LIMIT DURATION(minute, 1) WHEN v > 2)": [None, 10, 3, 3, 30, 8, 7],
}


@pytest.mark.parametrize("expression", list(CASES))
@pytest.mark.parametrize("batches", [1, 3, 7])
def test_every_aggregate_looks_back_at_its_key(expression: str, batches: int) -> None:
    assert column(expression, batches=batches) == CASES[expression]


def test_the_rows_outlive_a_restart(tmp_path: Path) -> None:
    assert column(f"SUM(v) {OVER}", batches=7, saved_in=tmp_path) == CASES[f"SUM(v) {OVER}"]


def test_it_decides_in_where_and_sees_what_where_leaves_out() -> None:
    query = f"SELECT v INTO o FROM inp TIMESTAMP BY t WHERE SUM(v) {OVER} = 8 AND LAG(v) {OVER} IS NULL"
    assert run_query(query, {"inp": EVENTS})["o"] == [{"v": 5}]


@settings(max_examples=15, deadline=None)  # each runs two engines
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-9, 9), st.integers(0, 300)), min_size=1, max_size=25))
def test_it_is_what_counting_by_hand_gives(rows: list[tuple[str, int, int]]) -> None:
    rows = sorted(rows, key=lambda row: row[2])
    events = [{"id": key, "v": value, "t": at(second)} for key, value, second in rows]
    query = f"SELECT SUM(v) {OVER} AS x INTO o FROM inp TIMESTAMP BY t"
    expected = [sum(v for k, v, s in rows if k == key and second - 60 <= s <= second) for key, _, second in rows]
    for batches in (1, 4):
        assert [row["x"] for row in run_query(query, {"inp": events}, batches=batches)["o"]] == expected
