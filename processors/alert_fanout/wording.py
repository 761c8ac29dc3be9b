"""Names, counts, moments and spans of time as messages write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

from processors.contracts.plain_text import name_of
from processors.timestamps import parse_time

NAMES_SHOWN = 8
_THINGS = {"workspace": "room", "location": "site", "city": "city"}


def names(of: Sequence[str]) -> str:
    """The first names and how many more there are."""
    shown, more = ", ".join(map(name_of, of[:NAMES_SHOWN])), len(of) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def counted(count: int, what: str) -> str:
    """`1 device`, `2 devices`, `2 cities`."""
    if count == 1:
        return f"1 {what}"
    return f"{count} {what[:-1]}ies" if what.endswith("y") else f"{count} {what}s"


def kind_of(entity: str) -> str:
    """What people call the kind of an entity: `device`, `room`, `site`, `city`."""
    return _THINGS.get(entity, "device")


def things(keys: Iterable[str]) -> str:
    """How many devices and rooms these are, by keys such as `device ID` (see Incident.folded); empty for none."""
    kinds = [kind_of(key.split(" ", 1)[0]) for key in keys]
    parts = [counted(kinds.count(kind), kind) for kind in ("device", "room", "site", "city") if kind in kinds]
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def moment(time: str, time_zone: str) -> str:
    """A UTC time on the clocks of a zone: `Tue 24 Nov 2026 10:30`; as it is where it is none."""
    parsed = parse_time(time)
    return f"{parsed.astimezone(ZoneInfo(time_zone)):%a %d %b %Y %H:%M}" if parsed else time


def span(begins: str, ends: str, time_zone: str) -> str:
    """From when to when, on the clocks of a zone, which is named."""
    return f"from {moment(begins, time_zone)} to {moment(ends, time_zone)} ({time_zone})"


def lasting(begins: str, ends: str) -> str:
    """How long it is between two times; empty where one of them is none."""
    first, last = parse_time(begins), parse_time(ends)
    return "" if first is None or last is None else duration(last - first)


def duration(of: timedelta) -> str:
    """`less than a minute`, `59 min`, `1 h 1 min`, `1 d 1 h`."""
    minutes = max(0, round(of.total_seconds() / 60))
    if minutes < 1:
        return "less than a minute"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{rest} min" if rest and not days else ""]
    return " ".join(part for part in parts if part)
