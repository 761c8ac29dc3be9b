"""The steps a query is made of, as they run: each turns the rows of one tick into the rows of its own.

A tick covers the event times `lo < time <= hi`. A step's rows carry `__ts` (its event time in microseconds) and the order
columns `__o0`, `__o1`, ... that break ties. Because every result is stamped with the earliest time at which it can be known,
each step's rows of a tick lie in (lo, hi] as well, and so steps compose. Stateless steps are nested as SQL; a step that is
read twice or keeps state leaves its rows in a table of its own.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from local.stream_engine.expressions import Typed
from local.stream_engine.types import DataType, duckdb_type, json_structure, quoted, structure_literal

LO = "getvariable('lo')"
HI = "getvariable('hi')"


@dataclass(frozen=True)
class Tick:
    """One step of event time: lo exclusive, hi inclusive, in microseconds since the epoch."""

    lo: int
    hi: int


@dataclass(frozen=True)
class Column:
    """A column of a step's rows."""

    name: str
    type: DataType


class Step:
    """What all steps share: columns, order columns, and which columns somebody wants."""

    def __init__(self, name: str, columns: Sequence[Column], order: int, sources: Sequence[Step]) -> None:
        self.name = name
        self.columns = {column.name.lower(): column for column in columns}
        self.order = order
        self.sources = list(sources)
        self.readers = 0
        self.wanted: set[str] = set()

    # ---- planning

    def want(self, columns: set[str]) -> None:
        """Register a reader of some columns (lower case)."""
        self.readers += 1
        self.wanted |= columns

    def demand(self) -> None:
        """Tell the sources which of their columns this step needs, once all readers of this step are known."""
        raise NotImplementedError

    @property
    def wanted_columns(self) -> list[Column]:
        """The columns that have a reader, in order."""
        return [column for key, column in self.columns.items() if key in self.wanted]

    @property
    def is_stored(self) -> bool:
        """Whether the rows of a tick are left in a table (otherwise `rows_sql` is nested where it is read)."""
        return self.readers > 1

    @property
    def state_tables(self) -> list[str]:
        """Tables that outlive a tick and belong into a saved state."""
        return []

    # ---- running

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the tables the step keeps."""

    def run(self, connection: duckdb.DuckDBPyConnection, tick: Tick) -> None:
        """Do what the step has to do in this tick."""
        if self.is_stored:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(self.name)} AS {self.query()}")

    def rows_sql(self) -> str:
        """A SELECT for this tick's rows: the wanted columns, `__ts` and the order columns."""
        return f"SELECT * FROM {quoted(self.name)}" if self.is_stored else self.query()

    def query(self) -> str:
        """The SELECT that computes this tick's rows."""
        raise NotImplementedError


def order_columns(count: int, prefix: str = "") -> str:
    """The order columns as a list for SELECT or ORDER BY."""
    return ", ".join(f"{prefix}__o{index}" for index in range(count))


def time_order(step: Step, prefix: str = "") -> str:
    """The total order of a step's rows: event time, then order of arrival."""
    return f"{prefix}__ts, {order_columns(step.order, prefix)}"


def select_list(*parts: str) -> str:
    """Join the non-empty parts of a SELECT list."""
    return ", ".join(part for part in parts if part)


def columns_used(values: Sequence[Typed | None], alias: str) -> set[str]:
    """The columns of one relation that some expressions read."""
    return {column for value in values if value is not None for owner, column in value.uses if owner == alias}


class InputStep(Step):
    """Events of an input that the time policy has released, from the table of pending events."""

    def __init__(self, name: str, columns: Sequence[Column], pending_table: str) -> None:
        super().__init__(name, columns, 1, [])
        self.pending_table = pending_table

    @property
    def is_stored(self) -> bool:
        """Never: the pending table is read directly."""
        return False

    def demand(self) -> None:
        """An input has no sources."""

    def query(self) -> str:
        """The pending events up to hi; earlier ticks have removed theirs."""
        columns = ", ".join(quoted(column.name) for column in self.wanted_columns)
        return f"SELECT {select_list(columns, '__ts', '__o0')} FROM {quoted(self.pending_table)} WHERE __ts <= {HI}"


@dataclass(frozen=True)
class Expansion:
    """`CROSS | OUTER APPLY`: one row per entry of a list. `entries` is the SQL of a DuckDB list, read from `source`."""

    value_column: str
    index_column: str
    entries: Typed
    outer: bool


