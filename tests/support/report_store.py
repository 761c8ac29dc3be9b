"""The live store of the reports over given rows: the deployed tables, views, cities and functions, run by duckdb-kql.

duckdb-kql knows neither time zones nor `range`. `LACKING` adds these, as Kusto documents them; everything else runs as deployed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

import duckdb

from asa_engine.statements import execute
from local.lake.kusto_rows import DUCKDB_TYPES, column_definitions
from local.lake.translation import Translation, kept
from powerbi.kusto_schema import FOLDER, read_tables, read_views
from powerbi.reading import functions, report_functions

Row = dict[str, Any]

LACKING = {
    "datetime_utc_to_local": "timezone({1}, timezone('UTC', {0}))",
    "datetime_local_to_utc": "timezone('UTC', timezone({1}, {0}))",
}
_ANY = datetime.fromisoformat("2000-01-01")
_TABLES = {name: table.types for name, table in read_tables().items()}

FUNCTIONS = report_functions()
VIEWS = {name: view.query for name, view in read_views().items()}
_CITY_NONE = functions((FOLDER / "cities.kql").read_text(encoding="utf-8"))


class ReportStore:
    """Rows of the live tables as of `now`, and what the functions of the reports and the tiles make of them.

    `cities` are scripts of powerbi/city_view.py. Moments are naive and in UTC, as duckdb-kql has them.
    """

    def __init__(self, now: datetime, rows: Mapping[str, Sequence[Row]], cities: Sequence[str]) -> None:
        self._now = now
        self._database = _running().cursor()
        self._schema: dict[str, Any] = dict(_TABLES)
        for name, table in read_tables().items():
            execute(self._database, f'create temp table "{name}" ({column_definitions(table)})')
            self._insert(name, rows.get(name, ()))
        views = VIEWS | _CITY_NONE
        for city in cities:
            views |= functions(city)
        for name, kql in views.items():
            self._create(name, kql)

    @contextmanager
    def with_view(self, name: str, kql: str) -> Iterator[None]:
        """Another definition of a view, for a while."""
        try:
            self._create(name, kql)
            yield
        finally:
            self._create(name, VIEWS[name])

    def rows(self, kql: str, functions: Mapping[str, str] = FUNCTIONS) -> list[Row]:
        """What a query yields: times as datetimes, dynamic values as JSON text. `functions` are the bodies of those there are."""
        result = self._run(kql, "", functions)
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _insert(self, table: str, rows: Sequence[Row]) -> None:
        kinds = _TABLES[table]
        columns = [[_stored(row.get(name)) for row in rows] for name in kinds]
        values = ", ".join(f"unnest(?::{DUCKDB_TYPES[kind]}[])" for kind in kinds.values())
        execute(self._database, f'insert into "{table}" select {values}', columns)

    def _create(self, name: str, kql: str) -> None:
        self._run(kql, f'create or replace temp table "{name}" as ', {})
        described = execute(self._database, f'describe "{name}"').fetchall()
        kinds = {duck: kusto for kusto, duck in DUCKDB_TYPES.items()} | {"INTERVAL": "timespan"}
        self._schema[name] = {str(column): kinds[str(kind)] for column, kind, *_ in described}

    def _run(self, kql: str, prefix: str, functions: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
        found = _translated(kql, json.dumps(self._schema), tuple(dict.fromkeys(_called(kql, functions))))
        return execute(self._database, prefix + found.sql, dict.fromkeys(found.parameters, self._now))


@cache
def _running() -> duckdb.DuckDBPyConnection:
    """The DuckDB of all stores: to start another takes as long as three queries. What is temporary is a cursor's own."""
    return duckdb.connect(config={"threads": 1}).execute("set global TimeZone = 'UTC'")


def _translated(kql: str, schema: str, definitions: tuple[str, ...]) -> Translation:
    """The SQL of a query, whose only parameter is the clock: translating costs more than running."""
    texts = [kql, schema, *definitions, *itertools.chain(*LACKING.items())]
    return kept(texts, lambda: _translate(kql, schema, definitions))


def _translate(kql: str, schema: str, definitions: tuple[str, ...]) -> Translation:
    functions = {None: dict(map(_function, definitions))}
    found = _translator().to_sql(kql, schema=json.loads(schema), functions=functions, query_now=_ANY, allow_write=False)
    return Translation(str(found), tuple(found.parameters))


@cache
def _translator() -> Any:
    """duckdb-kql with what it lacks. Loading it takes half a second, and most tests find their queries translated."""
    import duckdb_kql
    from duckdb_kql.translate.functions import SCALAR_FUNCTIONS, FunctionSpec

    SCALAR_FUNCTIONS.update({name: FunctionSpec(name, "template", sql, (2,)) for name, sql in LACKING.items()})
    return duckdb_kql


@cache
def _function(definition: str) -> tuple[str, Any]:
    """A function by its name, parsed: most queries call the same ones."""
    from duckdb_kql.stored_functions import parse_functions

    parsed = parse_functions([definition])
    assert parsed is not None
    ((name, function),) = parsed[None].items()
    return str(name), function


def _called(kql: str, functions: Mapping[str, str]) -> Iterator[str]:
    """The definitions of the functions that a query calls, and those that these call."""
    for name, body in functions.items():
        if f"{name}()" in kql:
            yield f"function {name}() {{ {body} }}"
            yield from _called(body, functions)


def _stored(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
