"""Devices and watermarks as JSON values: the same in every home of the state, and read by the names of their fields.

A record is a list of values. Their names are written once for the whole state and not with each record, which would double it. So
releases can follow each other in either direction: a field that this release does not know is kept beside the record and written
back, one that the state does not have gets its default. Only in a planned maintenance, which every poll reads anew from Webex,
an unknown field is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from processors.ingest.changes import Condition, KnownDevice
from processors.ingest.directory import Place
from processors.ingest.maintenance import Maintenance
from processors.ingest.records import Device
from processors.ingest.state import Watermark

Names = Mapping[str, Sequence[str]]
"""The names of the values of each kind of record, in the order of the values."""
Key = str | tuple[str, str]

KINDS: dict[str, type[Any]] = {
    "known": KnownDevice,
    "device": Device,
    "place": Place,
    "condition": Condition,
    "maintenance": Maintenance,
    "watermark": Watermark,
}
BEFORE_NAMES: Names = {
    "known": ("device", "place", "status_since", "missed_polls", "condition"),
    "device": (
        "id", "name", "kind", "product", "software", "connection_status", "error_codes", "workspace_id", "location_id",
        "person_id", "last_seen", "maintenance", "may_be_asked", "has_priority",
    ),
    "place": ("city_id", "location_id", "location_name", "workspace_id", "workspace_name"),
    "condition": (
        "drops", "display_lost_since", "display_lost", "in_maintenance", "days_behind", "standby", "in_call", "call_loss",
        "call_jitter",
    ),
    "maintenance": ("mode", "start", "end"),
    "watermark": ("read_to", "asked_at"),
}  # fmt: skip
"""What values meant in states that carry no names. It says what was, so it never changes."""


class Records:
    """How the records of one state are read and written, and the fields of a newer release that this one only keeps."""

    def __init__(self, names: Names = BEFORE_NAMES) -> None:
        """`names`: those that the state carries. Raises ValueError and the like when they are none."""
        self._stored = {kind: tuple(map(str, names[kind])) for kind in KINDS}
        own: dict[str, tuple[str, ...]] = {kind: record._fields for kind, record in KINDS.items()}
        self._unknown = {kind: tuple(name for name in self._stored[kind] if name not in own[kind]) for kind in KINDS}
        self._unknown["maintenance"] = ()
        self._is_plain = self._stored == own
        self._kept: dict[Key, dict[str, dict[str, Any]]] = {}
        self.names = {kind: (*own[kind], *self._unknown[kind]) for kind in KINDS}
        """The names of the values that `device_values` and `watermark_values` give."""

    @property
    def are_stored(self) -> bool:
        """Whether what lies in the state has these very names, so that records can be added without writing the others anew."""
        return self._stored == self.names

    def device_from(self, key: str, values: Sequence[Any]) -> KnownDevice:
        """The device in the values of a KnownDevice. Raises TypeError, ValueError when they are something else."""
        if self._is_plain:
            return _device_of_today(values)
        known = KnownDevice(**self._fields(key, "known", values))
        device = Device(**self._fields(key, "device", known.device))
        maintenance = Maintenance(**self._fields(key, "maintenance", device.maintenance)) if device.maintenance else None
        condition = Condition(**self._fields(key, "condition", known.condition))
        return known._replace(
            device=device._replace(error_codes=tuple(device.error_codes), maintenance=maintenance),
            place=Place(**self._fields(key, "place", known.place)),
            condition=condition._replace(drops=tuple(condition.drops)),
        )

    def device_values(self, key: str, known: KnownDevice) -> Sequence[Any]:
        """The values of a KnownDevice, with what is kept for it."""
        if key not in self._kept:
            return [_without_end(known.device), *known[1:]]
        parts = {kind: self._with_kept(key, kind, getattr(known, kind)) for kind in ("device", "place", "condition")}
        values = [parts.get(name, value) for name, value in zip(known._fields, known, strict=True)]
        return self._with_kept(key, "known", values)

    def watermark_from(self, key: tuple[str, str], values: Sequence[Any]) -> Watermark:
        """The watermark in its values."""
        return Watermark(**self._fields(key, "watermark", values))

    def watermark_values(self, key: tuple[str, str], watermark: Watermark) -> Sequence[Any]:
        """The values of a watermark, with what is kept for it."""
        return self._with_kept(key, "watermark", watermark) if key in self._kept else watermark

    def forget(self, key: Key) -> None:
        """Keep nothing more for a device or a sensor that is gone."""
        self._kept.pop(key, None)

    def _fields(self, key: Key, kind: str, values: Sequence[Any]) -> dict[str, Any]:
        """The values by name; a shorter list lacks the last ones. What this release does not know is put aside."""
        names = self._stored[kind]
        if isinstance(values, str) or len(values) > len(names):
            raise ValueError(f"it has a {kind} with more fields than names")
        fields = dict(zip(names, values, strict=False))
        unknown = {name: fields.pop(name) for name in names if name in fields and name not in KINDS[kind]._fields}
        if unknown and kind != "maintenance":
            self._kept.setdefault(key, {})[kind] = unknown
        return fields

    def _with_kept(self, key: Key, kind: str, values: Sequence[Any]) -> list[Any]:
        """The values and those that are kept. They come last: a record that has none of them is a shorter list."""
        kept = self._kept[key].get(kind, {})
        if kind == "device" and not kept:
            return list(_without_end(values))
        return [*values, *(kept[name] for name in self._unknown[kind] if name in kept)]


def _without_end(device: Sequence[Any]) -> Sequence[Any]:
    """The values of a device but for the last ones that nobody has reported: they are what a shorter list means."""
    end = len(device)
    while device[end - 1] is None:
        end -= 1
    return device[:end]


def _device_of_today(values: Sequence[Any]) -> KnownDevice:
    """The same, without a look at names: a state of 100,000 devices is read in half the time."""
    known = KnownDevice(*values)
    device, condition = Device(*known.device), Condition(*known.condition)
    return known._replace(
        device=device._replace(
            error_codes=tuple(device.error_codes), maintenance=Maintenance(*device.maintenance) if device.maintenance else None
        ),
        place=Place(*known.place),
        condition=condition._replace(drops=tuple(condition.drops)),
    )
