"""What the engine doesn't prove it refuses: with the place, what it is, and what to write instead. All faults at once."""

# ruff: noqa: E501 (queries read best on one line)
from __future__ import annotations

from typing import Any

import pytest

from asa_engine.errors import QueryError
from asa_engine.plan import plan_query
from asa_engine.types import ARRAY, BIGINT, DATETIME, FLOAT, NVARCHAR, RECORD, Schema, record_of

EVENTS = Schema(
    {
        "device": NVARCHAR,
        "v": BIGINT,
        "f": FLOAT,
        "ts": DATETIME,
        "items": ARRAY,
        "place": record_of({"city": NVARCHAR, "floor": BIGINT}),
        "free": RECORD,
    }
)
SCHEMAS = {"inp": EVENTS, "other": EVENTS}


def faults_of(query: str, **more: Any) -> str:
    with pytest.raises(QueryError) as caught:
        plan_query(query, SCHEMAS, {"rooms": Schema({"device": NVARCHAR, "city": NVARCHAR})}, "q.asaql", **more)
    return str(caught.value)


FROM = " INTO o FROM inp TIMESTAMP BY ts"
WINDOW = " GROUP BY TumblingWindow(minute, 1)"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (
            "SELECT AnomalyDetection_SpikeAndDip(v, 95, 120, 'spikesanddips') OVER (LIMIT DURATION(minute, 2)) AS x" + FROM,
            "AnomalyDetection_SpikeAndDip isn't supported",
        ),
        ("SELECT udf.f(v) AS x" + FROM, "User-defined functions"),
        ("SELECT ST_DISTANCE(v, v) AS x" + FROM, "Geospatial"),
        ("SELECT NEWID() AS x" + FROM, "another value at every run"),
        ("SELECT LENGHT(device) AS x" + FROM, "LENGHT is not a function"),
        ("SELECT LEN(device, 1) AS x" + FROM, "takes 1 arguments"),
        ("SELECT devise" + FROM, "Did you mean device?"),
        ("SELECT place.town AS x" + FROM, "The record has no field town"),
        ("SELECT device INTO o FROM inq", "Did you mean inp?"),
        ("SELECT device + 1 AS x" + FROM, "needs numbers"),
        ("SELECT v" + FROM + " WHERE device = 1", "they never match"),
        ("SELECT v" + FROM + " WHERE free.x > ts", "CAST it to a type first"),
        ("SELECT v" + FROM + " WHERE v", "A condition expected"),
        ("SELECT COUNT(*) AS n" + FROM, "a window must be specified"),
        ("SELECT device, COUNT(*) AS n" + FROM + WINDOW, "neither a GROUP BY key nor inside an aggregate"),
        ("SELECT COUNT(*) AS n" + FROM + WINDOW + ", HoppingWindow(minute, 2, 1)", "two windows"),
        ("SELECT COUNT(*) AS n" + FROM + " GROUP BY TumblingWindow(day, 8)", "longer than 7 days"),
        ("SELECT COUNT(*) AS n" + FROM + " GROUP BY TumblingWindow(fortnight, 1)", "not a unit of time"),
        (
            "SELECT COUNT(*) AS n"
            + FROM
            + " GROUP BY Windows(Window('a', TumblingWindow(minute, 1)), Window('A', TumblingWindow(hour, 1)))",
            "same identity",
        ),
        ("SELECT COUNT(*) AS n" + FROM + " GROUP BY Windows(Windows(TumblingWindow(minute, 1)))", "can't be nested"),
        ("SELECT v" + FROM + " WHERE COUNT(*) > 1", "can't be used in WHERE"),
        ("SELECT SUM(device) AS n" + FROM + WINDOW, "needs numbers"),
        ("SELECT TopOne() AS n" + FROM + WINDOW, "needs OVER (ORDER BY"),
        ("SELECT LAG(v) OVER (PARTITION BY device) AS x" + FROM, "needs LIMIT DURATION"),
        ("SELECT LAG(v, 0) OVER (LIMIT DURATION(minute, 1)) AS x" + FROM, "at least 1"),
        (
            "SELECT LAG(LAST(v) OVER (LIMIT DURATION(minute, 1))) OVER (LIMIT DURATION(minute, 1)) AS x" + FROM,
            "can't be inside",
        ),
        ("SELECT LAG(v, 1, 'none') OVER (LIMIT DURATION(minute, 1)) AS x" + FROM, "the default of LAG"),
        ("SELECT a.v INTO o FROM inp a TIMESTAMP BY ts JOIN other b TIMESTAMP BY ts ON a.device = b.device", "time bound"),
        (
            "SELECT a.v INTO o FROM inp a TIMESTAMP BY ts JOIN other b TIMESTAMP BY ts ON DATEDIFF(minute, a, b) >= 0",
            "time bound",
        ),
        (
            "SELECT a.v INTO o FROM inp a TIMESTAMP BY ts JOIN other b TIMESTAMP BY ts ON DATEDIFF(day, a, b) BETWEEN 0 AND 8",
            "7 days",
        ),
        (
            "SELECT * INTO o FROM inp a TIMESTAMP BY ts JOIN other b TIMESTAMP BY ts ON DATEDIFF(minute, a, b) BETWEEN 0 AND 1",
            "SELECT * isn't allowed",
        ),
        ("SELECT device INTO o FROM rooms", "Reference data can't come first"),
        ("SELECT v INTO o FROM inp TIMESTAMP BY v", "TIMESTAMP BY needs a datetime"),
        (
            "SELECT v INTO o FROM inp TIMESTAMP BY ts OVER device SELECT v INTO p FROM other TIMESTAMP BY ts",
            "all inputs or on none",
        ),
        ("SELECT COUNT(*) AS n INTO o FROM inp TIMESTAMP BY ts OVER device" + WINDOW, "must be GROUP BY keys"),
        ("SELECT COUNT(*) AS n INTO o FROM inp TIMESTAMP BY ts PARTITION BY device" + WINDOW, "partition key"),
        ("SELECT v, f INTO o FROM inp TIMESTAMP BY ts UNION SELECT v, device FROM inp", "same columns"),
        ("SELECT v, f AS V" + FROM, "two columns"),
        ("SELECT v" + FROM + " SELECT f" + FROM, "written twice"),
        ("SELECT a.x" + " INTO o FROM inp i CROSS APPLY GetArrayElements(i.device) AS a", "needs an array"),
        ("SELECT device" + FROM + " WHERE device LIKE device", "LIKE takes a pattern written in the query"),
        ("SELECT v," + FROM, "Leave the last comma out"),
        ("SELECT PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY v) AS x" + FROM + WINDOW, "WITHIN GROUP isn't part"),
        ("SELECT COUNT(*) AS n" + FROM + WINDOW + " PARTITION BY device", "Write it after the source in FROM"),
        ("SELECT AVG(v) OVER (PARTITION BY device ROWS 3 PRECEDING) AS x" + FROM, "OVER has no ROWS"),
        ("SELECT AVG(v) OVER (RANGE 3 PRECEDING) AS x" + FROM, "LIMIT DURATION(unit, n)"),
        ("SELECT v INTO o FROM inp MATCH_RECOGNIZE (LIMIT DURATION(minute, 1)) AS m", "MATCH_RECOGNIZE isn't supported"),
        ("SELECT v INTO o FROM inp i TIMESTAMP BY ts MATCH_RECOGNIZE (LIMIT DURATION(minute, 1)) AS m", "MATCH_RECOGNIZE isn't"),
        ("SELECT DATEPART(dayofweek, ts) AS x" + FROM, "Use one of year, quarter, month, dayofyear, week, weekday, day, hour"),
        ("SELECT LAG(AVG(v)) OVER (LIMIT DURATION(hour, 1)) AS x" + FROM + WINDOW, "looks back at rows before they are grouped"),
        ("SELECT AVG(MIN(v)) AS x" + FROM + WINDOW, "MIN is an aggregate: it goes neither inside another one"),
        ("SELECT GetMetadataPropertyValue(inp, device) AS x" + FROM, "takes an input and the name of a property"),
        ("SELECT v" + FROM + " WHERE device = \u2018a\u2019", "Write ' instead"),
        ("SELECT v \u2014 1 AS x" + FROM, "Write - instead"),
        ("CREATE TABLE inp (v integer) SELECT v INTO o FROM inp TIMESTAMP BY v", "integer is not a type"),
        (
            "SELECT a.v" + FROM.replace("inp", "inp a") + " JOIN inp b ON DATEDIFF(minute, a, b) BETWEEN 0 AND 5 "
            "JOIN inp c ON DATEDIFF(minute, a, c) BETWEEN 0 AND 5",
            "the second may count from the time of either side of the first",
        ),
    ],
)
def test_what_cannot_be_proven_is_refused_with_the_way_out(query: str, says: str) -> None:
    text = faults_of(query)
    assert says in text
    assert text.startswith("q.asaql:1:")


