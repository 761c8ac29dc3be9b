"""Walks over syntax trees."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from asa_engine.syntax import Call, Expression, Name


def calls_in(expressions: Iterable[Expression]) -> list[Call]:
    """Every function call in some expressions, outer calls before inner ones; the inside of aggregates included."""
    return [node for expression in expressions for node in nodes_in(expression) if isinstance(node, Call)]


def mentions(expression: Expression, aliases: set[str]) -> bool:
    """Whether an expression names one of some aliases (lower case)."""
    return any(isinstance(node, Name) and node.parts[0].lower() in aliases for node in nodes_in(expression))


def nodes_in(node: Any) -> Iterator[Any]:
    """A node and everything below it."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if _attributes(part.__class__):
            yield part
        waiting += reversed(parts_of(part))


def parts_of(node: Any) -> Sequence[Any]:
    """What a node or a tuple of nodes consists of, in the order of the text; nothing for a leaf."""
    if isinstance(node, tuple):
        return node
    return [getattr(node, attribute) for attribute in _attributes(node.__class__)]


@functools.cache
def _attributes(kind: type) -> tuple[str, ...]:
    """The names of a node's parts; none for what is not a node. Its place is not a part: half of what there would be to walk."""
    return tuple(attribute.name for attribute in fields(kind) if attribute.compare) if is_dataclass(kind) else ()
