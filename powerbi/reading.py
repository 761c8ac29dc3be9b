"""What a page of a report makes the live store read: tables and views, and how far back, as functions.kql says it.

A visual asks the store once for every table of the model that its fields are of; DirectQuery keeps nothing between two refreshes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache

from powerbi.kusto_schema import FOLDER, read_tables, read_views
from powerbi.layout import Field, Page, Visual
from powerbi.semantic_model import read_model

Read = tuple[str, timedelta | None]
"""A table or view, and how far back it is read; None: all of it."""

_FUNCTION = re.compile(
    r"^\.create-or-alter function with \((?:[^()\"]|\"[^\"]*\")*\)\s*(\w+)\(\)\s*\{(.*?)^\}", re.MULTILINE | re.DOTALL
)
_SPAN = re.compile(r"\bago\((\d+)([dhm])\)")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


def functions(script: str) -> dict[str, str]:
    """The bodies of the functions that a script of the live store makes, by name."""
    return {name: body.strip() for name, body in _FUNCTION.findall(script)}


@cache
def report_functions() -> Mapping[str, str]:
    """The bodies of the functions that the model asks, and of those that these call, by name."""
    return functions("\n".join((FOLDER / name).read_text(encoding="utf-8") for name in ("issues.kql", "functions.kql")))


@cache
def reads_of(function: str) -> tuple[Read, ...]:
    """What a call of a function reads, through the functions it calls as well."""
    return tuple(_reads(report_functions()[function]))


def reads_of_page(page: Page) -> Counter[Read]:
    """What a refresh of a page reads, with how often."""
    return Counter(read for visual in page.visuals for table in tables_asked(visual) for read in reads_of(_function(table)))


def tables_asked(visual: Visual) -> frozenset[str]:
    """Tables of the model that a visual's fields are of, those in its measures among them."""
    fields = [field for role in visual.roles.values() for field in role] + ([visual.where] if visual.where else [])
    return frozenset(table for field in fields for table in _tables(field))


def _function(table: str) -> str:
    return read_model().tables[table].function


def _reads(body: str) -> Iterator[Read]:
    """A source is read as far back as the first span that stands between it and the next source says."""
    names = "|".join([*read_tables(), *read_views()])
    parts = re.split(rf"(?<![\w'])({names}|\w+\(\))(?![\w'])", body)
    for source, following in zip(parts[1::2], parts[2::2], strict=True):
        if source.removesuffix("()") in report_functions():
            yield from reads_of(source.removesuffix("()"))
        elif not source.endswith("()"):
            span = _SPAN.search(following)
            yield source, int(span[1]) * _UNITS[span[2]] if span else None


def _tables(field: Field) -> Iterator[str]:
    if not field.is_measure:
        yield field.table
        return
    model = read_model()
    homes = {name: table.name for table in model.tables.values() for name in table.measures}
    dax = model.tables[field.table].measures[field.name].dax
    yield from (table for table in re.findall(r"(\w+)\[", dax) if table in model.tables)
    yield from (table for table in re.findall(r"\bCOUNTROWS \( (\w+)", dax) if table in model.tables)
    for name in re.findall(r"(?<!\w)\[([^\]]+)\]", dax):
        yield from _tables(Field(homes[name], name, True))
