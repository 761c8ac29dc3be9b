"""A drill leaves rows in the table `Alerts` as an audit; no query that counts or lists alerts takes it for one.

Every query that reads the table is found by its text, so a new one is held to this too.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asa_engine.databases import calculator
from local.clock import SimulatedClock
from local.lake.live_store import LiveStore
from local.lake.tables import live_tables
from powerbi.kusto_schema import read_views

NOON = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
POWER_BI = Path(__file__).resolve().parents[3] / "powerbi"
READS_ALERTS = re.compile(r"^\s*Alerts\b|[(=,]\s*Alerts\b|\b(?:join|lookup|union)\b[^|;]*\bAlerts\b", re.MULTILINE)


def without_remarks(kql: str) -> str:
    return re.sub(r"//.*", "", kql)


def statements() -> dict[str, str]:
    """Every statement of every KQL file by `file` or `file, number`; commands that declare something come one by one."""
    found: dict[str, str] = {}
    for path in sorted(POWER_BI.rglob("*.kql")):
        name = path.relative_to(POWER_BI).as_posix()
        parts = re.split(r"\n(?=\.create)", without_remarks(path.read_text(encoding="utf-8")))
        found |= {name if len(parts) == 1 else f"{name}, {number}": part.strip() for number, part in enumerate(parts)}
    return found


def body(statement: str) -> str:
    """The query within a declaration of a view or function; a query as it is."""
    return statement.partition("\n{")[2].rpartition("}")[0].strip() if statement.startswith(".create-or-alter") else statement


READERS = {
    name: body(statement)
    for name, statement in statements().items()
    if not re.match(r"\.create(-merge|-or-alter) table\b", statement) and READS_ALERTS.search(body(statement))
}


def alert(entity_id: str, state: str) -> dict[str, Any]:
    started = (NOON - timedelta(hours=1)).isoformat()
    return {
        "alertId": f"device-offline|{entity_id}|{started}",
        "ruleId": "device-offline",
        "state": state,
        "severity": 2,
        "cityId": "lyon",
        "entity": "device",
        "entityId": entity_id,
        "name": entity_id,
        "startedAt": started,
        "observedAt": (NOON - timedelta(minutes=30 if state == "fired" else 20)).isoformat(),
    }


def answers(lake: Path, query: str, *entity_ids: str) -> list[dict[str, Any]]:
    """What a query yields when these entities had an alert that is over, and one that is open."""
    rows = [alert(entity_id, state) for entity_id in entity_ids for state in ("fired", "resolved")]
    rows += [alert(f"{entity_id}-again", "fired") for entity_id in entity_ids]
    declared = live_tables()["Alerts"]
    with calculator() as connection:
        unnested = "create temp table given as select unnest(from_json($1::json, $2), recursive := true)"
        struct = json.dumps([dict(declared.columns)])
        connection.execute(unnested, [json.dumps(rows), struct])
        declared.writer(lake).append(connection, "from given")
    store = LiveStore(lake, SimulatedClock(0.0, 0.0, 1.0, real_time=NOON.timestamp))
    try:
        return store.query(query)
    finally:
        store.close()


def test_the_queries_that_read_alerts_are_found() -> None:
    assert {name.partition(",")[0] for name in READERS} >= {
        "dashboard/tiles/alerts_recent.kql",
        "kusto/review/fired.kql",
        "kusto/views.kql",
    }
    assert read_views()["LatestAlert"].source == "Alerts"


@pytest.mark.parametrize("name", READERS)
def test_a_query_that_reads_alerts_leaves_drills_out(tmp_path: Path, name: str) -> None:
    alone = answers(tmp_path / "alone", READERS[name], "room-bar-1")
    with_drill = answers(tmp_path / "with-drill", READERS[name], "room-bar-1", "drill-a6b5a48cf992")
    assert alone, "an alert that is none of a drill is there"
    assert with_drill == alone
