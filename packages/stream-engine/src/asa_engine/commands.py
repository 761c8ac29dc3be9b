"""What the command line does with a query: check it, explain it, run it on files, run the tests of a job folder."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from asa_engine.clauses import sources_of
from asa_engine.engine import OutputRows, StreamEngine
from asa_engine.errors import Fault, QueryError, StreamEngineError
from asa_engine.event_files import arrivals_of, parts_of_file, respelled, shown_by_file
from asa_engine.job_folder import JobFolder, JobFolderError, read_job_folder
from asa_engine.lint import lint
from asa_engine.parser import parse
from asa_engine.plan import Plan, plan_query
from asa_engine.staging import Staged
from asa_engine.steps import Column
from asa_engine.syntax import Script
from asa_engine.time_policy import TimePolicy
from asa_engine.types import Schema

_SHOWN = 5
"""So many events that couldn't be read are shown of an input; the others are counted."""
_HOUR = 3_600
_ENQUEUED = "eventenqueuedutctime"
"""The column (lower case) with the time of arrival that files sampled on Azure have."""
TEXT_PER_TICK = 16_000_000
"""About so many characters of events are fed at a time: 10,000 observations or 150,000 short readings."""


@dataclass(frozen=True)
class Checked:
    """The result of a check: what can't run, and what may run differently on Azure."""

    file: Path
    source: str
    errors: tuple[Fault, ...]
    doubts: tuple[Fault, ...]

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to say."""
        return not self.errors and not self.doubts

    def render(self) -> str:
        """All findings, each with its place, the line and the way out."""
        return "\n".join(fault.render(self.file.name, self.source) for fault in (*self.errors, *self.doubts))


@dataclass(frozen=True)
class ExplainedStep:
    """A WITH step or an output: its columns with their types."""

    name: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Explained:
    """What a query is made of."""

    name: str
    policy: TimePolicy
    inputs: tuple[ExplainedStep, ...]
    steps: tuple[ExplainedStep, ...]
    outputs: tuple[ExplainedStep, ...]
    kept: tuple[tuple[str, str, str], ...]
    """What is kept between ticks: by which step, what, and for how long."""


@dataclass(frozen=True)
class CaseResult:
    """How a test case of a job folder ended: per output, expected rows that are missing and rows nobody expected."""

    name: str
    missing: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    unexpected: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    error: str = ""
    left_out: tuple[str, ...] = ()
    """The first events that couldn't be read, with the reason: on Azure they go to the diagnostic log."""

    @property
    def passed(self) -> bool:
        """Whether every output was as expected."""
        return not self.error and not any(self.missing.values()) and not any(self.unexpected.values())


def check(path: Path, inputs: Mapping[str, Path] | None = None) -> Checked:
    """Check a query file or a job folder. Raises JobFolderError when its files can't be read.

    `inputs` are files of events that show the columns of inputs which nothing declares; without one they aren't checked.
    """
    job = open_job(path)
    try:
        script = parse(job.query, job.query_file.name)
        plan = _plan(job, script, inputs or {})
    except QueryError as fault:
        return Checked(job.query_file, job.query, tuple(fault.faults), ())
    doubts = sorted({*lint(script), *plan.doubts, *_unseen(script, plan)}, key=lambda doubt: doubt.position)
    return Checked(job.query_file, job.query, (), tuple(doubts))


def _unseen(script: Script, plan: Plan) -> list[Fault]:
    """A doubt for each input of which no column is known."""
    unseen = {key for key, planned in plan.inputs.items() if planned.schema.is_sample and not planned.schema.columns}
    sources = {source.name.lower(): source for source in reversed(sources_of(script)) if source.name.lower() in unseen}
    advice = "Add --input {0}=FILE with some events of it, or CREATE TABLE."
    text = "The columns of input {0} aren't known: their names and types are not checked."
    return [Fault(one.position, text.format(one.name), advice.format(one.name)) for one in sources.values()]


