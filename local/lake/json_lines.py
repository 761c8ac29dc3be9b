"""JSON lines to typed rows, by DuckDB: thousands of rows cost one statement, not a loop.

Where a value stands in a line is said by the ingestion mapping in powerbi/kusto/tables.kql. A line that isn't JSON, that lacks a
column of the key, or that has a value of another type than its column becomes a row for DeadLetter that says so.
"""

from __future__ import annotations

import duckdb

from local.lake.tables import COLUMN_TYPES, LakeTable
from powerbi.kusto_schema import KustoColumn, KustoTable

STAGE = "livestore"
RECORD_LIMIT = 8192
"""Longest text of a quarantined record, in characters."""


def rows_of(
    connection: duckdb.DuckDBPyConnection, text: str, declared: KustoTable, table: LakeTable, moment: str
) -> tuple[duckdb.DuckDBPyRelation, duckdb.DuckDBPyRelation]:
    """The rows in `text` as the lake's table wants them, and rows for DeadLetter about the lines that give none.

    `moment` (ISO 8601) is when such lines were found.
    """
    paths = [column.path for column in declared.columns]
    parsed = connection.sql(
        """select line, case when json_valid(line) then json_extract(line, $paths) end as fields
           from (select unnest(string_split($text, chr(10))) as line) where trim(line, ' ') != ''""",
        params={"text": text, "paths": paths},
    )
    required = {*table.key, *filter(None, [table.time_column])}
    values = [(column, _raw(at, column), _typed(at, column)) for at, column in enumerate(declared.columns, start=1)]
    missing = [
        f"when {typed} is null then '{column.path.removeprefix('$.')} is missing'"
        for column, _, typed in values
        if column.name in required
    ]
    wrong = [
        f"when {raw} is not null and {typed} is null then '{column.name} is not a {column.type}'"
        for column, raw, typed in values
        if column.type not in ("string", "dynamic")
    ]
    faults = " ".join(["when fields is null then 'not JSON'", *wrong, *missing])
    columns = ", ".join(f'{typed} as "{column.name}"' for column, _, typed in values)
    judged = parsed.query("parsed", f"select line, case {faults} end as fault, {columns} from parsed").materialize()
    good = judged.query("judged", "select * exclude (line, fault) from judged where fault is null")
    bad = judged.query("judged", "select line as record, fault as reason from judged where fault is not null")
    return good, quarantined(bad, declared.name, moment)


def quarantined(faults: duckdb.DuckDBPyRelation, origin: str, moment: str) -> duckdb.DuckDBPyRelation:
    """Rows for DeadLetter from `record` and `reason`; the same record from the same origin has the same id."""
    return faults.query(
        "faults",
        f"""select left(sha256('{origin}' || record), 32) as id, '{moment}'::timestamptz as "observedAt", '{STAGE}' as stage,
                   reason, null as endpoint, null as "trackingId", null as "pollId", left(record, {RECORD_LIMIT}) as record
            from faults""",
    )


def _raw(at: int, column: KustoColumn) -> str:
    return f"nullif(fields[{at}]::varchar, 'null')" if column.type == "dynamic" else f"fields[{at}] ->> '$'"


def _typed(at: int, column: KustoColumn) -> str:
    return f"try_cast({_raw(at, column)} as {COLUMN_TYPES[column.type]})"
