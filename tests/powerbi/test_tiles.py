"""Tiles, tables and views are KQL as Kusto understands it, and yield the columns they say they yield."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from activator.declarations import DeclarationError
from local.dashboard.snapshot import worst_rooms
from powerbi.real_time_dashboard import CITY, dashboard
from powerbi.tiles import read_tiles
from tests.support.kusto_checker import check_kql, tile_findings
from tests.support.report_store import ReportStore, Row
from tests.support.report_world import DAY, LYON, MINUTE, NOW, PUNE, Outage, alert_rows, device_row, room_row

pytestmark = pytest.mark.kusto

TILES = read_tiles()
NEEDED_BY_THE_PAGE = {
    "alerts_recent",
    "cities",
    "city_trend",
    "environment",
    "firmware",
    "locations",
    "maintenance",
    "open_alerts",
    "pipeline",
    "rooms",
    "worst_rooms",
}


def test_the_tiles_the_page_needs_are_there() -> None:
    assert set(TILES) >= NEEDED_BY_THE_PAGE


def test_every_tile_is_on_the_dashboard_or_needed_by_the_page() -> None:
    shown = {one["title"] for one in json.loads(str(dashboard().parts["RealTimeDashboard.json"]))["tiles"]}
    forgotten = sorted(name for name, tile in TILES.items() if tile.title not in shown and name not in NEEDED_BY_THE_PAGE)
    assert not forgotten, f"powerbi/dashboard/layout.yaml does not show {forgotten}: add where each is, and how it is drawn"


def test_kusto_accepts_tables_views_and_tiles() -> None:
    assert tile_findings().faults == ()


@pytest.mark.parametrize("name", TILES)
def test_a_tile_yields_the_columns_of_its_header_on_kusto(name: str) -> None:
    assert tuple(tile_findings().columns[name]) == TILES[name].columns


def test_the_checker_finds_faults_with_line_and_column() -> None:
    findings = check_kql({"column": "Latest | where helth == 'up'", "operator": "Latest\n| sumarize count()", "table": "Lastest"})
    for fault in ("column:1:16 The name 'helth' does not refer to any known column", "operator:2:3 ", "table:1:1 "):
        assert any(found.startswith(fault) for found in findings.faults)


def test_a_tile_without_its_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bare.kql").write_text("Latest | count\n")
    with pytest.raises(DeclarationError, match=r"bare.kql  begin the tile with the lines `// title: …`"):
        read_tiles(tmp_path)


CITY_TILES = [name for name, tile in TILES.items() if "cityId" in tile.columns]


def rows_of(city: str, devices: int) -> dict[str, list[Row]]:
    """A city with `devices` devices that are down, each with an alert, newer in a bigger city; its room, location and figures."""
    moment = NOW - MINUTE - 100 * MINUTE / devices
    names = [f"{city}-{number}" for number in range(devices)]
    down = {"health": "down", "software": "RoomOS 26", "statusSince": NOW - DAY * devices}
    down |= {"signals": [{"name": "offline", "value": 0.0, "text": "planned maintenance", "rules": []}]}
    figures = [
        room_row(f"{city}-room", city, moment, {"temperature": 21.0}),
        room_row(f"{city}-empty", city, NOW - MINUTE, {"booked": 1.0, "unattendedMinutes": 12.0}),
        room_row(f"{city}-place", city, moment, {"devices": devices}) | {"entity": "location"},
        room_row(city, city, moment, {"devices": devices}) | {"entity": "city"},
    ]
    return {
        "Processed": [*(device_row(name, city, moment) | down for name in names), *figures],
        "Alerts": [row for name in names for row in alert_rows(Outage(name, city, moment - 5 * MINUTE, None))],
        "CityMinute": [{"windowEnd": moment, "cityId": city, "signal": "devicesDown", "mean": 1.0}],
    }


@cache
def both() -> tuple[ReportStore, ReportStore]:
    """A small city alone, and beside a big one that would fill every list."""
    small, big = rows_of("lyon", 3), rows_of("pune", 250)
    scripts = [LYON.script, PUNE.script]
    return ReportStore(NOW, small, scripts), ReportStore(NOW, {name: [*small[name], *big[name]] for name in small}, scripts)


def query_of(tile: str) -> str:
    """What the dashboard asks for a tile, where Lyon is chosen."""
    document = json.loads(str(dashboard().parts["RealTimeDashboard.json"]))
    queries = {one["title"]: one["queryRef"]["queryId"] for one in document["tiles"]}
    assert TILES[tile].title in queries, f"powerbi/dashboard/layout.yaml does not show {tile}: add where it is"
    query = queries[TILES[tile].title]
    text = next(one["text"] for one in document["queries"] if one["id"] == query)
    return str(text).replace(f"isempty(['{CITY}']) or ", "").replace(f"['{CITY}']", "'lyon'")


@pytest.mark.parametrize("tile", CITY_TILES)
def test_a_chosen_city_shows_all_it_has_however_much_the_others_have(tile: str) -> None:
    alone, beside = both()
    asked = query_of(tile)
    assert beside.rows(asked) == alone.rows(asked) != []
    assert len(alone.rows(asked)) == len(alone.rows(TILES[tile].kql))


def test_a_dark_location_does_not_hide_the_rooms_that_nobody_was_told_of() -> None:
    dark = [
        device_row(f"dark-{number}", "lyon", NOW, health="down", statusSince=NOW - DAY, locationId="dark") for number in range(80)
    ]
    other = device_row("other", "lyon", NOW, health="issues", locationId="elsewhere")
    rows = ReportStore(NOW, {"Processed": [*dark, other]}, [LYON.script]).rows(TILES["worst_rooms"].kql)
    assert "room-other" in {room["key"] for room in worst_rooms(rows, {"dark"})}


@cache
def empty() -> ReportStore:
    """Nothing was ever observed."""
    return ReportStore(NOW, {}, [LYON.script])


@pytest.mark.parametrize("tile", TILES)
def test_without_data_a_tile_shows_nothing_that_looks_like_health(tile: str) -> None:
    nothing = {"newest": None, "readings5m": 0, "quarantined1h": 0}
    assert empty().rows(TILES[tile].kql) == ([nothing] if tile == "pipeline" else [])


SHOWN_OF_NOTHING: dict[str, list[Row]] = {
    "rooms": [{"workspaceId": "room-b", "cityId": "lyon", "health": "unknown", "devices": 1, "observedAt": NOW}],
    "worst_rooms": [
        {"entityId": "a", "cityId": "lyon", "observedAt": NOW},
        {"entityId": "b", "cityId": "lyon", "workspaceId": "room-b", "observedAt": NOW},
    ],
    "environment": [{"workspaceId": "room-a", "cityId": "lyon", "observedAt": NOW}],
    "pipeline": [{"newest": NOW, "readings5m": 0, "quarantined1h": 0}],
}


@pytest.mark.parametrize("tile", TILES)
def test_of_rows_that_say_nothing_a_tile_shows_that_they_are_there(tile: str) -> None:
    full = [device_row("a", "lyon", NOW), room_row("room-a", "lyon", NOW, {}), device_row("b", "lyon", NOW)]
    says = ("id", "observedAt", "cityId", "entity", "entityId")
    rows = [{name: row[name] for name in says} for row in full]
    rows[2]["workspaceId"] = "room-b"
    minute = {"windowEnd": NOW - DAY / 24, "cityId": "lyon", "signal": "devicesDown"}
    found = ReportStore(NOW, {"Processed": rows, "CityMinute": [minute]}, [LYON.script]).rows(TILES[tile].kql)
    assert [{name: value for name, value in row.items() if value is not None} for row in found] == SHOWN_OF_NOTHING.get(tile, [])