def explain(path: Path) -> Explained:
    """Say what a query is made of. Raises QueryError."""
    job = open_job(path)
    plan = _plan(job, parse(job.query, job.query_file.name), {})
    inputs = tuple(
        ExplainedStep(i.name, _described(Column(n, t) for n, t in i.schema.columns.items())) for i in plan.inputs.values()
    )
    steps = tuple(ExplainedStep(name, _described(columns)) for name, columns in plan.step_columns.items())
    outputs = tuple(ExplainedStep(output.name, _described(output.columns)) for output in plan.outputs)
    waiting = tuple((i.name, "events", "until no earlier one can come") for i in plan.inputs.values())
    kept = tuple((_as_written(step.name), what, how_long) for step in plan.steps for what, how_long in step.keeps)
    return Explained(job.name, job.policy, inputs, steps, outputs, waiting + kept)


def _as_written(step: str) -> str:
    """The name of a step or output in the query: s21_into_cityminute is cityminute."""
    return step.split("_", 1)[1].removeprefix("into_")


@dataclass(frozen=True)
class Ran:
    """What a run gave: rows and files by output, how many events of each input the time policy dropped, which couldn't be read,
    and what may be otherwise on Azure."""

    rows: dict[str, int]
    dropped: dict[str, int]
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    doubts: tuple[Fault, ...] = ()


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


def run(
    path: Path,
    inputs: Mapping[str, Path],
    output: Path,
    progress: Callable[[int, int], None] = lambda events, size: None,
    arrival: str | None = None,
) -> Ran:
    """Run a query over files of events (JSON lines, arrays, CSV) and write each output to `<output>/<name>.json` as JSON lines.

    The events of a file count in the order of their times, as in the service's own local runs, and its end closes every window.
    With `arrival`, a column that says when an event arrived, the time policy of the job applies as it does on Azure. An event
    that can't be read is left out. `progress` is told how many events and characters have been fed since it was last told.
    """
    job = open_job(path)
    _check_names(job, inputs)
    feed = _Feed(job, inputs, arrival)
    ran = _run_once(feed, output, progress)
    if feed.disorder:
        ran = _run_once(feed.in_order(), output, progress)
    return ran


def _run_once(feed: _Feed, output: Path, progress: Callable[[int, int], None]) -> Ran:
    engine, inputs = feed.engine, feed.inputs
    output.mkdir(parents=True, exist_ok=True)
    rows: Counter[str] = Counter({planned.name: 0 for planned in engine.plan.outputs})
    paths = {planned.name: output / f"{file_name(planned.name)}.json" for planned in engine.plan.outputs}
    files = {name: path.open("w", encoding="utf-8") for name, path in paths.items()}

    def write(produced: OutputRows) -> None:
        lines = produced.json_lines()
        files[produced.name].writelines(line + "\n" for line in lines)
        rows[produced.name] += len(lines)

    try:
        for _ in _fed(feed, progress):
            engine.advance_beside(write)
        for produced in engine.finish():
            write(produced)
    finally:
        for file in files.values():
            file.close()
    dropped = {name: engine.dropped(name) for name in inputs if name.lower() in engine.inputs}
    return Ran(dict(rows), dropped, feed.left_out, paths, tuple(dict.fromkeys(engine.plan.doubts)))


def file_name(output: str) -> str:
    """The name of an output as the name of a file: what could lead elsewhere is written as %XX."""
    safe = "".join(letter if letter.isalnum() or letter in " ._-" else quote(letter, safe="") for letter in output)
    return f"%2E{safe[1:]}" if safe.startswith(".") else safe


def test(folder: Path) -> list[CaseResult]:
    """Run the test cases of a job folder (`test/testConfig.json`, the format of the service's own test tool)."""
    job = read_job_folder(folder)
    config_file = folder / "test" / "testConfig.json"
    try:
        cases = json.loads(config_file.read_text(encoding="utf-8-sig"))["TestCases"]
    except (OSError, ValueError, KeyError) as fault:
        raise JobFolderError(f"{config_file} can't be read as test cases ({fault}).") from fault
    return [_test_case(job, case, config_file.parent) for case in cases]


