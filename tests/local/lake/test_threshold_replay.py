"""What another threshold would have fired, over the readings of a lake: as the deployed query fires."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from cli.main import app
from local.clock import SimulatedClock
from local.lake.tables import READINGS
from local.lake.threshold_replay import fired
from local.run_settings import RunSettings
from tests.support.rules import RULES

TOO_WARM = next(rule for rule in RULES if rule.id == "room-too-warm")  # 28 °C or more for 10 minutes
NIGHT = datetime(2026, 11, 24, 1, tzinfo=UTC)
"""A Tuesday, two o'clock in Lyon."""
NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)


def readings(
    values: Sequence[float | None], start: datetime = NOON, room: str = "a", city: str = "lyon", **more: Any
) -> list[dict[str, Any]]:
    """A reading every five minutes."""
    row = {"date": "2026-11-24", "cityId": city, "entity": "workspace", "entityId": room, "signal": "temperature", **more}
    moments = [start + timedelta(minutes=5 * number) for number in range(len(values))]
    return [
        row | {"id": f"{room}-{at.isoformat()}", "observedAt": at.isoformat(), "value": value}
        for at, value in zip(moments, values, strict=True)
        if value is not None
    ]


def write(lake: Path, rows: list[dict[str, Any]]) -> None:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        struct = json.dumps([dict(READINGS.columns)])
        unnested = "select unnest(from_json($1::json, $2), recursive := true)"
        READINGS.writer(lake).append(connection.sql(unnested, params=[json.dumps(rows), struct]))


W, C, N = 29.0, 22.0, None
"""Warm, cool, not measured."""


@pytest.mark.parametrize(
    ("values", "after"),
    [
        ([C, W, W, W, C], [15]),  # ten minutes after it began
        ([C, W, W, C], []),
        ([C, W, C, W, C, W], []),
        ([W, W, W], [10]),
        ([C, W, N, N, W, C], [20]),  # what is not measured changes nothing
        ([C, W, W, W, W, C, W, W, W, W], [15, 40]),
        ([C, 28.0, 28.0, 28.0], [15]),
        ([C, 27.9, 27.9, 27.9], []),
        ([], []),
    ],
)
def test_it_fires_when_the_query_fires(tmp_path: Path, values: list[float | None], after: list[int]) -> None:
    write(tmp_path, readings([C]) + readings(values, NOON + timedelta(minutes=5)))
    start = NOON + timedelta(minutes=5)
    assert [one.at - start for one in fired(tmp_path, TOO_WARM, 28, NOON)] == [timedelta(minutes=minutes) for minutes in after]


def test_rooms_and_signals_are_kept_apart_and_drills_and_repeats_left_out(tmp_path: Path) -> None:
    warm = readings([W] * 4)
    write(tmp_path, warm + warm + readings([C] * 4, room="b") + readings([W] * 4, room="c", signal="humidity"))
    write(tmp_path, readings([W] * 4, room="d", reason="drill") + readings([W] * 2, room="e") + readings([W] * 2, room="f"))
    assert [(one.city, one.entity) for one in fired(tmp_path, TOO_WARM, 28, NOON)] == [("lyon", "a")]
    assert fired(tmp_path, TOO_WARM, 28, NOON + timedelta(hours=1)) == []


def test_a_lake_without_readings_has_no_alerts(tmp_path: Path) -> None:
    assert fired(tmp_path, TOO_WARM, 28, NOON) == []


@pytest.fixture
def run(tmp_path: Path) -> RunSettings:
    settings = RunSettings(tmp_path, "dev", (), clock=SimulatedClock(time.time(), (NOON + timedelta(days=1)).timestamp(), 1.0))
    settings.write(tmp_path / "run.json")
    return settings


def asked(run: RunSettings, *changes: str) -> tuple[int, str]:
    words = [word for change in changes for word in ("--replay", change)]
    result = CliRunner().invoke(app, ["alerts", "review", "--data", str(run.data_dir), *words])
    return result.exit_code, " ".join(result.output.split())


def test_the_command_says_how_many_more_and_how_many_at_night(run: RunSettings) -> None:
    write(run.lake_dir, readings([W] * 4) + readings([27.5] * 4, room="b") + readings([27.5] * 4, NIGHT, room="c"))
    code, text = asked(run, "room-too-warm=27")
    assert (code, text) == (
        0, "room-too-warm: temperature >= 28 °C → 27 °C, 30 days Lyon: 1 → 3 alerts (+2, +1 of them outside office hours)"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("room-to-warm=27", "Did you mean room-too-warm?"), ("pipeline-stale=1", "not a rule that the query evaluates"),
        ("room-too-warm", "such as room-too-warm=28"), ("room-too-warm=hot", "such as room-too-warm=28"),
        ("room-too-warm=900", "is never reached"),
    ],
)  # fmt: skip
def test_what_can_not_be_replayed_says_why(run: RunSettings, change: str, why: str) -> None:
    code, text = asked(run, change)
    assert code == 1 and why in text


def test_without_a_run_it_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["alerts", "review", "--data", str(tmp_path), "--replay", "room-too-warm=27"])
    assert result.exit_code == 1 and "No pipeline has run" in result.output
