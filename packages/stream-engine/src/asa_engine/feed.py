"""Files of events on their way into an engine, a part of each at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asa_engine.clauses import sources_of
from asa_engine.engine import StreamEngine
from asa_engine.errors import StreamEngineError
from asa_engine.event_files import arrivals_of, parts_of_file, respelled, shown_by_file
from asa_engine.job_folder import JobFolder
from asa_engine.looked_up import references_of
from asa_engine.parser import parse
from asa_engine.staging import Staged
from asa_engine.syntax import Script
from asa_engine.time_policy import TimePolicy
from asa_engine.types import Schema

_SHOWN = 5
"""So many events that couldn't be read are shown of an input; the others are counted."""
_HOUR = 3_600
_ENQUEUED = "eventenqueuedutctime"
"""The column (lower case) with the time of arrival that files sampled on Azure have."""
TEXT_PER_TICK = 2**25
"""About so many characters of events are fed at a time, if there are as many: 30,000 observations or 300,000 short readings. It
bounds the memory of a run: the deployed query needs 690 MB, with half of it 430. A tick of a third costs three tenths more for
each event, one of twice as much no less."""


@dataclass
class LeftOut:
    """The events of an input that couldn't be read: how many, and the first of them with the reason."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, number: int, reason: str, body: str) -> None:
        """Count the event `number` (from 1) of the input."""
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(f"event {number}: {reason}: {body.strip()[:200]}")


def check_names(script: Script, inputs: Mapping[str, Path], all_needed: bool = True) -> None:
    """Raise StreamEngineError for inputs the query doesn't read and, if `all_needed`, for those it reads that have no file."""
    steps, given = {step.name.lower() for step in script.steps}, {name.lower() for name in inputs}
    read = {source.name.lower(): source.name for source in sources_of(script) if source.name.lower() not in steps}
    names = " and ".join(sorted(read.values()))
    faults = [f"The query reads no input {name}; it reads {names}." for name in inputs if name.lower() not in read]
    if all_needed:
        missing = [name for key, name in sorted(read.items()) if key not in given]
        faults += [f"Input {name} has no events: add --input {name}=FILE." for name in missing]
    if faults:
        raise StreamEngineError("\n".join(faults))


class Feed:
    """Files on their way into an engine: it has the columns they show where nothing is declared.

    `slack` is how much earlier than one before it an event may be; `arrival` the column with the times of arrival.
    """

    def __init__(self, job: JobFolder, inputs: Mapping[str, Path], arrival: str | None = None, slack: int = 0) -> None:
        for name, file in inputs.items():
            if not file.is_file():
                raise StreamEngineError(f"{file}, the events of input {name}, is not a file.")
        self.job, self.inputs, self.arrival = job, inputs, arrival
        self.left_out = {name: LeftOut() for name in inputs}
        self._shown = {name: shown_by_file(file, TEXT_PER_TICK) for name, file in inputs.items()}
        self._began = int(time.time()) // _HOUR * _HOUR * 1_000_000 + 1
        policy = job.policy if arrival else TimePolicy(late=None, out_of_order=slack)
        self.engine = self._engine(policy)

    def in_order(self) -> Feed:
        """The same again, with as much patience as the files' order needs."""
        return Feed(self.job, self.inputs, slack=self.disorder)

    @property
    def disorder(self) -> int:
        """By how much an event was earlier than one before it; nothing where the time policy decides."""
        if self.arrival:
            return 0
        disorder = max((buffer.disorder for buffer in self.engine.inputs.values()), default=0)
        return disorder if disorder > self.engine.policy.out_of_order else 0

    def _engine(self, policy: TimePolicy) -> StreamEngine:
        job = self.job
        references = references_of(job, parse(job.query, job.query_file.name))
        schemas: dict[str, Schema] = {}
        tables: dict[str, tuple[Schema, list[dict[str, Any]]]] = {}
        declared = {name.lower(): schema for name, schema in job.schemas.items() if schema.columns}
        for name, file in self.inputs.items():
            schema = declared.get(name.lower(), self._shown[name].schema)
            if not schema.columns and not _declares(job, name):
                raise StreamEngineError(
                    f"{file} shows no columns of input {name}: none of its events is a JSON object. "
                    "Give it events, or declare its columns with CREATE TABLE."
                )
            if name.lower() in references:
                tables[name] = (schema, rows_of(file))
            else:
                schemas[name] = schema
        return StreamEngine(job.query, schemas, tables, policy, file_name=job.query_file.name)

    def stage(self, name: str, bodies: Sequence[str], number: int) -> Staged:
        """Parse events of an input, the first of which has a number (from 0)."""
        known = self.engine.plan.inputs[name.lower()].schema
        if not self._shown[name].is_spelled_as(known.columns):
            bodies = [respelled(body, known.columns) for body in bodies]
        column = self.arrival or next((one for one in known.columns if one.lower() == _ENQUEUED), "")
        received = self._began + number + np.arange(len(bodies), dtype=np.int64)
        if column:
            read = arrivals_of(bodies, column, received)
            return (
                self.engine.stage(name, bodies, arrivals=read) if self.arrival else self.engine.stage(name, bodies, received=read)
            )
        return self.engine.stage(name, bodies, received=received)


def _declares(job: JobFolder, name: str) -> bool:
    """Whether the query has a CREATE TABLE for an input."""
    return name.lower() in {table.name.lower() for table in parse(job.query, job.query_file.name).tables}


def feed_all(feed: Feed, progress: Callable[[int, int], None] = lambda events, size: None) -> Iterator[None]:
    """Feed the files in step, a part of each at a time, and yield whenever time may move on; the next part is parsed beside.

    What is fed when all files are over is left to the engine's end: for small files it is the only tick.
    """
    engine = feed.engine
    with ThreadPoolExecutor(1, thread_name_prefix="parsing") as parsing:
        streams = {
            name: _staged_ahead(feed, name, file, parsing) for name, file in feed.inputs.items() if name.lower() in engine.inputs
        }
        while streams:
            for name, stream in list(streams.items()):
                part = next(stream, None)
                if part is not None:
                    for rejection in engine.take(name, part.staged):
                        number = engine.fed(name) - part.staged.count + rejection.index + 1
                        feed.left_out[name].add(number, rejection.reason, part.bodies[rejection.index])
                    progress(part.staged.count, sum(map(len, part.bodies)))
                if part is None or part.is_last:
                    engine.end(name)
                    del streams[name]
            if streams:
                yield


@dataclass(frozen=True)
class _Part:
    """Some events of a file, with what the engine made of them."""

    bodies: Sequence[str]
    staged: Staged
    is_last: bool


def _staged_ahead(feed: Feed, name: str, file: Path, parsing: ThreadPoolExecutor) -> Iterator[_Part]:
    """The events of a file, a part at a time; the part after is read and parsed meanwhile."""
    parts, fed = parts_of_file(file, TEXT_PER_TICK), 0
    bodies = next(parts, [])

    def parse_next() -> _Part:
        nonlocal fed, bodies
        staged = feed.stage(name, bodies, fed)
        fed += len(bodies)
        read, bodies = bodies, next(parts, [])
        return _Part(read, staged, is_last=not bodies)

    following = parsing.submit(parse_next) if bodies else None
    while following is not None:
        part = following.result()
        following = None if part.is_last else parsing.submit(parse_next)
        yield part


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of reference data or of expected results. Raises StreamEngineError."""
    try:
        return [json.loads(body) for part in parts_of_file(file, TEXT_PER_TICK) for body in part]
    except ValueError as fault:
        raise StreamEngineError(f"{file} can't be read as JSON: {fault}.") from fault
