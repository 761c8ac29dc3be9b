"""The way in: reads events, checks them against the schema, applies the time policy, and holds them until they are released."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from local.stream_engine.errors import Position, StreamEngineError
from local.stream_engine.expressions import as_datetime
from local.stream_engine.plan import InputPlan
from local.stream_engine.statements import execute
from local.stream_engine.steps import Column
from local.stream_engine.time_policy import EARLY, PartitionClock, TimePolicy, in_order, within_tolerance
from local.stream_engine.types import DataType, duckdb_type, quoted, structure_literal, text_literal

SESSION = "SET TimeZone = 'UTC'"
_NOWHERE = Position(1, 1)
_LARGEST_EVENT = 4_000_000
GONE = np.iinfo(np.int64).max
"""The time of an event that was rejected or dropped: no tick reaches it."""
_METADATA = {"EventEnqueuedUtcTime": "make_timestamp(__arrival)", "PartitionId": "__part"}
_FITS = {
    "bigint": "json_type({0}) IN ('UBIGINT', 'BIGINT')",
    "float": "CAST({0} AS VARCHAR) >= '-' AND CAST({0} AS VARCHAR) < ':'",
    "bit": "CAST({0} AS VARCHAR) IN ('true', 'false')",
    "record": "starts_with(CAST({0} AS VARCHAR), '{{')",
    "array": "starts_with(CAST({0} AS VARCHAR), '[')",
}
"""The SQL that tells whether a JSON text is a value of a type; NULL for what is missing."""
_TEXTS = ("nvarchar", "datetime", "null")
"""Types whose values are texts in JSON: these are read without their quotes."""
_NUMBER = "-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?"
_MAY_BE_NO_TEXT = (
    f"({{0}} >= '-' AND {{0}} < ':' AND NOT contains({{0}}, ':') AND regexp_full_match({{0}}, '{_NUMBER}') "
    "OR {0} IN ('true', 'false') OR {0} >= '[' AND {0} < chr(92) OR {0} >= '{{' AND {0} < '|')"
)
"""Whether what was read as a text can have been something else in JSON: it is spelled like a number, true or false, or begins
like an array or a record. Only then its type is worth a second look. (No number has a colon; a time has, and is spared the
regular expression.)"""


@dataclass(frozen=True)
class Rejection:
    """An event that couldn't be understood: its place in what was fed, and why."""

    index: int
    reason: str


@dataclass(frozen=True)
class Staged:
    """Events that have been parsed and judged but not yet taken in: the table that holds them, and how many they are."""

    table: str
    count: int
    with_arrivals: bool


