"""Checks of what belongs together: whatever a resource names is there, and what was asked of the stack holds for all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from infra.offline import Recording, Registration
from infra.policies.rules import at
from tests.infra.arm_bodies import AZURE, names_of
from tests.infra.published_checks import published
from tests.infra.recorded import id_of, ids, jobs, of_type, ours, setting_of

PARENTS = {
    "namespaceName": "eventhub:Namespace",
    "eventHubName": "eventhub:EventHub",
    "clusterName": "kusto:Cluster",
    "databaseName": "kusto:ReadWriteDatabase",
    "accountName": "storage:StorageAccount",
    "vaultName": "keyvault:Vault",
    "workspaceName": "operationalinsights:Workspace",
    "virtualNetworkName": "network:VirtualNetwork",
    "privateZoneName": "privatedns:PrivateZone",
}
"""Which type of resource a part of an address names."""
STATEFUL = (
    "resources:ResourceGroup",
    "operationalinsights:Workspace",
    "keyvault:Vault",
    "eventhub:Namespace",
    "eventhub:EventHub",
    "kusto:Cluster",
    "kusto:ReadWriteDatabase",
    "fabric:FabricCapacity",
)
"""What loses something when it is deleted; of storage, only the lake's account and container."""
GLOBAL = frozenset(
    {
        "monitor:ActionGroup",
        "monitor:ActivityLogAlert",
        "monitor:MetricAlert",
        "alertsmanagement:AlertProcessingRuleByName",
        "privatedns:PrivateZone",
        "privatedns:VirtualNetworkLink",
    }
)
"""What Azure has in no region."""
TAGS = {"product", "stack", "managed-by"}
LEAST_SOFT_DELETE_DAYS = 7
LATEST_ARRIVAL_SECONDS = 60
"""What the query waits for events that are late, at most: it waits for every window, and alerts wait with it."""


def check_parents_exist(recording: Recording) -> Iterator[str]:
    """Whatever is made within a namespace, a cluster, an account or a vault is made within one of this stack's."""
    there = {kind: {str(one.inputs.get(names_of(kind)[-1])) for one in of_type(recording, kind)} for kind in PARENTS.values()}
    for resource in recording.resources:
        for name in names_of(resource.type.removeprefix(AZURE))[:-1] if resource.type.startswith(AZURE) else ():
            if name in PARENTS and resource.inputs.get(name) not in there[PARENTS[name]]:
                yield f"{resource.name}: is made in {resource.inputs.get(name)}, and there is no such {PARENTS[name]}"


def check_everything_is_in_one_region(recording: Recording) -> Iterator[str]:
    """One region for all: what crosses regions is late, billed, and out of reach of a network's endpoints."""
    (group,) = of_type(recording, "resources:ResourceGroup")
    for resource in recording.resources:
        location = resource.inputs.get("location")
        everywhere = resource.type.removeprefix(AZURE) in GLOBAL
        if location not in (None, "global" if everywhere else group.inputs["location"]):
            yield f"{resource.name}: stands in {location}, not {'everywhere' if everywhere else 'where the stack does'}"


def check_everything_is_tagged(recording: Recording) -> Iterator[str]:
    """Whose it is and what made it stands on every resource that takes tags and has a place of its own."""
    for resource in recording.resources:
        placed = resource.type.startswith(AZURE) and "location" in resource.inputs
        inside = resource.type.startswith(AZURE) and len(names_of(resource.type.removeprefix(AZURE))) > 1
        if placed and not inside and not (resource.inputs.get("tags") or {}).keys() >= TAGS:
            yield f"{resource.name}: lacks tags {', '.join(sorted(TAGS - (resource.inputs.get('tags') or {}).keys()))}"


