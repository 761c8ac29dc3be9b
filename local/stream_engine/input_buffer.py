"""The way in: reads events, checks them against the schema, applies the time policy, and holds them until they are released."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from local.stream_engine.errors import Position, StreamEngineError
from local.stream_engine.expressions import as_datetime
from local.stream_engine.plan import InputPlan
from local.stream_engine.steps import Column
from local.stream_engine.time_policy import EARLY, PartitionClock, TimePolicy, in_order, within_tolerance
from local.stream_engine.types import DataType, duckdb_type, json_structure, quoted, structure_literal, text_literal

_NOWHERE = Position(1, 1)
_LARGEST_EVENT = 4_000_000
_METADATA = {"EventEnqueuedUtcTime": "make_timestamp(__arrival)", "PartitionId": "__part"}
_FITTING = {
    "bigint": ("UBIGINT", "BIGINT"),
    "float": ("UBIGINT", "BIGINT", "DOUBLE", "HUGEINT", "UHUGEINT"),
    "nvarchar": ("VARCHAR",),
    "datetime": ("VARCHAR",),
    "bit": ("BOOLEAN",),
    "record": ("OBJECT",),
    "array": ("ARRAY",),
}


@dataclass(frozen=True)
class Rejection:
    """An event that couldn't be understood: its place in what was fed, and why."""

    index: int
    reason: str


