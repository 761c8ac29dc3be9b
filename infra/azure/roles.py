"""Who may do what: user-assigned identities, and role assignments as narrow as the service allows.

Identities are resources of their own, so their roles exist before what runs as them. A role assignment's name follows from its
logical name: known in a preview, the same in every run.
"""

from __future__ import annotations

import uuid

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_azure_native import authorization, managedidentity

from activator.declarations import DeclarationError, Fault, did_you_mean
from infra.azure.resource_group import ResourceGroup

BUILT_IN_ROLES = {
    "Azure Event Hubs Data Sender": "2b629674-e913-4c01-ae53-ef4638d8f975",
    "Azure Event Hubs Data Receiver": "a638d3c7-ab3a-418d-83e6-5f17a39d4fde",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
}
"""Ids of Azure's built-in roles, the same in every tenant."""
_NAMESPACE = uuid.UUID("c5a1d6f4-0d0c-5b5e-9d55-3f1f3f0a7c11")


class Identity:
    """A user-assigned identity and the roles it was given (whatever runs as it depends on those)."""

    def __init__(self, purpose: str, group: ResourceGroup, parent: pulumi.Resource) -> None:
        self.purpose = purpose
        self.roles: list[pulumi.Resource] = []
        self._group = group
        self._resource = managedidentity.UserAssignedIdentity(
            f"{purpose}-identity",
            resource_name_=group.names.plain("id", purpose),
            **group.placed,
            opts=ResourceOptions(parent=parent),
        )
        self.id: Output[str] = self._resource.id
        self.client_id: Output[str] = self._resource.client_id
        self.principal_id: Output[str] = self._resource.principal_id

    def may(self, role: str, name: str, scope: Input[str]) -> None:
        """Give the identity a built-in role on `scope` (an ARM id); `name` says in a word what the scope is."""
        assignment = assign(self._group, role, f"{self.purpose}-{name}", scope, self.principal_id, parent=self._resource)
        self.roles.append(assignment)


def assign(
    group: ResourceGroup, role: str, logical_name: str, scope: Input[str], principal_id: Input[str], *, parent: pulumi.Resource
) -> pulumi.Resource:
    """Give a service principal (an object id) a built-in role on `scope`; the logical name begins with who it is."""
    if role not in BUILT_IN_ROLES:
        text = f'"{role}" is not in it: add it with its id (az role definition list --name "{role}" --query "[].name").'
        hint = did_you_mean(role, BUILT_IN_ROLES)
        raise DeclarationError("infra/azure/roles.py lacks a role", [Fault("BUILT_IN_ROLES", f"{text}{hint}")])
    definition = f"/subscriptions/{group.subscription_id}/providers/Microsoft.Authorization/roleDefinitions"
    assignment: pulumi.Resource = authorization.RoleAssignment(
        logical_name,
        role_assignment_name=str(uuid.uuid5(_NAMESPACE, f"{group.names.plain('role')}/{logical_name}")),
        scope=scope,
        principal_id=principal_id,
        # Without the type, Azure looks a fresh identity up in a directory that doesn't know it yet, and refuses.
        principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
        role_definition_id=f"{definition}/{BUILT_IN_ROLES[role]}",
        opts=ResourceOptions(parent=parent),
    )
    return assignment
