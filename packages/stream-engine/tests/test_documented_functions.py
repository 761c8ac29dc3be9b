"""Functions and operators by the pages of the language's reference: their examples, and what their remarks say."""

from __future__ import annotations

from typing import Any

import pytest
from query_runner import at, run_query, schema_of, value_of

from asa_engine.errors import CalculationError, QueryError
from asa_engine.plan import plan_query

ROW = {"text": "abcdefg", "n": 2, "f": 0.5, "minus": -1, "yes": True, "no": False, "nothing": None, "ts": at(0)}


TEXTS: list[tuple[str, Any]] = [
    ("LEN('ab c  ')", 4),
    ("LEN('  ')", 0),
    ("TRIM('\t\n a test \u00a0\u3000')", "a test"),
    ("LTRIM('  Left test ')", "Left test "),
    ("RTRIM(' Right test\r\n')", " Right test"),
    ("SUBSTRING('abcdefg', 2, 4)", "bcde"),
    ("SUBSTRING(text, 6, 100)", "fg"),
    ("SUBSTRING(text, 8, 1)", ""),
    ("SUBSTRING(text, 9223372036854775807, 1)", ""),
    ("SUBSTRING(text, n, 9223372036854775807)", "bcdefg"),
    ("SUBSTRING(text, 2, 0)", ""),
    ("SUBSTRING(text, 0, 3)", "ab"),
    ("SUBSTRING(text, -1, 3)", "a"),
    ("SUBSTRING(text, minus, 1)", ""),
    ("SUBSTRING(text, 1, nothing)", None),
    ("LEFT('abcdefg', 2)", "ab"),
    ("LEFT(text, 100)", "abcdefg"),
    ("LEFT(text, 0)", ""),
    ("RIGHT('abcdefg', 2)", "fg"),
    ("RIGHT(text, 0)", ""),
    ("STUFF('abcdef', 2, 3, 'ijklmn')", "aijklmnef"),
    ("STUFF('abcdef', 2, 0, 'x')", "axbcdef"),
    ("STUFF('abcdef', 2, 100, 'x')", "ax"),
    ("STUFF('abcdef', 1, 1, 'x')", "xbcdef"),
    ("STUFF('abcdef', 6, 1, 'x')", "abcdex"),
    ("STUFF('abcdef', 7, 1, 'x')", ""),
    ("REPLACE('cdabcd', 'cd', 'x')", "xabx"),
    ("REPLACE('abcde', 'cde', '')", "ab"),
    ("REPLACE('abcde', '', 'xxx')", "abcde"),
    ("REPLACE('', 'cde', 'xxx')", ""),
    ("REPLACE('abcde', NULL, 'xxx')", None),
    ("TRANSLATE('2*[3+4]/{7-2}', '[]{}', '()()')", "2*(3+4)/(7-2)"),
    ("TRANSLATE('[137.4,72.3]', '[,]', '( )')", "(137.4 72.3)"),
    ("TRANSLATE('ab', 'ab', 'ba')", "ba"),
    ("TRANSLATE(nothing, 'a', 'b')", None),
    ("REPLICATE('0', 4 - LEN('99A'))", "0"),
    ("REPLICATE('0', 0)", ""),
    ("REPLICATE('0', minus)", None),
    ("REPLICATE(NULL, 2)", None),
    ("CONCAT(REPLICATE('0', minus), text)", "abcdefg"),
    ("REVERSE('abcdefg')", "gfedcba"),
    ("RTRIM('LastName  ') + ',' + SPACE(1) + LTRIM('    FirstName')", "LastName, FirstName"),
    ("SPACE(minus)", None),
    ("UNICODE('茶')", 33590),
    ("UNICODE('')", None),
    ("NCHAR(33590)", "茶"),
    ("NCHAR(UNICODE(text))", "a"),
    ("NCHAR(minus)", None),
    ("NCHAR(1114112)", None),
    ("CONCAT(nothing, nothing)", ""),
    ("CONCAT_WS(', ', '1 Microsoft Way', nothing, 'Redmond')", "1 Microsoft Way, Redmond"),
    ("CONCAT_WS(',', nothing, nothing)", ""),
    ("CHARINDEX('cd', text)", 3),
    ("CHARINDEX('z', text)", 0),
    ("CHARINDEX('a', 'banana', 3)", 4),
    ("CHARINDEX('a', 'banana', 7)", 0),
    ("CHARINDEX('a', 'banana', 0)", 2),
    ("CHARINDEX('a', 'banana', minus)", 2),
    ("PATINDEX('%c_e%', text)", 3),
    ("PATINDEX('%a%n%', 'xbanana')", 3),
    ("PATINDEX('ab%', text)", 1),
    ("PATINDEX('bc%', text)", 0),
    ("PATINDEX('%fg', text)", 6),
    ("PATINDEX('%f', text)", 0),
    ("PATINDEX('%.%', 'a.b')", 2),
    ("REGEXMATCH('AB 123', '[0-9][0-9][0-9]')", 4),
    ("REGEXMATCH('AB 123', 'b')", 2),
    ("REGEXMATCH('concat cat', '\\bcat')", 8),
    ("REGEXMATCH('aXb\nY', 'b.y')", 3),
    ("REGEXMATCH(text, 'z')", 0),
    ("REGEXMATCH(text, 'z|f|d')", 4),
    ("REGEXMATCH(nothing, 'z')", None),
    ("REGEXMATCH(text, nothing)", None),
]
NUMBERS: list[tuple[str, Any]] = [
    ("ROUND(1, 0)", 1),
    ("ROUND(-1, 0)", -1),
    ("ROUND(0.5, 0)", 1.0),
    ("ROUND(-0.5, 0)", -1.0),
    ("ROUND(1.234, 2)", 1.23),
    ("ROUND(1.234, 10)", 1.234),
    ("ROUND(123.4, -1)", 120.0),
    ("ROUND(123.4, -10)", 0.0),
    ("ROUND(501.0101, -3)", 1000.0),
    ("ROUND(123.9995, 3)", 124.0),
    ("ROUND(15, -1)", 20),
    ("170 & 75", 10),
    ("170 | 75", 235),
    ("170 ^ 75", 225),
    ("~170", -171),
    ("yes & no", False),
    ("yes | no", True),
    ("yes ^ yes", False),
    ("~no", True),
    ("n & yes", 0),
    ("nothing & 1", None),
    ("1 + 2 & 3 * 1", 3),
    ("nothing + 1", None),
    ("n * nothing - f", None),
    ("ABS(nothing)", None),
    ("GetType(yes & n) + GetType(yes | no) + GetType(~yes)", "bigintbitbit"),
    ("FLOOR(9007199254740993)", 9007199254740993),
    ("CEILING(9223372036854775807)", 9223372036854775807),
    ("-9223372036854775808", -(2**63)),
    ("9223372036854775807 + -9223372036854775808", -1),
]
RECORDS: list[tuple[str, Any]] = [
    ("""JSON_PARSE('{"SalesOrderID":"65191"}')""", {"SalesOrderID": "65191"}),
    ("""JSON_PARSE('{"a":{"b":2}}').a.b""", 2),
    ("JSON_PARSE('[1]')", None),
    ("JSON_PARSE('{')", None),
    ("JSON_PARSE(nothing)", None),
    ("""JSON_PARSE('{"a":[NaN]}')""", None),
    ("""JSON_PARSE('{"a":"NaN"}').a""", "NaN"),
    ("CAST(JSON_PARSE('{\"a\":1}') AS record).a", 1),
]