def test_an_output_that_does_not_exist_is_refused() -> None:
    assert "Did you mean alerts?" in faults_of("SELECT v INTO alert FROM inp TIMESTAMP BY ts", outputs={"alerts", "lake"})


def test_all_faults_are_listed_at_once_in_the_order_of_the_text() -> None:
    text = faults_of("SELECT one, v, two INTO o FROM inp TIMESTAMP BY ts\nSELECT three INTO p FROM inp")
    assert [text.index(name) for name in ("one", "two", "three")] == sorted(text.index(name) for name in ("one", "two", "three"))


def test_columns_and_types_of_every_step_and_output_are_known_beforehand() -> None:
    plan = plan_query(
        "WITH s AS (SELECT device, AVG(v) AS mean, COUNT(*) AS n, MAX(ts) AS t FROM inp TIMESTAMP BY ts GROUP BY device, TumblingWindow(hour, 1)) "
        "SELECT *, mean > 1 AS high, CAST(n AS float) AS share INTO o FROM s",
        SCHEMAS,
    )
    columns = {column.name: str(column.type) for column in plan.outputs[0].columns}
    assert columns == {
        "device": "nvarchar(max)",
        "mean": "float",
        "n": "bigint",
        "t": "datetime",
        "high": "bit",
        "share": "float",
    }
    assert list(plan.step_columns) == ["s"]


