"""The views over history answer as they say: T-SQL read by sqlglot, run by DuckDB on tables of the lake's columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import duckdb
import pytest
import sqlglot

from local.lake.tables import READINGS, live_tables
from tests.support.report_store import Row
from tests.support.report_world import DAY, HOUR, MINUTE, NOW, Outage, alert_rows, at
from tests.support.shared_data import REPOSITORY

SCRIPT = REPOSITORY / "powerbi/sql/history.sql"
LAKE = {"readings": READINGS.columns, **{name: live_tables()[name].columns for name in ("Alerts", "IncidentSteps")}}


@cache
def views() -> list[str]:
    """The statements of the script, as DuckDB has them. What sqlglot can't translate is an error."""
    statements = [one for one in SCRIPT.read_text(encoding="utf-8").split("\nGO\n") if one.strip()]
    return [
        sqlglot.transpile(one, read="fabric", write="duckdb", comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE)[0]
        for one in statements
    ]


def answers(
    view: str, alerts: Sequence[Row] = (), readings: Sequence[Row] = (), steps: Sequence[Row] = ()
) -> list[dict[str, Any]]:
    """What a view yields over rows, as of the world's now."""
    with duckdb.connect(config={"threads": 1}) as lake:
        lake.execute("set TimeZone = 'UTC'")
        for name, rows in (("Alerts", alerts), ("readings", readings), ("IncidentSteps", steps)):
            types = {column: kind.replace("TIMESTAMPTZ", "TIMESTAMP") for column, kind in LAKE[name].items()}
            lake.execute(f'create table "{name}" ({", ".join(f"{column} {kind}" for column, kind in types.items())})')
            if rows:
                places = ", ".join("?" for _ in types)
                lake.executemany(f'insert into "{name}" values ({places})', [[row.get(one) for one in types] for row in rows])
        for statement in views():
            lake.execute(statement.replace("SYSUTCDATETIME()", f"TIMESTAMP '{NOW}'"))
        found = lake.execute(f"select * from {view} order by all")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


ROOM = {"workspaceId": "r1", "workspaceName": "Curie"}
SPANS = [
    Outage("a", "lyon", at("2025-12-31T23:50"), at("2026-01-01T00:20")),
    Outage("a", "lyon", at("2026-02-01T10:00"), at("2026-02-01T11:00")),
    Outage("b", "lyon", at("2026-02-03T10:00"), at("2026-02-03T10:00:30")),
    Outage("b", "lyon", NOW - HOUR, None),
]


def alerts() -> list[Row]:
    """Alerts of a room, each stored twice; one of a city, and a drill."""
    of_room = [row | ROOM for span in SPANS for row in alert_rows(span)]
    of_city = list(alert_rows(Outage("lyon", "lyon", at("2026-02-04T00:00"), at("2026-02-04T02:00")), "city-silent"))
    drill = [row | ROOM for row in alert_rows(Outage("drill-1", "lyon", at("2026-02-01T10:00"), at("2026-02-01T20:00")))]
    return [*of_room, *of_room, *of_city, *drill]


def minutes(*spans: timedelta) -> float:
    return sum(spans, timedelta()) / MINUTE


def test_incidents_are_of_the_year_they_began_each_once() -> None:
    room = {"cityId": "lyon", "workspaceId": "r1", "room": "Curie"}
    assert answers("incidents_per_room_and_year", alerts()) == [
        room | {"beganIn": 2025, "incidents": 1, "stillOpen": 0, "minutes": 30},
        room | {"beganIn": 2026, "incidents": 3, "stillOpen": 1, "minutes": 60.5},
    ]


def test_time_to_repair_is_of_what_was_repaired_by_city_rule_and_month() -> None:
    found = {(row["ruleId"], row["beganInYear"], row["beganInMonth"]): row for row in answers("time_to_repair_by_city", alerts())}
    told = {
        key: (row["repaired"], row["stillOpen"], float(row["meanMinutes"]), float(row["longestMinutes"]))
        for key, row in found.items()
        if row["repaired"]
    }
    february = [span.end - span.start for span in SPANS[1:3] if span.end]
    assert told == {
        ("city-silent", 2026, 2): (1, 0, 120, 120),
        ("device-offline", 2025, 12): (1, 0, 30, 30),
        ("device-offline", 2026, 2): (2, 0, minutes(*february) / 2, minutes(max(february))),
    }
    (unfinished,) = [row for row in found.values() if not row["repaired"]]
    assert (unfinished["stillOpen"], unfinished["meanMinutes"], unfinished["longestMinutes"]) == (1, None, None)


