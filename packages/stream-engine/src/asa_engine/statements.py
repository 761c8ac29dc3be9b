"""Runs SQL whose text comes again tick after tick: DuckDB parses it once.

Parsing is a third of what DuckDB spends before a statement runs, and a tick of the deployed query is forty statements. A
prepared statement would save no more: DuckDB plans it anew whenever it is executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

_KEPT = 2000
"""So many texts are remembered before all are forgotten; a query has some dozens."""
_parsed: dict[str, list[duckdb.Statement]] = {}


def execute(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
) -> duckdb.DuckDBPyConnection:
    """Execute the statements of `sql`, which belong to no connection once they are parsed; returns the last one's result.

    The text is remembered, so what changes from call to call belongs into `parameters`, which every statement gets.
    """
    statements = _parsed.get(sql)
    if statements is None:
        if len(_parsed) >= _KEPT:
            _parsed.clear()
        statements = _parsed[sql] = connection.extract_statements(sql)
    for statement in statements:
        connection.execute(statement, parameters)
    return connection
