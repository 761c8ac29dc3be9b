"""Values: casts, texts, times, records and arrays as the service has them."""

# ruff: noqa: E501 (queries read best on one line)
from __future__ import annotations

import json
from typing import Any

import pytest
from query_runner import Row, at, run_query, value_of

from asa_engine.engine import StreamEngine
from asa_engine.errors import ConversionError
from asa_engine.types import FLOAT, NVARCHAR, Schema, array_of, record_of

ROW: Row = {
    "text": "12", "word": "Ab'c\"\\", "n": 7, "f": 2.5, "yes": True, "nothing": None, "ts": at(3_725.5),
    "place": {"city": "Lyon", "floor": 3}, "list": [{"k": "a", "v": 1}, {"k": "b", "v": 2.5}], "mixed": [1, "x", None, {"y": 2}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("CAST(text AS bigint) + 1", 13),
        ("TRY_CAST(word AS bigint)", None),
        ("TRY_CAST('1.5' AS bigint)", None),
        ("CAST(f AS bigint)", 2),
        ("CAST(-2.5 AS bigint)", -2),
        ("CAST(n AS nvarchar(max)) + '|' + CAST(f AS nvarchar(max)) + CAST(yes AS nvarchar(max))", "7|2.51"),
        ("CAST(3.0 AS nvarchar(max))", "3"),
        ("CAST(CAST(ts AS datetime) AS nvarchar(max))", "2026-03-01T01:02:05.5000000Z"),
        ("CAST('2026-03-01T02:00:00+02:00' AS datetime)", "2026-03-01T00:00:00.0000000Z"),
        ("TRY_CAST('soon' AS datetime)", None),
        ("DATEDIFF(minute, '2026-03-01T00:00:59Z', '2026-03-01T00:01:00Z')", 1),
        ("DATEADD(month, 1, '2026-01-31T00:00:00Z')", "2026-02-28T00:00:00.0000000Z"),
        ("DATEPART(millisecond, ts)", 500),
        ("DATEPART(weekday, ts)", 1),
        ("DATENAME(month, ts)", "March"),
        ("YEAR(ts) * 100 + MONTH(ts)", 202603),
        ("DATETIMEFROMPARTS(2026, 3, 1, 4, 5, 6, 7)", "2026-03-01T04:05:06.0070000Z"),
        ("CONCAT(text, nothing, n)", "127"),
        ("SUBSTRING(text, 2, 1) + UPPER('x') + REPLACE('aba', 'a', 'c')", "2Xcbc"),
        ("COALESCE(nothing, text)", "12"),
        ("NULLIF(n, 7)", None),
        ("CASE n WHEN 7 THEN 1 ELSE 2.5 END", 1.0),
        ("n % 4", 3),
        ("CASE WHEN yes = 1 THEN 'y' ELSE 'n' END", "y"),
        ("CASE WHEN nothing = 1 THEN 1 ELSE NULL END", None),
        ("CASE WHEN n BETWEEN 7 AND 8 AND text IN ('11', '12') AND word LIKE 'A_%' AND nothing IS NULL THEN 1 ELSE 0 END", 1),
        ("word", "Ab'c\"\\"),
        ("place.CITY", "Lyon"),
        ("place", {"city": "Lyon", "floor": 3}),
        ("GetRecordPropertyValue(place, 'floor')", 3),
        ("GetArrayElement(list, 1).v", 2.5),
        ("GetArrayElement(mixed, 3)", {"y": 2}),
        ("GetType(GetArrayElement(mixed, 1))", "nvarchar(max)"),
        ("CAST(GetArrayElement(mixed, 0) AS bigint) + 1", 2),
        ("GetArrayLength(mixed)", 4),
        ("list", [{"k": "a", "v": 1}, {"k": "b", "v": 2.5}]),
        ("mixed", [1, "x", None, {"y": 2}]),
        ("GetType(n) + GetType(f) + GetType(yes) + GetType(place) + GetType(list)", "bigintfloatbitrecordarray"),
        ("1 / 0.0", None),
        ("GetArrayElement(mixed, -1)", None),
        ("GetArrayElement(mixed, 4)", None),
        ("CAST(list AS array)", [{"k": "a", "v": 1}, {"k": "b", "v": 2.5}]),
        ("TRY_CAST(' 1.5e3 ' AS float)", 1500.0),
        *((f"TRY_CAST('{text}' AS float)", None) for text in ("NaN", "inf", "-Infinity", "1e400", "1_000", "0x1", "", "1d")),
        ("CASE WHEN TRY_CAST('NaN' AS float) >= 5 THEN 1 ELSE 0 END", 0),
        ("TRY_CAST('TRUE' AS bit)", True),
        ("TRY_CAST('0' AS bit)", False),
        *((f"TRY_CAST('{text}' AS bit)", None) for text in ("t", "yes", "y", "2", "")),
        *((f"TRY_CAST('{text}' AS bigint)", None) for text in ("1e3", "0x1", "1_000", "\u0661", "--1", "9223372036854775808")),
        ("NULLIF(n, f)", 7),
        ("NULLIF(place.floor, GetArrayElement(mixed, 0))", 3),
        ("DATEADD(second, 1.9, '2026-03-01T00:00:00Z')", "2026-03-01T00:00:01.0000000Z"),
        ("DATEADD(day, -1.9, '2026-03-02T00:00:00Z')", "2026-03-01T00:00:00.0000000Z"),
        ("DATEADD(month, 1.9, '2026-03-02T00:00:00Z')", "2026-04-02T00:00:00.0000000Z"),
        ("POWER(n, 2)", 49),
        ("POWER(2, -1)", 0),
        ("POWER(f, 2)", 6.25),
        ("SQUARE(n)", 49.0),
        ("SIGN(-n)", -1),
        ("SIGN(-f)", -1.0),
    ],
)
def test_expressions_give_the_values_of_the_service(expression: str, expected: Any) -> None:
    assert value_of(expression, ROW) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "CAST(word AS bigint)",
        "CAST('1.5' AS bigint)",
        "CAST('soon' AS datetime)",
        "CAST(word AS float)",
        "CAST('NaN' AS float)",
        "CAST('yes' AS bit)",
        "CAST('10000-01-01' AS datetime)",
    ],
)
def test_a_cast_that_fails_stops_the_run(expression: str) -> None:
    with pytest.raises(ConversionError, match="TRY_CAST") as failed:
        value_of(expression, ROW)
    assert "LINE" not in str(failed.value), "nobody wrote that SQL by hand"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
        ("0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00"),
        ("0001-01-01T00:00:00-01:00", "0001-01-01T01:00:00"),
        ("0001-01-01T00:00:00+01:00", None),
        ("0001-01-02T00:00:00+01:00", "0001-01-01T23:00:00"),
        ("0000-12-31T00:00:00Z", None),
        ("9999-12-31", "9999-12-31T00:00:00"),
        ("9999-12-31T23:59:59.9999999", "9999-12-31T23:59:59.999999"),
        ("9999-12-31T23:59:59+01:00", "9999-12-31T22:59:59"),
        ("9999-12-31T23:59:59-01:00", None),
        ("9999-12-31T24:00:00Z", None),
        ("10000-01-01T00:00:00Z", None),
        ("2016-12-31T23:59:60Z", None),
        ("2016-12-31T24:00:00Z", "2017-01-01T00:00:00"),
        ("2026-02-29T00:00:00Z", None),
        ("2026-03-01T12:00:00+14:00", "2026-02-28T22:00:00"),
        ("2026-03-01T12:00:00+0530", "2026-03-01T06:30:00"),
        ("2026-03-01T12:00:00+24:00", None),
        ("2026-03-01T12:00:00+00:60", None),
        ("2026-03-01T12:00:00+05:30:15", None),
        ("2026-03-01T12:00:00.1234567Z", "2026-03-01T12:00:00.123456"),
        ("2026-03-01T23:59:59.9999999+00:30", "2026-03-01T23:29:59.999999"),
        ("2026-03-01T12:00:00.Z", None),
        ("2026-03-01T12:00:0Z", None),
        ("2026-3-1T12:00:00Z", None),
        ("26-03-01T12:00:00Z", None),
        ("2026-03-01T12:00Z", "2026-03-01T12:00:00"),
        ("2026-03-01t12:00:00z", "2026-03-01T12:00:00"),
        (" 2026-03-01T12:00:00Z", None),
        ("\u0662\u0660\u0662\u0666-03-01T12:00:00Z", None),
    ],
)
def test_a_time_is_one_of_the_calendar_in_iso_8601(text: str, moment: str | None) -> None:
    """As of .NET: the years 1 to 9999. What the text says there, Python says as well."""
    found = value_of(f"TRY_CAST('{text}' AS datetime)", ROW)
    assert found == (None if moment is None else f"{moment}{'' if '.' in moment else '.000000'}0Z")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("COLLECT(f * 10)", [5.0, None]),
        ("COLLECT()", [{"f": 0.5, "far": 5.0, "n": 1}, {"f": 1e308, "far": None, "n": 2}]),
        ("TopOne() OVER (ORDER BY n DESC)", {"f": 1e308, "n": 2}),
        ("CollectTop(1, far) OVER (ORDER BY n DESC)", [{"rank": 1, "value": None}]),
        ("MAX(far)", None),
    ],
)
def test_an_output_is_json_whatever_was_calculated(expression: str, expected: Any) -> None:
    rows = [{"f": f, "n": n, "ts": at(n)} for n, f in ((1, 0.5), (2, 1e308))]
    query = f"""WITH s AS (SELECT f, f * 10 AS far, n FROM inp TIMESTAMP BY ts)
        SELECT {expression} AS x INTO o FROM s GROUP BY TumblingWindow(second, 5)"""
    assert run_query(query, {"inp": rows})["o"] == [{"x": expected}]


