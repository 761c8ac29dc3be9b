"""Engines share one running DuckDB, and nothing else."""

from __future__ import annotations

import gc
from pathlib import Path

import duckdb
import pytest
from query_runner import run_query

from asa_engine.databases import Database, calculator

TOO_DEEP = "SELECT json_structure(('[' || repeat('[', 200) || repeat(']', 200) || ']')::JSON)"


def names(database: Database) -> set[str]:
    return {name for (name,) in database.connection.execute("SELECT database_name FROM duckdb_databases()").fetchall()}


def test_a_table_of_one_database_is_none_of_another() -> None:
    one, other = Database(), Database()
    one.connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    assert one.cursor().execute("FROM t").fetchall() == [(1,)]
    with pytest.raises(duckdb.CatalogException):
        other.connection.execute("FROM t")


def test_a_database_goes_with_the_last_who_has_it() -> None:
    stays, goes = Database(), Database()
    cursor = goes.cursor()
    before = names(stays)
    del goes
    gc.collect()
    assert len(before - names(stays)) == 1
    cursor.close()


def test_a_given_connection_keeps_its_tables_and_is_not_left() -> None:
    with duckdb.connect() as given:
        database = Database(given)
        database.cursor().execute("CREATE TABLE t AS SELECT 1 / 0 AS x")
        assert given.execute("FROM t").fetchall() == [(None,)]


def test_two_databases_save_at_the_same_time_into_files_of_their_own(tmp_path: Path) -> None:
    databases = [Database() for _ in range(2)]
    for number, database in enumerate(databases):
        with database.attached(tmp_path / str(number)):
            database.connection.execute(f"CREATE TABLE saved.t AS SELECT {number} AS x")
    for number, database in enumerate(databases):
        with database.attached(tmp_path / str(number), "(READ_ONLY)"):
            assert database.connection.execute("FROM saved.t").fetchall() == [(number,)]


def test_a_fault_that_duckdb_does_not_survive_ends_the_run_that_met_it_and_no_later_one() -> None:
    with pytest.raises(duckdb.InternalException):
        calculator().execute(TOO_DEEP).fetchall()
    found = run_query("SELECT id INTO o FROM e TIMESTAMP BY ts", {"e": [{"id": 7, "ts": "2026-03-01T00:00:00Z"}]})
    assert found["o"] == [{"id": 7}]
