"""Power BI reports (PBIR): one per city from one template, and one across cities. All show the one semantic model.

A deployed report names the model by its id; the folder on disk by its path, so that Power BI Desktop opens it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from powerbi.ids import stable_name
from powerbi.items import FabricItem, Reference
from powerbi.layout import FOLDER, HEIGHT, WIDTH, Field, Page, Visual, city_layout, consolidated_layout
from powerbi.mobile import Place, phone_places
from powerbi.platform_file import SCHEMAS, as_json, platform_file
from powerbi.semantic_model import MODEL, Column, read_model

CONSOLIDATED = "RoomPulse all cities"
MODEL_ID = Reference("SemanticModel", MODEL, "id").placeholder
REFRESH = "PT1M"
"""How often a page asks again; the capacity's administrator may allow only longer spans, which then hold."""
THEME = FOLDER / "theme.json"
_REPORT = f"{SCHEMAS}item/report/"
_THEME_PATH = f"StaticResources/RegisteredResources/{THEME.name}"
_DESKTOP_VERSIONS = {"visual": "2.9.0", "report": "3.3.0", "page": "2.1.0"}
_BASE_THEME = "CY24SU10"
"""One of those that come with Power BI: what our theme leaves open looks as this one has it, whatever the newest does."""

_GRID = "2D"
"""How cards are arranged: in rows of several."""
_ABOVE = 1
"""A comparison: greater than."""

JSONObject = dict[str, Any]


def city_report(slug: str, name: str, time_zone: str) -> FabricItem:
    """A city's report: the template, filtered to the city for good; its pages say whose clock they go by."""
    return _report(name, city_layout(), city=slug, clock=f"Times of {time_zone}")


def consolidated_report() -> FabricItem:
    """The report across cities."""
    return _report(CONSOLIDATED, consolidated_layout(), city=None, clock="Days of each city's own clock")


def local_definition(model_folder: str) -> str:
    """`definition.pbir` for the folder on disk: the model beside it, by path."""
    return _definition({"byPath": {"path": f"../{model_folder}"}})


def _report(name: str, pages: Sequence[Page], city: str | None, clock: str) -> FabricItem:
    theme = THEME.read_text(encoding="utf-8")
    parts = {
        ".platform": platform_file("Report", name),
        "definition.pbir": _definition({"byConnection": {"connectionString": f"semanticmodelid={MODEL_ID}"}}),
        "definition/version.json": as_json(
            {"$schema": f"{_REPORT}definition/versionMetadata/1.0.0/schema.json", "version": "2.0.0"}
        ),
        "definition/report.json": as_json(_report_file(name, city)),
        "definition/pages/pages.json": as_json(_pages_file(name, pages)),
        _THEME_PATH: theme,
    }
    for page in pages:
        folder = f"definition/pages/{stable_name(name, page.name)}"
        parts[f"{folder}/page.json"] = as_json(_page_file(name, page))
        visuals = [_heading(page), *page.visuals]
        for number, (visual, place) in enumerate(zip(visuals, phone_places(visuals), strict=True)):
            identity = stable_name(name, page.name, visual.name)
            file = f"{folder}/visuals/{identity}"
            parts[f"{file}/visual.json"] = as_json(_visual_file(_paragraphs(name, page, clock), visual, identity, number))
            parts[f"{file}/mobile.json"] = as_json(_mobile_file(place, number))
    return FabricItem("Report", name, parts)


def _definition(reference: JSONObject) -> str:
    return as_json(
        {
            "$schema": f"{_REPORT}definitionProperties/2.0.0/schema.json",
            "version": "4.0",
            "datasetReference": reference,
        }
    )


def _report_file(name: str, city: str | None) -> JSONObject:
    document: JSONObject = {
        "$schema": f"{_REPORT}definition/report/{_DESKTOP_VERSIONS['report']}/schema.json",
        "themeCollection": {
            "baseTheme": {
                "name": _BASE_THEME,
                "reportVersionAtImport": _DESKTOP_VERSIONS,
                "type": "SharedResources",
            },
            "customTheme": {
                "name": THEME.name,
                "reportVersionAtImport": _DESKTOP_VERSIONS,
                "type": "RegisteredResources",
            },
        },
        "resourcePackages": [
            {
                "name": "RegisteredResources",
                "type": "RegisteredResources",
                "items": [{"name": THEME.name, "path": THEME.name, "type": "CustomTheme"}],
            }
        ],
        "settings": {
            "useStylableVisualContainerHeader": True,
            "exportDataMode": "AllowSummarized",
            "useEnhancedTooltips": True,
        },
    }
    if city is not None:
        document["filterConfig"] = {"filters": [_city_filter(name, city)]}
    return document


