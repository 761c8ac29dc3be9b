"""What the job of route azure keeps in the lake besides the readings: the rows that everybody sees, in tables made before.

Its statements run after the deployed query, as they are deployed. The rows go by delta-rs into the very tables that `pulumi up`
makes, and the SQL views say the same over them as over the tables of a local run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from deltalake import DeltaTable, write_deltalake

from asa_engine.engine import StreamEngine
from asa_engine.job_folder import read_job_folder
from infra.azure.lake import HISTORY, history_tables
from infra.providers.delta_table import FIRST_VERSION, first_version
from local.lake.tables import live_tables
from tests.powerbi.test_history_sql import make, rows_of, views
from tests.support.observations import START, minute, observation, rule, signal
from tests.support.report_store import Row
from tests.support.roompulse_query import JOB
from tests.support.shared_data import REPOSITORY

FOLDER = read_job_folder(REPOSITORY / "asa-queries" / "history")
TABLE_OF = {"lakealerts": "Alerts", "lakecityminute": "CityMinute", "lakesteps": "IncidentSteps"}
KEPT_BY = {"Alerts": "alerts", "CityMinute": "cityminute"}
"""The output that brings the same rows to the live store."""
DUCKDB = {"string": "VARCHAR", "timestamp": "TIMESTAMPTZ", "long": "BIGINT", "double": "DOUBLE"}
ROOM = {"workspaceId": "r1", "workspaceName": "L'Étoile 🌟"}
STEP = {
    "id": "h-0", "observedAt": minute(3), "incidentId": "i", "step": "began", "ruleId": "device-offline", "severity": 2,
    "entity": "device", "entityId": "room-bar-1", "cityId": "lyon", "workspaceId": "r1", "startedAt": minute(1),
}  # fmt: skip
STEPS: list[Row] = [
    STEP,
    STEP | {"id": "a-1", "observedAt": minute(5), "step": "acknowledged", "way": "page"},
    STEP | {"id": "h-1", "observedAt": minute(9), "step": "ended", "channel": "webex"},
    STEP | {"id": "h-1", "observedAt": minute(9), "step": "ended", "channel": "webex"},
    {"id": "odd", "observedAt": "yesterday", "entityId": "drill-x"},
]
"""What the fan-out sends of an incident, one twice; and something it doesn't send."""


def observations() -> list[dict[str, Any]]:
    """A device of a room that is down from the first to the ninth minute, and two minutes of its city, the first read twice."""
    down = ((0, 0), (1, 1), (5, 1), (9, 0))
    device = [observation(minute(n), [signal(value, [rule(for_seconds=0)])], **ROOM) for n, value in down]
    city = [
        observation(minute(n), [signal(4, name="devices"), signal(number, name="devicesDown")], "lyon", entity="city")
        for n, number in ((1.5, 1), (1.75, 3), (2.5, 2))
    ]
    return sorted([*device, *city], key=lambda one: str(one["time"]))


@cache
def outputs() -> Mapping[str, list[Row]]:
    """Every output of the job, whose query is both files."""
    engine = StreamEngine(f"{JOB.query}\n{FOLDER.query}", {**JOB.schemas, **FOLDER.schemas}, policy=JOB.policy)
    bodies = [json.dumps(one) for one in observations()]
    assert engine.feed("observations", bodies, partitions=np.zeros(len(bodies), dtype=np.int64)) == []
    arrivals = np.full(len(STEPS), int(START.timestamp()) * 1_000_000 + 600_000_000)
    assert engine.feed("incidents", [json.dumps(one) for one in STEPS], arrivals, np.zeros(len(STEPS), dtype=np.int64)) == []
    found = {rows.name: rows.rows() for rows in engine.finish()}
    engine.close()
    return found


def stored(lake: duckdb.DuckDBPyConnection, columns: Mapping[str, str], rows: Sequence[Row]) -> duckdb.DuckDBPyRelation:
    """Rows as a table with these columns."""
    lake.execute("create or replace table new_rows (" + ", ".join(f'"{name}" {kind}' for name, kind in columns.items()) + ")")
    places = ", ".join("?" for _ in columns)
    lake.executemany(f"insert into new_rows values ({places})", [[row.get(name) for name in columns] for row in rows])
    return lake.table("new_rows")


