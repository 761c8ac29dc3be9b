"""Numbers the keys of PARTITION BY, so that what is remembered of a key has a place in an array."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np

from asa_engine.expressions import Typed
from asa_engine.history import KeyedRows
from asa_engine.statements import execute
from asa_engine.steps import order_columns
from asa_engine.types import duckdb_type, quoted

_SPARED = 1000
"""Keys that nobody needs any more are put up with until they are so many, and more than half."""


class KeyTable:
    """The keys that have been seen, numbered from 0."""

    def __init__(self, name: str, keys: Sequence[Typed]) -> None:
        self.name = name
        self.keys = list(keys)
        self.count = 0 if keys else 1

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the table."""
        columns = [f"k{place} {duckdb_type(key.type)}" for place, key in enumerate(self.keys)]
        connection.execute(f"CREATE TABLE {quoted(self.name)} ({', '.join([*columns, '__key BIGINT'])})")

    def store(self, connection: duckdb.DuckDBPyConnection, table: str, rows: str, order: int) -> KeyedRows:
        """Leave rows (a SELECT with `order` order columns) in a table, with the number of their key as `__key`."""
        name = quoted(table)
        numbered = f"SELECT s.*, k.__key FROM ({rows}) AS s LEFT JOIN {quoted(self.name)} AS k ON {self._match}"
        if not self.keys:
            numbered = f"SELECT s.*, 0::BIGINT AS __key FROM ({rows}) AS s"
        execute(connection, f"CREATE OR REPLACE TABLE {name} AS {numbered}")
        numbers = numbers_and_times(connection, table, order)
        if np.ma.is_masked(numbers[0]):
            known = self.count
            self._add_unknown(connection, table)
            connection.execute(
                f"CREATE OR REPLACE TABLE {name} AS SELECT s.* REPLACE (coalesce(s.__key, k.__key) AS __key) FROM {name} AS s "
                f"LEFT JOIN (SELECT * FROM {quoted(self.name)} WHERE __key >= {known}) AS k ON s.__key IS NULL AND {self._match}"
            )
            numbers = numbers_and_times(connection, table, order)
        return KeyedRows.of(*numbers)

    @property
    def _match(self) -> str:
        return " AND ".join(f"{key.sql} IS NOT DISTINCT FROM k.k{place}" for place, key in enumerate(self.keys))

    def _add_unknown(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        keys = ", ".join(f"{key.sql} AS k{place}" for place, key in enumerate(self.keys))
        added = connection.execute(
            f"INSERT INTO {quoted(self.name)} SELECT *, {self.count} + row_number() OVER () - 1 "
            f"FROM (SELECT DISTINCT {keys} FROM {quoted(table)} AS s WHERE __key IS NULL)"
        ).fetchone()
        self.count += added[0] if added else 0

    def forget(self, connection: duckdb.DuckDBPyConnection, needed: np.ndarray) -> np.ndarray | None:
        """Forget keys nobody needs, once they are many (`needed` by number). Returns the old numbers of the others."""
        kept = np.flatnonzero(needed)
        if not self.keys or self.count - len(kept) <= max(len(kept), _SPARED):
            return None
        connection.register("__kept", {"old": kept, "new": np.arange(len(kept), dtype=np.int64)})
        connection.execute(
            f"CREATE OR REPLACE TABLE {quoted(self.name)} AS SELECT k.* REPLACE (n.new AS __key) "
            f"FROM {quoted(self.name)} AS k JOIN __kept AS n ON n.old = k.__key"
        )
        connection.unregister("__kept")
        self.count = len(kept)
        return kept

    def restored(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Count the keys of a table that a saved state brought back."""
        if self.keys:
            ((self.count,),) = connection.execute(f"SELECT coalesce(max(__key) + 1, 0) FROM {quoted(self.name)}").fetchall()


def numbers_and_times(connection: duckdb.DuckDBPyConnection, table: str, order: int) -> list[np.ndarray]:
    """The numbers of the keys (masked where there is none yet), the times and the order columns of rows, as they lie there."""
    stored = execute(connection, f"SELECT __key, __ts, {order_columns(order)} FROM {quoted(table)}").fetchnumpy()
    return list(stored.values())
