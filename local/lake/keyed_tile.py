"""Tiles of which every row is about one room or location: when a few of these change, only their rows are run again.

Of 20,000 rooms that say how warm they are, a hundred say it between two looks. The same KQL runs over the view narrowed to these,
and what it gives takes the place of their rows: what a tile means stands in its KQL alone.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from local.lake.kusto_rows import Row

MOST_CHANGED = 1000
"""Where more groups have changed, the whole tile is as cheap."""
FEW_ROWS = 2500
"""Where a tile has fewer, the whole tile is as cheap; one that has more is run again in portions of about so many."""

ENTITY = "entityId"
GROUPED_BY = (ENTITY, "workspaceId")
"""The columns of a view whose values have few rows each: a city's are a large part of all."""

_COMMENT = re.compile(r"^//.*$", re.MULTILINE)
_FORM = re.compile(
    r"\s*(?P<view>\w+)\s*(?P<rows>(?:\| (?:where|extend)\s[^|]*)*)\| summarize\s[^|]*\bby\s(?P<groups>[^|]*)"
    r"\| project\s(?P<columns>[^|]*)\| order by (?P<order>[^|]*)"
)
_CALLED = re.compile(r"\([^()]+\)")
_ITEM = re.compile(r"(?P<name>\w+)(?:\s*=\s*(?P<of>\w+))?")
_ASCENDING = re.compile(r"(\w+) asc")

Place = tuple[tuple[bool, Any], ...]


class KeyedTile(NamedTuple):
    """What such a tile reads, by which column of that its rows are grouped, which of its own columns holds the same, and by which
    columns its rows are in order.
    """

    view: str
    by: str
    column: str
    order: tuple[str, ...]


class KeyedRows:
    """The rows of such a tile in their order. `rows` is another list when they have changed, and never changed itself.

    `portions`: in how many portions its groups are run again only since time passes; 0 where it has few rows.
    """

    def __init__(self, tile: KeyedTile, rows: Iterable[Row]) -> None:
        self._tile = tile
        self.rows = sorted(rows, key=self._place)
        self._places = [self._place(row) for row in self.rows]
        self._by_group = self._grouped(self.rows)
        self._begin_round()

    def next_portions(self, number: int) -> range:
        """The portions that come next: so many, or as many as are left of this round."""
        return range(self._next, min(self._next + number, self.portions))

    def pass_portions(self, number: int) -> None:
        """Go on behind so many portions, which have been run again."""
        self._next += number
        if self._next == self.portions:
            self._begin_round()

    def _begin_round(self) -> None:
        self.portions, self._next = len(self.rows) // FEW_ROWS, 0

    def replace(self, groups: Iterable[str], fresh: Iterable[Row]) -> None:
        """Let the rows of `groups` be the fresh ones, which are of no other; where nothing changed they stay the very same."""
        now = self._grouped(fresh)
        changed = [group for group in groups if now.get(group) != self._by_group.get(group)]
        if changed:
            self.rows = list(self.rows)
        for group in changed:
            self._put(self._by_group.pop(group, []), now.get(group, []))
        self._by_group |= {group: now[group] for group in changed if group in now}

    def _put(self, old: Sequence[Row], new: Sequence[Row]) -> None:
        for row in old:
            at = bisect_left(self._places, self._place(row))
            while self.rows[at] is not row:  # others may stand at the same place
                at += 1
            del self._places[at], self.rows[at]
        for row in new:
            at = bisect_right(self._places, self._place(row))
            self._places.insert(at, self._place(row))
            self.rows.insert(at, row)

    def _grouped(self, rows: Iterable[Row]) -> dict[str, list[Row]]:
        found = defaultdict[str, list[Row]](list)
        for row in rows:
            found[row[self._tile.column] or ""].append(row)
        return dict(found)

    def _place(self, row: Row) -> Place:
        """What a row is in order by; what is not known comes first."""
        return tuple((row[name] is not None, row[name]) for name in self._tile.order)


def keyed_tile(kql: str, names: Collection[str]) -> KeyedTile | None:
    """The form of a tile whose rows are each made of one group; None for any other. `names`: what a query can read from."""
    kql = _COMMENT.sub("", kql)
    form = _FORM.fullmatch(kql)
    if not form or sum(word in names for word in re.findall(r"\w+", kql)) != 1:  # it reads the view alone, and once
        return None
    by, name = next(((of, name) for name, of in _items(form["groups"]) if of in GROUPED_BY), ("", ""))
    column = next((shown for shown, of in _items(form["columns"]) if of == name), None)
    order = [_ASCENDING.fullmatch(item.strip()) for item in form["order"].split(",")]
    if not column or re.search(rf"\b{by}\s*=[^=~]", form["rows"]):
        return None
    return KeyedTile(form["view"], by, column, tuple(item[1] for item in order if item)) if all(order) else None


def _items(text: str) -> list[tuple[str, str]]:
    """The columns in a list of them that are taken as they are: the name that each has from then on, and its name before."""
    while text != (text := _CALLED.sub("()", text)):
        continue
    found = (_ITEM.fullmatch(item.strip()) for item in text.split(","))
    return [(item["name"], item["of"] or item["name"]) for item in found if item]
