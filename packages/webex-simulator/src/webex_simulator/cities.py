"""The cities of a simulated organisation, as a file of JSON lists them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from webex_simulator.estate import City

SAMPLE = (
    City("lyon", "Lyon", "Europe/Paris", ("Lyon Part-Dieu", "Lyon Confluence")),
    City("toronto", "Toronto", "America/Toronto", ("Toronto Front Street",)),
    City("singapore", "Singapore", "Asia/Singapore", ("Singapore Marina One", "Singapore one-north")),
)
"""What there is where nobody says otherwise."""
FORM = '{"slug": "lyon", "name": "Lyon", "timeZone": "Europe/Paris", "locations": ["Lyon Part-Dieu"]}'


class CitiesError(Exception):
    """A file of cities can't be used. The text lists every fault with its path."""


def read_cities(path: Path) -> tuple[City, ...]:
    """The cities of a file: a list of objects like FORM. Raises CitiesError."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise CitiesError(f"{path} can't be read: {fault.strerror}.") from fault
    except ValueError as fault:
        raise CitiesError(f"{path} is not valid JSON: {fault}.") from fault
    if not isinstance(listed, list) or not listed:
        raise CitiesError(f"{path} must be a list of at least one city: [{FORM}].")
    if faults := [fault for index, city in enumerate(listed) for fault in _faults(city, f"{path}/{index}")]:
        raise CitiesError("\n".join(faults))
    return tuple(City(city["slug"], city["name"], city["timeZone"], tuple(city["locations"])) for city in listed)


def _faults(city: Any, where: str) -> Iterator[str]:
    if not isinstance(city, dict) or set(city) != {"slug", "name", "timeZone", "locations"}:
        yield f"{where} must have exactly what this has: {FORM}"
        return
    for key in ("slug", "name", "timeZone"):
        if not _is_text(city[key]):
            yield f"{where}/{key}: {city[key]!r} must be text"
    locations = city["locations"]
    if not isinstance(locations, list) or not locations or not all(map(_is_text, locations)):
        yield f"{where}/locations: {locations!r} must be a list of at least one name"
    if _is_text(city["timeZone"]) and not _is_time_zone(city["timeZone"]):
        yield f"{where}/timeZone: {city['timeZone']!r} is not the name of a time zone, such as Europe/Paris"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of the database is an OSError, a path out of it a ValueError
        return False
    return True
