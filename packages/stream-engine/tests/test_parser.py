"""Every form the language has is read; what it doesn't have is refused with its place."""

# ruff: noqa: E501 (queries read best on one line)
from __future__ import annotations

import pytest

from asa_engine.errors import QueryError
from asa_engine.parser import parse
from asa_engine.syntax import Call, Case, Name, NamedSource, Select

FORMS = [
    "SELECT * FROM input TIMESTAMP BY ts OVER deviceId, PartitionId",
    "SELECT * FROM input TIMESTAMP BY DATEADD(millisecond, epoch, '1970-01-01T00:00:00Z')",
    "SELECT i.a FROM input i TIMESTAMP BY ts PARTITION BY PartitionId INTO 4",
    "SELECT System.Timestamp() AS t, System.Timestamp AS u FROM input",
    "SELECT COUNT(*) AS c FROM input GROUP BY TumblingWindow(Duration(hour, 1), Offset(millisecond, -1))",
    "SELECT COUNT(*) FROM input GROUP BY d, SessionWindow(minute, 5, 20) OVER (PARTITION BY d)",
    "SELECT System.Window().Id, COUNT(*) FROM input GROUP BY Windows(Window('1m', TumblingWindow(minute,1)), Window('5m', HoppingWindow(minute,5,1)))",
    "WITH s AS (SELECT * FROM input TIMESTAMP BY ts)\nSELECT * INTO o1 FROM s WHERE a=1\nSELECT * INTO o2 FROM s WHERE a=2",
    "SELECT a INTO [my-output] PARTITION BY city INTO 4 FROM [my-input]",
    "SELECT LAG(v, 1, 0) OVER (PARTITION BY d LIMIT DURATION(hour, 1) WHEN v IS NOT NULL) AS p FROM input",
    "SELECT * FROM input WHERE ISFIRST(mi, 10) OVER (PARTITION BY d WHEN v > 0) = 1",
    "SELECT TopOne() OVER (ORDER BY v DESC, t ASC) AS r FROM input GROUP BY TumblingWindow(minute,1)",
    "SELECT PERCENTILE_CONT(0.95) OVER (ORDER BY v) FROM input GROUP BY TumblingWindow(minute,1)",
    "SELECT a.x FROM A a TIMESTAMP BY t1 LEFT OUTER JOIN B b TIMESTAMP BY t2 ON DATEDIFF(mi, a, b) BETWEEN -2 AND 10 WHERE b.k IS NULL",
    "SELECT e.d, r.ArrayIndex, r.ArrayValue.k FROM input AS e CROSS APPLY GetArrayElements(e.readings) AS r",
    "SELECT deviceId, Location.*, GetArrayElement(a, 0).name FROM input",
    "SELECT TRY_CAST(v AS float) AS f, CAST(n AS nvarchar(max)) AS s, CAST(b AS bit) FROM input",
    "CREATE TABLE input (d nvarchar(max), v float, ts datetime); SELECT * INTO o FROM input TIMESTAMP BY ts",
    "SELECT a FROM i1 TIMESTAMP BY t UNION SELECT a FROM i2 TIMESTAMP BY t",
    "SELECT growth = reading - LAG(reading) OVER (LIMIT DURATION(hour, 1)) FROM input",
    "SELECT d, COUNT(*) FROM (SELECT d FROM input TIMESTAMP BY t WHERE x=1) s GROUP BY d, TumblingWindow(minute, 1)",
    "SELECT 'x' AS 'smVersion', -1.5e3 AS n, N'it''s' AS q FROM input -- a comment\n/* another */",
]


@pytest.mark.parametrize("query", FORMS)
def test_every_form_of_the_language_is_read(query: str) -> None:
    assert parse(query).outputs


def test_statements_need_no_semicolon() -> None:
    script = parse(
        "WITH a AS (SELECT x FROM i)\nSELECT x INTO p FROM a\nSELECT x INTO q FROM a UNION SELECT x FROM a\nSELECT x INTO r FROM a"
    )
    assert [statement.output for statement in script.outputs] == ["p", "q", "r"]


def test_a_source_tells_its_time_its_substreams_and_its_partitions() -> None:
    query = parse("SELECT a FROM input i TIMESTAMP BY ts OVER device, PartitionId PARTITION BY PartitionId").outputs[0].query
    assert isinstance(query, Select) and isinstance(query.source, NamedSource)
    assert query.source.alias == "i"
    assert [name.parts for name in query.source.timestamp_over if isinstance(name, Name)] == [("device",), ("PartitionId",)]


def test_equal_text_is_an_equal_tree_wherever_it_stands() -> None:
    query = (
        parse("SELECT LAG(x) OVER (LIMIT DURATION(hour,1)) AS a,\n   LAG(x) OVER (LIMIT DURATION(hour, 1)) AS b FROM i")
        .outputs[0]
        .query
    )
    assert isinstance(query, Select)
    first, second = (item.expression for item in query.items)
    assert isinstance(first, Call) and first == second and first.position != second.position


def test_and_binds_tighter_than_or_and_case_nests() -> None:
    query = (
        parse("SELECT CASE WHEN a = 1 OR b = 2 AND NOT c = 3 THEN CASE x WHEN 1 THEN 'p' ELSE 'r' END ELSE 'q' END AS v FROM i")
        .outputs[0]
        .query
    )
    assert isinstance(query, Select) and isinstance(query.items[0].expression, Case)
    condition = query.items[0].expression.branches[0][0]
    assert getattr(condition, "operator") == "OR"  # noqa: B009


@pytest.mark.parametrize(
    ("query", "line", "column", "says"),
    [
        ("SELECT a FROM i ORDER BY a", 1, 17, "no ORDER BY"),
        ("SELECT TOP 5 a FROM i", 1, 8, "TOP"),
        ("SELECT a\nFROM i RIGHT JOIN j ON 1 = 1", 2, 8, "RIGHT JOIN"),
        ("SELECT a FROM i WHERE b IN (SELECT c FROM j)", 1, 29, "list of values"),
        ("SELECT (SELECT a FROM i) FROM j", 1, 9, "isn't a value"),
        ("INSERT INTO o SELECT a FROM i", 1, 1, "not a streaming statement"),
        ("SELECT 'open FROM i", 1, 8, "no closing quote"),
        ("SELECT a FROM i WHERE", 1, 22, "expected"),
        ("SELECT a ? b FROM i", 1, 10, "Unexpected character"),
        ("WITH a AS (SELECT x INTO y FROM i) SELECT x FROM a", 1, 6, "INTO"),
        ("CREATE TABLE i (a bigint)", 1, 26, "writes nothing"),
    ],
)
def test_a_fault_names_its_line_and_column(query: str, line: int, column: int, says: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query, "q.asaql")
    (fault,) = caught.value.faults
    assert (fault.position.line, fault.position.column) == (line, column)
    assert says in str(caught.value)


def test_the_message_shows_the_line_and_points_at_the_place() -> None:
    with pytest.raises(QueryError) as caught:
        parse("SELECT a\nFROM i ORDER BY a", "q.asaql")
    first, line, caret, advice = str(caught.value).splitlines()
    assert first.startswith("q.asaql:2:8  ")
    assert line[caret.index("^") :].startswith("ORDER BY")
    assert advice.strip()
