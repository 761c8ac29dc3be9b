"""Webex records as we need them: read with tolerance, because the API's own specification contradicts its examples.

Only an identity is required: without one a record is a BadRecord, which is quarantined and counted, and the poll goes on. Every
other field stands for itself: sets of values are open, unknown fields are ignored, null or empty means absent, broken or endless
text is fixed, and a value of an absurd type is dropped. Whoever reads a record hears of each field that was fixed or dropped,
and of what kind its value was; never the value, which may be a person's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, TypeVar

from processors.contracts.plain_text import one_line
from processors.contracts.signals import CALENDAR
from processors.ingest.maintenance import Maintenance, read_maintenance
from processors.ingest.room_health import NO_HEALTH, RoomHealth, read_health

Note = Callable[[str, str], object]
"""Hears of an odd field: its name, and the kind of value it has."""

LONGEST_TEXT = 1000
"""More characters than any name or id has; a longer text would make the observation too large to be sent."""
MOST_CODES = 300
"""More issue codes than RoomOS has; more than these are not issues of a device."""
BROKEN, ENDLESS = "broken text", "endless text"
FIXED = frozenset({BROKEN, ENDLESS})
"""Kinds of values that are reported all the same, fixed."""
_ABSENT_VALUES = (None, "")
_XAPI_PERMISSIONS = frozenset({"xapi:readonly", "xapi:all"})
_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
"""JSON can carry half a surrogate pair (of a name that was cut within an emoji), which no consumer could decode."""
MOST_SEATS = 1_000_000
MOST_FLOORS = 1000
SOMEBODY = "somebody"
"""The person of a device that has one whom we can't read."""


class BadRecord(Exception):
    """A record that can't be understood: nobody knows what it is about. The text says why."""


def unnoted(_field: str, _kind: str) -> None:
    """For readers who don't care what is odd."""


class Location(NamedTuple):
    """A Webex location: a site of the organisation. `city` is what somebody typed into its address."""

    id: str
    name: str
    city: str | None = None


class Floor(NamedTuple):
    """A floor of a location, by its name, or its number where nobody has named it."""

    id: str
    name: str | None


class Workspace(NamedTuple):
    """A Webex workspace (a room): the sensors that are set up in it, named as Webex names capabilities, and its seats."""

    id: str
    name: str
    location_id: str | None
    configured: frozenset[str]
    capacity: int | None = None
    maintenance: Maintenance | None = None
    floor_id: str | None = None
    health: RoomHealth = NO_HEALTH


class Device(NamedTuple):
    """A Webex device as it is listed. `kind` is Webex's `type`: roomdesk, phone, accessory, or something newer.

    `may_be_asked`: our token may ask the device itself for its status (xAPI). `has_priority`: it has one of the priority tags.

    The state keeps these fields by their names (state_records.py): a new one has a default.
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
    serial: str | None = None
    mac: str | None = None
    ip: str | None = None
    upgrade_channel: str | None = None

    @property
    def release_line(self) -> str | None:
        """What its firmware can be compared within: a product on one upgrade channel."""
        return f"{self.product}, {self.upgrade_channel.lower()}" if self.product and self.upgrade_channel else self.product

    @property
    def is_personal(self) -> bool:
        """Whether it belongs to a person and not to a room."""
        return self.person_id is not None and self.workspace_id is None


Record = TypeVar("Record", Location, Workspace, Device)

_FIELD_OF: dict[type, dict[str, str]] = {
    Location: {"name": "name", "city": "address"},
    Workspace: {
        "name": "displayName",
        "location_id": "locationId",
        "configured": "capabilities",
        "capacity": "capacity",
        "floor_id": "floorId",
        "health": "health",
    },
    Device: {
        "name": "displayName",
        "kind": "type",
        "product": "product",
        "software": "software",
        "error_codes": "errorCodes",
        "workspace_id": "workspaceId",
        "location_id": "locationId",
        "may_be_asked": "permissions",
        "has_priority": "tags",
        "serial": "serial",
        "mac": "mac",
        "ip": "ip",
        "upgrade_channel": "upgradeChannel",
    },
}
"""Where what we know of a record stands in it, as far as it holds while it can't be read."""


