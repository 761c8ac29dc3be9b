"""Rows of a small estate that has all that reports have gone wrong on, and what is true of them, counted minute by minute.

Lyon was deployed late, lay dead for a day and has a removed device; Pune is half an hour off the hour and works on Sundays;
Berlin is open day and night while its clocks change; Tokyo has no device; Ghost isn't declared.
"""

from __future__ import annotations

import atexit
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from powerbi.city_view import SUNDAY_FIRST, city_view
from tests.support.report_store import ReportStore, Row

at = datetime.fromisoformat
"""A moment in UTC, as the live store has it: naive."""
NOW = at("2026-11-04T15:30")
UTC = ZoneInfo("UTC")
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@dataclass(frozen=True)
class City:
    """A declared city; `seen` are the spans (UTC) in which it was observed."""

    slug: str
    name: str
    zone: str
    days: tuple[str, ...]
    opens: str
    closes: str
    seen: tuple[tuple[datetime, datetime], ...]

    @property
    def script(self) -> str:
        """Its stored view."""
        return city_view(self.slug, self.name, self.zone, self.days, self.opens, self.closes, (f"{self.slug}@example.com",))

    def local(self, moment: datetime) -> datetime:
        """A moment by the city's clock."""
        return moment.replace(tzinfo=UTC).astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)

    def is_open(self, local: datetime) -> bool:
        """Whether a local time is within office hours."""
        return SUNDAY_FIRST[local.isoweekday() % 7] in self.days and self.opens <= f"{local:%H:%M}" < self.closes


LONG = ((NOW - 45 * DAY, NOW),)
LYON = City(
    "lyon", "Lyon", "Europe/Paris", ("mon", "tue", "wed", "thu", "fri"), "08:00", "18:00",
    ((at("2026-10-20T10:00"), at("2026-10-28T20:00")), (at("2026-10-30T06:00"), NOW)),
)  # fmt: skip
PUNE = City("pune", "Pune", "Asia/Kolkata", ("sun", "mon", "tue", "wed", "thu"), "09:30", "18:30", LONG)
BERLIN = City("berlin", "Berlin", "Europe/Berlin", SUNDAY_FIRST, "00:00", "24:00", LONG)
TOKYO = City("tokyo", "Tokyo", "Asia/Tokyo", ("mon",), "09:00", "17:00", LONG)
CITIES = (LYON, PUNE, BERLIN, TOKYO)


@dataclass(frozen=True)
class Outage:
    """A device was down from `start` to `end` (UTC; None: still)."""

    device: str
    city: str
    start: datetime
    end: datetime | None


DEVICES = {"a": "lyon", "b": "lyon", "d": "pune", "e": "pune", "f": "berlin"}
"""The devices that are there, with their cities."""
OUTAGES = (
    Outage("a", "lyon", NOW - 40 * DAY, None),
    Outage("b", "lyon", at("2026-10-27T16:40"), at("2026-10-28T07:20")),
    Outage("b", "lyon", at("2026-10-28T12:00"), at("2026-10-30T12:00")),
    Outage("c", "lyon", NOW - 20 * DAY, NOW - 2 * DAY),
    Outage("d", "pune", at("2026-10-22T03:07"), at("2026-10-25T06:01")),
    Outage("f", "berlin", at("2026-10-24T21:30"), at("2026-10-25T02:30")),
    Outage("g", "ghost", NOW - 3 * DAY, None),
)


def device_row(identity: str, city: str, moment: datetime, signals: Mapping[str, float | None] | None = None, **more: Any) -> Row:
    """An observation of a device."""
    room = {"workspaceId": f"room-{identity}", "workspaceName": f"Room {identity}", "locationName": "Centre"}
    return _row("device", identity, city, moment, signals or {}) | room | {"connectionStatus": "connected", "health": "up"} | more


def room_row(identity: str, city: str, moment: datetime, signals: Mapping[str, float | None]) -> Row:
    """A reading of a room."""
    return _row("workspace", identity, city, moment, signals)


_NUMBERS = itertools.count()