def test_what_follows_from_a_fault_is_not_told_again() -> None:
    told = faults_of(
        """WITH a AS (SELECT LOWER(v) AS x FROM inp TIMESTAMP BY ts), b AS (SELECT x FROM a), c AS (SELECT UPPER(x) AS y FROM b)
        SELECT y INTO o FROM c"""
    )
    assert "LOWER needs a text, found a bigint." in told
    assert told.count("q.asaql:") == 1


def test_a_wrong_timestamp_by_leaves_the_input_known() -> None:
    told = faults_of(
        "SELECT v INTO o FROM inp TIMESTAMP BY tz SELECT w INTO p FROM inp SELECT x INTO q FROM other TIMESTAMP BY v"
    )
    assert told.count("q.asaql:") == 4
    for fault in ("no column tz", "no column w", "TIMESTAMP BY needs a datetime", "no column x"):
        assert fault in told


def test_a_table_that_cannot_be_declared_is_told_once() -> None:
    told = faults_of(
        "CREATE TABLE new (v integer) CREATE TABLE newer (v whole) SELECT v INTO o FROM new SELECT w INTO p FROM newer"
    )
    assert "integer is not a type" in told and "whole is not a type" in told
    assert told.count("q.asaql:") == 2


@pytest.mark.parametrize("steps", ["a AS (SELECT v FROM b), b AS (SELECT v FROM inp TIMESTAMP BY ts)", "b AS (SELECT v FROM b)"])
def test_a_step_reads_what_stands_above_it(steps: str) -> None:
    assert "Step b isn't defined yet." in faults_of(f"WITH {steps} SELECT v INTO o FROM b")


def test_types_are_named_with_their_article() -> None:
    told = faults_of(f"SELECT LOWER(items) AS x, LOWER(free.color) AS y, items + 1 AS z{FROM}")
    assert "found an array" in told and "found a value of any type" in told
