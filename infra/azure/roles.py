"""Who may do what: user-assigned identities, and role assignments as narrow as the service allows.

Identities are resources of their own, so their roles exist before what runs as them. A role assignment's name follows from its
logical name: known in a preview, the same in every run.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_azure_native import authorization, managedidentity

from activator.declarations import DeclarationError, Fault
from infra.azure.resource_group import ResourceGroup


@dataclass(frozen=True)
class Role:
    """A built-in role of Azure: its name, and its id, the same in every tenant. A constant of the module whose resource it is on.

    Where to find the id: az role definition list --name NAME --query "[].name".
    """

    name: str
    id: str

    def __post_init__(self) -> None:
        for known in _ROLES.values():
            if known != self and (known.name == self.name or known.id == self.id):
                text = f'is written as "{known.name}", {known.id} elsewhere: a role has one id. Take the one of Azure\'s list.'
                raise DeclarationError("A role is declared twice", [Fault(f"{self.name}, {self.id}", text)])
        _ROLES[self.id] = self


_ROLES: dict[str, Role] = {}
_NAMESPACE = uuid.UUID("c5a1d6f4-0d0c-5b5e-9d55-3f1f3f0a7c11")


def declared_roles() -> Mapping[str, str]:
    """Every role the program knows: name by id."""
    return {role.id: role.name for role in _ROLES.values()}


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

    def may(self, role: Role, name: str, scope: Input[str]) -> None:
        """Give the identity a built-in role on `scope` (an ARM id); `name` says in a word what the scope is."""
        assignment = assign(self._group, role, f"{self.purpose}-{name}", scope, self.principal_id, parent=self._resource)
        self.roles.append(assignment)


def assign(
    group: ResourceGroup, role: Role, logical_name: str, scope: Input[str], principal_id: Input[str], *, parent: pulumi.Resource
) -> pulumi.Resource:
    """Give a service principal (an object id) a built-in role on `scope`; the logical name begins with who it is."""
    definition = f"/subscriptions/{group.subscription_id}/providers/Microsoft.Authorization/roleDefinitions"
    assignment: pulumi.Resource = authorization.RoleAssignment(
        logical_name,
        role_assignment_name=str(uuid.uuid5(_NAMESPACE, f"{group.names.plain('role')}/{logical_name}")),
        scope=scope,
        principal_id=principal_id,
        # Without the type, Azure looks a fresh identity up in a directory that doesn't know it yet, and refuses.
        principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
        role_definition_id=f"{definition}/{role.id}",
        opts=ResourceOptions(parent=parent),
    )
    return assignment
