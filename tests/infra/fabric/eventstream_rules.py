"""Judges an eventstream's definition: by the published specification of its nodes, and by the rules of its graph.

The specification (fabric-rest-api-specs, eventstream/definitions) says what a node may hold. The rules say what makes a graph of
them, which Fabric checks late or never: one default stream, no dangling node, a query whose outputs are nodes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NODES = {
    "sources": ("source.json", "BaseSource", "SourceResponse", "{}SourceResponse"),
    "streams": ("stream.json", None, "StreamResponse", "{}Response"),
    "operators": ("operator.json", None, "Operator", "{}Operator"),
    "destinations": ("destination.json", "BaseDestination", "DestinationResponse", "{}DestinationResponse"),
}
ANSWERS = frozenset({"id", "status", "error"})
"""What Fabric tells of a node and nobody declares."""
NAME = re.compile(r"[A-Za-z0-9]{3,63}")
FROM_DERIVED = frozenset({"Activator", "CustomEndpoint", "Eventhouse", "Lakehouse"})


class Specification:
    """The definitions of a folder, with references between its files."""

    def __init__(self, folder: Path) -> None:
        self._files = {path.name: json.loads(path.read_text(encoding="utf-8"))["definitions"] for path in folder.glob("*.json")}

    def node_faults(self, side: str, node: dict[str, Any], path: str) -> list[str]:
        """What the specification has against a node."""
        file, _, base, concrete = NODES[side]
        kinds = self._files[file][base]["properties"]["type"]
        kinds = self._files[file][kinds["$ref"].rsplit("/", 1)[1]] if "$ref" in kinds else kinds
        kind = node.get("type")
        if kind not in kinds["enum"]:
            return [f"{path}/type: {kind!r} is none of {kinds['enum']}"]
        name = next(
            (name for name, schema in self._files[file].items() if schema.get("x-ms-discriminator-value") == kind
             and name.endswith(concrete.removeprefix("{}"))), None
        )  # fmt: skip
        if name is None:
            return [f"{path}/type: {kind} has no definition"]
        return list(self._faults(node, self._files[file][name], file, path))

    def _whole(self, schema: dict[str, Any], file: str) -> tuple[dict[str, Any], set[str]]:
        """Properties (each with the file it is declared in) and required names, those inherited among them."""
        properties = {name: (inner, file) for name, inner in schema.get("properties", {}).items()}
        required = set(schema.get("required", ()))
        for part in schema.get("allOf", ()):
            inner, where = self._resolved(part, file)
            more, needed = self._whole(inner, where)
            properties, required = more | properties, required | needed
        return properties, required

    def _resolved(self, schema: dict[str, Any], file: str) -> tuple[dict[str, Any], str]:
        if "$ref" not in schema:
            return schema, file
        target, _, pointer = schema["$ref"].partition("#")
        where = Path(target).name or file
        return self._resolved(self._files[where][pointer.rsplit("/", 1)[1]], where)

    def _faults(self, value: Any, schema: dict[str, Any], file: str, path: str) -> Iterator[str]:
        schema, file = self._resolved(schema, file)
        if "enum" in schema and value not in schema["enum"]:
            yield f"{path}: {value!r} is none of {schema['enum']}"
        if schema.get("type") == "array":
            if not isinstance(value, list):
                yield f"{path}: {value!r} is not an array"
                return
            for index, item in enumerate(value):
                yield from self._faults(item, schema["items"], file, f"{path}[{index}]")
        elif schema.get("type") == "object" or "properties" in schema or "allOf" in schema:
            yield from self._object_faults(value, schema, file, path)
        elif schema.get("type") == "integer":
            if type(value) is not int or not schema.get("minimum", value) <= value <= schema.get("maximum", value):
                yield f"{path}: {value!r} is not a whole number within its bounds"
        elif schema.get("type") == "string" and not isinstance(value, str):
            yield f"{path}: {value!r} is not a string"

    def _object_faults(self, value: Any, schema: dict[str, Any], file: str, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is not an object"
            return
        variant = self._variant(value, schema, file)
        properties, required = self._whole(variant, file)
        for name in sorted(required - value.keys() - ANSWERS):
            yield f"{path}/{name}: is missing"
        for name, item in value.items():
            if name not in properties or name in ANSWERS:
                yield f"{path}/{name}: there is no such property"
            else:
                yield from self._faults(item, properties[name][0], properties[name][1], f"{path}/{name}")

    def _variant(self, value: dict[str, Any], schema: dict[str, Any], file: str) -> dict[str, Any]:
        """The definition that a discriminator picks among those that extend a schema."""
        if "discriminator" not in schema or "x-ms-discriminator-value" in schema:
            return schema
        own = next(name for name, known in self._files[file].items() if known is schema)
        for candidate in self._files[file].values():
            bases = {part.get("$ref", "").rsplit("/", 1)[-1] for part in candidate.get("allOf", ())}
            if own in bases and candidate.get("x-ms-discriminator-value") == value.get(schema["discriminator"]):
                return dict(candidate)
        return schema


def faults(topology: dict[str, Any], specification: Specification) -> list[str]:
    """Everything wrong with a definition."""
    found = [
        fault
        for side in NODES
        for index, node in enumerate(topology.get(side, []))
        for fault in specification.node_faults(side, node, f"{side}[{index}]")
    ]
    return found or list(_graph_faults(topology))


def _graph_faults(topology: dict[str, Any]) -> Iterator[str]:
    nodes = {node["name"]: (side, node) for side in NODES for node in topology[side]}
    for name, count in Counter(node["name"] for side in NODES for node in topology[side]).items():
        if count > 1:
            yield f"{name}: {count} nodes of one name"
        if not NAME.fullmatch(name):
            yield f"{name}: a name has 3 to 63 letters and digits"
    defaults = [node["name"] for node in topology["streams"] if node["type"] == "DefaultStream"]
    if len(defaults) != 1:
        yield f"{len(defaults)} default streams: there is exactly one"
    read: Counter[str] = Counter()
    for name, (side, node) in nodes.items():
        for source in node.get("inputNodes", []):
            read[source["name"]] += 1
            if source["name"] not in nodes:
                yield f"{name}: its input {source['name']} does not exist"
            elif nodes[source["name"]][0] == "destinations":
                yield f"{name}: its input {source['name']} is a destination"
        if side != "sources" and not node.get("inputNodes"):
            yield f"{name}: nothing flows into it"
        yield from _schema_faults(name, node)
    for name, (side, _) in nodes.items():
        if side != "destinations" and not read[name]:
            yield f"{name}: nothing reads it"
    for operator in topology["operators"]:
        if operator["type"] == "SQL":
            yield from _query_faults(operator, nodes)


def _schema_faults(name: str, node: dict[str, Any]) -> Iterator[str]:
    inputs = {source["name"] for source in node.get("inputNodes", [])}
    for schema in node.get("inputSchemas", []):
        if schema["name"] not in inputs:
            yield f"{name}: a schema for {schema['name']}, which is no input of it"
    if node["type"] == "Eventhouse" and not node.get("inputSchemas"):
        yield f"{name}: no schema of the rows"


def _query_faults(operator: dict[str, Any], nodes: dict[str, tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """Outputs named INTO the query are the nodes behind the operator, and what it reads FROM is a stream before it."""
    query = re.sub(r"--.*", "", operator["properties"]["query"])
    into = set(re.findall(r"\bINTO\s+(\w+)", query))
    behind = {
        name for name, (_, node) in nodes.items() if operator["name"] in {source["name"] for source in node.get("inputNodes", [])}
    }
    for name in sorted(into - behind):
        yield f"{operator['name']}: the query writes INTO {name}, which is no node behind it"
    for name in sorted(behind - into):
        yield f"{operator['name']}: {name} is behind it, and the query writes nothing into it"
    for source in operator["inputNodes"]:
        if not re.search(rf"\bFROM\s+{source['name']}\b", query):
            yield f"{operator['name']}: the query does not read {source['name']}"
    for name in behind & nodes.keys():
        if nodes[name][0] == "operators":
            yield f"{name}: an operator can't follow a query"
