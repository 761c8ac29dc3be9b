"""What the entities of a Reflex item are made of, as Microsoft publishes them for the tools of others.

Sources: the references of microsoft/skills-for-fabric (activator-cli), read back from items that people made in the portal.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from functools import cache
from typing import Any

INTERVAL_SECONDS = 300
INGESTION_DELAY_SECONDS = 300
"""How late a row may be seen: the window of each run ends this long ago. A database shortcut lags by up to minutes,
and windows don't overlap: what is seen later than this sends nothing here."""
CLOCK = "ingestedAt"
"""What the windows go by: when the live store took a row in. By event time, the way there would be lost as well."""
TEMPLATE_VERSION = "1.2.4"
WINDOW = (
    "declare query_parameters(startTime: datetime, endTime: datetime);",
    "Alerts",
    f"| extend {CLOCK} = ingestion_time()",
    f"| where {CLOCK} > startTime and {CLOCK} <= endTime",
)
"""How a query of alerts begins: those taken in between startTime (exclusive) and endTime."""
_LINE_BREAKS = r"[\p{Cc}\p{Zl}\p{Zp}]+"
"""What a name may not have in a message, as Kusto's regular expressions (RE2) call it."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://roompulse/activator")

JSONObject = dict[str, Any]


@cache
def identity(*names: str) -> str:
    """The stable id of an entity, by what it is called from the city down."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(names)))


def one_line(*columns: str) -> str:
    """The KQL that takes line breaks out of names."""
    return "| extend " + ", ".join(f"{name} = replace_regex({name}, @'{_LINE_BREAKS}', ' ')" for name in columns)


def kql_source(city: str, owner: Sequence[str], name: str, query: str, *, workspace_id: str, database_id: str) -> JSONObject:
    """A query that Activator runs every five minutes, over windows of when rows came in."""
    payload = {
        "name": name,
        "runSettings": {"executionIntervalInSeconds": INTERVAL_SECONDS},
        "query": {"queryString": query},
        "eventhouseItem": {"itemId": database_id, "workspaceId": workspace_id, "itemType": "KustoDatabase"},
        "queryParameters": [
            {"name": "startTime", "type": "DURATION_START", "value": ""},
            {"name": "endTime", "type": "DURATION_END", "value": ""},
        ],
        "eventTimeSettings": {
            "timeFieldName": CLOCK,
            "ingestionDelayInSeconds": INGESTION_DELAY_SECONDS,
            "timeZone": "UTC",
        },
        "metadata": {"workspaceId": workspace_id, "measureName": "", "querySetId": "", "queryId": ""},
        "parentContainer": {"targetUniqueIdentifier": identity(city, "container")},
    }
    return {"uniqueIdentifier": identity(city, *owner, "source"), "payload": payload, "type": "kqlSource-v1"}


def source_event(city: str, owner: Sequence[str], name: str) -> JSONObject:
    """The rows of a source, as events."""
    source = [text("entityId", identity(city, *owner, "source"))]
    steps = [step(city, (*owner, "SourceEventStep"), row("SourceSelector", "SourceReference", source))]
    return view(city, (*owner, "event"), name, {"type": "Event"}, "SourceEvent", steps)


def view(
    city: str,
    path: Sequence[str],
    name: str,
    definition: JSONObject,
    template: str | None = None,
    steps: Sequence[JSONObject] = (),
    of: str | None = None,
) -> JSONObject:
    """An event, attribute, rule or object; `of` is the id of the object that it belongs to."""
    if template:
        instance = {"templateId": template, "templateVersion": TEMPLATE_VERSION, "steps": list(steps)}
        definition = {**definition, "instance": json.dumps(instance, ensure_ascii=False)}
    payload: JSONObject = {"name": name, "parentContainer": {"targetUniqueIdentifier": identity(city, "container")}}
    if of:
        payload["parentObject"] = {"targetUniqueIdentifier": of}
    return {
        "uniqueIdentifier": identity(city, *path),
        "payload": payload | {"definition": definition},
        "type": "timeSeriesView-v1",
    }


def step(city: str, path: Sequence[str], *rows: JSONObject) -> JSONObject:
    """A step of a template, called by the last of `path`."""
    return {"name": path[-1], "id": identity(city, *path), "rows": list(rows)}


def row(name: str, kind: str, arguments: Sequence[JSONObject]) -> JSONObject:
    """A row of a step."""
    return {"name": name, "kind": kind, "arguments": list(arguments)}


def text(name: str, value: str) -> JSONObject:
    """An argument that is a text."""
    return {"name": name, "type": "string", "value": value}


def array(name: str, values: Sequence[JSONObject]) -> JSONObject:
    """An argument that is a list."""
    return {"name": name, "type": "array", "values": list(values)}


def reference(kind: str, name: str, entity: str) -> JSONObject:
    """An argument that leads to another entity."""
    return {"name": name, "type": "complex", "kind": kind, "arguments": [text("entityId", entity)]}


def field(name: str) -> JSONObject:
    """A field of the event within a text."""
    return {"kind": "EventFieldReference", "type": "complex", "arguments": [text("fieldName", name)]}


def named_field(label: str, name: str) -> JSONObject:
    """A field of the event below a message, with its name for people."""
    pair = {**field(name), "name": "reference", "type": "complexReference"}
    return {"kind": "NameReferencePair", "type": "complex", "arguments": [text("name", label), pair]}
