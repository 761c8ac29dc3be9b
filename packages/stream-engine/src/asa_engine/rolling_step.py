"""Aggregates OVER (PARTITION BY ... LIMIT DURATION ... WHEN ...): for every row, over the rows of its key up to it.

A row at exactly the limit counts, as for LAG; rows of the same moment count together. The rows that a later one can still look
back at wait in a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from asa_engine.aggregates import counts_events, doubt_of_text
from asa_engine.errors import FaultFound
from asa_engine.expressions import ExpressionCompiler, Typed, converted
from asa_engine.statements import execute
from asa_engine.steps import HI, LO, Column, Step, Tick, order_columns, select_list
from asa_engine.syntax import Call, Star
from asa_engine.types import BIGINT, FLOAT, DataType, duckdb_type, quoted
from asa_engine.units import duration, spelled_out

ROLLING = {"SUM": "sum", "AVG": "avg", "MIN": "min", "MAX": "max", "COUNT": "count"}
"""The aggregates that have an analytic form, and what DuckDB calls them."""


@dataclass(frozen=True)
class RollingAggregate:
    """One call: its value (None counts rows), its keys, how far it looks back (microseconds) and which rows count."""

    kind: str
    value: Typed | None
    partition: tuple[Typed, ...]
    limit: int
    when: Typed | None
    type: DataType

    @property
    def parts(self) -> list[Typed]:
        """The expressions it reads."""
        return [part for part in (self.value, self.when, *self.partition) if part is not None]

    @property
    def sql(self) -> str:
        """The SQL over the rows of the tick and those that wait."""
        value = converted(self.value, FLOAT if self.value.type.kind == "null" else self.value.type) if self.value else "*"
        counted = f" FILTER (WHERE {self.when.sql})" if self.when else ""
        keys = f"PARTITION BY {', '.join(key.sql for key in self.partition)} " if self.partition else ""
        frame = f"{keys}ORDER BY s.__ts RANGE BETWEEN {self.limit} PRECEDING AND CURRENT ROW"
        return f"CAST({ROLLING[self.kind]}({value}){counted} OVER ({frame}) AS {duckdb_type(self.type)})"


def is_rolling(call: Call) -> bool:
    """Whether a call is an aggregate in its analytic form."""
    return call.function in ROLLING and call.over is not None and bool(call.over.limit)


def refuse_analytic(call: Call) -> None:
    """Raise FaultFound for an aggregate whose analytic form can't be run here."""
    if call.over is not None and call.over.limit and not is_rolling(call):
        text = f"{call.spelled} OVER (... LIMIT DURATION ...) isn't run here: only {', '.join(ROLLING)} look back so."
        raise FaultFound(call.position, text, f"Use {call.spelled} with GROUP BY and a window, such as SlidingWindow(minute, 5).")


def rolling_aggregate(call: Call, compiler: ExpressionCompiler) -> RollingAggregate:
    """The aggregate a call stands for; raises FaultFound when it is written wrongly."""
    assert call.over is not None
    counts_all = counts_events(call, compiler)
    if (len(call.arguments) != 1 and not counts_all) or call.distinct or call.over.order_by:
        raise FaultFound(call.position, f"{call.function} OVER (... LIMIT DURATION ...) takes one argument, and no ORDER BY.")
    limit = duration(call.over.limit[0], call.over.limit[1], "LIMIT DURATION")
    partition = tuple(compiler.compile(key) for key in call.over.partition_by)
    when = compiler.condition(call.over.when) if call.over.when is not None else None
    value = None if counts_all else _value(call, compiler)
    return RollingAggregate(call.function, value, partition, limit, when, _result(call, value))


def _value(call: Call, compiler: ExpressionCompiler) -> Typed:
    if isinstance(call.arguments[0], Star):
        raise FaultFound(call.position, f"{call.function} takes a value, not *.")
    value = compiler.compile(call.arguments[0])
    if call.function in ("MIN", "MAX"):
        doubt_of_text(call, value, compiler)
    return value


def _result(call: Call, value: Typed | None) -> DataType:
    if call.function == "COUNT" or value is None:
        return BIGINT
    fits = value.type.is_number or (call.function in ("MIN", "MAX") and value.type.kind in ("nvarchar", "datetime", "bit"))
    if not fits and value.type.kind != "null":
        raise FaultFound(call.position, f"{call.function} can't be taken of {value.type.described}.", "CAST it first.")
    return FLOAT if call.function == "AVG" or value.type.kind == "null" else value.type


class RollingStep(Step):
    """The rows of a source with a column for each of some rolling aggregates, named by `results`."""

    def __init__(self, name: str, source: Step, aggregates: Sequence[tuple[str, RollingAggregate]]) -> None:
        columns = [*source.columns.values(), *(Column(result, aggregate.type) for result, aggregate in aggregates)]
        super().__init__(name, columns, source.order, [source])
        self.aggregates = dict(aggregates)

    @property
    def is_stored(self) -> bool:
        """Always: the rows also wait for later ones."""
        return True

    @property
    def offered(self) -> Step:
        """The rows are a base of their own."""
        return self

    @property
    def state_tables(self) -> list[str]:
        """The rows a later one can look back at."""
        return [self._waiting]

    @property
    def keeps(self) -> list[tuple[str, str]]:
        """The rows within the longest limit."""
        return [("aggregates OVER: the rows within LIMIT DURATION", spelled_out(self._longest))]

    @property
    def _waiting(self) -> str:
        return f"{self.name}_waiting"

    @property
    def _longest(self) -> int:
        return max(aggregate.limit for aggregate in self.aggregates.values())

    def link(self) -> None:
        """An input may have got columns since this step was made."""
        results = {name.lower(): self.columns[name.lower()] for name in self.aggregates}
        self.columns = {**self.sources[0].columns, **results}

    def demand(self) -> None:
        """Want what readers want of the source, and what the aggregates look at."""
        self.sources[0].want(self._read)

    @property
    def _read(self) -> set[str]:
        used = {column for aggregate in self.aggregates.values() for part in aggregate.parts for _, column in part.uses}
        return (used | self.wanted) & set(self.sources[0].columns)

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the waiting table."""
        columns = [f"{quoted(c.name)} {duckdb_type(c.type)}" for key, c in self.sources[0].columns.items() if key in self._read]
        order = [f"__o{index} BIGINT" for index in range(self.order)]
        connection.execute(f"CREATE TABLE {quoted(self._waiting)} ({', '.join([*columns, '__ts BIGINT', *order])})")

    def run(self, connection: duckdb.DuckDBPyConnection, tick: Tick) -> None:
        """Compute the tick's rows, and let wait what a later one can look back at."""
        waiting, own = quoted(self._waiting), quoted(self.name)
        execute(connection, f"INSERT INTO {waiting} BY NAME {self.sources[0].read(self._read)}")
        results = [f"{aggregate.sql} AS {quoted(name)}" for name, aggregate in self.aggregates.items()]
        rows = f"SELECT {select_list('s.*', *results)} FROM {waiting} AS s"
        execute(connection, f"CREATE OR REPLACE TABLE {own} AS SELECT * FROM ({rows}) WHERE __ts > {LO}")
        execute(connection, f"DELETE FROM {waiting} WHERE __ts < {HI} - {self._longest}")

    def read(self, columns: set[str], pointer: bool = False) -> str:
        """The rows of this tick."""
        names = [f"t.{quoted(column.name)}" for key, column in self.columns.items() if key in columns]
        row = "t.rowid AS __row" if pointer else ""
        return f"SELECT {select_list(*names, row, 't.__ts', order_columns(self.order, 't.'))} FROM {quoted(self.name)} AS t"
