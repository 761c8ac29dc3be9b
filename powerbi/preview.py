"""Pictures of report pages without Power BI: one HTML page drawn from the files of a report (PBIR), its theme and its model.

What no file says isn't drawn: no border, no dashes, no colour. The figures are samples made from a seed, and every page says so:
a picture shows layout, words, order and colours, not data.
"""

from __future__ import annotations

import html
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from powerbi.health import HEALTH_COLOURS
from powerbi.items import FabricItem
from powerbi.layout import HEIGHT, WIDTH
from powerbi.semantic_model import read_model

NOTE = "Sample figures, not data: drawn from the report's files by RoomPulse"
ROWS = 9
_WORDS = {
    "city": ("Lyon", "Oslo", "Singapore", "Toronto"),
    "location": ("Part-Dieu", "Confluence", "Bellecour", "Gerland"),
    "state": ("▼ Down", "◆ Issues", "? Unknown", "☾ Asleep", "● Up"),
    "rule": ("Device offline", "Room unusable", "Call quality", "Device flapping"),
    "severityName": ("▼ Critical", "◆ Major", "● Minor"),
    "stateName": ("Open", "Over"),
    "product": ("Cisco Room Bar", "Cisco Board Pro 55", "Cisco Desk Pro"),
    "software": ("RoomOS 26.9.1", "RoomOS 26.8.2", "RoomOS 26.5.1"),
    "connectionStatus": ("connected", "connected_with_issues", "disconnected"),
    "issues": ("", "touchpaneldisconnected", ""),
}
_COLOURS = dict(zip(_WORDS["state"], HEALTH_COLOURS.values(), strict=True)) | {"▼ Critical": "#B0211C", "◆ Major": "#8F4A00"}
_STYLE = f"""
body {{ margin: 0; background: #F3F4F6; font: 12px "Segoe UI", "Liberation Sans", sans-serif; color: #1B1F24 }}
main {{ position: relative; width: {WIDTH}px; height: {HEIGHT}px; background: #FFF; overflow: hidden }}
section {{ position: absolute; box-sizing: border-box; padding: 6px 10px; overflow: hidden }}
h1 {{ margin: 4px 0 2px; font-size: 27px }}
h2 {{ margin: 0 0 4px; font-size: 13px }}
select {{ width: 100%; font: inherit; padding: 4px }}
.cards {{ display: flex; gap: 12px }} .cards > div {{ flex: 1; min-width: 0 }} .cards b {{ display: block; font-size: 25px }}
table {{ width: 100%; border-collapse: collapse }}
th {{ border-bottom: 2px solid #0B5CAD }} th, td {{ padding: 3px 6px; text-align: left }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums }}
footer {{ position: absolute; right: 24px; bottom: 1px; color: #5C5C5C; font-size: 10.5px }}
"""


@dataclass(frozen=True)
class _Field:
    """A field as a visual shows it: its name for people, where it comes from, and whether its values have colours."""

    label: str
    table: str
    name: str
    is_measure: bool
    coloured: bool


@dataclass(frozen=True)
class _Visual:
    type: str
    title: str
    alt: str
    place: Mapping[str, int]
    roles: Mapping[str, tuple[_Field, ...]]
    sorted_by: frozenset[str]
    text: tuple[str, ...]


def pages_html(report: FabricItem) -> dict[str, str]:
    """Every page of a report as HTML of the report's own size, by the page's title, in order."""
    order = _json(report, "definition/pages/pages.json")["pageOrder"]
    colours = _json(report, "StaticResources/RegisteredResources/theme.json")["dataColors"]
    return {_json(report, f"definition/pages/{name}/page.json")["displayName"]: _page(report, name, colours) for name in order}


def _page(report: FabricItem, name: str, colours: Sequence[str]) -> str:
    folder = f"definition/pages/{name}"
    title = f"{report.name} · {_json(report, f'{folder}/page.json')['displayName']}"
    visuals = [
        _json(report, path) for path in report.parts if path.startswith(f"{folder}/visuals/") and path.endswith("visual.json")
    ]
    visuals.sort(key=lambda visual: visual["position"]["tabOrder"])
    drawn = "\n".join(_section(_visual(visual), colours) for visual in visuals)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><main>\n{drawn}\n<footer>{NOTE}</footer></main></html>\n"
    )


