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

from asa_engine.expressions import Typed
from asa_engine.statements import execute
from asa_engine.types import DataType, duckdb_type, json_structure, quoted, structure_literal

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
    """What all steps share: columns, order columns, who reads what, and how rows are read.

    Wide values are not copied from step to step. A stored step's table is a *base*: later rows point at it (`__row` holds its
    rowid), and a column that merely passes through is fetched from the base by whoever finally needs it. Only what the windows
    of LAG and LAST look at is carried along.
    """

    def __init__(self, name: str, columns: Sequence[Column], order: int, sources: Sequence[Step]) -> None:
        self.name = name
        self.columns = {column.name.lower(): column for column in columns}
        self.order = order
        self.is_sample: bool = bool(sources) and all(source.is_sample for source in sources)
        self.sources = list(sources)
        self.readers = 0
        self.filters: list[Typed] = []
        self.fetched: set[str] = set()
        self.carried: set[str] = set()
        self.pointed = False
        self.base: Step | None = None
        self.passed: dict[str, str] = {}

    # ---- planning

    def link(self) -> None:
        """Find the base of this step and which columns come from it unchanged; the sources are linked already."""

    @property
    def offered(self) -> Step | None:
        """The base at which the rows of this step point, for its readers."""
        return self.base

    def want(self, fetched: set[str], carried: set[str] = frozenset(), pointer: bool = False) -> None:  # type: ignore[assignment]
        """Register what a reader needs (lower case): columns it may fetch from the base, columns it wants carried, a pointer."""
        self.fetched |= fetched
        self.carried |= carried
        self.pointed |= pointer

    @property
    def wanted(self) -> set[str]:
        """All columns that have a reader."""
        return self.fetched | self.carried

    @property
    def wanted_columns(self) -> list[Column]:
        """The columns that have a reader, in order."""
        return [column for key, column in self.columns.items() if key in self.wanted]

    def demand(self) -> None:
        """Give the sources what this step needs, once all readers of this step are known."""
        raise NotImplementedError

    @property
    def is_stored(self) -> bool:
        """Whether the rows of a tick are left in a table (otherwise they are computed where they are read)."""
        return self.readers > 1

    @property
    def held(self) -> set[str]:
        """The columns the step's own table holds: what is carried, and what no base has."""
        return self.carried | {key for key in self.fetched if self.base is None or key not in self.passed}

    @property
    def keyed_by(self) -> tuple[str, ...] | None:
        """The columns of the keys whose numbers `read_keyed` gives; None when there are none."""
        return None

    @property
    def state_tables(self) -> list[str]:
        """Tables that outlive a tick and belong into a saved state."""
        return []

    @property
    def keeps(self) -> list[tuple[str, str]]:
        """What the step keeps between ticks and for how long, in words."""
        return []

    # ---- running

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the tables the step keeps."""

    def run(self, connection: duckdb.DuckDBPyConnection, tick: Tick) -> None:
        """Do what the step has to do in this tick."""
        if self.is_stored:
            execute(connection, f"CREATE OR REPLACE TABLE {quoted(self.name)} AS {self.query()}")

    def save(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Write what outlives a tick to the attached database `saved`."""
        save_tables(connection, self.state_tables)

    def restore(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take over what `save` wrote."""
        restore_tables(connection, self.state_tables)

    def query(self) -> str:
        """The SELECT that computes the rows of a stored step's table."""
        raise NotImplementedError

    def read(self, columns: set[str], pointer: bool = False) -> str:
        """A SELECT for this tick's rows: some columns, `__row` if asked for, `__ts` and the order columns."""
        row = "" if not pointer else "t.rowid AS __row" if self.offered is self else "t.__row"
        return self._select(columns, [row, "t.__ts", order_columns(self.order, "t.")])

    def read_keyed(self, columns: set[str], pointer: bool, unfiltered: bool = False) -> str:
        """Like `read`, with the number of the key (`keyed_by`) as `__key`.

        `unfiltered`: filters of nested steps needn't be looked at, for in this tick every row passes.
        """
        raise NotImplementedError

    def by_row(self, columns: set[str]) -> str:
        """A SELECT for some columns of the rows of this tick, with the row's id as `__id`: how others fetch from a base."""
        return self._select(columns, ["t.rowid AS __id"])

    def _select(self, columns: set[str], others: list[str]) -> str:
        own = [f"t.{quoted(self.columns[key].name)}" for key in self.columns if key in columns & self.held]
        far = [key for key in self.columns if key in columns - self.held]
        source = f"{self._rows(columns & self.held)} AS t"
        if far and self.base is not None:
            own += [f"b.{quoted(self.base.columns[self.passed[key]].name)} AS {quoted(self.columns[key].name)}" for key in far]
            source += f" JOIN ({self.base.by_row({self.passed[key] for key in far})}) AS b ON b.__id = t.__row"
        return f"SELECT {select_list(*own, *others)} FROM {source}"

    def _rows(self, columns: set[str]) -> str:
        """What holds the rows of this tick, with these columns at least: a table, or a SELECT in parentheses."""
        return quoted(self.name)

    def _fetch_from_base(self) -> None:
        """Give the base what readers fetch through this step."""
        if self.base is not None:
            self.base.want({self.passed[key] for key in self.fetched - self.held})

    @property
    def needs_pointer(self) -> bool:
        """Whether the table has to hold pointers to the base: to fetch from it, or because readers pass them on."""
        return self.base is not None and (bool(self.fetched - self.held) or (self.pointed and self.offered is self.base))


def save_tables(connection: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> None:
    """Copy tables to the attached database `saved`."""
    for table in tables:
        connection.execute(f"CREATE TABLE saved.{quoted(table)} AS FROM {quoted(table)}")


def restore_tables(connection: duckdb.DuckDBPyConnection, tables: Sequence[str]) -> None:
    """Copy tables from the attached database `saved`."""
    for table in tables:
        connection.execute(f"CREATE OR REPLACE TABLE {quoted(table)} AS FROM saved.{quoted(table)}")


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
    """Events of an input that the time policy has released: from the table of pending events, and their times beside it."""

    def __init__(self, name: str, columns: Sequence[Column], pending_table: str) -> None:
        super().__init__(name, columns, 1, [])
        self.pending_table = pending_table
        self.metadata: frozenset[str] = frozenset()
        self.times_table = f"{pending_table}_times"
        self.paths: dict[str, tuple[str, ...]] = {}

    def field_column(self, record: Column, field_name: str) -> Column:
        """The column that holds one field of a record, so that the record itself need not be kept; its path is in `paths`."""
        found = record.type.field_named(field_name)
        assert found is not None
        column = Column(f"{record.name}.{found[0]}", found[1])
        self.paths[column.name] = (*self.paths.get(record.name, (record.name,)), found[0])
        self.columns[column.name.lower()] = column
        return column

    @property
    def is_stored(self) -> bool:
        """Never: the pending table is read directly."""
        return False

    @property
    def offered(self) -> Step:
        """The pending table is a base."""
        return self

    def demand(self) -> None:
        """An input has no sources."""

    def read(self, columns: set[str], pointer: bool = False) -> str:
        """The pending events up to hi; earlier ticks have removed theirs."""
        names = [quoted(self.columns[key].name) for key in self.columns if key in columns]
        row = "p.rowid AS __row" if pointer else ""
        rows = f"{quoted(self.pending_table)} AS p POSITIONAL JOIN {quoted(self.times_table)} AS t"
        return f"SELECT {select_list(*names, row, '__ts', '__o0')} FROM {rows} WHERE __ts <= {HI}"

    def by_row(self, columns: set[str]) -> str:
        """Pending events by row id."""
        names = [quoted(self.columns[key].name) for key in self.columns if key in columns]
        return f"SELECT {select_list(*names, 'rowid AS __id')} FROM {quoted(self.pending_table)}"


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

    def link(self) -> None:
        """Items that are plain columns of the source stay where the source's base has them."""
        source = self.sources[0]
        self.base = source.offered
        if self.base is not None:
            for item, value in self.items:
                column = value.plain_column
                if column is not None and column in source.columns:
                    origin = column if source.offered is source else source.passed.get(column)
                    if origin is not None:
                        self.passed[item.lower()] = origin

    @property
    def offered(self) -> Step | None:
        """Rows keep pointing where the source's do; a stored projection whose source has no base is one itself."""
        return self.base or (self if self.is_stored else None)

    def demand(self) -> None:
        """Want what items, filter, expansions and lookups read; plain columns only if they can't be left behind."""
        carried = self._reads(self.carried) if not self.is_stored else set()
        fetched = self._reads(self.held if self.is_stored else self.fetched)
        shared = self._shared_reads()
        if self.carried and not self.is_stored:
            carried |= shared
        self.sources[0].want(fetched | shared, carried, self.needs_pointer if self.is_stored else self.pointed)
        if self.where and not self.expansions and not self.references:
            self.sources[0].filters.append(self.where)
        if self.is_stored:
            self._fetch_from_base()

    def _reads(self, items: set[str]) -> set[str]:
        used = {column for item, value in self.items if item.lower() in items for _, column in value.uses}
        return used & set(self.sources[0].columns)

    def _shared_reads(self) -> set[str]:
        values = [
            self.where,
            *(expansion.entries for expansion in self.expansions),
            *(join.condition for join in self.references),
        ]
        return {column for value in values if value for _, column in value.uses} & set(self.sources[0].columns)

    def query(self) -> str:
        """The stored rows: the columns no base has, and pointers to those it has. What every reader filters out is left out."""
        rows = self._computed(self.held, self.needs_pointer)
        looked_at = {column for condition in self.filters for _, column in condition.uses}
        if len(self.filters) < self.readers or not looked_at <= self.held:
            return rows
        return f"SELECT * FROM ({rows}) AS s WHERE {' OR '.join(f'({condition.sql})' for condition in self.filters)}"

    def read(self, columns: set[str], pointer: bool = False) -> str:
        """Stored rows, or one SELECT over the source."""
        return super().read(columns, pointer) if self.is_stored else self._computed(columns, pointer)

    @property
    def keyed_by(self) -> tuple[str, ...] | None:
        """A nested projection keeps its source's keys, if their columns pass through it."""
        keys = self.sources[0].keyed_by
        if keys is None or self.is_stored or self.expansions or self.references:
            return None
        names = {value.plain_column: item.lower() for item, value in self.items if value.plain_column}
        return tuple(names[key] for key in keys) if all(key in names for key in keys) else None

    def read_keyed(self, columns: set[str], pointer: bool, unfiltered: bool = False) -> str:
        """One SELECT over the source with its keys."""
        used = self._reads(columns) | (set() if unfiltered else self._shared_reads())
        rows = f"({self.sources[0].read_keyed(used, pointer, unfiltered)}) AS s"
        return self._selected(columns, rows, None if unfiltered else self.where, "s.__row" if pointer else "", "s.__key")

    def _computed(self, columns: set[str], pointer: bool) -> str:
        source, used = self.sources[0], self._reads(columns) | self._shared_reads()
        rows = f"({source.read(used, pointer)}) AS s"
        for depth, expansion in enumerate(self.expansions):
            rows = f"({_expanded(rows, expansion, self.sources[0].order + depth)}) AS s"
        for join in self.references:
            rows += f" {join.kind} JOIN {quoted(join.table)} AS {join.alias} ON {join.condition.sql}"
        return self._selected(columns, rows, self.where, "s.__row" if pointer else "")

    def _selected(self, columns: set[str], rows: str, where: Typed | None, *others: str) -> str:
        items = ", ".join(f"{value.sql} AS {quoted(item)}" for item, value in self.items if item.lower() in columns)
        filtered = f" WHERE {where.sql}" if where else ""
        return f"SELECT {select_list(items, *others, 's.__ts', order_columns(self.order, 's.'))} FROM {rows}{filtered}"


def _expanded(rows: str, expansion: Expansion, depth: int) -> str:
    """Rows with one copy per list entry; the entry's index becomes the next order column."""
    entries, indexes = "__list", "range(len(__list))"
    if expansion.outer:
        entries = "CASE WHEN len(__list) > 0 THEN __list ELSE [NULL] END"
        indexes = "CASE WHEN len(__list) > 0 THEN range(len(__list)) ELSE [NULL]::BIGINT[] END"
    listed = f"SELECT s.*, {expansion.entries.sql} AS __list FROM {rows}"
    value, index = quoted(expansion.value_column), quoted(expansion.index_column)
    unnested = f"SELECT * EXCLUDE (__list), unnest({entries}) AS {value}, unnest({indexes}) AS {index} FROM ({listed})"
    return f"SELECT *, coalesce({index}, 0) AS __o{depth} FROM ({unnested})"


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
        return self._sides(self.wanted)

    def read(self, columns: set[str], pointer: bool = False) -> str:
        """Stored rows, or the union itself."""
        return super().read(columns, pointer) if self.is_stored else self._sides(columns)

    @property
    def offered(self) -> Step | None:
        """A stored union is a base."""
        return self if self.is_stored else None

    def _sides(self, columns: set[str]) -> str:
        return " UNION ALL ".join(self._side(index, source, columns) for index, source in enumerate(self.sources))

    def _side(self, index: int, source: Step, wanted: set[str]) -> str:
        columns = ", ".join(
            f"CAST({quoted(source.columns[column.name.lower()].name)} AS {duckdb_type(column.type)}) AS {quoted(column.name)}"
            for key, column in self.columns.items()
            if key in wanted
        )
        padded = [f"__o{depth}" if depth < source.order else "0" for depth in range(self.order - 1)]
        order = ", ".join(f"{value} AS __o{depth + 1}" for depth, value in enumerate(padded))
        return f"SELECT {select_list(columns, '__ts', f'{index} AS __o0', order)} FROM ({source.read(wanted)})"
