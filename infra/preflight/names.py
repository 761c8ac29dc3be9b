"""Whether the names that are unique in the whole world are free, or this stack's already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.azure_rest import Unanswered
from infra.parts import names_of
from infra.preflight.findings import Finding, fault, ok, unknown
from infra.preflight.subscription import Stack, Subscription, deployed_already

CHECK = "names"


@dataclass(frozen=True)
class Unique:
    """A type whose names are taken once in the world: who is asked about one. `{location}` is filled in."""

    asked: str
    version: str
    type: str | None


UNIQUE = {
    "storage:StorageAccount": Unique(
        "Microsoft.Storage/checkNameAvailability", "2024-01-01", "Microsoft.Storage/storageAccounts"
    ),
    "keyvault:Vault": Unique("Microsoft.KeyVault/checkNameAvailability", "2023-07-01", "Microsoft.KeyVault/vaults"),
    "eventhub:Namespace": Unique("Microsoft.EventHub/checkNameAvailability", "2024-01-01", None),
    "kusto:Cluster": Unique(
        "Microsoft.Kusto/locations/{location}/checkNameAvailability", "2024-04-13", "Microsoft.Kusto/clusters"
    ),
    "web:WebApp": Unique("Microsoft.Web/checkNameAvailability", "2024-04-01", "Microsoft.Web/sites"),
    "fabric:FabricCapacity": Unique(
        "Microsoft.Fabric/locations/{location}/checkNameAvailability", "2023-11-01", "Microsoft.Fabric/capacities"
    ),
}
NEXT = {
    "keyvault:Vault": "take another azure.organisation; if it is a deleted vault of yours (az keyvault list-deleted), its name "
    "is free again when Azure purges it, or az keyvault recover brings it back.",
}
"""What to do about a name that is taken; the same for all others: another azure.organisation."""


def free(azure: Subscription, stack: Stack) -> Iterator[Finding]:
    """A finding for each name; a name that this stack's resource group holds already is as good as a free one."""
    ours = deployed_already(azure, stack)
    for token in UNIQUE:
        for resource in stack.of_type(token):
            yield _asked(azure, stack, token, str(resource.inputs[names_of(token)[-1]]), ours)


def _asked(azure: Subscription, stack: Stack, token: str, name: str, ours: frozenset[str] | None) -> Finding:
    unique = UNIQUE[token]
    if ours is not None and name.lower() in ours:
        return ok(CHECK, name, f"this stack's already, in {stack.resource_group}")
    body = {"name": name} | ({"type": unique.type} if unique.type else {})
    try:
        answer = azure.post(f"providers/{unique.asked.format(location=stack.location)}", unique.version, body)
    except Unanswered as why:
        return unknown(CHECK, name, why)
    available = answer.get("nameAvailable")
    if available is True:
        return ok(CHECK, name, "free")
    if available is not False:
        return unknown(CHECK, name, f"{unique.asked} does not say whether the name is available")
    reported = f"{answer.get('reason')}: {answer.get('message')}"
    if ours is None:
        return unknown(CHECK, name, f"taken ({reported}), and Azure does not say whether by this stack")
    return fault(CHECK, name, reported, NEXT.get(token, "take another azure.organisation in the stack file."))
