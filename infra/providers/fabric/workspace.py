"""A Fabric workspace on a capacity, with an identity of its own that enters Azure without a key."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from infra.providers.base import OPERATION_PATIENCE_SECONDS, AzureError, Patience, log
from infra.providers.fabric.client import (
    CONSISTENCY_PATIENCE_SECONDS,
    MADE_BY,
    NAME_TAKEN,
    FabricClient,
    claimed,
    first_named,
    required,
)
from infra.providers.fabric.provider import FabricProvider


class WorkspaceProvider(FabricProvider):
    """Creates, assigns, reads and deletes workspaces; one that an interrupted run of ours left behind is taken up."""

    declared: ClassVar = ("name", "description", "capacity")

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create the workspace on its capacity and give it its identity."""
        client = _client(props["name"])
        capacity = _capacity_id(client, props["capacity"])
        body = {"displayName": props["name"], "description": described(props), "capacityId": capacity}
        try:
            workspace = client.made_or_taken_up(
                lambda: client.operate("POST", "/v1/workspaces", body, "creating the workspace"),
                lambda: _left_behind(client, props["name"], described(props)),
            )
        except AzureError as fault:
            if fault.code not in NAME_TAKEN:
                raise
            raise client.error(
                "the name is taken by a workspace that the deploying principal can't see",
                "take another name (azure.fabric.workspace), or have its admin make the principal an Admin of it",
            ) from fault
        _assign(client, workspace, capacity)
        return CreateResult(workspace["id"], self._outs(client, workspace["id"], props, capacity))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Rename, and move to another capacity."""
        client = _client(_news["name"])
        capacity = _capacity_id(client, _news["capacity"])
        workspace = required(client.get(f"/v1/workspaces/{_id}", "reading the workspace"), client, "the workspace")
        body = {"displayName": _news["name"], "description": described(_news)}
        if {name: workspace.get(name) for name in body} != body:
            client.operate("PATCH", f"/v1/workspaces/{_id}", body, "renaming the workspace")
        _assign(client, workspace, capacity)
        return UpdateResult(self._outs(client, _id, _news, capacity))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """What Fabric has: another name or another capacity shows as drift."""
        client = _client(str(props.get("name", id_)))
        workspace = client.get(f"/v1/workspaces/{id_}", "reading the workspace")
        if workspace is None:
            return ReadResult("", {})
        live = {**self.inputs(props), "name": workspace["displayName"]}
        if workspace.get("capacityId") != props.get("capacityId"):
            live["capacity"] = workspace.get("capacityId", "none")
        return ReadResult(id_, {**props, **live}, live)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Delete the workspace and everything in it."""
        _client(_props["name"]).remove(f"/v1/workspaces/{_id}", "deleting the workspace")

    def _outs(self, client: FabricClient, id_: str, props: dict[str, Any], capacity: str) -> dict[str, Any]:
        identity = _identity(client, id_)
        return {
            **self.inputs(props),
            "capacityId": capacity,
            "identityApplicationId": identity["applicationId"],
            "identityPrincipalId": identity["servicePrincipalId"],
        }


class Workspace(Resource, module="roompulse", name="Workspace"):
    """A workspace; `id` is its GUID. Its identity in Entra is `identityApplicationId`, and `identityPrincipalId` for roles."""

    identityApplicationId: pulumi.Output[str]
    identityPrincipalId: pulumi.Output[str]
    capacityId: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        name: str,
        description: str,
        capacity: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`capacity` is the name of a capacity the deploying principal may use, or its Fabric GUID (not its ARM id)."""
        props = {"name": name, "description": description, "capacity": capacity}
        unknown = dict.fromkeys(("capacityId", "identityApplicationId", "identityPrincipalId"))
        super().__init__(WorkspaceProvider(), resource_name, {**props, **unknown}, opts)


def described(props: dict[str, Any]) -> str:
    """A description that says who made the thing."""
    return f"{MADE_BY}. {props.get('description') or ''}".strip()[:256]


def _client(name: str) -> FabricClient:
    return FabricClient(f"Fabric workspace {name}")


def _name(capacity: Mapping[str, Any]) -> str:
    """What a capacity is called; its id where other people's has no name."""
    return str(capacity.get("displayName") or capacity["id"])


