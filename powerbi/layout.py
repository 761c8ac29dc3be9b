"""Report layouts: pages and visuals as powerbi/reports/*.yaml declare them. Reports are rendered from these, and drawn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from activator.declarations import DeclarationError, Fault, did_you_mean, placed, read_yaml, schema_faults
from powerbi.semantic_model import Model, read_model

FOLDER = Path(__file__).parent / "reports"
WIDTH, HEIGHT = 1280, 720
DESCENDING = " desc"
_FIELD = re.compile(r"(?P<table>\w+)(?:\.(?P<column>\w+)|\[(?P<measure>[^\]]+)\])")
_WORDS = {"name", "type", "title", "at", "alt", "sort", "where"}
_SCHEMA = json.loads((Path(__file__).parent / "report-layout.schema.json").read_text(encoding="utf-8"))


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
    sort: tuple[tuple[Field, bool], ...] = ()
    """What its rows are ordered by, each with whether the largest comes first."""
    where: Field | None = None
    """A measure: rows of which it is not above 0 are left out."""


@dataclass(frozen=True)
class Page:
    """A page; `drill_through` is the field by which other pages lead here."""

    name: str
    title: str
    visuals: tuple[Visual, ...]
    drill_through: Field | None


@cache
def read_layout(path: Path) -> tuple[Page, ...]:
    """The pages of a layout in order. Raises DeclarationError with every fault of it, or of the semantic model it shows."""
    document = read_yaml(path, "the layout of a report")
    faults = schema_faults(document, _SCHEMA) or list(_meaning_faults(document, read_model()))
    if faults:
        raise DeclarationError(f"{path.name} is not a valid report layout", placed(faults, path))
    return tuple(_page(name, body) for name, body in document["pages"].items())


def city_layout() -> tuple[Page, ...]:
    """The template of every city's report."""
    return read_layout(FOLDER / "city.yaml")


def consolidated_layout() -> tuple[Page, ...]:
    """The report across cities."""
    return read_layout(FOLDER / "consolidated.yaml")


def _meaning_faults(document: Mapping[str, Any], model: Model) -> Iterator[Fault]:
    """What a schema can't say: fields that the model has, names that are there once."""
    for page, body in document["pages"].items():
        if "drillThrough" in body:
            yield from _field_faults(f"pages/{page}/drillThrough", body["drillThrough"], model)
        names = [visual["name"] for visual in body["visuals"]]
        for index, visual in enumerate(body["visuals"]):
            path = f"pages/{page}/visuals/{index}"
            if names.index(visual["name"]) != index:
                yield Fault(f"{path}/name", f'"{visual["name"]}" is taken on this page: write another.')
            for place, text in enumerate(visual.get("sort", ())):
                yield from _field_faults(f"{path}/sort/{place}", text.removesuffix(DESCENDING), model)
            if "where" in visual:
                yield from _field_faults(f"{path}/where", visual["where"], model)
            for role in visual.keys() - _WORDS:
                for place, text in enumerate(visual[role]):
                    yield from _field_faults(f"{path}/{role}/{place}", text, model)


def _field_faults(path: str, text: str, model: Model) -> Iterator[Fault]:
    field = _field(text)
    if field.table not in model.tables:
        hint = did_you_mean(field.table, model.tables)
        yield Fault(
            path, f'"{text}": there is no table {field.table} in the semantic model.{hint} Known: {", ".join(model.tables)}.'
        )
        return
    table = model.tables[field.table]
    kind, known = ("measure", tuple(table.measures)) if field.is_measure else ("column", tuple(table.columns))
    if field.name not in known:
        hint = did_you_mean(field.name, known)
        yield Fault(path, f'"{text}": {field.table} has no {kind} {field.name}.{hint} Known: {", ".join(known) or "none"}.')


def _page(name: str, body: Mapping[str, Any]) -> Page:
    target = body.get("drillThrough")
    return Page(name, body["title"], tuple(_visual(entry) for entry in body["visuals"]), _field(target) if target else None)


def _visual(entry: Mapping[str, Any]) -> Visual:
    roles = {role: tuple(_field(text) for text in fields) for role, fields in entry.items() if role not in _WORDS}
    x, y, width, height = entry["at"]
    sort = tuple((_field(text.removesuffix(DESCENDING)), text.endswith(DESCENDING)) for text in entry.get("sort", ()))
    where = _field(entry["where"]) if "where" in entry else None
    return Visual(entry["name"], entry["type"], entry["title"], x, y, width, height, entry["alt"], roles, sort, where)


def _field(text: str) -> Field:
    match = _FIELD.fullmatch(text)
    assert match, "the schema has let it through"
    return Field(match["table"], match["column"] or match["measure"], match["measure"] is not None)
