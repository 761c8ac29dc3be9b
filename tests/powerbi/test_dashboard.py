"""The real-time dashboard as people see it: cards before tables, colours with a sign and a word, words in place of codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from activator.declarations import DeclarationError
from powerbi.health import HEALTHS, SEVERITIES
from powerbi.real_time_dashboard import CITY, LAYOUT, dashboard
from powerbi.tiles import CARDS_DIR, read_tiles
from tests.support.kusto_checker import check_kql
from tests.support.report_store import ReportStore, Row
from tests.support.report_world import (
    CITIES,
    DAY,
    HOUR,
    LONG,
    LYON,
    MINUTE,
    NOW,
    PUNE,
    City,
    Outage,
    alert_rows,
    device_row,
    room_row,
)  # fmt: skip

CARDS = read_tiles(CARDS_DIR)
DOCUMENT = json.loads(str(dashboard().parts["RealTimeDashboard.json"]))
QUERIES = {query["id"]: str(query["text"]) for query in DOCUMENT["queries"]}
TILES: Mapping[str, Mapping[str, Any]] = {tile["title"]: tile for tile in DOCUMENT["tiles"]}
SCRIPTS = [city.script for city in CITIES]
ODD = City("odd", "L'Aquila 🏔 \u200fחיפה", "Europe/Rome", ("mon",), "08:00", "18:00", LONG)


def shown(title: str, store: ReportStore, *cities: str) -> list[Row]:
    """What a tile shows, where these cities are chosen (none: all)."""
    text = QUERIES[TILES[title]["queryRef"]["queryId"]]
    chosen = ", ".join(f"'{city}'" for city in cities)
    if not cities:
        return store.rows(text.replace(f"isempty(['{CITY}']) or cityId in (['{CITY}'])", "true"))
    return store.rows(text.replace(f"isempty(['{CITY}']) or ", "").replace(f"['{CITY}']", chosen))


def figures(store: ReportStore, *cities: str) -> dict[str, Any]:
    """The figure of each card; a card that says nothing is not in it."""
    found = {card.title: shown(card.title, store, *cities) for card in CARDS.values()}
    return {title: rows[0]["value"] for title, rows in found.items() if rows}


# ---- cards


def city_row(city: str, minutes: int, **signals: float) -> Row:
    return room_row(city, city, NOW - minutes * MINUTE, signals) | {"entity": "city"}


def devices() -> Iterator[Row]:
    """Every health; a room with two; one that went, one not seen for four hours, one in no room."""
    for number, health in enumerate(["down", "issues", "unknown", "asleep", "up", "up"]):
        yield device_row(f"d{number}", "lyon" if number < 4 else "pune", NOW - (7 + number) * MINUTE, health=health)
    yield device_row("beside", "lyon", NOW - HOUR, health="issues") | {"workspaceId": "room-d0"}
    yield device_row("loose", "lyon", NOW - HOUR, health="down") | {"workspaceId": ""}
    yield device_row("gone", "lyon", NOW - 7 * MINUTE, health="down", connectionStatus="removed")
    yield device_row("went", "lyon", NOW - 7 * MINUTE, health="issues", connectionStatus="removed")
    yield from (device_row(f"old-{health}", "lyon", NOW - 4 * HOUR, health=health) for health in ("down", "issues"))


@cache
def estate() -> ReportStore:
    """Two cities with all kinds of devices, alerts that are open and over, and rooms that say how they are used."""
    use = [
        city_row("lyon", 8, roomsInUse=3, roomsReporting=5), city_row("pune", 8, roomsInUse=1, roomsReporting=4),
        city_row("old", 16, roomsInUse=50, roomsReporting=60), city_row("none", 8, roomsInUse=0, roomsReporting=0),
    ]  # fmt: skip
    spans = [
        Outage("d0", "lyon", NOW - DAY * 40, None),
        Outage("d4", "pune", NOW - HOUR, None),
        Outage("d1", "lyon", NOW - DAY, NOW),
    ]
    alerts = [row for span in spans for row in alert_rows(span)]
    return ReportStore(NOW, {"Processed": [*devices(), *use], "Alerts": alerts}, SCRIPTS)


AGE = "Minutes since the newest observation"
TRUE = {
    "Rooms not usable": 2, "Devices down": 2, "Devices with issues": 2, "Alerts that are open": 2, "Rooms in use": "4 of 9",
    AGE: 7,
}  # fmt: skip


def test_a_card_says_what_is_so() -> None:
    assert figures(estate()) == TRUE


@pytest.mark.parametrize(
    ("city", "true"),
    [
        ("lyon", TRUE | {"Alerts that are open": 1, "Rooms in use": "3 of 5"}),
        (
            "pune",
            {
                "Rooms not usable": 0,
                "Devices down": 0,
                "Devices with issues": 0,
                "Alerts that are open": 1,
                "Rooms in use": "1 of 4",
                AGE: 8,
            },
        ),
        ("tokyo", {}),
    ],
)
def test_a_card_is_of_the_chosen_city(city: str, true: Mapping[str, Any]) -> None:
    assert figures(estate(), city) == true


def test_a_card_says_nothing_where_nothing_is_known_and_0_only_where_devices_are_seen() -> None:
    empty = ReportStore(NOW, {}, [LYON.script])
    assert figures(empty) == {}
    well = ReportStore(NOW, {"Processed": [device_row("a", "lyon", NOW, health="up")]}, [LYON.script])
    assert figures(well) == {
        "Rooms not usable": 0,
        "Devices down": 0,
        "Devices with issues": 0,
        "Alerts that are open": 0,
        AGE: 0,
    }
    alerts = list(alert_rows(Outage("a", "lyon", NOW - DAY, None)))
    dead = ReportStore(NOW, {"Processed": [device_row("a", "lyon", NOW - 5 * HOUR)], "Alerts": alerts}, [LYON.script])
    assert figures(dead) == {"Alerts that are open": 1, AGE: 300}, "what is open stays in sight when the data ends"


CHANGES = (
    (r"== 'down'", "!= 'down'"), (r"== 'issues'", "!= 'issues'"), (r"\('down', 'issues'\)", "('down')"),
    (r" and isnotempty\(workspaceId\)", ""), (r"ago\(3h\)", "ago(30h)"), (r"ago\(15m\)", "ago(150m)"),
    (r"!= 'removed'", "!= 'gone'"), (r"== 'device'", "!= 'device'"), (r"== 'city'", "!= 'city'"), (r"== 'fired'", "!= 'fired'"),
    (r"\| where (devices|rooms|reporting|value) > 0", r"| where \1 >= 0"), (r" or seen > 0", ""), (r"value > 0 or ", ""),
    (r"countif\(notWell > 0\)", "sum(notWell)"), (r"by workspaceId\b", "by entityId"), (r"\bmax\(", "min("), (r"\b1m\)", "1h)"),
    (r"\| where isnotnull\(newest\)", ""), (r"'roomsInUse'\),", "'roomsReporting'),"), (r"alert = 1", "alert = 2"),
)  # fmt: skip
"""How a card is made wrong, one place at a time."""


def test_a_changed_card_changes_a_figure() -> None:
    open_alert = list(alert_rows(Outage("a", "lyon", NOW - DAY, None)))
    well, old = ([device_row("a", "lyon", NOW - ago, health="up")] for ago in (0 * HOUR, 5 * HOUR))
    more: list[tuple[list[Row], list[Row]]] = [([], []), (well, []), (old, []), ([], open_alert)]
    made = (ReportStore(NOW, {"Processed": rows, "Alerts": alerts}, SCRIPTS) for rows, alerts in more)
    worlds = [estate(), *made]
    survivors = []
    for card in CARDS.values():
        truth = [world.rows(card.kql) for world in worlds]
        for pattern, instead in CHANGES:
            for found in re.finditer(pattern, card.kql):
                wrong = card.kql[: found.start()] + found.expand(instead) + card.kql[found.end() :]
                if all(world.rows(wrong) == true for world, true in zip(worlds, truth, strict=True)):
                    survivors.append(f"{card.name}: {found[0]} -> {instead}")
    assert survivors == []


# ---- colours


def rules(title: str) -> Sequence[Mapping[str, Any]]:
    options = TILES[title]["visualOptions"]
    assert options["colorRulesDisabled"] is (options["colorRules"] == [])
    found: Sequence[Mapping[str, Any]] = options["colorRules"]
    return found


COMPARE: Mapping[str, Callable[[Any, str], bool]] = {
    "==": lambda value, wanted: str(value) == wanted,
    ">": lambda value, wanted: float(value) > float(wanted),
    ">=": lambda value, wanted: float(value) >= float(wanted),
    "<": lambda value, wanted: float(value) < float(wanted),
}


def painted(title: str, row: Mapping[str, Any]) -> list[tuple[str | None, str, str | None]]:
    """Column, colour and icon of every rule that a row meets, as the dashboard's own rules say."""
    return [
        (rule["applyToColumn"], rule["color"], rule["icon"])
        for rule in rules(title)
        if all(COMPARE[one["operator"]](row[one["column"]], one["values"][0]) for one in rule["conditions"])
    ]


