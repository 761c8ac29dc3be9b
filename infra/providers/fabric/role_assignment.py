"""Who may do what in a workspace: one principal, one role."""

from __future__ import annotations

from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from infra.providers.base import AzureError
from infra.providers.fabric.client import CONSISTENCY_PATIENCE_SECONDS, NAME_TAKEN, FabricClient
from infra.providers.fabric.provider import FabricProvider

ROLES = ("Admin", "Member", "Contributor", "Viewer")
PRINCIPALS = ("Group", "ServicePrincipal", "User")
NEW_PRINCIPAL = frozenset({"PrincipalNotFound", "InvalidPrincipal"})
"""Said of an identity that was made a moment ago."""


class WorkspaceRoleAssignmentProvider(FabricProvider):
    """Gives, changes and takes roles. A principal has one role in a workspace."""

    declared: ClassVar = ("workspaceId", "principalId", "principalType", "role")
    fixed: ClassVar = ("workspaceId", "principalId", "principalType")

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Give the role; a principal that has one already gets this one."""
        client, address = _client(props), _address(props)
        body = {"principal": {"id": props["principalId"], "type": props["principalType"]}, "role": props["role"]}
        try:
            client.patiently(
                lambda: client.operate("POST", address, body, "giving the role"), NEW_PRINCIPAL, CONSISTENCY_PATIENCE_SECONDS
            )
        except AzureError as fault:
            if fault.code not in NAME_TAKEN:
                raise
            self._change(client, props)
        return CreateResult(f"{props['workspaceId']}/{props['principalId']}", self.inputs(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Another role."""
        self._change(_client(_news), _news)
        return UpdateResult(self.inputs(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The role the principal has now."""
        found = _found(_client(props), props)
        if found is None:
            return ReadResult("", {})
        live = {**self.inputs(props), "role": found["role"]}
        return ReadResult(id_, dict(live), live)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Take the role away; the workspace may be gone already."""
        client = _client(_props)
        found = _found(client, _props)
        if found:
            client.remove(f"{_address(_props)}/{found['id']}", "taking the role")

    def _change(self, client: FabricClient, props: dict[str, Any]) -> None:
        found = client.eventually(lambda: _found(client, props))
        if found is None:
            raise client.error("the principal has no role to change", "pulumi refresh, then run pulumi up again")
        if found["role"] != props["role"]:
            address = f"{_address(props)}/{found['id']}"
            client.operate("PATCH", address, {"role": props["role"]}, "changing the role")


class WorkspaceRoleAssignment(Resource, module="roompulse", name="WorkspaceRoleAssignment"):
    """A role of a principal in a workspace."""

    def __init__(
        self,
        resource_name: str,
        *,
        workspace_id: pulumi.Input[str],
        principal_id: pulumi.Input[str],
        principal_type: str,
        role: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`role` is one of ROLES, `principal_type` one of PRINCIPALS; `principal_id` is an object id in Entra."""
        if role not in ROLES or principal_type not in PRINCIPALS:
            raise ValueError(f"{resource_name}: {principal_type} as {role}: take one of {PRINCIPALS} as one of {ROLES}.")
        props = {"workspaceId": workspace_id, "principalId": principal_id, "principalType": principal_type, "role": role}
        super().__init__(WorkspaceRoleAssignmentProvider(), resource_name, props, opts)


def _client(props: dict[str, Any]) -> FabricClient:
    return FabricClient(f"role {props['role']} of {props['principalId']} in Fabric workspace {props['workspaceId']}")


def _address(props: dict[str, Any]) -> str:
    return f"/v1/workspaces/{props['workspaceId']}/roleAssignments"


def _found(client: FabricClient, props: dict[str, Any]) -> dict[str, Any] | None:
    if client.get(f"/v1/workspaces/{props['workspaceId']}", "reading the workspace") is None:
        return None
    assignments = client.listed(_address(props), "listing the roles")
    return next((one for one in assignments if one["principal"]["id"].casefold() == props["principalId"].casefold()), None)
