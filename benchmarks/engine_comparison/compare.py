"""Runs every engine on the same readings, compares their rows with ours, and gives a table. Used by `make bench-engine`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psutil

from benchmarks.engine_comparison.events import CLOSING_CITY, EVENTS, make_interleaved, make_readings
from benchmarks.report import Table
from local.stream_engine.allocator import FAST

REPOSITORY = Path(__file__).resolve().parents[2]
ENGINES_PYTHON = REPOSITORY / ".venv-engines" / "bin" / "python"
TIMEOUT_SECONDS = 600
OURS = "RoomPulse's engine"


class ComparisonError(Exception):
    """An engine could not be run, or its rows differ from ours. The text says which, and what to do."""


@dataclass(frozen=True)
class Contestant:
    """An engine: its module, the Python it runs with, and whether it reads the two interleaved files."""

    title: str
    module: str
    python: str
    interleaved: bool = False


CONTESTANTS = (
    Contestant(OURS, "run_ours", sys.executable),
    Contestant("Polars 2.1, written by hand for this query", "run_polars", str(ENGINES_PYTHON)),
    Contestant("Flink SQL 2.3, streaming", "run_flink", str(ENGINES_PYTHON), interleaved=True),
    Contestant("Spark 4.3, Structured Streaming", "run_spark", str(ENGINES_PYTHON)),
)


def tables() -> list[Table]:
    """Measure all; raises ComparisonError."""
    missing = [need for need, there in (("java", shutil.which("java")), ("the engines", ENGINES_PYTHON.exists())) if not there]
    if missing:
        raise ComparisonError(f"{' and '.join(missing)} can't be found: install Java 17, then make bench-engine.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "readings"
        source.mkdir()
        files = make_readings(source)
        make_interleaved(files, folder / "interleaved")
        measured = [_measured(contestant, folder) for contestant in CONTESTANTS]
    count, ours, *_ = measured[0]
    rows = [
        [contestant.title, EVENTS / seconds, _ratio(ours, seconds), megabytes, processor]
        for contestant, (_, seconds, megabytes, processor) in zip(CONTESTANTS, measured, strict=True)
    ]
    note = (
        f"{EVENTS // 1_000_000} M readings as JSON lines, a one-minute tumbling aggregate per city and device (count, mean, "
        f"minimum, maximum, sum), {count:,} rows: every engine's rows are compared with ours, all columns, before a figure is "
        "believed. One engine after the other on the same machine; from the first byte read to the last row written, without the "
        "start of the Java machine. Memory is the peak of the whole process tree (Java: of the 6 GB it may take)."
    )
    columns = ("engine", "events/s", "against ours", "peak memory (MB)", "processor time (s)")
    return [Table("Stream engine beside others", columns, rows, note)]


def _ratio(ours: float, theirs: float) -> str:
    return f"1/{theirs / ours:.1f}" if theirs > ours else f"{ours / theirs:.1f}"


def _measured(contestant: Contestant, folder: Path) -> tuple[int, float, float, float]:
    """Rows out, elapsed seconds, peak megabytes and processor seconds of an engine whose rows equal ours."""
    target = folder / contestant.module
    source = folder / ("interleaved" if contestant.interleaved else "readings")
    command = [contestant.python, "-m", f"benchmarks.engine_comparison.{contestant.module}", str(source), str(target)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=os.environ | FAST, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
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
    rows = _rows_equal_to_ours(contestant, target, folder / "run_ours")
    return rows, float(json.loads(found[-1])["seconds"]), watch.peak_megabytes, watch.processor_seconds


def _rows_equal_to_ours(contestant: Contestant, target: Path, ours: Path) -> int:
    """How many rows an engine gave; raises ComparisonError when one differs from ours in any column.

    Sums are added up in an order of each engine's own: they may differ where a float ends.
    """
    columns = """city, device, CAST(windowEnd AS TIMESTAMP) AS windowEnd, CAST(readings AS BIGINT) AS readings,
        mean, minimum, maximum, total"""

    def rows(folder: Path) -> str:
        files = [str(path) for path in folder.rglob("*") if path.is_file() and path.stat().st_size and _is_result(path)]
        reader = "read_parquet" if any(file.endswith(".parquet") for file in files) else "read_json"
        return f"SELECT {columns} FROM {reader}({files}) WHERE city <> '{CLOSING_CITY}'"

    with duckdb.connect() as connection:
        count, different = connection.execute(
            f"""WITH theirs AS ({rows(target)}), mine AS ({rows(ours)})
            SELECT count(t.city), count(*) FILTER (WHERE t.readings IS DISTINCT FROM m.readings OR t.minimum <> m.minimum
                OR t.maximum <> m.maximum OR abs(t.mean - m.mean) > 1e-9 OR abs(t.total - m.total) > 1e-6)
            FROM theirs AS t FULL JOIN mine AS m USING (city, device, windowEnd)"""
        ).fetchall()[0]
    if different or not count:
        raise ComparisonError(
            f"{contestant.title} gave {count:,} rows, {different:,} of them differ from ours: its figure is worth nothing."
        )
    return int(count)


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