class InputBuffer:
    """Events of one input between arrival and release."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, plan: InputPlan, policy: TimePolicy) -> None:
        self.connection = connection
        self.plan = plan
        self.policy = policy
        self.clocks: dict[int, PartitionClock] = {}
        self.sequence = 0
        self.dropped = 0
        self._numbers = itertools.count()
        self._free_names: list[str] = []
        self._columns: list[Column] = []
        self._metadata: list[str] = []
        self._stored: list[str] = []
        self._times = np.zeros(0, dtype=np.int64)
        self._order = np.zeros(0, dtype=np.int64)
        self._substreams = f"substreams_{plan.name.lower()}"

    # ---- planning

    @property
    def pending(self) -> str:
        """The table of events that wait for their release."""
        return self.plan.step.pending_table

    @property
    def state_tables(self) -> list[str]:
        """Tables that belong into a saved state."""
        return [self.pending, self.plan.step.times_table, *([self._substreams] if self.plan.substream_keys else [])]

    def prepare(self) -> None:
        """Create the tables for the columns somebody reads: the query, or TIMESTAMP BY."""
        wanted = self.plan.step.wanted
        timed = {column for value in (self.plan.timestamp, *self.plan.substream_keys) if value for _, column in value.uses}
        declared = {name.lower() for name in self.plan.schema.columns}
        step = self.plan.step
        self._columns = [Column(name, kind) for name, kind in self.plan.schema.columns.items() if name.lower() in wanted | timed]
        self._columns += [column for key, column in step.columns.items() if column.name in step.paths and key in wanted]
        self._metadata = [name for name in _METADATA if name.lower() in (wanted | timed) - declared]
        self._stored = [column.name for column in self.plan.step.wanted_columns]
        columns = ", ".join(
            ["__n BIGINT", *(f"{quoted(column.name)} {duckdb_type(column.type)}" for column in step.wanted_columns)]
        )
        self.connection.execute(f"CREATE TABLE {quoted(self.pending)} ({columns})")
        self.show_times()
        if self.plan.substream_keys:
            keys = [f"__k{index} {duckdb_type(key.type)}" for index, key in enumerate(self.plan.substream_keys)]
            self.connection.execute(f"CREATE TABLE {quoted(self._substreams)} ({', '.join(keys)}, latest BIGINT)")

    # ---- feeding

    def stage(self, bodies: Sequence[str], arrivals: np.ndarray | None, partitions: np.ndarray | None) -> Staged:
        """Parse and judge events, one JSON text each, without touching the state: may run while a tick is computed.

        `arrivals` are microseconds since the epoch; without them nothing is early or late.
        """
        count = len(bodies)
        texts = np.empty(count, dtype=object)
        texts[:] = bodies
        events = {
            "__n": np.arange(count, dtype=np.int64),
            "__json": texts,
            "__arrival": arrivals if arrivals is not None else np.zeros(count, dtype=np.int64),
            "__part": partitions if partitions is not None else np.zeros(count, dtype=np.int64),
        }
        with self.connection.cursor() as connection:
            connection.execute(SESSION)
            connection.register("__events", events)
            return self._stage(connection, "FROM __events", arrivals is not None)

    def stage_file(self, path: str) -> Staged:
        """Parse and judge a file of JSON lines (or a JSON array), without arrival times."""
        read = f"read_json_objects($1, maximum_object_size={_LARGEST_EVENT})"
        rows = f"SELECT row_number() OVER () - 1 AS __n, json AS __json, 0::BIGINT AS __arrival, 0::BIGINT AS __part FROM {read}"
        with self.connection.cursor() as connection:
            connection.execute(SESSION)
            return self._stage(connection, rows, False, [path])

    def _stage(
        self, connection: duckdb.DuckDBPyConnection, rows: str, with_arrivals: bool, parameters: Sequence[str] = ()
    ) -> Staged:
        if self.plan.timestamp is None and not with_arrivals:
            raise StreamEngineError(
                f"Input {self.plan.name} has no TIMESTAMP BY, so its events need arrival times. Add TIMESTAMP BY to the query."
            )
        table = self._free_name()
        created = execute(
            connection, f"CREATE TABLE {quoted(table)} AS {self._judged(rows, with_arrivals)}", parameters
        ).fetchone()
        return Staged(table, created[0] if created else 0, with_arrivals)

    def _free_name(self) -> str:
        """A name for a table; those of tables that have been taken in come again, so that statements come again."""
        try:
            return self._free_names.pop()
        except IndexError:  # several threads may ask
            return f"staged_{self.plan.name.lower()}_{next(self._numbers)}"

    def take(self, staged: Staged, released: int) -> list[Rejection]:
        """Take staged events in: find their times and put those that stay into the pending table.

        `released` is how far time has been released. Returns the events that couldn't be understood.
        """
        fault = f"SELECT __n, __fault FROM {quoted(staged.table)} WHERE __fault IS NOT NULL ORDER BY __n"
        rejected = execute(self.connection, fault).fetchall()
        times = self._release_times_by_key(staged) if self.plan.substream_keys else self._release_times(staged)
        self._hold(staged.table, np.maximum(times, released + 1), self.sequence + np.arange(staged.count, dtype=np.int64))
        self._free_names.append(staged.table)
        self.sequence += staged.count
        return [Rejection(int(index), str(reason)) for index, reason in rejected]

    def _hold(self, table: str, times: np.ndarray, order: np.ndarray) -> None:
        """Have a table of staged events wait with the others: the smaller goes into the larger."""
        pending, staged, columns = quoted(self.pending), quoted(table), self._columns_held
        if len(times) < len(self._times):
            execute(self.connection, f"INSERT INTO {pending} BY NAME SELECT {columns} FROM {staged}; DROP TABLE {staged}")
            self._times, self._order = np.concatenate((self._times, times)), np.concatenate((self._order, order))
            return
        if len(self._times):
            execute(self.connection, f"INSERT INTO {staged} BY NAME SELECT {columns} FROM {pending}")
        execute(self.connection, f"DROP TABLE {pending}; ALTER TABLE {staged} RENAME TO {pending}")
        self._times, self._order = np.concatenate((times, self._times)), np.concatenate((order, self._order))

    @property
    def _columns_held(self) -> str:
        return ", ".join(["__n", *(quoted(name) for name in self._stored)])

    def show_times(self) -> None:
        """Write the times of the events that wait into the table beside them, for the steps to read."""
        self.connection.register("__times", {"__ts": self._times, "__o0": self._order})
        execute(self.connection, f"CREATE OR REPLACE TABLE {quoted(self.plan.step.times_table)} AS FROM __times")
        self.connection.unregister("__times")

    def _judged(self, rows: str, with_arrivals: bool) -> str:
        """The columns somebody reads of events, their time (`__event`) and, if they don't fit the schema, the reason (`__fault`).

        An event is parsed once: texts as they are, and any other value as its JSON text, whose first character tells its type.
        """
        read = f"SELECT *, TRY(from_json(__json, {structure_literal(self._structure())})) AS __read FROM ({rows})"
        leaves = [f"{_inside('__read', path)} AS {_leaf(path)}" for path, _ in self._leaves]
        looked_at = f"SELECT {', '.join(['*', *leaves])} FROM ({read})"
        values = [f"{_value(self._path(column), column.type)} AS {quoted(column.name)}" for column in self._columns]
        values += [_leaf(self._path(column)) for column in self._datetimes]
        values += [f"{sql} AS {quoted(name)}" for name, sql in _METADATA.items() if name in self._metadata]
        faults = f"CASE {self._faults()} END AS __fault"
        return self._timed(
            f"SELECT {', '.join(['__n', '__arrival', '__part', faults, *values])} FROM ({looked_at})", with_arrivals
        )

    def _timed(self, judged: str, with_arrivals: bool) -> str:
        """Judged events with their time, and with the faults that a time can have."""
        keys = "".join(f", {key.sql} AS __k{index}" for index, key in enumerate(self.plan.substream_keys))
        stamp = self.plan.timestamp
        moment = f"epoch_us({as_datetime(stamp, _NOWHERE, safe=True)})" if stamp is not None else "__arrival"
        timed = f"SELECT *{keys}, {moment} AS __event FROM ({judged})"
        branches = [
            f"WHEN {_leaf(self._path(column))} IS NOT NULL AND {quoted(column.name)} IS NULL "
            f"THEN {text_literal(f'{column.name} is no datetime')}"
            for column in self._datetimes
        ]
        if stamp is not None:
            branches.append("WHEN __event IS NULL THEN 'TIMESTAMP BY finds no time'")
        fault = f"CASE WHEN __fault IS NOT NULL THEN __fault {' '.join(branches)} END AS __fault" if branches else "__fault"
        kept = ["__n", "__part", *(["__arrival"] if with_arrivals else []), fault, "__event"]
        kept += [f"__k{index}" for index in range(len(self.plan.substream_keys))]
        return f"SELECT {', '.join([*kept, *map(quoted, self._stored)])} FROM ({timed})"

    @property
    def _datetimes(self) -> list[Column]:
        return [column for column in self._columns if column.type.kind == "datetime"]

    def _faults(self) -> str:
        """The branches of CASE that name what is wrong with an event, but for texts that are no times."""
        branches = ["WHEN __read IS NULL THEN CASE WHEN json_valid(__json) THEN 'not a JSON object' ELSE 'not valid JSON' END"]
        leaves = self._leaves
        branches.append(_record_fault((), leaves, "not a JSON object"))
        records = dict.fromkeys(path[:depth] for path, _ in leaves for depth in range(1, len(path)))
        for record in records:
            inside = [leaf for leaf in leaves if leaf[0][: len(record)] == record]
            branches.append(_record_fault(record, inside, f"{'.'.join(record)} is no record"))
        for path, data_type in leaves:
            value, reason = _leaf(path), text_literal(f"{'.'.join(path)} is no {data_type}")
            if data_type.kind in _TEXTS:
                other = f"json_type(__json, {_json_path(path)}) NOT IN ('VARCHAR', 'NULL')"
                branches.append(f"WHEN {_MAY_BE_NO_TEXT.format(value)} AND {other} THEN {reason}")
            elif fits := _FITS.get(data_type.kind):
                branches.append(f"WHEN NOT ({fits.format(value)}) THEN {reason}")
        return " ".join(branches)

    def _path(self, column: Column) -> tuple[str, ...]:
        return self.plan.step.paths.get(column.name, (column.name,))

    @property
    def _leaves(self) -> list[tuple[tuple[str, ...], DataType]]:
        """The paths whose texts are read, each once."""
        return list(dict.fromkeys(leaf for column in self._columns for leaf in _leaves(self._path(column), column.type)))

    def _structure(self) -> dict[str, Any]:
        """What from_json reads: the paths to the columns and nothing else."""
        structure: dict[str, Any] = {}
        for path, data_type in self._leaves:
            inside = structure
            for record in path[:-1]:
                inside = inside.setdefault(record, {})
            inside[path[-1]] = "VARCHAR" if data_type.kind in _TEXTS else "JSON"
        return structure

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

    def _release_times(self, staged: Staged) -> np.ndarray:
        """The adjusted times of events; GONE for those that don't stay."""
        columns = "__arrival, __part" if staged.with_arrivals else "__part"
        judged = f"SELECT CASE WHEN __fault IS NULL THEN __event END AS __event, {columns} FROM {quoted(staged.table)}"
        taken = execute(self.connection, judged).fetchnumpy()
        events, understood = np.ma.getdata(taken["__event"]), ~np.ma.getmaskarray(taken["__event"])
        times = np.full(staged.count, GONE)
        for partition, rows in _by_partition(taken["__part"], understood):
            arrived = taken["__arrival"][rows] if staged.with_arrivals else None
            adjusted, stays = self._partition_times(events[rows], arrived, self.clock(partition))
            times[rows] = np.where(stays, adjusted, GONE)
            self.dropped += int(len(stays) - np.count_nonzero(stays))
        return times

    def _partition_times(
        self, events: np.ndarray, arrivals: np.ndarray | None, clock: PartitionClock
    ) -> tuple[np.ndarray, np.ndarray]:
        if arrivals is not None and len(arrivals):
            clock.saw_arrival(int(arrivals.max()))
        if self.plan.timestamp is None:
            return np.maximum.accumulate(events), np.ones(len(events), dtype=bool)
        adjusted, stays = within_tolerance(events, arrivals, self.policy)
        if stays.all():
            return in_order(adjusted, clock, self.policy)
        kept = np.flatnonzero(stays)
        adjusted[kept], stays[kept] = in_order(adjusted[kept], clock, self.policy)
        return adjusted, stays

    def _release_times_by_key(self, staged: Staged) -> np.ndarray:
        """The same with a clock per key (TIMESTAMP BY ... OVER): out-of-order per key, late arrival for all."""
        connection, policy, with_arrivals = self.connection, self.policy, staged.with_arrivals
        late = f"__arrival - {policy.late}" if with_arrivals and policy.late is not None else None
        adjusted = f"greatest(__event, {late})" if late else "__event"
        stays = f"__event <= __arrival + {EARLY}" if with_arrivals else "TRUE"
        stays += f" AND __event >= {late}" if late and policy.drop else ""
        names = [f"__k{index}" for index in range(len(self.plan.substream_keys))]
        keys = ", ".join(names)
        same = " AND ".join(f"e.{name} IS NOT DISTINCT FROM b.{name}" for name in names)
        own = ", ".join(f"e.{name}" for name in names)
        within = f"max(__time) OVER (PARTITION BY {own} ORDER BY __n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        connection.execute(
            f"CREATE OR REPLACE TABLE __keyed AS SELECT e.*, greatest({within}, b.latest) - {policy.out_of_order} AS __mark FROM "
            f"(SELECT __n, {keys}, {adjusted} AS __time FROM {quoted(staged.table)} WHERE __fault IS NULL AND {stays}) AS e "
            f"LEFT JOIN {quoted(self._substreams)} AS b ON {same}"
        )
        where = "WHERE __mark IS NULL OR __time >= __mark" if policy.drop else ""
        taken = connection.execute(
            f"SELECT __n, greatest(__time, __mark) AS __time FROM __keyed {where} ORDER BY __n"
        ).fetchnumpy()
        connection.execute(
            f"CREATE OR REPLACE TABLE {quoted(self._substreams)} AS SELECT {keys}, max(latest) AS latest FROM "
            f"(SELECT {keys}, latest FROM {quoted(self._substreams)} UNION ALL SELECT {keys}, __time FROM __keyed) GROUP BY ALL"
        )
        judged = f"{quoted(staged.table)} WHERE __fault IS NULL"
        arrived = "max(__arrival)" if with_arrivals else "NULL"
        latest = f"SELECT __part, max(__event), {arrived}, count(*) FROM {judged} GROUP BY __part"
        for partition, event, arrival, count in connection.execute(latest).fetchall():
            self.clock(int(partition)).saw_event(int(event))
            self.dropped += int(count)
            if arrival is not None:
                self.clock(int(partition)).saw_arrival(int(arrival))
        self.dropped -= len(taken["__n"])
        times = np.full(staged.count, GONE)
        times[taken["__n"]] = taken["__time"]
        return times

    def oldest_waiting(self, released: int) -> int | None:
        """The number of the oldest event that waits for its release."""
        waiting = self._order[self._waits(released)]
        return int(waiting.min()) if len(waiting) else None

    def _waits(self, released: int) -> np.ndarray:
        waits: np.ndarray = (self._times > released) & (self._times != GONE)
        return waits

    def forget(self, hi: int) -> None:
        """Remove the events that have been released, and keys whose clock can't matter any more."""
        waits, table = self._waits(hi), quoted(self.pending)
        if not waits.all():
            self.connection.register("__waits", {"waits": waits})
            held = f"SELECT {self._columns_held} FROM {table} POSITIONAL JOIN __waits WHERE waits"
            execute(self.connection, f"CREATE OR REPLACE TABLE {table} AS {held}")
            self.connection.unregister("__waits")
            self._times, self._order = self._times[waits], self._order[waits]
        if self.plan.substream_keys:
            self.connection.execute(f"DELETE FROM {quoted(self._substreams)} WHERE latest - {self.policy.out_of_order} <= {hi}")

    # ---- saving

    def marks(self) -> dict[str, Any]:
        """What a saved state has to know besides the tables."""
        clocks = {str(partition): [clock.event, clock.arrival] for partition, clock in self.clocks.items()}
        return {"sequence": self.sequence, "dropped": self.dropped, "clocks": clocks}

    def restore_marks(self, marks: dict[str, Any]) -> None:
        """Take over what `marks` gave, once the tables are back."""
        self.sequence = marks["sequence"]
        self.dropped = marks["dropped"]
        self.clocks = {int(partition): PartitionClock(*values) for partition, values in marks["clocks"].items()}
        times = self.connection.execute(f"SELECT __ts, __o0 FROM {quoted(self.plan.step.times_table)}").fetchnumpy()
        self._times, self._order = times["__ts"], times["__o0"]


