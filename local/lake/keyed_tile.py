"""Tiles of which every row is about one entity: when a few entities change, only their rows are run again.

Of 20,000 rooms that say how warm they are, a hundred say it between two looks. The same KQL runs over the view narrowed to these,
and what it gives takes the place of their rows: what a tile means stands in its KQL alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from local.lake.kusto_rows import Row

MOST_CHANGED = 1000
"""Where more entities have changed, the whole tile is as cheap."""

_FORM = re.compile(
    r"\A(?P<view>\w+)\s*\| where [^|]*\| summarize\b[^|]*\bby (?P<column>\w+) = entityId\b[^|]*"
    r"\| project\s[^|]*\| order by (?P<order>[^|]*)\Z"
)


class KeyedTile(NamedTuple):
    """What such a tile reads, which of its columns holds the entity, and by which columns its rows are in order."""

    view: str
    column: str
    order: tuple[str, ...]

    def merged(self, rows: Sequence[Row], changed: Collection[str], fresh: Sequence[Row]) -> list[Row] | None:
        """The rows with those of `changed` entities as they are in `fresh`; None when it takes the whole tile to know: an entity
        came, went, or stands elsewhere now.
        """
        new = {row[self.column]: row for row in fresh}
        old = {row[self.column]: at for at, row in enumerate(rows) if row[self.column] in changed}
        same_place = new.keys() == old.keys() and len(new) == len(fresh)
        if not same_place or any(rows[at][name] != new[key][name] for key, at in old.items() for name in self.order):
            return None
        found = list(rows)
        for key, at in old.items():
            found[at] = new[key]
        return found


def keyed_tile(kql: str) -> KeyedTile | None:
    """The form of a tile whose rows are each about one entity; None for any other."""
    text = "\n".join(line for line in kql.splitlines() if not line.startswith("//")).strip()
    if not (form := _FORM.match(text)):
        return None
    return KeyedTile(form["view"], form["column"], tuple(name.split()[0] for name in form["order"].split(",")))