def check_protection_is_whole(recording: Recording) -> Iterator[str]:
    """Where anything is protected from deletion, all that would be lost is."""
    kept = [resource for token in STATEFUL for resource in of_type(recording, token)]
    kept += [one for token in ("storage:StorageAccount", "storage:BlobContainer") for one in of_type(recording, token)
             if one.name.startswith("lake-")]  # fmt: skip
    if any(resource.protect for resource in recording.resources):
        yield from (f"{one.name}: can be deleted, while others are protected" for one in kept if not one.protect)


def check_zones_are_whole(recording: Recording) -> Iterator[str]:
    """Where anything spans availability zones, all of it does: what stands in one zone goes with it."""
    across = set(published("skus")["across_zones"])
    found = [(one.name, bool(one.inputs.get("zoneRedundant"))) for token in ("web:AppServicePlan", "eventhub:Namespace")
             for one in of_type(recording, token)]  # fmt: skip
    found += [(one.name, bool(one.inputs.get("zones"))) for one in of_type(recording, "kusto:Cluster")]
    found += [(one.name, at(one.inputs, "sku.name") in across) for one in of_type(recording, "storage:StorageAccount")]
    if any(zoned for _, zoned in found):
        yield from (f"{name}: stands in one zone, while others span them" for name, zoned in found if not zoned)


def check_hubs_are_alike(recording: Recording) -> Iterator[str]:
    """The query is parallel where its hubs have equally many partitions; events wait as long in each; units grow when needed."""
    hubs = of_type(recording, "eventhub:EventHub")
    for path in ("partitionCount", "retentionDescription.retentionTimeInHours", "retentionDescription.cleanupPolicy"):
        values = {str(at(hub.inputs, path)) for hub in hubs}
        if len(values) > 1:
            yield f"hubs differ in {path}: {', '.join(sorted(values))}"
    for namespace in of_type(recording, "eventhub:Namespace"):
        more = namespace.inputs["maximumThroughputUnits"] > at(namespace.inputs, "sku.capacity")
        if more and not namespace.inputs.get("isAutoInflateEnabled"):
            yield f"{namespace.name}: has a maximum of throughput units, and never grows to it"


def check_the_query_goes_to_what_is_there(recording: Recording) -> Iterator[str]:
    """Hubs, container and account of the job exist, it signs in as itself, routes rows by their table, and loses none."""
    hubs = {hub.inputs["eventHubName"] for hub in of_type(recording, "eventhub:EventHub")}
    containers = {(c.inputs["accountName"], c.inputs["containerName"]) for c in of_type(recording, "storage:BlobContainer")}
    for job in jobs(recording):
        if job.inputs["identityId"] not in ids(recording, "managedidentity:UserAssignedIdentity"):
            yield f"{job.name}: signs in as {job.inputs['identityId']}, which does not exist"
        for side in ("inputs", "outputs"):
            for name, part in job.inputs[side].items():
                faults = _ends(name, at(part, "datasource.properties"), hubs, containers, is_output=side == "outputs")
                yield from (f"{job.name}/{name}: {fault}" for fault in faults)
        policies = job.inputs["policies"]
        wanted = {"outputErrorPolicy": "Stop", "compatibilityLevel": "1.2", "eventsOutOfOrderPolicy": "Adjust"}
        for policy, value in wanted.items():
            if policies[policy] != value:
                yield f"{job.name}: {policy} is {policies[policy]}, not {value}"
        if not 0 <= policies["eventsLateArrivalMaxDelayInSeconds"] <= LATEST_ARRIVAL_SECONDS:
            yield f"{job.name}: waits {policies['eventsLateArrivalMaxDelayInSeconds']} s for late events"


