"""The real-time dashboard across cities: the tiles of powerbi/dashboard on pages. It names no city; a parameter asks the data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from activator.declarations import DeclarationError, Fault, did_you_mean, placed, read_yaml, schema_faults
from powerbi.health import HEALTHS, SEVERITIES, Shown
from powerbi.ids import stable_id
from powerbi.items import WORKSPACE_ID, FabricItem, Reference
from powerbi.platform_file import as_json, platform_file
from powerbi.semantic_model import DATABASE, KUSTO_URI
from powerbi.tiles import CARDS_DIR, Tile, read_tiles

DASHBOARD = "RoomPulse live"
LAYOUT = Path(__file__).parent / "dashboard" / "layout.yaml"
SCHEMA_VERSION = "60"
"""Of the files read for the derived schema, one in the middle: older ones are upgraded when opened."""
CITY = "_city"
AXES = ("x", "y", "series")
_SCHEMA = json.loads((Path(__file__).parent / "dashboard-layout.schema.json").read_text(encoding="utf-8"))
_DATA_SOURCE = stable_id(DASHBOARD, "data source")
_CITIES_QUERY = stable_id(DASHBOARD, "query", "parameter city")

JSONObject = dict[str, Any]


def dashboard(layout: Path = LAYOUT) -> FabricItem:
    """The item. Raises DeclarationError with every fault of the layout, tiles and columns that aren't there included."""
    known, cards = read_tiles(), read_tiles(CARDS_DIR)
    pages = _pages(layout, known, cards)
    tiles, queries = [], [_cities_query()]
    for page, entries in pages.items():
        for entry in entries:
            tile = cards[entry["card"]] if "card" in entry else known[entry["tile"]]
            query = _query(tile, entry)
            queries.append(query)
            tiles.append(_tile(page, tile, entry, query["id"]))
    document = {
        "schema_version": SCHEMA_VERSION,
        "title": DASHBOARD,
        "autoRefresh": {"enabled": True, "defaultInterval": "30s", "minInterval": "10s"},
        "tiles": tiles,
        "baseQueries": [],
        "parameters": [_city_parameter()],
        "dataSources": [_data_source()],
        "pages": [{"name": page, "id": stable_id(DASHBOARD, "page", page)} for page in pages],
        "queries": queries,
    }
    return FabricItem(
        "KQLDashboard",
        DASHBOARD,
        {".platform": platform_file("KQLDashboard", DASHBOARD), "RealTimeDashboard.json": as_json(document)},
    )


def _pages(layout: Path, known: Mapping[str, Tile], cards: Mapping[str, Tile]) -> Mapping[str, Any]:
    document = read_yaml(layout, "the layout of the dashboard")
    faults = schema_faults(document, _SCHEMA) or list(_meaning_faults(document["pages"], known, cards))
    if faults:
        name = f"{layout.parent.name}/{layout.name}"
        raise DeclarationError(f"{name} is not a valid dashboard layout", placed(faults, layout))
    pages: Mapping[str, Any] = document["pages"]
    return pages


