"""Whether the subscription may use what a stack needs, and its region offers it: providers, types, sizes, zones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from infra.azure_rest import Unanswered
from infra.preflight.findings import Finding, fault, ok, unknown
from infra.preflight.subscription import RESOURCES, Stack, Subscription, offered
from infra.providers.stream_analytics_model import normal_region

ARM_TYPES = {
    "alertsmanagement:AlertProcessingRuleByName": "Microsoft.AlertsManagement/actionRules",
    "applicationinsights:Component": "Microsoft.Insights/components",
    "eventhub:Namespace": "Microsoft.EventHub/namespaces",
    "fabric:FabricCapacity": "Microsoft.Fabric/capacities",
    "keyvault:Vault": "Microsoft.KeyVault/vaults",
    "kusto:Cluster": "Microsoft.Kusto/clusters",
    "managedidentity:UserAssignedIdentity": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "monitor:DataCollectionEndpoint": "Microsoft.Insights/dataCollectionEndpoints",
    "monitor:DataCollectionRule": "Microsoft.Insights/dataCollectionRules",
    "monitor:ScheduledQueryRule": "Microsoft.Insights/scheduledQueryRules",
    "network:PrivateEndpoint": "Microsoft.Network/privateEndpoints",
    "network:VirtualNetwork": "Microsoft.Network/virtualNetworks",
    "operationalinsights:Workspace": "Microsoft.OperationalInsights/workspaces",
    "storage:StorageAccount": "Microsoft.Storage/storageAccounts",
    "web:AppServicePlan": "Microsoft.Web/serverFarms",
    "web:WebApp": "Microsoft.Web/sites",
}
"""Azure's names of the types that stand in a region by themselves; all others come inside one of them, or are global."""
SUBNETS_OF_APPS = "Microsoft.App"
"""The provider that owns the subnets of apps on Flex Consumption."""
REGION = "take another azure.location, or ask Azure to open the region to the subscription (a support request)."
ZONES = 3
"""Of a region that has any, as the services that span them ask for."""
ZONELESS = "set azure.zones: false, or take another azure.location."
SIZE = "take another size in the stack file, another azure.location, or ask Azure for it (a support request)."


def providers(azure: Subscription, stack: Stack) -> Iterator[Finding]:
    """For each provider of resources: whether it is registered, and whether the region has the types that are needed of it."""
    for namespace, types in _needed(stack).items():
        try:
            provider = azure.get(f"providers/{namespace}", RESOURCES)
        except Unanswered as why:
            yield unknown("providers", namespace, why)
            continue
        yield _registered(namespace, provider)
        listed = {str(one.get("resourceType", "")).lower(): one for one in provider.get("resourceTypes") or ()}
        for kind in types:
            yield _in_region(namespace, kind, listed.get(kind.lower()), stack.location)


def _needed(stack: Stack) -> dict[str, list[str]]:
    types = [ARM_TYPES[token] for token in ARM_TYPES if stack.of_type(token)]
    types += ["Microsoft.StreamAnalytics/streamingjobs"] if stack.jobs else []
    needed: dict[str, list[str]] = {}
    for name in types:
        namespace, kind = name.split("/")
        needed.setdefault(namespace, []).append(kind)
    if stack.of_type("network:VirtualNetwork"):
        needed[SUBNETS_OF_APPS] = []
    return dict(sorted(needed.items()))


def _registered(namespace: str, provider: Mapping[str, Any]) -> Finding:
    state = provider.get("registrationState")
    if state == "Registered":
        return ok("providers", namespace, "registered")
    if state is None:
        return unknown("providers", namespace, "Azure does not say whether it is registered")
    return fault("providers", namespace, f"is {state}", f"az provider register --namespace {namespace} --wait")


def _in_region(namespace: str, kind: str, listed: Mapping[str, Any] | None, location: str) -> Finding:
    about = f"{namespace}/{kind}"
    if listed is None:
        return unknown("regions", about, f"{namespace} does not list this type")
    if offered(listed.get("locations"), location):
        return ok("regions", about, f"offered in {location}")
    return fault("regions", about, f"is not offered in {location}", REGION)


