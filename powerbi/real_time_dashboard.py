"""The real-time dashboard across cities: the tiles of powerbi/dashboard on pages. It names no city; a parameter asks the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

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
_DATA_SOURCE = stable_id(DASHBOARD, "data source")
_CITIES_QUERY = stable_id(DASHBOARD, "query", "parameter city")

JSONObject = dict[str, Any]


class DashboardError(Exception):
    """The dashboard can't be rendered. The text names the tile and what is wrong with it."""


def dashboard(layout: Path = LAYOUT) -> FabricItem:
    """The item. Raises DashboardError for a tile that isn't there."""
    pages = yaml.safe_load(layout.read_text(encoding="utf-8"))["pages"]
    tiles, queries = [], [_cities_query()]
    for page, entries in pages.items():
        for entry in entries:
            tile = _known(entry["tile"])
            query = _query(tile)
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


def _known(name: str) -> Tile:
    tiles = read_tiles()
    if name not in tiles:
        raise DashboardError(f"dashboard/layout.yaml: there is no tile {name}. Known: {', '.join(tiles)}.")
    return tiles[name]


def _query(tile: Tile) -> JSONObject:
    filtered = "cityId" in tile.columns
    text = f"{tile.kql}\n| where isempty(['{CITY}']) or cityId in (['{CITY}'])" if filtered else tile.kql
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
