"""Runs every engine on the same events, compares the rows with ours, and gives a table per query: `make bench-engine`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psutil

from asa_engine.allocator import FAST
from asa_engine.types import quoted
from benchmarks.engine_comparison.aggregate.readings import CLOSING_CITY, EVENTS, make_readings
from benchmarks.engine_comparison.deployed.observations import DEVICES, MINUTES, make_observations
from benchmarks.report import Table

REPOSITORY = Path(__file__).resolve().parents[2]
ENGINES_PYTHON = REPOSITORY / ".venv-engines" / "bin" / "python"
TIMEOUT_SECONDS = 600
CLOSE = 1e-6
"""Sums are added up in an order of each engine's own: they may differ where a float ends."""


class ComparisonError(Exception):
    """An engine could not be run, or its rows differ from ours. The text says which, and what to do."""


@dataclass(frozen=True)
class Contestant:
    """An engine: its module in the contest's package, the Python it runs with, and whether it reads two interleaved files."""

    title: str
    module: str
    python: str = str(ENGINES_PYTHON)
    interleaved: bool = False


OURS = Contestant("RoomPulse's engine", "ours", sys.executable)
POLARS = Contestant("Polars 2.1, written by hand for this query", "polars_by_hand")
FLINK = Contestant("Flink SQL 2.3, streaming", "flink", interleaved=True)
SPARK = Contestant("Spark 4.3, Structured Streaming", "spark")


@dataclass(frozen=True)
class Output:
    """Rows that have to be equal: the folder they are in, the columns that name a row, and all columns with their types."""

    folder: str
    key: Sequence[str]
    columns: Mapping[str, str]
    where: str = "TRUE"


@dataclass(frozen=True)
class Contest:
    """A query: its package, how its events are made and how many they are, what comes out, who takes part."""

    title: str
    package: str
    make: Callable[[Path], list[Path]]
    events: int
    unit: str
    outputs: Sequence[Output]
    contestants: Sequence[Contestant]
    note: str


def _texts(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "VARCHAR")


_RULES = "STRUCT(id VARCHAR, severity BIGINT, op VARCHAR, threshold DOUBLE, forSeconds BIGINT)[]"
_SIGNALS = f'STRUCT("name" VARCHAR, "value" DOUBLE, "text" VARCHAR, since VARCHAR, rules {_RULES})[]'
_PLACE = ("cityId", "locationId", "workspaceId")
_FIGURES = dict.fromkeys(("mean", "minimum", "maximum"), "DOUBLE")
DEPLOYED = (
    Output(
        "processed",
        ("id",),
        _texts("id", "observedAt", *_PLACE, "locationName", "workspaceName", "entity", "entityId", "name", "product", "reason")
        | _texts("connectionStatus", "health", "statusSince", "software", "pollId", "Table")
        | {"errorCodes": "VARCHAR[]", "partial": "BOOLEAN", "signals": _SIGNALS},
    ),
    Output(
        "cityminute",
        ("windowEnd", "cityId", "signal"),
        {"windowEnd": "TIMESTAMP", **_texts("cityId", "signal", "Table"), "readings": "BIGINT", **_FIGURES},
    ),
    Output(
        "alerts",
        ("alertId", "state"),
        _texts("alertId", "ruleId", "state", "entity", "entityId", "name", *_PLACE, "locationName", "workspaceName", "signal")
        | _texts("startedAt", "observedAt", "Table")
        | {"severity": "BIGINT", "value": "DOUBLE", "threshold": "DOUBLE"},
    ),
    Output(
        "lake",
        ("id", "signal"),
        _texts("id", "date", *_PLACE, "entity", "entityId", "name", "reason", "connectionStatus", "signal", "text", "pollId")
        | {"observedAt": "TIMESTAMP", "since": "TIMESTAMP", "value": "DOUBLE"},
    ),
)
CONTESTS = (
    Contest(
        "Stream engine beside others",
        "aggregate",
        make_readings,
        EVENTS,
        "events/s",
        (
            Output(
                "",
                ("city", "device", "windowEnd"),
                {**_texts("city", "device"), "windowEnd": "TIMESTAMP", "readings": "BIGINT", **_FIGURES, "total": "DOUBLE"},
                f"city <> '{CLOSING_CITY}'",
            ),
        ),
        (OURS, POLARS, FLINK, SPARK),
        f"{EVENTS // 1_000_000} M readings as JSON lines, a one-minute tumbling aggregate per city and device (count, mean, "
        "minimum, maximum, sum).",
    ),
    Contest(
        "Stream engine beside others: the deployed query",
        "deployed",
        make_observations,
        MINUTES * DEVICES,
        "observations/s",
        DEPLOYED,
        (OURS, POLARS, FLINK),
        f"{MINUTES * DEVICES:,} observations as JSON lines, three signals and three rules each; live rows, city minutes and "
        "alerts are written as JSON lines, history as Parquet (by Flink as JSON lines: its Parquet writer comes separately). "
        "Flink and Polars run what a person wrote to give the same rows. Spark takes no part: its SQL has no LAG on a stream.",
    ),
)


def tables() -> list[Table]:
    """Measure all; raises ComparisonError."""
    missing = [need for need, there in (("java", shutil.which("java")), ("the engines", ENGINES_PYTHON.exists())) if not there]
    if missing:
        raise ComparisonError(f"{' and '.join(missing)} can't be found: install Java 17, then make bench-engine.")
    return [_table(contest) for contest in CONTESTS]