@pytest.mark.parametrize("text", ["NaN", "inf", "-Infinity", "1e400"])
def test_a_text_in_place_of_a_number_is_never_above_all_numbers(text: str) -> None:
    """Inside of arrays DuckDB reads a text as the number it spells, and has NaN above all others."""
    shape = array_of(record_of({"v": FLOAT, "r": record_of({"w": FLOAT})}))
    schema = Schema({"ts": NVARCHAR, "list": shape, "floats": array_of(FLOAT)})
    query = """SELECT e.ArrayValue AS whole, e.ArrayValue.v AS v, e.ArrayValue.r.w AS w, GetArrayElement(i.floats, 0) AS f,
        CASE WHEN e.ArrayValue.v >= 5 OR e.ArrayValue.r.w >= 5 OR GetArrayElement(i.floats, 0) >= 5 THEN 1 ELSE 0 END AS above
        INTO o FROM inp i TIMESTAMP BY ts CROSS APPLY GetArrayElements(i.list) AS e"""
    engine = StreamEngine(query, {"inp": schema})
    event = {"ts": at(1), "list": [{"v": text, "r": {"w": text}}], "floats": [text]}
    assert engine.feed("inp", [json.dumps(event)]) == []
    (output,) = engine.finish()
    assert output.rows() == [{"whole": {"r": {}}, "v": None, "w": None, "f": None, "above": 0}]