@pytest.mark.parametrize(
    ("title", "colours"),
    [
        ("Rooms not usable", {0: "green", 1: "yellow", 40: "yellow"}),
        ("Devices down", {0: "green", 1: "red", 40: "red"}),
        ("Devices with issues", {0: "green", 1: "yellow"}),
        ("Alerts that are open", {0: "green", 1: "yellow"}),
        (AGE, {0: "green", 4: "green", 5: "yellow", 14: "yellow", 15: "red", 9999: "red"}),
    ],
)
def test_a_figure_has_one_colour_with_its_sign(title: str, colours: Mapping[int, str]) -> None:
    sign = {"green": "completed", "yellow": "warning", "red": "warning"}
    assert {value: painted(title, {"value": value}) for value in colours} == {
        value: [(None, colour, sign[colour])] for value, colour in colours.items()
    }


def test_what_is_neither_good_nor_bad_is_plain() -> None:
    assert rules("Rooms in use") == []


@pytest.mark.parametrize("health", HEALTHS)
def test_a_health_is_a_sign_a_word_and_its_colour_in_every_list(health: str) -> None:
    store = ReportStore(NOW, {"Processed": [device_row("a", "lyon", NOW, health=health)]}, [LYON.script])
    wanted = HEALTHS[health]
    for title in ("Rooms", *(["Needs attention"] if health in ("down", "issues", "unknown") else [])):
        (row,) = shown(title, store)
        assert row["State"] == wanted.text
        assert painted(title, row) == ([("State", wanted.painted, wanted.icon)] if wanted.painted else [])
    assert store.rows(f"ReportedHealth() | where health == '{health}'")[0]["state"] == wanted.text


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_severity_is_a_sign_a_word_and_its_colour(severity: int) -> None:
    alerts = [row | {"severity": severity} for row in alert_rows(Outage("a", "lyon", NOW - HOUR, None))]
    store = ReportStore(NOW, {"Alerts": alerts}, [LYON.script])
    wanted = SEVERITIES[severity]
    for title in ("Open alerts", "Alert history"):
        (row,) = shown(title, store)
        assert row["Severity"] == wanted.text
        assert painted(title, row) == ([("Severity", wanted.painted, wanted.icon)] if wanted.painted else [])
    assert store.rows("ReportAlerts()")[0]["severityName"] == wanted.text


