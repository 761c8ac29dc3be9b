"""What LAG, LAST and ISFIRST look back at: the latest entries of every key, in numpy arrays.

The rows of a tick are looked at key by key and, within a key, in order of time. So an earlier row of the same key is found by
counting, and what lies before the tick is at the key's number in the arrays. Times are microseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

NEVER = np.iinfo(np.int64).min
"""The time of an entry that isn't there; no limit reaches back so far."""
_LEAST_CAPACITY = 1024


@dataclass(frozen=True)
class Values:
    """A column: its values, and which of them are NULL."""

    values: np.ndarray
    nulls: np.ndarray

    @classmethod
    def fetched(cls, column: np.ndarray) -> Values:
        """A column as DuckDB gives it."""
        nulls = np.ma.getmaskarray(column)
        values = np.ma.getdata(column)
        if values.dtype == object and nulls.any():
            values = values.copy()
            values[nulls] = None
        return cls(values, nulls)

    def masked(self) -> Any:
        """The column as DuckDB reads it; a text that is NULL is None."""
        return self.values if self.values.dtype == object else np.ma.masked_array(self.values, self.nulls)


@dataclass(frozen=True)
class KeyedRows:
    """The rows of a tick, key by key and in order of time: the number of each row's key, its time, where the key's rows begin.

    `ends`: each key's last row; `places`: where each row is in its table; `ranks`: the reverse. None while every row is in place.
    """

    keys: np.ndarray
    times: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    places: np.ndarray | None = None
    ranks: np.ndarray | None = None

    @classmethod
    def of(cls, keys: np.ndarray, times: np.ndarray, *ties: np.ndarray) -> KeyedRows:
        """The rows of a table, whatever their order there; `ties` decide between rows of one moment."""
        keys, places, ranks = np.asarray(keys), None, None
        # while no key comes twice any order will do
        if len(keys) and np.bincount(keys).max() > 1:
            places = np.lexsort((*reversed(ties), times, keys))
            ranks = np.empty_like(places)
            ranks[places] = np.arange(len(places))
            keys, times = keys[places], times[places]
        changes = np.flatnonzero(np.diff(keys)) + 1
        starts = np.concatenate(([0], changes)) if len(keys) else np.zeros(0, dtype=np.int64)
        stops = np.concatenate((changes, [len(keys)])) if len(keys) else np.zeros(0, dtype=np.int64)
        return cls(keys, times, np.repeat(starts, stops - starts), stops - 1, places, ranks)

    def by_key(self, column: np.ndarray) -> np.ndarray:
        """A column of the table, key by key."""
        return column if self.places is None else column[self.places]

    def as_stored(self, column: np.ndarray) -> np.ndarray:
        """A column that is key by key, in the order of the table."""
        return column if self.ranks is None else column[self.ranks]


@dataclass(frozen=True)
class Found:
    """What a function finds for every row: whether there is an entry within its limit, and its value."""

    there: np.ndarray
    value: Values


class History:
    """The entries one function remembers: the latest `depth` of every key, newest first, and as old as `limit` at most."""

    def __init__(self, depth: int, limit: int, dtype: np.dtype) -> None:
        self.depth = depth
        self.limit = limit
        self.times = np.full((depth, _LEAST_CAPACITY), NEVER)
        self.values = np.zeros((depth, _LEAST_CAPACITY), dtype=dtype)
        self.nulls = np.zeros((depth, _LEAST_CAPACITY), dtype=bool)

    def pass_over(self, rows: KeyedRows, offered: np.ndarray, entries: Values, including: bool) -> Found:
        """Find for every row the entry `depth` back, its own counting if `including`, and remember the latest of every key.

        `offered` are the rows whose entries count.
        """
        counted = np.cumsum(offered)
        before = counted - offered
        of_earlier_keys = before[rows.begins]
        places = np.flatnonzero(offered)
        found = self._look_back(rows, counted if including else before, of_earlier_keys, places, entries)
        self._remember(rows, counted, of_earlier_keys, places, entries)
        return found

    def _look_back(
        self, rows: KeyedRows, reached: np.ndarray, of_earlier_keys: np.ndarray, places: np.ndarray, entries: Values
    ) -> Found:
        wanted = reached - self.depth
        here = wanted >= of_earlier_keys
        times, values, nulls = self._remembered(self.depth - 1 - (reached - of_earlier_keys), here, rows.keys)
        source = places[wanted[here]]
        times[here], values[here], nulls[here] = rows.times[source], entries.values[source], entries.nulls[source]
        there = (times != NEVER) & (times >= rows.times - self.limit)
        if values.dtype == object:
            values[~there] = None  # what isn't there needn't be handed to DuckDB
        return Found(there, Values(values, nulls))

    def _remember(
        self, rows: KeyedRows, counted: np.ndarray, of_earlier_keys: np.ndarray, places: np.ndarray, entries: Values
    ) -> None:
        new = counted[rows.ends] - of_earlier_keys[rows.ends]
        ends, new = rows.ends[new > 0], new[new > 0]
        keys, reached = rows.keys[ends], counted[ends]
        fresh = []
        for age in range(self.depth):
            here = new > age
            times, values, nulls = self._remembered(age - new, here, keys)
            source = places[reached[here] - 1 - age]
            times[here], values[here], nulls[here] = rows.times[source], entries.values[source], entries.nulls[source]
            fresh.append((times, values, nulls))
        for age, (times, values, nulls) in enumerate(fresh):
            self.times[age, keys], self.values[age, keys], self.nulls[age, keys] = times, values, nulls

    def _remembered(self, ages: np.ndarray, but: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is remembered of keys, at some age each; nothing that means anything where `but`."""
        if self.depth == 1:
            return self.times[0, keys], self.values[0, keys], self.nulls[0, keys]
        ages = np.where(but, 0, ages)
        return self.times[ages, keys], self.values[ages, keys], self.nulls[ages, keys]

    # ---- keys come and go

    def make_room(self, keys: int) -> None:
        """Have a place for this many keys."""
        missing = keys - self.times.shape[1]
        if missing > 0:
            grown = ((0, 0), (0, max(missing, self.times.shape[1])))
            self.times = np.pad(self.times, grown, constant_values=NEVER)
            self.values = np.pad(self.values, grown)
            self.nulls = np.pad(self.nulls, grown)

    def needed(self, keys: int, now: int) -> np.ndarray:
        """Which of the first keys have an entry that a row later than `now` can still find."""
        return self.times[0, :keys] > now - self.limit

    def keep(self, kept: np.ndarray) -> None:
        """Keep the places of some keys (their old numbers), and number them anew."""
        for name, filling in (("times", NEVER), ("values", 0), ("nulls", False)):
            old = getattr(self, name)
            shrunk = np.full((self.depth, max(_LEAST_CAPACITY, len(kept))), filling, dtype=old.dtype)
            shrunk[:, : len(kept)] = old[:, kept]
            setattr(self, name, shrunk)

    # ---- saving

    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, Values]:
        """Every entry: its key's number, its age (0 the newest), its time and its value."""
        ages, keys = np.nonzero(self.times != NEVER)
        return keys, ages, self.times[ages, keys], Values(self.values[ages, keys], self.nulls[ages, keys])

    def restore(self, keys: np.ndarray, ages: np.ndarray, times: np.ndarray, value: Values) -> None:
        """Take over what `entries` gave."""
        self.make_room(int(keys.max()) + 1 if len(keys) else 0)
        self.times[ages, keys], self.values[ages, keys], self.nulls[ages, keys] = times, value.values, value.nulls
