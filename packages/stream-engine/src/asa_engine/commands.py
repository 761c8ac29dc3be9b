"""What the command line does with a query: check it, explain it, run it on files, run the tests of a job folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from asa_engine.clauses import sources_of
from asa_engine.engine import OutputRows, StreamEngine
from asa_engine.errors import Fault, QueryError, StreamEngineError
from asa_engine.job_folder import JobFolder, JobFolderError, read_job_folder
from asa_engine.lint import lint
from asa_engine.parser import parse
from asa_engine.plan import Plan, plan_query
from asa_engine.staging import LARGEST_EVENT, Staged
from asa_engine.steps import Column
from asa_engine.time_policy import TimePolicy
from asa_engine.types import Schema, text_literal, type_of_structure

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

    @property
    def passed(self) -> bool:
        """Whether every output was as expected."""
        return not self.error and not any(self.missing.values()) and not any(self.unexpected.values())


def check(path: Path) -> Checked:
    """Check a query file or a job folder. Raises JobFolderError when its files can't be read."""
    job = open_job(path)
    try:
        script = parse(job.query, job.query_file.name)
        doubts = tuple(lint(script))
        _plan(job)
    except QueryError as fault:
        return Checked(job.query_file, job.query, tuple(fault.faults), ())
    return Checked(job.query_file, job.query, (), doubts)


def explain(path: Path) -> Explained:
    """Say what a query is made of. Raises QueryError."""
    job = open_job(path)
    plan = _plan(job)
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
    """What a run gave: rows by output, and how many events of each input the time policy dropped."""

    rows: dict[str, int]
    dropped: dict[str, int]


def run(
    path: Path, inputs: Mapping[str, Path], output: Path, progress: Callable[[int, int], None] = lambda events, size: None
) -> Ran:
    """Run a query over files of events (JSON lines or arrays) and write each output to `<output>/<name>.json` as JSON lines.

    The end of the files closes every window, as in the service's own local runs. `progress` is told how many events and
    characters have been fed since it was last told.
    """
    job = open_job(path)
    _check_names(job, inputs)
    engine = _engine(job, inputs)
    output.mkdir(parents=True, exist_ok=True)
    rows: Counter[str] = Counter({planned.name: 0 for planned in engine.plan.outputs})
    files = {planned.name: (output / f"{planned.name}.json").open("w", encoding="utf-8") for planned in engine.plan.outputs}

    def write(produced: OutputRows) -> None:
        lines = produced.json_lines()
        files[produced.name].writelines(line + "\n" for line in lines)
        rows[produced.name] += len(lines)

    try:
        for _ in _fed(engine, inputs, progress):
            engine.advance_beside(write)
        for produced in engine.finish():
            write(produced)
    finally:
        for file in files.values():
            file.close()
    return Ran(dict(rows), {name: engine.dropped(name) for name in inputs if name.lower() in engine.inputs})


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


def _plan(job: JobFolder) -> Plan:
    streams = {name: schema for name, schema in job.schemas.items() if not job.inputs[name].is_reference}
    references = {name: schema for name, schema in job.schemas.items() if job.inputs[name].is_reference}
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


def _engine(job: JobFolder, inputs: Mapping[str, Path]) -> StreamEngine:
    """An engine whose undeclared inputs have the schema their files show."""
    for name, file in inputs.items():
        if not file.is_file():
            raise StreamEngineError(f"{file}, the events of input {name}, is no file.")
    references = {name for name, known in job.inputs.items() if known.is_reference}
    schemas: dict[str, Schema] = {}
    tables: dict[str, tuple[Schema, list[dict[str, Any]]]] = {}
    for name, file in inputs.items():
        declared = job.schemas.get(name)
        schema = declared if declared and declared.columns else _schema_of(file)
        if not schema.columns and not _declares(job, name):
            raise StreamEngineError(
                f"{file} shows no columns of input {name}: give it events, or declare them with CREATE TABLE."
            )
        if name in references:
            tables[name] = (schema, _rows(file))
        else:
            schemas[name] = schema
    return StreamEngine(job.query, schemas, tables, job.policy, file_name=job.query_file.name)


