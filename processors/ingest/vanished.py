"""Devices that Webex has stopped listing one by one: for a day it is said how many of a city, and which.

Whoever cleared a room knows; else somebody has taken a device, or deleted it by mistake, and no other signal of it is left.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from datetime import datetime, timedelta

from processors.ingest.changes import KnownDevice
from processors.timestamps import format_time

REMEMBERED = timedelta(days=1)
_MARK = "vanished:"


def noted(marks: Mapping[str, str], gone: Iterable[KnownDevice], now: datetime) -> dict[str, str]:
    """The notes of a state that change when these devices go: per city, without those that went more than a day ago."""
    changed: dict[str, dict[str, list[str]]] = {}
    for known in gone:
        name = _MARK + known.place.city_id
        changed.setdefault(name, _fresh(marks.get(name), now))[known.device.id] = [format_time(now), known.device.name]
    return {name: json.dumps(devices, ensure_ascii=False) for name, devices in changed.items()}


def vanished_from(marks: Mapping[str, str], city: str, known: Container[str], now: datetime) -> list[str]:
    """The names of the devices of a city that went in the last day, in the order in which they did; not of one that is `known`
    (an id) again.
    """
    return [name for id_, (_, name) in _fresh(marks.get(_MARK + city), now).items() if id_ not in known]


def _fresh(note: str | None, now: datetime) -> dict[str, list[str]]:
    """What a note says, without what is too old; nothing when it says what this release does not understand."""
    oldest = format_time(now - REMEMBERED)
    try:
        return {id_: [at, name] for id_, (at, name) in json.loads(note or "{}").items() if at > oldest}
    except (ValueError, TypeError, AttributeError):
        return {}