def _ends(name: str, properties: Any, hubs: set[str], containers: set[tuple[str, str]], is_output: bool) -> Iterator[str]:
    """What is wrong with one end of the query."""
    if properties.get("authenticationMode") != "Msi":
        yield f"signs in by {properties.get('authenticationMode')}, not as itself"
    if "eventHubName" in properties:
        if properties["eventHubName"] not in hubs:
            yield f"there is no hub {properties['eventHubName']}"
        if properties["eventHubName"] != {"cityminute": "processed"}.get(name, name):
            yield f"goes to hub {properties['eventHubName']}"
        if is_output and "Table" not in properties.get("propertyColumns", ()):
            yield "its events don't say which table they are for"
    else:
        account = properties["storageAccounts"][0]["accountName"]
        if (account, properties["container"]) not in containers:
            yield f"there is no container {properties['container']} in account {account}"


def check_apps_run_on_what_is_theirs(recording: Recording) -> Iterator[str]:
    """Plan, identity, account and container of an app exist and are its own."""
    plans, identities = ids(recording, "web:AppServicePlan"), ids(recording, "managedidentity:UserAssignedIdentity")
    accounts = {account.inputs["accountName"] for account in of_type(recording, "storage:StorageAccount")}
    for app in of_type(recording, "web:WebApp"):
        own = app.name.removesuffix("-app")
        if app.inputs["serverFarmId"] not in plans or f"-{own}-" not in app.inputs["serverFarmId"]:
            yield f"{app.name}: runs on plan {app.inputs['serverFarmId']}, which is not its own"
        for identity in at(app.inputs, "identity.userAssignedIdentities") or ():
            if identity not in identities or f"-{own}-" not in identity:
                yield f"{app.name}: is {identity}, which is not its own identity"
        account = setting_of(app, "AzureWebJobsStorage__accountName")
        if account not in accounts or own not in account:
            yield f"{app.name}: the host's account is {account}, which is not its own"
        if f"//{account}." not in str(at(app.inputs, "functionAppConfig.deployment.storage.value")):
            yield f"{app.name}: its package is looked for in another account than {account}"
        if setting_of(app, "AzureWebJobsStorage__credential") != "managedidentity":
            yield f"{app.name}: the host does not sign in to its account by its identity"
        if "Authorization=AAD" not in setting_of(app, "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"):
            yield f"{app.name}: Application Insights takes no key, and it does not sign in"
        told = " ".join(str(one["value"]) for one in at(app.inputs, "siteConfig.appSettings"))
        for place in re.findall(r"https://(\w+)\.blob\.", told):
            if place != account:
                yield f"{app.name}: a setting leads to account {place}, which is not its own"


def check_the_lake_can_be_had_back(recording: Recording) -> Iterator[str]:
    """A hierarchical namespace (Delta and Fabric want one), soft delete of files and containers, nothing deleted by age."""
    lakes = [one for one in of_type(recording, "storage:StorageAccount") if one.name == "lake-account"]
    for lake in lakes:
        if not lake.inputs.get("isHnsEnabled") or lake.inputs["kind"] != "StorageV2":
            yield f"{lake.name}: has no hierarchical namespace"
        services = [one for one in of_type(recording, "storage:BlobServiceProperties")
                    if one.inputs["accountName"] == lake.inputs["accountName"]]  # fmt: skip
        for what in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            policy = services[0].inputs.get(what) if services else None
            if not policy or not policy.get("enabled") or policy.get("days", 0) < LEAST_SOFT_DELETE_DAYS:
                yield f"{lake.name}: {what} keeps what is deleted for less than {LEAST_SOFT_DELETE_DAYS} days"
    for policy in of_type(recording, "storage:ManagementPolicy"):
        for rule in at(policy.inputs, "policy.rules"):
            if "delete" in at(rule, "definition.actions.baseBlob"):
                yield f"{policy.name}: deletes files by age that a Delta table still lists"


