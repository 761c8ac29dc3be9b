"""The past of a local run, in the KQL that Azure is asked."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asa_engine.databases import calculator
from local.clock import SimulatedClock
from local.lake.alert_history import local_history
from local.lake.tables import live_tables
from local.run_settings import RunSettings

NOON = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)


def ago(**past: float) -> str:
    return (NOON - timedelta(**past)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write(lake: Path, table: str, *rows: dict[str, Any]) -> None:
    declared = live_tables()[table]
    with calculator() as connection:
        struct = json.dumps([dict(declared.columns)])
        unnested = "create temp table given as select unnest(from_json($1::json, $2), recursive := true)"
        connection.execute(unnested, [json.dumps(rows), struct])
        declared.writer(lake).append(connection, "from given")


def alert(number: int, state: str, rule: str, observed: str, started: str) -> dict[str, Any]:
    return {
        "alertId": f"{rule}|{number}",
        "ruleId": rule,
        "cityId": "lyon",
        "state": state,
        "severity": 2,
        "startedAt": started,
        "observedAt": observed,
    }


@pytest.fixture
def run(tmp_path: Path) -> RunSettings:
    settings = RunSettings(tmp_path, "dev", (), clock=SimulatedClock(time.time(), NOON.timestamp(), 1.0))
    settings.write(tmp_path / "run.json")
    return settings


def test_it_knows_what_fired_what_is_open_and_which_signals_have_values(run: RunSettings) -> None:
    write(
        run.lake_dir,
        "Alerts",
        alert(1, "fired", "device-offline", ago(days=3), ago(days=3, minutes=5)),
        alert(1, "resolved", "device-offline", ago(days=2), ago(days=3, minutes=5)),
        alert(2, "fired", "device-offline", ago(days=1), ago(days=1, minutes=5)),
        alert(3, "fired", "site-outage", ago(days=40), ago(days=40)),
        alert(4, "fired", "call-quality", ago(days=41), ago(days=41)),
        alert(4, "resolved", "call-quality", ago(days=31), ago(days=41)),
    )
    minute = {"cityId": "lyon", "readings": 1, "mean": 0.0, "minimum": 0.0, "maximum": 0.0}
    write(run.lake_dir, "CityMinute", *({**minute, "signal": "offline", "windowEnd": ago(hours=hours)} for hours in (90, 2)))
    history = local_history(run.data_dir)
    assert history.source == f"the local pipeline in {run.data_dir}"
    assert history.firings.keys() == {("lyon", "device-offline"), ("lyon", "site-outage")}, "what was over before is forgotten"
    outage = history.firings["lyon", "site-outage"]
    assert (outage.count, (outage.open_since or "")[:16]) == (0, ago(days=40)[:16]), "what is open is known however long"
    offline = history.firings["lyon", "device-offline"]
    assert (offline.count, offline.last[:16]) == (2, ago(days=1)[:16])
    assert (offline.open_since or "")[:16] == ago(days=1, minutes=5)[:16]
    assert {key: time_[:16] for key, time_ in (history.signals or {}).items()} == {("lyon", "offline"): ago(hours=2)[:16]}
    assert history.since[:16] == ago(hours=90)[:16]


def test_a_run_that_has_seen_nothing_begins_now(run: RunSettings) -> None:
    history = local_history(run.data_dir)
    assert (history.firings, history.signals) == ({}, {})
    assert history.since[:16] == NOON.isoformat()[:16]


def test_without_a_run_there_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        local_history(tmp_path)
