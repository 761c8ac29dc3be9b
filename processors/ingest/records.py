"""Webex records as we need them: read with tolerance, because the API's own specification contradicts its examples.

Only `id` is required, every set of values is open, unknown fields are ignored, and null or empty means absent. What can't be
understood even so (no object, no id, a field we use of an absurd type) is a BadRecord: it is quarantined and counted, and the
poll goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from processors.ingest.maintenance import Maintenance, read_maintenance

_ABSENT_VALUES = (None, "")
_XAPI_PERMISSIONS = frozenset({"xapi:readonly", "xapi:all"})


class BadRecord(Exception):
    """A record that can't be understood. `record_id` is its id where at least that could be read."""

    def __init__(self, text: str, record_id: str | None = None) -> None:
        super().__init__(text)
        self.record_id = record_id


class Location(NamedTuple):
    """A Webex location: a site of the organisation. `city` is what somebody typed into its address."""

    id: str
    name: str
    city: str | None = None


class Workspace(NamedTuple):
    """A Webex workspace (a room): the sensors that are set up in it, named as Webex names capabilities, and its seats."""

    id: str
    name: str
    location_id: str | None
    configured: frozenset[str]
    capacity: int | None = None
    maintenance: Maintenance | None = None


class Device(NamedTuple):
    """A Webex device as it is listed. `kind` is Webex's `type`: roomdesk, phone, accessory, or something newer.

    `may_be_asked`: our token may ask the device itself for its status (xAPI). `has_priority`: it has one of the priority tags.

    The state keeps these fields by their order: new ones come last, with a default.
    """

    id: str
    name: str
    kind: str | None
    product: str | None
    software: str | None
    connection_status: str | None
    error_codes: tuple[str, ...]
    workspace_id: str | None
    location_id: str | None
    person_id: str | None
    last_seen: str | None
    maintenance: Maintenance | None = None
    may_be_asked: bool = False
    has_priority: bool = False

    @property
    def is_personal(self) -> bool:
        """Whether it belongs to a person and not to a room."""
        return self.person_id is not None and self.workspace_id is None


def read_location(record: object) -> Location:
    """A location from its JSON; raises BadRecord."""
    fields, location_id = _identified(record)
    address = fields.get("address")
    city = address.get("city") if isinstance(address, dict) else None
    known_city = city if isinstance(city, str) and city and _sendable(city) else None
    return Location(location_id, _text(fields, "name", location_id) or location_id, known_city)


def read_workspace(record: object) -> Workspace:
    """A workspace from its JSON; raises BadRecord."""
    fields, workspace_id = _identified(record)
    name = _text(fields, "displayName", workspace_id) or workspace_id
    return Workspace(
        id=workspace_id,
        name=name,
        location_id=_text(fields, "locationId", workspace_id),
        configured=_configured(fields.get("capabilities")),
        capacity=_capacity(fields.get("capacity")),
        maintenance=read_maintenance(fields.get("plannedMaintenance")),
    )


def read_device(record: object, priority_tags: frozenset[str] = frozenset()) -> Device:
    """A device from its JSON; raises BadRecord."""
    fields, device_id = _identified(record)
    return Device(
        id=device_id,
        name=_text(fields, "displayName", device_id) or device_id,
        kind=_text(fields, "type", device_id),
        product=_text(fields, "product", device_id),
        software=_text(fields, "software", device_id),
        connection_status=_text(fields, "connectionStatus", device_id),
        error_codes=_codes(fields.get("errorCodes"), device_id),
        workspace_id=_text(fields, "workspaceId", device_id),
        location_id=_text(fields, "locationId", device_id),
        person_id=_text(fields, "personId", device_id),
        last_seen=_text(fields, "lastSeen", device_id),
        maintenance=read_maintenance(fields.get("plannedMaintenance")),
        may_be_asked=not _XAPI_PERMISSIONS.isdisjoint(_texts(fields.get("permissions"))),
        has_priority=bool(priority_tags) and not priority_tags.isdisjoint(_texts(fields.get("tags"))),
    )


def _identified(record: object) -> tuple[Mapping[str, Any], str]:
    if not isinstance(record, dict):
        raise BadRecord(f"the record is no object but {_kind(record)}")
    record_id = record.get("id")
    if not isinstance(record_id, str) or not record_id or not _sendable(record_id):
        raise BadRecord("the record has no id" if record_id in _ABSENT_VALUES else f"id is {_kind(record_id)}, not text")
    return record, record_id


def _text(fields: Mapping[str, Any], name: str, record_id: str) -> str | None:
    value = fields.get(name)
    if isinstance(value, str) and _sendable(value):
        return value or None
    if value is None:
        return None
    raise BadRecord(f"{name} is {_kind(value)}, not text", record_id)


def _sendable(text: str) -> bool:
    """Whether a text is proper Unicode: JSON can carry half a surrogate pair, which no consumer could decode."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _codes(value: object, record_id: str) -> tuple[str, ...]:
    """Issue codes in one order: Webex promises none, and another order is no change."""
    if not value and value in (None, [], ""):
        return ()
    if not isinstance(value, list):
        raise BadRecord(f"errorCodes is {_kind(value)}, not a list", record_id)
    for code in value:
        if not isinstance(code, str) or not code or not _sendable(code):
            raise BadRecord(f"errorCodes holds {_kind(code)}, not text", record_id)
    return tuple(sorted(set(value)))


def _texts(value: object) -> list[str]:
    """The texts of a list; nothing for anything else."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _configured(capabilities: object) -> frozenset[str]:
    """Names of the capabilities that are set up. The API's map is documented; anything else means that none is known."""
    if not isinstance(capabilities, dict):
        return frozenset()
    return frozenset(name for name, state in capabilities.items() if isinstance(state, dict) and state.get("configured") is True)


def _capacity(value: object) -> int | None:
    """The seats of a room. Nobody has to fill them in, and some fill in 0 or -1: no capacity then."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {int: "a number", float: "a number", str: "empty or broken text", list: "a list", dict: "an object"}
    return names.get(type(value), "nothing")
