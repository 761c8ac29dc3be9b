"""A step that is read more than once leaves its rows in a table: those that some reader keeps."""

from __future__ import annotations

import pytest
from query_runner import Row, at, run_query, schema_of

from asa_engine.plan import plan_query

ROWS: list[Row] = [{"d": "ab"[number % 2], "v": number, "ts": at(number)} for number in range(12)]
SQUARES = "WITH squares AS (SELECT d, v, v * v AS w FROM inp TIMESTAMP BY ts)"
SMALL, LARGE, ALL = "WHERE w < 9", "WHERE w > 49", ""


@pytest.mark.parametrize("filters", [(SMALL, LARGE), (SMALL, ALL), (ALL, LARGE), (ALL, ALL), (SMALL, "WHERE d = 'b'")])
@pytest.mark.parametrize("batches", [1, 4])
def test_every_reader_gets_what_it_would_get_alone(filters: tuple[str, str], batches: int) -> None:
    outputs = [f"SELECT d, v, w INTO o{number} FROM squares {where}" for number, where in enumerate(filters)]
    together = run_query("\n".join([SQUARES, *outputs]), {"inp": ROWS}, batches=batches)
    for number, output in enumerate(outputs):
        assert together[f"o{number}"] == run_query(f"{SQUARES} {output}", {"inp": ROWS})[f"o{number}"] != []


def test_a_union_of_two_filters_of_a_step_keeps_both() -> None:
    query = f"{SQUARES}, ends AS (SELECT v FROM squares {SMALL} UNION SELECT v FROM squares {LARGE}) SELECT v INTO o FROM ends"
    assert sorted(row["v"] for row in run_query(query, {"inp": ROWS})["o"]) == [0, 1, 2, 8, 9, 10, 11]


@pytest.mark.parametrize(("second", "left_out"), [(LARGE, True), (ALL, False)])
def test_rows_are_left_out_only_if_every_reader_filters(second: str, left_out: bool) -> None:
    query = f"{SQUARES} SELECT v INTO o1 FROM squares {SMALL} SELECT v INTO o2 FROM squares {second}"
    (stored,) = [step for step in plan_query(query, {"inp": schema_of(ROWS)}, {}, "query").steps if step.is_stored]
    assert ("WHERE (" in stored.query()) is left_out


def test_a_union_of_rows_that_were_expanded_and_rows_that_were_not_keeps_their_order() -> None:
    rows: list[Row] = [{"n": n, "items": [10 * n + i for i in range(3)], "ts": at(n)} for n in range(4)]
    query = """WITH u AS (
        SELECT n, e.ArrayValue AS v FROM inp i TIMESTAMP BY ts CROSS APPLY GetArrayElements(i.items) AS e
        UNION SELECT n, n AS v FROM inp)
        SELECT n, v, LAG(v) OVER (PARTITION BY n LIMIT DURATION(minute, 1)) AS before INTO o FROM u"""
    expected = [(n, v) for n in range(4) for v in (*(10 * n + i for i in range(3)), n)]
    for batches in (1, 3):
        found = run_query(query, {"inp": rows}, batches=batches)["o"]
        assert [(row["n"], row["v"]) for row in found] == expected
        assert [row["before"] for row in found if row["n"] == 2] == [None, 20, 21, 22]


@pytest.mark.parametrize(("bound", "kept"), [("BETWEEN -1 AND 5", "5 minutes"), ("BETWEEN -7 AND 2", "7 minutes")])
def test_a_join_says_how_long_it_keeps_rows(bound: str, kept: str) -> None:
    query = f"""SELECT l.v, r.v AS w INTO o FROM inp l TIMESTAMP BY ts JOIN other r TIMESTAMP BY ts
        ON DATEDIFF(minute, l, r) {bound}"""
    steps = plan_query(query, {"inp": schema_of(ROWS), "other": schema_of(ROWS)}, {}, "query").steps
    assert [row for step in steps for row in step.keeps] == [("JOIN: the rows of both sides", kept)]


def test_a_join_with_expanded_rows_keeps_their_order() -> None:
    lists: list[Row] = [{"items": [3, 1, 2], "ts": at(5)}, {"items": [9, 8], "ts": at(6)}]
    query = """WITH e AS (SELECT x.ArrayIndex AS i, x.ArrayValue AS w FROM lists y TIMESTAMP BY ts
            CROSS APPLY GetArrayElements(y.items) AS x)
        SELECT l.v, r.w INTO o FROM inp l TIMESTAMP BY ts JOIN e r ON DATEDIFF(second, l, r) BETWEEN 0 AND 1"""
    for batches in (1, 2):
        found = run_query(query, {"inp": ROWS, "lists": lists}, batches=batches)["o"]
        assert [(row["v"], row["w"]) for row in found] == [
            *((v, w) for v in (4, 5) for w in (3, 1, 2)),
            *((v, w) for v in (5, 6) for w in (9, 8)),
        ]