@pytest.mark.parametrize(("expression", "expected"), TEXTS + NUMBERS + RECORDS)
def test_what_the_reference_says(expression: str, expected: Any) -> None:
    found = value_of(expression, ROW)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "expression",
    [
        "SUBSTRING(text, 1, minus)",
        "LEFT(text, minus)",
        "RIGHT(text, minus)",
        "STUFF(text, 1, minus, '')",
        "TRANSLATE(text, 'ab', 'c')",
        "SQRT(minus)",
        "9223372036854775807 + n",
        "-9223372036854775807 - n",
        "DATEADD(day, 1, '9999-12-31T00:00:00Z')",
        "DATEADD(year, -2026, '2026-01-01T00:00:00Z')",
        "DATETIMEFROMPARTS(2026, 2, 28, 24, 0, 0, 0)",
        "DATETIMEFROMPARTS(2026, 2, 28, 23, 60, 0, 0)",
        "DATETIMEFROMPARTS(2026, 2, 28, 23, 59, 60, 0)",
        "DATETIMEFROMPARTS(2026, 2, 28, 23, 59, 59, 1000)",
        "DATETIMEFROMPARTS(2026, 2, 28, 23, 59, 59, minus)",
        "DATETIMEFROMPARTS(10000, 1, 1, 0, 0, 0, 0)",
    ],
)
def test_what_has_no_result_stops_the_run(expression: str) -> None:
    with pytest.raises(CalculationError, match="A calculation failed"):
        value_of(expression, ROW)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("REGEXREPLACE(text, 'a', 'b')", "REPLACE or TRANSLATE"),
        ("REGEXMATCH(text, '(?=a)')", "regular expression can't be read here"),
        ("REGEXMATCH(text, '[')", "regular expression can't be read here"),
        ("PATINDEX('%[ab%', text)", "has no end"),
        ("LEFT(text, f)", "needs a bigint"),
        ("ROUND(f, f)", "needs a bigint"),
        ("f & 1", "needs bigint or bit"),
        ("~text", "needs bigint or bit"),
        ("CASE WHEN n = 1 THEN 1 END", "ELSE NULL"),
        ("CASE WHEN text LIKE '[c-a]%' THEN 1 ELSE 0 END", "The range c-a in this pattern ends before it begins"),
        ("PATINDEX('%[^z-b]%', text)", "Turn it round"),
        ("DATETIMEFROMPARTS(2026, 1.9, 1, 0, 0, 0, 0)", "needs a bigint"),
        ("1e400", "doesn't fit a float"),
        ("9223372036854775808", "doesn't fit a bigint"),
        ("-(9223372036854775809)", "doesn't fit a bigint"),
    ],
)
def test_what_is_not_documented_is_refused(expression: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        value_of(expression, ROW)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("PERCENTILE_CONT(0.95) OVER (ORDER BY v)", 0.988),
        ("PERCENTILE_DISC(0.95) OVER (ORDER BY v)", 0.99),
        ("PERCENTILE_DISC(0.5) OVER (ORDER BY w)", 2),
        ("PERCENTILE_DISC(0.5) OVER (ORDER BY w DESC)", 3),
        ("PERCENTILE_CONT(0.25) OVER (ORDER BY w DESC)", 3.25),
        ("AVG(NULL)", None),
        ("TopOne(w) OVER (ORDER BY v DESC)", 4),
        ("TopOne(v + w) OVER (ORDER BY v)", 3.78),
        ("COUNT()", 5),
        ("COUNT(inp)", 5),
        ("COUNT(w)", 4),
        ("SUM(NULL)", None),
    ],
)
def test_aggregates(function: str, expected: Any) -> None:
    rows = [{"v": v, "w": w, "ts": at(1)} for v, w in zip((0.98, 0.93, 0.78, 0.99, 0.89), (1, 2, 3, 4, None), strict=True)]
    query = f"SELECT {function} AS x INTO o FROM inp TIMESTAMP BY ts GROUP BY TumblingWindow(second, 5)"
    (found,) = run_query(query, {"inp": rows})["o"]
    assert found["x"] == pytest.approx(expected)


