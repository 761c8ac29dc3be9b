"""Status expressions of RoomOS, such as `Peripherals.ConnectedDevice[*].Status`, applied to a tree of statuses.

Names are compared without case; `*` stands for any name or index; a name of a branch gives the whole branch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from webex_simulator.answers import ApiError

_STEP = re.compile(r"([A-Za-z0-9*]+)(?:\[(\*|\d+)\])?")


class _Step(NamedTuple):
    """A name in lower case, and which item of an array is meant: its id, `*`, or None for all."""

    name: str
    item: str | None


def select(tree: Mapping[str, Any], expression: str) -> dict[str, Any]:
    """The part of a tree that an expression names, with its path; empty when there is none. Raises ApiError 400."""
    return _select(tree, _steps(expression))


def merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Add the branches of one tree to another; items of arrays are matched by their ids."""
    for name, value in other.items():
        mine = into.get(name)
        if isinstance(mine, dict) and isinstance(value, dict):
            merge(mine, value)
        elif isinstance(mine, list) and isinstance(value, list):
            _merge_items(mine, value)
        else:
            into[name] = value


def _merge_items(mine: list[dict[str, Any]], items: list[dict[str, Any]]) -> None:
    by_id = {item["id"]: item for item in mine}
    for item in items:
        if item["id"] in by_id:
            merge(by_id[item["id"]], item)
        else:
            mine.append(item)


def _steps(expression: str) -> list[_Step]:
    steps = []
    for part in expression.split("."):
        match = _STEP.fullmatch(part.strip())
        if match is None:
            raise ApiError(400, f"{expression!r} is not a status expression.")
        steps.append(_Step(match[1].lower(), match[2]))
    return steps


def _select(tree: Mapping[str, Any], steps: Sequence[_Step]) -> dict[str, Any]:
    step, rest = steps[0], steps[1:]
    found = {}
    for name, value in tree.items():
        if step.name in ("*", name.lower()):
            part = _items(value, step.item, rest) if isinstance(value, list) else _branch(value, rest)
            if part not in (None, {}):
                found[name] = part
    return found


def _items(items: list[dict[str, Any]], index: str | None, rest: Sequence[_Step]) -> list[dict[str, Any]] | None:
    wanted = [item for item in items if index in (None, "*", str(item["id"]))]
    if not rest:
        return wanted if wanted or not items else None
    parts = ({"id": item["id"], **_select(item, rest)} for item in wanted)
    return [part for part in parts if len(part) > 1] or None


def _branch(value: Any, rest: Sequence[_Step]) -> Any:
    if not rest:
        return value
    return _select(value, rest) if isinstance(value, dict) else None
