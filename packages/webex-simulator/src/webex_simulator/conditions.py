"""The condition of every device at any moment: a function of the seed, the clock and the effects, with nothing stepped along.

So a simulator of ten thousand devices costs nothing while nobody asks, and a restart continues where the clock stands.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from webex_simulator.catalogue import ISSUE_WEIGHTS
from webex_simulator.chance import key, unit, weighted
from webex_simulator.effects import Effect, Effects
from webex_simulator.estate import Device, Estate, Location
from webex_simulator.firmware import UPGRADE_FAILS, Upgrade, software, upgrade
from webex_simulator.happenings import Happening, site_outage_on, starting_on
from webex_simulator.site_time import DAY, LocalDay, local_day

STANDING_SECONDS = 4 * DAY
"""How long a standing condition (unplugged, an issue nobody fixes) lasts."""
STANDING_STATES = (("disconnected", 0.018), ("activating", 0.002), ("unknown", 0.002), ("pending", 0.002))
"""Connection statuses that last, with their shares of all devices. `pending` is younger than the published list of statuses."""
ISSUES_SHARE = 0.05
"""Room devices with standing issues. With failed upgrades and lost peripherals about 4.5 % of all devices have issues."""
CODE_COUNTS = ((1, 0.78), (2, 0.18), (3, 0.04))
HEARTBEAT_SECONDS = 300.0
"""How often a device posts its status: `lastSeen` moves in steps of it."""
EXPIRED_CODE = "soontobedeactivated"
EXPIRED_SINCE = 1748851200.0
"""2025-06-02: when the devices in store were last seen."""
EXPIRED_SOFTWARE = "RoomOS 10.19.4.2 5d7b7a6f1e0"

_STANDING, _HEARTBEAT, _COUNT, _CODE = (key(name) for name in ("standing", "heartbeat", "issue count", "issue code"))


class Condition(NamedTuple):
    """How a device is, since when, and until when that is known to stay so. Times are seconds since the epoch.

    `in_maintenance`: somebody has put it into planned maintenance.
    """

    status: str
    codes: tuple[str, ...]
    software: str
    since: float
    last_seen: float
    valid_until: float
    in_maintenance: bool = False


class _Standing(NamedTuple):
    status: str
    codes: tuple[str, ...]
    start: float
    end: float


class Conditions:
    """Reports the condition of devices."""

    def __init__(self, estate: Estate, effects: Effects) -> None:
        self._estate = estate
        self._effects = effects
        self._days: dict[int, tuple[int, tuple[Happening, ...]]] = {}
        self._no_day = (-1, ())

    def at(self, device: Device, seconds: float) -> Condition:
        """The condition of a device at a moment."""
        if device.location is None:
            return Condition("offline_expired", (EXPIRED_CODE,), EXPIRED_SOFTWARE, EXPIRED_SINCE, EXPIRED_SINCE, math.inf)
        day = local_day(device.location.time_zone, seconds)
        planned = upgrade(device, device.location.time_zone, day)
        installed = software(device, day, planned, seconds)
        standing = self._standing(device, seconds)
        heartbeat = _last_heartbeat(device, seconds)
        valid_until = min(heartbeat + HEARTBEAT_SECONDS, standing.end, day.end)
        codes = dict.fromkeys(standing.codes, standing.start)
        down_since = standing.start if standing.status == "disconnected" else math.inf
        asleep_since = math.inf
        in_maintenance, reported_status = False, ""
        for start, end, kind, text in self._influences(device, device.location, day, planned, seconds):
            if seconds < start:
                valid_until = min(valid_until, start)
                continue
            if seconds >= end:
                continue
            valid_until = min(valid_until, end)
            if kind == "down":
                down_since = min(down_since, start)
            elif kind == "asleep":
                asleep_since = start
            elif kind == "firmware":
                installed = text
            elif kind == "maintenance":
                in_maintenance = True
            elif kind == "status":
                reported_status = text
            else:
                codes[text] = min(start, codes.get(text, start))
        if planned is not None and planned.fails and seconds >= planned.end:
            codes[UPGRADE_FAILS] = planned.end
        known = valid_until, in_maintenance
        if reported_status:
            return Condition(reported_status, tuple(codes), installed, standing.start, heartbeat, *known)
        if down_since < math.inf:
            return Condition("disconnected", (), installed, down_since, down_since, *known)
        if asleep_since < math.inf:
            return Condition("offline_deep_sleep", (), installed, asleep_since, asleep_since, *known)
        if standing.status:
            return Condition(standing.status, (), installed, standing.start, standing.start, *known)
        if codes:
            since = min(codes.values())
            return Condition("connected_with_issues", tuple(codes), installed, since, heartbeat, *known)
        return Condition("connected", (), installed, standing.start, heartbeat, *known)

    def _influences(
        self, device: Device, location: Location, day: LocalDay, planned: Upgrade | None, seconds: float
    ) -> Iterator[Happening]:
        """What by chance and on purpose bears on a device on a day."""
        yield from self._happenings(device, location, day)
        if planned is not None:
            yield Happening(planned.start, planned.end, "down")
        for effect in self._effects.on_device(device):
            if effect.kind == "flap":
                yield from _drops_of(effect, seconds)
                continue
            kind, text = _INFLUENCE_OF_EFFECT[effect.kind]
            yield Happening(effect.since, effect.until, kind, effect.values.get(text, ""))
        if self._effects.of_kind("chance-outages", seconds):
            for outage in (site_outage_on(location, device, each) for each in (_day_before(location, day), day)):
                if outage is not None:
                    yield outage

    def _happenings(self, device: Device, location: Location, day: LocalDay) -> tuple[Happening, ...]:
        """What has begun at a device on a day or the day before; remembered for the last day that was asked for."""
        remembered, happenings = self._days.get(device.index, self._no_day)
        if remembered != day.ordinal:
            happenings = (*starting_on(device, _day_before(location, day)), *starting_on(device, day))
            self._days[device.index] = (day.ordinal, happenings)
        return happenings

    def _standing(self, device: Device, seconds: float) -> _Standing:
        """The standing condition of a device: an empty status and no codes for most."""
        phase = unit(device.key, _STANDING, -1) * STANDING_SECONDS
        period = int((seconds + phase) // STANDING_SECONDS)
        start = period * STANDING_SECONDS - phase
        draw = unit(device.key, _STANDING, period)
        for status, share in STANDING_STATES:
            if draw < share:
                known = status if self._estate.traps or status != "pending" else "unknown"
                return _Standing(known, (), start, start + STANDING_SECONDS)
            draw -= share
        codes = _issue_codes(device, period) if device.product.type == "roomdesk" and draw < ISSUES_SHARE else ()
        return _Standing("", codes, start, start + STANDING_SECONDS)


def _drops_of(flap: Effect, seconds: float) -> Iterator[Happening]:
    """The drop of the present round of a flap, and the next one."""
    down, up = flap.values["downSeconds"], flap.values["upSeconds"]
    present = max(0, math.floor((seconds - flap.since) / (down + up)))
    for number in (present, present + 1):
        start = flap.since + number * (down + up)
        if start < flap.until:
            yield Happening(start, min(start + down, flap.until), "down")


_INFLUENCE_OF_EFFECT = {
    "outage": ("down", ""),
    "firmware": ("firmware", "version"),
    "issue": ("issue", "code"),
    "bad-call": ("issue", "code"),
    "maintenance": ("maintenance", ""),
    "status": ("status", "status"),
}
"""Kind of an effect on devices -> kind of the happening it is, and which of its values goes with it."""


def _issue_codes(device: Device, period: int) -> tuple[str, ...]:
    """One to three issue codes by their weights."""
    count = weighted(CODE_COUNTS, unit(device.key, _COUNT, period))
    draws = (unit(device.key, _CODE, period * 10 + number) for number in range(count))
    return tuple(dict.fromkeys(weighted(ISSUE_WEIGHTS, draw) for draw in draws))


def _last_heartbeat(device: Device, seconds: float) -> float:
    phase = unit(device.key, _HEARTBEAT) * HEARTBEAT_SECONDS
    return (seconds - phase) // HEARTBEAT_SECONDS * HEARTBEAT_SECONDS + phase


def _day_before(location: Location, day: LocalDay) -> LocalDay:
    return local_day(location.time_zone, day.start - 1)
