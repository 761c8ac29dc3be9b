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
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import orjson

from asa_engine.allocator import FAST
from asa_engine.engine import OutputRows, StreamEngine
from asa_engine.feed import TEXT_PER_TICK
from asa_engine.job_folder import read_job_folder
from asa_engine.time_policy import TimePolicy
from asa_engine.types import FLOAT, NVARCHAR, Schema, quoted
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
KEYS, VISITS, PER_FILE = 1_000_000, 2, 100_000
ROUNDS = 2
BEFORE = "6073c06"
"""What the engine was when the findings about it were written."""
LOOKING_BACK = """SELECT device, reading, LAG(reading) OVER (PARTITION BY device LIMIT DURATION(day, 1)) AS before
INTO found FROM readings TIMESTAMP BY at"""


def tables() -> list[Table]:
    """Measure all, each with the code of before and of now in turn, beside what the machine can parse."""
    with tempfile.TemporaryDirectory() as before:
        code = {"now": REPOSITORY} | _checked_out(Path(before))
        rows = [_row(title, name, code) for title, name in TITLES.items()]
    note = (
        f"Read from files of JSON lines in ticks of at most {TEXT_PER_TICK / 1e6:.1f} MB, as `roompulse query run` takes them: "
        f"{EVENTS_PER_FILE:,} events, 30,000 observations, 400,000 events over keys. Rows of hub outputs are "
        "written as JSON, history is read as columns. DuckDB has one thread: parsing, computing and delivering share the two "
        f"cores instead. Before: commit {BEFORE}, in ticks of {EVENTS_PER_FILE:,} events and 10,000 observations. The limit: the "
        "same files, parsed and nothing else, by the fastest of DuckDB and orjson on all cores. "
        f"The better of {ROUNDS} runs of each, in turn."
    )
    columns = (
        "what",
        "before, per second",
        "per second",
        "times",
        "MB of JSON/s",
        "limit (MB/s)",
        "resident memory (MB)",
        "rows out",
    )
    return [Table("Stream engine", columns, rows, note)]


def _row(title: str, name: str, code: dict[str, Path]) -> list[object]:
    with tempfile.TemporaryDirectory() as folder:
        _MAKE[name](Path(folder))
        ran = [(which, _measured(name, folder, where)) for _ in range(ROUNDS) for which, where in code.items()]
        limit = max(float(_measured(parser, folder, REPOSITORY)["per_second"]) for parser in _PARSE) / 1e6
        size = sum(path.stat().st_size for path in Path(folder).glob("*.json"))
    best = {which: max(one["per_second"] for whose, one in ran if whose == which and one) for which in code}
    now = next(one for whose, one in ran if whose == "now")
    before = best.get("before", 0.0)
    times = f"{best['now'] / before:.2f}" if before else "-"
    speed = best["now"] * size / now["events"] / 1e6
    return [title, before or "-", best["now"], times, speed, limit, now["megabytes"], now["rows"]]


def _measured(name: str, folder: str, where: Path) -> dict[str, Any]:
    """What a benchmark in a process of its own found; nothing for one that the code there doesn't have."""
    command = [sys.executable, "-m", "benchmarks.bench_engine", name, folder]
    path = os.pathsep.join(map(str, (where, *where.glob("packages/*/src"))))
    ran = subprocess.run(command, capture_output=True, text=True, cwd=where, env=os.environ | FAST | {"PYTHONPATH": path})
    if ran.returncode and where == REPOSITORY:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = {"per_second": 0.0} if ran.returncode else json.loads(ran.stdout)
    return found


def _checked_out(folder: Path) -> dict[str, Path]:
    """The code of before in a folder; nothing where the repository doesn't have it, as in a shallow clone."""
    packed = subprocess.run(["git", "archive", BEFORE], cwd=REPOSITORY, capture_output=True)
    if packed.returncode:
        return {}
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return {"before": folder}


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
    for number in range(KEYS * VISITS // PER_FILE):
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
    return KEYS * VISITS, rows + sum(_count(output) for output in engine.finish())


def _parse_with_duckdb(folder: Path) -> tuple[int, int]:
    with duckdb.connect(config={"threads": os.cpu_count() or 1}) as connection:
        files = [str(path) for path in sorted(folder.glob("*.json"))]
        sample = connection.execute("DESCRIBE FROM read_json($1, format='newline_delimited')", [files[:1]]).fetchall()
        columns = ", ".join(f"count({quoted(name)})" for name, *_ in sample)
        connection.execute(f"SELECT {columns} FROM read_json($1, format='newline_delimited')", [files]).fetchall()
    return _bytes_of(folder), 0


def _parse_with_orjson(folder: Path) -> tuple[int, int]:
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        return _bytes_of(folder), sum(processes.map(_parse_file, sorted(folder.glob("*.json"))))


def _parse_file(path: Path) -> int:
    return sum(1 for line in path.read_bytes().splitlines() if orjson.loads(line))


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.json"))


def _count(output: OutputRows) -> int:
    """Read every column of an output and count its rows."""
    columns = ", ".join(f'max("{column.name}")' for column in output.plan.columns)
    row = output.connection.execute(f"SELECT count(*), {columns} FROM ({output.sql()})").fetchone()
    return int(row[0]) if row else 0


_MAKE: dict[str, Callable[[Path], object]] = {"minute": make_readings, "rules": make_observations, "keys": _make_keys}
_PARSE: dict[str, Callable[[Path], tuple[int, int]]] = {"duckdb": _parse_with_duckdb, "orjson": _parse_with_orjson}
"""Only parses: what is counted are bytes."""
_RUN: dict[str, Callable[[Path], tuple[int, int]]] = {"minute": _run_minutes, "rules": _run_rules, "keys": _run_keys} | _PARSE


def main() -> None:
    """Run one benchmark on files made before and print its figures as JSON."""
    started = time.perf_counter()
    events, rows = _RUN[sys.argv[1]](Path(sys.argv[2]))
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"per_second": events / seconds, "events": events, "megabytes": megabytes, "rows": rows}))


if __name__ == "__main__":
    main()
