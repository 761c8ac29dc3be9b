"""Checks of single services: each is set up the way that what stands beside it needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infra.azure.lake import HISTORY
from infra.fabric.follower import READINGS
from infra.offline import Recording
from infra.policies.rules import at
from tests.infra.recorded import ids, jobs, of_type, triggers

PROCESSORS = {"ingest-app": "ingest", "fanout-app": "alert_fanout"}


def check_the_live_store_signs_in(recording: Recording) -> Iterator[str]:
    """A connection reads its hub as an identity that the cluster has; a cluster of one machine has no SLA."""
    for cluster in of_type(recording, "kusto:Cluster"):
        own = set(at(cluster.inputs, "identity.userAssignedIdentities") or ())
        if not own:
            yield f"{cluster.name}: has no identity to read hubs with"
        for connection in of_type(recording, "kusto:EventHubDataConnection"):
            if connection.inputs.get("managedIdentityResourceId") not in own:
                yield f"{connection.name}: reads as {connection.inputs.get('managedIdentityResourceId')}, whom the cluster is not"
        if at(cluster.inputs, "sku.tier") == "Standard" and at(cluster.inputs, "sku.capacity") < 2:
            yield f"{cluster.name}: one machine of tier Standard, which takes two or more"
        scale = cluster.inputs.get("optimizedAutoscale") or {"minimum": 2, "maximum": 2}
        if not 2 <= scale["minimum"] <= scale["maximum"]:
            yield f"{cluster.name}: scales from {scale['minimum']} to {scale['maximum']} machines"


def check_instances_are_those_of_the_app(recording: Recording) -> Iterator[str]:
    """Instances that are always ready are of a function there is, and no more than the app may have."""
    for app in of_type(recording, "web:WebApp"):
        scale = at(app.inputs, "functionAppConfig.scaleAndConcurrency")
        functions = {"http", "durable", *(f"function:{name}" for name in triggers(PROCESSORS[app.name]))}
        for ready in scale.get("alwaysReady") or ():
            if ready["name"] not in functions:
                yield f"{app.name}: instances are ready for {ready['name']}, which it does not have"
            if not 0 < ready["instanceCount"] <= scale["maximumInstanceCount"]:
                yield f"{app.name}: {ready['instanceCount']} instances are ready, of {scale['maximumInstanceCount']} at most"
    for plan in of_type(recording, "web:AppServicePlan"):
        if plan.inputs.get("reserved") is not True:
            yield f"{plan.name}: is not a plan of Linux, where Python runs"


def check_logs_come_in(recording: Recording) -> Iterator[str]:
    """Telemetry goes to the workspace, rows by the endpoint of the stack, whole and into a table that rules may ask."""
    workspaces = ids(recording, "operationalinsights:Workspace")
    for component in of_type(recording, "applicationinsights:Component"):
        if component.inputs.get("workspaceResourceId") not in workspaces:
            yield f"{component.name}: keeps its telemetry in {component.inputs.get('workspaceResourceId')}"
    endpoints = ids(recording, "monitor:DataCollectionEndpoint")
    for endpoint in of_type(recording, "monitor:DataCollectionEndpoint"):
        if at(endpoint.inputs, "networkAcls.publicNetworkAccess") != "Enabled":
            yield f"{endpoint.name}: takes nothing in"
    for rule in of_type(recording, "monitor:DataCollectionRule"):
        if rule.inputs.get("dataCollectionEndpointId") not in endpoints:
            yield f"{rule.name}: is of endpoint {rule.inputs.get('dataCollectionEndpointId')}"
        for flow in rule.inputs["dataFlows"]:
            if flow.get("transformKql", "source") != "source":
                yield f"{rule.name}: {flow['transformKql']} changes rows on their way"
    for table in of_type(recording, "operationalinsights:Table"):
        if table.inputs.get("plan") != "Analytics":
            yield f"{table.name}: plan {table.inputs.get('plan')} feeds no alert rule"


def check_the_lake_cools_and_stays_readable(recording: Recording) -> Iterator[str]:
    """A lifecycle rule is on, of a container there is, and archives nothing: an archived file can't be read."""
    containers = {one.inputs["containerName"] for one in of_type(recording, "storage:BlobContainer")}
    for policy in of_type(recording, "storage:ManagementPolicy"):
        for rule in at(policy.inputs, "policy.rules"):
            if rule.get("enabled") is not True:
                yield f"{policy.name}: {rule['name']} is off"
            if "tierToArchive" in at(rule, "definition.actions.baseBlob"):
                yield f"{policy.name}: {rule['name']} archives what the lake reads"
            for prefix in at(rule, "definition.filters.prefixMatch") or ():
                if prefix.split("/")[0] not in containers:
                    yield f"{policy.name}: {rule['name']} is of {prefix}, where no container is"


def check_the_query_is_written_as_it_is_read(recording: Recording) -> Iterator[str]:
    """Hubs carry JSON by a key that the query has, the lake Delta, and every output is written into."""
    for job in jobs(recording):
        if job.inputs["sku"] != "StandardV2":
            yield f"{job.name}: {job.inputs['sku']} counts streaming units otherwise than we do"
        if job.inputs["policies"]["eventsOutOfOrderMaxDelayInSeconds"] != 0:
            yield f"{job.name}: waits for an order that the ingest keeps"
        outputs, query = job.inputs["outputs"], job.inputs["query"]
        for name, end in {**job.inputs["inputs"], **outputs}.items():
            yield from (f"{job.name}/{name}: {fault}" for fault in _written(end, query, name in outputs))
        written = {name.casefold() for name in re.findall(r"\bINTO\s+\[?(\w+)", query, re.IGNORECASE)}
        for name in sorted(written - {name.casefold() for name in outputs}):
            yield f"{job.name}: writes into {name}, which is not an output"
        for name in sorted(name for name in outputs if name.casefold() not in written):
            yield f"{job.name}: writes nothing into {name}"


def _written(end: Mapping[str, Any], query: str, is_output: bool) -> Iterator[str]:
    of_hub, form = end["datasource"]["type"] == "Microsoft.EventHub/EventHub", end["serialization"]["type"]
    if form != ("Json" if of_hub else "Delta"):
        yield f"carries {form}"
    key = end["datasource"]["properties"].get("partitionKey")
    if of_hub and is_output and not re.search(rf"\b{key}\b", query):
        yield f"is sent by key {key}, which the query does not have"
    table = at(end, "serialization.properties.deltaTablePath")
    if form == "Delta" and table not in {READINGS, *HISTORY}:
        yield f"writes table {table}, which nobody reads"


def check_principals_are_services(recording: Recording) -> Iterator[str]:
    """An identity that was made a moment ago is only found when Azure is told what it is."""
    for role in of_type(recording, "authorization:RoleAssignment"):
        if role.inputs.get("principalType") != "ServicePrincipal":
            yield f"{role.name}: principal type {role.inputs.get('principalType')}, not ServicePrincipal"


SERVICE_CHECKS: tuple[Callable[[Recording], Iterator[str]], ...] = (
    check_the_live_store_signs_in,
    check_instances_are_those_of_the_app,
    check_logs_come_in,
    check_the_lake_cools_and_stays_readable,
    check_the_query_is_written_as_it_is_read,
    check_principals_are_services,
)
