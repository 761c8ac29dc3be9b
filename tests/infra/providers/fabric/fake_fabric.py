"""Microsoft Fabric on loopback, as its REST specification publishes it and as its users have met it.

From the specification (github.com/microsoft/fabric-rest-api-specs): addresses, bodies, 202 with Location, x-ms-operation-id and
Retry-After, operations and their results, pages with a continuationToken, errors as {requestId, errorCode, message, moreDetails}.
From users: a name that cools down after its item is deleted, parents and databases unknown for a while, nodes that are Creating,
a KQL database made along with an eventhouse, definitions that come back reordered and with a .platform.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.infra.providers.fake_service import TOKEN, Answer, FakeService, Request

CAPACITY = "0a0a0a0a-0000-4000-8000-00000000000c"
WITH_DEFINITION = {"Eventhouse", "Eventstream", "KQLDashboard", "KQLDatabase", "Reflex", "Report", "SemanticModel"}
ITEM_TYPES = WITH_DEFINITION | {"Lakehouse"}
PATHS = {"Eventhouse": "eventhouses", "KQLDatabase": "kqlDatabases"}


def fabric_error(status: int, code: str, message: str, *details: str) -> Answer:
    """An error in Fabric's shape."""
    body: dict[str, Any] = {"requestId": "request-1", "errorCode": code, "message": message}
    if details:
        body["moreDetails"] = [{"errorCode": "Detail", "message": text} for text in details]
    return Answer(status, body, {"RequestId": "request-1"})


@dataclass
class Item:
    """An item with its definition (payloads by path) and what its type's own address tells."""

    id: str
    type: str
    name: str
    description: str
    parts: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    creation: dict[str, Any] = field(default_factory=dict)
    connections: list[dict[str, Any]] = field(default_factory=list)
    shortcuts: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Workspace:
    """A workspace and what is in it."""

    id: str
    name: str
    description: str
    capacity: str | None
    identity: dict[str, str] | None = None
    moving: int = 0
    items: dict[str, Item] = field(default_factory=dict)
    folders: list[dict[str, Any]] = field(default_factory=list)
    roles: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Operation:
    """A long-running operation: looks until it is final, then an error or a result (None: it has none)."""

    looks: int
    result: Any
    error: dict[str, str] | None = None


