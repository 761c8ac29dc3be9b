"""Writes rows as the Parquet files of a Delta table, and describes each as the action that adds it to the table.

DuckDB has the rows and writes Parquet itself; delta-rs commits. Its own writer would bring a second query engine to life in the
process, some 25 MB of it, to do the same (docs/decisions/0007-duckdb-writes-delta-rs-commits.md).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
from deltalake.transaction import AddAction

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def write_files(
    rows: duckdb.DuckDBPyRelation, table: Path, columns: Mapping[str, str], partition_by: str | None
) -> Iterator[AddAction]:
    """Write rows (columns by name and DuckDB type), one file per value of the partition column; yields each as it is there.

    A file that can't be written is taken away again; duckdb.Error and OSError say why.
    """
    kept = [name for name in columns if name != partition_by]
    values = rows.project(f'"{partition_by}"').distinct().order("1").fetchall() if partition_by else [(None,)]
    for (value,) in values:
        part, folder = rows, ""
        if partition_by:
            same = "is null" if value is None else "= '" + value.replace("'", "''") + "'"
            part = rows.filter(f'"{partition_by}" {same}')
            folder = f"{partition_by}={NULL_PARTITION if value is None else quote(value, safe='')}/"
        part = part.project(", ".join(f'"{name}"' for name in kept))
        name = f"{folder}part-{uuid.uuid4()}.parquet"
        _write(part, table / name)
        yield AddAction(
            path=name,
            size=(table / name).stat().st_size,
            partition_values={partition_by: value} if partition_by else {},
            modification_time=round(time.time() * 1000),
            data_change=True,
            stats=_statistics(part, {name: columns[name] for name in kept}),
        )


def _write(rows: duckdb.DuckDBPyRelation, file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    try:
        rows.write_parquet(str(file), compression="snappy")
    except (duckdb.Error, OSError):
        file.unlink(missing_ok=True)
        raise


def _statistics(rows: duckdb.DuckDBPyRelation, columns: Mapping[str, str]) -> str:
    """What a reader may skip the file by (Delta protocol, per-file statistics): counts, and the bounds of times and numbers."""
    bounded = [name for name, kind in columns.items() if kind in ("TIMESTAMPTZ", "BIGINT", "INTEGER", "DOUBLE")]
    aggregates = [
        "count(*)",
        *(f'count(*) - count("{name}")' for name in columns),
        *(f'min("{name}")' for name in bounded),
        *(f'max("{name}")' for name in bounded),
    ]
    count, *found = rows.aggregate(", ".join(aggregates)).fetchall()[0]
    nulls, found = found[: len(columns)], found[len(columns) :]
    lows, highs = found[: len(bounded)], found[len(bounded) :]
    statistics = {
        "numRecords": count,
        "minValues": _known(bounded, lows),
        "maxValues": _known(bounded, highs),
        "nullCount": dict(zip(columns, nulls, strict=True)),
    }
    return json.dumps(statistics)


def _known(names: list[str], values: list[Any]) -> dict[str, Any]:
    """The bounds that JSON can express: a column without a value, or with an infinite one, has none."""
    bounds = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return {name: _json_value(value) for name, value in bounds.items() if not (isinstance(value, float) and not isfinite(value))}


def _json_value(value: Any) -> Any:
    """Times are cut to milliseconds, as the protocol has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