def test_counts_of_what_is_wrong_have_its_colour_above_0() -> None:
    row = {"Down": 1, "With issues": 2}
    assert painted("Cities", row) == [("Down", "red", "warning"), ("With issues", "yellow", "warning")]
    assert painted("Cities", {"Down": 0, "With issues": 0}) == []


@pytest.mark.kusto
def test_a_rule_has_the_keys_of_the_published_dashboards() -> None:
    """Those of microsoft/real-time-intelligence-operations-solution-accelerator and ecotte/fabric-rti-demos, which agree."""
    keys = {
        "id", "ruleType", "applyToColumn", "hideText", "applyTo", "conditions", "chainingOperator", "colorStyle", "color", "tag",
        "icon", "ruleName", "visualType",
    }  # fmt: skip
    found = [(tile, rule) for tile in TILES.values() for rule in tile["visualOptions"].get("colorRules", ())]
    assert len({rule["id"] for _, rule in found}) == len(found) > 20
    columns = check_kql({name: text.replace(f"['{CITY}']", "dynamic([])") for name, text in QUERIES.items()}).columns
    for tile, rule in found:
        assert rule.keys() == keys and rule["visualType"] == tile["visualType"]
        assert rule["color"] in {"red", "yellow", "green"} and rule["icon"] in {"warning", "completed"}
        assert {one["column"] for one in rule["conditions"]} <= columns[tile["queryRef"]["queryId"]].keys(), tile["title"]