class FakeFabric(FakeService):
    """One tenant."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """An empty tenant with one active capacity and no fault."""
        self.requests.clear()
        self.faults.clear()
        self.capacities = [
            {"id": CAPACITY, "displayName": "fabriccontosodev", "sku": "F4", "region": "West Europe", "state": "Active"}
        ]
        self.workspaces: dict[str, Workspace] = {}
        self.connections: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, Operation] = {}
        self.failing: list[dict[str, str]] = []
        """How the next operations fail: {errorCode, message}."""
        self.cooling: dict[str, int] = {}
        """Names of deleted items, and how many creations they are still refused."""
        self.cools_for = 2
        self.unknown_for = 1
        """How many requests what was just made stays unknown to."""
        self.fresh: dict[str, int] = {}
        self.nodes_creating = 2
        self.node_fails = ""
        self.scripts: list[str] = []
        self.kusto_schema: list[str] = []
        self.containers = {"lake"}
        self.locations_refused = 0
        self.paused = False
        """Whether the capacity sleeps: what lies on it is answered 404 CapacityNotActive then."""
        self.operations_end = "Succeeded"
        self.label_protects = False
        self.settings_on = True
        self.moves_for, self.moves_end = 2, "Completed"
        """How many looks a workspace is on its way to a capacity, and how that ends."""
        self.page_size = 2
        self.operations_at = "https://wabi-west-europe.example.com"
        """Where an answer says that its operation is told of: another host, which is no place for a token."""

    def environment(self) -> dict[str, str]:
        return {"ROOMPULSE_FABRIC_ENDPOINT": self.url}

    @property
    def workspace(self) -> Workspace:
        (only,) = self.workspaces.values()
        return only

    def item(self, type_: str, name: str) -> Item:
        return next(i for w in self.workspaces.values() for i in w.items.values() if (i.type, i.name) == (type_, name))

    def made(self, method: str, ending: str) -> list[Request]:
        """The requests of a kind."""
        return [request for request in self.requests if request.method == method and request.path.endswith(ending)]

    def handle(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return fabric_error(401, "TokenExpired", "Access token has expired, resubmit with a new access token")
        if not self.settings_on:
            return fabric_error(403, "InsufficientPrivileges", "The caller does not have sufficient permissions.")
        if self.paused and re.match("/v1/workspaces/[^/]+/.|/v1/operations/", request.path):
            return fabric_error(404, "CapacityNotActive", "Unable to complete the action because the capacity is not active.")
        for pattern, method, handler in self._routes():
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return handler(request, *match.groups())
        return fabric_error(404, "EndpointNotFound", f"{request.method} {request.path}")

    def _routes(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        w = "/v1/workspaces/([^/]+)"
        return [
            ("/v1/capacities", "GET", self._list_capacities),
            ("/v1/operations/([^/]+)", "GET", self._operation),
            ("/v1/operations/([^/]+)/result", "GET", self._operation_result),
            ("/v1/connections", "POST", self._create_connection),
            ("/v1/connections", "GET", lambda request: self._page(request, [*self.connections.values()])),
            ("/v1/connections/([^/]+)", "GET", self._get_connection),
            ("/v1/connections/([^/]+)", "DELETE", self._delete_connection),
            ("/v1/workspaces", "POST", self._create_workspace),
            ("/v1/workspaces", "GET", lambda request: self._page(request, [_listed(one) for one in self.workspaces.values()])),
            (w, "GET", lambda _request, id_: self._of(id_, self._look)),
            (w, "PATCH", self._rename_workspace),
            (w, "DELETE", self._delete_workspace),
            (w + "/assignToCapacity", "POST", self._assign),
            (w + "/provisionIdentity", "POST", self._provision_identity),
            (w + "/roleAssignments", "GET", lambda r, id_: self._of(id_, lambda found: self._page(r, [*found.roles.values()]))),
            (w + "/roleAssignments", "POST", self._give_role),
            (w + "/roleAssignments/([^/]+)", "PATCH", self._change_role),
            (w + "/roleAssignments/([^/]+)", "DELETE", self._take_role),
            (w + "/folders", "GET", lambda r, id_: self._of(id_, lambda found: self._page(r, found.folders))),
            (w + "/folders", "POST", self._create_folder),
            (w + "/items", "POST", self._create_item),
            (w + "/items", "GET", self._list_items),
            (w + "/items/([^/]+)", "GET", lambda r, w_, i: self._in(w_, i, lambda _w, item: Answer(200, _shown(item)))),
            (w + "/items/([^/]+)", "PATCH", self._rename_item),
            (w + "/items/([^/]+)", "DELETE", self._delete_item),
            (w + "/items/([^/]+)/getDefinition", "POST", self._get_definition),
            (w + "/items/([^/]+)/updateDefinition", "POST", self._update_definition),
            (w + "/items/([^/]+)/connections", "GET", self._item_connections),
            (w + "/semanticModels/([^/]+)/bindConnection", "POST", self._bind),
            (w + "/(?:eventhouses|(?i:kqlDatabases))/([^/]+)", "GET", self._details),
            (w + "/eventstreams/([^/]+)", "GET", lambda r, w_, i: self._in(w_, i, lambda _w, item: Answer(200, _shown(item)))),
            (w + "/eventstreams/([^/]+)/topology", "GET", self._topology),
            (w + "/eventstreams/([^/]+)/(sources|destinations)/([^/]+)/connection", "GET", self._node_connection),
            (w + "/items/([^/]+)/shortcuts", "POST", self._create_shortcut),
            (w + "/items/([^/]+)/shortcuts/(.+)", "GET", self._get_shortcut),
            (w + "/items/([^/]+)/shortcuts/(.+)", "DELETE", self._delete_shortcut),
            ("/v1/rest/mgmt", "POST", self._management),
        ]

    # -- operations

    def _later(self, result: Any, finish: Callable[[], None] = lambda: None) -> Answer:
        """202; the work is done when the operation succeeds."""
        error = self.failing.pop(0) if self.failing else None
        if error is None:
            finish()
        id_ = str(uuid.uuid4())
        self.operations[id_] = Operation(2, result, error)
        location = f"{self.operations_at}/v1/operations/{id_}"
        return Answer(202, None, {"Location": location, "x-ms-operation-id": id_, "Retry-After": "20"})

    def _operation(self, _request: Request, id_: str) -> Answer:
        operation = self.operations.get(id_)
        if operation is None:
            return fabric_error(404, "OperationNotFound", "no such operation")
        operation.looks -= 1
        location = f"{self.operations_at}/v1/operations/{id_}"
        if operation.looks > 0:
            return Answer(200, {"status": "Running", "percentComplete": 50}, {"Retry-After": "20", "Location": location})
        if operation.error:
            return Answer(200, {"status": "Failed", "error": operation.error})
        found = {"Location": f"{location}/result"} if operation.result is not None else {}
        return Answer(200, {"status": self.operations_end, "percentComplete": 100}, found)

    def _operation_result(self, _request: Request, id_: str) -> Answer:
        operation = self.operations[id_]
        if operation.result is None:
            return fabric_error(400, "OperationHasNoResult", "The operation has no result.")
        return Answer(200, operation.result)

    def _page(self, request: Request, everything: list[Any]) -> Answer:
        start = int(request.query.get("continuationToken", "0"))
        end = start + self.page_size
        page: dict[str, Any] = {"value": everything[start:end]}
        if end < len(everything):
            page |= {"continuationToken": str(end), "continuationUri": "https://example.com/next"}
        return Answer(200, page)

    def _list_capacities(self, request: Request) -> Answer:
        return self._page(request, self.capacities)

    # -- workspaces

    def _of(self, id_: str, do: Callable[[Workspace], Answer]) -> Answer:
        found = self.workspaces.get(id_)
        return do(found) if found else fabric_error(404, "WorkspaceNotFound", "The requested workspace was not found.")

    def _capacity_fault(self, id_: str) -> Answer | None:
        known = next((one for one in self.capacities if one["id"] == id_), None)
        if known is None:
            return fabric_error(403, "InsufficientPermissionsOverCapacity", "The caller has insufficient permissions.")
        return None if known["state"] == "Active" else fabric_error(400, "CapacityNotInActiveState", "The capacity is paused.")

    def _create_workspace(self, request: Request) -> Answer:
        body = request.json
        if fault := self._capacity_fault(body["capacityId"]):
            return fault
        if any(one.name == body["displayName"] for one in self.workspaces.values()):
            return fabric_error(409, "WorkspaceNameAlreadyExists", "The workspace name is already in use.")
        made = Workspace(str(uuid.uuid4()), body["displayName"], body.get("description", ""), body["capacityId"])
        self.workspaces[made.id] = made
        return Answer(201, _told(made), {"Location": f"{self.url}/v1/workspaces/{made.id}"})

    def _look(self, found: Workspace) -> Answer:
        progress = "InProgress" if found.moving > 0 else self.moves_end
        found.moving -= 1
        return Answer(200, {**_told(found), "capacityAssignmentProgress": progress})

    def _rename_workspace(self, request: Request, id_: str) -> Answer:
        def rename(found: Workspace) -> Answer:
            found.name, found.description = request.json["displayName"], request.json["description"]
            return Answer(200, _told(found))

        return self._of(id_, rename)

    def _delete_workspace(self, _request: Request, id_: str) -> Answer:
        return self._of(id_, lambda found: Answer(200, self.workspaces.pop(found.id) and None))

    def _assign(self, request: Request, id_: str) -> Answer:
        def assign(found: Workspace) -> Answer:
            if fault := self._capacity_fault(request.json["capacityId"]):
                return fault
            found.capacity, found.moving = request.json["capacityId"], self.moves_for
            return Answer(202)

        return self._of(id_, assign)

    def _provision_identity(self, _request: Request, id_: str) -> Answer:
        def provision(found: Workspace) -> Answer:
            if found.identity:
                return fabric_error(400, "WorkspaceIdentityAlreadyExists", "The workspace has an identity.")
            identity = {"applicationId": str(uuid.uuid4()), "servicePrincipalId": str(uuid.uuid4())}

            def finish() -> None:
                found.identity = identity

            return self._later(identity, finish)

        return self._of(id_, provision)

    # -- roles

    def _give_role(self, request: Request, id_: str) -> Answer:
        def give(found: Workspace) -> Answer:
            principal = request.json["principal"]
            if principal["id"] in found.roles:
                return fabric_error(409, "PrincipalAlreadyHasWorkspaceRolePermissions", "The principal has a role.")
            assignment = {"id": principal["id"], "principal": principal, "role": request.json["role"]}
            found.roles[principal["id"]] = assignment
            return Answer(201, assignment)

        return self._of(id_, give)

    def _change_role(self, request: Request, id_: str, assignment: str) -> Answer:
        def change(found: Workspace) -> Answer:
            role = found.roles[unquote(assignment)]
            role["role"] = request.json["role"]
            return Answer(200, role)

        return self._of(id_, change)

    def _take_role(self, _request: Request, id_: str, assignment: str) -> Answer:
        return self._of(id_, lambda found: Answer(200, found.roles.pop(unquote(assignment)) and None))

    # -- connections

    def _create_connection(self, request: Request) -> Answer:
        body = request.json
        if body["credentialDetails"]["credentials"] != {"credentialType": "WorkspaceIdentity"}:
            return fabric_error(400, "InvalidInput", "a key")
        if any(one.get("displayName") == body["displayName"] for one in self.connections.values()):
            return fabric_error(409, "DuplicateConnectionName", "The connection name is in use.")
        details = body["connectionDetails"]
        given = {parameter["name"]: parameter["value"].rstrip("/") for parameter in details["parameters"]}
        path = ";".join(given[name] for name in ("server", "path", "cluster", "database") if name in given)
        made = {
            "id": str(uuid.uuid4()),
            "displayName": body["displayName"],
            "connectivityType": body["connectivityType"],
            "connectionDetails": {"type": details["type"], "path": path},
            "credentialDetails": {"credentialType": "WorkspaceIdentity", "singleSignOnType": "None"},
        }
        self.connections[made["id"]] = made
        return Answer(201, made)

    def _get_connection(self, _request: Request, id_: str) -> Answer:
        found = self.connections.get(id_)
        return Answer(200, found) if found else fabric_error(404, "EntityNotFound", "no such connection")

    def _delete_connection(self, _request: Request, id_: str) -> Answer:
        return Answer(200) if self.connections.pop(id_, None) else fabric_error(404, "EntityNotFound", "no such connection")

    # -- items

    def _in(self, workspace: str, id_: str, do: Callable[[Workspace, Item], Answer]) -> Answer:
        def within(found: Workspace) -> Answer:
            item = found.items.get(id_)
            return do(found, item) if item else fabric_error(404, "ItemNotFound", "The requested item was not found.")

        return self._of(workspace, within)

    def _create_folder(self, request: Request, id_: str) -> Answer:
        def create(found: Workspace) -> Answer:
            made = {"id": str(uuid.uuid4()), "displayName": request.json["displayName"], "workspaceId": found.id}
            found.folders.append(made)
            return Answer(201, made)

        return self._of(id_, create)

    def _create_item(self, request: Request, id_: str) -> Answer:
        return self._of(id_, lambda found: self._create(found, request.json))

    def _create(self, workspace: Workspace, body: dict[str, Any]) -> Answer:
        type_, name = body["type"], body["displayName"]
        if type_ not in ITEM_TYPES:
            return fabric_error(400, "UnsupportedItemType", f"{type_} is not supported")
        if type_ == "Eventstream" and not re.fullmatch(r"[\w-]+", name):
            return fabric_error(400, "InvalidInput", "the name of an eventstream")
        if any((item.type, item.name) == (type_, name) for item in workspace.items.values()):
            return fabric_error(409, "ItemDisplayNameAlreadyInUse", "Requested item name is already in use.")
        if self.cooling.get(name, 0) > 0:
            self.cooling[name] -= 1
            return fabric_error(400, "ItemDisplayNameNotAvailableYet", "Requested item name is not available yet.")
        item = Item(str(uuid.uuid4()), type_, name, body.get("description", ""), creation=body.get("creationPayload", {}))
        item.parts = _payloads(body.get("definition"))
        if type_ == "KQLDatabase" and (fault := self._database_fault(workspace, item)):
            return fault
        if type_ in PATHS:
            item.properties["queryServiceUri"] = self.url

        def finish() -> None:
            workspace.items[item.id] = item
            self.fresh[item.id] = self.unknown_for
            if type_ == "Eventhouse":
                sibling = Item(str(uuid.uuid4()), "KQLDatabase", name, "")
                sibling.properties = {"queryServiceUri": self.url, "parentEventhouseItemId": item.id}
                workspace.items[sibling.id] = sibling
            if type_ == "SemanticModel":
                details = {"type": "AzureDataExplorer", "path": '{"cluster":"store","database":"roompulse"}'}
                item.connections = [{"connectivityType": "None", "connectionDetails": details}]

        return self._later(_shown(item), finish)

    def _database_fault(self, workspace: Workspace, item: Item) -> Answer | None:
        if item.creation and item.parts:
            return fabric_error(400, "InvalidInput", "Use definition or creationPayload, not both.")
        given = item.creation or json.loads(base64.b64decode(item.parts["DatabaseProperties.json"]))
        parent = given["parentEventhouseItemId"]
        if parent not in workspace.items or self.fresh.get(parent, 0) > 0:
            self.fresh[parent] = self.fresh.get(parent, 0) - 1
            return fabric_error(404, "ParentEventhouseItemWasNotFound", "The parent eventhouse was not found.")
        item.properties = {"parentEventhouseItemId": parent}
        return None

    def _list_items(self, request: Request, id_: str) -> Answer:
        wanted = request.query.get("type")

        def listed(found: Workspace) -> Answer:
            return self._page(request, [_shown(item) for item in found.items.values() if wanted in (None, item.type)])

        return self._of(id_, listed)

    def _rename_item(self, request: Request, workspace: str, id_: str) -> Answer:
        def rename(_found: Workspace, item: Item) -> Answer:
            item.name, item.description = request.json["displayName"], request.json["description"]
            return Answer(200, _shown(item))

        return self._in(workspace, id_, rename)

    def _delete_item(self, _request: Request, workspace: str, id_: str) -> Answer:
        def delete(found: Workspace, item: Item) -> Answer:
            children = [one.id for one in found.items.values() if one.properties.get("parentEventhouseItemId") == item.id]
            for gone in (item.id, *children):  # an eventhouse takes its databases along
                del found.items[gone]
            self.cooling[item.name] = self.cools_for
            return Answer(200)

        return self._in(workspace, id_, delete)

    def _get_definition(self, _request: Request, workspace: str, id_: str) -> Answer:
        def definition(_found: Workspace, item: Item) -> Answer:
            if self.label_protects:
                return fabric_error(403, "ProtectedLabel", "The item has a protected sensitivity label.")
            if item.type not in WITH_DEFINITION:
                return fabric_error(400, "OperationNotSupportedForItem", "no definition")
            platform = {"metadata": {"type": item.type, "displayName": item.name}, "config": {"logicalId": str(uuid.uuid4())}}
            parts = {".platform": base64.b64encode(json.dumps(platform).encode()).decode(), **item.parts}
            listed = [{"path": path, "payload": payload, "payloadType": "InlineBase64"} for path, payload in parts.items()]
            return self._later({"definition": {"parts": listed}})

        return self._in(workspace, id_, definition)

    def _update_definition(self, request: Request, workspace: str, id_: str) -> Answer:
        def update(_found: Workspace, item: Item) -> Answer:
            def finish() -> None:
                item.parts = _payloads(request.json["definition"])

            return self._later(None, finish)

        return self._in(workspace, id_, update)

    def _details(self, _request: Request, workspace: str, id_: str) -> Answer:
        def details(_found: Workspace, item: Item) -> Answer:
            if self.fresh.get(item.id, 0) > 0:
                self.fresh[item.id] -= 1
                return fabric_error(404, "EntityNotFound", "The entity was not found.")
            return Answer(200, {**_shown(item), "properties": item.properties})

        return self._in(workspace, id_, details)

    # -- semantic models

    def _item_connections(self, request: Request, workspace: str, id_: str) -> Answer:
        return self._in(workspace, id_, lambda _w, item: self._page(request, item.connections))

    def _bind(self, request: Request, workspace: str, id_: str) -> Answer:
        binding = request.json["connectionBinding"]

        def bind(_found: Workspace, item: Item) -> Answer:
            for source in item.connections:
                if source["connectionDetails"] == binding["connectionDetails"]:
                    source.pop("id", None)
                    source |= binding
                    return Answer(200)
            return fabric_error(400, "InvalidRequest", "no such data source")

        return self._in(workspace, id_, bind)

    # -- eventstreams

    def _topology(self, _request: Request, workspace: str, id_: str) -> Answer:
        def topology(_found: Workspace, item: Item) -> Answer:
            if self.fresh.get(item.id, 0) > 0:
                self.fresh[item.id] -= 1
                return fabric_error(404, "EntityNotFound", "The entity was not found.")
            given = json.loads(base64.b64decode(item.parts["eventstream.json"]))
            status = "Creating" if self.nodes_creating > 0 else "Running"
            self.nodes_creating -= 1
            shown: dict[str, Any] = {}
            for side in ("sources", "destinations"):
                shown[side] = [{**node, "id": f"id-of-{node['name']}", "status": status} for node in given[side]]
                for node in shown[side]:
                    if node["name"] == self.node_fails:
                        node |= {"status": "Failed", "error": {"errorCode": "E", "errorMessage": "no such table"}}
            return Answer(200, shown)

        return self._in(workspace, id_, topology)

    def _node_connection(self, _request: Request, workspace: str, id_: str, side: str, node: str) -> Answer:
        def connection(_found: Workspace, _item: Item) -> Answer:
            told = {
                "fullyQualifiedNamespace": "esehweu.servicebus.windows.net",
                "eventHubName": f"es_{node.removeprefix('id-of-')}",
                "accessKeys": {
                    "primaryKey": "SECRET-KEY",
                    "primaryConnectionString": "Endpoint=sb://;SharedAccessKey=SECRET-KEY",
                },
            }
            return Answer(200, told | ({"consumerGroupName": "es-group"} if side == "destinations" else {}))

        return self._in(workspace, id_, connection)

    # -- shortcuts

    def _create_shortcut(self, request: Request, workspace: str, id_: str) -> Answer:
        body = request.json
        (kind, target), *more = body["target"].items()
        if more:
            return fabric_error(400, "InvalidInput", "one target")
        if kind == "adlsGen2":
            if target["connectionId"] not in self.connections:
                return fabric_error(400, "BadRequest", "no such connection")
            if self.locations_refused > 0:
                self.locations_refused -= 1
                return fabric_error(400, "BadRequest", "Access to target location denied: Forbidden (403)")
            if target["subpath"].strip("/").split("/")[0] not in self.containers:
                return fabric_error(400, "BadRequest", "Target path doesn't exist")

        def create(_found: Workspace, item: Item) -> Answer:
            place = f"{body['path']}/{body['name']}"
            if place in item.shortcuts and request.query.get("shortcutConflictPolicy") != "CreateOrOverwrite":
                return fabric_error(409, "EntityConflict", "the shortcut exists")
            item.shortcuts[place] = {**body, "target": {"type": kind[0].upper() + kind[1:], kind: target}}
            return Answer(201, item.shortcuts[place])

        return self._in(workspace, id_, create)

    def _get_shortcut(self, _request: Request, workspace: str, id_: str, place: str) -> Answer:
        def get(_found: Workspace, item: Item) -> Answer:
            shortcut = item.shortcuts.get(place)
            return Answer(200, shortcut) if shortcut else fabric_error(404, "EntityNotFound", "no such shortcut")

        return self._in(workspace, id_, get)

    def _delete_shortcut(self, _request: Request, workspace: str, id_: str, place: str) -> Answer:
        def delete(_found: Workspace, item: Item) -> Answer:
            gone = item.shortcuts.pop(place, None)
            return Answer(200) if gone else fabric_error(404, "EntityNotFound", "no such shortcut")

        return self._in(workspace, id_, delete)

    # -- Kusto

    def _management(self, request: Request) -> Answer:
        command = request.json["csl"]
        if command.startswith(".show database"):
            return kusto_table(["DatabaseSchemaScript"], [[row] for row in self.kusto_schema])
        head, _, script = command.partition("<|\n")
        assert head.startswith(".execute database script")
        self.scripts.append(script)
        if "kaputt" in script:
            return kusto_table(["CommandText", "Result", "Reason"], [["kaputt", "Failed", "Syntax error"]])
        self.kusto_schema = [*(row for row in self.kusto_schema if row.split("(")[0] != script.split("(")[0]), script]
        return kusto_table(["CommandText", "Result", "Reason"], [[script, "Completed", ""]])


def kusto_table(columns: list[str], rows: list[list[Any]]) -> Answer:
    """Rows as Kusto's v1 endpoint gives them."""
    described = [{"ColumnName": column, "DataType": "String"} for column in columns]
    return Answer(200, {"Tables": [{"TableName": "Table_0", "Columns": described, "Rows": rows}]})


def _payloads(definition: dict[str, Any] | None) -> dict[str, str]:
    return {part["path"]: part["payload"] for part in (definition or {"parts": []})["parts"]}


def _listed(workspace: Workspace) -> dict[str, Any]:
    told = _told(workspace)
    told.pop("workspaceIdentity", None)
    return told


def _told(workspace: Workspace) -> dict[str, Any]:
    told = {
        "id": workspace.id,
        "displayName": workspace.name,
        "description": workspace.description,
        "type": "Workspace",
        "capacityId": workspace.capacity,
    }
    return told | ({"workspaceIdentity": workspace.identity} if workspace.identity else {})


def _shown(item: Item) -> dict[str, Any]:
    return {"id": item.id, "displayName": item.name, "description": item.description, "type": item.type, "workspaceId": "w"}
