"""Devices of persons: left out unless a stack wants them, and then without anything that reports whose they are.

A device in personal mode bears the name of a person. With a stack that opts in it goes by its product and a number made from its
id: the same at every poll, and nobody's name. Nor is it reported by which serial number and addresses it could be found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from processors.ingest.records import Device

_TEXTS = """
    id product type connectionStatus software upgradeChannel created firstSeen lastSeen locationId workspaceId
    workspaceLocationId managedBy devicePlatform activeInterface lifecycle
"""
_HARMLESS: dict[str, type] = dict.fromkeys(_TEXTS.split(), str) | dict.fromkeys(
    ("errorCodes", "permissions", "capabilities"), list
)
"""Fields of a device that say nothing about a person, as long as they are of their type."""
WITHHELD = "withheld"
LONGEST_FIELD = 40
"""A longer name of a field is not a name."""


def without_name(device: Device) -> Device:
    """A personal device as it may be reported."""
    number = hashlib.sha256(device.id.encode()).hexdigest()[:6]
    return device._replace(name=f"{device.product or 'Device'} {number}", person_id=None, serial=None, mac=None, ip=None)


def without_person(record: object) -> object:
    """A device record as it may be quarantined: of one that may be a person's, only fields that say nothing about people."""
    if not isinstance(record, Mapping):
        return record if isinstance(record, int | float | None) else WITHHELD
    if record.get("workspaceId") and isinstance(record["workspaceId"], str) and not record.get("personId"):
        return record
    shown: dict[str, Any] = {}
    for name, value in record.items():
        harmless = isinstance(value, _HARMLESS.get(name, ())) or (name in _HARMLESS and value is None)
        shown[name if len(name) <= LONGEST_FIELD else WITHHELD] = value if harmless else WITHHELD
    return shown
