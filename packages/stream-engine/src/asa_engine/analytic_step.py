"""LAG, LAST and ISFIRST: what came before, per key, within a limited time.

The rows of a tick are left in a table, with the number of each row's key (`key_table.py`). What the functions look at is
computed by DuckDB and read into numpy arrays, where earlier rows are found by counting (`history.py`); what they find goes
into a table whose rows lie beside the others. Across ticks a history holds the latest entries of each key: that is all a
function needs, however long its LIMIT DURATION. Steps that follow with the same keys find their keys numbered already, and in a
tick in which no row is filtered out on the way they use the very same table.

Rows of tables that lie beside each other are read with POSITIONAL JOIN, which goes by the order of the rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from asa_engine.expressions import Typed, converted
from asa_engine.history import Found, History, KeyedRows, Values
from asa_engine.key_table import KeyTable, numbers_and_times
from asa_engine.statements import execute
from asa_engine.steps import Column, ProjectStep, Step, Tick, order_columns, select_list
from asa_engine.types import DataType, duckdb_type, json_structure, quoted, structure_literal
from asa_engine.units import spelled_out

_HELD = {
    "bigint": (np.dtype(np.int64), "BIGINT"),
    "float": (np.dtype(np.float64), "DOUBLE"),
    "bit": (np.dtype(bool), "BOOLEAN"),
    "datetime": (np.dtype(np.int64), "BIGINT"),
}
_HELD_AS_TEXT = (np.dtype(object), "VARCHAR")
"""How numpy and DuckDB hold the values of a type; any other is held as a text."""


@dataclass(frozen=True)
class AnalyticFunction:
    """One call. `offset` 0 includes the current row (LAST); ISFIRST remembers the interval of the last first event.

    `partition` are its keys, `limit` how far it looks back in microseconds, `when` which rows it remembers.
    """

    kind: str
    value: Typed
    offset: int
    default: Typed | None
    limit: int
    when: Typed | None
    partition: tuple[Typed, ...]
    type: DataType

    @property
    def depth(self) -> int:
        """How many entries of a key are remembered."""
        return max(self.offset, 1)

    @property
    def held_as(self) -> str:
        """The SQL of the value as it goes into a numpy array: a number, a text, or a text with JSON."""
        value = converted(self.value, self.type)
        if self.type.kind == "datetime":
            return f"epoch_us({value})"
        if self.type.kind == "null":
            return "CAST(NULL AS VARCHAR)"
        return f"CAST(to_json({value}) AS VARCHAR)" if self.type.kind == "record" or self.type.is_json else value

    def given_back(self, held: str) -> str:
        """The SQL of the value from what a numpy array held."""
        target = duckdb_type(self.type)
        if self.type.kind == "datetime":
            return f"make_timestamp({held})"
        if self.type.kind == "record" and self.type.fields:
            return f"CAST(from_json(CAST({held} AS JSON), {structure_literal(json_structure(self.type))}) AS {target})"
        return f"CAST({held} AS {target})"

    def new_history(self) -> History:
        """A history in which nothing is remembered yet."""
        return History(self.depth, self.limit, _HELD.get(self.type.kind, _HELD_AS_TEXT)[0])


class AnalyticStep(Step):
    """The rows of a source with a column for each of some analytic functions with the same keys, named by `results`."""

    def __init__(self, name: str, source: Step, functions: Sequence[tuple[str, AnalyticFunction]]) -> None:
        columns = [*source.columns.values(), *(Column(result, function.type) for result, function in functions)]
        super().__init__(name, columns, source.order, [source])
        self.functions = [function for _, function in functions]
        self.results = [result for result, _ in functions]
        self.partition = self.functions[0].partition
        self.histories = [function.new_history() for function in self.functions]
        self.keys = KeyTable(f"{name}_keys", self.partition)
        self.sharing: list[AnalyticStep] = [self]
        self.above: AnalyticStep | None = None
        self.filtered = False
        self.lies_beside = False
        self.rows = KeyedRows.of(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))

    # ---- planning

    @property
    def is_stored(self) -> bool:
        """Always: the rows also make history."""
        return True

    @property
    def offered(self) -> Step | None:
        """Rows keep pointing at the source's base; without one this step's rows are a base."""
        return self.base or self

    @property
    def held(self) -> set[str]:
        """What is carried, what no base has, and every function's result."""
        return super().held | {name.lower() for name in self.results}

    @property
    def keyed_by(self) -> tuple[str, ...] | None:
        """The keys, if they are plain columns."""
        columns = tuple(key.plain_column for key in self.partition)
        return tuple(column for column in columns if column) if all(columns) else None

    @property
    def finds_keys_numbered(self) -> bool:
        """Whether the source's rows come with the numbers of this step's keys."""
        return bool(self.partition) and self.sources[0].keyed_by is not None and self.sources[0].keyed_by == self.keyed_by

    @property
    def owns_keys(self) -> bool:
        """Whether the keys are numbered here, and not by an earlier step with the same keys."""
        return self.keys.name == f"{self.name}_keys"

    @property
    def _found(self) -> str:
        return f"{self.name}_found"

    def link(self) -> None:
        """Columns that pass through stay in the source's base; an input may have got columns since this step was made."""
        source = self.sources[0]
        self.columns = {**source.columns, **{name.lower(): self.columns[name.lower()] for name in self.results}}
        self.base = source.offered
        if self.base is not None:
            self.passed = {key: key for key in source.columns} if self.base is source else dict(source.passed)
        if not self.finds_keys_numbered:
            return
        inner, filtered = source, False
        while isinstance(inner, ProjectStep):
            filtered |= inner.where is not None
            inner = inner.sources[0]
        assert isinstance(inner, AnalyticStep)
        self.keys, self.sharing = inner.keys, inner.sharing
        self.sharing.append(self)
        self.above, self.filtered = inner, filtered

    def demand(self) -> None:
        """Have carried what the functions look at and what later windows look at; leave the rest in the base."""
        self.sources[0].want(set(), self._columns_read(), self.needs_pointer)
        self._fetch_from_base()

    def _columns_read(self) -> set[str]:
        values = [v for f in self.functions for v in (f.value, f.default, f.when, *f.partition) if v is not None]
        return self._of_source(self.held, values)

    def _of_source(self, columns: set[str], values: Sequence[Typed]) -> set[str]:
        """The columns of the source among some columns and those that some expressions read."""
        return (columns | {column for value in values for _, column in value.uses}) & set(self.sources[0].columns)

    # ---- running

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the table of keys."""
        if self.owns_keys:
            self.keys.prepare(connection)

    def run(self, connection: duckdb.DuckDBPyConnection, tick: Tick) -> None:
        """Number the keys of the rows if need be, find what the functions look for, and remember the rows."""
        if self.owns_keys:
            self._forget(connection, tick.lo)
        self._store_rows(connection)
        looked_at = self._looked_at(connection)
        found = [self._look_back(index, looked_at) for index in range(len(self.functions))]
        self._store_found(connection, found)

    def _forget(self, connection: duckdb.DuckDBPyConnection, now: int) -> None:
        """Forget keys beyond every limit."""
        histories = [history for step in self.sharing for history in step.histories]
        for history in histories:
            history.make_room(self.keys.count)
        needed = np.logical_or.reduce([history.needed(self.keys.count, now) for history in histories])
        kept = self.keys.forget(connection, needed)
        if kept is not None:
            for history in histories:
                history.keep(kept)

    def _store_rows(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Leave the source's rows in a table, with the numbers of their keys, unless they lie there already."""
        source, columns = self.sources[0], self._columns_read()
        if self.above is None:
            rows = source.read(columns, self.needs_pointer)
            self.rows = self.keys.store(connection, self.name, rows, self.order)
            return
        self.lies_beside = not self.filtered or self._all_pass(connection, self.above)
        if self.lies_beside:
            self.rows = self.above.rows
            return
        rows = source.read_keyed(columns, self.needs_pointer)
        execute(connection, f"CREATE OR REPLACE TABLE {quoted(self.name)} AS {rows}")
        self.rows = KeyedRows.of(*numbers_and_times(connection, self.name, self.order))

    def _all_pass(self, connection: duckdb.DuckDBPyConnection, above: AnalyticStep) -> bool:
        """Whether no row of the step above is filtered out in this tick."""
        passing = execute(connection, f"SELECT count(*) FROM ({self.sources[0].read_keyed(set(), False)})").fetchone()
        return passing is not None and passing[0] == len(above.rows.keys)

    def _looked_at(self, connection: duckdb.DuckDBPyConnection) -> dict[str, np.ndarray]:
        """What the functions look at, row by row of the table: `v0`, ... the values, `w0`, ... which rows count."""
        parts, values = [], []
        for index, function in enumerate(self.functions):
            values.append(function.value)
            if function.when is None:
                parts.append(f"{function.held_as} AS v{index}")
            else:
                parts.append(f"CASE WHEN {function.when.sql} THEN {function.held_as} END AS v{index}")
                parts.append(f"coalesce({function.when.sql}, FALSE) AS w{index}")
                values.append(function.when)
        rows = self._source_rows(self._of_source(set(), values))
        return dict(execute(connection, f"SELECT {', '.join(parts)} FROM ({rows}) AS s").fetchnumpy())

    def _look_back(self, index: int, looked_at: dict[str, np.ndarray]) -> Found:
        function, history, rows = self.functions[index], self.histories[index], self.rows
        history.make_room(self.keys.count)
        entries = Values.fetched(rows.by_key(looked_at[f"v{index}"]))
        offered = rows.by_key(looked_at[f"w{index}"]) if function.when is not None else np.ones(len(rows.keys), dtype=bool)
        found = history.pass_over(rows, offered, entries, including=function.offset == 0)
        there, value = found.there, found.value
        if function.kind == "ISFIRST":
            is_first = offered & ~(there & (value.values == entries.values))
            there, value = np.ones_like(is_first), Values(is_first.astype(np.int64), np.zeros_like(is_first))
        return Found(rows.as_stored(there), Values(rows.as_stored(value.values), rows.as_stored(value.nulls)))

    def _store_found(self, connection: duckdb.DuckDBPyConnection, found: Sequence[Found]) -> None:
        """Leave the functions' results in a table beside the rows."""
        given: dict[str, np.ndarray] = {}
        results, defaults = [], []
        for index, (function, one) in enumerate(zip(self.functions, found, strict=True)):
            given |= {f"v{index}": one.value.masked(), f"t{index}": one.there}
            default = ""
            if function.default is not None:
                default = f" ELSE {converted(function.default, function.type)}"
                defaults.append(function.default)
            value = function.given_back(f"r.v{index}")
            results.append(f"CASE WHEN r.t{index} THEN {value}{default} END AS {quoted(self.results[index])}")
        rows = "__looked_up AS r"
        if any(default.uses for default in defaults):
            rows = f"({self._source_rows(self._of_source(set(), defaults))}) AS s POSITIONAL JOIN {rows}"
        connection.register("__looked_up", given)
        execute(connection, f"CREATE OR REPLACE TABLE {quoted(self._found)} AS SELECT {', '.join(results)} FROM {rows}")
        connection.unregister("__looked_up")

    # ---- reading

    def read(self, columns: set[str], pointer: bool = False) -> str:
        """The rows with the results, in no order."""
        return self._select(columns, ["t.__row" if pointer else "", "t.__ts", order_columns(self.order, "t.")])

    def read_keyed(self, columns: set[str], pointer: bool, unfiltered: bool = False) -> str:
        """The rows as they lie in the table, with the number of the key as `__key`; none of the columns is in a base."""
        row = "t.__row" if pointer else ""
        return self._select(columns, [row, "t.__key", "t.__ts", order_columns(self.order, "t.")])

    def by_row(self, columns: set[str]) -> str:
        """The rows by their place in the table."""
        return self._select(columns, ["t.__row AS __id"])

    def _rows(self, columns: set[str]) -> str:
        through = columns & set(self.sources[0].columns)
        results = [f"r.{quoted(name)}" for name in self.results if name.lower() in columns]
        rows = f"({self._source_rows(through)}) AS s"
        if results:
            rows += f" POSITIONAL JOIN {quoted(self._found)} AS r"
        return f"(SELECT {select_list('s.*', *results)} FROM {rows})"

    def _source_rows(self, columns: set[str]) -> str:
        """The rows the functions look at, without their results: columns of the source, `__row`, `__key`, time and order."""
        has_pointer = self.needs_pointer or self.offered is self
        if self.lies_beside:
            return self.sources[0].read_keyed(columns, has_pointer, unfiltered=True)
        names = [f"t.{quoted(self.columns[key].name)}" for key in self.columns if key in columns]
        row = "" if not has_pointer else "t.rowid AS __row" if self.offered is self else "t.__row"
        others = select_list(row, "t.__key", "t.__ts", order_columns(self.order, "t."))
        return f"SELECT {select_list(*names, others)} FROM {quoted(self.name)} AS t"

    # ---- saving

    @property
    def state_tables(self) -> list[str]:
        """The keys; the histories are saved beside them."""
        return [self.keys.name] if self.owns_keys else []

    @property
    def keeps(self) -> list[tuple[str, str]]:
        """The entries of each function."""
        columns = self.sources[0].columns
        keys = ", ".join(columns[key.plain_column].name if key.plain_column else "expression" for key in self.partition)
        per_key = f" for each {keys}" if keys else ""
        return [
            (f"{f.kind}: the latest {'row' if f.depth == 1 else f'{f.depth} rows'}{per_key}", spelled_out(f.limit))
            for f in self.functions
        ]

    def save(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Save the histories too: one table per function, a row per entry."""
        super().save(connection)
        for index, (function, history) in enumerate(zip(self.functions, self.histories, strict=True)):
            keys, ages, times, value = history.entries()
            connection.register("__entries", {"key": keys, "age": ages, "time": times, "value": value.masked()})
            _, held = _HELD.get(function.type.kind, _HELD_AS_TEXT)
            connection.execute(
                f"CREATE TABLE saved.{quoted(f'{self.name}_history{index}')} AS "
                f"SELECT key::BIGINT AS key, age::BIGINT AS age, time::BIGINT AS time, value::{held} AS value FROM __entries"
            )
            connection.unregister("__entries")

    def restore(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take over the keys and the histories."""
        super().restore(connection)
        if self.owns_keys:
            self.keys.restored(connection)
        for index, function in enumerate(self.functions):
            table = f"saved.{quoted(f'{self.name}_history{index}')}"
            entries = connection.execute(f"SELECT key, age, time, value FROM {table}").fetchnumpy()
            self.histories[index] = function.new_history()
            self.histories[index].restore(entries["key"], entries["age"], entries["time"], Values.fetched(entries["value"]))
