"""Change detection: which devices differ from what was last acknowledged, and since when they have been in their status.

State is committed only after the send is acknowledged, so a crash repeats observations and never loses one. A send that was not
acknowledged may have arrived all the same, and the device may be back to what it was by the next poll. So what is about to be
sent is written down first as uncertain, and an uncertain device is sent again whatever it is then.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from processors.ingest.directory import Place
from processors.ingest.health import UNHEALTHY, health_of
from processors.ingest.records import Device
from processors.timestamps import format_time, parse_time

Reason = Literal["change", "unhealthy", "snapshot"]

GONE_AFTER_POLLS = 3
"""A device is gone when this many complete polls in a row did not list it: paging over a changing list can skip a row."""
OLDEST_LAST_SEEN = timedelta(days=30)
"""An older lastSeen says nothing about the present trouble: Control Hub itself calls such devices expired."""


class KnownDevice(NamedTuple):
    """A device as it was last acknowledged: what it was, where, since when in its status; polls in a row that missed it."""

    device: Device
    place: Place
    status_since: str
    missed_polls: int


def observed(device: Device, place: Place, before: KnownDevice | None, poll_time: datetime) -> KnownDevice:
    """What is known of a device after this poll saw it. `lastSeen` isn't kept: it moves all the time, which is no change."""
    if before is None:
        since = format_time(_first_status_since(device, poll_time))
    elif before.device.connection_status == device.connection_status:
        since = before.status_since
    else:
        since = format_time(poll_time)
    return KnownDevice(device._replace(last_seen=None), place, since, 0)


def reason_to_send(before: KnownDevice | None, now: KnownDevice, snapshot: bool, uncertain: bool = False) -> Reason | None:
    """Why this device has to be sent in this poll, None when it need not be."""
    if before is None:
        return "snapshot" if snapshot else "change"
    if uncertain or now.device != before.device or now.place != before.place:
        return "change"
    if health_of(now.device.connection_status) in UNHEALTHY:
        return "unhealthy"
    return "snapshot" if snapshot else None


def _first_status_since(device: Device, poll_time: datetime) -> datetime:
    """Since when a device we meet for the first time has been so: a down one since Webex last saw it, if that is plausible."""
    last_seen = parse_time(device.last_seen) if health_of(device.connection_status) == "down" else None
    if last_seen is None or not poll_time - OLDEST_LAST_SEEN <= last_seen <= poll_time:
        return poll_time
    return last_seen
