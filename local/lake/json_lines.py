"""JSON lines to typed rows, by DuckDB: thousands of rows cost one statement, not a loop.

Where a value stands in a line is said by the ingestion mapping in powerbi/kusto/tables.kql. A line that isn't JSON, that lacks a
column of the key, or that has a value of another type than its column becomes a row for DeadLetter that says so.
"""

from __future__ import annotations

import duckdb

from asa_engine.statements import execute
from local.lake.tables import COLUMN_TYPES, LakeTable
from powerbi.kusto_schema import KustoColumn, KustoTable

STAGE = "livestore"
RECORD_LIMIT = 8192
"""Longest text of a quarantined record, in characters."""


def rows_of(connection: duckdb.DuckDBPyConnection, text: str, declared: KustoTable, table: LakeTable) -> tuple[str, str]:
    """Queries for the rows in `text`, as the lake's table wants them, and for the lines that give none, as `quarantined` does.

    They hold until the next lines of the same table are read on this connection.
    """
    # One statement, and each value in it once: planning a longer one takes longer than a few rows do.
    columns = list(enumerate(declared.columns, start=1))
    raw = ", ".join(f"{_raw(at, column)} as raw{at}" for at, column in columns)
    typed = ", ".join(f'try_cast(raw{at} as {COLUMN_TYPES[column.type]}) as "{column.name}"' for at, column in columns)
    given = ", ".join(["line", "fields", *(f"raw{at}" for at, _ in columns)])
    judged = f"judged_{declared.name}"
    execute(
        connection,
        f"""create or replace temp table {judged} as
            select line, case {_faults(declared, table)} end as fault, * exclude ({given})
            from (select *, {typed} from (select *, {raw} from (
                select line, case when json_valid(line) then json_extract(line, $paths) end as fields
                from (select unnest(string_split($text, chr(10))) as line) where trim(line, ' ') != '')))""",
        {"text": text, "paths": [column.path for column in declared.columns]},
    )
    good = f"select * exclude (line, fault) from {judged} where fault is null"
    bad = f"select line as record, fault as reason from {judged} where fault is not null"
    return good, bad


def quarantined(connection: duckdb.DuckDBPyConnection, faults: str, origin: str, moment: str) -> str:
    """A query for rows of DeadLetter, one for each `record` and `reason` that a query gives; the same record from the same origin
    has the same id. `moment` (ISO 8601) is when they were found.
    """
    execute(
        connection,
        f"""create or replace temp table quarantined as
            select left(sha256($origin || record), 32) as id, $moment::timestamptz as "observedAt", '{STAGE}' as stage,
                   reason, null as endpoint, null as "trackingId", null as "pollId", left(record, {RECORD_LIMIT}) as record
            from ({faults})""",
        {"origin": origin, "moment": moment},
    )
    return "from quarantined"


def _faults(declared: KustoTable, table: LakeTable) -> str:
    """The branches of a `case` that say what is wrong with a line; none of them holds for a good one."""
    required = {*table.key, *filter(None, [table.time_column])}
    columns = list(enumerate(declared.columns, start=1))
    wrong = [
        f"when raw{at} is not null and \"{column.name}\" is null then '{column.name} is not a {column.type}'"
        for at, column in columns
        if column.type not in ("string", "dynamic")
    ]
    missing = [
        f"when \"{column.name}\" is null then '{column.path.removeprefix('$.')} is missing'"
        for _, column in columns
        if column.name in required
    ]
    return " ".join(["when fields is null then 'not JSON'", *wrong, *missing])


def _raw(at: int, column: KustoColumn) -> str:
    return f"nullif(fields[{at}]::varchar, 'null')" if column.type == "dynamic" else f"fields[{at}] ->> '$'"
