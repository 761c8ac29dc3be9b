"""The resource group, and what every other module needs to place something in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pulumi
from pulumi import ResourceOptions
from pulumi_azure_native import authorization, resources

from infra.azure.naming import Names
from infra.meters import free
from infra.parts import Kind, Part
from infra.settings.deployment import AzureSettings


class ResourceGroup(Part):
    """Everything of a stack is in one group. `placed` are the arguments that put a resource into it."""

    title = "Resource group"
    resources: ClassVar = {
        "resources:ResourceGroup": Kind("resource group", free, named="resourceGroupName", diagnosed=False),
        "managedidentity:UserAssignedIdentity": Kind("identity", free, named="resourceName", diagnosed=False),
        "authorization:RoleAssignment": Kind("role", free, named="roleAssignmentName", diagnosed=False),
    }

    def __init__(self, stack: str, azure: AzureSettings) -> None:
        super().__init__("resource-group")
        client = authorization.get_client_config()
        self.subscription_id: str = client.subscription_id
        self.tenant_id: str = client.tenant_id
        self.azure = azure
        self.names = Names(azure.organisation, stack)
        self.tags = {"product": "roompulse", "stack": stack, "managed-by": "pulumi"}
        group = resources.ResourceGroup(
            "group",
            resource_group_name=self.names.plain("rg"),
            location=azure.location,
            tags=self.tags,
            opts=self.guarded(self),
        )
        self.id: pulumi.Output[str] = group.id
        self.name: pulumi.Output[str] = group.name
        self.within: dict[str, Any] = {"resource_group_name": group.name}
        """For children of a service, which have no place and no tags of their own."""
        self.placed: dict[str, Any] = {**self.within, "location": azure.location, "tags": self.tags}
        self.global_: dict[str, Any] = {**self.within, "location": "global", "tags": self.tags}
        """For what Azure keeps in no region (action groups, metric alerts)."""
        self.register_outputs({})

    def guarded(self, parent: pulumi.Resource) -> ResourceOptions:
        """Options of what holds data: where the stack says so, Pulumi refuses to delete it."""
        return ResourceOptions(parent=parent, protect=self.azure.protect)


def unguarded(parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = ()) -> ResourceOptions:
    """Options of what can be made anew, under a parent that may be guarded (children inherit that otherwise)."""
    return ResourceOptions(parent=parent, depends_on=list(depends_on), protect=False)