def made(folder: Path, table: str, columns: Mapping[str, str]) -> DeltaTable:
    """The empty table as `pulumi up` makes it."""
    log = folder / table / FIRST_VERSION
    log.parent.mkdir(parents=True)
    log.write_text(first_version(table, columns), encoding="utf-8")
    return DeltaTable(str(folder / table))


def on_azure(lake: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """The tables of route azure, filled by the job."""
    for output, table in TABLE_OF.items():
        columns = history_tables()[table]
        rows = stored(lake, {name: DUCKDB[kind] for name, kind in columns.items()}, outputs()[output])
        write_deltalake(made(folder, table, columns), rows, mode="append")


def on_one_machine(lake: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """The tables of a local run, filled from the hubs."""
    for table in HISTORY:
        rows: Sequence[Row] = STEPS[:-1] if table == "IncidentSteps" else outputs()[KEPT_BY[table]]
        known = [{name: value for name, value in row.items() if name != "details"} for row in rows]
        stored(lake, live_tables()[table].columns, known)
        live_tables()[table].writer(folder).append(lake, "from new_rows")


@pytest.mark.parametrize("written", [on_azure, on_one_machine])
def test_history_answers_the_same_wherever_it_is_kept(written: Any, tmp_path: Path) -> None:
    year, month, day = START.year, START.month, START.date()
    with duckdb.connect(config={"threads": 1}) as lake:
        lake.execute("set TimeZone = 'UTC'")
        written(lake, tmp_path)
        for table in HISTORY:
            lake.execute(f'create view "{table}" as select * from read_parquet({DeltaTable(str(tmp_path / table)).file_uris()})')
        lake.execute("create table readings (cityId text, workspaceId text, name text, date text, observedAt timestamptz, "
                     "entity text, signal text, value double)")  # fmt: skip
        for view in views():
            make(lake, view)
        names = ("incidents_per_room_and_year", "time_to_repair_by_city", "time_to_acknowledge_by_city", "city_days")
        found = {name: [tuple(row.values()) for row in rows_of(lake, name)] for name in names}
    assert found == {
        "incidents_per_room_and_year": [("lyon", "r1", "L'Étoile 🌟", year, 1, 0, 8)],
        "time_to_repair_by_city": [("lyon", "device-offline", year, month, 1, 0, 8, 8)],
        "time_to_acknowledge_by_city": [("lyon", year, month, 1, 1, 4, 4)],
        "city_days": [("lyon", day, 2, 4, 2, 3)],
    }


def test_the_lake_has_the_rows_of_the_live_store() -> None:
    for output, table in TABLE_OF.items():
        columns = history_tables()[table]
        twin: Sequence[Row] = STEPS if table == "IncidentSteps" else outputs()[KEPT_BY[table]]
        kept = [{name: _text(row.get(name)) for name in columns} for row in outputs()[output]]
        assert len(kept) >= 2
        assert kept[:4] == [{name: _text(row.get(name)) for name in columns} for row in twin][:4]


def _text(value: Any) -> Any:
    """A time in one spelling, whether the engine had it as one or as text."""
    return re.sub(r"(\.000)?(0000)?Z$", "Z", value) if isinstance(value, str) else value


def test_what_can_t_be_read_in_a_step_is_null_and_stops_nothing() -> None:
    odd = outputs()["lakesteps"][-1]
    assert (odd["id"], odd["observedAt"], odd.get("severity"), odd.get("startedAt")) == ("odd", None, None, None)


def test_the_tables_have_the_columns_and_types_of_the_query() -> None:
    kinds = {"nvarchar(max)": "string", "datetime": "timestamp", "bigint": "long", "float": "double"}
    engine = StreamEngine(f"{JOB.query}\n{FOLDER.query}", {**JOB.schemas, **FOLDER.schemas}, policy=JOB.policy)
    kept = {TABLE_OF[one.name]: one.columns for one in engine.plan.outputs if one.name in TABLE_OF}
    engine.close()
    said = {table: {column.name: kinds[str(column.type)] for column in columns} for table, columns in kept.items()}
    assert said == history_tables()


def test_the_tables_lack_nothing_of_the_live_store_s_but_what_has_no_shape() -> None:
    for table, columns in history_tables().items():
        missing = live_tables()[table].columns.keys() - columns.keys()
        assert missing == ({"details"} if table == "Alerts" else set())
    assert {output.delta_table for output in FOLDER.outputs.values()} == set(HISTORY)