# ---- order and words


def test_cards_come_before_tables() -> None:
    first = [tile for tile in DOCUMENT["tiles"] if tile["pageId"] == DOCUMENT["pages"][0]["id"]]
    cards, others = ([t["layout"] for t in first if (t["visualType"] == "card") is is_card] for is_card in (True, False))
    assert len(cards) == len(CARDS)
    assert max(at["y"] + at["height"] for at in cards) <= min(at["y"] for at in others)
    assert all(at["width"] >= 4 and at["height"] >= 3 for at in cards), "as small as those of published dashboards"


def test_issue_codes_are_words_and_a_code_without_one_stands_as_it_is() -> None:
    codes = ["missingdisplay", "touchpanelconnection", "brandNew", ""]
    rows = [device_row("a", "lyon", NOW, health="issues", errorCodes=codes), device_row("b", "lyon", NOW, health="down")]
    store = ReportStore(NOW, {"Processed": rows}, [LYON.script])
    assert {row["Device"]: row["Issues"] for row in shown("Needs attention", store)} == {
        "Name of a": "brandNew, display missing, touch panel lost", "Name of b": "",
    }  # fmt: skip


def test_a_city_is_called_by_its_name_and_one_that_nobody_declared_by_its_slug() -> None:
    rows = [
        device_row("a", "odd", NOW, health="down"),
        device_row("b", "pune", NOW, health="down"),
        device_row("g", "ghost", NOW, health="down"),
    ]
    minutes = [{"windowEnd": NOW - MINUTE, "cityId": city, "signal": "devicesDown", "mean": 1.0} for city in ("odd", "ghost")]
    store = ReportStore(NOW, {"Processed": rows, "CityMinute": minutes}, [ODD.script, PUNE.script])
    for title in ("Needs attention", "Rooms"):
        assert {row["City"] for row in shown(title, store)} == {ODD.name, "Pune", "ghost"}
    assert {row["City"] for row in shown("Last hour", store)} == {ODD.name, "ghost"}
    assert TILES["Last hour"]["visualOptions"]["seriesColumns"] == ["City"]


def test_the_longest_stay_first_after_their_words_are_looked_up() -> None:
    rows = [device_row(f"d{hours}", "lyon", NOW, health="down", statusSince=NOW - hours * HOUR) for hours in range(1, 12)]
    found = shown("Needs attention", ReportStore(NOW, {"Processed": rows}, [LYON.script]))
    assert [row["Device"] for row in found] == [f"Name of d{hours}" for hours in range(11, 0, -1)]


def test_a_tile_that_does_not_say_what_it_shows_is_refused(tmp_path: Path) -> None:
    text, shows = LAYOUT.read_text(encoding="utf-8"), ", shows: { City: cityId, Firmware: software, Devices: devices }"
    assert shows in text
    (tmp_path / "layout.yaml").write_text(text.replace(shows, ""), encoding="utf-8")
    with pytest.raises(DeclarationError, match=re.escape("a table needs shows: { Name: cityId, Name: software, Name: devices }")):
        dashboard(tmp_path / "layout.yaml")
