"""Runs a query over streams: feed events, advance time, collect the rows of the outputs. State can be saved and continued.

    engine = StreamEngine(query_text, {"observations": schema}, policy=TimePolicy.of_seconds(5, 0))
    engine.feed("observations", bodies, arrivals)
    for rows in engine.advance():
        print(rows.name, rows.json_lines())

The result doesn't depend on how the events are split into batches.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import numpy as np

from asa_engine.databases import Database
from asa_engine.errors import CalculationError, ConversionError, CorruptState, StateMismatch, StreamEngineError
from asa_engine.expressions import Typed, as_text, without_infinities
from asa_engine.input_buffer import InputBuffer, Rejection
from asa_engine.plan import REFERENCE, OutputPlan, Plan, plan_query
from asa_engine.schedule import schedule_of
from asa_engine.staging import Staged
from asa_engine.statements import execute
from asa_engine.steps import HI, Column, Step, Tick, restore_tables, save_tables, time_order
from asa_engine.time_policy import END, TimePolicy
from asa_engine.types import Schema, duckdb_type, json_structure, quoted, structure_literal, text_literal

_BEGINNING = -END
_FORMAT = 2
_T = TypeVar("_T")


@dataclass(frozen=True)
class OutputRows:
    """The rows an output gets in one tick. Valid until the engine takes events in, advances or saves again.

    Every output has a connection of its own, so that several outputs can be read at the same time.
    """

    plan: OutputPlan
    connection: duckdb.DuckDBPyConnection

    @property
    def name(self) -> str:
        """The output's name as the query writes it."""
        return self.plan.name

    def sql(self) -> str:
        """A SELECT with the output's columns, and `__ts` and order columns (see `order`), in no order."""
        return self.plan.step.read(set(self.plan.step.columns))

    @property
    def order(self) -> str:
        """What to ORDER BY for the rows' order in time."""
        return time_order(self.plan.step)

    def relation(self) -> duckdb.DuckDBPyRelation:
        """The rows as a DuckDB relation on the output's connection, in no order."""
        columns = ", ".join(quoted(column.name) for column in self.plan.columns)
        return self.connection.sql(f"SELECT {columns} FROM ({self.sql()})")

    def json_sql(self, columns: Sequence[str] | None = None) -> str:
        """The SQL of one row as a JSON object, over the columns of `sql()`: times with seven digits and Z, no NULL columns."""
        members = [_json_member(column) for column in self.plan.columns if columns is None or column.name in columns]
        return f"'{{' || concat_ws(',', {', '.join(members)}) || '}}'"

    def json_lines(self) -> list[str]:
        """The rows as JSON texts, by time, arrival and, among the same, text. Raises ConversionError, CalculationError."""
        with _failures_named():
            found = execute(self.connection, f"SELECT {self.json_sql()} AS line, {self.order} FROM ({self.sql()})").fetchnumpy()
        lines, order = found.pop("line"), list(reversed(found.values()))
        places = np.lexsort(order)  # cheaper than sorting lines in DuckDB
        # results of one window that begin with the same event: DuckDB gives them in an order of its own
        if np.logical_and.reduce([np.diff(column[places]) == 0 for column in order]).any():
            places = np.lexsort([lines, *order])
        ordered: list[str] = lines[places].tolist()
        return ordered

    def rows(self) -> list[dict[str, Any]]:
        """The rows as dictionaries with every column; for tests and small results."""
        names = [column.name for column in self.plan.columns]
        parsed = [json.loads(line) for line in self.json_lines()]
        return [{name: row.get(name) for name in names} for row in parsed]


