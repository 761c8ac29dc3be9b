"""Temporal join: pairs of rows of two streams whose times lie within given bounds.

Both sides wait in tables of their own until no later row can match them. A pair carries the later of its two times; with a
LEFT JOIN, a row without a match is reported when the last moment at which one could have come has passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from asa_engine.expressions import Typed
from asa_engine.statements import execute
from asa_engine.steps import HI, LO, Column, Step, Tick, select_list
from asa_engine.types import duckdb_type, quoted
from asa_engine.units import spelled_out


@dataclass(frozen=True)
class TimeBound:
    """`low <= right time - left time <= high`, in microseconds."""

    low: int
    high: int


@dataclass(frozen=True)
class JoinedColumn:
    """A column of the joined rows: from which side and column it comes."""

    name: str
    side: str
    column: Column


class JoinStep(Step):
    """Rows of `left` (alias l) joined with rows of `right` (alias r); `compared` are the columns the condition reads, by side."""

    def __init__(
        self,
        name: str,
        left: Step,
        right: Step,
        kind: str,
        bound: TimeBound,
        condition: Typed | None,
        compared: Mapping[str, set[str]],
        columns: Sequence[JoinedColumn],
    ) -> None:
        super().__init__(
            name, [Column(column.name, column.column.type) for column in columns], left.order + right.order, [left, right]
        )
        self.kind = kind
        self.bound = bound
        self.condition = condition
        self.compared = compared
        self.joined = list(columns)

    # ---- planning

    @property
    def is_stored(self) -> bool:
        """Always: computing the rows also prunes the waiting tables."""
        return True

    @property
    def state_tables(self) -> list[str]:
        """The waiting rows of both sides."""
        return [self._waiting("l"), self._waiting("r")]

    @property
    def keeps(self) -> list[tuple[str, str]]:
        """The rows of both sides."""
        return [("JOIN: the rows of both sides", spelled_out(max(abs(self.bound.low), abs(self.bound.high))))]

    def _waiting(self, side: str) -> str:
        return f"{self.name}_waiting_{side}"

    def demand(self) -> None:
        """Want what passes through and what the condition reads."""
        for side, source in zip("lr", self.sources, strict=True):
            passed = {
                joined.column.name.lower() for joined in self.joined if joined.side == side and joined.name.lower() in self.wanted
            }
            source.want(passed | self.compared[side])

    # ---- running

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the waiting tables."""
        for side, source in zip("lr", self.sources, strict=True):
            columns = [f"{quoted(column.name)} {duckdb_type(column.type)}" for column in source.wanted_columns]
            columns += ["__ts BIGINT", *(f"__o{index} BIGINT" for index in range(source.order))]
            connection.execute(f"CREATE TABLE {quoted(self._waiting(side))} ({', '.join(columns)})")

    def run(self, connection: duckdb.DuckDBPyConnection, tick: Tick) -> None:
        """Add the new rows of both sides, join, and drop what can't match any more."""
        for side, source in zip("lr", self.sources, strict=True):
            execute(connection, f"INSERT INTO {quoted(self._waiting(side))} BY NAME {source.read(source.wanted)}")
        execute(connection, f"CREATE OR REPLACE TABLE {quoted(self.name)} AS {self.query()}")
        reach = max(self.bound.high, 0)
        kept = {"l": reach, "r": max(-self.bound.low, 0) + (reach if self.kind == "LEFT" else 0)}
        for side, length in kept.items():
            waiting = quoted(self._waiting(side))
            execute(connection, f"CREATE OR REPLACE TABLE {waiting} AS SELECT * FROM {waiting} WHERE __ts > {HI} - {length}")

    def query(self) -> str:
        """The pairs whose time lies in (lo, hi]."""
        distance = f"(r.__ts - l.__ts) BETWEEN {self.bound.low} AND {self.bound.high}"
        condition = f"{distance} AND {self.condition.sql}" if self.condition else distance
        known_at = "greatest(l.__ts, r.__ts)"
        if self.kind == "LEFT":
            known_at = f"CASE WHEN r.__ts IS NULL THEN l.__ts + {max(self.bound.high, 0)} ELSE {known_at} END"
        columns = ", ".join(
            f"{joined.side}.{quoted(joined.column.name)} AS {quoted(joined.name)}"
            for joined in self.joined
            if joined.name.lower() in self.wanted
        )
        left, right = (source.order for source in self.sources)
        order = ", ".join(
            [
                *(f"l.__o{index} AS __o{index}" for index in range(left)),
                *(f"coalesce(r.__o{index}, -1) AS __o{left + index}" for index in range(right)),
            ]
        )
        pairs = (
            f"SELECT {select_list(columns, f'{known_at} AS __ts', order)} FROM {quoted(self._waiting('l'))} AS l "
            f"{self.kind} JOIN {quoted(self._waiting('r'))} AS r ON {condition}"
        )
        return f"SELECT * FROM ({pairs}) WHERE __ts > {LO} AND __ts <= {HI}"
