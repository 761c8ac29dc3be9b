"""The last 24 hours of a device or a room, and its incidents, from the rows of the live store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, TypedDict, TypeVar

from local.dashboard.notified import Notification, Notifications
from local.dashboard.snapshot import iso
from processors.contracts.signals import SIGNALS

DAY = timedelta(hours=24)
UNSEEN = timedelta(hours=2)
"""After an observation a device counts as it was for so long: each is observed once an hour at least. Then it is unknown."""
POINTS = 240
"""How many points a line of 24 hours has at most: more nobody can distinguish."""

Row = Mapping[str, Any]
Value = TypeVar("Value")


class Span(TypedDict):
    """A time in which a device was in one health, `unknown` where nobody observed it."""

    begin: str
    end: str
    health: str
    issues: list[str]


class Line(TypedDict):
    """The values of a signal in order, thinned out: moments and values, of the same length."""

    signal: str
    at: list[str]
    values: list[float]


class Past(TypedDict):
    """An alert with its end (null: open), and who was notified of it (null: not known any more)."""

    alertId: str
    ruleId: str
    severity: int
    entity: str
    entityId: str
    name: str | None
    cityId: str
    signal: str
    value: float | None
    startedAt: str
    resolvedAt: str | None
    notified: list[Notification] | None


def spans(rows: Sequence[Row], now: datetime) -> list[Span]:
    """How a device was over the last 24 hours, from its observations in their order; without a gap, the last one up to now."""
    found: list[Span] = []
    begin = iso(now - DAY)
    for row, after in zip(rows, [*rows[1:], None], strict=False):
        end = after["observedAt"] if after else iso(now)
        known_until = min(end, _later(row["observedAt"], UNSEEN))
        _append(found, begin, row["observedAt"], "unknown", [])
        _append(found, row["observedAt"], known_until, row["health"], row["errorCodes"] or [])
        begin = known_until
    _append(found, begin, iso(now), "unknown", [])
    return found


def _append(found: list[Span], begin: str, end: str, health: str, issues: list[str]) -> None:
    if begin >= end:
        return
    last = found[-1] if found else None
    if last and (last["health"], last["issues"], last["end"]) == (health, issues, begin):
        last["end"] = end
    else:
        found.append({"begin": begin, "end": end, "health": health, "issues": issues})


def _later(moment: str, span: timedelta) -> str:
    return iso(datetime.fromisoformat(moment) + span)


def lines(rows: Iterable[Row]) -> list[Line]:
    """The signals of an entity that were ever other than 0, in the order in which they are declared; its spans say `offline`."""
    found: dict[str, tuple[list[str], list[float]]] = {}
    for row in rows:
        for signal in row["signals"] or ():
            if signal["name"] == "offline":
                continue
            at, values = found.setdefault(signal["name"], ([], []))
            at.append(row["observedAt"])
            values.append(float(signal["value"]))
    declared = list(dict.fromkeys(signal.name for signal in SIGNALS))
    reported = [name for name in [*declared, *sorted(found.keys() - set(declared))] if any(found.get(name, ((), ()))[1])]
    return [{"signal": name, "at": _thinned(found[name][0]), "values": _thinned(found[name][1])} for name in reported]


def _thinned(values: list[Value]) -> list[Value]:
    step = max(1, -(-len(values) // POINTS))
    return values[-1::-step][::-1]  # the newest is always there


def by_entity(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by the device or room they are about, each in the order they came."""
    ordered = sorted(rows, key=lambda row: str(row["entityId"]))
    return {entity: list(own) for entity, own in groupby(ordered, key=lambda row: str(row["entityId"]))}


def incidents(rows: Iterable[Row], notified: Notifications) -> list[Past]:
    """Alerts with their ends, the open ones first and then the newest."""
    found: dict[str, Past] = {}
    for row in rows:
        past = found.setdefault(row["alertId"], _past(row, notified.get(row["alertId"])))
        if row["state"] == "resolved":
            past["resolvedAt"] = row["observedAt"]
    newest = sorted(found.values(), key=lambda past: past["startedAt"], reverse=True)
    return sorted(newest, key=lambda past: past["resolvedAt"] is not None)


def _past(row: Row, notified: list[Notification] | None) -> Past:
    return {
        "alertId": row["alertId"],
        "ruleId": row["ruleId"],
        "severity": row["severity"],
        "entity": row["entity"],
        "entityId": row["entityId"],
        "name": row["name"],
        "cityId": row["cityId"],
        "signal": row["signal"],
        "value": row["value"],
        "startedAt": row["startedAt"],
        "resolvedAt": None,
        "notified": notified,
    }