@pytest.mark.parametrize("counted", ["*", "", "inp"])
def test_events_are_counted_over_their_past_as_well(counted: str) -> None:
    rows: list[dict[str, Any]] = [{"v": None, "ts": at(second)} for second in (1, 2, 9)]
    query = f"SELECT COUNT({counted}) OVER (LIMIT DURATION(second, 5)) AS c INTO o FROM inp TIMESTAMP BY ts"
    assert [row["c"] for row in run_query(query, {"inp": rows})["o"]] == [1, 2, 1]


@pytest.mark.parametrize("function", ["Collect(v)", "TopOne() OVER (ORDER BY v", "STDEV(v)"])
def test_an_aggregate_that_cannot_look_back_here_says_so(function: str) -> None:
    call = f"{function} LIMIT DURATION(minute, 5))" if "OVER" in function else f"{function} OVER (LIMIT DURATION(minute, 5))"
    with pytest.raises(QueryError, match=r"isn't run here: only SUM, AVG, MIN, MAX, COUNT look back so"):
        run_query(f"SELECT {call} AS x INTO o FROM inp TIMESTAMP BY ts", {"inp": [{"v": 1, "ts": at(1)}]})


@pytest.mark.parametrize("rows_kept", ["0", "-1", "1.5"])
def test_the_best_rows_are_a_whole_number_of_them(rows_kept: str) -> None:
    top = f"CollectTop({rows_kept}) OVER (ORDER BY v)"
    query = f"SELECT {top} AS x INTO o FROM inp TIMESTAMP BY ts GROUP BY TumblingWindow(second, 5)"
    with pytest.raises(QueryError, match="whole number of at least 1"):
        run_query(query, {"inp": [{"v": 1, "ts": at(1)}]})


