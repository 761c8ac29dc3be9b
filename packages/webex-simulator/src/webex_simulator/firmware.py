"""Firmware over time: a RoomOS release a month, rolled out by night in waves, with a few laggards.

Cisco releases RoomOS monthly; the pace of the waves and the share of failures are judgement.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from webex_simulator.catalogue import Product
from webex_simulator.chance import between, key, unit
from webex_simulator.estate import Device
from webex_simulator.site_time import HOUR, LocalDay, nights_of

FIRST_NIGHT = 6
"""Day of the month on which a release begins to be rolled out."""
SHARE_A_NIGHT = 0.08
NIGHTS = 13
WINDOW_HOURS = 5.0
FAILING_SHARE = 0.01
PINNED_SHARE = 0.03
"""Devices somebody has pinned to an old major release."""
DELAYED_SHARE = 0.15
"""Devices of the channel that gets each release a month later."""
UPGRADE_FAILS = "softwareupgradekeepsfailing"

_NIGHT, _MOMENT, _REBOOT, _FAILS, _CHANNEL = (
    key(f"firmware {name}") for name in ("night", "moment", "reboot", "fails", "channel")
)
_PINNED_RELEASE = "RoomOS 11.27.1.6 77aa88bb99c"
_PHONE_RELEASE = "PhoneOS 3.2(1)"


class Upgrade(NamedTuple):
    """A device's upgrade of one month: when it reboots and for how long (seconds since the epoch), and whether it fails."""

    start: float
    end: float
    fails: bool


def channel(device: Device) -> str:
    """The upgrade channel a device is assigned to."""
    return "Stable Delayed" if unit(device.key, _CHANNEL) < DELAYED_SHARE else "Stable"


def upgrade(device: Device, zone: str, day: LocalDay) -> Upgrade | None:
    """The upgrade of the month a local day belongs to; None for phones and pinned devices."""
    if not _takes_releases(device.product) or _is_pinned(device):
        return None
    month = day.year * 12 + day.month
    night = min(NIGHTS - 1, int(unit(device.key, _NIGHT, month) / SHARE_A_NIGHT))
    midnight = nights_of(zone, day.year, day.month, FIRST_NIGHT, NIGHTS)[night]
    start = midnight + between(0, WINDOW_HOURS * HOUR, unit(device.key, _MOMENT, month))
    end = start + between(4 * 60, 9 * 60, unit(device.key, _REBOOT, month))
    return Upgrade(start, end, unit(device.key, _FAILS, month) < FAILING_SHARE)


def software(device: Device, day: LocalDay, planned: Upgrade | None, seconds: float) -> str:
    """The software string a device reports at a moment of a local day, given the upgrade planned for that month."""
    if planned is None:
        return _PINNED_RELEASE if _takes_releases(device.product) else _PHONE_RELEASE
    months_behind = 0 if seconds >= planned.end and not planned.fails else 1
    return release(day.year * 12 + day.month - 1 - months_behind - (unit(device.key, _CHANNEL) < DELAYED_SHARE))


@cache
def release(month: int) -> str:
    """The release of a month (counted from year 0), as RoomOS writes it."""
    digest = key("RoomOS", month)
    return f"RoomOS {month // 12 % 100}.{month % 12 + 1}.1.{digest % 9 + 1} {digest % 16**11:011x}"


def _takes_releases(product: Product) -> bool:
    return product.type != "phone"


def _is_pinned(device: Device) -> bool:
    return unit(device.key, _CHANNEL, 1) < PINNED_SHARE