def _capacity_id(client: FabricClient, wanted: str) -> str:
    """The GUID of an active capacity. A capacity that was just made is listed some minutes later."""
    patience = Patience(CONSISTENCY_PATIENCE_SECONDS)
    while True:
        usable = list(client.listed("/v1/capacities", "listing the capacities"))
        named = [one for one in usable if wanted.casefold() in (one["id"].casefold(), _name(one).casefold())]
        if len(named) > 1:
            ids = ", ".join(sorted(one["id"] for one in named))
            raise client.error(
                f"{len(named)} capacities are called {wanted!r}", f"azure.fabric.capacity names one by its id: {ids}"
            )
        found = next(iter(named), None)
        if found is None and patience.wait(15.0):
            log.info("%s: capacity %s is not listed yet, looking again", client.subject, wanted)
            continue
        break
    if found is None:
        names = ", ".join(sorted(map(_name, usable))) or "none"
        step = "an administrator of the capacity adds the deploying principal to it, or azure.fabric.capacity names another"
        raise client.error(f"the deploying principal may use no capacity {wanted!r} (it may use: {names})", step)
    if found.get("state") != "Active":
        raise client.error(f"capacity {wanted} is {found.get('state')}", "resume it (az fabric capacity resume)")
    return str(found["id"])


def _left_behind(client: FabricClient, name: str, description: str) -> dict[str, Any] | None:
    """The workspace of this name, if it is ours; None when none is listed, or the one listed was deleted a moment ago."""
    listed = first_named(client.listed("/v1/workspaces", "listing the workspaces"), name)
    found = client.get(f"/v1/workspaces/{listed['id']}", "reading the workspace") if listed else None
    if found is not None:
        claimed(client, found, "a workspace of this name", description)
    return found


def _assign(client: FabricClient, workspace: dict[str, Any], capacity: str) -> None:
    """Move the workspace to the capacity, until it says that it has moved: the answer to the request only says accepted."""
    if workspace.get("capacityId") == capacity:
        return
    address, doing = f"/v1/workspaces/{workspace['id']}", "assigning the capacity"
    client.expect(client.send("POST", f"{address}/assignToCapacity", json={"capacityId": capacity}), doing, 200, 202)
    patience = Patience(OPERATION_PATIENCE_SECONDS)
    while patience.wait(5.0):
        now = required(client.get(address, "reading the workspace"), client, "the workspace")
        if now.get("capacityAssignmentProgress") == "Failed":
            break
        if now.get("capacityId") == capacity and now.get("capacityAssignmentProgress", "Completed") == "Completed":
            return
    raise client.error("the workspace did not move to the capacity", "see its settings in Fabric, then run pulumi up again")


def _identity(client: FabricClient, id_: str) -> dict[str, Any]:
    """The workspace's identity in Entra, made if it has none."""

    def look() -> dict[str, Any]:
        return required(client.get(f"/v1/workspaces/{id_}", "reading the workspace"), client, "the workspace")

    identity = look().get("workspaceIdentity")
    if not identity:
        client.operate("POST", f"/v1/workspaces/{id_}/provisionIdentity", None, "giving the workspace an identity")
        patience = Patience(CONSISTENCY_PATIENCE_SECONDS)
        while not (identity := look().get("workspaceIdentity")):
            if not patience.wait(10.0):
                raise client.error("the workspace has no identity yet", "run pulumi up again in a few minutes")
    for name in ("applicationId", "servicePrincipalId"):
        uuid.UUID(str(identity[name]))
    return dict(identity)