def check_the_live_store_fits(recording: Recording) -> Iterator[str]:
    """Days in the cache are among the days kept, nothing stops or empties it, and who reads may not write."""
    for database in of_type(recording, "kusto:ReadWriteDatabase"):
        if _days(database, "hotCachePeriod") > _days(database, "softDeletePeriod"):
            hot, kept = database.inputs["hotCachePeriod"], database.inputs["softDeletePeriod"]
            yield f"{database.name}: keeps {hot} in the cache and {kept} at all"
    for cluster in of_type(recording, "kusto:Cluster"):
        for name in ("enablePurge", "enableAutoStop"):
            if cluster.inputs.get(name):
                yield f"{cluster.name}: {name} is on"
        if cluster.inputs["publicNetworkAccess"] == "Disabled" and not of_type(recording, "network:PrivateEndpoint"):
            yield f"{cluster.name}: is closed to the internet, and no private endpoint leads to it"
    for reader in of_type(recording, "kusto:DatabasePrincipalAssignment"):
        if reader.inputs["role"] != "Viewer":
            yield f"{reader.name}: reads as {reader.inputs['role']}"


def _days(database: Registration, name: str) -> int:
    return int(re.fullmatch(r"P(\d+)D", database.inputs[name])[1])  # type: ignore[index]


def check_logs_are_kept(recording: Recording) -> Iterator[str]:
    """A workspace keeps 30 to 730 days, and alerts look at logs of this stack alone."""
    workspaces = of_type(recording, "operationalinsights:Workspace")
    for workspace in workspaces:
        if not 30 <= workspace.inputs["retentionInDays"] <= 730:
            yield f"{workspace.name}: keeps {workspace.inputs['retentionInDays']} days; Azure has 30 to 730"
    known = {id_of(workspace) for workspace in workspaces}
    for rule in of_type(recording, "monitor:ScheduledQueryRule"):
        if not set(rule.inputs["scopes"]) <= known:
            yield f"{rule.name}: looks at {', '.join(rule.inputs['scopes'])}, not at the workspace"
        table = re.search(r"\b(\w+_CL)\b", str(at(rule.inputs, "criteria.allOf")[0]["query"]))
        made = {one.inputs["tableName"] for one in of_type(recording, "operationalinsights:Table")}
        if table and table[1] not in made:
            yield f"{rule.name}: asks table {table[1]}, which nobody makes"


def check_routes_tell_their_own_city(recording: Recording) -> Iterator[str]:
    """An alert route names one audience and tells the people of that audience."""
    groups = {id_of(group): group for group in of_type(recording, "monitor:ActionGroup")}
    for route in of_type(recording, "alertsmanagement:AlertProcessingRuleByName"):
        properties = route.inputs["properties"]
        marks = [value for condition in properties.get("conditions") or () for value in condition["values"]]
        if not marks:
            yield f"{route.name}: tells its people of every alert of all cities"
        told = [groups[id_].name for action in properties["actions"] for id_ in action["actionGroupIds"] if id_ in groups]
        own = route.name.removeprefix("apr-")
        if own != "unassigned" and told != [f"ag-{own}"]:
            yield f"{route.name}: tells {', '.join(told) or 'nobody'}, not the people of {own}"


def check_code_is_published_to_its_app(recording: Recording) -> Iterator[str]:
    """A package goes to the app of its name."""
    apps = {app.name.removesuffix("-app"): app.inputs["name"] for app in of_type(recording, "web:WebApp")}
    for package in ours(recording, "FunctionPackage"):
        if package.inputs["appName"] != apps.get(package.name.removesuffix("-package")):
            yield f"{package.name}: is published to {package.inputs['appName']}"


WIRING_CHECKS: tuple[Callable[[Recording], Iterator[str]], ...] = (
    check_parents_exist,
    check_everything_is_in_one_region,
    check_everything_is_tagged,
    check_protection_is_whole,
    check_zones_are_whole,
    check_hubs_are_alike,
    check_the_query_goes_to_what_is_there,
    check_apps_run_on_what_is_theirs,
    check_the_lake_can_be_had_back,
    check_the_live_store_fits,
    check_logs_are_kept,
    check_routes_tell_their_own_city,
    check_code_is_published_to_its_app,
)
