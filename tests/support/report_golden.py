"""Rows on every edge of what the reports ask, and all figures of them: what a changed measure, join or filter would move."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from powerbi.semantic_model import read_model
from tests.support.dax_engine import Measures
from tests.support.report_store import ReportStore, Row
from tests.support.report_world import (
    BERLIN,
    CITIES,
    DAY,
    HOUR,
    LYON,
    MINUTE,
    NOW,
    OUTAGES,
    PUNE,
    TOKYO,
    Outage,
    alert_rows,
    at,
    city_minutes,
    device_row,
    room_row,
)

CONTEXTS: Mapping[str, Mapping[str, str | list[Any]]] = {
    "everything": {},
    **{city.name: {"Cities__city": city.name} for city in CITIES},
    "a reader of Lyon": {"Readers__userPrincipalName": "lyon@example.com"},
    "a device": {"Devices__deviceId": "b"},
    "a device that went": {"Devices__deviceId": "gone"},
    "a room": {"Workspaces__workspaceId": "room-b"},
    "a bad room": {"Workspaces__workspaceId": "room-a"},
    "a Tuesday": {"Dates__localDay": [at("2026-11-03")]},
    "a device on a Tuesday": {"Devices__deviceId": "d", "Dates__localDay": [at("2026-10-27")]},
    **{f"health {health}": {"Devices__health": health, "Workspaces__health": health} for health in ("down", "issues", "up")},
    **{f"severity {number}": {"Alerts__severity": [number]} for number in (1, 2, 3, 4, 9)},
}
"""What is chosen, by a name for it."""


def golden() -> ReportStore:
    """The store with those rows."""
    rows = {"Processed": [*_devices(), *_rooms(), *_bookings(), *_calls()], "Alerts": _alerts(), "CityMinute": _minutes()}
    return ReportStore(NOW, rows, [city.script for city in CITIES])


def figures(measures: Measures, names: tuple[str, ...]) -> dict[str, Any]:
    """Every figure in every context."""
    return {f"{name} · {place}": measures.value(name, **chosen) for name in names for place, chosen in CONTEXTS.items()}


@cache
def all_measures() -> tuple[str, ...]:
    """The measures of the model."""
    return tuple(name for table in read_model().tables.values() for name in table.measures)


def _devices() -> list[Row]:
    """Healths of all kinds; seen 2.5 and 3.5 hours ago, removed, of no declared city, in no room, in one room with another."""
    states = {"a": "down", "b": "up", "d": "issues", "e": "unknown", "f": "asleep"}
    cities = {"a": "lyon", "b": "lyon", "d": "pune", "e": "pune", "f": "berlin"}
    versions = {"a": 0.0, "b": 30.0, "d": 90.0, "f": 0.0}
    drops = {"a": 3, "b": 4, "d": 5}
    rows = []
    for number, (name, health) in enumerate(states.items()):
        signals = {"offline": 0.0} | ({"firmwareBehind": versions[name]} if name in versions else {})
        signals |= {"drops": drops[name]} if name in drops else {}
        seen = {
            "health": health,
            "errorCodes": ["x", "y"] if health == "issues" else [],
            "product": "Bar",
            "software": "RoomOS 26",
        }
        rows.append(device_row(name, cities[name], NOW - (150 if number == 3 else 10) * MINUTE, signals) | seen | SINCE)
    beside = {"workspaceId": "room-b", "workspaceName": "Room b", "health": "asleep"}
    return [
        *rows,
        device_row("b2", "lyon", NOW - 11 * MINUTE, {"offline": 0}) | beside | SINCE,
        device_row("loose", "lyon", NOW - 9 * MINUTE, {"offline": 0}, health="down") | {"workspaceId": "", "workspaceName": ""},
        device_row("gone", "lyon", NOW - 210 * MINUTE, {"drops": 9, "firmwareBehind": 400}, health="down"),
        device_row("c", "lyon", NOW - 5 * MINUTE, {"drops": 9}, connectionStatus="removed", health="down"),
        device_row("g", "ghost", NOW - 5 * MINUTE, {"drops": 9, "firmwareBehind": 500}, health="down"),
        device_row("b", "lyon", NOW - 200 * MINUTE, {"drops": 20, "firmwareBehind": 300}, health="up") | SINCE,
    ]


SINCE = {"statusSince": NOW - 5 * HOUR}


def _rooms() -> list[Row]:
    """Readings in and out of office hours, on the edges of comfort, older than a day, two hours and 14 days."""
    rows = [
        room_row(
            "room-b",
            "lyon",
            NOW - 20 * MINUTE,
            {"temperature": 22.5, "humidity": 40, "tvoc": 90, "peopleCount": 3, "capacity": 8},
        ),
        room_row(
            "room-a",
            "lyon",
            NOW - 150 * MINUTE,
            {"temperature": 27.5, "humidity": 41, "tvoc": 91, "peopleCount": 4, "capacity": 6},
        ),
        room_row("room-g", "ghost", NOW - 20 * MINUTE, {"temperature": 50, "humidity": 1, "inUse": 1}),
        room_row("room-lost", "lyon", NOW - DAY, {"temperature": 60, "humidity": 2, "inUse": 1}),
        room_row("room-b", "lyon", NOW - 15 * DAY, {"temperature": 70, "humidity": 3, "inUse": 1}),
    ]
    for number, (warm, used) in enumerate([(20.0, 1), (26.0, 0), (19.9, 1), (26.1, 1), (22.0, 0), (23.0, 1)]):
        rows.append(room_row("room-b", "lyon", at("2026-11-03T09:10") + number * HOUR, {"temperature": warm, "inUse": used}))
        rows.append(room_row("room-b", "lyon", at("2026-11-03T03:10") + number * HOUR / 4, {"temperature": warm + 1, "inUse": 1}))
    rows += [
        room_row("room-b", "lyon", at("2026-11-03T17:05"), {"humidity": 50}),
        room_row("room-b", "ghost", at("2026-11-03T16:05"), {"temperature": 80, "inUse": 1}),
        room_row("room-a", "lyon", at("2026-11-03T16:05"), {"temperature": 31.0, "humidity": 20, "inUse": 0}),
        room_row("room-b", "lyon", at("2026-11-01T10:05"), {"temperature": 18.0, "inUse": 1}),
        room_row("room-d", "pune", at("2026-11-01T04:05"), {"temperature": 24.0, "humidity": 60, "inUse": 1}),
        room_row("room-d", "pune", at("2026-11-01T04:25"), {"temperature": 26.0, "humidity": 62, "inUse": 0}),
        room_row("room-d", "pune", at("2026-11-01T04:40"), {"temperature": 29.0, "humidity": None, "inUse": 1}),
    ]
    return rows


def _bookings() -> list[Row]:
    """Rooms as they are used now, and a little too long ago to say so; bookings at edges of days, of what is not there."""
    now: list[tuple[str, str, int, Mapping[str, float | None]]] = [
        ("room-a", "lyon", 5, {"inUse": 0, "booked": 1, "unattendedMinutes": 10}),
        ("room-b", "lyon", 5, {"inUse": 1, "booked": 1, "unattendedMinutes": 0}),
        ("room-b2", "lyon", 5, {"inUse": 1}),
        ("room-d", "pune", 20, {"inUse": 1}),
        ("room-d", "pune", 12, {"booked": 1, "unattendedMinutes": 30}),
        ("room-e", "pune", 20, {"booked": 1}),
        ("room-f", "berlin", 5, {"inUse": 0, "booked": 0, "unattendedMinutes": 9}),
    ]
    ended: list[tuple[str, str, datetime, Mapping[str, float | None]]] = [
        ("room-b", "lyon", at("2026-11-03T10:00"), {"noShow": 1, "timeBooked": 60, "timeUsed": 20}),
        ("room-b", "lyon", at("2026-11-03T11:00"), {"noShow": 0, "timeBooked": 30, "timeUsed": 40}),
        ("room-b", "lyon", at("2026-11-02T23:00"), {"noShow": 1, "timeBooked": 45}),
        ("room-a", "lyon", at("2026-11-03T12:00"), {"timeUsed": 15}),
        ("room-d", "pune", at("2026-11-02T18:40"), {"noShow": 0, "timeBooked": 50}),
        ("room-b", "lyon", NOW - 15 * DAY, {"noShow": 1, "timeBooked": 60, "timeUsed": 60}),
        ("room-b", "ghost", at("2026-11-03T10:00"), {"noShow": 1, "timeBooked": 60, "timeUsed": 60}),
        ("room-lost", "lyon", at("2026-11-03T10:00"), {"noShow": 1, "timeBooked": 60, "timeUsed": 60}),
        ("room-b", "lyon", at("2026-11-03T13:00"), {"noShow": None, "timeBooked": None, "timeUsed": None}),
    ]
    said = [room_row(room, city, NOW - minutes * MINUTE, signals) for room, city, minutes, signals in now]
    return [*said, *(room_row(room, city, moment, signals) for room, city, moment, signals in ended)]


def _calls() -> list[Row]:
    """In calls, out of them, without figures, of devices that are not there, and long ago."""
    told: dict[str, list[tuple[float | None, ...]]] = {
        "b": [(1, 2.0, 10), (1, 4.0, None), (0, 9.0, 99), (None, 9.0, 99), (1, None, 20), (1, 3.0, None), (1, 6.0, None)],
        "d": [(1, 1.0, 5)],
        "c": [(1, 50.0, 500)],
        "gone": [(1, 60.0, 600)],
    }
    rows = []
    for name, readings in told.items():
        for number, values in enumerate(readings):
            named = zip(("inCall", "callLoss", "callJitter"), values, strict=True)
            signals = {signal: float(value) for signal, value in named if value is not None}
            city = "pune" if name == "d" else "lyon"
            rows.append(device_row(name, city, NOW - DAY - number * MINUTE, signals))
    moved = device_row("b", "ghost", NOW - 2 * DAY, {"inCall": 1, "callLoss": 80, "callJitter": 800})
    empty = device_row("b", "lyon", NOW - 3 * DAY, {"inCall": 1, "callLoss": None, "callJitter": 7})
    late = device_row("d", "pune", at("2026-11-02T18:40"), {"inCall": 1, "callLoss": 2, "callJitter": 8})
    return [*rows, moved, empty, late, device_row("b", "lyon", NOW - 15 * DAY, {"inCall": 1, "callLoss": 70, "callJitter": 700})]


def _alerts() -> list[Row]:
    """The outages of the world, and alerts of other rules, entities and ends; drills are none."""
    room = {"workspaceId": "room-b", "workspaceName": "Room b", "locationName": "Centre"}
    more: list[tuple[Outage, str, Row]] = [
        (Outage("room-b", "lyon", NOW - 3 * DAY, NOW - 2 * DAY), "room-humidity", {"entity": "workspace", "severity": 3} | room),
        (Outage("b", "lyon", NOW - 26 * HOUR, None), "call-quality", {"severity": 1} | room),
        (Outage("b", "lyon", at("2026-11-02T23:30"), at("2026-11-03T00:10")), "call-quality", {}),
        (Outage("d", "pune", NOW - 40 * DAY, NOW - 31 * DAY - HOUR), "device-offline", {}),
        (Outage("d", "pune", NOW - 80 * DAY, NOW - 70 * DAY), "device-offline", {}),
        (Outage("e", "pune", NOW - 6 * DAY, None), "device-offline", {}),  # its end was lost
        (Outage("e", "pune", NOW - 5 * DAY, NOW - 4 * DAY), "device-offline", {}),
        (Outage("e", "pune", NOW - 3 * DAY, NOW - 2 * DAY), "device-offline", {}),
        (Outage("drill-1", "lyon", NOW - HOUR, None), "device-offline", {}),
        (Outage("berlin", "berlin", NOW - DAY, NOW - DAY + HOUR), "city-silent", {"entity": "city", "severity": 4}),
    ]
    outages = [row for outage in OUTAGES for row in alert_rows(outage)]
    return [*outages, *(row | fields for outage, rule, fields in more for row in alert_rows(outage, rule))]


def _minutes() -> list[Row]:
    """The first and last minutes of days with others of their quarters, and the devices that were down: now, and a day ago."""

    def minute(city: str, moment: datetime, signal: str, mean: float) -> Row:
        return {"windowEnd": moment, "cityId": city, "signal": signal, "mean": mean}

    counted = [
        minute(city, moment, signal, mean + more)
        for city, mean in (("lyon", 2.0), ("pune", 1.0), ("ghost", 7.0))
        for moment in (NOW - HOUR, NOW - 30 * HOUR)
        for signal, more in (("devicesDown", 0), ("devicesIssues", 10), ("rooms", 20))
    ]
    early = minute("lyon", at("2026-10-29T10:00"), "rooms", 3.0)
    ghost = minute("ghost", NOW - HOUR, "devices", 3.0)
    beside = [minute("lyon", moment, "devices", 2.0) for moment in (at("2026-10-20T10:06"), NOW - 6 * MINUTE)]
    return [*beside, *(row for city in (LYON, PUNE, BERLIN, TOKYO) for row in city_minutes(city)), *counted, early, ghost]
