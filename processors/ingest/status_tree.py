"""Statuses of a device (xAPI) as it reports them: a tree whose types are loose. Truth is the word True, numbers may be text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from processors.ingest.records import fixed


def at(tree: object, *path: str) -> object:
    """What stands at a path; None when there is nothing."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def items(tree: object, *path: str) -> list[Any]:
    """The list at a path; empty when there is none."""
    value = at(tree, *path)
    return value if isinstance(value, list) else []


def number(value: object) -> float | None:
    """A number, also one written as text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) < 1e12 else None


def word(value: object) -> str | None:
    """A text that can be sent; None for what is none."""
    return fixed(value) if isinstance(value, str) and value else None


def truth(value: object) -> bool | None:
    """Whether the word True or False, in any case."""
    return {"true": True, "false": False}.get(str(value).lower()) if isinstance(value, str | bool) else None
