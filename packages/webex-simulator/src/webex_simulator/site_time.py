"""Local days of a site: when they begin and end in UTC, daylight saving included; and where on Earth a time zone is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

HOUR = 3600.0
DAY = 86400.0
_QUARTER = 900
"""Seconds. Every UTC offset in use is a multiple of a quarter of an hour, so a quarter lies within one local day."""


class LocalDay(NamedTuple):
    """A calendar day at a site: its proleptic ordinal, its weekday (Monday 0), and its bounds in seconds since the epoch."""

    ordinal: int
    weekday: int
    year: int
    month: int
    start: float
    end: float

    def hour(self, seconds: float) -> int:
        """Hours since local midnight, 0..23."""
        return min(23, int((seconds - self.start) // HOUR))


def local_day(zone: str, seconds: float) -> LocalDay:
    """The local day a moment (seconds since the epoch) falls on in an IANA time zone."""
    return _day_of_quarter(zone, int(seconds // _QUARTER))


@lru_cache(maxsize=4096)
def _day_of_quarter(zone: str, quarter: int) -> LocalDay:
    today = datetime.fromtimestamp(quarter * _QUARTER, _zone(zone)).date()
    start, end = (_midnight(zone, day) for day in (today, today + timedelta(days=1)))
    return LocalDay(today.toordinal(), today.weekday(), today.year, today.month, start, end)


@lru_cache(maxsize=1024)
def nights_of(zone: str, year: int, month: int, first: int, count: int) -> tuple[float, ...]:
    """When `count` nights in a row begin (local midnight, seconds since the epoch), from day `first` of a month on."""
    return tuple(_midnight(zone, date(year, month, first) + timedelta(days=number)) for number in range(count))


def _midnight(zone: str, day: date) -> float:
    return datetime.combine(day, time(), _zone(zone)).timestamp()


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


class Whereabouts(NamedTuple):
    """The country (ISO 3166) and the coordinates (decimal degrees) of the main city of a time zone."""

    country: str
    latitude: float
    longitude: float


@cache
def whereabouts(zone: str) -> Whereabouts | None:
    """Where the zone's main city lies, from the time zone database; None for zones of no country, such as UTC."""
    for line in files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if not line.startswith("#") and fields[2] == zone:
            sign = max(fields[1].rfind("+"), fields[1].rfind("-"))
            return Whereabouts(fields[0], _degrees(fields[1][:sign], 2), _degrees(fields[1][sign:], 3))
    return None


def _degrees(text: str, digits: int) -> float:
    """Degrees of ISO 6709 text such as +4852 or -0792252 (`digits` of whole degrees, then minutes, then perhaps seconds)."""
    whole, minutes, rest = text[1 : digits + 1], text[digits + 1 : digits + 3], text[digits + 3 :]
    value = int(whole) + int(minutes) / 60 + int(rest or 0) / 3600
    return round(-value if text[0] == "-" else value, 4)


def iso(seconds: float) -> str:
    """Seconds since the epoch as Webex writes times: ISO 8601, UTC, milliseconds, Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(seconds % 1 * 1000):03d}Z"


def parse_iso(text: str) -> float:
    """Seconds since the epoch of ISO 8601 text; without an offset it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
