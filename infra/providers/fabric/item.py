"""An item of a workspace: made with its definition, updated by it, and read back to see whether somebody else changed it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

import powerbi.items
from infra.providers.base import log
from infra.providers.fabric.client import (
    CONSISTENCY_PATIENCE_SECONDS,
    NAME_COOLING,
    NAME_PATIENCE_SECONDS,
    NOT_KNOWN_YET,
    FabricClient,
    NotFollowed,
    claimed,
    first_named,
    required,
)
from infra.providers.fabric.provider import FabricProvider
from infra.providers.fabric.workspace import described

BINARY = "base64:"
"""How a part begins that is not text; the engine carries text only."""
COLLECTIONS = {"Eventhouse": "eventhouses", "KQLDatabase": "kqlDatabases"}
"""Types whose own address says more (`properties`) than the item's: where they are queried."""
DEFINITION_PATIENCE_SECONDS = 60.0
"""How long the definition of what was just made may stay unknown before it is done without."""
CHANGED_ELSEWHERE = "changed by somebody else"
"""The content hash of an item whose definition in Fabric is no longer the one deployed."""


class FabricItemProvider(FabricProvider):
    """Creates, updates, reads and deletes items of every type we deploy."""

    declared: ClassVar = ("workspaceId", "type", "name", "description", "parts", "references", "creation", "contentHash")
    fixed: ClassVar = ("workspaceId", "type", "creation")

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the item, waiting for its parent to be known and its name to be free.

        One that is there already is taken up if an interrupted run of ours left it, or if it is the database that Fabric makes
        along with an eventhouse.
        """
        client = _client(props)
        body: dict[str, Any] = {"displayName": props["name"], "type": props["type"], "description": described(props)}
        if props["parts"]:
            body["definition"] = definition(props)
        if props["creation"]:
            body["creationPayload"] = props["creation"]
        address = f"/v1/workspaces/{props['workspaceId']}/items"

        def make() -> dict[str, Any]:
            try:
                return client.operate("POST", address, body, "creating it")
            except NotFollowed as fault:
                log.info("%s", fault)
                return {}

        item = client.made_or_taken_up(
            make, lambda: self._taken_up(client, props), NOT_KNOWN_YET | NAME_COOLING, NAME_PATIENCE_SECONDS
        )
        if "id" not in item:
            item = required(client.eventually(lambda: _named(client, props)), client, "an item of this name")
        return CreateResult(item["id"], self._outs(client, item["id"], props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Another name, another definition: as much of it as is needed."""
        client = _client(_news)
        self._bring_about(client, _id, _news)
        return UpdateResult(self._outs(client, _id, _news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What Fabric has: the name, and whether the definition is still the one that was deployed."""
        client = _client(props)
        item = client.get(_address(props, id_), "reading it")
        if item is None:
            return ReadResult("", {})
        live = {**self.inputs(props), "name": item["displayName"]}
        if props.get("liveHash") and _live_hash(client, id_, props) not in {props["liveHash"], ""}:
            live["contentHash"] = CHANGED_ELSEWHERE
        return ReadResult(id_, {**props, **live}, live)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Delete the item; it may be gone with its workspace or its eventhouse already."""
        _client(_props).remove(_address(_props, _id), "deleting it")

    def _bring_about(self, client: FabricClient, id_: str, props: dict[str, Any]) -> None:
        address = _address(props, id_)
        item = required(client.get(address, "reading it"), client, "it")
        wanted = {"displayName": props["name"], "description": described(props)}
        if {name: item.get(name) for name in wanted} != wanted:
            client.patiently(lambda: client.operate("PATCH", address, wanted, "renaming it"), NAME_COOLING, NAME_PATIENCE_SECONDS)
        if props["parts"]:
            body = {"definition": definition(props)}
            client.patiently(
                lambda: client.operate("POST", f"{address}/updateDefinition", body, "updating its definition"),
                NOT_KNOWN_YET,
                CONSISTENCY_PATIENCE_SECONDS,
            )

    def _taken_up(self, client: FabricClient, props: dict[str, Any]) -> dict[str, Any] | None:
        """What has the name, if it is ours; None when nothing is listed by it, or what is listed was deleted a moment ago."""
        listed = _named(client, props)
        item = client.get(_address(props, listed["id"]), "reading it") if listed else None
        if item is None:
            return None
        if not _is_sibling(client, item, props):
            claimed(client, item, f"a {props['type']} {props['name']} in the workspace", described(props))
        self._bring_about(client, item["id"], props)
        return item

    def _outs(self, client: FabricClient, id_: str, props: dict[str, Any]) -> dict[str, Any]:
        def details() -> dict[str, Any]:
            return _details(client, id_, props)

        reported = client.patiently(details, NOT_KNOWN_YET, CONSISTENCY_PATIENCE_SECONDS)
        live_hash = _live_hash(client, id_, props) if props["parts"] else ""
        return {**self.inputs(props), "queryServiceUri": reported.get("queryServiceUri", ""), "liveHash": live_hash}


class FabricItem(Resource, module="roompulse", name="FabricItem"):
    """An item; `id` is its GUID. An eventhouse or a KQL database says where it is queried."""

    queryServiceUri: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        workspace_id: pulumi.Input[str],
        item: powerbi.items.FabricItem,
        description: str = "",
        references: Mapping[str, pulumi.Input[str]] | None = None,
        creation: Mapping[str, pulumi.Input[Any]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`references` are the values of the item's placeholders. `creation` is what an item without a definition is made with
        (a lakehouse's schemas, the source of a shortcut database). Raises ItemError for a placeholder without a value.
        """
        given = dict(references or {})
        for reference in item.references:
            if reference.placeholder not in given:
                raise powerbi.items.ItemError(f"{item.type} {item.name}: nothing here is {reference.placeholder}")
        props = {
            "workspaceId": workspace_id,
            "type": item.type,
            "name": item.name,
            "description": description,
            "parts": {path: _text(part) for path, part in sorted(item.parts.items())},
            "references": {reference.placeholder: given[reference.placeholder] for reference in item.references},
            "creation": dict(creation or {}),
            "contentHash": item.content_hash,
        }
        super().__init__(FabricItemProvider(), resource_name, {**props, "queryServiceUri": None, "liveHash": None}, opts)


def definition(props: Mapping[str, Any]) -> dict[str, Any]:
    """The definition as Fabric takes it: every part whole, its references resolved."""
    return {
        "parts": [
            {"path": path, "payload": base64.b64encode(content).decode(), "payloadType": "InlineBase64"}
            for path, content in sorted(_contents(props).items())
        ]
    }


def _contents(props: Mapping[str, Any]) -> dict[str, bytes]:
    return {
        path: base64.b64decode(part.removeprefix(BINARY))
        if part.startswith(BINARY)
        else powerbi.items.resolved(part, props["references"]).encode()
        for path, part in props["parts"].items()
    }


def _text(part: str | bytes) -> str:
    return part if isinstance(part, str) else BINARY + base64.b64encode(part).decode()


def _client(props: Mapping[str, Any]) -> FabricClient:
    return FabricClient(f"Fabric {props['type']} {props['name']}")


def _address(props: Mapping[str, Any], id_: str) -> str:
    return f"/v1/workspaces/{props['workspaceId']}/items/{id_}"


def _named(client: FabricClient, props: Mapping[str, Any]) -> dict[str, Any] | None:
    address = f"/v1/workspaces/{props['workspaceId']}/items?type={props['type']}"
    return first_named(client.listed(address, "listing the items"), props["name"])


def _details(client: FabricClient, id_: str, props: Mapping[str, Any]) -> dict[str, Any]:
    """What the type's own address reports. An item that was just made may not be there yet."""
    if props["type"] not in COLLECTIONS:
        return {}
    address = f"/v1/workspaces/{props['workspaceId']}/{COLLECTIONS[props['type']]}/{id_}"
    doing = "asking where it is queried"
    response = client.expect(client.send("GET", address), doing, 200)
    return dict(client.json(response, doing).get("properties") or {})


def _is_sibling(client: FabricClient, item: Mapping[str, Any], props: Mapping[str, Any]) -> bool:
    """Whether this is the database that Fabric made along with its eventhouse."""
    if props["type"] != "KQLDatabase" or "DatabaseProperties.json" not in props["parts"]:
        return False
    parent = json.loads(_contents(props)["DatabaseProperties.json"]).get("parentEventhouseItemId")
    return bool(parent) and _details(client, item["id"], props).get("parentEventhouseItemId") == parent


def _live_hash(client: FabricClient, id_: str, props: Mapping[str, Any]) -> str:
    """A hash over the definition as Fabric gives it back, whatever it added or reordered in it when it was deployed.

    "" where Fabric doesn't give it (right after the creation, or for good: a protected label): then it only shows no drift.
    """
    doing = "reading its definition"

    def read() -> str:
        address = f"{_address(props, id_)}/getDefinition"
        return _hash(
            client.patiently(lambda: client.operate("POST", address, None, doing), NOT_KNOWN_YET, DEFINITION_PATIENCE_SECONDS)
        )

    return client.optionally(read, doing)


def _hash(answer: Mapping[str, Any]) -> str:
    given = answer.get("definition")
    listed = given.get("parts") if isinstance(given, Mapping) else None
    parts = {str(part.get("path")): part.get("payload") for part in listed or []}
    parts.pop(".platform", None)  # name and description: read from the item
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
