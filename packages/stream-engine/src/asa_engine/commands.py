"""What the command line does with a query: check it, explain it, run it on files, run the tests of a job folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asa_engine.cases import CaseResult, run_case
from asa_engine.clauses import sources_of
from asa_engine.column_types import ColumnType, column_types
from asa_engine.configuration import Configuration, text_of
from asa_engine.engine import OutputRows
from asa_engine.errors import Fault, Position, QueryError
from asa_engine.event_files import shown_by_file
from asa_engine.evidence import Evidence, evidence
from asa_engine.feed import TEXT_PER_TICK, Feed, LeftOut, check_names, feed_all
from asa_engine.job_folder import LEVEL, JobFolder, read_job_folder, start_of
from asa_engine.lint import lint
from asa_engine.looked_up import references_of, taken_for_references
from asa_engine.parallel import Keyed, keyed_places
from asa_engine.parser import parse
from asa_engine.plan import Plan, plan_query
from asa_engine.steps import Column
from asa_engine.syntax import Script
from asa_engine.time_policy import TimePolicy
from asa_engine.types import Schema


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
    keyed: tuple[Keyed, ...] = ()
    """What is keyed, and whether it keeps Azure from running the partitions side by side."""
    made_of: tuple[Evidence, ...] = ()
    """Every construct, and how it is known that it does the same on Azure."""


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
    doubts = sorted(
        {*lint(script), *plan.doubts, *_unseen(script, plan), *taken_for_references(job, script), *_of_another_level(job)},
        key=lambda doubt: doubt.position,
    )
    return Checked(job.query_file, job.query, (), tuple(doubts))


def types(path: Path, inputs: Mapping[str, Path] | None = None) -> tuple[ColumnType, ...]:
    """What every column of the outputs would be on Azure; `inputs` are files of events to count types in. Raises QueryError."""
    job = open_job(path)
    script = parse(job.query, job.query_file.name)
    return column_types(script, _plan(job, script, inputs or {}), inputs or {})


def _of_another_level(job: JobFolder) -> list[Fault]:
    """A doubt where the job is of another compatibility level than the engine."""
    if job.compatibility == LEVEL:
        return []
    text = f"The job is of compatibility level {job.compatibility}, and what runs here is {LEVEL}."
    advice = "Times in texts, booleans and parallel steps differ: set CompatibilityLevel in JobConfig.json to 1.2, or mind them."
    return [Fault(Position(1, 1), text, advice)]


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
    script = parse(job.query, job.query_file.name)
    plan = _plan(job, script, {})
    inputs = tuple(
        ExplainedStep(i.name, _described(Column(n, t) for n, t in i.schema.columns.items())) for i in plan.inputs.values()
    )
    steps = tuple(ExplainedStep(name, _described(columns)) for name, columns in plan.step_columns.items())
    outputs = tuple(ExplainedStep(output.name, _described(output.columns)) for output in plan.outputs)
    waiting = tuple((i.name, "events", "until no earlier one can come") for i in plan.inputs.values())
    kept = tuple((_as_written(step.name), what, how_long) for step in plan.steps for what, how_long in step.keeps)
    keyed = keyed_places(script, job.inputs, job.outputs, job.compatibility)
    made_of = evidence(script, lint(script))
    return Explained(job.name, job.policy, inputs, steps, outputs, waiting + kept, keyed, made_of)


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
    that can't be read is left out. `progress` hears how many events and characters have been fed since it was last reported.
    """
    job = open_job(path)
    check_names(parse(job.query, job.query_file.name), inputs)
    feed = Feed(job, inputs, arrival)
    ran = _run_once(feed, output, progress)
    if feed.disorder:
        ran = _run_once(feed.in_order(), output, progress)
    return ran


def _run_once(feed: Feed, output: Path, progress: Callable[[int, int], None]) -> Ran:
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
        for _ in feed_all(feed, progress):
            engine.advance_beside(write)
        engine.finish_beside(write)
    finally:
        for file in files.values():
            file.close()
    dropped = {name: engine.dropped(name) for name in inputs if name.lower() in engine.inputs}
    script = parse(feed.job.query, feed.job.query_file.name)
    doubts = dict.fromkeys((*taken_for_references(feed.job, script), *engine.plan.doubts))
    return Ran(dict(rows), dropped, feed.left_out, paths, tuple(doubts))


def file_name(output: str) -> str:
    """The name of an output as the name of a file: what could lead elsewhere is written as %XX."""
    safe = "".join(letter if letter.isalnum() or letter in " ._-" else quote(letter, safe="") for letter in output)
    return f"%2E{safe[1:]}" if safe.startswith(".") else safe


def test(folder: Path) -> list[CaseResult]:
    """Run the test cases of a job folder (`test/testConfig.json`, the format of the service's own test tool)."""
    job = read_job_folder(folder)
    config = Configuration.read(folder / "test" / "testConfig.json")
    return [run_case(job, case) for case in config.parts("TestCases")]


def open_job(path: Path) -> JobFolder:
    """The job of a folder, or of a query file: the folder it is the startFile of, or else a job that has only the query."""
    if path.is_dir():
        return read_job_folder(path)
    if start_of(path.parent) == path.resolve():
        return read_job_folder(path.parent)
    return JobFolder(path.parent, path.stem, path, text_of(path), TimePolicy())


def _plan(job: JobFolder, script: Script, files: Mapping[str, Path]) -> Plan:
    """The plan of a job. What nothing declares has the columns that its file shows, or unknown ones.

    Raises QueryError, and StreamEngineError for a file that can't be read or is of no input.
    """
    check_names(script, files, all_needed=False)
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
    looked_up = references_of(job, script)
    streams = {name: schema for name, schema in known.items() if name.lower() not in looked_up}
    references = {name: schema for name, schema in known.items() if name.lower() in looked_up}
    return plan_query(job.query, streams, references, job.query_file.name, set(job.outputs) or None)


def _described(columns: Any) -> tuple[tuple[str, str], ...]:
    return tuple((column.name, str(column.type)) for column in columns)