def _json(report: FabricItem, path: str) -> Any:
    return json.loads(report.parts[path])


def _visual(document: Mapping[str, Any]) -> _Visual:
    body = document["visual"]
    container, query = body["visualContainerObjects"], body.get("query", {})
    rules = {rule["selector"]["metadata"] for rule in body.get("objects", {}).get("values", ())}
    roles = {
        role: tuple(_field(one, rules) for one in state["projections"]) for role, state in query.get("queryState", {}).items()
    }
    ordered = frozenset(_source(one["field"])[1] for one in query.get("sortDefinition", {}).get("sort", ()))
    lines = body.get("objects", {}).get("general", [{}])[0].get("properties", {}).get("paragraphs", ())
    text = tuple(run["value"] for line in lines for run in line["textRuns"])
    title, alt = (_literal(container[kind][0]["properties"][name]) for kind, name in (("title", "text"), ("general", "altText")))
    return _Visual(body["visualType"], title, alt, document["position"], roles, ordered, text)


def _field(projection: Mapping[str, Any], coloured: set[str]) -> _Field:
    table, name = _source(projection["field"])
    return _Field(projection["displayName"], table, name, "Measure" in projection["field"], projection["queryRef"] in coloured)


def _source(field: Mapping[str, Any]) -> tuple[str, str]:
    (body,) = field.values()
    return body["Expression"]["SourceRef"]["Entity"], body["Property"]


def _literal(expression: Mapping[str, Any]) -> str:
    return str(expression["expr"]["Literal"]["Value"])[1:-1].replace("''", "'")


def _section(visual: _Visual, colours: Sequence[str]) -> str:
    chance = random.Random(visual.title + visual.alt)
    at = visual.place
    place = f"left:{at['x']}px;top:{at['y']}px;width:{at['width']}px;height:{at['height']}px"
    label = html.escape(visual.alt, quote=True)
    head = "" if visual.type == "textbox" else f"<h2>{html.escape(visual.title)}</h2>"
    return f'<section style="{place}" role="img" aria-label="{label}">{head}{_inner(visual, colours, chance)}</section>'


def _inner(visual: _Visual, colours: Sequence[str], chance: random.Random) -> str:
    if visual.type == "textbox":
        first, *others = map(html.escape, visual.text)
        return f"<h1>{first}</h1>" + "".join(f"<p>{line}</p>" for line in others)
    if visual.type == "slicer":
        return "<select><option>All</option></select>"
    if visual.type == "cardVisual":
        return _cards(visual, chance)
    return _table(visual, chance) if visual.type == "tableEx" else _chart(visual, colours, chance)


def _cards(visual: _Visual, chance: random.Random) -> str:
    cards = (f"<div><b>{_value(field, chance)}</b>{html.escape(field.label)}</div>" for field in visual.roles["Data"])
    return f'<div class="cards">{"".join(cards)}</div>'


