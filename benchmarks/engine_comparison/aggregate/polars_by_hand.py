"""Polars, by hand, on the readings: `python -m benchmarks.engine_comparison.aggregate.polars_by_hand INPUT_FOLDER OUTPUT_FOLDER`.

What a person would write for this one query: file by file, rows of open windows kept, a watermark 5 s behind the latest event.
Nothing of it serves another query, adjusts late events or can be saved and restored.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

SCHEMA = {"device": pl.String, "city": pl.String, "time": pl.String, "metric": pl.String, "v": pl.Float64}
WINDOW_END = (pl.col("time") - pl.duration(microseconds=1)).dt.truncate("1m") + pl.duration(minutes=1)
AGGREGATES = [
    pl.len().alias("readings"),
    pl.col("v").mean().alias("mean"),
    pl.col("v").min().alias("minimum"),
    pl.col("v").max().alias("maximum"),
    pl.col("v").sum().alias("total"),
]


def main(source: Path, target: Path) -> None:
    """Run the aggregate and print its elapsed seconds as JSON."""
    target.mkdir()
    started = time.perf_counter()
    latest = datetime.min  # noqa: DTZ901 - Polars reads times without a zone
    waiting: pl.DataFrame | None = None
    for number, file in enumerate(sorted(source.glob("*.json"))):
        read = _read(file)
        latest = max(latest, read["time"].max())
        waiting = read if waiting is None else pl.concat([waiting, read])
        closed = pl.col("windowEnd") < latest - timedelta(seconds=5)
        _write(waiting.filter(closed), target / f"{number:03d}.parquet")
        waiting = waiting.filter(~closed)
    if waiting is not None:
        _write(waiting, target / "last.parquet")
    print(json.dumps({"seconds": time.perf_counter() - started}))


def _read(file: Path) -> pl.DataFrame:
    moment = pl.col("time").str.strptime(pl.Datetime("us"), "%Y-%m-%dT%H:%M:%S%.fZ")
    lines = pl.scan_ndjson(file, schema=SCHEMA).with_columns(time=moment)
    return lines.with_columns(windowEnd=WINDOW_END).collect()


def _write(rows: pl.DataFrame, target: Path) -> None:
    rows.group_by("city", "device", "windowEnd").agg(AGGREGATES).write_parquet(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