def _row(entity: str, identity: str, city: str, moment: datetime, signals: Mapping[str, float | None]) -> Row:
    return {
        "id": f"o-{next(_NUMBERS)}",
        "observedAt": moment,
        "entity": entity,
        "entityId": identity,
        "cityId": city,
        "name": f"Name of {identity}",
        "errorCodes": [],
        "signals": [{"name": name, "value": value, "rules": []} for name, value in signals.items()],
    }


def alert_rows(outage: Outage, rule: str = "device-offline") -> Iterator[Row]:
    """What an outage leaves: an alert that fires five minutes after its start, and resolves."""
    alert = {
        "alertId": f"{rule}|{outage.device}|{outage.start.isoformat()}",
        "ruleId": rule,
        "severity": 2,
        "entity": "device",
        "entityId": outage.device,
        "cityId": outage.city,
        "name": f"Name of {outage.device}",
        "startedAt": outage.start,
    }
    yield alert | {"state": "fired", "observedAt": outage.start + 5 * MINUTE}
    if outage.end:
        yield alert | {"state": "resolved", "observedAt": outage.end}


def city_minutes(city: City) -> Iterator[Row]:
    """The first and the last minute of each span, and those on either side of the city's midnights: enough for first and last."""
    for start, end in city.seen:
        quarters = [start.replace(minute=0) + number * HOUR / 4 for number in range(int((end - start) / HOUR) * 4 + 4)]
        days = [city.local(moment).date() for moment in quarters]
        midnights = [quarters[n] for n in range(1, len(days)) if days[n] != days[n - 1] and start < quarters[n] < end]
        for moment in (start + MINUTE, *midnights, *(midnight + MINUTE for midnight in midnights), end):
            yield {"windowEnd": moment, "cityId": city.slug, "signal": "devices", "mean": 2.0}


@cache
def world() -> ReportStore:
    """The estate."""
    recent = NOW - 10 * MINUTE
    down = {"health": "down", "connectionStatus": "disconnected"}
    devices = [
        device_row(identity, city, recent, {"offline": 0}, **(down if identity == "a" else {}))
        for identity, city in [*DEVICES.items(), ("g", "ghost")]
    ]
    removed = device_row("c", "lyon", recent, connectionStatus="removed")
    rows = {
        "Processed": [*devices, removed],
        "CityMinute": [row for city in CITIES for row in city_minutes(city)],
        "Alerts": [row for outage in OUTAGES for row in alert_rows(outage)],
    }
    return ReportStore(NOW, rows, [city.script for city in CITIES])


atexit.register(world.cache_clear)  # DuckDB complains of what is still there when it goes


@cache
def office_minutes(city: City) -> Mapping[date, frozenset[datetime]]:
    """The office minutes (UTC) of the last 31 days in which the city was observed, by its own day: true by definition."""
    days: dict[date, set[datetime]] = {}
    seen = [minute for start, end in city.seen for minute in _minutes(start, end)]
    by_day: dict[date, list[datetime]] = {}
    for minute in seen:
        by_day.setdefault(city.local(minute).date(), []).append(minute)
    today = city.local(NOW).date()
    for day, minutes in by_day.items():
        if today - timedelta(days=30) <= day:
            spanned = _minutes(min(minutes), max(minutes) + MINUTE)
            days[day] = {minute for minute in spanned if city.is_open(city.local(minute))}
    return {day: frozenset(minutes) for day, minutes in days.items()}


def availability(city: City | None = None, device: str | None = None, day: date | None = None) -> float | None:
    """Share of observed office minutes that devices were not down; None when there are none."""
    total = down = 0
    for identity, slug in DEVICES.items():
        place = next(one for one in CITIES if one.slug == slug)
        if (city and city is not place) or (device and device != identity):
            continue
        outages = [(outage.start, outage.end or NOW) for outage in OUTAGES if outage.device == identity]
        for date_, minutes in office_minutes(place).items():
            if day in (None, date_):
                total += len(minutes)
                down += sum(any(start <= minute < end for start, end in outages) for minute in minutes)
    return 1 - down / total if total else None


def _minutes(start: datetime, end: datetime) -> list[datetime]:
    first = start.replace(second=0, microsecond=0)
    return [first + number * MINUTE for number in range(int((end - first) / MINUTE))]
