"""Where a page's visuals are on a phone: below each other in the order of the page, as high as what they show needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from powerbi.layout import Visual

WIDTH = 324
"""The phone's canvas, as Power BI Desktop has it; it is as long as what is on it."""
CARDS_IN_A_ROW = 2
_GAP = 8
_TITLE = 32
_CARD = 60
_HEIGHTS = {"textbox": 96, "slicer": 72, "lineChart": 200, "clusteredColumnChart": 200, "clusteredBarChart": 240, "tableEx": 280}


@dataclass(frozen=True)
class Place:
    """Where a visual is on the phone (pixels); `columns` of its cards, 0 where it has none."""

    x: int
    y: int
    width: int
    height: int
    columns: int = 0


def phone_places(visuals: Sequence[Visual]) -> Iterator[Place]:
    """The place of each visual, in their order."""
    y = 0
    for visual in visuals:
        place = _place(visual, y)
        yield place
        y += place.height + _GAP


def _place(visual: Visual, y: int) -> Place:
    if visual.type == "tableEx":  # a list that is of one row on the desktop is of one here, below a title of two lines
        return Place(0, y, WIDTH, min(_HEIGHTS[visual.type], visual.height + _TITLE))
    if visual.type != "cardVisual":
        return Place(0, y, WIDTH, _HEIGHTS[visual.type])
    count = len(visual.roles["Data"])
    columns = min(count, CARDS_IN_A_ROW)
    return Place(0, y, WIDTH, _TITLE + _CARD * -(-count // columns), columns)
