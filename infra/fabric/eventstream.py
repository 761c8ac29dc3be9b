"""Route fabric: the eventstream's definition, from the very files that describe the Stream Analytics job.

The query is asa-queries/roompulse/roompulse.asaql, letter by letter: an operator's outputs are named INTO the query, so the nodes
are named for it and not the other way round. Shapes: the published REST specification of eventstream items.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.fabric.eventhouse import ARRIVALS, PARTITION, landing_columns, landing_of
from powerbi.items import WORKSPACE_ID, FabricItem, Reference

PROJECT = Path(__file__).resolve().parents[2] / "asa-queries" / "roompulse"
QUERY = "roompulse.asaql"
NAME = "roompulse"
SOURCE, INPUT, OPERATOR = "ingest", "observations", "query"
"""Where the ingest sends; the stream, named as the query calls its input; the query."""
ALERTS, FANOUT = "alerts", "fanout"
"""The one output with several readers is a stream of its own; the fan-out reads from an endpoint behind it."""
HISTORY = "readings"
"""The lakehouse's table."""
INCIDENTS, STEPS = "roompulse-incidents", "steps"
"""An eventstream of its own for what becomes of incidents: one has one default stream, and the query must not see these rows."""
JSON_TEXT = {"type": "Json", "properties": {"encoding": "UTF8"}}
TYPES = {
    "string": "Nvarchar(max)",
    "number": "Float",
    "integer": "BigInt",
    "boolean": "Bit",
    "object": "Record",
    "array": "Array",
}
"""JSON Schema's types as an eventstream calls them."""
OF_THE_STREAM = {"name": PARTITION, "type": "BigInt"}
"""What the query reads of an event besides what the ingest sent."""
KUSTO_TYPES = {
    "string": "Nvarchar(max)", "datetime": "DateTime", "long": "BigInt", "real": "Float", "bool": "Bit", "dynamic": "Any",
}  # fmt: skip


def eventstream(database: Reference, lakehouse: Reference, rules: Reference | None, project: Path = PROJECT) -> FabricItem:
    """The eventstream from the endpoint the ingest sends to, through the query, to database, lakehouse, fan-out and `rules`."""
    streams = [
        {"name": INPUT, "type": "DefaultStream", "properties": {}, "inputNodes": [{"name": SOURCE}]},
        {
            "name": ALERTS,
            "type": "DerivedStream",
            "properties": {"inputSerialization": JSON_TEXT},
            "inputNodes": [{"name": OPERATOR}],
        },
    ]
    destinations = [
        _to_table("arrivals", INPUT, ARRIVALS, database),
        _to_table("processed", OPERATOR, landing_of("Processed"), database),
        _to_table("cityminute", OPERATOR, landing_of("CityMinute"), database),
        _to_table("alertrows", ALERTS, landing_of("Alerts"), database),
        _to_lakehouse("lake", OPERATOR, lakehouse),
        {"name": FANOUT, "type": "CustomEndpoint", "inputNodes": [{"name": ALERTS}], "properties": {}},
    ]
    if rules:
        destinations.append(_node("activator", "Activator", ALERTS, {**_at(rules), "inputSerialization": JSON_TEXT}))
    topology = {
        "sources": [{"name": SOURCE, "type": "CustomEndpoint", "properties": {}}],
        "streams": streams,
        "operators": [_operator(project)],
        "destinations": destinations,
        "compatibilityLevel": "1.0",
    }
    return _item(NAME, topology)


def incident_stream(database: Reference) -> FabricItem:
    """The eventstream from the endpoint that the fan-out sends the history of incidents to, to its table."""
    topology = {
        "sources": [{"name": STEPS, "type": "CustomEndpoint", "properties": {}}],
        "streams": [{"name": "incidents", "type": "DefaultStream", "properties": {}, "inputNodes": [{"name": STEPS}]}],
        "operators": [],
        "destinations": [_to_table("incidentsteps", "incidents", landing_of("IncidentSteps"), database)],
        "compatibilityLevel": "1.0",
    }
    return _item(INCIDENTS, topology)


def _item(name: str, topology: Mapping[str, Any]) -> FabricItem:
    properties = {"retentionTimeInDays": 1, "eventThroughputLevel": "Low"}
    parts = {"eventstream.json": json.dumps(topology, indent=2), "eventstreamProperties.json": json.dumps(properties, indent=2)}
    return FabricItem("Eventstream", name, parts)


def _operator(project: Path) -> dict[str, Any]:
    config = json.loads((project / "JobConfig.json").read_text(encoding="utf-8-sig"))
    names = ("EventsOutOfOrderPolicy", "EventsOutOfOrderMaxDelayInSeconds", "EventsLateArrivalMaxDelayInSeconds")
    schema = json.loads((project / "Inputs" / "observations.schema.json").read_text(encoding="utf-8"))
    return {
        "name": OPERATOR,
        "type": "SQL",
        "inputNodes": [{"name": INPUT}],
        "inputSchemas": [{"name": INPUT, "schema": {"columns": [*_columns(schema), OF_THE_STREAM]}}],
        "properties": {
            "query": (project / QUERY).read_text(encoding="utf-8"),
            "advancedSettings": {name[:1].lower() + name[1:]: config[name] for name in names},
        },
    }


def _columns(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, **_typed(inner)} for name, inner in schema["properties"].items()]


def _typed(schema: Mapping[str, Any]) -> dict[str, Any]:
    typed: dict[str, Any] = {"type": TYPES[schema["type"]]}
    if schema["type"] == "object":
        typed["fields"] = _columns(schema)
    if schema["type"] == "array":
        typed["items"] = _typed(schema["items"])
    return typed


def _at(item: Reference) -> dict[str, str]:
    return {"workspaceId": WORKSPACE_ID.placeholder, "itemId": item.placeholder}


def _node(name: str, kind: str, source: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "type": kind, "inputNodes": [{"name": source}], "properties": dict(properties)}


def _to_table(name: str, source: str, table: str, database: Reference) -> dict[str, Any]:
    columns = [{"name": column, "type": KUSTO_TYPES[kind]} for column, kind in landing_columns()[table].items()]
    properties = {
        "dataIngestionMode": "ProcessedIngestion",
        **_at(database),
        "databaseName": database.name,
        "tableName": table,
        "inputSerialization": JSON_TEXT,
    }
    return {
        **_node(name, "Eventhouse", source, properties),
        "inputSchemas": [{"name": source, "schema": {"columns": columns}}],
    }


def _to_lakehouse(name: str, source: str, lakehouse: Reference) -> dict[str, Any]:
    batches = {"minimumRows": 100_000, "maximumDurationInSeconds": 120}
    return _node(name, "Lakehouse", source, {**_at(lakehouse), "deltaTable": HISTORY, **batches, "inputSerialization": JSON_TEXT})
