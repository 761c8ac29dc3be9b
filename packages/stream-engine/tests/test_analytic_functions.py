"""LAG, LAST and ISFIRST against a plain reading of their definition."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from query_runner import Row, at, run_query, unordered

QUERY = """SELECT d, v, n,
    LAG(v, 2, -1) OVER (PARTITION BY d LIMIT DURATION(second, 20) WHEN v > 2) AS lag2,
    LAG(v, 1) OVER (PARTITION BY d LIMIT DURATION(second, 5)) AS lag1,
    LAST(v, -1) OVER (PARTITION BY d LIMIT DURATION(second, 10) WHEN v > 5) AS last,
    ISFIRST(second, 10) OVER (PARTITION BY d WHEN v > 2) AS first
    INTO o FROM inp TIMESTAMP BY ts"""

events = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 9))), min_size=1, max_size=25
)


def expected(rows: list[Row]) -> list[Row]:
    """The definition, row by row: look back over the rows of the key that WHEN lets through."""

    def looked_up(number: int, offset: int, limit: int, default: int | None, least: int) -> int | None:
        now, key = rows[number]["second"], rows[number]["d"]
        seen = [
            r for r in rows[: number + (offset == 0)] if r["d"] == key and (least < 0 or (r["v"] is not None and r["v"] > least))
        ]
        chosen = seen[-max(offset, 1)] if len(seen) >= max(offset, 1) else None
        return chosen["v"] if chosen is not None and chosen["second"] >= now - limit else default

    result = []
    for number, row in enumerate(rows):
        passes = row["v"] is not None and row["v"] > 2
        interval = -(-row["second"] // 10)
        earlier = [r for r in rows[:number] if r["d"] == row["d"] and (r["v"] or 0) > 2 and -(-r["second"] // 10) == interval]
        result.append(
            {
                "d": row["d"],
                "v": row["v"],
                "n": row["n"],
                "lag2": looked_up(number, 2, 20, -1, 2),
                "lag1": looked_up(number, 1, 5, None, -1),
                "last": looked_up(number, 0, 10, -1, 5),
                "first": int(passes and not earlier),
            }
        )
    return result


@settings(max_examples=20, deadline=None, derandomize=True)
@given(events, st.integers(1, 5))
def test_analytic_functions_follow_their_definition(drawn: list[tuple[int, str, int | None]], batches: int) -> None:
    rows: list[Row] = []
    second = 0
    for number, (step, device, value) in enumerate(drawn):
        second += step
        rows.append({"d": device, "v": value, "n": number, "second": second, "ts": at(second)})
    typed = [*rows, {"d": "z", "v": 0, "n": -1, "second": second, "ts": at(second)}]
    found = [row for row in run_query(QUERY, {"inp": typed}, batches=batches)["o"] if row["d"] != "z"]
    assert unordered(found) == unordered(expected(rows))


def test_an_event_exactly_at_the_limit_still_counts() -> None:
    rows = [{"v": 1, "ts": at(0)}, {"v": 2, "ts": at(60)}, {"v": 3, "ts": at(120.001)}]
    query = "SELECT v, LAG(v) OVER (LIMIT DURATION(minute, 1)) AS p INTO o FROM inp TIMESTAMP BY ts"
    assert [row["p"] for row in run_query(query, {"inp": rows})["o"]] == [None, 1, None]


def test_the_whole_previous_event_is_a_record() -> None:
    rows = [{"v": 1, "ts": at(0)}, {"v": 2, "ts": at(1)}]
    query = "SELECT v, LAG(*) OVER (LIMIT DURATION(minute, 1)) AS p INTO o FROM inp TIMESTAMP BY ts"
    assert run_query(query, {"inp": rows})["o"][1]["p"] == {"v": 1, "ts": at(0)}


def test_different_keys_in_one_select_are_looked_up_separately() -> None:
    rows = [
        {"d": "a", "k": 1, "v": 1, "ts": at(0)},
        {"d": "b", "k": 1, "v": 2, "ts": at(1)},
        {"d": "a", "k": 2, "v": 3, "ts": at(2)},
    ]
    query = """SELECT v, LAG(v) OVER (PARTITION BY d LIMIT DURATION(minute, 1)) AS byD,
        LAG(v) OVER (PARTITION BY k LIMIT DURATION(minute, 1)) AS byK, LAG(v) OVER (LIMIT DURATION(minute, 1)) AS overall
        INTO o FROM inp TIMESTAMP BY ts"""
    for batches in (1, 3):
        found = [(row["byD"], row["byK"], row["overall"]) for row in run_query(query, {"inp": rows}, batches=batches)["o"]]
        assert found == [(None, None, None), (None, 1, 1), (1, None, 2)]


readings = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), min_size=1, max_size=24)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(readings, st.integers(1, 8))
def test_rows_filtered_out_in_between_are_not_seen_by_what_looks_back_afterwards(
    drawn: list[tuple[str, int]], batches: int
) -> None:
    """Ticks in which every row passes the filter and ticks in which some don't follow each other."""
    rows = [{"d": device, "v": value, "ts": at(number)} for number, (device, value) in enumerate(drawn)]
    query = """WITH rising AS (
        SELECT d, v, LAG(v, 1, 0) OVER (PARTITION BY d LIMIT DURATION(hour, 1)) AS before FROM inp TIMESTAMP BY ts),
        kept AS (SELECT d, v, before + v AS total FROM rising WHERE v >= before)
        SELECT d, v, LAG(total) OVER (PARTITION BY d LIMIT DURATION(hour, 1)) AS p INTO o FROM kept"""
    latest: dict[str, int] = {}
    total: dict[str, int] = {}
    definition = []
    for device, value in drawn:
        before = latest.get(device, 0)
        if value >= before:
            definition.append({"d": device, "v": value, "p": total.get(device)})
            total[device] = before + value
        latest[device] = value
    assert run_query(query, {"inp": rows}, batches=batches)["o"] == definition