def _city_filter(report: str, city: str) -> JSONObject:
    column = Field("Cities", "cityId", False)
    return {
        "name": stable_name(report, "filter", "city"),
        "field": _expression(column),
        "type": "Categorical",
        "isHiddenInViewMode": True,
        "isLockedInViewMode": True,
        "filter": {
            "Version": 2,
            "From": [{"Name": "c", "Entity": "Cities", "Type": 0}],
            "Where": [
                {
                    "Condition": {
                        "In": {"Expressions": [_expression(column, "c")], "Values": [[{"Literal": {"Value": f"'{city}'"}}]]}
                    }
                }
            ],
        },
    }


def _pages_file(report: str, pages: Sequence[Page]) -> JSONObject:
    names = [stable_name(report, page.name) for page in pages]
    return {
        "$schema": f"{_REPORT}definition/pagesMetadata/1.1.0/schema.json",
        "pageOrder": names,
        "activePageName": names[0],
    }


def _page_file(report: str, page: Page) -> JSONObject:
    document: JSONObject = {
        "$schema": f"{_REPORT}definition/page/{_DESKTOP_VERSIONS['page']}/schema.json",
        "name": stable_name(report, page.name),
        "displayName": page.title,
        "displayOption": "FitToPage",
        "height": HEIGHT,
        "width": WIDTH,
        "objects": {"pageRefresh": [{"properties": {"show": _literal("true"), "duration": _literal(f"'{REFRESH}'")}}]},
    }
    if page.drill_through:
        names = {kind: stable_name(report, page.name, kind) for kind in ("filter", "binding", "parameter")}
        field = _expression(page.drill_through)
        document |= {
            "type": "Drillthrough",
            "visibility": "HiddenInViewMode",
            "filterConfig": {
                "filters": [{"name": names["filter"], "field": field, "type": "Categorical", "howCreated": "Drillthrough"}]
            },
            "pageBinding": {
                "name": names["binding"],
                "type": "Drillthrough",
                "parameters": [{"name": names["parameter"], "boundFilter": names["filter"], "fieldExpr": field}],
            },
        }
    return document


def _heading(page: Page) -> Visual:
    return Visual("heading", "textbox", page.title, 24, 12, 900, 76, f"Heading of the page {page.title}.", {})


def _visual_file(heading: list[JSONObject], visual: Visual, identity: str, number: int) -> JSONObject:
    body: JSONObject = {"visualType": visual.type}
    title_shown = visual.type != "textbox"
    if title_shown:
        body["query"] = {
            "queryState": {
                role: {"projections": [_projection(field) for field in fields]} for role, fields in visual.roles.items()
            }
        }
        if visual.sort:
            body["query"]["sortDefinition"] = {"sort": [_sort(*one) for one in visual.sort], "isDefaultSort": False}
        if objects := _objects(visual):
            body["objects"] = objects
    else:
        body["objects"] = {"general": [{"properties": {"paragraphs": heading}}]}
    body["visualContainerObjects"] = {
        "title": [{"properties": {"show": _literal(str(title_shown).lower()), "text": _literal(_quoted(visual.title))}}],
        "general": [{"properties": {"altText": _literal(_quoted(visual.alt))}}],
    }
    body["drillFilterOtherVisuals"] = True
    document: JSONObject = {
        "$schema": f"{_REPORT}definition/visualContainer/{_DESKTOP_VERSIONS['visual']}/schema.json",
        "name": identity,
        "position": {
            "x": visual.x,
            "y": visual.y,
            "z": number * 1000,
            "width": visual.width,
            "height": visual.height,
            "tabOrder": number * 1000,
        },
        "visual": body,
    }
    if visual.where:
        document["filterConfig"] = {"filters": [_where(visual.where, identity)]}
    return document


def _mobile_file(place: Place, number: int) -> JSONObject:
    document: JSONObject = {
        "$schema": f"{_REPORT}definition/visualContainerMobileState/2.4.0/schema.json",
        "position": {
            "x": place.x,
            "y": place.y,
            "z": number * 1000,
            "width": place.width,
            "height": place.height,
            "tabOrder": number * 1000,
        },
    }
    if place.columns:
        grid = {"orientation": _literal(_GRID), "columnCount": _literal(f"{place.columns}L")}
        document["objects"] = {"layout": [{"properties": grid}]}
    return document