def _declares(job: JobFolder, name: str) -> bool:
    """Whether the query has a CREATE TABLE for an input."""
    return name.lower() in {table.name.lower() for table in parse(job.query, job.query_file.name).tables}


def _schema_of(file: Path) -> Schema:
    """The columns of an input as its events show them. Raises StreamEngineError."""
    read = f"read_json_objects({text_literal(str(file))}, maximum_object_size={LARGEST_EVENT})"
    try:
        with duckdb.connect() as connection:
            row = connection.execute(f"SELECT json_group_structure(json) FROM {read}").fetchone()
    except duckdb.Error as fault:
        raise StreamEngineError(f"{file} holds neither JSON lines nor an array of events: {fault}") from fault
    return Schema(dict(type_of_structure(json.loads(row[0])).fields) if row and row[0] else {})


def _fed(
    engine: StreamEngine, inputs: Mapping[str, Path], progress: Callable[[int, int], None] = lambda events, size: None
) -> Iterator[None]:
    """Feed the files in step, a part of each at a time, and yield whenever time may move on; the next part is parsed beside."""
    with ThreadPoolExecutor(1, thread_name_prefix="parsing") as parsing:
        streams = {
            name: _staged_ahead(engine, name, file, parsing) for name, file in inputs.items() if name.lower() in engine.inputs
        }
        while streams:
            for name, stream in list(streams.items()):
                bodies, staged = next(stream, ((), None))
                if staged is None:
                    engine.end(name)
                    del streams[name]
                    continue
                for rejection in engine.take(name, staged):
                    raise StreamEngineError(
                        f"{inputs[name]}: event {engine.fed(name) - staged.count + rejection.index + 1}: {rejection.reason}: "
                        f"{bodies[rejection.index].strip()[:200]}"
                    )
                progress(staged.count, sum(map(len, bodies)))
            if streams:  # else the end of all closes what is left
                yield


def _staged_ahead(
    engine: StreamEngine, name: str, file: Path, parsing: ThreadPoolExecutor
) -> Iterator[tuple[Sequence[str], Staged]]:
    """The events of a file, a part at a time, with what the engine made of them; the part after is read and parsed meanwhile."""
    parts = _parts(file)

    def parse_next() -> tuple[Sequence[str], Staged] | None:
        bodies = next(parts, None)
        return (bodies, engine.stage(name, bodies)) if bodies else None

    following = parsing.submit(parse_next)
    while part := following.result():
        following = parsing.submit(parse_next)
        yield part


def _parts(file: Path) -> Iterator[list[str]]:
    """The events of a file of JSON lines or an array, so many at a time as make a tick. Raises StreamEngineError."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            first = lines.read(1)
            while first.isspace():
                first = lines.read(1)
            lines.seek(0)
            if first == "[":
                yield [json.dumps(row, ensure_ascii=False) for row in json.load(lines)]
                return
            while part := lines.readlines(TEXT_PER_TICK):
                if bodies := [line for line in part if line.strip()]:
                    yield bodies
    except ValueError as fault:
        raise StreamEngineError(f"{file} holds neither JSON lines nor an array in UTF-8: {fault}.") from fault


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(body) for part in _parts(file) for body in part]
    except ValueError as fault:
        raise StreamEngineError(f"{file} can't be read as JSON: {fault}.") from fault


# ---- testing


def _test_case(job: JobFolder, case: Mapping[str, Any], folder: Path) -> CaseResult:
    name = str(case["Name"])
    inputs = {str(entry["InputAlias"]): folder / str(entry["FilePath"]) for entry in case["Inputs"]}
    try:
        engine = _engine(job, inputs)
        produced: dict[str, list[dict[str, Any]]] = {}
        for _ in _fed(engine, inputs):
            for rows in engine.advance():
                produced.setdefault(rows.name.lower(), []).extend(rows.rows())
        for rows in engine.finish():
            produced.setdefault(rows.name.lower(), []).extend(rows.rows())
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
    return CaseResult(name, missing, unexpected)


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