def with_last_known(record: Record, before: Record | None, odd: Mapping[str, str]) -> Record:
    """The record with what was known `before` for each field that had to be dropped, and for a location's name also when it was
    fixed: it decides on the city, and an odd character moves no site.
    """
    dropped = {field for field, kind in odd.items() if kind not in FIXED or isinstance(record, Location)}
    if before is None or not dropped:
        return record
    return record._replace(**{name: getattr(before, name) for name, field in _FIELD_OF[type(record)].items() if field in dropped})


def read_location(record: object, note: Note = unnoted) -> Location:
    """A location from its JSON; raises BadRecord."""
    fields, location_id = _identified(record, note)
    address = _of_type(fields, "address", dict, note) or {}
    city = _fixed(address["city"], "address", note) if isinstance(address.get("city"), str) else None
    return Location(location_id, _name(fields, "name", location_id, note), city or None)


def read_floor(record: object, note: Note = unnoted) -> Floor:
    """A floor from its JSON; raises BadRecord."""
    fields, floor_id = _identified(record, note)
    number = fields.get("floorNumber")
    is_number = isinstance(number, int) and not isinstance(number, bool) and abs(number) <= MOST_FLOORS
    return Floor(floor_id, _text(fields, "displayName", note) or (f"Floor {number}" if is_number else None))


def read_workspace(record: object, note: Note = unnoted) -> Workspace:
    """A workspace from its JSON; raises BadRecord."""
    fields, workspace_id = _identified(record, note)
    return Workspace(
        id=workspace_id,
        name=_name(fields, "displayName", workspace_id, note),
        location_id=_reference(fields, "locationId", note),
        configured=_configured(_of_type(fields, "capabilities", dict, note) or {}) | _calendar(fields, note),
        capacity=_capacity(fields, note),
        maintenance=read_maintenance(fields.get("plannedMaintenance")),
        floor_id=_reference(fields, "floorId", note),
        health=read_health(fields.get("health"), lambda issue, name: _text(issue, name, note), lambda kind: note("health", kind)),
    )


def read_device(record: object, priority_tags: Collection[str] = (), note: Note = unnoted) -> Device:
    """A device from its JSON; raises BadRecord."""
    fields, device_id = _identified(record, note)
    return Device(
        id=device_id,
        name=_text(fields, "displayName", note) or device_id,
        kind=_text(fields, "type", note),
        product=_text(fields, "product", note),
        software=_text(fields, "software", note),
        connection_status=_text(fields, "connectionStatus", note),
        error_codes=_codes(fields, note),
        workspace_id=_reference(fields, "workspaceId", note),
        location_id=_reference(fields, "locationId", note),
        person_id=_person(fields, note),
        last_seen=_text(fields, "lastSeen", note),
        maintenance=read_maintenance(fields.get("plannedMaintenance")),
        may_be_asked=not _XAPI_PERMISSIONS.isdisjoint(_texts(fields, "permissions", note)),
        has_priority=not frozenset(priority_tags).isdisjoint(_texts(fields, "tags", note)),
        serial=_text(fields, "serial", note),
        mac=_text(fields, "mac", note),
        ip=_text(fields, "ip", note),
        upgrade_channel=_text(fields, "upgradeChannel", note),
    )


def kind_of(value: object) -> str:
    """What kind of JSON value something is, in words."""
    if isinstance(value, bool):
        return "true or false"
    names = {int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "nothing")


def fixed(text: str) -> str:
    """The text with what can't be sent replaced, and cut where it doesn't end."""
    return (text if text.isascii() else _HALF_A_CHARACTER.sub("\ufffd", text))[:LONGEST_TEXT]


