"""The real-time dashboard across cities: the tiles of powerbi/dashboard on pages. It names no city; a parameter asks the data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from activator.declarations import DeclarationError, Fault, did_you_mean, placed, read_yaml, schema_faults
from powerbi.ids import stable_id
from powerbi.items import WORKSPACE_ID, FabricItem, Reference
from powerbi.platform_file import as_json, platform_file
from powerbi.semantic_model import DATABASE, KUSTO_URI
from powerbi.tiles import Tile, read_tiles

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
    known = read_tiles()
    pages = _pages(layout, known)
    tiles, queries = [], [_cities_query()]
    for page, entries in pages.items():
        for entry in entries:
            tile = known[entry["tile"]]
            query = _query(tile, entry.get("shows", {}))
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


def _pages(layout: Path, known: Mapping[str, Tile]) -> Mapping[str, Any]:
    document = read_yaml(layout, "the layout of the dashboard")
    faults = schema_faults(document, _SCHEMA) or list(_meaning_faults(document["pages"], known))
    if faults:
        name = f"{layout.parent.name}/{layout.name}"
        raise DeclarationError(f"{name} is not a valid dashboard layout", placed(faults, layout))
    pages: Mapping[str, Any] = document["pages"]
    return pages


def _meaning_faults(pages: Mapping[str, Any], known: Mapping[str, Tile]) -> Iterator[Fault]:
    """What a schema can't say: tiles that are there, each once, axes that are their columns."""
    seen: set[str] = set()
    for page, entries in pages.items():
        for index, entry in enumerate(entries):
            path, name = f"pages/{page}/{index}", entry["tile"]
            if name not in known:
                yield Fault(f"{path}/tile", f"there is no tile {name}.{did_you_mean(name, known)} Known: {', '.join(known)}.")
                continue
            if name in seen:
                yield Fault(f"{path}/tile", f"{name} is on the dashboard already: take one of the two out.")
            seen.add(name)
            axes = [axis for axis in AXES if axis in entry]
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


_WORDS = {
    "health": (
        "case(health == 'down', '▼ Down', health == 'issues', '◆ Issues', health == 'asleep', '☾ Asleep', health == 'up', '● Up',"
        " '? Unknown')"
    ),
    "severity": "case(severity == 1, '▼ Critical', severity == 2, '◆ Major', severity == 3, '● Minor', '○ Info')",
    "ruleId": "strcat(toupper(substring(ruleId, 0, 1)), replace_string(substring(ruleId, 1), '-', ' '))",
    "state": "iff(state == 'fired', 'Open', 'Over')",
    "connectionStatus": "replace_string(connectionStatus, '_', ' ')",
    "errorCodes": "strcat_array(errorCodes, ', ')",
    "offlineRatio": "iff(isnull(offlineRatio), '', strcat(round(100 * offlineRatio), ' %'))",
}
"""What people read in place of a code or a share: the words and signs of the reports (functions.kql)."""


def _query(tile: Tile, shows: Mapping[str, str]) -> JSONObject:
    filtered = "cityId" in tile.columns
    table, rest = tile.kql.split("\n", 1)
    # Before all else: what comes after a limit chooses among rows of other cities.
    text = f"{table}\n| where isempty(['{CITY}']) or cityId in (['{CITY}'])\n{rest}" if filtered else tile.kql
    if shows:
        text += "\n| project " + ", ".join(f"['{label}'] = {_WORDS.get(column, column)}" for label, column in shows.items())
    return {
        "id": stable_id(DASHBOARD, "query", tile.name),
        "text": text,
        "usedVariables": [CITY] if filtered else [],
        "dataSource": {"kind": "inline", "dataSourceId": _DATA_SOURCE},
    }


def _tile(page: str, tile: Tile, entry: Mapping[str, Any], query: str) -> JSONObject:
    x, y, width, height = entry["at"]
    options: JSONObject = {}
    if "x" in entry:
        options = {"xColumn": entry["x"], "yColumns": entry["y"], "seriesColumns": entry["series"], "hideLegend": False}
    return {
        "id": stable_id(DASHBOARD, "tile", tile.name),
        "title": tile.title,
        "description": tile.answers,
        "visualType": entry["visual"],
        "pageId": stable_id(DASHBOARD, "page", page),
        "layout": {"x": x, "y": y, "width": width, "height": height},
        "queryRef": {"kind": "query", "queryId": query},
        "visualOptions": options,
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
