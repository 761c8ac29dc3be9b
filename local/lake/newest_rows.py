"""A materialized view of the live store: the newest row per key, kept up to date from the rows that are new."""

from __future__ import annotations

import re

import duckdb

from local.part import PartError
from powerbi.kusto_schema import KustoView

CHANGED_ROWS_PER_REBUILD = 20_000
"""DuckDB keeps the space of replaced rows in memory; rewriting a table after this many gives it back."""

_FORM = re.compile(r"\|\s*summarize\s+arg_max\((?P<time>\w+),\s*\*\)\s+by\s+(?P<key>[\w\s,]+)$")


class NewestRows:
    """The rows of `view`, in table `live.<name>`; `sql` is its query as translated for DuckDB.

    Merging is only right for views that end in `summarize arg_max(time, *) by key`: any other raises PartError.
    """

    def __init__(self, view: KustoView, sql: str) -> None:
        form = _FORM.search(view.query)
        if not form:
            raise PartError(
                f"view {view.name} must end in `| summarize arg_max(<time>, *) by <key>` to be kept up to date locally"
            )
        self.source = view.source
        self._table = f'live."{view.name}"'
        self._sql = sql
        self._older = f'old."{form["time"]}" <= new."{form["time"]}"'
        keys = (name.strip() for name in form["key"].split(","))
        self._same = " and ".join(f'old."{name}" is not distinct from new."{name}"' for name in keys)
        self._changed = 0

    def create(self, connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
        """Make the table from what `connection` sees under the source's name; return its columns with their DuckDB types."""
        connection.execute(f"create table {self._table} as {self._sql}")
        described = connection.execute(f"select column_name, column_type from (describe {self._table})").fetchall()
        return [(str(name), str(kind)) for name, kind in described]

    def merge(self, connection: duckdb.DuckDBPyConnection, complete: bool) -> None:
        """Take in the rows that `connection` sees under the source's name; if they are `complete`, forget all others."""
        if complete:
            connection.execute(f"delete from {self._table}")
        connection.execute(f"create or replace temp table newest as {self._sql}")
        connection.execute(f"delete from {self._table} as old using newest as new where {self._same} and {self._older}")
        added = f"insert into {self._table} by name select * from newest as new anti join {self._table} as old on {self._same}"
        self._changed += int(connection.execute(added).fetchall()[0][0])
        connection.execute("drop table newest")

    def rebuild_when_due(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give back the memory of replaced rows now and then."""
        if self._changed > CHANGED_ROWS_PER_REBUILD:
            connection.execute(f"create or replace table {self._table} as from {self._table}")
            self._changed = 0
