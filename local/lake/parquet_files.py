"""Writes rows as the Parquet files of a Delta table, and describes each as the action that adds it to the table.

DuckDB has the rows and writes Parquet itself; delta-rs commits. Its own writer would bring a second query engine to life in the
process, some 25 MB of it, to do the same (docs/decisions/0007-duckdb-writes-delta-rs-commits.md).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
from deltalake.transaction import AddAction

from asa_engine.statements import execute

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def write_files(
    connection: duckdb.DuckDBPyConnection, rows: str, table: Path, columns: Mapping[str, str], partition_by: str | None
) -> Iterator[AddAction]:
    """Write the rows of a table of `connection` (columns by name and DuckDB type), one file per value of the partition column;
    yields each as it is there.

    A file that can't be written is taken away again; duckdb.Error and OSError say why.
    """
    kept = {name: kind for name, kind in columns.items() if name != partition_by}
    values = [(None,)]
    if partition_by:
        values = execute(connection, f'select distinct "{partition_by}" from {rows} order by 1').fetchall()
    for (value,) in values:
        same, folder = "true", ""
        if partition_by:
            same = f'"{partition_by}" is not distinct from ?'
            folder = f"{partition_by}={NULL_PARTITION if value is None else quote(value, safe='')}/"
        name = f"{folder}part-{uuid.uuid4()}.parquet"
        names = ", ".join(f'"{column}"' for column in kept)
        part = f"select {names} from {rows} where {same}"
        parameters = [value] if partition_by else []
        _write(connection, part, parameters, table / name)
        yield AddAction(
            path=name,
            size=(table / name).stat().st_size,
            partition_values={partition_by: value} if partition_by else {},
            modification_time=round(time.time() * 1000),
            data_change=True,
            stats=_statistics(connection, part, parameters, kept),
        )


def _write(connection: duckdb.DuckDBPyConnection, part: str, parameters: Sequence[object], file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    path = str(file).replace("'", "''")
    try:
        connection.execute(f"copy ({part}) to '{path}' (format parquet, compression snappy)", parameters)
    except (duckdb.Error, OSError):
        file.unlink(missing_ok=True)
        raise


def _statistics(
    connection: duckdb.DuckDBPyConnection, part: str, parameters: Sequence[object], columns: Mapping[str, str]
) -> str:
    """What a reader may skip the file by (Delta protocol, per-file statistics): counts, and the bounds of times and numbers."""
    bounded = [name for name, kind in columns.items() if kind in ("TIMESTAMPTZ", "BIGINT", "INTEGER", "DOUBLE")]
    aggregates = [
        "count(*)",
        *(f'count(*) - count("{name}")' for name in columns),
        *(f'min("{name}")' for name in bounded),
        *(f'max("{name}")' for name in bounded),
    ]
    count, *found = execute(connection, f"select {', '.join(aggregates)} from ({part})", parameters).fetchall()[0]
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