@pytest.mark.parametrize("place", ["TumblingWindow(second, 1.5)", "HoppingWindow(Duration(second, 4), Hop(second, 0.5))"])
def test_a_length_of_time_is_a_whole_number(place: str) -> None:
    with pytest.raises(QueryError, match=r"must be a whole number.*\n(.*\n)*.*smaller unit"):
        run_query(f"SELECT COUNT(*) AS c INTO o FROM inp TIMESTAMP BY ts GROUP BY {place}", {"inp": [{"v": 1, "ts": at(1)}]})


def test_having_without_groups_is_a_where() -> None:
    rows = [{"v": v, "ts": at(v)} for v in (1, 2, 3, 4)]
    query = "SELECT v INTO o FROM inp TIMESTAMP BY ts WHERE v < 4 HAVING v > 1"
    assert [row["v"] for row in run_query(query, {"inp": rows})["o"]] == [2, 3]


def test_a_stream_is_cut_into_one_partition_at_least() -> None:
    query = "SELECT v INTO o FROM inp PARTITION BY v INTO {} TIMESTAMP BY ts"
    assert run_query(query.format(2), {"inp": [{"v": 1, "ts": at(1)}]})["o"] == [{"v": 1}]
    for count in ("0", "two"):
        with pytest.raises(QueryError, match="number of partitions of at least 1"):
            run_query(query.format(count), {"inp": [{"v": 1, "ts": at(1)}]})


def test_what_the_pages_restrict_is_a_doubt() -> None:
    schemas = {"inp": schema_of([{"t": "10", "v": 1, "ts": at(1)}])}
    grouped = "SELECT {} AS x INTO o FROM inp TIMESTAMP BY ts GROUP BY TumblingWindow(second, 5)"
    doubted = {
        grouped.format("MIN(t)"): "reads a text as a float unless",
        grouped.format("MIN(CAST(t AS nvarchar(max)))"): None,
        grouped.format("MAX(v)"): None,
        grouped.format("TopOne() OVER (ORDER BY t)"): "orders by bigint, float and datetime only",
        grouped.format("TopOne() OVER (ORDER BY CAST(ts AS datetime))"): None,
        "SELECT MAX(t) OVER (LIMIT DURATION(day, 1)) AS x INTO o FROM inp TIMESTAMP BY ts": "reads a text as a float unless",
        "SELECT DATEDIFF(week, ts, ts) AS x INTO o FROM inp TIMESTAMP BY ts": "here it is Sunday",
    }
    for query, expected in doubted.items():
        found = [doubt.text for doubt in plan_query(query, schemas).doubts]
        assert [expected in text for text in found] == [True] if expected else found == [], query


