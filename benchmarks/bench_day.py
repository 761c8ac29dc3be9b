"""24 hours of `roompulse run` with 2,000 devices, a minute in each second: do memory, open files and disk stay as they are?

The run's own time goes 60 times as fast (`--speed 60`), so an hour is a minute and polls come every second. What has to grow is
told apart from what must not: history in the lake grows by its rows, hub logs are kept for an age, states and program logs are
bounded. Alone: `python -m benchmarks.bench_day [HOURS]`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.pipeline_driver import Pipeline, pipeline
from benchmarks.report import Table

HOURS = 24
DEVICES = 2_000
SPEED = 60
HOUR_SECONDS = 3600 / SPEED


@dataclass(frozen=True)
class Hour:
    """What the run holds at the end of a simulated hour: megabytes, open files, megabytes on disk by folder, stored rows."""

    memory: float
    files: int
    disk: dict[str, float]
    lag: str


def tables(hours: int = HOURS) -> list[Table]:
    """Run the day and show its hours."""
    with tempfile.TemporaryDirectory() as folder:
        seen, rows = _day(Path(folder) / "day", hours)
    return [_table(seen, rows)]


def _day(folder: Path, hours: int) -> tuple[list[Hour], dict[str, int]]:
    with pipeline(folder, "--devices", str(DEVICES), "--speed", str(SPEED), "--poll", "60s") as run:
        run.start(within=180)
        began = time.monotonic()
        seen = []
        for hour in range(hours):
            time.sleep(max(0.0, began + (hour + 1) * HOUR_SECONDS - time.monotonic()))
            seen.append(_looked_at(run))
        run.interrupt()
        return seen, run.verify()["readings"]


def _looked_at(run: Pipeline) -> Hour:
    assert run.process is not None
    processes = [psutil.Process(run.process.pid), *run.parts().values()]
    disk: dict[str, float] = {}
    for path in run.data.rglob("*"):
        top = path.relative_to(run.data).parts[0]
        try:
            disk[top] = disk.get(top, 0.0) + (path.stat().st_size / 1e6 if path.is_file() else 0.0)
        except FileNotFoundError:  # the lake has just put it away
            continue
    memory = sum(process.memory_info().rss for process in processes) / 1e6
    lags = [line for line in run.output().splitlines() if " · lag " in line]
    lag = lags[-1].partition(" · lag ")[2].split(" · ")[0] if lags else ""
    return Hour(memory, sum(process.num_fds() for process in processes), disk, lag)


def _table(seen: Sequence[Hour], rows: dict[str, int]) -> Table:
    folders = sorted({name for hour in seen for name, size in hour.disk.items() if size >= 1})
    shown = sorted({0, *range(5, len(seen), 6), len(seen) - 1})
    note = (
        f"`roompulse run --devices {DEVICES} --speed {SPEED}`, a poll a simulated minute: {len(seen)} simulated hours in "
        f"{len(seen) * HOUR_SECONDS / 60:.0f} minutes. History (lake) is to grow by what is stored, {rows['rows']:,} rows at the "
        f"end, {rows['keys']:,} of them distinct; hub logs until their age; nothing else."
    )
    columns = ("end of hour", "memory of all processes (MB)", "open files", "lag", *(f"{name} (MB)" for name in folders))
    table = [
        [hour + 1, seen[hour].memory, seen[hour].files, seen[hour].lag, *(seen[hour].disk.get(name, 0.0) for name in folders)]
        for hour in shown
    ]
    return Table("Pipeline: a day at 2,000 devices", columns, table, note)


def main() -> None:
    """Measure and print."""
    print("\n".join(table.markdown() for table in tables(int(sys.argv[1]) if len(sys.argv) > 1 else HOURS)))


if __name__ == "__main__":
    main()
