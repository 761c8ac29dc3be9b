"""The stream engine: a one-minute aggregate over JSON, and the deployed query with three signals and three rules per observation.

Each runs in a process of its own on files made beforehand; the figures hold from the first byte parsed to the last row written.
"""

# ruff: noqa: E501 (statements that make data read best on one line)
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

import duckdb

from benchmarks.engine_comparison.deployed.observations import DEVICES, MINUTES, START, make_observations
from benchmarks.read_ahead import taken_in_turn
from benchmarks.report import Table
from local.stream_engine.allocator import FAST
from local.stream_engine.engine import OutputRows, StreamEngine
from local.stream_engine.job_folder import read_job_folder
from local.stream_engine.time_policy import TimePolicy
from local.stream_engine.types import DATETIME, FLOAT, NVARCHAR, Schema

REPOSITORY = Path(__file__).resolve().parents[1]
MINUTE_FILES, MINUTE_EVENTS = 30, 100_000
MEMORY_LIMIT = "1GB"
AGGREGATE = """SELECT city, device, COUNT(*) AS readings, AVG(v) AS mean, MIN(v) AS minimum, MAX(v) AS maximum, SUM(v) AS total,
    System.Timestamp() AS windowEnd INTO minutes FROM readings TIMESTAMP BY time GROUP BY city, device, TumblingWindow(minute, 1)"""


def tables() -> list[Table]:
    """Measure both."""
    rows = []
    for title, name in (("1-minute aggregate over JSON, events", "minute"), ("deployed query, observations", "rules")):
        with tempfile.TemporaryDirectory() as folder:
            _MAKE[name](Path(folder))
            command = [sys.executable, "-m", "benchmarks.bench_engine", name, folder]
            ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY, env=os.environ | FAST)
            found = json.loads(ran.stdout)
            rows.append([title, found["per_second"], found["megabytes"], found["rows"]])
    note = (
        "Ticks of 100,000 events and of 10,000 observations, read from files of JSON lines; rows of hub outputs are written as JSON, "
        "history is read as columns. DuckDB has one thread: parsing, computing and delivering share the two cores instead."
    )
    return [Table("Stream engine", ("what", "per second", "resident memory (MB)", "rows out"), rows, note)]


def _make_minutes(folder: Path) -> None:
    """Readings of 2,000 devices in 40 cities over two hours, a third of them up to 5 s out of order."""
    with duckdb.connect() as connection:
        connection.execute("SELECT setseed(0.7)")
        for number in range(MINUTE_FILES):
            milliseconds = f"((n + {number * MINUTE_EVENTS}) * {7_200_000 / (MINUTE_FILES * MINUTE_EVENTS)})::BIGINT"
            late = "CASE WHEN random() < 0.3 THEN (random() * 5000)::BIGINT ELSE 0 END"
            connection.execute(
                "COPY (SELECT 'dev-' || lpad((h % 2000)::VARCHAR, 5, '0') AS device, 'city-' || lpad((h % 2000 // 50)::VARCHAR, 2, '0') AS city, "
                "strftime(make_timestamp(ms * 1000), '%Y-%m-%dT%H:%M:%S.%gZ') AS time, 'ambientTemperature' AS metric, round(21 + random(), 2) AS v "
                f"FROM (SELECT (random() * 1e6)::BIGINT AS h, greatest(0, {milliseconds} - {late}) + {int(START.timestamp() * 1000)} AS ms "
                f"FROM range({MINUTE_EVENTS}) AS t(n))) TO '{folder / f'{number:03d}.json'}' (FORMAT json)"
            )


def _run_minutes(folder: Path) -> tuple[int, int]:
    schema = Schema({"device": NVARCHAR, "city": NVARCHAR, "time": DATETIME, "metric": NVARCHAR, "v": FLOAT})
    engine = StreamEngine(AGGREGATE, {"readings": schema}, policy=TimePolicy.of_seconds(5, 5), connection=_database())
    rows = 0
    for _ in taken_in_turn(engine, "readings", sorted(folder.glob("*.json")), ahead=2):
        rows += sum(_count(output) for output in engine.advance())
    return MINUTE_FILES * MINUTE_EVENTS, rows + sum(_count(output) for output in engine.finish())


def _run_rules(folder: Path) -> tuple[int, int]:
    job = read_job_folder(REPOSITORY / "asa-queries" / "roompulse")
    engine = StreamEngine(job.query, job.schemas, policy=job.policy, connection=_database())
    rows = 0

    def deliver(output: OutputRows) -> int:
        return _count(output) if job.outputs[output.name].delta_table else len(output.json_lines())

    for _ in taken_in_turn(engine, "observations", sorted(folder.glob("*.json")), ahead=1):
        rows += sum(engine.advance_beside(deliver))
    rows += sum(deliver(output) for output in engine.finish())
    return MINUTES * DEVICES, rows


def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1, "memory_limit": MEMORY_LIMIT})


def _count(output: OutputRows) -> int:
    """Read every column of an output and count its rows."""
    columns = ", ".join(f'max("{column.name}")' for column in output.plan.columns)
    row = output.connection.execute(f"SELECT count(*), {columns} FROM ({output.sql()})").fetchone()
    return int(row[0]) if row else 0


_MAKE: dict[str, Callable[[Path], object]] = {"minute": _make_minutes, "rules": make_observations}
_RUN: dict[str, Callable[[Path], tuple[int, int]]] = {"minute": _run_minutes, "rules": _run_rules}


def main() -> None:
    """Run one benchmark on files made before and print its figures as JSON."""
    started = time.perf_counter()
    events, rows = _RUN[sys.argv[1]](Path(sys.argv[2]))
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"per_second": events / seconds, "megabytes": megabytes, "rows": rows}))


if __name__ == "__main__":
    main()
