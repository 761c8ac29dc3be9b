"""Planned maintenance: whether somebody has said in Webex that a device or room is being worked on.

The published example of a device writes it as text ("off"), the published schema as an object with a mode, and a workspace adds a
window. All are read. What we can't make sense of counts as no maintenance: an outage kept quiet by mistake costs more than an
alert.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from processors.timestamps import parse_time


class Maintenance(NamedTuple):
    """A planned maintenance as Webex reports it: `mode` on or upcoming, and the window where one is given (times as text)."""

    mode: str
    start: str | None = None
    end: str | None = None


MODES = frozenset({"off", "on", "upcoming"})


def mode_of(value: object) -> str:
    """The mode a `plannedMaintenance` says, in lower case: off when there is none, `?` for a shape nobody has documented."""
    if value is None or value == "off":
        return "off"
    mode = value.get("mode", "off") if isinstance(value, Mapping) else value
    return mode.lower() if isinstance(mode, str) else "?"


def read_maintenance(value: object) -> Maintenance | None:
    """The `plannedMaintenance` of a record; None when there is none, or none that can be understood."""
    mode = mode_of(value)
    if mode not in ("on", "upcoming"):
        return None
    window = value if isinstance(value, Mapping) else {}
    return Maintenance(mode, _time(window.get("startTime")), _time(window.get("endTime")))


def under_way(maintenance: Maintenance | None, moment: datetime) -> bool:
    """Whether it is going on at `moment`: within its window, where it has one; `upcoming` needs a window that has begun."""
    if maintenance is None:
        return False
    start, end = parse_time(maintenance.start), parse_time(maintenance.end)
    if end is not None and moment >= end:
        return False
    return maintenance.mode == "on" if start is None else moment >= start


def _time(value: object) -> str | None:
    return value if isinstance(value, str) and parse_time(value) is not None else None
