"""Office hours of a city as spans of time, so that a trend shows whether anybody was there. They are those of its stack."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from local.run_settings import LocalCity

DAYS = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
"""As `date.weekday` counts."""


def office_hours(city: LocalCity, begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The spans of office hours that overlap `begin` to `end` (both timezone-aware), in UTC and in order, cut to that range."""
    zone = ZoneInfo(city.time_zone)
    working = {list(DAYS).index(day) for day in city.office_days}
    day, last = begin.astimezone(zone).date(), end.astimezone(zone).date()
    spans = []
    while day <= last:
        opens, closes = max(_moment(day, city.opens, zone), begin), min(_moment(day, city.closes, zone), end)
        if day.weekday() in working and opens < closes:
            spans.append((opens, closes))
        day += timedelta(days=1)
    return spans


def office_hours_text(city: LocalCity) -> str:
    """Such as `Monday to Friday, 08:00 to 18:00`."""
    return f"{_days_text(city.office_days)}, {city.opens} to {city.closes}"


def _days_text(days: tuple[str, ...]) -> str:
    order = list(DAYS)
    at = sorted(order.index(day) for day in days)
    names = [DAYS[order[number]] for number in at]
    if len(names) == len(DAYS):
        return "Every day"
    if len(names) > 2 and at == list(range(at[0], at[-1] + 1)):
        return f"{names[0]} to {names[-1]}"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _moment(day: date, clock_time: str, zone: ZoneInfo) -> datetime:
    """A day's time of day (HH:MM, up to 24:00) in UTC."""
    if clock_time == "24:00":
        return _moment(day + timedelta(days=1), "00:00", zone)
    return datetime.combine(day, time.fromisoformat(clock_time), zone).astimezone(UTC)
