"""The workspace metrics tiers: which readings and durations to ask for next, and how to understand the answer.

The API answers one metric of one workspace a call, so an estate is swept over many polls: at most `metricRequestsPerPoll` calls
each, the pair that was asked for longest ago first, and only metrics whose sensor is set up in the workspace. A watermark per
pair (newest reading sent) keeps readings from being lost or sent twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from processors.contracts.facts import is_unassigned
from processors.contracts.signals import CALENDAR, METRICS
from processors.ingest.directory import Directory
from processors.ingest.endpoint import DURATIONS
from processors.ingest.endpoint import METRICS as READINGS
from processors.ingest.records import BadRecord, Workspace, kind_of
from processors.ingest.state import Watermark
from processors.timestamps import format_time, parse_time, slot_of

LONGEST_LOOK_BACK = timedelta(hours=47)
"""The API refuses raw readings of 48 hours or more in one call."""
FIRST_LOOK_BACK = timedelta(minutes=10)
"""How far back a pair is read that was never read: enough for a current value, too little for a flood of history."""
SHORTEST_INTERVAL = timedelta(seconds=60)
"""Sensors report every few minutes: asking for the same pair more often would only use up requests."""
CLOCK_SKEW = timedelta(minutes=5)
"""How far in the future a reading may claim to be before it counts as rubbish."""


MEASUREMENTS = frozenset(name for name, capability in METRICS.items() if capability == CALENDAR)
"""Metrics that are reported by the hour: for how long a room was booked, or in use."""
HOUR = timedelta(hours=1)
MINUTES_OF_AN_HOUR = 60
HOUR_IS_KNOWN_AFTER = timedelta(minutes=15)
"""Assumed: what happened in an hour is counted in full so long after its end."""
FAR_TOO_MUCH = 1e12
"""No sensor reads so much, of whatever."""


class Ask(NamedTuple):
    """One call to make: a metric of a workspace, and its watermark so far."""

    workspace: Workspace
    metric: str
    watermark: Watermark | None

    @property
    def key(self) -> tuple[str, str]:
        """What the watermark is kept under."""
        return self.workspace.id, self.metric


class Reading(NamedTuple):
    """A measured value and the time it was measured at."""

    time: datetime
    value: float


def asks(
    directory: Directory,
    metrics: tuple[str, ...],
    watermarks: Mapping[tuple[str, str], Watermark],
    poll_time: datetime,
    every: timedelta = SHORTEST_INTERVAL,
) -> list[Ask]:
    """What may be asked for in this poll, longest unasked first. Workspaces of no city are left out: nobody watches them.

    `every`: how often a pair is asked for at most; what was asked "later than now" was so before the clock was set back.
    """
    latest, now = format_time(poll_time - every), format_time(poll_time)
    due = [
        Ask(workspace, metric, watermark)
        for workspace in directory.workspaces.values()
        if workspace.configured and not is_unassigned(directory.place_of(workspace.location_id, workspace.id).city_id)
        for metric in metrics
        if METRICS[metric] in workspace.configured
        for watermark in [watermarks.get((workspace.id, metric))]
        if watermark is None or not latest < watermark.asked_at <= now
        if metric not in MEASUREMENTS or _hour_is_new(watermark, poll_time)
    ]
    due.sort(key=lambda ask: ask.watermark.asked_at if ask.watermark else "")
    return due


def path_of(metric: str) -> str:
    """The endpoint that has a metric."""
    return DURATIONS if metric in MEASUREMENTS else READINGS


def query(ask: Ask, poll_time: datetime) -> dict[str, str]:
    """The parameters of the call that reads on where the watermark stands."""
    if ask.metric in MEASUREMENTS:
        return {
            "workspaceId": ask.workspace.id,
            "measurement": ask.metric,
            "aggregation": "hourly",
            "from": format_time(_read_from(ask, poll_time)),
            "to": format_time(known_hours_end(poll_time)),
        }
    return {
        "workspaceId": ask.workspace.id,
        "metricName": ask.metric,
        "aggregation": "none",
        "from": format_time(_read_from(ask, poll_time)),
        "to": format_time(poll_time),
        "sortBy": "oldestFirst",
    }


def read_duration(item: object, poll_time: datetime) -> Reading:
    """How many minutes of an hour, at its end, from its JSON; raises BadRecord."""
    if not isinstance(item, dict):
        raise BadRecord("the duration is not an object")
    reading = read_reading({"timestamp": item.get("end"), "value": item.get("duration")}, poll_time)
    if not 0 <= reading.value <= MINUTES_OF_AN_HOUR:
        raise BadRecord("duration is a number of minutes that no hour has")
    return reading


def known_hours_end(poll_time: datetime) -> datetime:
    """The end of the last hour of which everything is known."""
    return slot_of(poll_time - HOUR_IS_KNOWN_AFTER, HOUR.total_seconds())


def read_reading(item: object, poll_time: datetime) -> Reading:
    """A reading from its JSON; raises BadRecord. 21 and 21.0 are one reading, however it has come."""
    if not isinstance(item, dict):
        raise BadRecord("the reading is not an object")
    time, value = parse_time(item.get("timestamp")), item.get("value")
    if time is None:
        raise BadRecord(f"timestamp is {kind_of(item.get('timestamp'))} that is not a time")
    if time > poll_time + CLOCK_SKEW:
        raise BadRecord("timestamp lies in the future")
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < FAR_TOO_MUCH:
        raise BadRecord(f"value is {kind_of(value)} that no sensor reads")
    return Reading(time, int(value) if value == int(value) else value)


def new_readings(readings: list[Reading], ask: Ask, poll_time: datetime) -> list[Reading]:
    """The readings after the watermark, oldest first, each once.

    A people count is -1 while the device sleeps or does not count: that is not a number of people, and is left out.
    """
    start = _read_from(ask, poll_time)
    if ask.metric in MEASUREMENTS:
        end = known_hours_end(poll_time)
        return sorted({reading for reading in readings if start < reading.time <= end})
    lowest = 0 if ask.metric == "peopleCount" else -math.inf
    return sorted({reading for reading in readings if reading.time > start and reading.value >= lowest})


def read_up_to(new: list[Reading], ask: Ask, poll_time: datetime) -> str | None:
    """How far a pair has been read once its `new` readings are sent; never ahead of the poll, whatever a sensor's clock says.

    After an answer without news the next question need not go back as far: readings come late by minutes, not by hours.
    """
    if ask.metric in MEASUREMENTS:
        return format_time(known_hours_end(poll_time))
    before = _read_from(ask, poll_time)
    read_to = min(new[-1].time, poll_time) if new else max(before, poll_time - FIRST_LOOK_BACK)
    return format_time(read_to) if new or (ask.watermark and ask.watermark.read_to) else None


def _read_from(ask: Ask, poll_time: datetime) -> datetime:
    read_to = parse_time(ask.watermark.read_to) if ask.watermark else None
    if ask.metric in MEASUREMENTS:
        end = known_hours_end(poll_time)
        return max(read_to, end - LONGEST_LOOK_BACK) if read_to is not None and read_to < end else end - HOUR
    if read_to is None or read_to >= poll_time:  # ahead: the clock has been set back
        return poll_time - FIRST_LOOK_BACK
    return max(read_to, poll_time - LONGEST_LOOK_BACK)


def _hour_is_new(watermark: Watermark | None, poll_time: datetime) -> bool:
    """Whether an hour has become known since the pair was read."""
    read_to = parse_time(watermark.read_to) if watermark else None
    return read_to is None or read_to != known_hours_end(poll_time)
