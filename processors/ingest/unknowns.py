"""What Webex says that we have never met, or that says nothing: statuses, kinds, issue codes, fields, and values of a type
that a field can't have. All of it passes; here it is counted.

Webex adds to its sets without notice (the status `pending` in 2026, issue codes with every RoomOS release), and an operator
should read of a new code in the figures before an outage hides behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from processors.ingest.error_codes import grade_of
from processors.ingest.health import says_nothing
from processors.ingest.maintenance import MODES, mode_of
from processors.ingest.records import Device, fixed

KINDS = frozenset({"roomdesk", "phone", "accessory", "webexgo", "unknown"})
PLATFORMS = frozenset({"cisco", "microsoftTeamsRoom"})
_FIELDS = """
    id displayName placeId workspaceId personId orgId capabilities permissions connectionStatus product type tags ip
    activeInterface mac primarySipUrl sipUrls serial software upgradeChannel created locationId workspaceLocationId errorCodes
    firstSeen lastSeen managedBy devicePlatform plannedMaintenance callingDeviceId webexDeviceId deviceId lifecycle manufacturer
    linePort
"""
FIELDS = frozenset(_FIELDS.split())
"""Fields of a device in the published specification, its examples, and Cisco's own SDK code."""
MOST_KINDS = 50
"""So many different unknown things are kept apart; what comes after is counted together."""
LONGEST = 60
_OTHERS = "others"


class Unknowns:
    """Counts what is unknown in one poll: `errorCode=frobnicated` -> how many devices."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note_device(self, record: Mapping[str, Any], device: Device) -> None:
        """Count what is unknown in a device's record."""
        if says_nothing(device.connection_status):
            self.note("connectionStatus", device.connection_status or "none")
        if device.kind not in KINDS and device.kind is not None:
            self.note("type", device.kind)
        for code in device.error_codes:
            if grade_of(code) is None:
                self.note("errorCode", code)
        if not FIELDS.issuperset(record):
            for name in record.keys() - FIELDS:
                self.note("field", name)
        platform = record.get("devicePlatform")
        if isinstance(platform, str) and platform not in PLATFORMS:
            self.note("devicePlatform", platform)
        mode = mode_of(record.get("plannedMaintenance"))
        if mode not in MODES:
            self.note("plannedMaintenance", mode)

    def note_odd(self, kind: str, odd: Mapping[str, str]) -> None:
        """Count the fields of a record of some kind that were fixed or dropped, by what was in them."""
        for name, value in odd.items():
            self.note(f"{kind}.{name}", value)

    def note(self, what: str, value: str) -> None:
        """Count one unknown value; only its beginning is kept."""
        key = f"{what}={fixed(value[:LONGEST])}"
        self.counts[key if key in self.counts or len(self.counts) < MOST_KINDS else _OTHERS] += 1
