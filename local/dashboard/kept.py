"""What the page makes of rows, kept until the rows are others: of 20,000 rooms a look finds a few that have changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Made = TypeVar("Made")


class Kept:
    """What was made, by a name for it."""

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[tuple[object, ...], Any]] = {}
        self._same: dict[Hashable, Any] = {}

    def made(self, name: Hashable, make: Callable[..., Made], *inputs: object) -> Made:
        """What `make` gives for these inputs; the very same as at the last call if that had the very same inputs.

        Inputs are compared by identity, as a live store gives a tile in which nothing has changed as the same list. So nobody may
        change them, nor what is made of them.
        """
        found = self._made.get(name)
        if found is None or any(old is not new for old, new in zip(found[0], inputs, strict=True)):
            found = self._made[name] = (inputs, make(*inputs))
        made: Made = found[1]
        return made

    def same(self, name: Hashable, made: Made) -> Made:
        """The very same as at the last call, where that says the same."""
        old = self._same.get(name)
        if old != made:
            old = self._same[name] = made
        same: Made = old
        return same
