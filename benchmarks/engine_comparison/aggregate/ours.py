"""The local stream engine on the readings: `python -m benchmarks.engine_comparison.aggregate.ours INPUT_FOLDER OUTPUT_FOLDER`."""

from __future__ import annotations

import json
import sys
import time
from itertools import count
from pathlib import Path

from asa_engine.engine import OutputRows, StreamEngine
from asa_engine.time_policy import TimePolicy
from asa_engine.types import DATETIME, FLOAT, NVARCHAR, Schema
from benchmarks.read_ahead import database, taken_in_turn

QUERY = """SELECT city, device, COUNT(*) AS readings, AVG(v) AS mean, MIN(v) AS minimum, MAX(v) AS maximum, SUM(v) AS total,
    System.Timestamp() AS windowEnd INTO minutes FROM readings TIMESTAMP BY time
    GROUP BY city, device, TumblingWindow(minute, 1)"""
SCHEMA = Schema({"device": NVARCHAR, "city": NVARCHAR, "time": DATETIME, "metric": NVARCHAR, "v": FLOAT})
AHEAD = 2
"""Files that are parsed while a tick is computed."""


def main(source: Path, target: Path) -> None:
    """Run the aggregate and print its elapsed seconds as JSON."""
    target.mkdir()
    started = time.perf_counter()
    engine = StreamEngine(QUERY, {"readings": SCHEMA}, policy=TimePolicy.of_seconds(5, 5), connection=database())
    numbers = count()

    def write(outputs: list[OutputRows]) -> None:
        for output in outputs:
            path = target / f"{next(numbers):03d}.parquet"
            output.connection.execute(f"COPY ({output.sql()}) TO '{path}' (FORMAT parquet)")

    for _ in taken_in_turn(engine, "readings", sorted(source.glob("*.json")), AHEAD):
        write(engine.advance())
    write(engine.finish())
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