def _table(contest: Contest) -> Table:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "events"
        source.mkdir()
        _interleave(contest.make(source), folder / "interleaved")
        measured = [_measured(contest, contestant, folder) for contestant in contest.contestants]
    count, ours, *_ = measured[0]
    rows = [
        [contestant.title, contest.events / seconds, _ratio(ours, seconds), megabytes, processor]
        for contestant, (_, seconds, megabytes, processor) in zip(contest.contestants, measured, strict=True)
    ]
    note = (
        f"{contest.note} {count:,} rows: every engine's rows are compared with ours, all columns, before a figure is believed. "
        "One engine after the other on the same machine; from the first byte read to the last row written, without the start of "
        "the Java machine. Memory is the peak of the whole process tree (Java: of the 6 GB it may take)."
    )
    columns = ("engine", contest.unit, "against ours", "peak memory (MB)", "processor time (s)")
    return Table(contest.title, columns, rows, note)


def _interleave(files: list[Path], folder: Path) -> None:
    """The same lines dealt to two files: Flink reads two files at once, and takes events for late when their order is lost."""
    folder.mkdir()
    with (folder / "0.json").open("wb") as even, (folder / "1.json").open("wb") as odd:
        for path in files:
            lines = path.read_bytes().splitlines(keepends=True)
            even.writelines(lines[::2])
            odd.writelines(lines[1::2])


def _ratio(ours: float, theirs: float) -> str:
    return f"1/{theirs / ours:.1f}" if theirs > ours else f"{ours / theirs:.1f}"


def _measured(contest: Contest, contestant: Contestant, folder: Path) -> tuple[int, float, float, float]:
    """Rows out, elapsed seconds, peak megabytes and processor seconds of an engine whose rows equal ours."""
    target = folder / contestant.module
    source = folder / ("interleaved" if contestant.interleaved else "events")
    module = f"benchmarks.engine_comparison.{contest.package}.{contestant.module}"
    command = [contestant.python, "-m", module, str(source), str(target)]
    environment = os.environ | (FAST if contestant is OURS else {})
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watch = _Watch(process.pid)
        try:
            output, errors = process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ComparisonError(f"{contestant.title} took longer than {TIMEOUT_SECONDS} s.") from None
        finally:
            watch.stop()
    found = [line for line in output.splitlines() if line.startswith('{"seconds"')]
    if process.returncode or not found:
        raise ComparisonError(f"{contestant.title} failed:\n{errors[-3000:]}")
    rows = sum(_rows_equal_to_ours(contestant, one, target, folder / OURS.module) for one in contest.outputs)
    return rows, float(json.loads(found[-1])["seconds"]), watch.peak_megabytes, watch.processor_seconds


def _rows_equal_to_ours(contestant: Contestant, output: Output, target: Path, ours: Path) -> int:
    """How many rows an engine gave; raises ComparisonError when one differs from ours in any column."""
    differences = [
        f"(t.{quoted(name)} IS NULL) <> (m.{quoted(name)} IS NULL) OR abs(t.{quoted(name)} - m.{quoted(name)}) > {CLOSE}"
        if kind == "DOUBLE"
        else f"t.{quoted(name)} IS DISTINCT FROM m.{quoted(name)}"
        for name, kind in output.columns.items()
    ]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        count, different = connection.execute(
            f"""WITH theirs AS ({_rows(output, target)}), mine AS ({_rows(output, ours)})
            SELECT count(*), count(*) FILTER (WHERE {" OR ".join(differences)})
            FROM theirs AS t FULL JOIN mine AS m USING ({", ".join(output.key)})"""
        ).fetchall()[0]
    if different or not count:
        raise ComparisonError(
            f"{contestant.title}: {different:,} of {count:,} rows {output.folder} differ from ours: its figure is worth nothing."
        )
    return int(count)


def _rows(output: Output, folder: Path) -> str:
    """The SQL of the rows an engine has written, in the types in which they are compared."""
    found = (folder / output.folder).rglob("*")
    files = [str(path) for path in found if path.is_file() and path.stat().st_size and _is_result(path)]
    columns = ", ".join(f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}" for name, kind in output.columns.items())
    if any(file.endswith(".parquet") for file in files):
        return f"SELECT {columns} FROM read_parquet({files}) WHERE {output.where}"
    # a time is read as a text: every engine writes it its own way
    written = {name: "VARCHAR" if kind == "TIMESTAMP" else kind for name, kind in output.columns.items()}
    return f"SELECT {columns} FROM read_json({files}, format='newline_delimited', columns={written}) WHERE {output.where}"


def _is_result(path: Path) -> bool:
    return not path.name.startswith(("_", ".")) and "_spark_metadata" not in path.parts


class _Watch:
    """The peak memory and the processor time of a process and all its descendants, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self.peak_megabytes = 0.0
        self._processor: dict[int, float] = {}
        self._root = psutil.Process(pid)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def processor_seconds(self) -> float:
        """Processor time of all processes seen."""
        return sum(self._processor.values())

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stopping.is_set():
            resident = 0
            for process in self._processes():
                try:
                    resident += process.memory_info().rss
                    times = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                self._processor[process.pid] = times.user + times.system
            self.peak_megabytes = max(self.peak_megabytes, resident / 1e6)
            time.sleep(0.1)

    def _processes(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def main() -> None:
    """Measure and print."""
    try:
        print("\n".join(table.markdown() for table in tables()))
    except ComparisonError as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