class StreamEngine:
    """A running query. Not thread-safe; one engine per query."""

    def __init__(
        self,
        query: str,
        schemas: Mapping[str, Schema],
        references: Mapping[str, tuple[Schema, Sequence[Mapping[str, Any]]]] | None = None,
        policy: TimePolicy | None = None,
        connection: duckdb.DuckDBPyConnection | None = None,
        file_name: str = "query",
    ) -> None:
        """Plan the query; raises QueryError. `references` are the reference inputs with their rows."""
        references = references or {}
        self.policy = policy or TimePolicy()
        self._database = Database(connection)
        self.connection = self._database.connection
        self.plan: Plan = plan_query(query, schemas, {name: schema for name, (schema, _) in references.items()}, file_name)
        self.inputs = {key: InputBuffer(self._database, planned, self.policy) for key, planned in self.plan.inputs.items()}
        self.released = _BEGINNING
        self._unsettled = False
        self._readers = {output.name: self._database.cursor() for output in self.plan.outputs}
        self._schedule = schedule_of(self.plan)
        self._workers = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="output")
        self._fingerprint = _fingerprint(query, schemas, self.policy)
        for name, (schema, rows) in references.items():
            self._load_reference(name, schema, rows)
        for buffer in self.inputs.values():
            buffer.prepare()
        for step in self.plan.steps:
            step.prepare(self.connection)
        self._bounded = [output.name for output in self.plan.outputs if HI in self._rows_of(output).sql()]

    def _load_reference(self, name: str, schema: Schema, rows: Sequence[Mapping[str, Any]]) -> None:
        table = quoted(REFERENCE.format(name.lower()))
        columns = ", ".join(f"{quoted(column)} {duckdb_type(data_type)}" for column, data_type in schema.columns.items())
        self.connection.execute(f"CREATE TABLE {table} ({columns})")
        if rows:
            structure = structure_literal([{column: json_structure(data_type) for column, data_type in schema.columns.items()}])
            self.connection.execute(
                f"INSERT INTO {table} BY NAME SELECT unnest(from_json(?::JSON, {structure}), max_depth := 2)",
                [json.dumps(list(rows))],
            )

    # ---- feeding

    def declare_partitions(self, name: str, partitions: Sequence[int]) -> None:
        """Name the partitions of an input: each holds time back until it has been heard of."""
        for partition in partitions:
            self._input(name).clock(partition)

    def stage(
        self,
        name: str,
        bodies: Sequence[str],
        arrivals: np.ndarray | None = None,
        partitions: np.ndarray | None = None,
        received: np.ndarray | None = None,
    ) -> Staged:
        """Parse events (JSON texts) of an input, in order of arrival within each partition, for `take`.

        Touches no state: another thread may compute a tick meanwhile. `arrivals` are microseconds since the epoch; without them
        nothing is early or late. `received` are the same for events that the time policy doesn't apply to: those of a file.
        """
        return self._input(name).staging.stage(bodies, arrivals, partitions, received)

    def stage_files(self, name: str, paths: Sequence[Path]) -> Staged:
        """The same for files of JSON lines (or a JSON array each), one after the other, without arrival times."""
        return self._input(name).staging.stage_files([str(path) for path in paths])

    def take(self, name: str, staged: Staged) -> list[Rejection]:
        """Take staged events in, in the order in which they were staged. Returns what couldn't be understood."""
        self._settle()
        return self._input(name).take(staged, self.released)

    def feed(
        self, name: str, bodies: Sequence[str], arrivals: np.ndarray | None = None, partitions: np.ndarray | None = None
    ) -> list[Rejection]:
        """Stage events and take them in at once."""
        return self.take(name, self.stage(name, bodies, arrivals, partitions))

    def heartbeat(self, name: str, partition: int, moment: int) -> None:
        """Nothing that arrived in this partition before `moment` (microseconds) is still to come."""
        self._input(name).clock(partition).saw_arrival(moment)

    def end(self, name: str) -> None:
        """Nothing more comes from this input: it holds the others back no longer. Not part of a saved state."""
        self._input(name).ended = True

    def fed(self, name: str) -> int:
        """How many events of an input have been fed since its beginning, a saved state's included."""
        return self._input(name).sequence

    def dropped(self, name: str) -> int:
        """How many events of an input the time policy has dropped since its beginning, a saved state's included."""
        return self._input(name).dropped

    def disorder(self, name: str) -> int:
        """By how much an event of an input was earlier than one before it, at most (microseconds)."""
        return self._input(name).disorder

    def oldest_waiting(self, name: str) -> int | None:
        """The number (counted from 0) of the oldest event of an input that hasn't been released; None when none waits."""
        return self._input(name).oldest_waiting(self.released)

    def _input(self, name: str) -> InputBuffer:
        if name.lower() not in self.inputs:
            raise StreamEngineError(f"The query reads no input {name}; it reads {', '.join(sorted(self.inputs))}.")
        return self.inputs[name.lower()]

    # ---- advancing

    def advance(self) -> list[OutputRows]:
        """Release everything that is complete and return the outputs' rows; empty when time hasn't moved."""
        return self._advance_to(self._complete())

    def advance_beside(self, consume: Callable[[OutputRows], _T]) -> list[_T]:
        """Like `advance`, on several threads: each output's rows are computed and handed to `consume` beside the others.

        An output begins as soon as the steps it shares with others are done. Returns what `consume` returned, in the order of the
        outputs. When one fails the others are let finish; the engine can't go on then, only another one from a saved state.
        """
        return self._advance_beside(self._complete(), consume)

    def finish_beside(self, consume: Callable[[OutputRows], _T]) -> list[_T]:
        """Like `finish`, on several threads as `advance_beside`."""
        return self._advance_beside(END, consume)

    def _advance_beside(self, hi: int, consume: Callable[[OutputRows], _T]) -> list[_T]:
        if hi <= self.released:
            return []
        tick = self._begin(hi)

        def own(output: OutputPlan) -> _T:
            _report(self._readers[output.name], tick)
            self._run(self._schedule.own[output.name], self._readers[output.name], tick)
            return consume(self._rows_of(output))

        running: dict[str, Future[_T]] = {}
        try:
            for step, outputs in self._schedule.shared:
                if step is not None:
                    self._run([step], self.connection, tick)
                running |= {output.name: self._workers.submit(own, output) for output in outputs}
        finally:
            wait(running.values())
        consumed = [running[output.name].result() for output in self.plan.outputs]
        self._end(hi)
        return consumed

    def finish(self) -> list[OutputRows]:
        """The end of all inputs: close every window and return what is left."""
        return self._advance_to(END)

    def _complete(self) -> int:
        """The time up to which everything is known; an event that carries exactly the watermark may still come."""
        marks = [buffer.watermark() for buffer in self.inputs.values()]
        known = [mark for mark in marks if mark is not None]
        return min(known) - 1 if len(known) == len(marks) else self.released

    def _advance_to(self, hi: int) -> list[OutputRows]:
        if hi <= self.released:
            return []
        tick = self._begin(hi)
        for name in self._bounded:
            _report(self._readers[name], tick)
        self._run(self.plan.steps, self.connection, tick)
        self._end(hi)
        return [self._rows_of(output) for output in self.plan.outputs]

    def _begin(self, hi: int) -> Tick:
        self._settle()
        for buffer in self.inputs.values():
            buffer.show_times()
        tick = Tick(self.released, hi)
        _report(self.connection, tick)
        return tick

    def _run(self, steps: Sequence[Step], connection: duckdb.DuckDBPyConnection, tick: Tick) -> None:
        with _failures_named():
            for step in steps:
                step.run(connection, tick)

    def _end(self, hi: int) -> None:
        self.released = hi
        self._unsettled = True

    def _rows_of(self, output: OutputPlan) -> OutputRows:
        return OutputRows(output, self._readers[output.name])

    def close(self) -> None:
        """Close the connection; what hasn't been saved is gone."""
        self._workers.shutdown()
        self._database.close()

    def _settle(self) -> None:
        """Remove what the last tick released; its outputs have been read by now."""
        if self._unsettled:
            for buffer in self.inputs.values():
                buffer.forget(self.released)
            self._unsettled = False

    # ---- saving

    def save(self, path: Path, notes: Mapping[str, Any]) -> None:
        """Write the state, with the caller's notes (JSON), to a new file: a DuckDB database, every block with a checksum."""
        self._settle()
        meta = {
            "format": _FORMAT,
            "fingerprint": self._fingerprint,
            "released": self.released,
            "inputs": {key: buffer.marks() for key, buffer in self.inputs.items()},
            "notes": dict(notes),
        }
        with self._database.attached(path):
            for step in self.plan.steps:
                step.save(self.connection)
            for buffer in self.inputs.values():
                buffer.show_times()
                save_tables(self.connection, buffer.state_tables)
            self.connection.execute("CREATE TABLE saved.__meta AS SELECT ? AS meta", [json.dumps(meta)])

    def restore(self, path: Path) -> dict[str, Any]:
        """Continue from a file written by `save`; returns the caller's notes.

        Raises StateMismatch when the query, its schemas or its time policy have changed, CorruptState for an unreadable file.
        """
        self._settle()
        try:
            with self._database.attached(path, "(READ_ONLY)"):
                meta = self._restored_from(path)
        except (duckdb.Error, ValueError) as problem:
            raise CorruptState(f"{path} is not a readable state: {problem}") from problem
        self.released = meta["released"]
        for key, marks in meta["inputs"].items():
            self.inputs[key].restore_marks(marks)
        return dict(meta["notes"])

    def _restored_from(self, path: Path) -> dict[str, Any]:
        """Take the tables of an attached state over; gives what else it says."""
        row = self.connection.execute("SELECT meta FROM saved.__meta").fetchone()
        meta: dict[str, Any] = json.loads(row[0]) if row else {}
        if meta.get("format") != _FORMAT or meta.get("fingerprint") != self._fingerprint:
            raise StateMismatch(f"{path} was saved by another query, schema or time policy.")
        for step in self.plan.steps:
            step.restore(self.connection)
        for buffer in self.inputs.values():
            restore_tables(self.connection, buffer.state_tables)
        return meta