def _meaning_faults(pages: Mapping[str, Any], tiles: Mapping[str, Tile], cards: Mapping[str, Tile]) -> Iterator[Fault]:
    """What a schema can't say: tiles and cards that are there, each once, axes that are their columns."""
    seen: set[str] = set()
    for page, entries in pages.items():
        for index, entry in enumerate(entries):
            kind, known = ("card", cards) if "card" in entry else ("tile", tiles)
            path, name = f"pages/{page}/{index}", entry[kind]
            if name not in known:
                yield Fault(f"{path}/{kind}", f"there is no {kind} {name}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
                continue
            if name in seen:
                yield Fault(f"{path}/{kind}", f"{name} is on the dashboard already: take one of the two out.")
            seen.add(name)
            axes = [axis for axis in AXES if axis in entry]
            if not {"card", "shows", *AXES} & entry.keys():
                table = f"shows: {{ {', '.join(f'Name: {column}' for column in known[name].columns)} }}"
                yield Fault(path, f"says nothing of what {name} shows: a table needs {table}, a chart {', '.join(AXES)}.")
            if axes and len(axes) < len(AXES):
                missing = " and ".join(axis for axis in AXES if axis not in entry)
                yield Fault(path, f"has {' and '.join(axes)} without {missing}: a chart needs all of {', '.join(AXES)}.")
            for label, column in entry.get("shows", {}).items():
                if column not in known[name].columns:
                    hint = did_you_mean(column, known[name].columns)
                    yield Fault(f"{path}/shows/{label}", f"the tile {name} has no column {column}.{hint}")
            for axis in axes:
                for column in [entry[axis]] if axis == "x" else entry[axis]:
                    if column not in known[name].columns:
                        hint = did_you_mean(column, known[name].columns)
                        has = ", ".join(known[name].columns)
                        yield Fault(f"{path}/{axis}", f"the tile {name} has no column {column}.{hint} Known: {has}.")


def _case(column: str, shown: Mapping[Any, Shown], otherwise: str) -> str:
    """A column's values in words."""
    pairs = ", ".join(f"{column} == {value!r}, '{one.text}'" for value, one in shown.items() if one.text != otherwise)
    return f"case({pairs}, '{otherwise}')"


_WORDS = {
    "health": _case("health", HEALTHS, HEALTHS["unknown"].text),
    "severity": _case("severity", SEVERITIES, SEVERITIES[4].text),
    "ruleId": "strcat(initial, rest)",
    "state": "iff(state == 'fired', 'Open', 'Over')",
    "connectionStatus": "replace_string(connectionStatus, '_', ' ')",
    "errorCodes": "coalesce(issues, '')",
    "cityId": "coalesce(city, cityId)",
    "offlineRatio": "iff(isnull(offlineRatio), '', strcat(round(100 * offlineRatio), ' %'))",
}
"""What people read in place of a code or a share: the words and signs of the reports (functions.kql)."""
_LOOKED_UP = {
    "cityId": "lookup kind = leftouter (ReportCities() | project cityId, city) on cityId",
    "errorCodes": "lookup kind = leftouter ReportedDeviceIssues() on entityId",
    "ruleId": "extend initial = toupper(substring(ruleId, 0, 1)), rest = replace_string(substring(ruleId, 1), '-', ' ')",
}
"""What has to be looked up, or made first, for the words of a column."""
_PAINTED: Mapping[str, Mapping[Any, Shown]] = {"health": HEALTHS, "severity": SEVERITIES}
"""Columns whose words have a colour each."""
_COUNTS = {"devicesDown": HEALTHS["down"], "devicesIssues": HEALTHS["issues"]}
"""Columns that count what is wrong: above 0 they have its colour."""
_LEVELS = (("red", "warning"), ("yellow", "warning"))
"""Worst first: what a card's figure may be from some value on. Below all of them it is well."""


def _query(tile: Tile, entry: Mapping[str, Any]) -> JSONObject:
    shows = entry.get("shows", {})
    text = _of_chosen_cities(tile, is_card="card" in entry)
    used = [*shows.values(), *entry.get("series", ())]
    if lookups := [lookup for column, lookup in _LOOKED_UP.items() if column in used]:
        text = _with_lookups(text, lookups)
    if shows:
        text += "\n| project " + ", ".join(f"['{label}'] = {_WORDS.get(column, column)}" for label, column in shows.items())
    elif "series" in entry:
        kept = [entry["x"], *entry["y"]]
        named = ", ".join(f"{_SERIES.get(one, one)} = {_WORDS.get(one, one)}" for one in entry["series"])
        text += f"\n| project {', '.join(kept)}, {named}"
    return {
        "id": stable_id(DASHBOARD, "query", tile.name),
        "text": text,
        "usedVariables": [CITY] if f"['{CITY}']" in text else [],
        "dataSource": {"kind": "inline", "dataSourceId": _DATA_SOURCE},
    }


def _with_lookups(text: str, lookups: Sequence[str]) -> str:
    """A tile's query with lookups before its order, since they keep none. What it has after its order but a limit is a choice of
    columns, which `shows` makes anew.
    """
    head, order = text.rsplit("\n| order by ", 1)
    first, *rest = order.split("\n| ")
    limits = [operator for operator in rest if operator.startswith("take ")]
    return "\n| ".join([head, *lookups, f"order by {first}", *limits])


_SERIES = {"cityId": "City"}
"""What a series is called whose values are words."""


def _of_chosen_cities(tile: Tile, *, is_card: bool) -> str:
    """The tile's query over the chosen cities. Before all else: what comes after a limit or a sum is of other cities, too."""
    if not (is_card or "cityId" in tile.columns):
        return tile.kql
    chosen = f"| where isempty(['{CITY}']) or cityId in (['{CITY}'])"
    if tile.kql.startswith("union"):
        sources, rest = tile.kql.split("\n| ", 1)
        return f"{sources}\n{chosen}\n| {rest}"
    table, rest = tile.kql.split("\n", 1)
    return f"{table}\n{chosen}\n{rest}"


def _tile(page: str, tile: Tile, entry: Mapping[str, Any], query: str) -> JSONObject:
    x, y, width, height = entry["at"]
    return {
        "id": stable_id(DASHBOARD, "tile", tile.name),
        "title": tile.title,
        "description": tile.answers,
        "visualType": "card" if "card" in entry else entry["visual"],
        "pageId": stable_id(DASHBOARD, "page", page),
        "layout": {"x": x, "y": y, "width": width, "height": height},
        "queryRef": {"kind": "query", "queryId": query},
        "visualOptions": _options(tile, entry),
    }


def _options(tile: Tile, entry: Mapping[str, Any]) -> JSONObject:
    if "card" in entry:
        rules = list(_card_rules(tile, entry))
        return {"multiStat__textSize": "auto", "multiStat__valueColumn": "value", **_coloured(rules)}
    if "shows" in entry:
        return {"table__enableRenderLinks": False, **_coloured(list(_table_rules(tile, entry["shows"])))}
    series = [_SERIES.get(one, one) for one in entry["series"]]
    return {"xColumn": entry["x"], "yColumns": entry["y"], "seriesColumns": series, "hideLegend": False}


def _coloured(rules: list[JSONObject]) -> JSONObject:
    return {"colorRulesDisabled": not rules, "colorStyle": "light", "colorRules": rules}


def _card_rules(tile: Tile, entry: Mapping[str, Any]) -> Iterator[JSONObject]:
    """One rule for each span of values, so that it does not matter which comes first."""
    ends: list[tuple[str, str]] = []
    for colour, icon in _LEVELS:
        if colour in entry:
            yield _rule(tile, colour, icon, "card", None, [(">=", str(entry[colour])), *ends])
            ends = [("<", str(entry[colour]))]
    if ends:
        well = HEALTHS["up"]
        yield _rule(tile, str(well.painted), well.icon, "card", None, [(">=", "0"), *ends])


def _table_rules(tile: Tile, shows: Mapping[str, str]) -> Iterator[JSONObject]:
    for label, column in shows.items():
        for one in _PAINTED.get(column, {}).values():
            if one.painted:
                yield _rule(tile, one.painted, one.icon, "table", label, [("==", one.text)])
        if wrong := _COUNTS.get(column):
            yield _rule(tile, str(wrong.painted), wrong.icon, "table", label, [(">", "0")])


def _rule(
    tile: Tile, colour: str, icon: str | None, visual: str, column: str | None, conditions: Sequence[tuple[str, str]]
) -> JSONObject:
    """A colour by condition, in the form that Fabric's own dashboards have."""
    tested = column or "value"
    said = [{"operator": operator, "column": tested, "values": [value]} for operator, value in conditions]
    return {
        "id": stable_id(DASHBOARD, "rule", tile.name, f"{column} {conditions}"),
        "ruleType": "colorByCondition",
        "applyToColumn": column,
        "hideText": False,
        "applyTo": "cells",
        "conditions": said,
        "chainingOperator": "and",
        "colorStyle": "bold",
        "color": colour,
        "tag": "",
        "icon": icon,
        "ruleName": "",
        "visualType": visual,
    }


def _city_parameter() -> JSONObject:
    return {
        "kind": "string",
        "id": stable_id(DASHBOARD, "parameter", "city"),
        "displayName": "City",
        "description": "Cities to show",
        "variableName": CITY,
        "selectionType": "array",
        "includeAllOption": True,
        "defaultValue": {"kind": "all"},
        "showOnPages": {"kind": "all"},
        "dataSource": {
            "kind": "query",
            "columns": {"value": "cityId", "label": "city"},
            "queryRef": {"kind": "query", "queryId": _CITIES_QUERY},
        },
    }


def _cities_query() -> JSONObject:
    return {
        "id": _CITIES_QUERY,
        "text": "ReportCities() | project cityId, city | order by city asc",
        "usedVariables": [],
        "dataSource": {"kind": "inline", "dataSourceId": _DATA_SOURCE},
    }


def _data_source() -> JSONObject:
    return {
        "id": _DATA_SOURCE,
        "kind": "kusto-trident",
        "scopeId": "kusto-trident",
        "name": DATABASE,
        "clusterUri": KUSTO_URI,
        "database": Reference("KQLDatabase", DATABASE, "id").placeholder,
        "workspace": WORKSPACE_ID.placeholder,
    }
