"""A larger estate for the pictures of the reports: three cities, two weeks of readings, a month of alerts; always the same."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime

from tests.support.report_store import ReportStore, Row
from tests.support.report_world import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    City,
    Outage,
    alert_rows,
    at,
    city_minutes,
    device_row,
    room_row,
)

WEEK = ("mon", "tue", "wed", "thu", "fri")
LONG = ((NOW - 33 * DAY, NOW),)
LYON = City("lyon", "Lyon", "Europe/Paris", WEEK, "08:00", "18:00", LONG)
TORONTO = City("toronto", "Toronto", "America/Toronto", WEEK, "09:00", "17:30", LONG)
SINGAPORE = City("singapore", "Singapore", "Asia/Singapore", WEEK, "09:00", "18:00", ((at("2026-10-20T01:00"), NOW),))
LOCATIONS = {"lyon": ("Part-Dieu", "Confluence"), "toronto": ("King Street",), "singapore": ("Marina Bay", "Jurong")}
NAMES = ("Ampère", "Bellecour", "Curie", "Dalton", "Edison", "Faraday", "Galvani", "Hertz", "Ising", "Joule")
PRODUCTS = ("Cisco Room Bar", "Cisco Board Pro 55", "Cisco Desk Pro")
FIRMWARE = {"RoomOS 26.9.1": 0.0, "RoomOS 26.8.2": 31.0, "RoomOS 26.5.1": 118.0}
RULES = ("room-humidity", "room-over-capacity", "call-quality", "device-flapping")


def estate() -> ReportStore:
    """The estate as of the world's now."""
    chance = random.Random("roompulse")
    cities = (LYON, TORONTO, SINGAPORE)
    processed: list[Row] = []
    alerts: list[Row] = []
    minutes: list[Row] = []
    for city in cities:
        for number, name in enumerate(NAMES[: 10 if city is LYON else 5]):
            processed += _room(city, number, name, chance)
            alerts += _alerts(city, number, name, chance)
        minutes += [*city_minutes(city), *_minutes(city, chance)]
    rows = {"Processed": processed, "Alerts": alerts, "CityMinute": minutes}
    return ReportStore(NOW, rows, [city.script for city in cities])


def _place(city: City, number: int, name: str) -> Row:
    locations = LOCATIONS[city.slug]
    return {"workspaceId": f"{city.slug}-{number}", "workspaceName": name, "locationName": locations[number % len(locations)]}


def _room(city: City, number: int, name: str, chance: random.Random) -> Iterator[Row]:
    place = _place(city, number, name)
    software = list(FIRMWARE)[min(2, number % 5)]
    health = {0: "down", 3: "issues", 6: "asleep"}.get(number if city is LYON else number + 3, "up")
    state = {
        "product": PRODUCTS[number % 3],
        "software": software,
        "health": health,
        "connectionStatus": {"down": "disconnected", "issues": "connected_with_issues"}.get(health, "connected"),
        "errorCodes": ["touchpanelconnection"] if health == "issues" else [],
        "statusSince": NOW - chance.randrange(1, 60) * HOUR,
        "name": f"{name} {PRODUCTS[number % 3].split(' ', 1)[1]}",
    }
    device = f"{city.slug}-device-{number}"
    drops = 5 if number == 3 and city is LYON else 0
    yield device_row(device, city.slug, NOW - MINUTE, {"firmwareBehind": FIRMWARE[software], "drops": drops}) | place | state
    yield from _readings(city, place, number, chance)
    yield from _bookings(city, place, number, chance)
    for day in range(1, 14):
        loss = max(0.0, chance.gauss(0.4 + number * 0.15, 0.4))
        call = {"inCall": 1, "callLoss": round(loss, 2), "callJitter": chance.randrange(4, 30)}
        yield device_row(device, city.slug, NOW - day * DAY, call) | place | state