def open_job(path: Path) -> JobFolder:
    """The job of a folder, or of a query file: the folder it is the startFile of, or else a job that has only the query."""
    if path.is_dir():
        return read_job_folder(path)
    if (path.parent / "asaproj.json").is_file():
        job = read_job_folder(path.parent)
        if job.query_file.resolve() == path.resolve():
            return job
    try:
        query = path.read_text(encoding="utf-8-sig")
    except OSError as fault:
        raise JobFolderError(f"{path} can't be read: {fault.strerror}.") from fault
    return JobFolder(path.parent, path.stem, path, query, TimePolicy())


def _plan(job: JobFolder, script: Script, files: Mapping[str, Path]) -> Plan:
    """The plan of a job. What nothing declares has the columns that its file shows, or unknown ones."""
    steps = {step.name.lower() for step in script.steps}
    schemas = {name.lower(): (name, schema) for name, schema in job.schemas.items()}
    shown = {name.lower(): shown_by_file(file, TEXT_PER_TICK).schema for name, file in files.items()}
    # a job folder names its inputs; beside one, any name would hide a misspelling
    read = {} if job.inputs else {source.name.lower(): source.name for source in sources_of(script)}
    for key, name in read.items():
        if key not in steps:
            schemas.setdefault(key, (name, Schema()))
    known = {
        name: schema if schema.columns else shown.get(key, Schema(is_sample=True)) for key, (name, schema) in schemas.items()
    }
    looked_up = {name for name, entry in job.inputs.items() if entry.is_reference}
    streams = {name: schema for name, schema in known.items() if name not in looked_up}
    references = {name: schema for name, schema in known.items() if name in looked_up}
    return plan_query(job.query, streams, references, job.query_file.name, set(job.outputs) or None)


def _described(columns: Any) -> tuple[tuple[str, str], ...]:
    return tuple((column.name, str(column.type)) for column in columns)


# ---- running


def _check_names(job: JobFolder, inputs: Mapping[str, Path]) -> None:
    """Raise StreamEngineError for inputs the query doesn't read, and for those it reads that have no file."""
    script = parse(job.query, job.query_file.name)
    steps, given = {step.name.lower() for step in script.steps}, {name.lower() for name in inputs}
    read = {source.name.lower(): source.name for source in sources_of(script) if source.name.lower() not in steps}
    names = " and ".join(sorted(read.values()))
    faults = [f"The query reads no input {name}; it reads {names}." for name in inputs if name.lower() not in read]
    faults += [f"Input {name} has no events: add --input {name}=FILE." for key, name in sorted(read.items()) if key not in given]
    if faults:
        raise StreamEngineError("\n".join(faults))


class _Feed:
    """Files on their way into an engine: it has the columns they show where nothing is declared.

    `slack` is how much earlier than one before it an event may be; `arrival` the column with the times of arrival.
    """

    def __init__(self, job: JobFolder, inputs: Mapping[str, Path], arrival: str | None = None, slack: int = 0) -> None:
        for name, file in inputs.items():
            if not file.is_file():
                raise StreamEngineError(f"{file}, the events of input {name}, is no file.")
        self.job, self.inputs, self.arrival = job, inputs, arrival
        self.left_out = {name: LeftOut() for name in inputs}
        self._shown = {name: shown_by_file(file, TEXT_PER_TICK) for name, file in inputs.items()}
        self._began = int(time.time()) // _HOUR * _HOUR * 1_000_000 + 1
        policy = job.policy if arrival else TimePolicy(late=None, out_of_order=slack)
        self.engine = self._engine(policy)

    def in_order(self) -> _Feed:
        """The same again, with as much patience as the files' order needs."""
        return _Feed(self.job, self.inputs, slack=self.disorder)

    @property
    def disorder(self) -> int:
        """By how much an event was earlier than one before it; nothing where the time policy decides."""
        if self.arrival:
            return 0
        disorder = max((buffer.disorder for buffer in self.engine.inputs.values()), default=0)
        return disorder if disorder > self.engine.policy.out_of_order else 0

    def _engine(self, policy: TimePolicy) -> StreamEngine:
        job = self.job
        references = {name.lower() for name, known in job.inputs.items() if known.is_reference}
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
                tables[name] = (schema, _rows(file))
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


