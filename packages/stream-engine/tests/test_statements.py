"""SQL that comes again is parsed once, and means the same on every connection."""

from __future__ import annotations

import duckdb
import pytest

from asa_engine import statements
from asa_engine.statements import execute


def test_a_text_is_parsed_once_and_runs_on_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "_parsed", {})
    with duckdb.connect() as one, duckdb.connect() as other:
        for connection, value in ((one, 1), (other, 2), (one, 3)):
            execute(connection, "CREATE OR REPLACE TABLE t AS SELECT $1 AS v", [value])
            assert execute(connection, "SELECT v FROM t").fetchall() == [(value,)]
    assert len(statements._parsed) == 2


def test_the_last_of_several_statements_gives_the_result() -> None:
    with duckdb.connect() as connection:
        assert execute(connection, "CREATE TABLE t (v INT); INSERT INTO t VALUES (7); FROM t").fetchall() == [(7,)]


def test_no_more_than_some_texts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "_parsed", {})
    monkeypatch.setattr(statements, "_KEPT", 3)
    with duckdb.connect() as connection:
        for number in range(10):
            assert execute(connection, f"SELECT {number}").fetchall() == [(number,)]
            assert len(statements._parsed) <= 3
