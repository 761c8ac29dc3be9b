"""What a query over the live store depends on, so that a tile is run again only when that has changed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from powerbi.kusto_schema import KustoView

Input = tuple[str, str | None]
"""A live table, and the one kind of entity whose rows count; None when all rows do."""

_READ = re.compile(r"\b(?P<name>\w+)\b(?:\s*\|\s*where entity == '(?P<entity>\w+)')?")


def inputs_of(kql: str, tables: Collection[str], views: Mapping[str, KustoView]) -> frozenset[Input]:
    """The inputs of a query over `tables` and `views`; of a view's name, those of the view."""
    return frozenset(_inputs(kql, tables, views))


def _inputs(kql: str, tables: Collection[str], views: Mapping[str, KustoView]) -> Iterable[Input]:
    for found in _READ.finditer(kql):
        name, entity = found["name"], found["entity"]
        if name in tables:
            yield name, entity
        elif name in views:
            yield from ((table, own or entity) for table, own in _inputs(views[name].query, tables, views))


def concerns(inputs: Iterable[Input], table: str, entities: Collection[str] | None) -> bool:
    """Whether new rows of a table are among the inputs; `entities`: the kinds of entities they are about, None when not known."""
    return any(name == table and (entity is None or entities is None or entity in entities) for name, entity in inputs)