def _report(connection: duckdb.DuckDBPyConnection, tick: Tick) -> None:
    """Let the SQL that runs on a connection know the tick's bounds."""
    execute(connection, "SET VARIABLE lo = $1::BIGINT", [tick.lo])
    execute(connection, "SET VARIABLE hi = $1::BIGINT", [tick.hi])


@contextmanager
def _failures_named() -> Iterator[None]:
    """Turn a failed CAST into ConversionError, and another calculation without a result into CalculationError."""
    try:
        yield
    except duckdb.ConversionException as problem:
        raise ConversionError(
            f"A CAST failed (conversion error): {_reason(problem)}. Use TRY_CAST for values that may not fit."
        ) from problem
    except (duckdb.OutOfRangeException, duckdb.InvalidInputException) as problem:
        raise CalculationError(
            f"A calculation failed: {_reason(problem)}. Use CASE for values it can't be made with, or CAST numbers AS float."
        ) from problem


def _reason(problem: duckdb.Error) -> str:
    """What DuckDB says is wrong, without the SQL, which nobody wrote by hand."""
    said = str(problem).partition("\nLINE ")[0].partition(": ")[2].strip().rstrip(".!")
    return "a text is not a time in ISO 8601" if said.startswith('invalid timestamp field format: ""') else said


def _json_member(column: Column) -> str:
    """The SQL of `"name":value`, NULL when the value is NULL."""
    name, label = quoted(column.name), text_literal(json.dumps(column.name, ensure_ascii=False) + ":")
    if column.type.is_json:
        return f"{label} || nullif(CAST({name} AS VARCHAR), 'null')"
    if column.type.kind == "record":
        # a merge patch leaves out what is NULL inside
        return f"{label} || CAST(json_merge_patch('{{}}', to_json({without_infinities(name, column.type)})) AS VARCHAR)"
    value = as_text(Typed(name, column.type)) if column.type.kind == "datetime" else name
    if column.type.kind == "float":
        value = without_infinities(name, column.type)
    return f"{label} || CAST(to_json({value}) AS VARCHAR)"


def _fingerprint(query: str, schemas: Mapping[str, Schema], policy: TimePolicy) -> str:
    described = json.dumps(
        [_FORMAT, query, {name: repr(schema.columns) for name, schema in sorted(schemas.items())}, repr(policy)]
    )
    return hashlib.sha256(described.encode()).hexdigest()
