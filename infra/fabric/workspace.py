"""The workspace: on a capacity, with an identity that enters Azure without a key, and the groups of people who may do what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pulumi
from pulumi import Output, ResourceOptions

from infra.azure.fabric_capacity import FabricCapacity
from infra.azure.resource_group import ResourceGroup, unguarded
from infra.meters import free
from infra.parts import Kind, Part
from infra.providers.fabric.item import FabricItem
from infra.providers.fabric.role_assignment import WorkspaceRoleAssignment
from infra.providers.fabric.shortcut import Shortcut
from infra.providers.fabric.workspace import Workspace
from infra.settings.fabric import FabricSettings
from powerbi.items import WORKSPACE_ID, Reference
from powerbi.items import FabricItem as Item

HOLDS_DATA = frozenset({"Eventhouse", "KQLDatabase", "Lakehouse"})
"""Types of items that are more than what we render."""
ITEM_WORDS = {
    "Eventhouse": "eventhouse",
    "Eventstream": "eventstream",
    "KQLDashboard": "dashboard",
    "KQLDatabase": "database",
    "KQLQueryset": "queries",
    "Lakehouse": "lakehouse",
    "Reflex": "rules",
    "Report": "report",
    "SemanticModel": "model",
}
"""What people call an item, by its type; a plan names each one."""


class FabricWorkspace(Part):
    """The workspace, and the way items get into it. `id` is its GUID, `identity_*` the ids of its identity in Entra.

    An item may refer to those that were added before it.
    """

    title = "Fabric workspace"
    resources: ClassVar = {
        "Workspace": Kind("workspace", free),
        "WorkspaceRoleAssignment": Kind("workspace role", free),
        "FabricItem": Kind(lambda _, properties: f"{ITEM_WORDS[properties['type']]} {properties['name']}", free),
        "Connection": Kind("connection", free),
        "Shortcut": Kind("shortcut", free),
        "KqlScript": Kind(lambda name, _: "view" if name.startswith("view-") else "schema", free),
    }

    def __init__(self, group: ResourceGroup, settings: FabricSettings, capacity: FabricCapacity | None) -> None:
        super().__init__("fabric-workspace")
        self._group = group
        wanted = settings.capacity or (capacity.name if capacity else None)
        assert wanted is not None  # the settings refuse a workspace without a capacity
        workspace = Workspace(
            "fabric-workspace",
            name=settings.workspace,
            description=f"Stack {group.tags['stack']}.",
            capacity=wanted,
            opts=group.guarded(self),
        )
        self.id: Output[str] = workspace.id
        self.identity_application_id = workspace.identityApplicationId
        self.identity_principal_id = workspace.identityPrincipalId
        self._values: dict[str, pulumi.Input[str]] = {WORKSPACE_ID.placeholder: workspace.id}
        for role, principals in settings.roles.items():
            for principal in principals:
                self.allow(f"{role.lower()}-{principal}", principal, "Group", role)
        self.register_outputs({})

    def allow(self, name: str, principal_id: pulumi.Input[str], kind: str, role: str) -> WorkspaceRoleAssignment:
        """Give a principal a role in the workspace; `kind` is Group or ServicePrincipal, the id is an object id in Entra."""
        return WorkspaceRoleAssignment(
            f"workspace-{name}",
            workspace_id=self.id,
            principal_id=principal_id,
            principal_type=kind,
            role=role,
            opts=ResourceOptions(parent=self),
        )

    def add(
        self,
        item: Item,
        parent: pulumi.Resource,
        *,
        name: str | None = None,
        creation: Mapping[str, pulumi.Input[Any]] | None = None,
        depends_on: Sequence[pulumi.Resource] = (),
    ) -> FabricItem:
        """An item as a resource; `name` is its logical name, which survives another display name.

        Raises ItemError when it refers to something that was not added before.
        """
        guards = item.type in HOLDS_DATA and self._group.azure.protect
        resource = FabricItem(
            name or f"{item.type.lower()}-{logical_name(item.name)}",
            workspace_id=self.id,
            item=item,
            description=f"Stack {self._group.tags['stack']}.",
            references=self._values,
            creation=creation,
            opts=ResourceOptions.merge(unguarded(parent, depends_on), ResourceOptions(protect=guards)),
        )
        self._values[Reference(item.type, item.name, "id").placeholder] = resource.id
        return resource

    def show_table(
        self,
        lakehouse: FabricItem,
        table: str,
        target: Mapping[str, Mapping[str, pulumi.Input[str]]],
        depends_on: Sequence[pulumi.Resource],
    ) -> None:
        """A Delta table that is elsewhere, as a table of a lakehouse, without a copy: a shortcut to its `target`."""
        Shortcut(
            f"shortcut-{table.lower()}",
            workspace_id=self.id,
            item_id=lakehouse.id,
            path="Tables",
            name=table,
            target=target,
            opts=unguarded(lakehouse, depends_on),
        )

    def queried_at(self, database: str, address: pulumi.Input[str]) -> None:
        """Where a KQL database is queried, for the items that ask it: the address of its eventhouse, which no update renews."""
        self._values[Reference("KQLDatabase", database, "queryServiceUri").placeholder] = address


def logical_name(name: str) -> str:
    """A display name as part of a resource's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
