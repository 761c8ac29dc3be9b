"""Cuts a stream of things into lists of limited size, so that work on them needs memory for one list at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def in_portions(items: Iterable[Item], size: Callable[[Item], int], limit: int) -> Iterator[list[Item]]:
    """The items in lists, in their order; a list is full as soon as the sizes of its items add up to `limit` or more."""
    portion: list[Item] = []
    filled = 0
    for item in items:
        portion.append(item)
        filled += size(item)
        if filled >= limit:
            yield portion
            portion, filled = [], 0
    if portion:
        yield portion
