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
from infra.offline import Recording, Registration
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
    ("a role on the whole vault", setting("ingest-webex-token-set", "scope", "/x/keyvault:Vault/kv"), "nobody declared"),
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
    ("more hubs than a namespace takes", many("alerts", 7), "11 eventhub:EventHub; Azure takes 10"),
    ("more telephones than are told together", setting("ag-email-lyon", "smsReceivers", [{"name": str(n), "countryCode": "33",
                                                       "phoneNumber": str(n)} for n in range(11)]), "11 sms receivers"),
    ("a role forgotten", without("streamjob-alerts"), "streamjob lacks"),
    ("a role too many", setting("ingest-observations", "scope", "/x/resources:ResourceGroup/rg"), "nobody declared"),
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


@pytest.mark.parametrize(("fault", "named"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_a_seeded_fault_is_found_and_named(fault: Fault, named: str) -> None:
    good = recording("dev")
    broken = Recording(tuple(fault(list(good.registrations))), good.outputs)
    assert any(named in finding for finding in findings(broken)), findings(broken)


def test_a_name_that_changes_from_run_to_run_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Names, "short", lambda self, kind: f"{kind}-{uuid.uuid4().hex[:4]}-{self.organisation}-{self.stack}")
    first, second = record(stack("dev")), record(stack("dev"))
    assert "key-vault changes from run to run" in changes_between(first, second)