class InputBuffer:
    """Events of one input between arrival and release."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, plan: InputPlan, policy: TimePolicy) -> None:
        self.connection = connection
        self.plan = plan
        self.policy = policy
        self.clocks: dict[int, PartitionClock] = {}
        self.sequence = 0
        self.dropped = 0
        self._columns: list[Column] = []
        self._metadata: list[str] = []
        self._stored: list[str] = []
        self._substreams = f"substreams_{plan.name.lower()}"

    # ---- planning

    @property
    def pending(self) -> str:
        """The table of events that wait for their release."""
        return self.plan.step.pending_table

    @property
    def state_tables(self) -> list[str]:
        """Tables that belong into a saved state."""
        return [self.pending, self._substreams] if self.plan.substream_keys else [self.pending]

    def prepare(self) -> None:
        """Create the tables for the columns somebody reads: the query, or TIMESTAMP BY."""
        wanted = self.plan.step.wanted
        timed = {column for value in (self.plan.timestamp, *self.plan.substream_keys) if value for _, column in value.uses}
        declared = {name.lower() for name in self.plan.schema.columns}
        self._columns = [Column(name, kind) for name, kind in self.plan.schema.columns.items() if name.lower() in wanted | timed]
        self._metadata = [name for name in _METADATA if name.lower() in (wanted | timed) - declared]
        self._stored = [column.name for column in self.plan.step.wanted_columns]
        columns = [f"{quoted(column.name)} {duckdb_type(column.type)}" for column in self.plan.step.wanted_columns]
        self.connection.execute(f"CREATE TABLE {quoted(self.pending)} ({', '.join([*columns, '__ts BIGINT', '__o0 BIGINT'])})")
        if self.plan.substream_keys:
            keys = [f"k{index} {duckdb_type(key.type)}" for index, key in enumerate(self.plan.substream_keys)]
            self.connection.execute(f"CREATE TABLE {quoted(self._substreams)} ({', '.join(keys)}, latest BIGINT)")

    # ---- feeding

    def feed(self, bodies: Sequence[str], arrivals: np.ndarray | None, partitions: np.ndarray | None, released: int) -> list[Rejection]:
        """Take events in, one JSON text each. `arrivals` are microseconds; `released` is how far time has been released."""
        count = len(bodies)
        texts = np.empty(count, dtype=object)
        texts[:] = bodies
        events = {
            "__n": np.arange(count, dtype=np.int64),
            "__body": texts,
            "__arrival": arrivals if arrivals is not None else np.zeros(count, dtype=np.int64),
            "__part": partitions if partitions is not None else np.zeros(count, dtype=np.int64),
        }
        self.connection.register("__events", events)
        try:
            rows = "SELECT __n, TRY_CAST(__body AS JSON) AS __json, __arrival, __part FROM __events"
            return self._take(rows, arrivals is not None, released)
        finally:
            self.connection.unregister("__events")

    def feed_file(self, path: str, released: int) -> list[Rejection]:
        """Take in a file of JSON lines (or a JSON array), without arrival times."""
        read = f"read_json_objects({text_literal(path)}, maximum_object_size={_LARGEST_EVENT})"
        rows = f"SELECT row_number() OVER () - 1 AS __n, json AS __json, 0::BIGINT AS __arrival, 0::BIGINT AS __part FROM {read}"
        return self._take(rows, False, released)

    def _take(self, rows: str, with_arrivals: bool, released: int) -> list[Rejection]:
        connection = self.connection
        if self.plan.timestamp is None and not with_arrivals:
            raise StreamEngineError(
                f"Input {self.plan.name} has no TIMESTAMP BY, so its events need arrival times. Add TIMESTAMP BY to the query."
            )
        taken = connection.execute(f"CREATE OR REPLACE TEMP TABLE __parsed AS {self._parse_sql(rows)}").fetchone()
        rejected = connection.execute("SELECT __n, __fault FROM __parsed WHERE __fault IS NOT NULL ORDER BY __n").fetchall()
        if self.plan.substream_keys:
            self._release_times_by_key(with_arrivals)
        else:
            self._release_times(with_arrivals)
        columns = ", ".join([*(f"p.{quoted(name)}" for name in self._stored), f"greatest(t.__time, {released + 1})", f"{self.sequence} + __n"])
        connection.execute(f"INSERT INTO {quoted(self.pending)} SELECT {columns} FROM __parsed AS p JOIN __times AS t USING (__n)")
        self.sequence += taken[0] if taken else 0
        connection.unregister("__times")
        return [Rejection(int(index), str(reason)) for index, reason in rejected]

    def _parse_sql(self, rows: str) -> str:
        """Events as columns, with their time (`__event`) and, for those that don't fit the schema, the reason (`__fault`)."""
        structure = structure_literal({column.name: json_structure(column.type) for column in self._columns})
        leaves = [leaf for column in self._columns for leaf in _leaves((column.name,), column.type)]
        paths = ", ".join(text_literal("$" + "".join(f'."{part}"' for part in path)) for path, _ in leaves)
        faults = "WHEN __json IS NULL THEN 'not valid JSON' WHEN json_type(__json) <> 'OBJECT' THEN 'not a JSON object'"
        for index, (path, data_type) in enumerate(leaves, start=1):
            if data_type.kind in _FITTING:
                fitting = ", ".join(f"'{name}'" for name in (*_FITTING[data_type.kind], "NULL"))
                faults += f" WHEN __types[{index}] NOT IN ({fitting}) THEN {text_literal('.'.join(path) + f' is no {data_type}')}"
        read = f"SELECT *, from_json(__json, {structure}) AS __read, json_type(__json, [{paths}]) AS __types FROM ({rows})" if leaves else rows
        values = [f"{_value(column)} AS {quoted(column.name)}" for column in self._columns]
        values += [f"{sql} AS {quoted(name)}" for name, sql in _METADATA.items() if name in self._metadata]
        columns = f"SELECT {', '.join(['__n', '__arrival', '__part', f'CASE {faults} END AS __fault', *values])} FROM ({read})"
        if self.plan.timestamp is None:
            return f"SELECT *, __arrival AS __event FROM ({columns})"
        moment = f"epoch_us({as_datetime(self.plan.timestamp, _NOWHERE, safe=True)})"
        timed = f"SELECT *, CASE WHEN __fault IS NULL THEN {moment} END AS __event FROM ({columns})"
        fault = "CASE WHEN __fault IS NULL AND __event IS NULL THEN 'TIMESTAMP BY finds no time' ELSE __fault END AS __fault"
        return f"SELECT * REPLACE ({fault}) FROM ({timed})"

    # ---- time

    def clock(self, partition: int) -> PartitionClock:
        """The clock of a partition; a partition that is known holds the watermark back until it has been heard of."""
        return self.clocks.setdefault(partition, PartitionClock())

    def watermark(self) -> int | None:
        """No event before this time can still come, over all partitions; None while a partition hasn't been heard of."""
        if not self.clocks:
            return None
        marks = [self._partition_mark(clock) for clock in self.clocks.values()]
        known = [mark for mark in marks if mark is not None]
        return min(known) if len(known) == len(marks) else None

    def _partition_mark(self, clock: PartitionClock) -> int | None:
        if self.plan.timestamp is None:
            return clock.arrival
        return clock.watermark(self.policy, per_key=bool(self.plan.substream_keys))

    def _release_times(self, with_arrivals: bool) -> None:
        """Register `__times`: the adjusted time of every event that stays."""
        taken = self.connection.execute("SELECT __n, __event, __arrival, __part FROM __parsed WHERE __fault IS NULL ORDER BY __n").fetchnumpy()
        numbers, events, arrivals, parts = (np.asarray(taken[name], dtype=np.int64) for name in ("__n", "__event", "__arrival", "__part"))
        times = events.copy()
        stays = np.ones(len(events), dtype=bool)
        for partition in np.unique(parts):
            rows = np.flatnonzero(parts == partition)
            clock = self.clock(int(partition))
            times[rows], stays[rows] = self._partition_times(events[rows], arrivals[rows] if with_arrivals else None, clock)
        self.dropped += int(len(stays) - stays.sum())
        self.connection.register("__times", {"__n": numbers[stays], "__time": times[stays]})

    def _partition_times(self, events: np.ndarray, arrivals: np.ndarray | None, clock: PartitionClock) -> tuple[np.ndarray, np.ndarray]:
        if arrivals is not None and len(arrivals):
            clock.saw_arrival(int(arrivals.max()))
        if self.plan.timestamp is None:
            return np.maximum.accumulate(events), np.ones(len(events), dtype=bool)
        adjusted, stays = within_tolerance(events, arrivals, self.policy)
        kept = np.flatnonzero(stays)
        adjusted[kept], stays[kept] = in_order(adjusted[kept], clock, self.policy)
        return adjusted, stays

    def _release_times_by_key(self, with_arrivals: bool) -> None:
        """The same with a clock per key (TIMESTAMP BY ... OVER): out-of-order per key, late arrival for all."""
        connection, policy = self.connection, self.policy
        late = f"__arrival - {policy.late}" if with_arrivals and policy.late is not None else None
        adjusted = f"greatest(__event, {late})" if late else "__event"
        stays = f"__event <= __arrival + {EARLY}" if with_arrivals else "TRUE"
        stays += f" AND __event >= {late}" if late and policy.drop else ""
        names = [f"k{index}" for index in range(len(self.plan.substream_keys))]
        keys = ", ".join(names)
        named = ", ".join(f"{key.sql} AS {name}" for key, name in zip(self.plan.substream_keys, names, strict=True))
        same = " AND ".join(f"e.{name} IS NOT DISTINCT FROM b.{name}" for name in names)
        within = f"max(__time) OVER (PARTITION BY {', '.join(f'e.{name}' for name in names)} ORDER BY __n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE __keyed AS SELECT e.*, greatest({within}, b.latest) - {policy.out_of_order} AS __mark FROM "
            f"(SELECT __n, {named}, {adjusted} AS __time FROM __parsed WHERE __fault IS NULL AND {stays}) AS e "
            f"LEFT JOIN {quoted(self._substreams)} AS b ON {same}"
        )
        where = "WHERE __mark IS NULL OR __time >= __mark" if policy.drop else ""
        taken = connection.execute(f"SELECT __n, greatest(__time, __mark) AS __time FROM __keyed {where} ORDER BY __n").fetchnumpy()
        connection.execute(
            f"CREATE OR REPLACE TABLE {quoted(self._substreams)} AS SELECT {keys}, max(latest) AS latest FROM "
            f"(SELECT {keys}, latest FROM {quoted(self._substreams)} UNION ALL SELECT {keys}, __time FROM __keyed) GROUP BY ALL"
        )
        latest = "SELECT __part, max(__event), max(__arrival), count(*) FROM __parsed WHERE __fault IS NULL GROUP BY __part"
        for partition, event, arrival, count in connection.execute(latest).fetchall():
            self.clock(int(partition)).saw_event(int(event))
            self.dropped += int(count)
            if with_arrivals:
                self.clock(int(partition)).saw_arrival(int(arrival))
        self.dropped -= len(taken["__n"])
        self.connection.register("__times", {name: np.asarray(taken[name], dtype=np.int64) for name in ("__n", "__time")})

    def oldest_waiting(self, released: int) -> int | None:
        """The number of the oldest event that waits for its release."""
        row = self.connection.execute(f"SELECT min(__o0) FROM {quoted(self.pending)} WHERE __ts > {released}").fetchone()
        return int(row[0]) if row and row[0] is not None else None

    def forget(self, hi: int) -> None:
        """Remove the events that have been released, and keys whose clock can't matter any more."""
        table = quoted(self.pending)
        left = self.connection.execute(f"SELECT count(*) FROM {table} WHERE __ts > {hi}").fetchone()
        if left and left[0]:
            self.connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {table} WHERE __ts > {hi}")
        else:
            self.connection.execute(f"TRUNCATE {table}")
        if self.plan.substream_keys:
            self.connection.execute(f"DELETE FROM {quoted(self._substreams)} WHERE latest - {self.policy.out_of_order} <= {hi}")

    # ---- saving

    def marks(self) -> dict[str, Any]:
        """What a saved state has to know besides the tables."""
        clocks = {str(partition): [clock.event, clock.arrival] for partition, clock in self.clocks.items()}
        return {"sequence": self.sequence, "dropped": self.dropped, "clocks": clocks}

    def restore_marks(self, marks: dict[str, Any]) -> None:
        """Take over what `marks` gave."""
        self.sequence = marks["sequence"]
        self.dropped = marks["dropped"]
        self.clocks = {int(partition): PartitionClock(*values) for partition, values in marks["clocks"].items()}


def _leaves(path: tuple[str, ...], data_type: DataType) -> list[tuple[tuple[str, ...], DataType]]:
    """The paths whose type is checked: every field of a record down to arrays."""
    found = [(path, data_type)]
    for name, inner in data_type.fields:
        found += _leaves((*path, name), inner)
    return found


def _value(column: Column) -> str:
    value = f"struct_extract(__read, {text_literal(column.name)})"
    return f"make_timestamp(epoch_us(TRY_CAST({value} AS TIMESTAMPTZ)))" if column.type.kind == "datetime" else value
