"""Office hours of a city as spans of time, so that a trend shows whether anybody was there.

No API says when an office is open: Monday to Friday, 8 to 18 o'clock in the city's own time is our assumption; the page says so.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

OPENS, CLOSES = time(8), time(18)
WORKING_DAYS = range(5)
"""Monday to Friday, as `date.weekday` counts."""


def office_hours(time_zone: str, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The spans of office hours that overlap `begin` to `end` (both timezone-aware), in UTC and in order, cut to that range."""
    zone = ZoneInfo(time_zone)
    day, last = begin.astimezone(zone).date(), end.astimezone(zone).date()
    spans = []
    while day <= last:
        opens, closes = max(_moment(day, OPENS, zone), begin), min(_moment(day, CLOSES, zone), end)
        if day.weekday() in WORKING_DAYS and opens < closes:
            spans.append((opens, closes))
        day += timedelta(days=1)
    return spans


def _moment(day: date, clock_time: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, clock_time, zone).astimezone(UTC)