def use(room: str, *days: int, value: float | None = 0.0, signal: str = "inUse") -> Iterator[Row]:
    """A reading of a room some days ago."""
    for ago in days:
        moment: datetime = NOW - ago * DAY
        named = {"workspaceId": room, "entityId": room, "name": room.title(), "entity": "workspace", "cityId": "lyon"}
        yield named | {"observedAt": moment, "date": f"{moment:%Y-%m-%d}", "signal": signal, "value": value}


@pytest.mark.parametrize(
    ("readings", "listed"),
    [
        ([*use("a", *range(10))], True),
        ([*use("a", *range(9)), *use("a", 0)], False),
        ([*use("a", *range(20)), *use("a", 3, value=1.0)], False),
        ([*use("a", *range(20)), *use("a", 100, value=1.0)], True),
        ([*use("a", *range(81, 91))], True),
        ([*use("a", *range(82, 92))], False),
        ([*use("a", *range(20), value=None)], False),
        ([*use("a", *range(20), signal="temperature")], False),
        ([], False),
    ],
    ids=[
        "ten days",
        "nine days, one twice",
        "used once",
        "used long ago",
        "just recent",
        "too old",
        "unknown",
        "no counter",
        "none",
    ],
)
def test_a_room_that_nobody_uses_is_one_that_was_watched_and_never_used(readings: list[Row], listed: bool) -> None:
    found = answers("rooms_nobody_uses", readings=readings)
    assert [row["room"] for row in found] == (["A"] if listed else [])
    assert all(row["lastObserved"] == max(one["observedAt"] for one in readings) for row in found)


ACKNOWLEDGED = ("incident_history", "time_to_acknowledge_by_city")


BEGAN = at("2026-02-01T10:00")


def step(incident: str, what: str, after: timedelta, city: str = "lyon", start: datetime = BEGAN, about: str = "d1") -> Row:
    """A step of an incident, some time after what is wrong began."""
    said = {"incidentId": incident, "cityId": city, "ruleId": "device-offline", "workspaceId": "r1", "startedAt": start}
    said |= {"entityId": about}
    return said | {"id": f"{incident}-{what}-{after}", "step": what, "observedAt": start + after}


def test_time_to_acknowledge_is_to_the_first_who_did_each_incident_once() -> None:
    january = at("2026-01-31T23:59")
    steps = [
        step("a", "began", MINUTE),
        step("a", "acknowledged", 4 * MINUTE),
        step("a", "acknowledged", 4 * MINUTE),
        step("a", "unacknowledged", 5 * MINUTE),
        step("a", "taken-over", 9 * MINUTE),
        step("a", "ended", 30 * MINUTE),
        step("b", "began", MINUTE),
        step("b", "taken-over", 10 * MINUTE),
        step("c", "began", MINUTE),
        step("c", "commented", 2 * MINUTE),
        step("d", "began", MINUTE, start=january),
        step("e", "acknowledged", HOUR, city="oslo"),
        step("f", "acknowledged", DAY, city="oslo", about="drill-1"),
    ]
    found = {(row["cityId"], row["beganInMonth"]): row for row in answers("time_to_acknowledge_by_city", steps=steps)}
    said = {key: tuple(row.values())[3:] for key, row in found.items()}
    assert {
        key: (one[0], one[1], *(None if value is None else float(value) for value in one[2:])) for key, one in said.items()
    } == {
        ("lyon", 1): (1, 0, None, None),
        ("lyon", 2): (3, 2, 7, 10),
        ("oslo", 2): (1, 1, 60, 60),
    }
    history = {row["incidentId"]: row for row in answers("incident_history", steps=steps)}
    assert history["a"]["endedAt"] == at("2026-02-01T10:30") and history["b"]["endedAt"] is None


def test_without_rows_a_view_has_none() -> None:
    for view in ("alert_history", "incidents_per_room_and_year", "time_to_repair_by_city", "rooms_nobody_uses", *ACKNOWLEDGED):
        assert answers(view) == []


def test_the_documentation_names_every_view() -> None:
    page = (REPOSITORY / "docs/stages/fabric.md").read_text(encoding="utf-8")
    names = [statement.removeprefix("CREATE OR REPLACE VIEW ").split()[0] for statement in views()]
    assert len(names) == 6
    assert not [name for name in names if f"`{name}`" not in page]