def _fed(feed: _Feed, progress: Callable[[int, int], None] = lambda events, size: None) -> Iterator[None]:
    """Feed the files in step, a part of each at a time, and yield whenever time may move on; the next part is parsed beside."""
    engine = feed.engine
    with ThreadPoolExecutor(1, thread_name_prefix="parsing") as parsing:
        streams = {
            name: _staged_ahead(feed, name, file, parsing) for name, file in feed.inputs.items() if name.lower() in engine.inputs
        }
        while streams:
            for name, stream in list(streams.items()):
                bodies, staged = next(stream, ((), None))
                if staged is None:
                    engine.end(name)
                    del streams[name]
                    continue
                for rejection in engine.take(name, staged):
                    number = engine.fed(name) - staged.count + rejection.index + 1
                    feed.left_out[name].add(number, rejection.reason, bodies[rejection.index])
                progress(staged.count, sum(map(len, bodies)))
            if streams:  # else the end of all closes what is left
                yield


def _staged_ahead(feed: _Feed, name: str, file: Path, parsing: ThreadPoolExecutor) -> Iterator[tuple[Sequence[str], Staged]]:
    """The events of a file, a part at a time, with what the engine made of them; the part after is read and parsed meanwhile."""
    parts, fed = parts_of_file(file, TEXT_PER_TICK), 0

    def parse_next() -> tuple[Sequence[str], Staged] | None:
        nonlocal fed
        bodies = next(parts, None)
        if not bodies:
            return None
        fed += len(bodies)
        return bodies, feed.stage(name, bodies, fed - len(bodies))

    following = parsing.submit(parse_next)
    while part := following.result():
        following = parsing.submit(parse_next)
        yield part


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(body) for part in parts_of_file(file, TEXT_PER_TICK) for body in part]
    except ValueError as fault:
        raise StreamEngineError(f"{file} can't be read as JSON: {fault}.") from fault


# ---- testing


def _test_case(job: JobFolder, case: Mapping[str, Any], folder: Path) -> CaseResult:
    name = str(case["Name"])
    inputs = {str(entry["InputAlias"]): folder / str(entry["FilePath"]) for entry in case["Inputs"]}
    try:
        feed = _Feed(job, inputs)
        produced = _produced(feed)
        if feed.disorder:
            feed = feed.in_order()
            produced = _produced(feed)
    except StreamEngineError as fault:
        return CaseResult(name, error=str(fault))
    missing: dict[str, list[dict[str, Any]]] = {}
    unexpected: dict[str, list[dict[str, Any]]] = {}
    for expected in case["ExpectedOutputs"]:
        alias = str(expected["OutputAlias"])
        ignored = {str(field_name).lower() for field_name in expected.get("IgnoreFields") or ()}
        wanted = Counter(_comparable(row, ignored) for row in _rows(folder / str(expected["FilePath"])))
        got = Counter(_comparable(row, ignored) for row in produced.get(alias.lower(), []))
        missing[alias] = [json.loads(row) for row in (wanted - got).elements()]
        unexpected[alias] = [json.loads(row) for row in (got - wanted).elements()]
    left_out = tuple(f"{name}: {line}" for name, some in feed.left_out.items() for line in some.shown)
    return CaseResult(name, missing, unexpected, left_out=left_out)


def _produced(feed: _Feed) -> dict[str, list[dict[str, Any]]]:
    """The rows of every output, by its name in lower case."""
    produced: dict[str, list[dict[str, Any]]] = {}
    for _ in _fed(feed):
        for rows in feed.engine.advance():
            produced.setdefault(rows.name.lower(), []).extend(rows.rows())
    for rows in feed.engine.finish():
        produced.setdefault(rows.name.lower(), []).extend(rows.rows())
    return produced


def _comparable(row: Mapping[str, Any], ignored: set[str]) -> str:
    """A row as text that is equal when the rows mean the same: no NULL columns, numbers as numbers, names in any case."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key.lower(): plain(inner) for key, inner in sorted(value.items()) if inner is not None}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        return value

    return json.dumps(plain({key: value for key, value in row.items() if key.lower() not in ignored}), sort_keys=True)
