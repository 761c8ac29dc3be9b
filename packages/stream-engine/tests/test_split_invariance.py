"""However events are split into batches, and whenever the engine is saved and restored, the result is the same."""

# ruff: noqa: E501 (queries read best on one line)
from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from query_runner import Row, at, run_query, unordered

from asa_engine.time_policy import TimePolicy

SOURCE = "FROM inp TIMESTAMP BY ts"
QUERIES = {
    "tumbling": f"SELECT d, COUNT(*) AS n, SUM(v) AS s, System.Timestamp() AS w INTO o {SOURCE} GROUP BY d, TumblingWindow(second, 10)",
    "hopping": f"SELECT d, COUNT(*) AS n, System.Timestamp() AS w INTO o {SOURCE} GROUP BY d, HoppingWindow(second, 20, 7)",
    "sliding": f"SELECT d, COUNT(*) AS n, System.Timestamp() AS w INTO o {SOURCE} GROUP BY d, SlidingWindow(second, 7)",
    "session": f"SELECT d, COUNT(*) AS n, System.Timestamp() AS w INTO o {SOURCE} GROUP BY d, SessionWindow(second, 4, 15) OVER (PARTITION BY d)",
    "snapshot": f"SELECT COUNT(*) AS n, STRING_AGG(d, '') AS ds, System.Timestamp() AS w INTO o {SOURCE} GROUP BY System.Timestamp()",
    "windows": f"""SELECT d, System.Window().Id AS id, COUNT(DISTINCT v) AS n, System.Timestamp() AS w INTO o {SOURCE}
        GROUP BY d, Windows(Window('5', TumblingWindow(second, 5)), Window('20', HoppingWindow(second, 20, 10)))""",
    "top": f"SELECT d, TopOne() OVER (ORDER BY v DESC) AS t, COLLECT() AS c INTO o {SOURCE} GROUP BY d, TumblingWindow(second, 15)",
    "lag": f"""SELECT d, v, ts, LAG(v, 3, -1) OVER (PARTITION BY d LIMIT DURATION(second, 25) WHEN v > 2) AS third,
        LAG(v) OVER (LIMIT DURATION(second, 10)) AS before,
        LAST(v) OVER (PARTITION BY d LIMIT DURATION(second, 15) WHEN v > 5) AS high INTO o {SOURCE}""",
    "isfirst": f"SELECT d, v, ts, ISFIRST(second, 10) OVER (PARTITION BY d WHEN v > 1) AS f INTO o {SOURCE}",
    "left join": f"""WITH hi AS (SELECT d, v {SOURCE} WHERE v >= 6), lo AS (SELECT d, v {SOURCE} WHERE v <= 3)
        SELECT hi.d, hi.v AS hv, lo.v AS lv, System.Timestamp() AS t INTO o FROM hi LEFT JOIN lo
        ON hi.d = lo.d AND DATEDIFF(second, hi, lo) BETWEEN -2 AND 6""",
    "chain": f"""WITH a AS (SELECT d, AVG(v) AS av {SOURCE} GROUP BY d, TumblingWindow(second, 5)),
        b AS (SELECT d, av, LAG(av) OVER (PARTITION BY d LIMIT DURATION(second, 30)) AS pav FROM a),
        c AS (SELECT *, LAST(pav) OVER (PARTITION BY d LIMIT DURATION(minute, 1) WHEN pav > 4) AS high FROM b WHERE av > 1)
        SELECT d, COUNT(*) AS n, MAX(av - pav) AS jump, MAX(high) AS high, System.Timestamp() AS w INTO o FROM c GROUP BY d, HoppingWindow(second, 20, 10)""",
    "union": f"""WITH u AS (SELECT d, v {SOURCE} WHERE v > 4 UNION SELECT d, v FROM inp WHERE v < 6)
        SELECT d, v, LAG(v) OVER (PARTITION BY d LIMIT DURATION(minute, 1)) AS p INTO o FROM u""",
    "apply": """WITH e AS (SELECT i.d, x.ArrayIndex AS i, x.ArrayValue AS y FROM inp i TIMESTAMP BY ts OUTER APPLY GetArrayElements(i.items) AS x)
        SELECT d, i, y, LAG(y, 1, 100) OVER (PARTITION BY d LIMIT DURATION(minute, 1)) AS p INTO o FROM e""",
}


@st.composite
def streams(draw: st.DrawFn) -> list[Row]:
    """Events of three devices, now and then late by up to the tolerance of 3 s, with equal times and silences."""
    clock = 0.0
    rows: list[Row] = []
    for step, late, device, value, items in draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 0, 0.25, 1, 2, 5, 12]),
                st.sampled_from([0, 0, 0, 1, 2.5]),
                st.sampled_from("abc"),
                st.integers(0, 9),
                st.lists(st.integers(0, 3), max_size=3),
            ),
            min_size=2,
            max_size=40,
        )
    ):
        clock += step
        rows.append({"d": device, "v": value, "ts": at(max(0.0, clock - late)), "items": items})
    return [*rows, {"d": "a", "v": 1, "ts": at(clock), "items": [1]}]


@pytest.mark.parametrize("name", sorted(QUERIES))
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_result_does_not_depend_on_the_split_nor_on_a_restart(name: str, data: st.DataObject) -> None:
    rows = data.draw(streams())
    cuts = data.draw(st.lists(st.integers(1, len(rows) - 1), max_size=4))
    policy = TimePolicy.of_seconds(5, 3)
    options: dict[str, Any] = {"policy": policy}
    whole = run_query(QUERIES[name], {"inp": rows}, **options)["o"]
    assert unordered(run_query(QUERIES[name], {"inp": rows}, batches=cuts, **options)["o"]) == unordered(whole)
    with tempfile.TemporaryDirectory() as folder:
        restarted = run_query(QUERIES[name], {"inp": rows}, batches=cuts, saved_in=Path(folder), **options)["o"]
    assert unordered(restarted) == unordered(whole)


def test_many_rows_keep_their_order_through_chained_steps() -> None:
    """Sorted storage and streaming windows over more rows than one DuckDB row group, with a memory larger than the tick."""
    devices = 125_000
    rows = [
        {"d": f"{number % devices:06d}", "v": number // devices, "ts": at(number // devices)} for number in range(2 * devices)
    ]
    rows += [{"d": f"{number * 7:06d}", "v": 2, "ts": at(2)} for number in range(20)]
    query = """WITH a AS (SELECT d, v, LAG(v) OVER (PARTITION BY d LIMIT DURATION(hour, 1)) AS p FROM inp TIMESTAMP BY ts),
        b AS (SELECT d, v, p, LAST(v) OVER (PARTITION BY d LIMIT DURATION(hour, 1) WHEN p IS NULL) AS first FROM a)
        SELECT d, v, p, first, LAG(p, 1, 9) OVER (PARTITION BY d LIMIT DURATION(hour, 1)) AS pp INTO o FROM b"""
    totals: dict[tuple[Any, ...], int] = {}
    for row in run_query(query, {"inp": rows}, batches=[2 * devices])["o"]:
        found = (row["v"], row["p"], row["first"], row["pp"])
        totals[found] = totals.get(found, 0) + 1
    assert totals == {(0, None, 0, 9): devices, (1, 0, 0, None): devices, (2, 1, 0, 0): 20}
