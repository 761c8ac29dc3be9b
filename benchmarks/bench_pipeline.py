"""The whole pipeline on this machine: how soon it lives, how fast an alert arrives, what it costs with 10,000 devices."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.pipeline_driver import Pipeline, pipeline
from benchmarks.report import Table

STARTS = 6
TRIALS = 10
POLL_SECONDS = 10
LONG_RUN_SECONDS = 120


def tables() -> list[Table]:
    """Run the three measurements."""
    with tempfile.TemporaryDirectory() as folder:
        return [_start_and_alerts(Path(folder) / "small"), _ten_thousand_devices(Path(folder) / "large")]


def _first_starts(folder: Path) -> list[float]:
    """Seconds from the command to live data, each in a new data folder."""
    starts = []
    for number in range(STARTS):
        with pipeline(folder / str(number), "--poll", f"{POLL_SECONDS}s") as run:
            starts.append(run.start())
    return starts


def _start_and_alerts(folder: Path) -> Table:
    starts = _first_starts(folder / "starts")
    with pipeline(folder, "--poll", f"{POLL_SECONDS}s") as run:
        starts.append(run.start())
        latencies = [_outage_latency(run, number) for number in range(TRIALS)]
        stop = run.interrupt()
        again = run.start()
    bar = POLL_SECONDS + 2
    rows = [
        [f"from the command to live data of every city on the page, median of {len(starts)} (s)", statistics.median(starts), 5],
        ["the same, the slowest (s)", max(starts), ""],
        ["the same, resuming from disk (s)", again, 5],
        ["from an outage in Webex to the alert in the inbox, p50 (s)", statistics.median(latencies), bar],
        ["the same, p95 (s)", sorted(latencies)[round(0.95 * (TRIALS - 1))], bar],
        ["Ctrl-C to the end of all processes (s)", stop, 2],
    ]
    note = (
        f"420 devices, 3 cities, a poll every {POLL_SECONDS} s, {TRIALS} outages of one location at random moments of the poll."
    )
    return Table("Pipeline: start, alert, stop", ("what", "measured", "bar"), rows, note)


def _outage_latency(run: Pipeline, number: int) -> float:
    """Seconds from an outage to its alert in the inbox; the estate is whole again afterwards."""
    time.sleep((number * 3.7) % POLL_SECONDS)
    known = _states(run, "fired")
    began = time.monotonic()
    run.scenario.outage(location="Lyon Confluence")
    run.wait_until(lambda: bool(_states(run, "fired") - known), "the alert in the inbox", 60)
    latency = time.monotonic() - began
    (alert,) = _states(run, "fired") - known
    run.scenario.restore(location="Lyon Confluence")
    run.wait_until(lambda: alert in _states(run, "resolved"), "the alert resolved", 60)
    return latency


def _states(run: Pipeline, state: str) -> set[str]:
    return {row["alert_id"] for row in run.inbox() if row["rule_id"] == "site-outage" and row["state"] == state}


def _ten_thousand_devices(folder: Path) -> Table:
    with pipeline(folder, "--devices", "10000", "--for", f"{LONG_RUN_SECONDS}s") as run:
        run.start()
        assert run.process is not None
        run.process.wait(LONG_RUN_SECONDS + 60)
        report = json.loads((run.data / "last-run.json").read_text(encoding="utf-8"))
        counts = run.verify()["readings"]
    rows = [
        ["observations sent", report["observations_sent"], ""],
        ["observations stored (distinct ids)", counts["observations"], report["observations_sent"]],
        ["readings stored, and distinct", f"{counts['rows']:,} / {counts['keys']:,}", "equal"],
        ["lag at the end (s)", report["lag_seconds"], 5],
        ["peak memory of all processes (MB)", report["peakMemoryMegabytes"], 500],
    ]
    note = f"`roompulse run --devices 10000 --for {LONG_RUN_SECONDS}s`, a poll every {POLL_SECONDS} s."
    return Table("Pipeline: 10,000 devices", ("what", "measured", "bar"), rows, note)
