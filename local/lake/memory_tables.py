"""What the live store holds in memory: tables in schema `live`, kept up to date from the rows that are new."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import duckdb

from asa_engine.statements import execute
from local.lake.kusto_rows import column_definitions
from local.part import PartError
from powerbi.kusto_schema import NEWEST, KustoTable, KustoView

FEWEST_DELETED, MOST_DELETED = 1_000, 20_000
"""DuckDB keeps the space of deleted rows in memory; rewriting a table gives it back. It is due when as many rows are deleted as
the table has, within these bounds: a table then takes at most twice its space, and rewriting it is a part of what filled it.
"""


class MemoryTable:
    """A table in memory, fed with the rows that a connection sees under the name of its `source`."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self._table = f'live."{name}"'
        self._deleted = 0

    def merge(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take in the new rows, of which some may have been taken in before."""
        raise NotImplementedError

    def rebuild_when_due(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give back the memory of deleted rows now and then."""
        if self._deleted < FEWEST_DELETED:
            return
        ((rows,),) = execute(connection, f"select count(*) from {self._table}").fetchall()
        if self._deleted >= min(rows, MOST_DELETED):
            execute(connection, f"create or replace table {self._table} as from {self._table}")
            self._deleted = 0

    def _delete(self, connection: duckdb.DuckDBPyConnection, which: str) -> None:
        self._deleted += int(execute(connection, f"delete from {self._table} {which}").fetchall()[0][0])


class RecentRows(MemoryTable):
    """The rows of a live table that are at most `age` older than its newest, each `key` once."""

    def __init__(self, table: KustoTable, age: timedelta, key: Sequence[str]) -> None:
        super().__init__(table.name, table.name)
        self._key = key
        self._columns = column_definitions(table)
        self._time = f'"{table.time_column}"'
        self._age = age

    def create(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the table, empty."""
        execute(connection, f"create table {self._table} ({self._columns})")

    def merge(self, connection: duckdb.DuckDBPyConnection) -> None:
        """See MemoryTable.merge."""
        key = ", ".join(f'"{name}"' for name in self._key)
        same = " and ".join(f'old."{name}" is not distinct from new."{name}"' for name in self._key)
        execute(
            connection,
            f"""insert into {self._table}
                from (from temp."{self.source}" qualify row_number() over (partition by {key}) = 1) as new
                where not exists (from {self._table} as old where {same})""",
        )
        oldest = f"select max({self._time}) - interval {self._age.total_seconds()} second from {self._table}"
        self._delete(connection, f"where {self._time} < ({oldest})")


class NewestRows(MemoryTable):
    """A materialized view: the newest row per key. `sql` is the view's query as translated for DuckDB.

    Keeping it up to date from new rows alone is only right for views that keep the newest: any other raises PartError.
    """

    def __init__(self, view: KustoView, sql: str) -> None:
        super().__init__(view.name, view.source)
        form = NEWEST.search(view.query)
        if not form:
            raise PartError(
                f"view {view.name} must end in `| summarize arg_max(<time>, *) by <key>` to be kept up to date locally"
            )
        self._sql = sql
        self._newer = f'old."{form["time"]}" > new."{form["time"]}"'
        keys = (name.strip() for name in form["key"].split(","))
        self._same = " and ".join(f'old."{name}" is not distinct from new."{name}"' for name in keys)

    def create(self, connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
        """Make the table from what `connection` sees under the source's name; return its columns with their DuckDB types."""
        execute(connection, f"create table {self._table} as {self._sql}")
        described = execute(connection, f"select column_name, column_type from (describe {self._table})").fetchall()
        return [(str(name), str(kind)) for name, kind in described]

    def merge(self, connection: duckdb.DuckDBPyConnection) -> None:
        """See MemoryTable.merge."""
        # Inner joins only: DuckDB looks the many rows up among the few new ones, an anti join would do it the other way round.
        execute(connection, f"create or replace temp table newest as {self._sql}")
        if not execute(connection, "from newest limit 1").fetchall():  # each look through the many rows costs milliseconds
            return
        execute(connection, f"delete from newest as new using {self._table} as old where {self._same} and {self._newer}")
        self._delete(connection, f"as old using newest as new where {self._same}")
        execute(connection, f"insert into {self._table} by name from newest")
