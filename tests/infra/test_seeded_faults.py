"""Mistakes somebody could make in the program, each put into a good deployment: a check finds every one."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from infra.azure.event_hubs import RECEIVER
from infra.azure.naming import Names
from infra.offline import SUBSCRIPTION, Recording, Registration
from tests.infra.checks import changes_between, findings
from tests.infra.deployments import TOKEN, record, recording, stack

Fault = Callable[[list[Registration]], list[Registration]]
GONE = object()


def setting(name: str, path: str, value: Any) -> Fault:
    """Another value (or GONE) at a path of the inputs of the resource `name`; steps that are numbers index lists."""

    def fault(resources: list[Registration]) -> list[Registration]:
        return [_changed(resource, path.split("/"), value) if resource.name == name else resource for resource in resources]

    return fault


def _changed(resource: Registration, path: list[str], value: Any) -> Registration:
    inputs = copy.deepcopy(resource.inputs)
    *way, last = path
    place: Any = inputs
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if value is GONE:
        assert last in place
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return replace(resource, inputs=inputs)


def without(name: str) -> Fault:
    """The resource is not there."""
    return lambda resources: [resource for resource in resources if resource.name != name]


def twice(name: str) -> Fault:
    """The resource is registered twice."""
    return lambda resources: resources + [resource for resource in resources if resource.name == name]


def another(name: str, /, **inputs: Any) -> Fault:
    """One more resource like `name`, with some inputs of its own."""

    def fault(resources: list[Registration]) -> list[Registration]:
        like = next(resource for resource in resources if resource.name == name)
        one = replace(like, urn=f"{like.urn}-2", name=f"{name}-2", inputs={**like.inputs, **inputs})
        return [*resources, one]

    return fault


def many(name: str, count: int) -> Fault:
    """So many more resources like `name`."""

    def fault(resources: list[Registration]) -> list[Registration]:
        like = next(resource for resource in resources if resource.name == name)
        return [*resources, *(replace(like, urn=f"{like.urn}-{n}", name=f"{name}-{n}") for n in range(count))]

    return fault


def at_the_same_address(name: str, other: str) -> Fault:
    """Another logical resource with the Azure name of `name`."""

    def fault(resources: list[Registration]) -> list[Registration]:
        inputs = next(resource.inputs for resource in resources if resource.name == name)
        return [replace(resource, inputs=inputs) if resource.name == other else resource for resource in resources]

    return fault


def waiting_for_nothing(name: str) -> Fault:
    """The resource depends on nothing."""
    return lambda resources: [replace(r, depends_on=()) if r.name == name else r for r in resources]


def but(name: str, /, **changes: Any) -> Fault:
    """The resource is registered otherwise."""
    return lambda resources: [replace(r, **changes) if r.name == name else r for r in resources]


def in_plain(name: str) -> Fault:
    """What was secret no longer is."""
    return lambda resources: [replace(r, secrets=frozenset()) if r.name == name else r for r in resources]


FAULTS: list[tuple[str, Fault, str]] = [
    ("runtime with a capital", setting("ingest-app", "functionAppConfig/runtime/name", "Python"), "ingest-app"),
    ("unknown authentication", setting("ingest-app", "functionAppConfig/deployment/storage/authentication/type",
                                       "UserAssigned"), "authentication"),
    ("old TLS", setting("ingest-app", "siteConfig/minTlsVersion", "1.0"), "minTlsVersion"),
    ("TLS as storage spells it", setting("fanout-app", "siteConfig/minTlsVersion", "TLS1_2"), "minTlsVersion"),
    ("plain HTTP", setting("fanout-app", "httpsOnly", False), "httpsOnly"),
    ("instances as text", setting("ingest-app", "functionAppConfig/scaleAndConcurrency/maximumInstanceCount", 4), "40 to 1000"),
    ("odd memory", setting("ingest-app", "functionAppConfig/scaleAndConcurrency/instanceMemoryMB", 1024), "512, 2048 or 4096"),
    ("FTP passwords on", without("fanout-ftp"), "WebAppFtpAllowed is not closed"),
    ("an account key in a setting", setting("ingest-app", "siteConfig/appSettings/0/value", "AccountKey=abc"), "holds a key"),
    ("local authentication on", setting("namespace", "disableLocalAuth", False), "disableLocalAuth"),
    ("a SKU in small letters", setting("namespace", "sku/name", "standard"), "standard"),
    ("more units than there are", setting("namespace", "maximumThroughputUnits", 100), "throughput units"),
    ("a clean-up policy in small letters", setting("alerts", "retentionDescription/cleanupPolicy", "delete"), "cleanupPolicy"),
    ("a public container", setting("lake-container", "publicAccess", "Blob"), "publicAccess"),
    ("shared keys", setting("lake-account", "allowSharedKeyAccess", True), "allowSharedKeyAccess"),
    ("public blobs", setting("fanout-storage", "allowBlobPublicAccess", True), "allowBlobPublicAccess"),
    ("an account name with hyphens", setting("lake-account", "accountName", "st-lake-contoso"), "no legal name"),
    ("a vault name that is too long", setting("key-vault", "vaultName", "kv-roompulse-contoso-production"), "no legal name"),
    ("no purge protection", setting("key-vault", "properties/enablePurgeProtection", False), "enablePurgeProtection"),
    ("no tenant", setting("key-vault", "properties/tenantId", GONE), "tenantId"),
    ("the token set in plain", in_plain("webex-token-set"), "webex-token-set: the token is in plain"),
    ("the client secret in plain", in_plain("webex-client-secret"), "webex-client-secret: the token is in plain"),
    ("a role on the whole vault", setting("ingest-webex-token-set", "scope", "/x/keyvault:Vault/kv"), "no reviewed plan has"),
    ("a token set that may not be renewed", setting("ingest-webex-token-set", "roleDefinitionId",
                                                    "/x/4633458b-17de-408a-b874-0445c86b69e6"), "ingest lacks"),
    ("the token as a setting", setting("ingest-app", "siteConfig/appSettings/0/value", TOKEN), "the token is in plain"),
    ("a SKU that does not exist", setting("cluster", "sku/name", "Standard_E3ads_v5"), "Standard_E3ads_v5"),
    ("a data format that does not exist", setting("connection-alerts", "dataFormat", "NDJSON"), "NDJSON"),
    ("the wrong consumer group", setting("connection-alerts", "consumerGroup", "fanout"), "2 readers share hub alerts"),
    ("a consumer group nobody made", setting("connection-processed", "consumerGroup", "adx"), "which does not exist"),
    ("a consumer group the stand-in lacks", setting("alerts-fanout", "consumerGroupName", "fan-out"), "only in Azure"),
    ("scripts side by side", waiting_for_nothing("views"), "views: made at the same time as another script"),
    ("more scripts than a cluster takes", many("views", 49), "51 kusto:Script; Azure takes 50"),
    ("more consumer groups than a hub takes", many("alerts-fanout", 18), "20 eventhub:ConsumerGroup; Azure takes 19"),
    ("more hubs than a namespace takes", many("alerts", 6), "11 eventhub:EventHub; Azure takes 10"),
    ("more telephones than are told together", setting("ag-email-lyon", "smsReceivers", [{"name": str(n), "countryCode": "33",
                                                       "phoneNumber": str(n)} for n in range(11)]), "11 sms receivers"),
    ("a role forgotten", without("streamjob-alerts"), "streamjob lacks"),
    ("a role too many", setting("ingest-observations", "scope", "/x/resources:ResourceGroup/rg"), "no reviewed plan has"),
    ("a role of the wrong kind", setting("fanout-alerts", "roleDefinitionId",
                                         "/x/2b629674-e913-4c01-ae53-ef4638d8f975"), "fanout lacks"),
    ("a principal type that does not exist", setting("ingest-storage", "principalType", "ManagedIdentity"), "ManagedIdentity"),
    ("a job before its roles", waiting_for_nothing("query"), "query does not wait for"),
    ("an app before its roles", waiting_for_nothing("ingest-app"), "ingest-app does not wait for"),
    ("an action group without people", setting("ag-email-lyon", "emailReceivers", []), "without people"),
    ("an action group nothing fires", without("apr-email-lyon"), "nothing fires"),
    ("a dead action group", without("ag-ops"), "does not exist"),
    ("a short name that is too long", setting("ag-email-lyon", "groupShortName", "lyon-part-dieu"), "groupShortName"),
    ("a metric alert nobody hears", setting("query-behind", "actions", []), "nobody hears it"),
    ("a severity that does not exist", setting("rooms-site-outage", "severity", 7), "severity 7"),
    ("a duration as people write it", setting("rooms-site-outage", "windowSize", "5m"), "no ISO 8601 duration"),
    (
        "an aggregation in small letters",
        setting("rooms-call-quality", "criteria/allOf/0/timeAggregation", "count"),
        "timeAggregation",
    ),
    ("adx() every minute", setting("city-silent", "evaluationFrequency", "PT1M"), "can't run every minute"),
    ("a Python name on the wire", setting("query-behind", "criteria/allOf/0/metric_name", "x"), "Python name on the wire"),
    ("registered twice", twice("schema"), "2 times"),
    ("two at one address", at_the_same_address("ag-email-lyon", "ag-email-toronto"), "at one address"),
    ("a column type of the other service", setting("room-alerts-table", "schema/columns/0/type", "datetime"), "datetime"),
    ("a vault without diagnostics", without("vault-diagnostics"), "key-vault: no diagnostic setting"),
    ("hubs without diagnostics", without("event-hubs-diagnostics"), "namespace: no diagnostic setting"),
    ("a live store without diagnostics", without("live-store-diagnostics"), "cluster: no diagnostic setting"),
    ("an app without diagnostics", without("fanout-diagnostics"), "fanout-app: no diagnostic setting"),
    ("a query without diagnostics", without("stream-job-diagnostics"), "StreamAnalyticsJob: no diagnostic setting"),
    ("a lake without diagnostics", without("lake-diagnostics"), "blobServices: no diagnostic setting"),
    ("diagnostics to nowhere", setting("vault-diagnostics", "workspaceId", "/x/log-other"), "a workspace that does not exist"),
    ("a city without settings for the ingest", without("ingest-settings-city-lyon"), "ingest-app: cities/lyon.json is missing"),
    ("a city without settings for the fan-out", without("fanout-settings-city-lyon"), "fanout-app: cities/lyon.json is missing"),
    ("nothing common", without("ingest-settings-common"), "ingest-app: common.json is missing"),
    ("settings in the other app's container", setting(
        "ingest-settings-city-lyon", "containerUrl", "https://stfanoutcontosodev.blob.core.windows.net/settings"),
     "where ingest does not look"),
    ("settings in the container for state", setting(
        "fanout-settings-city-lyon", "containerUrl", "https://stfanoutcontosodev.blob.core.windows.net/state"),
     "where fanout does not look"),
    ("settings of a city under another name", setting("ingest-settings-city-lyon", "blobName", "cities/Lyon.json"),
     "cities/Lyon.json is of no city"),
    ("no container for settings", without("ingest-settings"), "ingest-app: its settings are looked for in"),
    ("code before its settings", waiting_for_nothing("ingest-package"), "ingest-package does not wait for ingest-settings"),
    ("nobody hears that the ingest stands still", without("nothing-observed"), "nothing-observed: there is no such rule"),
    ("nobody hears that the query stands still", without("nothing-processed"), "nothing-processed: there is no such rule"),
    ("nobody hears of no poll at all", without("no-poll"), "no-poll: there is no such rule"),
    ("nobody hears of no row at all", without("no-row"), "no-row: there is no such rule"),
    ("a secret that destroy can't delete", but("webex-token-set", retained=False), "webex-token-set: deleted on the vault"),
    ("a vault that can't be unprotected", but("key-vault", ignored=()), "key-vault: its days of soft delete follow"),
    ("metrics that Azure tells otherwise", setting("lake-diagnostics", "metrics", [{"category": "AllMetrics", "enabled": True}]),
     "lake-diagnostics: Azure names the metrics of blobs one by one"),
    ("nobody hears that a city is silent", without("city-silent"), "city-silent: there is no such rule"),
    ("nobody hears that a city is silent, of the query", without("rooms-city-silent"), "rooms-city-silent: there is no"),
    ("nobody hears that the token ends", without("webex-token"), "webex-token: there is no such rule"),
    ("a dead man that is off", setting("city-silent", "enabled", False), "city-silent: fires and nobody hears it"),
    ("a dead man without people", setting("city-silent", "actions/actionGroups", []), "city-silent: fires and nobody hears it"),
    ("a metric alert without actions", setting("functions-failing", "actions", GONE), "functions-failing: fires and nobody"),
    ("operations without people", setting("ag-ops", "emailReceivers", []), "ag-ops: an action group without people"),
    ("a route that is off", setting("apr-email-lyon", "properties/enabled", False), "apr-email-lyon: the route is off"),
    ("one role more", another(
        "ingest-observations", roleAssignmentName=str(uuid.uuid5(uuid.NAMESPACE_DNS, "one more")),
        roleDefinitionId=f"/x/{RECEIVER.id}"), "ingest has Azure Event Hubs Data Receiver"),
    ("a role that Azure does not list here", setting(
        "ingest-observations", "roleDefinitionId", "/x/b24988ac-6180-42a0-ab88-20f7382dd24c"), "ingest has unknown role"),
    ("a role by chance", setting("ingest-observations", "roleAssignmentName", str(uuid.uuid4())), "its name is chance"),
    ("a name that Pulumi makes up", setting("key-vault", "vaultName", GONE), "no vaultName, so Pulumi makes one up"),
    ("a name with today's date", setting("cluster", "clusterName", "adxcontosodev20261124"), "is not made of its purpose"),
]  # fmt: skip


GROUPS = f"/subscriptions/{SUBSCRIPTION}/monitor:ActionGroup"
MSI = "datasource/properties/authenticationMode"
FAULTS_OF_PROD: list[tuple[str, Fault, str]] = [
    ("a log category the vault lacks", setting("vault-diagnostics", "logs", [{"category": "AuditEvents", "enabled": True}]),
     "Microsoft.KeyVault/vaults has no log category AuditEvents"),
    ("a category of another service", setting("live-store-diagnostics", "logs", [{"category": "Execution", "enabled": True}]),
     "Microsoft.Kusto/clusters has no log category Execution"),
    ("some of the logs only", setting("live-store-diagnostics", "logs", [{"category": "Query", "enabled": True}]),
     "live-store-diagnostics: not all logs of Microsoft.Kusto/clusters are sent"),
    ("a group of categories that does not exist", setting("vault-diagnostics", "logs/0/categoryGroup", "all"),
     "vault-diagnostics: there is no group of categories all"),
    ("logs that are off", setting("vault-diagnostics", "logs/0/enabled", False), "vault-diagnostics: allLogs is off"),
    ("metrics that are off", setting("stream-job-diagnostics", "metrics/0/enabled", False), "AllMetrics is off"),
    ("a metric that does not exist", setting("query-behind", "criteria/allOf/0/metricName", "OutputWatermarkDelay"),
     "query-behind: OutputWatermarkDelay is not a metric"),
    ("a metric of another service", setting("throttled", "criteria/allOf/0/metricName", "KeepAlive"),
     "throttled: KeepAlive is not"),
    ("an aggregation the metric lacks", setting("query-behind", "criteria/allOf/0/timeAggregation", "Total"),
     "no aggregation Total"),
    ("a dimension the metric lacks", setting("nothing-observed", "criteria/allOf/0/dimensions/0/name", "EventHub"),
     "IncomingMessages has no dimension EventHub"),
    ("a metric alert on a hub nobody made", setting("nothing-observed", "criteria/allOf/0/dimensions/0/values", ["observation"]),
     "nothing-observed: narrows to hub observation"),
    ("a metric alert on another resource", setting("query-behind", "scopes", ["/x/eventhub:Namespace/y"]), "is looked for at /x"),
    ("a metric alert on another type", setting("query-behind", "targetResourceType", "Microsoft.EventHub/namespaces"),
     "query-behind: its target is Microsoft.EventHub/namespaces"),
    ("a metric alert with the sign turned", setting("query-behind", "criteria/allOf/0/operator", "LessThan"), "is bad when high"),
    ("silence looked for in plenty", setting("nothing-observed", "criteria/allOf/0/operator", "GreaterThan"), "is bad when low"),
    ("a window between two looks", setting("city-silent", "windowSize", "PT1M"), "city-silent: looks at 1 min every 5 min"),
    ("a window that Azure lacks", setting("query-behind", "windowSize", "PT7M"), "every PT5M at PT7M, which Azure does not have"),
    ("an alert that never ends", setting("query-behind", "autoMitigate", False), "query-behind: does not resolve by itself"),
    ("a size of storage that does not exist", setting("lake-account", "sku/name", "Standard_ZGRS"), "no size Standard_ZGRS"),
    ("a machine of another tier", setting("cluster", "sku/tier", "Basic"), "Standard_E2ads_v5 is of tier Standard, not Basic"),
    ("a plan of an older kind", setting("ingest-plan", "sku", {"name": "Y1", "tier": "Dynamic"}),
     "ingest-plan: there is no size Y1"),
    ("a workspace that is no longer sold", setting("workspace", "sku/name", "Standard"), "workspace: there is no size Standard"),
    ("units between two sizes", setting("query", "streamingUnits", 4), "query: 4 streaming units are not to be had"),
    ("zones in a region without", setting("lake-account", "location", "ukwest"), "ukwest has no zones for Standard_ZRS"),
    ("a Python that Functions no longer run", setting("ingest-app", "functionAppConfig/runtime/version", "3.9"), "no python 3.9"),
    ("a Python that Functions don't run yet", setting("fanout-app", "functionAppConfig/runtime/version", "3.15"),
     "no python 3.15"),
    ("a mapping that does not exist", setting("connection-alerts", "mappingRuleName", "Alert"), "table Alerts by mapping Alert"),
    ("a table that does not exist", setting("connection-alerts", "tableName", "Alert"), "the script makes no mapping Alert"),
    ("rows that are not packed, unpacked", setting("connection-alerts", "compression", "GZip"), "reads MULTIJSON, GZip"),
    ("a hub nobody brings into the live store", without("connection-deadletter"), "nothing brings hub deadletter"),
    ("rows for another table", setting("room-alerts-collection", "dataFlows/0/outputStream", "Custom-Room_CL"),
     "go to Custom-Room_CL"),
    ("a column the table lacks", setting(
        "room-alerts-collection", "streamDeclarations/Custom-RoomAlerts/columns/1/name", "Id"),
     "the columns of Custom-RoomAlerts"),
    ("a hub in another namespace", setting("alerts", "namespaceName", "evhns-other"), "alerts: is made in evhns-other"),
    ("a secret in another vault", setting("webex-client-secret", "vaultName", "kv-other"), "is made in kv-other"),
    ("a container in another account", setting("lake-container", "accountName", "stother"), "is made in stother"),
    ("a workspace in another region", setting("workspace", "location", "northeurope"), "workspace: stands in northeurope"),
    ("a metric alert in a region", setting("query-behind", "location", "westeurope"), "query-behind: stands in westeurope"),
    ("a cluster nobody owns", setting("cluster", "tags", GONE), "cluster: lacks tags managed-by, product, stack"),
    ("a namespace that can be deleted", but("namespace", protect=False), "namespace: can be deleted, while others are protected"),
    ("a lake that can be deleted", but("lake-account", protect=False), "lake-account: can be deleted"),
    ("a vault that can be deleted", but("key-vault", protect=False), "key-vault: can be deleted"),
    ("a lake in one zone", setting("lake-account", "sku/name", "Standard_LRS"), "lake-account: stands in one zone"),
    ("a cluster in one zone", setting("cluster", "zones", GONE), "cluster: stands in one zone"),
    ("an app in one zone", setting("fanout-plan", "zoneRedundant", False), "fanout-plan: stands in one zone"),
    ("a hub with fewer partitions", setting("processed", "partitionCount", 2), "hubs differ in partitionCount: 2, 8"),
    ("a hub that forgets sooner", setting("alerts", "retentionDescription/retentionTimeInHours", 1), "hubs differ in retention"),
    ("units that never grow", setting("namespace", "isAutoInflateEnabled", False), "never grows to it"),
    ("rows that are dropped", setting("query", "policies/outputErrorPolicy", "Drop"), "outputErrorPolicy is Drop, not Stop"),
    ("an older language", setting("query", "policies/compatibilityLevel", "1.0"), "compatibilityLevel is 1.0"),
    ("a query that waits for ever", setting("query", "policies/eventsLateArrivalMaxDelayInSeconds", -1), "waits -1 s"),
    ("an output that signs in by key", setting("query", f"outputs/alerts/{MSI}", "ConnectionString"),
     "signs in by ConnectionString"),
    ("an output into another hub", setting("query", "outputs/processed/datasource/properties/eventHubName", "alerts"),
     "query/processed: goes to hub alerts"),
    ("an input nobody fills", setting("query", "inputs/observations/datasource/properties/eventHubName", "events"),
     "no hub events"),
    ("events of no table", setting("query", "outputs/processed/datasource/properties/propertyColumns", []),
     "which table they are for"),
    ("a lake that is not there", setting("query", "outputs/lake/datasource/properties/container", "lakes"), "no container lakes"),
    ("a query that is nobody", setting("query", "identityId", "/x/id-other"), "query: signs in as /x/id-other"),
    ("an app on another plan", setting("ingest-app", "serverFarmId", "/x/plan-roompulse-ingest-other"), "runs on plan /x/plan"),
    ("an app that is another app", setting("ingest-app", "identity/userAssignedIdentities", ["/x/id-roompulse-fanout-y"]),
     "which is not its own identity"),
    ("an app with another's account", setting("ingest-app", "siteConfig/appSettings/0/value", "stfanoutcontosoprod"),
     "ingest-app: the host's account is stfanoutcontosoprod"),
    ("a host that wants a key", setting("fanout-app", "siteConfig/appSettings/1/value", "key"),
     "does not sign in to its account"),
    ("telemetry that nobody lets in", setting("fanout-app", "siteConfig/appSettings/4/value", ""), "it does not sign in"),
    ("a package of the other app", setting("ingest-app", "functionAppConfig/deployment/storage/value",
                                           "https://stfanoutcontosoprod.blob.core.windows.net/packages"), "in another account"),
    ("code for the other app", setting("ingest-package", "appName", "func-roompulse-fanout-contoso-prod"), "is published to"),
    ("a lake without a hierarchy", setting("lake-account", "isHnsEnabled", False), "has no hierarchical namespace"),
    ("deleted files that are gone", setting("lake-protection", "deleteRetentionPolicy/enabled", False), "deleteRetentionPolicy"),
    ("deleted containers that are gone", setting("lake-protection", "containerDeleteRetentionPolicy/days", 1),
     "less than 7 days"),
    ("a lake without protection", without("lake-protection"), "lake-account: deleteRetentionPolicy keeps"),
    ("a lake that forgets by age", setting("lake-lifecycle", "policy/rules/0/definition/actions/baseBlob/delete",
                                           {"daysAfterModificationGreaterThan": 365}), "deletes files by age"),
    ("a cache longer than the memory", setting("database", "hotCachePeriod", "P400D"), "P400D in the cache and P365D at all"),
    ("a cluster that may be emptied", setting("cluster", "enablePurge", True), "cluster: enablePurge is on"),
    ("a cluster that stops by itself", setting("cluster", "enableAutoStop", True), "cluster: enableAutoStop is on"),
    ("a cluster behind no door", setting("cluster", "publicNetworkAccess", "Disabled"), "no private endpoint leads to it"),
    ("a reader that may write", setting("reader-silence", "role", "Admin"), "reader-silence: reads as Admin"),
    ("logs for five days", setting("workspace", "retentionInDays", 5), "workspace: keeps 5 days"),
    ("a query of another workspace", setting("no-poll", "scopes", ["/x/log-other"]), "no-poll: looks at /x/log-other"),
    ("a query of a table nobody makes", setting("rooms-site-outage", "criteria/allOf/0/query", "Rooms_CL | extend Route = 1"),
     "rooms-site-outage: asks table Rooms_CL"),
    ("a route that tells everybody", setting("apr-email-lyon", "properties/conditions", []), "of every alert of all cities"),
    ("a route to another city's people", setting(
        "apr-email-lyon", "properties/actions/0/actionGroupIds/0", f"{GROUPS}/ag-email-roompulse-paris-contoso-prod"),
     "apr-email-lyon: tells ag-email-paris, not the people of email-lyon"),
]  # fmt: skip
"""What only a snapshot held before: each is found by a check against Microsoft's lists (published_checks.py) or against what
else the stack has (wiring_checks.py)."""


CASES = [("dev", *case) for case in FAULTS] + [("prod", *case) for case in FAULTS_OF_PROD]


@pytest.mark.parametrize(("name", "fault", "named"), [(case[0], *case[2:]) for case in CASES], ids=[case[1] for case in CASES])
def test_a_seeded_fault_is_found_and_named(name: str, fault: Fault, named: str) -> None:
    good = recording(name)
    broken = Recording(tuple(fault(list(good.registrations))), good.outputs)
    assert any(named in finding for finding in findings(broken)), findings(broken)


def test_a_name_that_changes_from_run_to_run_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Names, "short", lambda self, kind: f"{kind}-{uuid.uuid4().hex[:4]}-{self.organisation}-{self.stack}")
    first, second = record(stack("dev")), record(stack("dev"))
    assert "key-vault changes from run to run" in changes_between(first, second)
