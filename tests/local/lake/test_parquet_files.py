"""Files written by DuckDB are files of a Delta table: readers find every row, and skip by what the log says of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable, Field, Schema
from deltalake.transaction import AddAction

from local.lake import parquet_files
from local.lake.parquet_files import write_files

COLUMNS = {"id": "VARCHAR", "seen": "TIMESTAMPTZ", "day": "VARCHAR", "n": "BIGINT", "x": "DOUBLE", "ok": "BOOLEAN"}
KINDS = {"id": "string", "seen": "timestamp", "day": "string", "n": "long", "x": "double", "ok": "boolean"}
DAYS = ["2026-03-02", "a b=ü%/x", "", None]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("set TimeZone = 'UTC'")
        yield opened


def rows(connection: duckdb.DuckDBPyConnection, day: str | None, count: int = 3) -> duckdb.DuckDBPyRelation:
    literal = "null" if day is None else "'" + day.replace("'", "''") + "'"
    return connection.sql(
        f"select 'r' || i as id, make_timestamptz(2026, 3, 2, 8, 0, i + 0.1234567) as seen, {literal}::varchar as day, "
        f"case when i > 0 then i end as n, i / 4 as x, null::boolean as ok from range({count}) as t(i)"
    )


def made(folder: Path, partition_by: str | None) -> DeltaTable:
    return DeltaTable.create(
        str(folder), schema=Schema([Field(name, kind) for name, kind in KINDS.items()]), partition_by=partition_by
    )


def written(connection: duckdb.DuckDBPyConnection, given: duckdb.DuckDBPyRelation, folder: Path, *layout: Any) -> list[AddAction]:
    """The files of the rows of a relation."""
    given.create_view("given")
    return list(write_files(connection, "given", folder, *layout))


def commit(table: DeltaTable, actions: list[Any], partition_by: str | None) -> None:
    table.create_write_transaction(actions, "append", table.schema(), partition_by)
    table.update_incremental()


@pytest.mark.parametrize("partition_by", [None, "day"])
def test_what_is_written_is_what_delta_readers_read(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, partition_by: str | None
) -> None:
    """Whatever the partition is called."""
    table = made(tmp_path, partition_by)
    for day in DAYS if partition_by else DAYS[:1]:
        commit(table, written(connection, rows(connection, day), tmp_path, COLUMNS, partition_by), partition_by)
    table.optimize.compact()  # delta-rs reads every file and writes it anew
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    uris = [uri.removeprefix("file://") for uri in table.file_uris()]
    found = connection.sql(
        f"select * from read_parquet({uris}, hive_partitioning = {bool(partition_by)}, hive_types_autocast = false)"
    )
    kept = found.project("id, seen, n, x, ok").order("id, seen").fetchall()
    expected = [
        row
        for day in (DAYS if partition_by else DAYS[:1])
        for row in rows(connection, day).project("id, seen, n, x, ok").fetchall()
    ]
    assert kept == sorted(expected, key=lambda row: row[0])


def test_a_batch_of_several_days_gets_a_file_for_each(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    both = rows(connection, "2026-03-02").union(rows(connection, "2026-03-03", 2))
    actions = written(connection, both, tmp_path, COLUMNS, "day")
    assert [(action.partition_values, json.loads(action.stats)["numRecords"]) for action in actions] == [
        ({"day": "2026-03-02"}, 3),
        ({"day": "2026-03-03"}, 2),
    ]
    assert all((tmp_path / action.path).stat().st_size == action.size for action in actions)


def test_the_log_says_what_a_file_may_be_skipped_by(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Times are cut to milliseconds; a column without a value has no bounds."""
    (action,) = written(connection, rows(connection, "2026-03-02"), tmp_path, COLUMNS, "day")
    assert json.loads(action.stats) == {
        "numRecords": 3,
        "minValues": {"seen": "2026-03-02T08:00:00.123Z", "n": 1, "x": 0.0},
        "maxValues": {"seen": "2026-03-02T08:00:02.123Z", "n": 2, "x": 0.5},
        "nullCount": {"id": 0, "seen": 0, "n": 1, "x": 0, "ok": 3},
    }


def test_what_json_cannot_tell_is_no_bound(tmp_path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """An event with 1e999 for a value has an infinite one; the table goes on."""
    infinite = rows(connection, None).project("id, seen, day, n, case when n = 2 then 'inf'::double else x end as x, ok")
    table = made(tmp_path, None)
    actions = written(connection, infinite, tmp_path, COLUMNS, None)
    assert json.loads(actions[0].stats)["minValues"]["x"] == 0.0
    assert "x" not in json.loads(actions[0].stats)["maxValues"]
    commit(table, actions, None)
    assert DeltaTable(str(tmp_path)).get_add_actions(flatten=True)["num_records"].to_pylist() == [3]


def test_a_file_that_cannot_be_finished_is_taken_away(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = rows(connection, "2026-03-02").project(
        "case when n = 2 then error('no more') else id end as id, seen, day, n, x, ok"
    )
    with pytest.raises(duckdb.Error, match="no more"):
        written(connection, broken, tmp_path, COLUMNS, None)
    assert list(tmp_path.rglob("*.parquet")) == []
    monkeypatch.setattr(parquet_files, "NULL_PARTITION", "x" * 300)
    with pytest.raises(OSError, match="too long"):
        written(connection, rows(connection, None), tmp_path, COLUMNS, "day")
