"""Pictures of report pages without Power BI: one HTML page drawn from the same layout, theme and model as the report.

The figures are samples made from a seed, and every page says so: a picture shows layout, words and colours, not data.
"""

from __future__ import annotations

import html
import json
import random
from collections.abc import Sequence

from powerbi.layout import HEIGHT, WIDTH, Field, Page, Visual
from powerbi.report import THEME
from powerbi.semantic_model import Model, read_model

NOTE = "Sample figures, not data: drawn from the report's layout by RoomPulse"
ROWS = 9
_WORDS = {
    "city": ("Lyon", "Oslo", "Singapore", "Toronto"),
    "location": ("Part-Dieu", "Confluence", "Bellecour", "Gerland"),
    "health": ("up", "up", "issues", "down", "asleep"),
    "ruleId": ("device-offline", "room-unusable", "call-quality", "device-flapping"),
    "state": ("fired", "resolved"),
    "product": ("Cisco Room Bar", "Cisco Board Pro 55", "Cisco Desk Pro"),
    "software": ("RoomOS 26.9.1", "RoomOS 26.8.2", "RoomOS 26.5.1"),
    "connectionStatus": ("connected", "connected_with_issues", "disconnected"),
    "issues": ("", "touchpaneldisconnected", ""),
}
_STYLE = f"""
body {{ margin: 0; background: #F3F4F6; font: 12px "Segoe UI", "Liberation Sans", sans-serif; color: #1B1F24 }}
main {{ position: relative; width: {WIDTH}px; height: {HEIGHT}px; background: #FFF; overflow: hidden }}
section {{ position: absolute; box-sizing: border-box; border: 1px solid #D6DAE0; padding: 6px 10px; overflow: hidden }}
h1 {{ position: absolute; left: 24px; top: 12px; margin: 14px 0; font-size: 27px }}
h2 {{ margin: 0 0 4px; font-size: 13px }}
.cards {{ display: flex; gap: 12px }} .cards > div {{ flex: 1; min-width: 0 }} .cards b {{ display: block; font-size: 25px }}
table {{ width: 100%; border-collapse: collapse }}
th {{ border-bottom: 2px solid #0B5CAD }} th, td {{ padding: 3px 6px; text-align: left }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums }}
footer {{ position: absolute; right: 24px; bottom: 1px; color: #5C5C5C; font-size: 10.5px }}
"""


def page_html(report: str, page: Page) -> str:
    """One page as HTML of the report's own size."""
    drawn = "\n".join(_visual(visual) for visual in page.visuals)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(report)} · {html.escape(page.title)}</title>'
        f"<style>{_STYLE}</style><main><h1>{html.escape(report)} · {html.escape(page.title)}</h1>\n{drawn}\n"
        f"<footer>{NOTE}</footer></main></html>\n"
    )


def _visual(visual: Visual) -> str:
    chance = random.Random(visual.name + visual.title)
    inner = {"cardVisual": _cards, "tableEx": _table, "slicer": _slicer}.get(visual.type, _chart)(visual, chance)
    place = f"left:{visual.x}px;top:{visual.y}px;width:{visual.width}px;height:{visual.height}px"
    label = html.escape(visual.alt, quote=True)
    return f'<section style="{place}" role="img" aria-label="{label}"><h2>{html.escape(visual.title)}</h2>{inner}</section>'


def _cards(visual: Visual, chance: random.Random) -> str:
    alone = len(visual.roles["Data"]) == 1
    return (
        '<div class="cards">'
        + "".join(
            f"<div><b>{_value(field, chance)}</b>{'' if alone else html.escape(field.name)}</div>"
            for field in visual.roles["Data"]
        )
        + "</div>"
    )


def _table(visual: Visual, chance: random.Random) -> str:
    fields = visual.roles["Values"]
    classes = ['class="number"' if _is_number(field) else "" for field in fields]
    head = "".join(f"<th {kind}>{html.escape(field.name)}</th>" for field, kind in zip(fields, classes, strict=True))
    rows = min(ROWS, (visual.height - 60) // 22)
    body = "".join(
        "<tr>"
        + "".join(f"<td {kind}>{_value(field, chance, row)}</td>" for field, kind in zip(fields, classes, strict=True))
        + "</tr>"
        for row in range(rows)
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _slicer(visual: Visual, chance: random.Random) -> str:
    (field,) = visual.roles["Values"]
    return " ".join(f"☐ {html.escape(word)} &nbsp;" for word in _WORDS.get(field.name, ("…",)))


def _chart(visual: Visual, chance: random.Random) -> str:
    width, height = visual.width - 22, visual.height - 44
    colours: list[str] = json.loads(THEME.read_text(encoding="utf-8"))["dataColors"]
    (category,), measures = visual.roles["Category"], visual.roles["Y"]
    series = tuple(field.name for field in measures)
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


def _lines(category: Field, count: int, width: int, height: int, colours: Sequence[str], chance: random.Random) -> str:
    drawn = [f'<line x1="0" x2="{width}" y1="{height - 16}" y2="{height - 16}" stroke="#9AA1AB"/>']
    for index in range(count):
        level = chance.uniform(0.3, 0.7)
        points = []
        for step in range(31):
            level = min(0.95, max(0.05, level + chance.uniform(-0.08, 0.08)))
            points.append(f"{step * width / 30:.0f},{22 + (height - 42) * (1 - level):.0f}")
        dash = ("", ' stroke-dasharray="6 3"', ' stroke-dasharray="2 3"', ' stroke-dasharray="9 3 2 3"')[index % 4]
        drawn.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colours[index]}" stroke-width="2"{dash}/>')
    return "".join(drawn) + f'<text x="0" y="{height - 3}">{category.name} →</text>'


def _bars(category: Field, count: int, width: int, height: int, colours: Sequence[str], chance: random.Random) -> str:
    words = _WORDS.get(category.name, ("A", "B", "C"))
    step = (height - 22) / len(words)
    return "".join(
        f'<text x="0" y="{22 + step * (i + 0.55):.0f}">{html.escape(word)}</text>'
        f'<rect x="110" y="{22 + step * i + step * 0.15:.0f}" width="{(width - 120) * chance.uniform(0.2, 0.95):.0f}" '
        f'height="{step * 0.6:.0f}" fill="{colours[0]}"/>'
        for i, word in enumerate(words)
    )


def _columns(category: Field, count: int, width: int, height: int, colours: Sequence[str], chance: random.Random) -> str:
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


def _is_number(field: Field, model: Model | None = None) -> bool:
    table = (model or read_model()).tables[field.table]
    return field.is_measure or table.columns[field.name].type in ("real", "long")


def _value(field: Field, chance: random.Random, row: int = 0) -> str:
    table = read_model().tables[field.table]
    if field.name in _WORDS:
        words = _WORDS[field.name]
        return html.escape(words[row % len(words)] if field.name == "city" else chance.choice(words))
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
    return str(chance.randint(1, 4) if field.name == "severity" else chance.randint(0, 60))