def _readings(city: City, place: Row, number: int, chance: random.Random) -> Iterator[Row]:
    warm = 20.6 + number * 0.55
    for step in range(1, 14 * 8):
        moment = NOW - step * 3 * HOUR
        yield room_row(str(place["workspaceId"]), city.slug, moment, _reading(city, moment, warm, chance)) | place
    yield room_row(str(place["workspaceId"]), city.slug, NOW - MINUTE, _reading(city, NOW - 3 * HOUR, warm, chance)) | place


def _bookings(city: City, place: Row, number: int, chance: random.Random) -> Iterator[Row]:
    """Two weeks of bookings on weekdays, and how the room is used now."""
    room = str(place["workspaceId"])
    for hour in range(1, 14 * 24):
        moment = (NOW - hour * HOUR).replace(minute=0)
        if city.is_open(city.local(moment - MINUTE)):
            booked = 60.0 if chance.random() < 0.6 else 0.0
            came = chance.random() < 0.93 - number * 0.02
            used = float(chance.randrange(25, 60)) if booked and came else 0.0
            yield room_row(room, city.slug, moment, {"timeBooked": booked, "timeUsed": used}) | place
            if booked:
                yield room_row(room, city.slug, moment, {"noShow": float(not came)}) | place
    empty = {"booked": 1.0, "unattendedMinutes": 14.0, "inUse": 0.0}
    there = {"booked": float(number % 3 != 2), "unattendedMinutes": 0.0, "inUse": float(number % 3 == 0)}
    yield room_row(room, city.slug, NOW - 2 * MINUTE, empty if number == 4 else there) | place


def _reading(city: City, moment: datetime, warm: float, chance: random.Random) -> dict[str, float]:
    local = city.local(moment)
    sun = math.sin((local.hour - 8) / 24 * 2 * math.pi)
    used = chance.random() < (0.55 if city.is_open(local) else 0.03)
    return {
        "temperature": round(warm + sun + chance.gauss(0, 0.3), 1),
        "humidity": round(44 + 4 * sun + chance.gauss(0, 2)),
        "tvoc": float(chance.randrange(60, 260)),
        "inUse": float(used),
        "peopleCount": float(chance.randrange(1, 7) if used else 0),
        "capacity": 8.0,
    }


def _alerts(city: City, number: int, name: str, chance: random.Random) -> Iterator[Row]:
    """A room has lost its device for half an hour or so now and then, and has had some other alert; some are open."""
    place = _place(city, number, name)
    device = f"{city.slug}-device-{number}"
    for _ in range(chance.randrange(1, 4)):
        start = NOW - chance.randrange(3, 29 * 24) * HOUR - chance.randrange(60) * MINUTE
        for row in alert_rows(Outage(device, city.slug, start, start + chance.randrange(8, 200) * MINUTE)):
            yield row | place | {"name": f"{name} {PRODUCTS[number % 3].split(' ', 1)[1]}"}
    if number == 0 and city is LYON:
        for row in alert_rows(Outage(device, city.slug, NOW - 95 * MINUTE, None)):
            yield row | place | {"name": f"{name} Room Bar"}
        for row in alert_rows(Outage(str(place["workspaceId"]), city.slug, NOW - 94 * MINUTE, None), "room-unusable"):
            yield row | place | {"name": name, "entity": "workspace", "severity": 1}
    start = NOW - chance.randrange(2, 400) * HOUR
    end = None if number % 4 == 1 else start + chance.randrange(20, 110) * MINUTE
    for row in alert_rows(Outage(str(place["workspaceId"]), city.slug, start, end), RULES[number % 4]):
        yield row | place | {"name": name, "entity": "workspace", "severity": 3}


def _minutes(city: City, chance: random.Random) -> Iterator[Row]:
    down = 1.0
    for step in range(144, 0, -1):
        down = max(0.0, min(4.0, down + chance.choice((0, 0, 0, 0, 0, 1, -1))))
        for signal, mean in (("devicesDown", down), ("devicesIssues", 1.0 + (step % 70 < 20))):
            yield {"windowEnd": NOW - step * 10 * MINUTE, "cityId": city.slug, "signal": signal, "mean": mean}
