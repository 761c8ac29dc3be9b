"""Report layouts: pages and visuals as powerbi/reports/*.yaml declare them. Reports are rendered from these, and drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "reports"
WIDTH, HEIGHT = 1280, 720
_FIELD = re.compile(r"(?P<table>\w+)(?:\.(?P<column>\w+)|\[(?P<measure>[^\]]+)\])")
_WORDS = {"name", "type", "title", "at", "alt"}


class LayoutError(Exception):
    """A layout can't be read. The text names the file, the visual and what to write instead."""


@dataclass(frozen=True)
class Field:
    """A column or a measure of a table of the semantic model."""

    table: str
    name: str
    is_measure: bool


@dataclass(frozen=True)
class Visual:
    """A visual: its type as Power BI names it, where it is (pixels), fields by role, and `alt` for people who can't see it."""

    name: str
    type: str
    title: str
    x: int
    y: int
    width: int
    height: int
    alt: str
    roles: Mapping[str, tuple[Field, ...]]


@dataclass(frozen=True)
class Page:
    """A page; `drill_through` is the field by which other pages lead here."""

    name: str
    title: str
    visuals: tuple[Visual, ...]
    drill_through: Field | None


@cache
def read_layout(path: Path) -> tuple[Page, ...]:
    """The pages of a layout in order. Raises LayoutError for a field or a visual that can't be read."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(_page(path, name, body) for name, body in document["pages"].items())


def city_layout() -> tuple[Page, ...]:
    """The template of every city's report."""
    return read_layout(FOLDER / "city.yaml")


def consolidated_layout() -> tuple[Page, ...]:
    """The report across cities."""
    return read_layout(FOLDER / "consolidated.yaml")


def _page(path: Path, name: str, body: Mapping[str, Any]) -> Page:
    target = body.get("drillThrough")
    visuals = tuple(_visual(f"{path.name}, page {name}", entry) for entry in body["visuals"])
    return Page(name, body["title"], visuals, _field(f"{path.name}, page {name}", target) if target else None)


def _visual(where: str, entry: Mapping[str, Any]) -> Visual:
    missing = sorted(_WORDS - set(entry))
    if missing:
        raise LayoutError(f"{where}, visual {entry.get('name', '?')}: {', '.join(missing)} is missing")
    where = f"{where}, visual {entry['name']}"
    roles = {role: tuple(_field(where, text) for text in fields) for role, fields in entry.items() if role not in _WORDS}
    x, y, width, height = entry["at"]
    return Visual(entry["name"], entry["type"], entry["title"], x, y, width, height, entry["alt"], roles)


def _field(where: str, text: str) -> Field:
    match = _FIELD.fullmatch(text)
    if not match:
        raise LayoutError(f"{where}: {text!r} is no field: write Table.column or Table[Measure]")
    return Field(match["table"], match["column"] or match["measure"], match["measure"] is not None)