def test_casts_within_casts_do_not_double_the_query() -> None:
    expression = "text"
    for _ in range(20):
        expression = f"CAST(CAST({expression} AS bigint) AS nvarchar(max))"
    assert value_of(expression, ROW) == "12"


def test_properties_of_a_record_become_rows() -> None:
    query = "SELECT p.PropertyName AS name, p.PropertyValue AS value INTO o FROM inp i TIMESTAMP BY ts CROSS APPLY GetRecordProperties(i.place) AS p"
    assert run_query(query, {"inp": [ROW]})["o"] == [{"name": "city", "value": "Lyon"}, {"name": "floor", "value": 3}]


def test_an_array_is_expanded_with_its_indexes_and_an_empty_one_keeps_its_event_only_with_outer_apply() -> None:
    rows: list[Row] = [{"n": 1, "list": [5, 6], "ts": at(1)}, {"n": 2, "list": [], "ts": at(2)}]
    query = (
        "SELECT n, e.ArrayIndex AS i, e.ArrayValue AS v INTO o FROM inp r TIMESTAMP BY ts {} APPLY GetArrayElements(r.list) AS e"
    )
    both = [{"n": 1, "i": 0, "v": 5}, {"n": 1, "i": 1, "v": 6}]
    assert run_query(query.format("CROSS"), {"inp": rows})["o"] == both
    assert run_query(query.format("OUTER"), {"inp": rows})["o"] == [*both, {"n": 2, "i": None, "v": None}]


def test_two_arrays_are_expanded_one_for_each_element_of_the_other_in_order() -> None:
    rows = [{"n": 1, "xs": [1, 2], "ys": ["a", "b", "c"], "ts": at(0)}, {"n": 2, "xs": [3], "ys": ["d"], "ts": at(1)}]
    query = """SELECT n, x.ArrayValue AS x, y.ArrayValue AS y INTO o FROM inp i TIMESTAMP BY ts
        CROSS APPLY GetArrayElements(i.xs) AS x CROSS APPLY GetArrayElements(i.ys) AS y"""
    pairs = [(row["n"], row["x"], row["y"]) for row in run_query(query, {"inp": rows})["o"]]
    assert pairs == [(1, x, y) for x in (1, 2) for y in "abc"] + [(2, 3, "d")]


def test_a_reference_join_finds_rows_and_keeps_those_without_a_match_only_with_left() -> None:
    rows: list[Row] = [{"d": "a", "ts": at(1)}, {"d": "z", "ts": at(2)}]
    rooms: list[Row] = [{"id": "a", "city": "Oslo"}, {"id": "a", "city": "Bergen"}]
    query = "SELECT i.d, r.city INTO o FROM inp i TIMESTAMP BY ts {} JOIN rooms r ON i.d = r.id"
    inner = run_query(query.format(""), {"inp": rows}, references={"rooms": rooms})["o"]
    assert sorted(row["city"] for row in inner) == ["Bergen", "Oslo"]
    left = run_query(query.format("LEFT"), {"inp": rows}, references={"rooms": rooms})["o"]
    assert {"d": "z", "city": None} in left