def sizes(azure: Subscription, stack: Stack) -> Iterator[Finding]:
    """For each size that is chosen: whether Azure sells it in the region, and across zones where that is asked for."""
    for cluster in stack.of_type("kusto:Cluster"):
        yield from _sold(azure, "Microsoft.Kusto", "2024-04-13", "clusters", cluster.inputs["sku"]["name"], stack.location)
    for name in sorted({account.inputs["sku"]["name"] for account in stack.of_type("storage:StorageAccount")}):
        yield from _sold(azure, "Microsoft.Storage", "2024-01-01", "storageAccounts", name, stack.location)
    for capacity in stack.of_type("fabric:FabricCapacity"):
        yield from _sold(azure, "Microsoft.Fabric", "2023-11-01", "capacities", capacity.inputs["sku"]["name"], stack.location)
    if stack.of_type("web:AppServicePlan"):
        yield _flex(azure, stack)
    if stack.zoned:
        yield _zones(azure, stack)


def _sold(azure: Subscription, namespace: str, version: str, kind: str, name: str, location: str) -> Iterator[Finding]:
    about = f"{kind} {name}"
    try:
        listed = azure.items(f"providers/{namespace}/skus", version)
    except Unanswered as why:
        yield unknown("sizes", about, why)
        return
    of_kind = [one for one in listed if str(one.get("resourceType", "")).lower() == kind.lower() and one.get("name") == name]
    here = [one for one in of_kind if offered(one.get("locations"), location)]
    barred = [str(reason.get("reasonCode") or reason) for one in here for reason in _restrictions(one)]
    if not here:
        yield fault("sizes", about, f"is not sold in {location}", SIZE)
    elif len(barred) >= len(here):
        yield fault("sizes", about, f"is closed to this subscription in {location}: {', '.join(sorted(set(barred)))}", SIZE)
    else:
        yield ok("sizes", about, f"sold in {location}")


def _restrictions(sku: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """What keeps the subscription from a size; a restriction to single zones leaves the others."""
    return [one for one in sku.get("restrictions") or () if str(one.get("type", "Location")).lower() == "location"]


def _flex(azure: Subscription, stack: Stack) -> Finding:
    """Apps on Flex Consumption, by the list that VS Code's extension reads; FCZONEREDUNDANCY marks a region with zones for it."""
    about = "apps on Flex Consumption"
    try:
        regions = azure.items("providers/Microsoft.Web/geoRegions?sku=FlexConsumption", "2023-01-01")
    except Unanswered as why:
        return unknown("sizes", about, why)
    here = [one for one in regions if normal_region(_region_of(one)) == normal_region(stack.location)]
    if not here:
        return fault("sizes", about, f"are not offered in {stack.location}", REGION)
    marks = str((here[0].get("properties") or {}).get("orgDomain", ""))
    if stack.zoned and "FCZONEREDUNDANCY" not in marks:
        return fault("sizes", about, f"have no zones in {stack.location}", ZONELESS)
    return ok("sizes", about, f"offered in {stack.location}{', with zones' if stack.zoned else ''}")


def _region_of(entry: Mapping[str, Any]) -> str:
    """The region of an entry of geoRegions: readers find its name beside the properties, or among them."""
    return str(entry.get("name") or (entry.get("properties") or {}).get("name"))


def _zones(azure: Subscription, stack: Stack) -> Finding:
    about = "availability zones"
    try:
        regions = azure.items("locations", "2022-12-01")
    except Unanswered as why:
        return unknown("sizes", about, why)
    here = [one for one in regions if one.get("name") == normal_region(stack.location)]
    if not here:
        return unknown("sizes", about, f"Azure does not list {stack.location} for this subscription")
    zones = len(here[0].get("availabilityZoneMappings") or ())
    reported = f"{zones} in {stack.location} for this subscription"
    return ok("sizes", about, reported) if zones >= ZONES else fault("sizes", about, reported, ZONELESS)