def _where(measure: Field, visual: str) -> JSONObject:
    """Leaves out the rows of which a measure is not above 0."""
    above = {"ComparisonKind": _ABOVE, "Left": _expression(measure, "m"), "Right": _literal("0L")["expr"]}
    return {
        "name": stable_name(visual, "where"),
        "field": _expression(measure),
        "type": "Advanced",
        "isHiddenInViewMode": True,
        "isLockedInViewMode": True,
        "filter": {
            "Version": 2,
            "From": [{"Name": "m", "Entity": measure.table, "Type": 0}],
            "Where": [{"Condition": {"Comparison": above}}],
        },
    }


def _sort(field: Field, descending: bool) -> JSONObject:
    return {"field": _expression(field), "direction": "Descending" if descending else "Ascending"}


def _objects(visual: Visual) -> JSONObject:
    """How the visual looks beyond its theme: a list of choices unfolds, states have their colours."""
    if visual.type == "slicer":
        return {"data": [{"properties": {"mode": _literal("'Dropdown'")}}]}
    rules = [_coloured(field, measure) for field, measure in _colours(visual.roles.get("Values", ()))]
    painted = [_painted(measure) for _, measure in _colours(visual.roles.get("Category", ()))]
    labels = [{"properties": {"show": _literal("true")}}] if visual.type == "clusteredBarChart" else []
    objects = {"values": rules, "dataPoint": painted, "labels": labels, "valueAxis": _axis(visual)}
    return {name: properties for name, properties in objects.items() if properties}


def _axis(visual: Visual) -> list[JSONObject]:
    """Bars of a share are as long as the share: their axis ends at 100 %, whatever the largest is."""
    measures = visual.roles.get("Y", ())
    shares = [field for field in measures if "%" in read_model().tables[field.table].measures[field.name].format]
    if visual.type not in ("clusteredBarChart", "clusteredColumnChart") or not shares:
        return []
    return [{"properties": {"start": _literal("0D"), "end": _literal("1D")}}]


def _colours(fields: Sequence[Field]) -> Iterator[tuple[Field, Field]]:
    """The columns whose values have colours, each with the measure that says them."""
    for field in fields:
        colour = None if field.is_measure else _column(field).colour
        if colour:
            yield field, Field(field.table, colour, True)


def _painted(measure: Field) -> JSONObject:
    """Each bar of a chart in the colour of its category."""
    return {
        "properties": {"fill": {"solid": {"color": {"expr": _expression(measure)}}}},
        "selector": {"data": [{"dataViewWildcard": {"matchingOption": 1}}]},
    }


def _coloured(field: Field, measure: Field) -> JSONObject:
    return {
        "properties": {"fontColor": {"solid": {"color": {"expr": _expression(measure)}}}},
        "selector": {"data": [{"dataViewWildcard": {"matchingOption": 1}}], "metadata": f"{field.table}.{field.name}"},
    }


def _paragraphs(report: str, page: Page, clock: str) -> list[JSONObject]:
    style = {"fontFamily": "Segoe UI Semibold", "fontSize": "20pt", "color": "#1B1F24"}
    small = {"fontFamily": "Segoe UI", "fontSize": "10pt", "color": "#3A414A"}
    return [
        {"textRuns": [{"value": f"{report} · {page.title}", "textStyle": style}]},
        {"textRuns": [{"value": clock, "textStyle": small}]},
    ]


def _projection(field: Field) -> JSONObject:
    label = read_model().tables[field.table].measures[field.name].label if field.is_measure else _column(field).label
    return {
        "field": _expression(field),
        "queryRef": f"{field.table}.{field.name}",
        "nativeQueryRef": field.name,
        "displayName": label,
    }


def _column(field: Field) -> Column:
    return read_model().tables[field.table].columns[field.name]


def _expression(field: Field, alias: str | None = None) -> JSONObject:
    """A field, of its table or of what a filter calls its table."""
    kind = "Measure" if field.is_measure else "Column"
    source = {"Source": alias} if alias else {"Entity": field.table}
    return {kind: {"Expression": {"SourceRef": source}, "Property": field.name}}


def _literal(value: str) -> JSONObject:
    return {"expr": {"Literal": {"Value": value}}}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
