"""What another threshold would have fired, over the readings of a lake: as the deployed query fires."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from activator.rules import Override
from asa_engine.databases import calculator
from cli.main import app
from cli.threshold_replay import replayed
from infra.settings.stack import City
from local.clock import SimulatedClock
from local.lake.tables import READINGS, LakeTable, live_tables
from local.lake.threshold_replay import fired
from local.run_settings import RunSettings
from tests.infra.deployments import city
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


def write(lake: Path, rows: list[dict[str, Any]], table: LakeTable = READINGS) -> None:
    if not rows:
        return
    with calculator() as connection:
        struct = json.dumps([dict(table.columns)])
        unnested = "create temp table given as select unnest(from_json($1::json, $2), recursive := true)"
        connection.execute(unnested, [json.dumps(rows), struct])
        table.writer(lake).append(connection, "from given")


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
    assert code == 0
    assert text.startswith(
        "room-too-warm: temperature >= 28 °C → 27 °C, 30 days Lyon: 1 → 3 alerts (+2, +1 of them outside office hours, "
        "which wait for the morning) "
    )
    assert all(named in text.split("Not weighed: ")[1] for named in ("severities", "hours", "limits", "silences", "15 minutes"))


def lyon(*overrides: Override) -> City:
    return replace(city("lyon"), overrides=overrides)


TOO_WARM_HERE = Override("room-too-warm", "A lab.", "2026-12-31", threshold=29.5)
LYON = ("room-too-warm: temperature >= 28 °C → 27 °C, 30 days", "  Lyon: {} → {} alerts ({}, +0 of them outside office hours)")


@pytest.mark.parametrize(
    ("override", "counts", "said"),
    [
        (None, (1, 2, "+1"), None),
        (TOO_WARM_HERE, None, "Lyon has a threshold of its own, 29.5 until 2026-12-31: the rule's changes nothing there"),
        (replace(TOO_WARM_HERE, until="2026-11-23"), (1, 2, "+1"), None),
        (replace(TOO_WARM_HERE, threshold=None, for_seconds=0), (1, 2, "+1"), None),
        (replace(TOO_WARM_HERE, threshold=None, mute=True), None, "Lyon is muted until 2026-12-31"),
        (replace(TOO_WARM_HERE, rule_id="room-too-loud"), (1, 2, "+1"), None),
    ],
)
def test_what_a_city_overrides_is_weighed_or_named(
    run: RunSettings, override: Override | None, counts: tuple[int, int, str] | None, said: str | None
) -> None:
    write(run.lake_dir, readings([W] * 4) + readings([27.5] * 4, room="b"))
    cities = [lyon(*([override] if override else []))]
    lines = list(replayed(["room-too-warm=27"], RULES, cities, run.data_dir))
    assert (LYON[1].format(*counts) in lines) if counts else not any("→" in line for line in lines[1:])
    assert any("until" in line for line in lines) == bool(said) and (said or "") in "\n".join(lines)


def alert(state: str, at: datetime, *, rule: str = "site-outage", entity: str = "location", id_: str = "site") -> dict[str, Any]:
    row = {"alertId": f"{rule}|{id_}", "ruleId": rule, "state": state, "entity": entity, "entityId": id_, "cityId": "lyon"}
    return row | {"observedAt": at.isoformat()}


MINUTES = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("alerts", "is_folded"),
    [
        ([], False),
        ([alert("fired", NOON)], True),
        ([alert("fired", NOON), alert("resolved", NOON + 9 * MINUTES)], False),
        ([alert("fired", NOON), alert("resolved", NOON + 11 * MINUTES)], True),
        ([alert("fired", NOON + 11 * MINUTES)], False),
        ([alert("fired", NOON + 10 * MINUTES + timedelta(seconds=2))], True),
        ([alert("fired", NOON, id_="another site")], False),
        ([alert("fired", NOON, rule="room-too-loud")], False),
        ([alert("fired", NOON, entity="device", id_="a")], True),
        ([alert("fired", NOON, entity="city", id_="lyon")], True),
        ([alert("fired", NOON, entity="workspace", id_="room")], True),
    ],
)
def test_what_an_outage_explains_is_marked(tmp_path: Path, alerts: list[dict[str, Any]], is_folded: bool) -> None:
    write(tmp_path, readings([W] * 3, locationId="site", workspaceId="room"))
    write(tmp_path, alerts, live_tables()["Alerts"])
    rule = replace(TOO_WARM, suppress_when=("site-outage", "outside-office-hours"))
    assert [one.is_folded for one in fired(tmp_path, rule, 28, NOON)] == [is_folded]


@pytest.mark.parametrize(("devices", "sites"), [(2, []), (3, ["site"]), (4, ["site"])])
def test_a_place_with_too_few_devices_never_fires(tmp_path: Path, devices: int, sites: list[str]) -> None:
    outage = next(rule for rule in RULES if rule.id == "site-outage")
    write(tmp_path, readings([0, 1], room="site", entity="location", signal="offlineRatio", locationId="site"))
    for number in range(devices):
        write(tmp_path, readings([0, 1], room=str(number), entity="device", signal="offline", locationId="site"))
    assert [one.entity for one in fired(tmp_path, outage, 0.5, NOON)] == sites


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
