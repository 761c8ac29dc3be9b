"""Lines become typed rows; a line that can't is quarantined with the reason, and never stops the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local.lake.json_lines import RECORD_LIMIT, quarantined, rows_of
from local.lake.tables import live_tables
from powerbi.kusto_schema import read_tables

MOMENT = "2031-05-04T12:00:00Z"
ALERT = {
    "alertId": "a",
    "state": "fired",
    "observedAt": "2031-05-04T11:00:00.123Z",
    "severity": 1,
    "value": 0.5,
    "extra": "kept out",
}


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        opened.execute("set TimeZone = 'UTC'")
        yield opened


def read(connection: duckdb.DuckDBPyConnection, table: str, text: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    good, bad = rows_of(connection, text, read_tables()[table], live_tables()[table])
    faults = quarantined(connection, bad, table, MOMENT)
    return connection.sql(good).to_dicts(), connection.sql(faults).to_dicts()


def test_values_get_their_columns_types_and_what_is_left_out_is_null(connection: duckdb.DuckDBPyConnection) -> None:
    (row,), faults = read(connection, "Alerts", json.dumps(ALERT))
    assert faults == []
    assert tuple(row) == tuple(read_tables()["Alerts"].types)
    assert (row["severity"], row["value"], row["threshold"], row["name"]) == (1, 0.5, None, None)
    assert row["observedAt"] == datetime(2031, 5, 4, 11, 0, 0, 123000, tzinfo=UTC)


def test_arrays_stay_json_text(connection: duckdb.DuckDBPyConnection) -> None:
    observation = {
        "id": "1",
        "observedAt": MOMENT,
        "errorCodes": ["mic"],
        "signals": [{"name": "offline", "value": 1, "rules": []}],
    }
    (row,), _ = read(connection, "Processed", json.dumps(observation))
    assert json.loads(row["errorCodes"]) == ["mic"]
    assert json.loads(row["signals"]) == observation["signals"]


def test_quarantined_events_are_unwrapped(connection: duckdb.DuckDBPyConnection) -> None:
    event = {
        "id": "q",
        "time": MOMENT,
        "type": "roompulse.quarantined.v1",
        "data": {"reason": "no id", "stage": "ingest", "record": "{}"},
    }
    (row,), _ = read(connection, "DeadLetter", json.dumps(event))
    assert (row["id"], row["stage"], row["reason"], row["record"]) == ("q", "ingest", "no id", "{}")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "alertId is missing"),
        (json.dumps({**ALERT, "alertId": None}), "alertId is missing"),
        (json.dumps({**ALERT, "severity": "high"}), "severity is not a long"),
        (json.dumps({**ALERT, "observedAt": "noon"}), "observedAt is not a datetime"),
    ],
)
def test_a_line_that_gives_no_row_is_quarantined_with_the_reason(
    connection: duckdb.DuckDBPyConnection, line: str, reason: str
) -> None:
    rows, (fault,) = read(connection, "Alerts", f"{json.dumps(ALERT)}\n{line}\n\n")
    assert len(rows) == 1
    assert (fault["reason"], fault["stage"], fault["record"]) == (reason, "livestore", line)
    assert fault["id"] == read(connection, "Alerts", line)[1][0]["id"]


def test_a_long_record_is_cut(connection: duckdb.DuckDBPyConnection) -> None:
    _, (fault,) = read(connection, "Alerts", "x" * 20_000)
    assert len(fault["record"]) == RECORD_LIMIT


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from([*read_tables()["Alerts"].types, "other"]), values)


@settings(max_examples=60, deadline=None)
@example(lines=["\u00a0"])
@given(
    lines=st.lists(st.one_of(st.text(max_size=30).map(lambda text: text.replace("\n", " ")), objects.map(json.dumps)), max_size=6)
)
def test_every_line_becomes_a_row_or_a_fault(connection: duckdb.DuckDBPyConnection, lines: list[str]) -> None:
    rows, faults = read(connection, "Alerts", "\n".join(lines))
    assert len(rows) + len(faults) == len([line for line in lines if line.strip(" ")])
