"""What befalls devices by chance on a day: drops, flaps, lost peripherals, sleepy displays, nights of deep sleep, site outages.

Rates and durations follow the estate model of the project; drops under ten minutes are what Control Hub never shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from webex_simulator.catalogue import LOST_PERIPHERAL_CODES, SLEEPY_DISPLAY_CODES
from webex_simulator.chance import between, key, lognormal, unit
from webex_simulator.estate import Device, Location
from webex_simulator.site_time import DAY, HOUR, LocalDay

DAYS_A_MONTH = 365 / 12
OFFLINE_A_MONTH = 0.25
OFFLINE_MEDIAN = 22 * 60.0
OFFLINE_SPREAD = 1.7
"""With it the 95th percentile is six hours."""
FLAP_A_MONTH = 0.15
LOST_PERIPHERAL_A_MONTH = 0.12
SLEEPY_DISPLAY_A_MONTH = 0.4
SITE_OUTAGES_A_YEAR = 2.0
SITE_OUTAGE_SPREAD = 60.0
"""Seconds within which all devices of a site are gone, and are back."""
DEEP_SLEEP_SHARE = 0.30
"""Boards that sleep deeply in a night."""

_OFFLINE, _FLAP, _LOST, _DISPLAY, _SLEEP = (key(name) for name in ("offline", "flap", "lost peripheral", "display", "deep sleep"))
_SITE_OUTAGE, _SITE_SPREAD = key("site outage"), key("site outage spread")
_START, _LENGTH, _LENGTH_TOO, _CODE = (1 << 40, 2 << 40, 3 << 40, 4 << 40)
"""Added to the day, they give further draws for the same happening."""


class Happening(NamedTuple):
    """Something that lasts from `start` to `end` (seconds since the epoch): `down`, `asleep`, or `issue` with its code."""

    start: float
    end: float
    kind: str
    code: str = ""


def starting_on(device: Device, day: LocalDay) -> Iterator[Happening]:
    """What begins at a device on a local day, but for upgrades and site outages."""
    owner, slot = device.key, day.ordinal
    if unit(owner, _OFFLINE, slot) < OFFLINE_A_MONTH / DAYS_A_MONTH:
        draws = unit(owner, _OFFLINE, slot + _LENGTH), unit(owner, _OFFLINE, slot + _LENGTH_TOO)
        yield _lasting(
            day, unit(owner, _OFFLINE, slot + _START) * DAY, min(DAY, lognormal(OFFLINE_MEDIAN, OFFLINE_SPREAD, *draws))
        )
    if unit(owner, _FLAP, slot) < FLAP_A_MONTH / DAYS_A_MONTH:
        yield _lasting(day, unit(owner, _FLAP, slot + _START) * DAY, between(30, 300, unit(owner, _FLAP, slot + _LENGTH)))
    if device.workspace is not None and device.product.type == "roomdesk":
        yield from _room_troubles(owner, slot, day)
    if "Board" in device.product.name and unit(owner, _SLEEP, slot) < DEEP_SLEEP_SHARE:
        yield Happening(day.start + 22 * HOUR, day.end + 6 * HOUR, "asleep")


def _room_troubles(owner: int, slot: int, day: LocalDay) -> Iterator[Happening]:
    if unit(owner, _LOST, slot) < LOST_PERIPHERAL_A_MONTH / DAYS_A_MONTH:
        start = between(7, 19, unit(owner, _LOST, slot + _START)) * HOUR
        end = start + lognormal(3 * HOUR, 0.6, unit(owner, _LOST, slot + _LENGTH), unit(owner, _LOST, slot + _LENGTH_TOO))
        # Nobody plugs a cable in after hours.
        end = end if end < 18 * HOUR else DAY + 8 * HOUR
        yield _lasting(day, start, end - start, _pick(LOST_PERIPHERAL_CODES, unit(owner, _LOST, slot + _CODE)))
    if unit(owner, _DISPLAY, slot) < SLEEPY_DISPLAY_A_MONTH / DAYS_A_MONTH:
        start = between(7, 9, unit(owner, _DISPLAY, slot + _START)) * HOUR
        length = between(20, 90, unit(owner, _DISPLAY, slot + _LENGTH))
        yield _lasting(day, start, length, _pick(SLEEPY_DISPLAY_CODES, unit(owner, _DISPLAY, slot + _CODE)))


def site_outage_on(location: Location, device: Device, day: LocalDay) -> Happening | None:
    """The outage of a location that begins on a local day, as one of its devices sees it."""
    owner, slot = location.key, day.ordinal
    if unit(owner, _SITE_OUTAGE, slot) >= SITE_OUTAGES_A_YEAR / 365:
        return None
    delay = SITE_OUTAGE_SPREAD * unit(device.key, _SITE_SPREAD, slot)
    length = between(10 * 60, 4 * HOUR, unit(owner, _SITE_OUTAGE, slot + _LENGTH))
    return _lasting(day, unit(owner, _SITE_OUTAGE, slot + _START) * DAY + delay, length)


def _lasting(day: LocalDay, start: float, length: float, code: str = "") -> Happening:
    """A happening from `start` seconds after local midnight on: an issue when it has a code, an absence otherwise."""
    return Happening(day.start + start, day.start + start + length, "issue" if code else "down", code)


def _pick(codes: tuple[str, ...], draw: float) -> str:
    return codes[int(draw * len(codes))]
