"""Spark Structured Streaming: `python -m benchmarks.engine_comparison.aggregate.spark INPUT_FOLDER OUTPUT_FOLDER`.

One file is one micro-batch, two cores, two shuffle partitions, 6 GB.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

SCHEMA = "device STRING, city STRING, time TIMESTAMP, metric STRING, v DOUBLE"


def main(source: Path, target: Path) -> None:
    """Run the aggregate and print its elapsed seconds as JSON; the start of the JVM is not counted."""
    session = _session()
    readings = session.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).json(source.as_uri())
    query = (
        _minutes(readings)
        .writeStream.outputMode("append")
        .format("parquet")
        .option("path", str(target))
        .option("checkpointLocation", str(target.with_name(f"{target.name}-checkpoint")))
        .trigger(availableNow=True)
    )
    started = time.perf_counter()
    query.start().awaitTermination()
    print(json.dumps({"seconds": time.perf_counter() - started}))
    session.stop()


def _session() -> SparkSession:
    settings = {
        "spark.driver.memory": "6g",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    builder = SparkSession.builder.master("local[2]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _minutes(readings: DataFrame) -> DataFrame:
    window = f.window("time", "1 minute")
    return (
        readings.withWatermark("time", "5 seconds")
        .groupBy("city", "device", window)
        .agg(
            f.count("*").alias("readings"),
            f.avg("v").alias("mean"),
            f.min("v").alias("minimum"),
            f.max("v").alias("maximum"),
            f.sum("v").alias("total"),
        )
        .select("city", "device", f.col("window.end").alias("windowEnd"), "readings", "mean", "minimum", "maximum", "total")
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
