"""The way in: takes staged events in, applies the time policy, and holds them until they are released."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from asa_engine.databases import Database
from asa_engine.plan import InputPlan
from asa_engine.staging import Staged, Staging
from asa_engine.statements import execute
from asa_engine.time_policy import EARLY, END, PartitionClock, TimePolicy, in_order, within_tolerance
from asa_engine.types import duckdb_type, quoted

GONE = np.iinfo(np.int64).max
"""The time of an event that was rejected or dropped: no tick reaches it."""


@dataclass(frozen=True)
class Rejection:
    """An event that couldn't be understood: its place in what was fed, and why."""

    index: int
    reason: str


class InputBuffer:
    """Events of one input between arrival and release."""

    def __init__(self, database: Database, plan: InputPlan, policy: TimePolicy) -> None:
        self.connection = database.connection
        self.plan = plan
        self.policy = policy
        self.staging = Staging(database, plan)
        self.clocks: dict[int, PartitionClock] = {}
        self.sequence = 0
        self.dropped = 0
        self.ended = False
        self._times = np.zeros(0, dtype=np.int64)
        self._order = np.zeros(0, dtype=np.int64)
        self._shown = {"__ts": self._times, "__o0": self._order}
        self._shown_waits = {"waits": np.zeros(0, dtype=bool)}
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
        """Create the tables for the columns the query reads."""
        self.staging.prepare()
        columns = ", ".join(
            ["__event BIGINT", *(f"{quoted(column.name)} {duckdb_type(column.type)}" for column in self.plan.step.wanted_columns)]
        )
        self.connection.execute(f"CREATE TABLE {quoted(self.pending)} ({columns})")
        self.connection.register(self._view("times"), self._shown)  # once: SQL reads what the dictionaries hold by then
        self.connection.register(self._view("waits"), self._shown_waits)
        self.show_times()
        if self.plan.substream_keys:
            keys = [f"__k{index} {duckdb_type(key.type)}" for index, key in enumerate(self.plan.substream_keys)]
            self.connection.execute(f"CREATE TABLE {quoted(self._substreams)} ({', '.join(keys)}, latest BIGINT)")

    # ---- feeding

    def take(self, staged: Staged, released: int) -> list[Rejection]:
        """Take staged events in: find their times and put those that stay into the pending table.

        `released` is how far time has been released. Returns the events that couldn't be understood.
        """
        read = execute(self.connection, f"SELECT __event, __fault FROM {quoted(staged.table)}").fetchnumpy()
        faults = np.flatnonzero(~np.ma.getmaskarray(read["__fault"]))
        rejected = [Rejection(int(index), str(read["__fault"][index])) for index in faults]
        times = (
            self._release_times_by_key(staged)
            if self.plan.substream_keys
            else self._release_times(staged, np.ma.getdata(read["__event"]), faults)
        )
        self._hold(staged.table, np.maximum(times, released + 1), self.sequence + np.arange(staged.count, dtype=np.int64))
        self.staging.give_back(staged.table)
        self.sequence += staged.count
        return rejected

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
        return ", ".join(["__event", *(quoted(column.name) for column in self.plan.step.wanted_columns)])

    def show_times(self) -> None:
        """Write the times of the events that wait into the table beside them, for the steps to read."""
        self._shown |= {"__ts": self._times, "__o0": self._order}
        times = quoted(self.plan.step.times_table)
        execute(self.connection, f"CREATE OR REPLACE TABLE {times} AS FROM {quoted(self._view('times'))}")

    def _view(self, what: str) -> str:
        return f"__{what}_{self.plan.name.lower()}"

    # ---- time

    @property
    def disorder(self) -> int:
        """By how much an event was earlier than one before it in its partition, at most (microseconds)."""
        return max((clock.disorder for clock in self.clocks.values()), default=0)

    def clock(self, partition: int) -> PartitionClock:
        """The clock of a partition; a partition that is known holds the watermark back until it has been heard of."""
        return self.clocks.setdefault(partition, PartitionClock())

    def watermark(self) -> int | None:
        """No event before this time can still come, over all partitions; None while a partition hasn't been heard of."""
        if self.ended:
            return END
        if not self.clocks:
            return None
        marks = [self._partition_mark(clock) for clock in self.clocks.values()]
        known = [mark for mark in marks if mark is not None]
        return min(known) if len(known) == len(marks) else None

    def _partition_mark(self, clock: PartitionClock) -> int | None:
        if self.plan.timestamp is None:
            return clock.arrival
        return clock.watermark(self.policy, per_key=bool(self.plan.substream_keys))

    def _release_times(self, staged: Staged, events: np.ndarray, faults: np.ndarray) -> np.ndarray:
        """The adjusted times of events; GONE for those that don't stay."""
        understood = np.ones(staged.count, dtype=bool)
        understood[faults] = False
        times = np.full(staged.count, GONE)
        for partition, rows in _by_partition(staged.partitions, understood):
            arrived = staged.arrivals[rows] if staged.arrivals is not None else None
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
            if arrivals is None and len(events):  # of a file: judged by nothing, but received in this order
                clock.saw_arrival(int(events.max()))
            return np.maximum.accumulate(events), np.ones(len(events), dtype=bool)
        adjusted, stays = within_tolerance(events, arrivals, self.policy)
        if stays.all():
            return in_order(adjusted, clock, self.policy)
        kept = np.flatnonzero(stays)
        adjusted[kept], stays[kept] = in_order(adjusted[kept], clock, self.policy)
        return adjusted, stays

    def _release_times_by_key(self, staged: Staged) -> np.ndarray:
        """The same with a clock per key (TIMESTAMP BY ... OVER): out-of-order per key, late arrival for all."""
        connection, policy, with_arrivals = self.connection, self.policy, staged.arrivals is not None
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
            f"(SELECT rowid AS __n, {keys}, {adjusted} AS __time FROM {quoted(staged.table)} "
            f"WHERE __fault IS NULL AND {stays}) AS e "
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
            first = int(waits.argmax()) if waits.any() else len(waits)  # what waits came last: only the end of the table is read
            self._shown_waits["waits"] = waits[first:]
            end = f"(SELECT {self._columns_held} FROM {table} WHERE rowid >= $1)"
            held = f"SELECT {self._columns_held} FROM {end} POSITIONAL JOIN {quoted(self._view('waits'))} WHERE waits"
            execute(self.connection, f"CREATE OR REPLACE TABLE {table} AS {held}", [first])
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


def _by_partition(partitions: np.ndarray | None, understood: np.ndarray) -> Iterator[tuple[int, slice | np.ndarray]]:
    """The partitions of the events that were understood, each with where its events are."""
    parts = np.zeros(len(understood), dtype=np.int64) if partitions is None else partitions
    if len(parts) and understood.all() and (parts == parts[0]).all():
        yield int(parts[0]), slice(None)
        return
    for partition in np.unique(parts[understood]):
        yield int(partition), np.flatnonzero(understood & (parts == partition))
