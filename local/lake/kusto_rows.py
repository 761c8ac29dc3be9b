"""Rows between three type systems: Kusto columns, DuckDB columns that KQL runs on, and JSON values for the page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from local.lake.stored_files import parquet
from powerbi.kusto_schema import KustoTable

DUCKDB_TYPES = {
    "string": "VARCHAR",
    "datetime": "TIMESTAMP",
    "long": "BIGINT",
    "real": "DOUBLE",
    "bool": "BOOLEAN",
    "dynamic": "JSON",
}
"""DuckDB type of each Kusto type, as duckdb-kql expects it: datetimes are UTC without saying so."""

KUSTO_TYPES = {duckdb_type: kusto_type for kusto_type, duckdb_type in DUCKDB_TYPES.items()}

Row = dict[str, Any]


def column_definitions(table: KustoTable) -> str:
    """The columns of `table` as `create table` wants them."""
    return ", ".join(f'"{name}" {DUCKDB_TYPES[kind]}' for name, kind in table.types.items())


def select_from_files(table: KustoTable, files: Sequence[str], condition: str = "") -> str:
    """SQL for the rows of Delta files of `table` that meet `condition` (a `where` on the stored columns); none without files."""
    if not files:
        nothing = ", ".join(f'null::{DUCKDB_TYPES[kind]} as "{name}"' for name, kind in table.types.items())
        return f"select {nothing} where false"
    return select_stored(table, f"from {parquet(files)} {condition}")


def select_stored(table: KustoTable, rows: str) -> str:
    """SQL for the rows that SQL gives with the column types of the lake (local/lake/tables.py)."""
    return f"select {', '.join(_as_kusto(name, kind) for name, kind in table.types.items())} from ({rows})"


def as_json(columns: Sequence[tuple[str, str]], rows: Sequence[tuple[Any, ...]]) -> list[Row]:
    """Rows as JSON values by column name; `columns` are names and DuckDB types."""
    names = [name for name, _ in columns]
    by_column = list(zip(*rows, strict=True))
    for at, (_, kind) in enumerate(columns):
        if by_column and (convert := _CONVERTERS.get(kind)):
            by_column[at] = tuple(None if value is None else convert(value) for value in by_column[at])
    return [dict(zip(names, values, strict=True)) for values in zip(*by_column, strict=True)]


def _as_kusto(name: str, kind: str) -> str:
    if kind == "datetime":
        return f'"{name}" at time zone \'UTC\' as "{name}"'
    return f'"{name}"::JSON as "{name}"' if kind == "dynamic" else f'"{name}"'


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds") + "Z"


def _finite(number: float) -> float | None:
    """Kusto's averages of nothing are NaN, which JSON doesn't have."""
    return number if math.isfinite(number) else None


def _parsed(text: str) -> Any:
    return json.loads(text, parse_int=_whole)


def _whole(digits: str) -> float:
    """DuckDB takes numbers of any length for JSON; what a page is sent in has 64 bits for a whole one."""
    return int(digits) if len(digits) <= 18 else float(digits)


_CONVERTERS: Mapping[str, Any] = {"TIMESTAMP": _iso, "JSON": _parsed, "DOUBLE": _finite}
