"""A device as it is remembered, from its parts as JSON values: the same in every home of the state."""

from __future__ import annotations

from typing import Any

from processors.ingest.changes import Condition, KnownDevice
from processors.ingest.directory import Place
from processors.ingest.maintenance import Maintenance
from processors.ingest.records import Device


def known_device_from(device: list[Any], place: list[Any], since: str, missed_polls: int, condition: list[Any]) -> KnownDevice:
    """The device from the fields of its parts, in their order. Raises TypeError when they are something else."""
    return KnownDevice(_device(device), Place(*place), since, missed_polls, _condition(condition))


def _device(fields: list[Any]) -> Device:
    device = Device(*fields)
    maintenance = Maintenance(*device.maintenance) if device.maintenance else None
    return device._replace(error_codes=tuple(device.error_codes), maintenance=maintenance)


def _condition(fields: list[Any]) -> Condition:
    condition = Condition(*fields)
    return condition._replace(drops=tuple(condition.drops))