def _identified(record: object, note: Note) -> tuple[Mapping[str, Any], str]:
    """The fields of a record and its id. Some phones are listed without one: they go by the id they are called by."""
    if not isinstance(record, dict):
        raise BadRecord(f"the record is not an object but {kind_of(record)}")
    for name in ("id", "callingDeviceId"):
        value = record.get(name)
        if _is_id(value):
            return record, str(value)
        note(name, kind_of(value))
    value = record.get("id")
    raise BadRecord("the record has no id" if value in _ABSENT_VALUES else f"id is {kind_of(value)} that names nothing")


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value != "" and fixed(value) == value


def _reference(fields: Mapping[str, Any], name: str, note: Note) -> str | None:
    """The id of another record. A fixed id would be another one's: it is dropped."""
    value = fields.get(name)
    if value in _ABSENT_VALUES:
        return None
    if _is_id(value):
        return str(value)
    note(name, f"{kind_of(value)} that is not an id")
    return None


def _text(fields: Mapping[str, Any], name: str, note: Note) -> str | None:
    value = fields.get(name)
    if isinstance(value, str):
        return one_line(_fixed(value, name, note)) or None
    if value is not None:
        note(name, kind_of(value))
    return None


def _name(fields: Mapping[str, Any], name: str, record_id: str, note: Note) -> str:
    """The name of a place, else its id. Every place has one: a place that is listed without is odd."""
    if fields.get(name) in _ABSENT_VALUES:
        note(name, "nothing")
    return _text(fields, name, note) or record_id


def _fixed(text: str, name: str, note: Note) -> str:
    good = fixed(text)
    if good != text:
        note(name, ENDLESS if len(text) > LONGEST_TEXT else BROKEN)
    return good


def _of_type(fields: Mapping[str, Any], name: str, expected: type, note: Note) -> Any:
    """A field that holds a list or an object; None when it does not."""
    value = fields.get(name)
    if isinstance(value, expected):
        return value
    if value not in _ABSENT_VALUES:
        note(name, kind_of(value))
    return None


def _texts(fields: Mapping[str, Any], name: str, note: Note) -> list[str]:
    """The texts of a list. What else is in it is noted as of the list's items: what could be read holds."""
    items: list[Any] = _of_type(fields, name, list, note) or []
    texts = []
    for item in items:
        if isinstance(item, str) and item:
            texts.append(_fixed(item, f"{name}[]", note))
        else:
            note(f"{name}[]", kind_of(item))
    return texts


def _codes(fields: Mapping[str, Any], note: Note) -> tuple[str, ...]:
    """Issue codes in one order: Webex promises none, and another order is not a change."""
    if not fields.get("errorCodes") and fields.get("errorCodes") in (None, [], ""):
        return ()
    codes = _texts(fields, "errorCodes", note)
    if not codes and isinstance(fields["errorCodes"], list):
        note("errorCodes", "a list without any code")
    if len(codes) > MOST_CODES:
        note("errorCodes[]", "an endless list")
    return tuple(sorted(set(codes))[:MOST_CODES])


def _person(fields: Mapping[str, Any], note: Note) -> str | None:
    """Whose device it is. One whose person can't be read is a person's all the same."""
    value = fields.get("personId")
    if value in _ABSENT_VALUES:
        return None
    return _reference(fields, "personId", note) or SOMEBODY


def _configured(capabilities: Mapping[str, Any]) -> frozenset[str]:
    """Names of the capabilities that are set up."""
    return frozenset(name for name, state in capabilities.items() if isinstance(state, dict) and state.get("configured") is True)


def _calendar(fields: Mapping[str, Any], note: Note) -> frozenset[str]:
    """Whether a room can be booked; whose mailbox that is done through is nothing to us."""
    kind = _text(_of_type(fields, "calendar", dict, note) or {}, "type", lambda _, found: note("calendar", found))
    return frozenset({CALENDAR} if kind and kind != "none" else ())


def _capacity(fields: Mapping[str, Any], note: Note) -> int | None:
    """The seats of a room. Nobody has to fill them in, and some fill in 0 or -1: no capacity then."""
    value = fields.get("capacity")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST_SEATS:
        return value if value > 0 else None
    if value not in _ABSENT_VALUES:
        note("capacity", kind_of(value))
    return None
