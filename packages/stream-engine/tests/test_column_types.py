"""What the columns of the outputs would be on Azure, where records have types and columns have none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from asa_engine.column_types import ColumnType
from asa_engine.command import app
from asa_engine.commands import types

MIXED: list[dict[str, Any]] = [
    {"v": 21, "t": "a", "o": {"x": 1}, "list": [{"n": 1}, {"n": 1.5}], "B": True},
    {"V": 21.5, "t": 7, "o": {"X": 2}, "list": [{"n": 2}], "b": None},
    {"v": 22, "t": "b", "list": []},
    {"v": 23, "other": 1},
]


def columns(tmp_path: Path, query: str, events: list[dict[str, Any]]) -> dict[str, str]:
    (tmp_path / "q.asaql").write_text(query)
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return {column.column: str(column) for column in types(tmp_path / "q.asaql", {"e": tmp_path / "e.jsonl"})}


WAYS = [
    ("a column", "SELECT v AS c INTO o FROM e", "bigint in 75%, float in 25%"),
    ("by an alias", "SELECT s.v AS c INTO o FROM e s", "bigint in 75%, float in 25%"),
    ("a text that is sometimes a number", "SELECT t AS c INTO o FROM e", "nvarchar(max) in 67%, bigint in 33%"),
    ("a field, whatever its case", "SELECT o.x AS c INTO o FROM e", "bigint in 100%"),
    ("null is of no type", "SELECT b AS c INTO o FROM e", "bit in 100%"),
    ("through steps", "WITH a AS (SELECT v AS w FROM e), b AS (SELECT * FROM a) SELECT w AS c INTO o FROM b",
     "bigint in 75%, float in 25%"),
    ("through a subquery", "SELECT c INTO o FROM (SELECT v AS c FROM e) s", "bigint in 75%, float in 25%"),
    ("elements of an array", "SELECT s.ArrayValue.n AS c INTO o FROM e CROSS APPLY GetArrayElements(e.list) AS s",
     "bigint in 67%, float in 33%"),
    ("of two steps", "WITH a AS (SELECT s.ArrayValue AS w FROM e OUTER APPLY GetArrayElements(e.list) AS s) "
     "SELECT w.n AS c INTO o FROM a", "bigint in 67%, float in 33%"),
    ("the value before", "SELECT LAG(v) OVER (LIMIT DURATION(hour, 1)) AS c INTO o FROM e", "bigint in 75%, float in 25%"),
    ("the largest", "SELECT MAX(v) AS c INTO o FROM e GROUP BY TumblingWindow(minute, 1)", "bigint in 75%, float in 25%"),
    ("one of two", "SELECT CASE WHEN v > 21 THEN v ELSE NULL END AS c INTO o FROM e", "bigint in 75%, float in 25%"),
    ("of both sides", "SELECT o.x AS c INTO o FROM e UNION SELECT v AS c FROM e", "bigint in 83%, float in 17%"),
    ("every column", "SELECT * INTO o FROM e", "bigint in 75%, float in 25%"),
    ("CAST", "SELECT CAST(v AS float) AS c INTO o FROM e", "float"),
    ("CAST in a step", "WITH a AS (SELECT CAST(v AS float) AS w FROM e) SELECT w AS c INTO o FROM a", "float"),
    ("a count", "SELECT COUNT(*) AS c INTO o FROM e GROUP BY TumblingWindow(minute, 1)", "bigint"),
    ("calculated", "SELECT v * 2.0 AS c INTO o FROM e", "float"),
    ("a text of the query", "SELECT 'x' AS c INTO o FROM e", "nvarchar(max)"),
    ("declared", "CREATE TABLE e (v float, o record); SELECT v AS c INTO o FROM e", "float"),
    ("below what is declared", "CREATE TABLE e (v float, o record); SELECT o.x AS c INTO o FROM e", "bigint in 100%"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "wanted"), [way[1:] for way in WAYS], ids=[way[0] for way in WAYS])
def test_a_column_has_the_types_of_the_values_that_reach_it(tmp_path: Path, query: str, wanted: str) -> None:
    found = columns(tmp_path, query, MIXED)
    assert found.get("c", found.get("v")) == wanted


def test_what_is_known_of_an_input_leaves_a_number_open() -> None:
    """JSON Schema's number is a bigint in one record and a float in the next."""
    assert str(ColumnType("o", "c", "float", (("bigint", 0), ("float", 0)))) == "bigint or float"


def test_check_names_the_columns_in_which_records_differ(tmp_path: Path) -> None:
    (tmp_path / "q.asaql").write_text("SELECT v, CAST(v AS float) AS w INTO o FROM e")
    (tmp_path / "e.jsonl").write_text('{"v": 1}\n{"v": 1.5}\n')
    words = ["check", str(tmp_path / "q.asaql"), "--input", f"e={tmp_path / 'e.jsonl'}"]
    assert CliRunner().invoke(app, words).exit_code == 0
    result = CliRunner().invoke(app, [*words, "--types"])
    assert result.exit_code == 1
    assert "o.v: records differ in its type (bigint in 50%, float in 50%)." in result.output
    assert "o.w" not in result.output and "CAST it" in result.output