@pytest.mark.parametrize(
    ("start", "end", "weeks"),
    [
        ("2026-01-03T23:59:59Z", "2026-01-04T00:00:00Z", 1),
        ("2026-01-04T00:00:00Z", "2026-01-10T23:59:59Z", 0),
        ("2026-01-11T00:00:00Z", "2026-01-03T00:00:00Z", -2),
        ("2025-12-28T00:00:00Z", "2026-01-03T00:00:00Z", 0),
    ],
)
def test_weeks_are_counted_from_sunday_to_sunday(start: str, end: str, weeks: int) -> None:
    assert value_of(f"DATEDIFF(week, '{start}', '{end}')", ROW) == weeks
    assert value_of(f"DATEDIFF(weekday, '{start}', '{end}') - DATEDIFF(day, '{start}', '{end}')", ROW) == 0


def test_a_comment_without_an_end_is_named() -> None:
    with pytest.raises(QueryError, match="This comment has no end"):
        run_query("SELECT v INTO o FROM inp /* TIMESTAMP BY ts", {"inp": [{"v": 1, "ts": at(1)}]})


def test_a_column_to_the_left_of_a_star_goes_before_the_one_in_it() -> None:
    rows = [{"v": 1, "w": 2, "r": {"w": 3, "x": 4}, "ts": at(1)}]
    (found,) = run_query("SELECT v + 100 AS V, r.*, * INTO o FROM inp TIMESTAMP BY ts", {"inp": rows})["o"]
    assert found == {"V": 101, "w": 3, "x": 4, "r": {"w": 3, "x": 4}, "ts": at(1)}


def test_a_column_of_a_star_stays_when_one_to_its_right_has_its_name() -> None:
    query = "SELECT *, {0} AS v INTO o FROM inp TIMESTAMP BY ts"
    rows = [{"v": 1, "ts": at(1)}]
    doubts = {}
    for expression in ("v", "inp.V", "v + 100"):
        assert run_query(query.format(expression), {"inp": rows})["o"] == rows
        found = plan_query(query.format(expression), {"inp": schema_of(rows)}).doubts
        doubts[expression] = [doubt.text for doubt in found if "takes precedence" in doubt.text]
    assert [len(found) for found in doubts.values()] == [0, 0, 1]
    with pytest.raises(QueryError, match="two columns v"):
        run_query("SELECT v, v + 100 AS v INTO o FROM inp TIMESTAMP BY ts", {"inp": rows})


def test_all_is_what_an_aggregate_means_anyway() -> None:
    rows: list[dict[str, Any]] = [{"v": 1, "ts": at(1)}, {"v": 1, "ts": at(2)}, {"v": None, "ts": at(3)}]
    query = "SELECT COUNT(ALL v) AS c, COUNT(DISTINCT v) AS u INTO o FROM inp TIMESTAMP BY ts GROUP BY TumblingWindow(second, 5)"
    assert run_query(query, {"inp": rows})["o"] == [{"c": 2, "u": 1}]


def test_reference_data_is_not_joined_over_timelines_of_their_own() -> None:
    query = "SELECT i.v, r.city INTO o FROM inp i TIMESTAMP BY ts OVER d JOIN rooms r ON i.d = r.d"
    with pytest.raises(QueryError, match="no reference data in a query with TIMESTAMP BY OVER"):
        run_query(query, {"inp": [{"v": 1, "d": "a", "ts": at(1)}]}, references={"rooms": [{"d": "a", "city": "Oslo"}]})


def test_patterns_over_rows_are_refused_by_name() -> None:
    with pytest.raises(QueryError, match="MATCH_RECOGNIZE isn't supported"):
        run_query("SELECT * INTO o FROM inp MATCH_RECOGNIZE (LIMIT DURATION (minute, 1))", {"inp": [ROW]})


@pytest.mark.parametrize("window", ["TumblingWindow(second, 5)", "SessionWindow(second, 5, 20)", "SlidingWindow(second, 5)"])
def test_the_best_rows_come_with_their_rank_whatever_the_columns_are_called(window: str) -> None:
    rows = [{"place": place, "row": number, "ts": at(1)} for number, place in enumerate(("c", "a", "b"))]
    query = f"SELECT CollectTop(2) OVER (ORDER BY row DESC) AS top INTO o FROM inp TIMESTAMP BY ts GROUP BY {window}"
    found = run_query(query, {"inp": rows})["o"][0]["top"]
    assert [(one["rank"], one["value"]["place"]) for one in found] == [(1, "b"), (2, "a")]
