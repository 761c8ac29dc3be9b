"""The stream engine: a one-minute aggregate over JSON, the deployed query with three signals and three rules per observation, and
LAG over a million keys.

Each runs in a process of its own on files made beforehand; the figures hold from the first byte parsed to the last row written.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from asa_engine.allocator import FAST
from asa_engine.engine import OutputRows, StreamEngine
from asa_engine.job_folder import read_job_folder
from asa_engine.time_policy import TimePolicy
from asa_engine.types import FLOAT, NVARCHAR, Schema
from benchmarks.engine_comparison.aggregate.ours import AHEAD, QUERY, SCHEMA
from benchmarks.engine_comparison.aggregate.readings import EVENTS, EVENTS_PER_FILE, make_readings
from benchmarks.engine_comparison.deployed.observations import DEVICES, MINUTES, make_observations
from benchmarks.read_ahead import database, taken_in_turn
from benchmarks.report import Table

REPOSITORY = Path(__file__).resolve().parents[1]


TITLES = {
    "1-minute aggregate over JSON, events": "minute",
    "deployed query, observations": "rules",
    "LAG over a million keys, events": "keys",
}
KEYS, ROUNDS, PER_FILE = 1_000_000, 2, 100_000
LOOKING_BACK = """SELECT device, reading, LAG(reading) OVER (PARTITION BY device LIMIT DURATION(day, 1)) AS before
INTO found FROM readings TIMESTAMP BY at"""


def tables() -> list[Table]:
    """Measure both."""
    rows = []
    for title, name in TITLES.items():
        with tempfile.TemporaryDirectory() as folder:
            _MAKE[name](Path(folder))
            command = [sys.executable, "-m", "benchmarks.bench_engine", name, folder]
            ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY, env=os.environ | FAST)
            found = json.loads(ran.stdout)
            rows.append([title, found["per_second"], found["megabytes"], found["rows"]])
    note = (
        f"Ticks of {EVENTS_PER_FILE:,} events and of 10,000 observations, read from files of JSON lines; rows of hub outputs are "
        "written as JSON, history is read as columns. DuckDB has one thread: parsing, computing and delivering share the two "
        "cores instead."
    )
    return [Table("Stream engine", ("what", "per second", "resident memory (MB)", "rows out"), rows, note)]


def _run_minutes(folder: Path) -> tuple[int, int]:
    engine = StreamEngine(QUERY, {"readings": SCHEMA}, policy=TimePolicy.of_seconds(5, 5), connection=database())
    rows = 0
    for _ in taken_in_turn(engine, "readings", sorted(folder.glob("*.json")), AHEAD):
        rows += sum(_count(output) for output in engine.advance())
    return EVENTS, rows + sum(_count(output) for output in engine.finish())


def _run_rules(folder: Path) -> tuple[int, int]:
    job = read_job_folder(REPOSITORY / "asa-queries" / "roompulse")
    engine = StreamEngine(job.query, job.schemas, policy=job.policy, connection=database())
    rows = 0

    def deliver(output: OutputRows) -> int:
        return _count(output) if job.outputs[output.name].delta_table else len(output.json_lines())

    for _ in taken_in_turn(engine, "observations", sorted(folder.glob("*.json")), ahead=1):
        rows += sum(engine.advance_beside(deliver))
    rows += sum(deliver(output) for output in engine.finish())
    return MINUTES * DEVICES, rows


def _make_keys(folder: Path) -> None:
    """Every device reads once in each round, a file a minute."""
    for number in range(KEYS * ROUNDS // PER_FILE):
        first = number * PER_FILE % KEYS
        lines = (
            f'{{"device":"device-{first + place:08d}","reading":{place % 100},'
            f'"at":"2026-03-01T08:{number:02d}:{place * 60 // PER_FILE:02d}Z"}}\n'
            for place in range(PER_FILE)
        )
        (folder / f"{number:03d}.json").write_text("".join(lines), encoding="utf-8")


def _run_keys(folder: Path) -> tuple[int, int]:
    schema = Schema({"device": NVARCHAR, "reading": FLOAT, "at": NVARCHAR})
    engine = StreamEngine(LOOKING_BACK, {"readings": schema}, connection=database())
    rows = 0
    for _ in taken_in_turn(engine, "readings", sorted(folder.glob("*.json")), ahead=1):
        rows += sum(_count(output) for output in engine.advance())
    return KEYS * ROUNDS, rows + sum(_count(output) for output in engine.finish())


def _count(output: OutputRows) -> int:
    """Read every column of an output and count its rows."""
    columns = ", ".join(f'max("{column.name}")' for column in output.plan.columns)
    row = output.connection.execute(f"SELECT count(*), {columns} FROM ({output.sql()})").fetchone()
    return int(row[0]) if row else 0


_MAKE: dict[str, Callable[[Path], object]] = {"minute": make_readings, "rules": make_observations, "keys": _make_keys}
_RUN: dict[str, Callable[[Path], tuple[int, int]]] = {"minute": _run_minutes, "rules": _run_rules, "keys": _run_keys}


def main() -> None:
    """Run one benchmark on files made before and print its figures as JSON."""
    started = time.perf_counter()
    events, rows = _RUN[sys.argv[1]](Path(sys.argv[2]))
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"per_second": events / seconds, "megabytes": megabytes, "rows": rows}))


if __name__ == "__main__":
    main()