def _by_partition(parts: np.ndarray, understood: np.ndarray) -> Iterator[tuple[int, slice | np.ndarray]]:
    """The partitions of the events that were understood, each with where its events are."""
    if len(parts) and understood.all() and (parts == parts[0]).all():
        yield int(parts[0]), slice(None)
        return
    for partition in np.unique(parts[understood]):
        yield int(partition), np.flatnonzero(understood & (parts == partition))


def _leaves(path: tuple[str, ...], data_type: DataType) -> list[tuple[tuple[str, ...], DataType]]:
    """The paths whose texts are read for a value: its own, or those of the fields of a record, down to arrays."""
    if not data_type.fields:
        return [(path, data_type)]
    return [leaf for name, inner in data_type.fields for leaf in _leaves((*path, name), inner)]


def _record_fault(record: Sequence[str], leaves: Sequence[tuple[tuple[str, ...], DataType]], reason: str) -> str:
    """What isn't a record looks as if all its fields were missing, so only then is its type worth a second look."""
    missing = " AND ".join(f"{_leaf(path)} IS NULL" for path, _ in leaves) or "TRUE"
    return f"WHEN {missing} AND json_type(__json, {_json_path(record)}) NOT IN ('OBJECT', 'NULL') THEN {text_literal(reason)}"


def _leaf(path: Sequence[str]) -> str:
    """The name of the column that holds the text at a path."""
    return quoted(f"__text {json.dumps(path)}")


def _inside(value: str, path: Sequence[str]) -> str:
    """The SQL of a field of a struct."""
    for part in path:
        value = f"struct_extract({value}, {text_literal(part)})"
    return value


def _json_path(path: Sequence[str]) -> str:
    """A path into an event, as DuckDB's JSON functions take it."""
    return text_literal("$" + "".join(f'."{part}"' for part in path))


def _value(path: tuple[str, ...], data_type: DataType) -> str:
    """The SQL of a value from what was read at its path: a text, or for a record with fields a struct."""
    if data_type.fields:
        fields = ", ".join(f"{quoted(name)} := {_value((*path, name), inner)}" for name, inner in data_type.fields)
        return f"CASE WHEN {_inside('__read', path)} IS NOT NULL THEN struct_pack({fields}) END"
    text = _leaf(path)
    if data_type.kind == "datetime":
        return f"make_timestamp(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)))"
    if data_type.is_json or data_type.kind in _TEXTS:
        return text
    return f"TRY_CAST(CAST({text} AS VARCHAR) AS {duckdb_type(data_type)})"
