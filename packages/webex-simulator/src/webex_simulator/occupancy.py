"""People in rooms: meetings by weekday and hour of the site, so that every city has its own working day.

At most one meeting an hour and room. Booked and used shares at the peak follow published room statistics (booked 60-80 %, in use
30-50 %); the shape of the day is judgement.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from webex_simulator.chance import between, key, unit, weighted
from webex_simulator.estate import Workspace
from webex_simulator.site_time import HOUR, LocalDay, local_day

WEEKDAY_FACTORS = (0.55, 1.0, 1.0, 0.95, 0.35, 0.02, 0.02)
HOUR_FACTORS = (
    0,
    0,
    0,
    0,
    0,
    0,
    0.02,
    0.12,
    0.45,
    0.85,
    1.0,
    0.95,
    0.55,
    0.70,
    0.95,
    0.90,
    0.65,
    0.30,
    0.10,
    0.04,
    0.02,
    0,
    0,
    0,
)
BOOKED_AT_PEAK = 0.70
NO_SHOW = 0.18
WALK_IN = 0.14
"""Rooms nobody booked that are used nevertheless, at the peak: about a tenth of all use."""
LATE_START = 0.20
OVER_CAPACITY = 0.05
PARTIES = (((1, 1), 0.40), ((2, 3), 0.35), ((4, 6), 0.18), ((7, 14), 0.07))
SEATS_WHEN_UNKNOWN = 6
LOOK_BACK_HOURS = 4
"""What people did to the air longer ago than this is not felt any more."""

_BOOKED, _SHOWS, _WALKS_IN, _PARTY, _PARTY_SIZE = (
    key(f"meeting {name}") for name in ("booked", "shows", "walk-in", "party", "size")
)
_LATE, _LENGTH, _CROWDED = (key(f"meeting {name}") for name in ("late", "length", "crowded"))


class Meeting(NamedTuple):
    """People in a room from `start` to `end` (seconds since the epoch)."""

    start: float
    end: float
    people: int


def is_booked(workspace: Workspace, seconds: float) -> bool:
    """Whether the calendar holds the room in the hour of a moment."""
    day, hour = _hour(workspace, seconds)
    return unit(workspace.key, _BOOKED, _slot(day, hour)) < BOOKED_AT_PEAK * _demand(day, hour)


def booked_minutes(workspace: Workspace, start: float, end: float) -> float:
    """Minutes between two moments in which the calendar holds the room."""
    return sum((b - a) / 60 for a, b in _hours(start, end) if is_booked(workspace, a))


def used_minutes(workspace: Workspace, start: float, end: float) -> float:
    """Minutes between two moments in which somebody is in the room."""
    meetings = ((a, b, _meeting_in_hour(workspace, a)) for a, b in _hours(start, end))
    return sum(max(0.0, min(b, meeting.end) - max(a, meeting.start)) / 60 for a, b, meeting in meetings if meeting)


def _hours(start: float, end: float) -> Iterator[tuple[float, float]]:
    """The parts of a time that lie within one hour; zones off by half an hour begin theirs by the half."""
    begin = start
    while begin < end:
        until = min(end, (begin // (HOUR / 2) + 1) * HOUR / 2)
        yield begin, until
        begin = until


def people_at(workspace: Workspace, seconds: float) -> int:
    """How many people are in a workspace."""
    meeting = meeting_at(workspace, seconds)
    return meeting.people if meeting else 0


def meeting_at(workspace: Workspace, seconds: float) -> Meeting | None:
    """The meeting in progress, if there is one."""
    meeting = _meeting_in_hour(workspace, seconds)
    return meeting if meeting and meeting.start <= seconds < meeting.end else None


def next_change(workspace: Workspace, seconds: float) -> float:
    """When people next come or go, or the hour is over: until then a room is used as it is now."""
    day, hour = _hour(workspace, seconds)
    meeting = _meeting_in_hour(workspace, seconds)
    bounds = [day.start + (hour + 1) * HOUR, day.end, *((meeting.start, meeting.end) if meeting else ())]
    return float(min(bound for bound in bounds if bound > seconds))


def lingering(workspace: Workspace, seconds: float, lag: float) -> float:
    """The people a room still feels: follows their number like temperature does, with a lag (time constant) in seconds."""
    felt = 0.0
    for meeting in _recent_meetings(workspace, seconds):
        end = min(meeting.end, seconds)
        felt += meeting.people * (math.exp((end - seconds) / lag) - math.exp((meeting.start - seconds) / lag))
    return felt


def _recent_meetings(workspace: Workspace, seconds: float) -> Iterator[Meeting]:
    for hours in range(LOOK_BACK_HOURS):
        meeting = _meeting_in_hour(workspace, seconds - hours * HOUR)
        if meeting and meeting.start < seconds:
            yield meeting


def _meeting_in_hour(workspace: Workspace, seconds: float) -> Meeting | None:
    """The meeting of the hour a moment falls in: booked and attended, or walked in."""
    day, hour = _hour(workspace, seconds)
    demand = _demand(day, hour)
    if demand == 0:
        return None
    owner, slot = workspace.key, _slot(day, hour)
    if unit(owner, _BOOKED, slot) < BOOKED_AT_PEAK * demand:
        used = unit(owner, _SHOWS, slot) >= NO_SHOW
    else:
        used = unit(owner, _WALKS_IN, slot) < WALK_IN * demand
    if not used:
        return None
    late = unit(owner, _LATE, slot)
    start = day.start + hour * HOUR + (between(180, 900, late / LATE_START) if late < LATE_START else 0)
    length = between(24 * 60, 54 * 60, unit(owner, _LENGTH, slot))
    return Meeting(start, min(start + length, day.start + (hour + 1) * HOUR), _party(workspace, slot))


def _party(workspace: Workspace, slot: int) -> int:
    low, high = weighted(PARTIES, unit(workspace.key, _PARTY, slot))
    people = round(between(low, high, unit(workspace.key, _PARTY_SIZE, slot)))
    seats = workspace.seats or SEATS_WHEN_UNKNOWN
    if seats > 1 and unit(workspace.key, _CROWDED, slot) < OVER_CAPACITY:
        return seats + 1
    return min(people, seats)


def _hour(workspace: Workspace, seconds: float) -> tuple[LocalDay, int]:
    day = local_day(workspace.location.time_zone, seconds)
    return day, day.hour(seconds)


def _demand(day: LocalDay, hour: int) -> float:
    return WEEKDAY_FACTORS[day.weekday] * HOUR_FACTORS[hour]


def _slot(day: LocalDay, hour: int) -> int:
    return day.ordinal * 24 + hour
