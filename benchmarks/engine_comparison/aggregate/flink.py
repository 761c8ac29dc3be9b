"""Flink SQL, streaming mode: `python -m benchmarks.engine_comparison.aggregate.flink INPUT_FOLDER OUTPUT_FOLDER`.

Tuned as its documentation advises: mini-batches, aggregation in two phases, two slots, 6 GB.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pyflink.table import EnvironmentSettings, TableEnvironment

CONFIGURATION = {
    "parallelism.default": "2",
    "table.local-time-zone": "UTC",
    "taskmanager.memory.process.size": "6g",
    "taskmanager.numberOfTaskSlots": "2",
    "table.optimizer.agg-phase-strategy": "TWO_PHASE",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "1 s",
    "table.exec.mini-batch.size": "20000",
}


def main(source: Path, target: Path) -> None:
    """Run the aggregate and print its elapsed seconds as JSON; the start of the JVM is not counted."""
    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in CONFIGURATION.items():
        environment.get_config().set(key, value)
    environment.execute_sql(
        f"""CREATE TABLE readings (device STRING, city STRING, `time` TIMESTAMP_LTZ(3), metric STRING, v DOUBLE,
            WATERMARK FOR `time` AS `time` - INTERVAL '5' SECOND)
        WITH ('connector' = 'filesystem', 'path' = '{source.as_uri()}', 'format' = 'json',
              'json.timestamp-format.standard' = 'ISO-8601')"""
    )
    environment.execute_sql(
        f"""CREATE TABLE minutes (city STRING, device STRING, windowEnd TIMESTAMP(3), readings BIGINT, mean DOUBLE,
            minimum DOUBLE, maximum DOUBLE, total DOUBLE)
        WITH ('connector' = 'filesystem', 'path' = '{target.as_uri()}', 'format' = 'json')"""
    )
    started = time.perf_counter()
    environment.execute_sql(
        """INSERT INTO minutes
        SELECT city, device, window_end, COUNT(*), AVG(v), MIN(v), MAX(v), SUM(v)
        FROM TABLE(TUMBLE(TABLE readings, DESCRIPTOR(`time`), INTERVAL '1' MINUTE))
        GROUP BY city, device, window_start, window_end"""
    ).wait()
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
