"""Charts of a report's picture, as SVG: lines, columns and bars over the rows of a visual."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from powerbi.layout import Field
from powerbi.semantic_model import read_model
from powerbi.shown import shown

Row = Mapping[Field, Any]
_LEGEND, _AXIS, _LETTER = 18, 16, 6.6
"""Pixels: above for the legend, below for the categories, and about how wide a letter of a label is."""
_INK = "#3A414A"


class _Series(NamedTuple):
    name: str
    colour: str
    points: Mapping[Any, float]
    """Values by category."""


class _Plot(NamedTuple):
    """Where the values of a chart lie: between `low` and `high`, on `width` x `height` pixels."""

    width: int
    height: int
    low: float
    high: float
    side: float
    """Pixels left for the labels of the values."""

    def share(self, value: float) -> float:
        """How far a value is between the two, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def drawn_chart(
    kind: str,
    roles: Mapping[str, Sequence[Field]],
    labels: Mapping[Field, str],
    rules: Mapping[Field, Field],
    rows: Sequence[Row],
    colours: Sequence[str],
    size: tuple[int, int],
    whole: bool,
) -> str:
    """A chart of `kind` as Power BI names it; `rules` are the measures that colour its categories, `size` is in pixels.

    `whole`: its axis goes from 0 to 1.
    """
    (category,) = roles["Category"]
    measures = roles["Y"]
    series = list(_series(roles, labels, rows, colours))
    categories = list(dict.fromkeys(row[category] for row in rows))
    values = [value for one in series for value in one.points.values()]
    width, height = size
    plot = _plot([0, 1] if whole else values, width, height, kind, measures[0])
    shapes = ""
    if values:
        painted = {row[category]: row[rules[category]] for row in rows} if category in rules else {}
        draw = {"lineChart": _lines, "clusteredColumnChart": _columns, "clusteredBarChart": _bars}[kind]
        shapes = "".join(draw(plot, categories, series, category, measures[0], painted))
    legend = _legend(series) if len(series) > 1 else ""
    return f'<svg width="{width}" height="{height}" font-size="11" fill="{_INK}">{legend}{shapes}</svg>'


def _series(
    roles: Mapping[str, Sequence[Field]], labels: Mapping[Field, str], rows: Sequence[Row], colours: Sequence[str]
) -> Iterator[_Series]:
    (category,) = roles["Category"]
    by = roles.get("Series", ())
    names = list(dict.fromkeys(row[by[0]] for row in rows)) if by else []
    for number, name in enumerate(sorted(names)):
        points = {row[category]: row[roles["Y"][0]] for row in rows if row[by[0]] == name and row[roles["Y"][0]] is not None}
        yield _Series(str(name), colours[number % len(colours)], points)
    for number, measure in enumerate(() if by else roles["Y"]):
        points = {row[category]: row[measure] for row in rows if row[measure] is not None}
        yield _Series(labels[measure], colours[number % len(colours)], points)


def _plot(values: Sequence[float], width: int, height: int, kind: str, measure: Field) -> _Plot:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low = max(0.0, low - (high - low) * 0.1) if kind == "lineChart" and low > 0 else 0.0
    high = high if high > low else low + 1
    longest = max(len(shown(read_model(), measure, value)) for value in (low, high))
    return _Plot(width, height, low, high, longest * _LETTER + 8)


def _places(plot: _Plot, categories: Sequence[Any], width: float) -> dict[Any, float]:
    """Where each category is (pixels from the left), `width` wide: days and minutes by time, names one after the other."""
    span = plot.width - plot.side - width
    first, last = categories[0], categories[-1]
    if isinstance(first, datetime) and last > first:
        return {name: plot.side + span * ((name - first) / (last - first)) for name in categories}
    return {name: plot.side + span * number / max(1, len(categories) - 1) for number, name in enumerate(categories)}


def _width(plot: _Plot, categories: Sequence[Any]) -> float:
    """How wide a column is, in pixels: as wide as the shortest step leaves."""
    steps = len(categories)
    if len(categories) > 1 and isinstance(categories[0], datetime):
        steps = (categories[-1] - categories[0]) // min(after - before for before, after in pairwise(categories)) + 1
    return (plot.width - plot.side) / steps


