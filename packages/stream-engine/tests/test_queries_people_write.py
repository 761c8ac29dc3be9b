"""Queries as tutorials, samples and people write them run; the expected rows are written by hand from the reference's pages."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from query_runner import at, run_query

from asa_engine.engine import StreamEngine
from asa_engine.errors import QueryError
from asa_engine.lint import lint
from asa_engine.parser import DEEPEST, NESTED_AT_MOST, parse
from asa_engine.plan import plan_query
from asa_engine.types import ANY, BIGINT, DATETIME, NULL, NVARCHAR, DataType, Schema, record_of

EVENTS: list[dict[str, Any]] = [
    {"device": device, "v": number, "timestamp": at(number + 1), "limit": number, "left": number}
    for number, device in enumerate(["x", "y", "x", "x"])
]
FROM = " INTO o FROM inp TIMESTAMP BY timestamp "
MINUTE = " GROUP BY device, TumblingWindow(minute, 1) "


def rows_of(query: str) -> list[dict[str, Any]]:
    return run_query(query, {"inp": EVENTS})["o"]


def ended(seconds: float) -> str:
    """`at`, as a datetime is written."""
    return at(seconds).replace("Z", "0000Z")


def refusal_of(query: str) -> str:
    with pytest.raises(QueryError) as caught:
        rows_of(query)
    return str(caught.value)


@pytest.mark.parametrize("word", ["timestamp", "TimeStamp", "limit", "left", "inp.timestamp", "inp.limit"])
def test_a_keyword_is_a_column_where_no_clause_can_begin(word: str) -> None:
    own = word.lower().removeprefix("inp.")
    assert rows_of(f"SELECT {word} AS x{FROM}WHERE {word} IS NOT NULL") == [{"x": event[own]} for event in EVENTS]


@pytest.mark.parametrize(
    "word", ["timestamp", "by", "limit", "partition", "over", "apply", "inner", "left", "right", "full", "outer", "cross"]
)
@pytest.mark.parametrize(
    "query",
    [
        "SELECT {0} INTO o FROM inp",
        "SELECT v {0} INTO o FROM inp",
        "SELECT v AS {0} INTO o FROM inp",
        "SELECT {0} = v INTO o FROM inp",
        "SELECT r.{0} INTO o FROM inp r",
        "SELECT {0}.v INTO o FROM inp AS {0} TIMESTAMP BY t",
        "SELECT LAG({0}) OVER (PARTITION BY {0} LIMIT DURATION(hour, 1) WHEN {0} > 1) AS x INTO o FROM inp",
        "SELECT TopOne() OVER (ORDER BY {0} DESC) AS x INTO o FROM inp GROUP BY {0}, TumblingWindow(minute, 1) HAVING {0} = 1",
        "SELECT v INTO o FROM inp TIMESTAMP BY {0} PARTITION BY {0}",
        "WITH {0} AS (SELECT v FROM inp) SELECT v INTO o FROM {0} LEFT JOIN other ON {0}.v = other.v",
    ],
)
def test_every_soft_keyword_is_read_as_a_name_in_every_place(query: str, word: str) -> None:
    assert parse(query.format(word)).outputs[0].output == "o"


def test_time_made_by_a_function_has_substreams_too() -> None:
    assert parse("SELECT v INTO o FROM inp TIMESTAMP BY DATEADD(second, v, t) OVER device").outputs


@pytest.mark.parametrize(
    ("having", "devices"),
    [
        ("[Count] >= 2", ["x"]),
        ("count = 1", ["y"]),
        ("device = 'y'", ["y"]),
        ("top.v > 2 AND Count > 1", ["x"]),
        ("v + 1 > 2", ["x"]),
    ],
)
def test_having_may_use_an_alias_of_the_select_list(having: str, devices: list[str]) -> None:
    query = (
        f"SELECT device, COUNT(*) AS [Count], MAX(v) AS v, TopOne() OVER (ORDER BY v DESC) AS top{FROM}{MINUTE}HAVING {having}"
    )
    assert [row["device"] for row in rows_of(query)] == devices


def test_union_all_is_union() -> None:
    queries = [f"SELECT v{FROM}WHERE v = 1 UNION {word} SELECT v FROM inp WHERE v < 2" for word in ("", "ALL")]
    assert rows_of(queries[0]) == rows_of(queries[1]) == [{"v": 0}, {"v": 1}, {"v": 1}]


def test_distinct_keeps_one_of_equal_rows_of_one_moment() -> None:
    windowed = f"WITH w AS (SELECT device, COUNT(*) AS n FROM inp TIMESTAMP BY timestamp{MINUTE}) "
    assert rows_of(f"{windowed}SELECT DISTINCT n > 0 AS some INTO o FROM w") == [{"some": 1 > 0}]
    assert [row["device"] for row in rows_of(f"SELECT DISTINCT device{FROM}")] == ["x", "y", "x", "x"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (f"SELECT v{FROM}UNION ALL SELECT v FROM inp", "UNION ALL isn't in the reference"),
        (f"SELECT DISTINCT v{FROM}", "SELECT DISTINCT isn't in the reference"),
        (f"SELECT e.ArrayValue{FROM}CROSS APPLY GetElements(inp.a) AS e", "GetElements isn't in the reference"),
    ],
)
def test_what_only_the_reference_lacks_is_a_doubt_and_no_fault(query: str, says: str) -> None:
    (doubt,) = lint(parse(query))
    assert says in doubt.text and doubt.advice


def test_get_elements_expands_an_array() -> None:
    events = [{"a": [1, 2], "t": at(1)}]
    query = "SELECT e.ArrayValue AS x INTO o FROM inp TIMESTAMP BY t CROSS APPLY GetElements(inp.a) AS e"
    assert run_query(query, {"inp": events})["o"] == [{"x": 1}, {"x": 2}]


def test_whole_numbers_divide_to_a_whole_number_and_that_is_a_doubt() -> None:
    query = f"SELECT v / 2 AS half, -v / 2 AS minus, v / 0 AS none, v / 2.0 AS exact{FROM}WHERE v = 3"
    assert rows_of(query) == [{"half": 1, "minus": -1, "none": None, "exact": 1.5}]
    doubts = plan_query(query, {"inp": Schema({"v": BIGINT, "timestamp": NVARCHAR})}).doubts
    assert [query[doubt.position.column - 1 :][:3] for doubt in doubts] == ["/ 2", "/ 2", "/ 0"]


TEXTS = ["abc", "Abc", "a%c", "a[c", "a]c", "a-c", "a\\c", "dbc", "abcd", "a\nc", ""]


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("[a-c]bc", ["abc"]),
        ("[^a-c]bc", ["Abc", "dbc"]),
        ("a[[]c", ["a[c"]),
        ("a[%]c", ["a%c"]),
        ("a[-]c", ["a-c"]),
        ("a[\\]c", ["a\\c"]),
        ("a\\c", ["a\\c"]),
        ("a_c", ["abc", "a%c", "a[c", "a]c", "a-c", "a\\c", "a\nc"]),
        ("[a]%", ["abc", "a%c", "a[c", "a]c", "a-c", "a\\c", "abcd", "a\nc"]),
    ],
)
def test_like_knows_sets_of_characters(pattern: str, matching: list[str]) -> None:
    events = [{"s": text, "t": at(number)} for number, text in enumerate(TEXTS)]
    found = run_query(f"SELECT s INTO o FROM inp TIMESTAMP BY t WHERE s LIKE '{pattern}'", {"inp": events})["o"]
    assert [row["s"] for row in found] == matching


@pytest.mark.parametrize("test", ["device LIKE 'a[b'", "PATINDEX('%[b%', device) > 0"])
def test_a_set_without_an_end_is_refused(test: str) -> None:
    assert "has no end" in refusal_of(f"SELECT v{FROM}WHERE {test}")


def nested(depth: int) -> dict[str, str]:
    return {
        "parentheses": "(" * depth + "v" + ")" * depth,
        "functions": "ABS(" * depth + "v" + ")" * depth,
        "cases": "CASE WHEN v > 0 THEN " * depth + "v" + " ELSE 0 END" * depth,
        "signs": "- " * depth + "v",
        "nots": f"CASE WHEN {'NOT ' * depth} v > 0 THEN 1 ELSE 0 END",
    }


@pytest.mark.parametrize("kind", list(nested(1)))
@pytest.mark.parametrize("depth", [NESTED_AT_MOST, 300, 3_000])
def test_what_is_nested_too_deep_is_refused_with_the_bound(kind: str, depth: int) -> None:
    assert f"nested more than {NESTED_AT_MOST} deep" in refusal_of(f"SELECT {nested(depth)[kind]} AS x{FROM}")


@pytest.mark.parametrize("kind", list(nested(1)))
def test_what_is_nested_less_deep_runs(kind: str) -> None:
    assert len(rows_of(f"SELECT {nested(NESTED_AT_MOST - 4)[kind]} AS x{FROM}")) == len(EVENTS)


@pytest.mark.parametrize("operator", [" + ", " - ", " * "])
def test_a_chain_that_is_too_long_is_refused_with_the_bound(operator: str) -> None:
    assert f"more than {DEEPEST} operators" in refusal_of(f"SELECT {operator.join(['v'] * 3_000)} AS x{FROM}")
    assert len(rows_of(f"SELECT {operator.join(['0'] * (DEEPEST - 5))} AS x{FROM}")) == len(EVENTS)


def test_a_long_union_is_refused_with_the_bound() -> None:
    assert f"more than {DEEPEST} operators" in refusal_of(f"SELECT v{FROM}" + "UNION SELECT v FROM inp " * 300)


@pytest.mark.parametrize("operator", ["AND", "OR"])
def test_thousands_of_conditions_run(operator: str) -> None:
    conditions = f" {operator} ".join(f"v {'<>' if operator == 'AND' else '='} {number}" for number in range(1, 3_000))
    assert [row["v"] for row in rows_of(f"SELECT v{FROM}WHERE {conditions}")] == ([0] if operator == "AND" else [1, 2, 3])


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (f"SELECT LAG(v, 1000000000) OVER (LIMIT DURATION(hour, 1)) AS x{FROM}", "10,000 events at most"),
        (
            f"SELECT COUNT(*) AS n{FROM}GROUP BY HoppingWindow(Duration(day, 1), Hop(millisecond, 1))",
            "86,400,000 windows; 10,000",
        ),
    ],
)
def test_what_would_eat_the_machine_is_refused_with_the_bound(query: str, says: str) -> None:
    assert says in refusal_of(query)


@pytest.mark.parametrize(("name", "value"), [("a", "1"), ("b", "x"), ("o/o", "2"), ("t~t", "3"), ("none", None), ('q"', "4")])
@pytest.mark.parametrize("extra", [{}, {"r": {"mixed": [1]}}])
def test_the_name_of_a_property_may_come_from_a_column(name: str, value: str | None, extra: dict[str, Any]) -> None:
    event = {"s": {"a": 1, "b": "x", "o/o": 2, "t~t": 3, 'q"': 4} | extra, "name": name, "t": at(1)}
    query = "SELECT CAST(GetRecordPropertyValue(s, name) AS nvarchar(max)) AS x INTO o FROM inp TIMESTAMP BY t"
    assert run_query(query, {"inp": [event]})["o"] == [{"x": value}]


TIMES = ["2026-03-02", "2026-03-02T10:00:00Z", "2026-03-02T12:00:00+02:00", "2026-03-02 10:00:00.0000000Z"]


@pytest.mark.parametrize("text", TIMES)
def test_iso_8601_is_a_time(text: str) -> None:
    query = "SELECT TRY_CAST(s AS datetime) AS x INTO o FROM inp TIMESTAMP BY t"
    hour = "00" if len(text) == 10 else "10"
    assert run_query(query, {"inp": [{"s": text, "t": at(1)}]})["o"] == [{"x": f"2026-03-02T{hour}:00:00.0000000Z"}]


@pytest.mark.parametrize("name", ["__ts", "__row", "__o0", "__json", "__anything", "rowid"])
@pytest.mark.parametrize("query", ["SELECT *", "SELECT v AS [{0}]", "SELECT v, [{0}] AS x"])
def test_a_column_with_a_name_of_the_engine_s_own_is_refused_by_name(name: str, query: str) -> None:
    events = [{name: 1, "v": 1, "t": at(1)}]
    with pytest.raises(QueryError, match="the engine's own columns"):
        run_query(f"{query.format(name)} INTO o FROM inp TIMESTAMP BY t", {"inp": events})


@pytest.mark.parametrize("name", ["__ts", "__row", "__json", "rowid"])
def test_a_column_with_such_a_name_that_nobody_reads_does_no_harm(name: str) -> None:
    events = [{name: 1, "v": 1, "t": at(1)}]
    assert run_query("SELECT v INTO o FROM inp TIMESTAMP BY t", {"inp": events})["o"] == [{"v": 1}]


def test_the_time_of_rows_is_a_key_beside_a_window_and_a_window_alone_or_among_several() -> None:
    counted = (
        "WITH n AS (SELECT device, COUNT(*) AS n FROM inp TIMESTAMP BY timestamp GROUP BY device, TumblingWindow(second, 2)) "
    )
    per_moment = counted + "SELECT SUM(n) AS n, System.Timestamp() AS t INTO o FROM n GROUP BY System.Timestamp()"
    assert rows_of(per_moment) == [{"n": 2, "t": ended(2)}, {"n": 2, "t": ended(4)}]
    assert rows_of(per_moment + ", Tumbling(minute, 1)") == [{"n": 2, "t": ended(60)}, {"n": 2, "t": ended(60)}]
    several = counted + "SELECT SUM(n) AS n INTO o FROM n GROUP BY Windows(TumblingWindow(minute, 1), System.Timestamp())"
    assert sorted(row["n"] for row in rows_of(several)) == [2, 2, 4]


def test_units_may_have_an_s_and_that_is_a_doubt() -> None:
    query = f"SELECT COUNT(*) AS n, MIN(DATEADD(seconds, 1, timestamp)) AS hours{FROM}GROUP BY TumblingWindow(Minutes, 1)"
    assert rows_of(query) == [{"n": 4, "hours": ended(2)}]
    assert [doubt.advice for doubt in lint(parse(query))] == ["Write second.", "Write minute."]
    assert lint(parse("SELECT SUM(hours) AS n INTO o FROM inp GROUP BY TumblingWindow(minute, 1)")) == []


@pytest.mark.parametrize(
    ("day", "week"),
    [("2026-01-01", 1), ("2026-01-03", 1), ("2026-01-04", 2), ("2026-12-31", 53), ("2023-01-01", 1), ("2028-12-31", 54)],
)
def test_a_week_is_the_one_of_t_sql(day: str, week: int) -> None:
    query = "SELECT DATEPART(week, d) AS n, DATENAME(ww, d) AS name, DATEADD(wk, 1, d) AS later INTO o FROM inp TIMESTAMP BY d"
    (found,) = run_query(query, {"inp": [{"d": day}]})["o"]
    assert (found["n"], found["name"]) == (week, str(week))
    assert datetime.fromisoformat(found["later"]).date() - date.fromisoformat(day) == timedelta(days=7)


SAMPLE = Schema({"r": record_of({"a": BIGINT}), "s": NVARCHAR}, is_sample=True)


@pytest.mark.parametrize(
    "read",
    [
        "r.b",
        "(LAG(r) OVER (LIMIT DURATION(hour, 1))).b",
        "GetRecordPropertyValue(r, 'b')",
        "(LAST(r) OVER (LIMIT DURATION(hour, 1))).b.c",
    ],
)
def test_a_field_no_event_of_a_sample_has_is_null_however_it_is_read(read: str) -> None:
    plan = plan_query(f"SELECT {read} AS x INTO o FROM inp", {"inp": SAMPLE})
    assert plan.outputs[0].columns[0].type == NULL
    assert [doubt.text.partition(" has ")[0] for doubt in plan.doubts] == ["No event of the sample"]
    with pytest.raises(QueryError, match="no field b"):
        plan_query(f"SELECT {read} AS x INTO o FROM inp", {"inp": Schema(SAMPLE.columns)})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("EventEnqueuedUtcTime", DATETIME),
        ("[EventHub].[EventProcessedUtcTime]", DATETIME),
        ("EventHub.PartitionId", BIGINT),
        ("[IoTHub].[ConnectionDeviceId]", NVARCHAR),
        ("IoTHub.EnqueuedTime", DATETIME),
        ("EventId", NULL),
        ("[User].[s]", NULL),
        ("[EventHub].[Offset]", NULL),
        ("EventHub", NULL),
        ("s", NULL),
        ("", NULL),
    ],
)
def test_metadata_has_what_is_known_of_an_event_and_else_null_with_a_doubt(name: str, kind: DataType) -> None:
    plan = plan_query(f"SELECT GetMetadataPropertyValue(e, '{name}') AS x INTO o FROM inp e", {"inp": SAMPLE})
    assert plan.outputs[0].columns[0].type == kind
    assert [f"Nothing here knows {name} of an event" in doubt.text for doubt in plan.doubts] == [True] * (kind == NULL)


MIXED: list[dict[str, Any]] = [
    {"x": value, "n": number, "t": at(number)} for number, value in enumerate([3, 2.5, "3", "a", True, None, {"b": 1}, [3]])
]


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        ("x > 2", [0, 1]),
        ("2.5 = x", [1]),
        ("x BETWEEN 3 AND 4", [0]),
        ("x IN (3, 4)", [0]),
        ("x = '3'", [2]),
        ("x <> 'a'", [2]),
        ("x + 1 > 3", [0, 1]),
        ("CASE x WHEN 3 THEN 1 ELSE 0 END = 1", [0]),
    ],
)
def test_a_value_is_compared_as_what_it_is_in_each_event(condition: str, numbers: list[int]) -> None:
    query = f"SELECT n INTO o FROM inp TIMESTAMP BY t WHERE {condition}"
    assert [row["n"] for row in run_query(query, {"inp": MIXED})["o"]] == numbers
    doubts = plan_query(query, {"inp": Schema({"x": ANY, "n": BIGINT, "t": NVARCHAR})}).doubts
    assert doubts and all("Each event has its own type" in doubt.text for doubt in doubts)


def test_aggregates_and_choices_take_values_of_several_types() -> None:
    whole = run_query(
        "SELECT SUM(x) AS s, AVG(x) AS a INTO o FROM inp TIMESTAMP BY t GROUP BY TumblingWindow(hour, 1)", {"inp": MIXED}
    )
    assert [(row["s"], row["a"]) for row in whole["o"]] == [(3, 3), (2.5, 2.5)]  # the first event ends a window
    query = "SELECT CASE WHEN n < 1 THEN 'few' WHEN n < 2 THEN n ELSE System.Timestamp() END AS c, COALESCE(x, 'none') AS d{0}"
    (few, one, two, *_, five, _, _) = run_query(query.format(" INTO o FROM inp TIMESTAMP BY t"), {"inp": MIXED})["o"]
    assert [few["c"], one["c"], two["c"], few["d"], five["d"]] == ["few", 1, ended(2), 3, "none"]


def test_two_types_of_one_column_are_a_doubt() -> None:
    schema = {"inp": Schema({"v": BIGINT, "s": NVARCHAR})}
    plan = plan_query(
        "SELECT CASE v WHEN 1 THEN v ELSE s END AS x, COALESCE(s, v) AS y, COALESCE(v, 1.5) AS z INTO o FROM inp", schema
    )
    assert [str(column.type) for column in plan.outputs[0].columns] == ["any", "any", "float"]
    assert [doubt.text.partition(":")[0] for doubt in plan.doubts] == [
        "The branches of CASE are bigint and nvarchar(max)",
        "The arguments of COALESCE are nvarchar(max) and bigint",
    ]


def test_an_array_or_a_record_no_event_of_a_sample_has_is_empty() -> None:
    events = {"inp": [{"n": 1, "t": at(1)}]}
    applied = "SELECT n, e.ArrayValue.b AS b INTO o FROM i {0} APPLY GetArrayElements(gone.items) AS e"
    query = "WITH i AS (SELECT n, {1} AS gone FROM inp TIMESTAMP BY t) " + applied
    for made in ("NULL", "GetRecordPropertyValue(NULL, 'a')"):
        assert run_query(query.format("CROSS", made).replace("gone.items", "gone"), events)["o"] == []
        assert run_query(query.format("OUTER", made).replace("gone.items", "gone"), events)["o"] == [{"n": 1, "b": None}]
    properties = "SELECT n, p.PropertyName AS b INTO o FROM inp TIMESTAMP BY t OUTER APPLY GetRecordProperties(NULL) AS p"
    assert run_query(properties, events)["o"][0].get("b") is None
    lengths = "SELECT GetArrayLength(NULL) AS l, GetArrayElement(NULL, 0) AS e, n INTO o FROM inp TIMESTAMP BY t"
    (found,) = run_query(lengths, events)["o"]
    assert (found.get("l"), found.get("e"), found["n"]) == (None, None, 1)


MOMENTS: dict[str, float] = {
    "2026-03-02": 0,
    "2026-03-02T10:00:00.1234567Z": 36_000.123456,
    "2026-03-02 10:00": 36_000,
    "2026-03-02T10:00+02:30": 27_000,
    "2026-03-02T10:00:00z": 36_000,
}
NO_TIMES = ["epoch", "infinity", "-infinity", "2026-03-02 10:00 CET", "2026-03-02 10:00 Europe/Paris", "44-03-15 (BC)"]
NO_TIMES += [" 2026-03-02T10:00:00Z", "2026-03-02T10:00:00.5Z\n", "2026-03-02T10:00:00 NZ", "2026-03-02T10:00: 0Z"]
NO_TIMES += ["today", "", " ", "5"]


@pytest.mark.parametrize("text", [*MOMENTS, *NO_TIMES])
def test_only_iso_8601_is_a_time(text: str) -> None:
    """In TIMESTAMP BY, in a declared column and in TRY_CAST alike."""
    expected = [MOMENTS[text] + 86_400] if text in MOMENTS else []
    seconds = "DATEDIFF(microsecond, '2026-03-01T00:00:00Z', {0}) / 1e6 AS s INTO o FROM inp"
    cast, body = "TRY_CAST(t AS datetime)", json.dumps({"t": text})
    for query, kind in (
        (f"SELECT {seconds.format('System.Timestamp()')} TIMESTAMP BY t", NVARCHAR),
        (f"SELECT {seconds.format('t')} TIMESTAMP BY t", DATETIME),
        (f"SELECT {seconds.format(cast)} TIMESTAMP BY '2026-03-01' WHERE {cast} IS NOT NULL", NVARCHAR),
    ):
        engine = StreamEngine(query, {"inp": Schema({"t": kind})})
        engine.feed("inp", [body])
        assert [row["s"] for output in engine.finish() for row in output.rows()] == expected
        engine.close()
