"""Change detection: which devices differ from what was last acknowledged, and what several polls together report about a device.

State is committed only after the send is acknowledged, so a crash repeats observations and never loses one. A send that was not
acknowledged may have arrived all the same, and the device may be back to what it was by the next poll. So what is about to be
sent is written down first as uncertain, and an uncertain device is sent again whatever it is then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Literal, NamedTuple

from processors.ingest.directory import Place
from processors.ingest.error_codes import DISPLAY, critical_codes
from processors.ingest.health import UNHEALTHY, health_of, says_nothing
from processors.ingest.records import Device
from processors.timestamps import format_time, parse_time

Reason = Literal["change", "unhealthy", "snapshot"]

GONE_AFTER_POLLS = 3
"""A device is gone when this many complete polls in a row did not list it: paging over a changing list can skip a row."""
OLDEST_LAST_SEEN = timedelta(days=30)
"""An older lastSeen says nothing about the present trouble: Control Hub itself calls such devices expired."""


DROPS_REMEMBERED = timedelta(hours=1)
"""Drops are counted over so long: a device that goes down several times an hour flaps, however short each time is."""
DISPLAY_PATIENCE = timedelta(minutes=2)
"""A display that wakes up is reported lost for 20 to 90 s: only what lasts longer is an issue."""


class Condition(NamedTuple):
    """What a single record can't report about a device.

    `drops`: the polls of the last hour that saw it go down. `display_lost_since`: the poll since which it has reported a lost
    display; `display_lost`: for so long that it is one. `in_maintenance`: it, or its room, is being worked on as planned.
    `days_behind`: age of its firmware, see `firmware`; None when unknown. What it said itself when it was last asked (xAPI):
    `standby`; `in_call`, None when it has not been asked; loss (%) and jitter (ms) of the call, None while nobody has asked for
    them in this call. The state keeps these fields by their names (state_records.py): a new one has a default.
    """

    drops: tuple[str, ...] = ()
    display_lost_since: str | None = None
    display_lost: bool = False
    in_maintenance: bool = False
    days_behind: int | None = None
    standby: bool = False
    in_call: bool | None = None
    call_loss: float | None = 0.0
    call_jitter: float | None = 0.0

    @property
    def has_said_something(self) -> bool:
        """Whether the device has said something of itself that still holds."""
        return _said_in(self) != _NOTHING_SAID

    def measured(self) -> Mapping[str, float]:
        """The signals that may be unknown, as far as they are known; without a call its quality is 0."""
        known: dict[str, float] = {}
        if self.days_behind is not None:
            known["firmwareBehind"] = self.days_behind
        if self.in_call is not None:
            quality = {"callLoss": self.call_loss, "callJitter": self.call_jitter}
            known |= {"inCall": int(self.in_call), **{name: value for name, value in quality.items() if value is not None}}
        return known

    def worth_sending(self) -> Mapping[str, float]:
        """The signals that are sent whether or not a rule looks at them: what isn't 0, and that no call is on, or a good one."""
        values = {"drops": len(self.drops), **self.measured()}
        at_0 = ("inCall", "callLoss", "callJitter") if self.in_call else ("inCall",)
        return {name: value for name, value in values.items() if value or name in at_0}


ORDINARY = Condition()
SAID = ("standby", "in_call", "call_loss", "call_jitter")
"""What a device says of itself: it holds until the device says something else, is gone, or has not been heard for long."""
_said_in = attrgetter(*SAID)
_NOTHING_SAID = _said_in(ORDINARY)


class KnownDevice(NamedTuple):
    """A device as it was last acknowledged: what it was, where, since when in its status; polls in a row that missed it."""

    device: Device
    place: Place
    status_since: str
    missed_polls: int
    condition: Condition = ORDINARY

    @property
    def is_down(self) -> bool:
        """Whether it can't be reached, and nobody has planned that."""
        return health_of(self.device.connection_status) == "down" and not self.condition.in_maintenance

    @property
    def critical_codes(self) -> list[str]:
        """Its critical issues. A display that is lost while the device sleeps is none: it sleeps too."""
        codes = critical_codes(self.device.error_codes)
        return [code for code in codes if code not in DISPLAY] if self.condition.standby else codes