@dataclass(frozen=True)
class ReferenceJoin:
    """A join with a reference table: `alias` is the SQL name of the table in the condition."""

    table: str
    alias: str
    kind: str
    condition: Typed


class ProjectStep(Step):
    """SELECT without window or history: expand arrays, look up references, filter, compute columns."""

    def __init__(
        self,
        name: str,
        source: Step,
        items: Sequence[tuple[str, Typed]],
        where: Typed | None = None,
        expansions: Sequence[Expansion] = (),
        references: Sequence[ReferenceJoin] = (),
    ) -> None:
        super().__init__(name, [Column(item, value.type) for item, value in items], source.order + len(expansions), [source])
        self.items = list(items)
        self.where = where
        self.expansions = list(expansions)
        self.references = list(references)

    def demand(self) -> None:
        """Want what the wanted items, the filter, the expansions and the lookups read."""
        values: list[Typed | None] = [value for item, value in self.items if item.lower() in self.wanted]
        values += [self.where, *(expansion.entries for expansion in self.expansions), *(join.condition for join in self.references)]
        self.sources[0].want({column for value in values if value for _, column in value.uses} & set(self.sources[0].columns))

    def query(self) -> str:
        """One SELECT over the source."""
        rows = f"({self.sources[0].rows_sql()}) AS s"
        for depth, expansion in enumerate(self.expansions):
            rows = f"({_expanded(rows, expansion, self.sources[0].order + depth)}) AS s"
        for join in self.references:
            rows += f" {join.kind} JOIN {quoted(join.table)} AS {join.alias} ON {join.condition.sql}"
        items = ", ".join(f"{value.sql} AS {quoted(item)}" for item, value in self.items if item.lower() in self.wanted)
        where = f" WHERE {self.where.sql}" if self.where else ""
        return f"SELECT {select_list(items, 's.__ts', order_columns(self.order, 's.'))} FROM {rows}{where}"


def _expanded(rows: str, expansion: Expansion, depth: int) -> str:
    """Rows with one copy per list entry; the entry's index becomes the next order column."""
    entries, indexes = "__list", "range(len(__list))"
    if expansion.outer:
        entries = "CASE WHEN len(__list) > 0 THEN __list ELSE [NULL] END"
        indexes = "CASE WHEN len(__list) > 0 THEN range(len(__list)) ELSE [NULL]::BIGINT[] END"
    listed = f"SELECT s.*, {expansion.entries.sql} AS __list FROM {rows}"
    unnested = f"SELECT * EXCLUDE (__list), unnest({entries}) AS {quoted(expansion.value_column)}, unnest({indexes}) AS {quoted(expansion.index_column)} FROM ({listed})"
    return f"SELECT *, coalesce({quoted(expansion.index_column)}, 0) AS __o{depth} FROM ({unnested})"


def list_of_elements(array: Typed) -> str:
    """The SQL of a DuckDB list with the elements of a JSON array; NULL when it is none."""
    element = array.type.element
    structure = "JSON" if element is None or element.kind == "null" else json_structure(element)
    return f"from_json({array.sql}, {structure_literal([structure])})"


class UnionStep(Step):
    """UNION: the rows of both queries, duplicates included."""

    def __init__(self, name: str, left: Step, right: Step, columns: Sequence[Column]) -> None:
        super().__init__(name, columns, 1 + max(left.order, right.order), [left, right])

    def demand(self) -> None:
        """Want the same columns of both sides."""
        for source in self.sources:
            source.want(set(self.wanted))

    def query(self) -> str:
        """UNION ALL with the side as the first order column."""
        return " UNION ALL ".join(self._side(index, source) for index, source in enumerate(self.sources))

    def _side(self, index: int, source: Step) -> str:
        columns = ", ".join(
            f"CAST({quoted(source.columns[column.name.lower()].name)} AS {duckdb_type(column.type)}) AS {quoted(column.name)}"
            for column in self.wanted_columns
        )
        padded = [f"__o{depth}" if depth < source.order else "0" for depth in range(self.order - 1)]
        order = ", ".join(f"{value} AS __o{depth + 1}" for depth, value in enumerate(padded))
        return f"SELECT {select_list(columns, '__ts', f'{index} AS __o0', order)} FROM ({source.rows_sql()})"
