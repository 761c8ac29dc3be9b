"""The details of an observation: what people are notified of besides numbers (docs/contracts.md). What is not known is left
out."""

from __future__ import annotations

from typing import Any, NamedTuple

from processors.ingest import room_health
from processors.ingest.device_words import DeviceWords
from processors.ingest.records import Device, Workspace


class About(NamedTuple):
    """What is known of a device besides its own record: its room, the name of the room's floor, what it says of itself."""

    room: Workspace | None = None
    floor: str | None = None
    words: DeviceWords = DeviceWords()


NOTHING = About()


def device_details(device: Device, about: About) -> dict[str, Any]:
    """The details of a device: how to find it and to have it replaced, what Webex says of its room, what it says itself."""
    details: dict[str, Any] = {
        "serial": device.serial,
        "mac": device.mac,
        "ip": device.ip,
        "upgradeChannel": device.upgrade_channel,
        "floor": about.floor,
        "room": room_health.reported(about.room.health) if about.room else None,
        **about.words.reported(),
    }
    return {name: value for name, value in details.items() if value is not None}