def observed(
    device: Device,
    place: Place,
    before: KnownDevice | None,
    poll_time: datetime,
    in_maintenance: bool = False,
    days_behind: int | None = None,
) -> KnownDevice:
    """What is known of a device after this poll saw it. `lastSeen` isn't kept: it moves all the time, which is not a change.

    A status that says nothing leaves the device as it was.
    """
    if before is not None and says_nothing(device.connection_status):
        device = device._replace(connection_status=before.device.connection_status)
    if before is None:
        since = format_time(_first_status_since(device, poll_time))
    elif before.device.connection_status == device.connection_status:
        since = before.status_since
    else:
        since = format_time(poll_time)
    drops = _drops(device, before, poll_time, in_maintenance)
    lost_since, lost = _display(device, before, poll_time)
    condition = Condition(drops, lost_since, lost, in_maintenance, days_behind)
    if before is not None and before.condition.has_said_something and is_there(device):
        condition = with_what_it_said(condition, before.condition)
    return KnownDevice(device._replace(last_seen=None), place, since, 0, condition)


def with_what_it_said(condition: Condition, reported: Condition) -> Condition:
    """A condition with what the device has said of itself."""
    return condition._replace(**dict(zip(SAID, _said_in(reported), strict=True)))


def answers(device: Device) -> bool:
    """Whether a device can be asked for its status now: we may, and it is there."""
    return device.may_be_asked and is_there(device)


def is_there(device: Device) -> bool:
    """Whether a device is connected, so that what it has said of itself still holds."""
    return (device.connection_status or "").startswith("connected")


def issues_are_seen(device: Device) -> bool:
    """Whether the issues that are listed are all there are: a device that can't be reached reports none, which is not none.

    Nor does one that is said to have issues, of which none is listed.
    """
    health = health_of(device.connection_status)
    return health == "up" or (health == "issues" and bool(device.error_codes))


def reason_to_send(before: KnownDevice | None, now: KnownDevice, snapshot: bool, uncertain: bool = False) -> Reason | None:
    """Why this device has to be sent in this poll, None when it need not be."""
    if before is None:
        return "snapshot" if snapshot else "change"
    if uncertain or now.device != before.device or now.place != before.place or now.condition != before.condition:
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


def _drops(device: Device, before: KnownDevice | None, poll_time: datetime, in_maintenance: bool) -> tuple[str, ...]:
    """When it went down in the last hour. The first sighting of a device is not a drop, nor is one that was planned,
    or one from a status that did not say it was up.
    """
    if before is None:
        return ()
    drops = before.condition.drops
    if drops:
        oldest = format_time(poll_time - DROPS_REMEMBERED)
        drops = tuple(drop for drop in drops if drop > oldest)
    is_down = health_of(device.connection_status) == "down"
    if is_down and health_of(before.device.connection_status) not in ("down", "unknown") and not in_maintenance:
        drops = (*drops, format_time(poll_time))
    return drops


def _display(device: Device, before: KnownDevice | None, poll_time: datetime) -> tuple[str | None, bool]:
    """Since which poll the device has reported a lost display, and whether that is long enough to believe it.

    A display once believed to be lost stays so while the device reports no issues.
    """
    if before and before.condition.display_lost and not before.condition.standby and not issues_are_seen(device):
        return before.condition.display_lost_since, True
    if not device.error_codes or DISPLAY.isdisjoint(device.error_codes) or (before and before.condition.standby):
        return None, False
    since = (before.condition.display_lost_since if before else None) or format_time(poll_time)
    return since, since <= format_time(poll_time - DISPLAY_PATIENCE)
