"""The views over history answer as they say: T-SQL read by sqlglot, run by DuckDB on tables of the lake's columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
LAKE = {"readings": READINGS.columns, **{name: live_tables()[name].columns for name in ("Alerts", "IncidentSteps", "CityMinute")}}


@cache
def views() -> list[str]:
    """The statements of the script, as DuckDB has them. What sqlglot can't translate is an error."""
    statements = [one for one in SCRIPT.read_text(encoding="utf-8").split("\nGO\n") if one.strip()]
    return [
        sqlglot.transpile(one, read="fabric", write="duckdb", comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE)[0]
        for one in statements
    ]


Rows = Mapping[str, Sequence[Row]]


@contextmanager
def lake_of(rows: Rows) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lake with rows in its tables, and the views."""
    with duckdb.connect(config={"threads": 1}) as lake:
        lake.execute("set TimeZone = 'UTC'")
        for name, columns in LAKE.items():
            types = {column: kind.replace("TIMESTAMPTZ", "TIMESTAMP") for column, kind in columns.items()}
            lake.execute(f'create table "{name}" ({", ".join(f"{column} {kind}" for column, kind in types.items())})')
            if there := rows.get(name):
                places = ", ".join("?" for _ in types)
                lake.executemany(f'insert into "{name}" values ({places})', [[row.get(one) for one in types] for row in there])
        for statement in views():
            make(lake, statement)
        yield lake


def make(lake: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Make a view as of the world's now."""
    lake.execute(statement.replace("SYSUTCDATETIME()", f"TIMESTAMP '{NOW}'"))


def rows_of(lake: duckdb.DuckDBPyConnection, view: str) -> list[dict[str, Any]]:
    """What a view yields."""
    found = lake.execute(f"select * from {view} order by all")
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def answers(view: str, alerts: Sequence[Row] = (), **more: Sequence[Row]) -> list[dict[str, Any]]:
    """What a view yields over rows; `more` by table."""
    with lake_of({"Alerts": alerts, **more}) as lake:
        return rows_of(lake, view)


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


def minute(moment: str, signal: str, mean: float, most: float | None = None) -> Row:
    return {"windowEnd": at(moment), "cityId": "lyon", "signal": signal, "mean": mean, "maximum": most or mean}


MINUTES = [
    minute("2026-02-01T23:59", "devices", 4),
    minute("2026-02-02T00:00", "devices", 4),
    minute("2026-02-02T00:01", "devices", 6),
    minute("2026-02-02T00:01", "devices", 6),
    minute("2026-02-02T00:00", "devicesDown", 1, 2),
    minute("2026-02-02T00:01", "devicesDown", 2, 3),
    minute("2026-02-02T00:02", "rooms", 9),
]


def test_a_day_of_a_city_counts_each_minute_once_and_knows_nothing_of_what_no_minute_said() -> None:
    first, second = answers("city_days", CityMinute=MINUTES)
    assert list(first.values())[2:] == [1, 4, None, None]
    assert list(second.values())[2:] == [2, pytest.approx(16 / 3), 1.5, 3]


ACKNOWLEDGED = ("incident_history", "time_to_acknowledge_by_city")


BEGAN = at("2026-02-01T10:00")


def step(incident: str, what: str, after: timedelta, city: str = "lyon", start: datetime = BEGAN, about: str = "d1") -> Row:
    """A step of an incident, some time after what is wrong began."""
    said = {"incidentId": incident, "cityId": city, "ruleId": "device-offline", "workspaceId": "r1", "startedAt": start}
    said |= {"entityId": about}
    return said | {"id": f"{incident}-{what}-{after}", "step": what, "observedAt": start + after}


STEPS = [
    step("a", "began", MINUTE),
    step("a", "acknowledged", 4 * MINUTE),
    step("a", "acknowledged", 4 * MINUTE),
    step("a", "unacknowledged", 5 * MINUTE),
    step("a", "taken-over", 9 * MINUTE),
    step("a", "ended", 20 * MINUTE),
    step("a", "began-again", 25 * MINUTE),
    step("a", "ended", 30 * MINUTE),
    step("b", "began", MINUTE),
    step("b", "taken-over", 10 * MINUTE),
    step("c", "began", MINUTE),
    step("c", "commented", 2 * MINUTE),
    step("d", "began", MINUTE, start=at("2026-01-31T23:59")),
    step("e", "acknowledged", HOUR, city="oslo"),
    step("f", "acknowledged", DAY, city="oslo", about="drill-1"),
]


