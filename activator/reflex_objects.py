"""An object per device in Data Activator: what has fired and ended of it, for people to look at and to add rules to.

Nobody is notified by it: the rules are, and they need no object, since an alert is a row of its own.
"""

from __future__ import annotations

from activator.reflex_parts import (
    CLOCK,
    WINDOW,
    JSONObject,
    identity,
    kql_source,
    one_line,
    reference,
    row,
    source_event,
    step,
    text,
    view,
)

KEY = "deviceId"
SHOWN = {"device": "Name", "room": "Room", "location": "Location", "rule": "Rule", "state": "State", "importance": "Severity"}
"""What is known of a device's last alert: fields of the query, by their name for people."""
_OWNER = ("devices",)


def device_objects(city: str, *, workspace_id: str, database_id: str) -> list[JSONObject]:
    """The entities: the alerts of all devices of a city, kept apart by device."""
    one = identity(city, *_OWNER, "object")
    return [
        kql_source(city, _OWNER, "Alerts of devices", device_query(city), workspace_id=workspace_id, database_id=database_id),
        source_event(city, _OWNER, "Alerts of devices"),
        view(city, (*_OWNER, "object"), "Device", {"type": "Object"}),
        _identity_part(city, one),
        _identity_tuple(city, one),
        _split(city, one),
        *(_attribute(city, one, name, label) for name, label in SHOWN.items()),
    ]


def device_query(city: str) -> str:
    """The KQL that yields what fired or ended of any device of a city, taken in between startTime and endTime."""
    lines = [
        *WINDOW,
        f"| where cityId == '{city}' and entity == 'device' and not(entityId startswith 'drill-')",
        one_line("name", "workspaceName", "locationName"),
        "| extend rule = strcat(toupper(substring(ruleId, 0, 1)), replace_string(substring(ruleId, 1), '-', ' '))",
        "| extend importance = case(severity == 1, 'Critical', severity == 2, 'Major', severity == 3, 'Minor', 'Info')",
        f"| project {CLOCK}, {KEY} = entityId, device = name, room = workspaceName, location = locationName, rule,",
        "    state = iff(state == 'fired', 'Open', 'Over'), importance, startedAt, observedAt",
    ]
    return "\n".join(lines)


def _identity_part(city: str, of: str) -> JSONObject:
    steps = [step(city, (*_OWNER, "part", "IdPartStep"), _of_type("Text"))]
    return view(city, (*_OWNER, "part"), KEY, {"type": "Attribute"}, "IdentityPartAttribute", steps, of)


def _identity_tuple(city: str, of: str) -> JSONObject:
    part = reference("AttributeReference", "idPart", identity(city, *_OWNER, "part"))
    steps = [step(city, (*_OWNER, "tuple", "IdStructureStep"), row("IdPart", "IdPart", [part]))]
    return view(city, (*_OWNER, "tuple"), KEY, {"type": "Attribute"}, "IdentityTupleAttribute", steps, of)


def _split(city: str, of: str) -> JSONObject:
    """Every event belongs to the object whose key it has; an object is there as soon as an event names it."""
    event = reference("EventReference", "event", identity(city, *_OWNER, "event"))
    key = [text("fieldName", KEY), reference("AttributeReference", "idPart", identity(city, *_OWNER, "part"))]
    steps = [
        step(
            city,
            (*_OWNER, "split", "SplitEventStep"),
            row("EventSelector", "Event", [event]),
            row("FieldIdMapping", "FieldIdMapping", key),
            row("SplitEventOptions", "EventOptions", [{"name": "isAuthoritative", "type": "boolean", "value": True}]),
        )
    ]
    return view(city, (*_OWNER, "split"), "Alerts of devices", {"type": "Event"}, "SplitEvent", steps, of)


def _attribute(city: str, of: str, name: str, label: str) -> JSONObject:
    event = reference("EventReference", "event", identity(city, *_OWNER, "split"))
    selected = row("EventFieldSelector", "EventField", [text("fieldName", name)])
    steps = [
        step(city, (*_OWNER, name, "EventSelectStep"), row("EventSelector", "Event", [event]), selected),
        step(city, (*_OWNER, name, "EventComputeStep"), _of_type("Text")),
    ]
    return view(city, (*_OWNER, name), label, {"type": "Attribute"}, "BasicEventAttribute", steps, of)


def _of_type(kind: str) -> JSONObject:
    return row("TypeAssertion", "TypeAssertion", [text("op", kind), text("format", "")])
