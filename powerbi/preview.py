"""Pictures of report pages without Power BI: HTML drawn from the files of a report (PBIR), its theme, its model, and rows.

What no file says isn't drawn: no border, no dashes, no colour. Figures are what `Answers` gives for a visual's query; without
rows a visual is empty, as in Power BI.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from powerbi import mobile
from powerbi.charts import drawn_chart
from powerbi.items import FabricItem
from powerbi.layout import HEIGHT, WIDTH, Field
from powerbi.semantic_model import read_model
from powerbi.shown import is_number, shown

_LETTER = 8
"""About how wide a letter of a title is, in pixels."""
Row = Mapping[Field, Any]
"""A row of a visual: a value, or None, by field."""

_STYLE = """
body { margin: 0; background: #E4E7EB; font: 12px "Segoe UI", "Liberation Sans", sans-serif; color: #1B1F24 }
main { position: relative; background: #FFF; overflow: hidden }
section { position: absolute; box-sizing: border-box; padding: 6px 10px; overflow: hidden }
h1 { margin: 4px 0 2px; font-size: 27px; line-height: 1.15 }
h1 + p { margin: 0; color: #3A414A }
h2 { margin: 0 0 4px; font-size: 13px }
select { width: 100%; font: inherit; padding: 4px }
.cards { display: grid; gap: 4px 12px } .cards b { display: block; font-size: 25px; line-height: 1.25 }
table { width: 100%; border-collapse: collapse; white-space: nowrap }
th { border-bottom: 2px solid #0B5CAD } th, td { padding: 3px 6px; text-align: left }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
"""


@dataclass(frozen=True)
class Query:
    """What a visual asks: its fields, of which rows, in which order."""

    fields: tuple[Field, ...]
    filters: Mapping[Field, tuple[str, ...]]
    sort: tuple[tuple[Field, bool], ...] = ()
    where: Field | None = None


Answers = Callable[[Query], Sequence[Row]]
"""Rows for a query; those of which every measure is blank aren't among them."""


@dataclass(frozen=True)
class _Visual:
    """A visual as its files have it; `colours` are measures by the column whose values they colour; `whole`:
    its axis ends at all of something, whatever is there.
    """

    type: str
    title: str
    alt: str
    place: Mapping[str, int]
    phone: Mapping[str, int]
    cards_in_a_row: int
    labels: Mapping[Field, str]
    roles: Mapping[str, tuple[Field, ...]]
    colours: Mapping[Field, Field]
    query: Query
    whole: bool
    text: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A page as it is drawn on a desktop and on a phone, each with its size in pixels."""

    desktop: str
    phone: str
    phone_height: int


def nothing(_: Query) -> Sequence[Row]:
    """The answers of a store that has no row."""
    return ()


def pictures(report: FabricItem, answers: Answers, chosen: Mapping[Field, str] | None = None) -> dict[str, Picture]:
    """Every page of a report by its title, in order; `chosen` is what one has drilled through, by field."""
    order = _json(report, "definition/pages/pages.json")["pageOrder"]
    return dict(_picture(report, name, answers, chosen or {}) for name in order)


def page_html(body: str, title: str) -> str:
    """A document that can be opened by itself."""
    style = f"<style>{_STYLE}</style>"
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>{style}{body}</html>\n'


def _picture(report: FabricItem, name: str, answers: Answers, chosen: Mapping[Field, str]) -> tuple[str, Picture]:
    folder = f"definition/pages/{name}"
    page = _json(report, f"{folder}/page.json")
    filters = _filters(_json(report, "definition/report.json"), {}) | _filters(page, chosen)
    visuals = [_visual(report, path.rpartition("/")[0], filters) for path in report.parts if _is_visual(path, folder)]
    visuals.sort(key=lambda visual: visual.place["tabOrder"])
    colours = _json(report, "StaticResources/RegisteredResources/theme.json")["dataColors"]
    rows = [_rows(visual, answers) for visual in visuals]
    long = max(visual.phone["y"] + visual.phone["height"] for visual in visuals)
    on_phone = [replace(visual, place=visual.phone) for visual in visuals]
    return page["displayName"], Picture(
        _main(visuals, rows, colours, (WIDTH, HEIGHT)), _main(on_phone, rows, colours, (mobile.WIDTH, long)), long
    )


def _is_visual(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/visuals/") and path.endswith("/visual.json")


def _main(visuals: Sequence[_Visual], rows: Sequence[Sequence[Row]], colours: Sequence[str], size: tuple[int, int]) -> str:
    kind = "phone" if size[0] == mobile.WIDTH else "desktop"
    drawn = "\n".join(_section(visual, found, colours, kind) for visual, found in zip(visuals, rows, strict=True))
    return f'<main class="{kind}" style="width:{size[0]}px;height:{size[1]}px">\n{drawn}\n</main>'


def _rows(visual: _Visual, answers: Answers) -> Sequence[Row]:
    return answers(visual.query) if visual.query.fields else ()


def _filters(document: Mapping[str, Any], chosen: Mapping[Field, str]) -> dict[Field, tuple[str, ...]]:
    """What a report or a page is filtered to: by itself, or by what one has drilled through."""
    found = {}
    for one in document.get("filterConfig", {}).get("filters", ()):
        field = _field(one["field"])
        if "filter" in one:
            (values,) = one["filter"]["Where"][0]["Condition"]["In"]["Values"]
            found[field] = tuple(_text(value["Literal"]["Value"]) for value in values)
        elif field in chosen:
            found[field] = (chosen[field],)
    return found


def _visual(report: FabricItem, folder: str, filters: Mapping[Field, tuple[str, ...]]) -> _Visual:
    document, phone = _json(report, f"{folder}/visual.json"), _json(report, f"{folder}/mobile.json")
    body = document["visual"]
    container, query, objects = body["visualContainerObjects"], body.get("query", {}), body.get("objects", {})
    projections = {role: state["projections"] for role, state in query.get("queryState", {}).items()}
    roles = {role: tuple(_field(one["field"]) for one in listed) for role, listed in projections.items()}
    labels = {_field(one["field"]): one["displayName"] for listed in projections.values() for one in listed}
    colours = _colours(objects, labels)
    sort = tuple(
        (_field(one["field"]), one["direction"] == "Descending") for one in query.get("sortDefinition", {}).get("sort", ())
    )
    above = [_field(one["field"]) for one in document.get("filterConfig", {}).get("filters", ())]
    lines = objects.get("general", [{}])[0].get("properties", {}).get("paragraphs", ())
    grid = phone.get("objects", {}).get("layout", [{}])[0].get("properties", {})
    return _Visual(
        body["visualType"],
        _literal(container["title"][0]["properties"]["text"]),
        _literal(container["general"][0]["properties"]["altText"]),
        document["position"],
        phone["position"],
        int(grid["columnCount"]["expr"]["Literal"]["Value"].rstrip("L")) if grid else 0,
        labels,
        roles,
        colours,
        Query((*labels, *colours.values()), filters, sort, above[0] if above else None),
        "valueAxis" in objects,
        tuple(run["value"] for line in lines for run in line["textRuns"]),
    )


def _colours(objects: Mapping[str, Any], labels: Mapping[Field, str]) -> dict[Field, Field]:
    """The rules by which a column's values, or the columns of a chart, are coloured."""
    by_name = {f"{field.table}.{field.name}": field for field in labels}
    cells = {
        by_name[rule["selector"]["metadata"]]: _field(rule["properties"]["fontColor"]["solid"]["color"]["expr"])
        for rule in objects.get("values", ())
    }
    bars = {
        next(iter(labels)): _field(rule["properties"]["fill"]["solid"]["color"]["expr"]) for rule in objects.get("dataPoint", ())
    }
    return cells | bars


def _json(report: FabricItem, path: str) -> Any:
    return json.loads(report.parts[path])


def _field(expression: Mapping[str, Any]) -> Field:
    ((kind, body),) = expression.items()
    return Field(body["Expression"]["SourceRef"]["Entity"], body["Property"], kind == "Measure")


def _literal(expression: Mapping[str, Any]) -> str:
    return _text(expression["expr"]["Literal"]["Value"])


def _text(literal: str) -> str:
    return literal[1:-1].replace("''", "'")


def _section(visual: _Visual, rows: Sequence[Row], colours: Sequence[str], kind: str) -> str:
    at = visual.place
    place = f"left:{at['x']}px;top:{at['y']}px;width:{at['width']}px;height:{at['height']}px"
    label = html.escape(visual.alt, quote=True)
    head = "" if visual.type == "textbox" else f"<h2>{html.escape(visual.title)}</h2>"
    inner = _inner(visual, rows, colours, kind)
    return f'<section style="{place}" role="img" aria-label="{label}">{head}{inner}</section>'


def _inner(visual: _Visual, rows: Sequence[Row], colours: Sequence[str], kind: str) -> str:
    if visual.type == "textbox":
        first, *others = map(html.escape, visual.text)
        return f"<h1>{first}</h1>" + "".join(f"<p>{line}</p>" for line in others)
    if visual.type == "slicer":
        return "<select><option>All</option></select>"
    if visual.type == "cardVisual":
        return _cards(visual, rows, visual.cards_in_a_row if kind == "phone" else len(visual.labels))
    if visual.type == "tableEx":
        return _table(visual, rows)
    return drawn_chart(
        visual.type, visual.roles, visual.labels, visual.colours, rows, colours, _room_for_a_chart(visual), visual.whole
    )


def _room_for_a_chart(visual: _Visual) -> tuple[int, int]:
    width = visual.place["width"] - 22
    lines = -(-len(visual.title) * _LETTER // width)
    return width, visual.place["height"] - 20 - 17 * lines


def _cards(visual: _Visual, rows: Sequence[Row], in_a_row: int) -> str:
    values = rows[0] if rows else {}
    cards = (
        f"<div><b>{_value(field, values.get(field))}</b>{html.escape(label)}</div>" for field, label in visual.labels.items()
    )
    return f'<div class="cards" style="grid-template-columns:repeat({in_a_row},1fr)">{"".join(cards)}</div>'


def _table(visual: _Visual, rows: Sequence[Row]) -> str:
    classes = {field: ' class="number"' if is_number(read_model(), field) else "" for field in visual.labels}
    head = "".join(f"<th{classes[field]}>{html.escape(label)}</th>" for field, label in visual.labels.items())
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{_cell(visual, field, row)}</td>" for field, kind in classes.items()) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(visual: _Visual, field: Field, row: Row) -> str:
    text = "" if row.get(field) is None else _value(field, row[field])
    colour = row.get(visual.colours[field]) if field in visual.colours else None
    return f'<span style="color:{html.escape(str(colour), quote=True)}">{text}</span>' if colour else text


def _value(field: Field, value: Any) -> str:
    return html.escape(shown(read_model(), field, value))