def _legend(series: Sequence[_Series]) -> str:
    entries = " ".join(f'<tspan fill="{one.colour}">■</tspan> {html.escape(one.name)} ' for one in series)
    return f'<text x="0" y="11" xml:space="preserve">{entries}</text>'


def _lines(
    plot: _Plot, categories: Sequence[Any], series: Sequence[_Series], category: Field, measure: Field, _: Mapping[Any, str]
) -> Iterator[str]:
    yield from _value_axis(plot, measure)
    yield from _category_axis(plot, categories, category)
    place = _places(plot, categories, 0)
    for one in series:
        for part in _unbroken(categories, one.points):
            points = " ".join(f"{place[name]:.1f},{_height(plot, one.points[name]):.1f}" for name in part)
            if len(part) == 1:
                x, y = points.split(",")
                yield f'<circle cx="{x}" cy="{y}" r="2" fill="{one.colour}"/>'
            yield f'<polyline points="{points}" fill="none" stroke="{one.colour}" stroke-width="2"/>'


def _unbroken(categories: Sequence[Any], points: Mapping[Any, float]) -> Iterator[list[Any]]:
    """Runs of neighbouring categories that have a value: a line has a gap where nothing is known."""
    run: list[Any] = []
    for name in categories:
        if name in points:
            run.append(name)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _columns(
    plot: _Plot, categories: Sequence[Any], series: Sequence[_Series], category: Field, measure: Field, painted: Mapping[Any, str]
) -> Iterator[str]:
    yield from _value_axis(plot, measure)
    step = _width(plot, categories)
    place = _places(plot, categories, step)
    few = not isinstance(categories[0], datetime)
    if not few:
        yield from _category_axis(plot, categories, category)
    for name, x in place.items():
        if few:
            text = html.escape(shown(read_model(), category, name))
            yield f'<text x="{x + step / 2:.0f}" y="{plot.height - 3}" text-anchor="middle">{text}</text>'
        for one in series:
            if name in one.points:
                y = _height(plot, one.points[name])
                fill = painted.get(name, one.colour)
                tall = plot.height - _AXIS - y
                yield f'<rect x="{x + step * 0.15:.1f}" y="{y:.1f}" width="{step * 0.7:.1f}" height="{tall:.1f}" fill="{fill}"/>'


def _bars(
    plot: _Plot, categories: Sequence[Any], series: Sequence[_Series], category: Field, measure: Field, painted: Mapping[Any, str]
) -> Iterator[str]:
    side = min(140, plot.width * 2 // 5)
    step = min(36.0, plot.height / len(categories))
    for number, name in enumerate(categories):
        y = step * number
        yield f'<text x="0" y="{y + step * 0.6:.1f}">{html.escape(shown(read_model(), category, name))}</text>'
        for one in series:
            if name in one.points:
                wide = (plot.width - side - 48) * plot.share(one.points[name])
                fill = painted.get(name, one.colour)
                yield f'<rect x="{side}" y="{y + step * 0.15:.1f}" width="{wide:.1f}" height="{step * 0.7:.1f}" fill="{fill}"/>'
                value = html.escape(shown(read_model(), measure, one.points[name]))
                yield f'<text x="{side + wide + 5:.1f}" y="{y + step * 0.6:.1f}">{value}</text>'


def _height(plot: _Plot, value: float) -> float:
    return plot.height - _AXIS - (plot.height - _AXIS - _LEGEND) * plot.share(value)


def _value_axis(plot: _Plot, measure: Field) -> Iterator[str]:
    """Lines at both ends, and in the middle where the measure can be that: nothing that is counted is a half."""
    middle = (plot.low + plot.high) / 2
    whole = shown(read_model(), measure, middle) == shown(read_model(), measure, round(middle))
    for value in (plot.low, *([middle] if middle == round(middle) or not whole else []), plot.high):
        y = _height(plot, value)
        yield f'<line x1="{plot.side}" x2="{plot.width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#E1E4E8"/>'
        text = html.escape(shown(read_model(), measure, value))
        yield f'<text x="{plot.side - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'


def _category_axis(plot: _Plot, categories: Sequence[Any], category: Field) -> Iterator[str]:
    ends = {"start": (plot.side, categories[0]), "end": (plot.width, categories[-1])}
    for anchor, (x, name) in ends.items():
        text = html.escape(shown(read_model(), category, name))
        yield f'<text x="{x}" y="{plot.height - 3}" text-anchor="{anchor}">{text}</text>'