def _table(visual: _Visual, chance: random.Random) -> str:
    fields = visual.roles["Values"]
    classes = ['class="number"' if _is_number(field) else "" for field in fields]
    head = "".join(f"<th {kind}>{html.escape(field.label)}</th>" for field, kind in zip(fields, classes, strict=True))
    count = min(ROWS, (visual.place["height"] - 60) // 22)
    rows = [[_cell(field, chance, row, count, visual.sorted_by) for field in fields] for row in range(count)]
    body = "".join(
        "<tr>" + "".join(f"<td {kind}>{cell}</td>" for kind, cell in zip(classes, row, strict=True)) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(field: _Field, chance: random.Random, row: int, rows: int, sorted_by: frozenset[str]) -> str:
    words = _WORDS.get(field.name)
    if words and field.name in sorted_by:
        return _shown(field, words[row * len(words) // rows])
    return _value(field, chance, row)


def _shown(field: _Field, word: str) -> str:
    colour = _COLOURS.get(word) if field.coloured else None
    return f'<span style="color:{colour}">{html.escape(word)}</span>' if colour else html.escape(word)


def _chart(visual: _Visual, colours: Sequence[str], chance: random.Random) -> str:
    width, height = visual.place["width"] - 22, visual.place["height"] - 44
    (category,), measures = visual.roles["Category"], visual.roles["Y"]
    series = tuple(field.label for field in measures)
    if "Series" in visual.roles:
        series = _WORDS.get(visual.roles["Series"][0].name, ("A", "B", "C"))
    drawn = _bars if visual.type == "clusteredBarChart" else _columns if visual.type == "clusteredColumnChart" else _lines
    legend = " ".join(
        f'<tspan fill="{colours[i % len(colours)]}">■</tspan> {html.escape(name)} ' for i, name in enumerate(series)
    )
    shapes = drawn(category, len(series), width, height, colours, chance)
    return (
        f'<svg width="{width}" height="{height}" font-size="11" fill="#3A414A">'
        f'<text x="0" y="11" xml:space="preserve">{legend}</text>{shapes}</svg>'
    )


def _lines(category: _Field, count: int, width: int, height: int, colours: Sequence[str], chance: random.Random) -> str:
    drawn = [f'<line x1="0" x2="{width}" y1="{height - 16}" y2="{height - 16}" stroke="#9AA1AB"/>']
    for index in range(count):
        level = chance.uniform(0.3, 0.7)
        points = []
        for step in range(31):
            level = min(0.95, max(0.05, level + chance.uniform(-0.08, 0.08)))
            points.append(f"{step * width / 30:.0f},{22 + (height - 42) * (1 - level):.0f}")
        colour = colours[index % len(colours)]
        drawn.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "".join(drawn) + f'<text x="0" y="{height - 3}">{html.escape(category.label)} →</text>'


def _bars(category: _Field, count: int, width: int, height: int, colours: Sequence[str], chance: random.Random) -> str:
    words = _WORDS.get(category.name, ("A", "B", "C"))
    step = (height - 22) / len(words)
    return "".join(
        f'<text x="0" y="{22 + step * (i + 0.55):.0f}">{html.escape(word)}</text>'
        f'<rect x="110" y="{22 + step * i + step * 0.15:.0f}" width="{(width - 120) * chance.uniform(0.2, 0.95):.0f}" '
        f'height="{step * 0.6:.0f}" fill="{colours[0]}"/>'
        for i, word in enumerate(words)
    )


def _columns(category: _Field, count: int, width: int, height: int, colours: Sequence[str], chance: random.Random) -> str:
    words = tuple(dict.fromkeys(_WORDS.get(category.name, tuple(f"{day:02}" for day in range(1, 15)))))
    step = width / len(words)
    drawn = []
    for i, word in enumerate(words):
        tall = (height - 42) * chance.uniform(0.15, 0.95)
        drawn.append(
            f'<rect x="{step * (i + 0.2):.0f}" y="{height - 16 - tall:.0f}" width="{step * 0.6:.0f}" height="{tall:.0f}" '
            f'fill="{colours[0]}"/><text x="{step * (i + 0.5):.0f}" y="{height - 3}" text-anchor="middle">'
            f"{html.escape(word)}</text>"
        )
    return "".join(drawn)


def _is_number(field: _Field) -> bool:
    table = read_model().tables[field.table]
    return field.is_measure or table.columns[field.name].type in ("real", "long")


def _value(field: _Field, chance: random.Random, row: int = 0) -> str:
    table = read_model().tables[field.table]
    if field.name in _WORDS:
        words = _WORDS[field.name]
        return _shown(field, words[row % len(words)] if field.name == "city" else chance.choice(words))
    shown = table.measures[field.name].format if field.is_measure else table.columns[field.name].format or ""
    if "yyyy" in shown:
        return f"2026-11-{chance.randint(20, 25)} {chance.randint(7, 17):02}:{chance.randint(0, 59):02}"
    if "%" in shown:
        share = chance.uniform(0.86, 0.999)
        return f"{share:.{shown.count('0') - 1}%}".replace("%", " %")
    if field.name.lower().startswith(("temperature", "mean temp")):
        return f"{chance.uniform(20, 27):.1f}"
    if not _is_number(field):
        return html.escape(f"{'Room' if field.name == 'room' else 'Room Bar'} {row + 1:02}")
    return str(chance.randint(0, 60))