def test_time_to_acknowledge_is_to_the_first_who_did_each_incident_once() -> None:
    found = {(row["cityId"], row["beganInMonth"]): row for row in answers("time_to_acknowledge_by_city", IncidentSteps=STEPS)}
    said = {key: tuple(row.values())[3:] for key, row in found.items()}
    assert {
        key: (one[0], one[1], *(None if value is None else float(value) for value in one[2:])) for key, one in said.items()
    } == {
        ("lyon", 1): (1, 0, None, None),
        ("lyon", 2): (3, 2, 7, 10),
        ("oslo", 2): (1, 1, 60, 60),
    }
    history = {row["incidentId"]: row for row in answers("incident_history", IncidentSteps=STEPS)}
    assert history["a"]["endedAt"] == at("2026-02-01T10:30") and history["b"]["endedAt"] is None


def test_without_rows_a_view_has_none() -> None:
    for view in (
        "alert_history",
        "incidents_per_room_and_year",
        "time_to_repair_by_city",
        "rooms_nobody_uses",
        "city_days",
        *ACKNOWLEDGED,
    ):
        assert answers(view) == []


def test_the_documentation_names_every_view() -> None:
    page = (REPOSITORY / "docs/stages/fabric.md").read_text(encoding="utf-8")
    names = [statement.removeprefix("CREATE OR REPLACE VIEW ").split()[0] for statement in views()]
    assert len(names) == 7
    assert not [name for name in names if f"`{name}`" not in page]


SQL = (
    (r"\bMIN\(", "MAX(", "the last"),
    (r"\bMAX\(", "MIN(", "the first"),
    (r"\bAVG\(", "SUM(", "a sum for a mean"),
    (r"\bSUM\(", "AVG(", "a mean for a sum"),
    (r"COUNT\(DISTINCT ", "COUNT(", "each as often as it is there"),
    (r" = '", " <> '", "everything else"),
    (r" = 0\b", " >= 0", "whatever it is"),
    (r">= ", "> ", "the edge is out"),
    (r" NOT LIKE ", " LIKE ", "drills alone"),
    (r"\bAND ", "OR ", "one of two is enough"),
    (r"<> ''", "= ''", "of no room"),
    (r"IS NULL", "IS NOT NULL", "those that are over"),
    (r"\bSECOND\b", "MINUTE", "whole minutes"),
    (r", 'taken-over'", "", "who took over"),
    (r"-90", "-900", "years back"),
)
"""How a view is made wrong."""
ONE_VALUE = (
    r"the first \(MAX\((ruleId|cityId|workspaceId|workspaceName|room|entityId|name)"
    r"|the last \(MIN\((severity|startedAt|CASE WHEN state = 'resolved')"
)
"""Changes that nobody could see: an alert, an incident and a room have one of these, and an alert one end."""


def wrong_views() -> Iterator[tuple[str, str]]:
    for statement in SCRIPT.read_text(encoding="utf-8").split("\nGO\n"):
        code = re.sub(r"^--.*\n", "", statement, flags=re.MULTILINE)
        for pattern, instead, meaning in SQL:
            for found in re.finditer(pattern, code):
                what = f"{meaning} ({code[found.start() : found.start() + 40].splitlines()[0]})"
                yield what, code[: found.start()] + instead + code[found.end() :]


def test_a_changed_view_changes_an_answer() -> None:
    uses = [
        *use("a", *range(10)),
        *use("a", 3),
        *use("b", *range(9)),
        *use("b", 0),
        *use("c", *range(20), signal="people"),
        *use("d", *range(81, 92)),
    ]
    uses += [*use("e", *range(20)), *use("e", 3, value=1.0), *use("f", *range(20), value=None), *use("g", *range(91, 120))]
    uses += [row | {"entity": "device"} for row in use("h", *range(20))] + [row | {"workspaceId": "i"} for row in use("a", 100)]
    another = [row | ROOM for row in alert_rows(Outage("c", "lyon", NOW - 2 * HOUR, None))]
    rows = {"Alerts": [*alerts(), *another], "readings": uses, "IncidentSteps": STEPS, "CityMinute": MINUTES}
    with lake_of(rows) as lake:
        names = [statement.removeprefix("CREATE OR REPLACE VIEW ").split()[0] for statement in views()]
        truth = {name: rows_of(lake, name) for name in names}
        survivors = []
        for what, wrong in wrong_views():
            if not re.match(ONE_VALUE, what) and not _moves(lake, wrong, truth):
                survivors.append(what)
            for statement in views():
                make(lake, statement)
    assert survivors == []


def _moves(lake: duckdb.DuckDBPyConnection, wrong: str, truth: Mapping[str, list[dict[str, Any]]]) -> bool:
    try:
        make(lake, sqlglot.transpile(wrong, read="fabric", write="duckdb", comments=False)[0])
        return any(rows_of(lake, name) != rows for name, rows in truth.items())
    except duckdb.Error:
        return True  # it doesn't run
