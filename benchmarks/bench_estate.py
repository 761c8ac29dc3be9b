"""`roompulse run` with 1,000, 10,000 and 50,000 devices, a poll a minute: does its lag stay short, what does a device cost?

Each estate runs by itself, first snapshot included: that is when most is to be done at once. A second's lag is the age of the
oldest observation that the query has and hasn't given out. Alone: `python -m benchmarks.bench_estate [DEVICES ...]`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.pipeline_driver import Pipeline, pipeline
from benchmarks.report import Table

SECONDS = {1_000: 70, 10_000: 80, 50_000: 150}
"""How long each estate runs, by its devices."""
LOOK_SECONDS = 0.5
SUPERVISOR = "cli"
LAG_BAR, MEMORY_BAR = 5, 1200


@dataclass
class Process:
    """What one process of the run has taken: processor seconds since its start, and its most memory."""

    processor: float = 0.0
    megabytes: float = 0.0


@dataclass
class Measured:
    """One run: processor time once the page had data and at the end, by process, and what the run says of itself."""

    devices: int
    seconds: float = 0.0
    at_first: dict[str, float] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    report: dict[str, object] = field(default_factory=dict)

    def per_device(self, name: str) -> float:
        """Processor milliseconds per device and minute, from the first data on the page to the end."""
        spent = self.processes[name].processor - self.at_first.get(name, 0.0)
        return spent * 1000 / self.devices / (self.seconds / 60)


def tables(estates: Sequence[int] = tuple(SECONDS)) -> list[Table]:
    """Run each estate and compare."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [_run(Path(folder) / str(devices), devices) for devices in estates]
    return [_lags(runs), _costs(runs)]


def _run(folder: Path, devices: int) -> Measured:
    seconds = SECONDS.get(devices, 120)
    measured = Measured(devices)
    with pipeline(folder, "--devices", str(devices), "--poll", "60s", "--for", f"{seconds}s") as run:
        run.start(within=seconds)
        began = time.monotonic()
        _look(run, measured)
        measured.at_first = {name: process.processor for name, process in measured.processes.items()}
        while run.process is not None and run.process.poll() is None:
            _look(run, measured)
            measured.seconds = time.monotonic() - began
            time.sleep(LOOK_SECONDS)
        measured.report = json.loads((run.data / "last-run.json").read_text(encoding="utf-8"))
    return measured


def _look(run: Pipeline, measured: Measured) -> None:
    """Add what the processes have taken by now; one that has just ended keeps what it had."""
    assert run.process is not None
    try:
        parts = run.parts() | {SUPERVISOR: psutil.Process(run.process.pid)}
    except psutil.NoSuchProcess:
        return
    for name, process in parts.items():
        seen = measured.processes.setdefault(name, Process())
        try:
            times, memory = process.cpu_times(), process.memory_info().rss / 1e6
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        seen.processor, seen.megabytes = max(seen.processor, times.user + times.system), max(seen.megabytes, memory)


def _lags(runs: Sequence[Measured]) -> Table:
    rows = []
    for run in runs:
        lag, memory = run.report["lagSeconds"], run.report["peakMemoryMegabytes"]
        assert isinstance(lag, dict)
        rows.append([run.devices, run.report["observations_read"], lag["p50"], lag["p95"], lag["max"], memory])
    columns = ("devices", "observations", "lag p50 (s)", "lag p95 (s)", "lag max (s)", "memory of all processes (MB)")
    note = f"A poll a minute, first snapshot included. Bars: lag {LAG_BAR} s, memory {MEMORY_BAR:,} MB."
    return Table("Pipeline: 1,000 to 50,000 devices", columns, rows, note)


def _costs(runs: Sequence[Measured]) -> Table:
    names = sorted({name for run in runs for name in run.processes})
    rows: list[list[object]] = []
    for name in names:
        rows.append([name, *(run.per_device(name) for run in runs), *(run.processes[name].megabytes for run in runs)])
    total = [sum(run.per_device(name) for name in run.processes) for run in runs]
    rows.append(["all of them", *total, *(sum(process.megabytes for process in run.processes.values()) for run in runs)])
    columns = [
        "process",
        *(f"{run.devices:,} devices: ms of a processor per device and minute" for run in runs),
        *(f"{run.devices:,}: most memory (MB)" for run in runs),
    ]
    note = "From the first data of every city on the page to the end: the rest of the first snapshot, and the polls after it."
    return Table("Pipeline: what a device costs", columns, rows, note)


def main() -> None:
    """Measure the estates that are named, or all, and print."""
    chosen = [int(argument) for argument in sys.argv[1:]] or list(SECONDS)
    print("\n".join(table.markdown() for table in tables(chosen)))


if __name__ == "__main__":
    main()
