"""How far behind a device's firmware is: days between its release and the newest release that its product runs in the estate, on
the same upgrade channel: a preview is nothing that a device on the stable channel could have.

RoomOS has carried its release month since 2026 (RoomOS 26.8 is of August 2026). Older trains (RoomOS 9, 10, 11) ended before that
and count as released on 1 January 2026: those devices are at least as far behind as we say. Firmware that carries no date (that
of phones) can't be compared: it has no such signal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache

FIRST_DATED_TRAIN = 26
_ROOM_OS = re.compile(r"RoomOS (\d{1,2})\.(\d{1,3})(?:\.|\b)")


@lru_cache(maxsize=4096)
def released(software: str) -> date | None:
    """The day a version counts as released on, None when its text carries none. Only months are known: it is their first day."""
    match = _ROOM_OS.match(software)
    if match is None:
        return None
    train, month = int(match[1]), int(match[2])
    if train < FIRST_DATED_TRAIN:
        return date(2000 + FIRST_DATED_TRAIN, 1, 1)
    return date(2000 + train, month, 1) if 1 <= month <= 12 else None


class NewestReleases:
    """The newest release of each product in the estate; a product is a release line here (`Device.release_line`)."""

    def __init__(self, seen: Iterable[tuple[str | None, str | None]] = ()) -> None:
        """Start from `seen`: products with the software of one of their devices."""
        self._newest: dict[str, date] = {}
        self.note(seen)

    def note(self, seen: Iterable[tuple[str | None, str | None]]) -> None:
        """Take further devices into account."""
        for product, software in seen:
            day = released(software) if software else None
            if product and day is not None and day > self._newest.get(product, date.min):
                self._newest[product] = day

    def days_behind(self, product: str | None, software: str | None) -> int | None:
        """Days a device is behind the newest release of its product; 0 when it has it, None when that is not known."""
        day = released(software) if software else None
        newest = self._newest.get(product or "")
        return None if day is None or newest is None else max(0, (newest - day).days)
