"""More mistakes, put into good deployments: settings of apps, a private network, alert rules, single services, Fabric's items."""

from __future__ import annotations

from typing import Any

import pytest

from infra.offline import Recording
from tests.infra.checks import findings
from tests.infra.deployments import closed, recording
from tests.infra.faults import GONE, Fault, app_setting, setting, waiting_for_nothing, without

SETTINGS_OF_BOTH = [
    "AZURE_CLIENT_ID", "APPLICATIONINSIGHTS_CONNECTION_STRING", "AzureWebJobsStorage__clientId",
    "EVENT_HUBS__clientId", "EVENT_HUBS__credential", "EVENT_HUBS__fullyQualifiedNamespace",
    "PYTHON_ENABLE_OPENTELEMETRY", "SETTINGS_BLOB_URL", "STATE_BLOB_URL", "STATE_FOLDER",
]  # fmt: skip
SETTINGS = {
    "ingest-app": [*SETTINGS_OF_BOTH, "POLL_SCHEDULE", "WEBEX_TOKEN_VAULT_URI"],
    "fanout-app": [
        *SETTINGS_OF_BOTH, "ALERT_LOG_CLIENT_ID", "ALERT_LOG_COLLECTION", "ALERT_LOG_ENDPOINT", "ALERT_LOG_STREAM",
        "INCIDENTS_HUB", "SECRETS_VAULT_URI", "TEND_SCHEDULE",
    ],
}  # fmt: skip
"""What each app reads on route azure."""
SECRET_SETTINGS: list[tuple[str, Fault, str]] = [
    (f"{what} in a setting", app_setting("fanout-app", "OTHER", value), "setting OTHER holds a key")
    for what, value in {
        "an account key": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abc==",
        "a shared access signature": "https://a.blob.core.windows.net/c?sv=2023-11-03&sig=abc%3D",
        "a webhook of Teams": "https://contoso.webhook.office.com/webhookb2/aaa/IncomingWebhook/bbb/ccc",
        "a webhook of Slack": "https://hooks.slack.com/services/T0/B0/xxx",
        "a private key": "-----BEGIN PRIVATE KEY-----",
        "a token set": '{"client_id": "C1", "refresh_token": "x"}',
    }.items()
]  # fmt: skip
OF_THE_NETWORK: list[tuple[str, Fault, str]] = [
    ("an endpoint to a part that does not exist", setting(
        "event-hubs-endpoint", "privateLinkServiceConnections/0/groupIds/0", "namespaces"), "event-hubs-endpoint: namespaces is"),
    ("an endpoint in an app's subnet", setting("event-hubs-endpoint", "subnet/id", "/x/subnets/ingest"), "not in the subnet"),
    ("a zone misspelt", setting(
        "privatelink.vaultcore.azure.net", "privateZoneName", "privatelink.vault.azure.net"), "vault is named in"),
    ("an endpoint without a name", without("vault-names"), "vault-endpoint: vault is named in []"),
    ("a zone nobody asks", without("privatelink.vaultcore.azure.net-link"), "privatelink.vaultcore.azure.net: has 0 links"),
    ("a zone that machines enter", setting("privatelink.vaultcore.azure.net-link", "registrationEnabled", True), "registers"),
    ("subnets that overlap", setting("virtual-network", "subnets/1/addressPrefix", "10.71.0.0/26"), "overlap"),
    ("a subnet elsewhere", setting("virtual-network", "subnets/1/addressPrefix", "10.72.0.0/26"), "not within the network"),
    ("a subnet of the older plans", setting(
        "virtual-network", "subnets/1/delegations/0/serviceName", "Microsoft.Web/serverFarms"), "delegated to Microsoft.Web"),
    ("an app outside", setting("ingest-app", "virtualNetworkSubnetId", GONE), "not in its own subnet"),
    ("an app in another's subnet", setting("ingest-app", "virtualNetworkSubnetId", "/x/subnets/fanout"), "not in its own subnet"),
    ("a public door", setting("key-vault", "properties/publicNetworkAccess", "Enabled"), "key-vault: answers by its public name"),
    ("a lake for everybody", setting("lake-account", "networkRuleSet/defaultAction", "Allow"), "lets everybody in"),
    ("a lake without trusted services", setting("lake-account", "networkRuleSet/bypass", "None"), "shuts the query"),
    ("a policy in small", setting("virtual-network", "subnets/0/privateEndpointNetworkPolicies", "disabled"), "'disabled'"),
    ("a property that virtual networks don't have", setting("virtual-network", "addressSpace/addressPrefix", "10.0.0.0/8"),
     "addressPrefix: there is no such property"),
    ("a link in a region", setting("privatelink.vaultcore.azure.net-link", "location", "westeurope"), "stands in westeurope"),
    ("a link that says yes in words", setting("privatelink.vaultcore.azure.net-link", "registrationEnabled", "no"), "'no'"),
]  # fmt: skip
OF_ALERTS: list[tuple[str, Fault, str]] = [
    ("milliseconds", setting("query-behind", "criteria/allOf/0/threshold", 120_000), "query-behind: 120000 is not a threshold"),
    ("a percentage as a fraction", setting("query-full", "criteria/allOf/0/threshold", 0.8), "0.8 is not a threshold in Percent"),
    ("more than all", setting("query-full", "criteria/allOf/0/threshold", 800), "800 is not a threshold in Percent"),
    ("less than nothing", setting("live-store-down", "criteria/allOf/0/threshold", 0), "live-store-down: 0 is not a threshold"),
    ("a negative count", setting("query-errors", "criteria/allOf/0/threshold", -1), "query-errors: -1 is not a threshold"),
    ("a category in small letters", setting("service-health", "condition/allOf/0/equals", "servicehealth"), "no category"),
    ("a field that does not exist", setting("vault-deleted", "condition/allOf/1/field", "operation"), "no field operation"),
    ("an operation misspelt", setting("vault-deleted", "condition/allOf/1/equals", "Microsoft.KeyVault/vault/delete"),
     "no operation Microsoft.KeyVault/vault/delete"),
    ("service health of a group", setting("service-health", "scopes/0", "/subscriptions/0/resourceGroups/rg"),
     "service health is of a subscription"),
    ("more failing periods than there are", setting("no-poll", "criteria/allOf/0/failingPeriods/minFailingPeriodsToAlert", 3),
     "no-poll: 3 failing of 1 periods"),
    ("more periods than Azure looks back on", setting(
        "no-poll", "criteria/allOf/0/failingPeriods/numberOfEvaluationPeriods", 9), "no-poll: 1 failing of 9 periods"),
    ("a split by a column that is not there", setting("city-silent", "criteria/allOf/0/dimensions/0/name", "city"),
     "city-silent: is split by city"),
    ("a pause beside resolving", setting("no-poll", "muteActionsDuration", "PT1H"), "no-poll: pauses and resolves"),
    ("a rule that makes a metric", setting("no-poll", "kind", "LogToMetric"), "no-poll: is a LogToMetric"),
    ("a cluster asked by nobody", setting("city-silent", "identity", GONE), "city-silent: asks a cluster as nobody"),
    ("the older schema", setting("ag-email-lyon", "emailReceivers/0/useCommonAlertSchema", False), "common alert schema"),
    ("half an address", setting("ag-email-lyon", "emailReceivers/0/emailAddress", "av-lyon"), "av-lyon is not an address"),
    ("a receiver twice", setting("ag-email-lyon", "emailReceivers", [
        {"name": n, "emailAddress": f"{n}@Example.com", "useCommonAlertSchema": True} for n in ("av", "AV")]), "twice"),
    ("a route of another subscription", setting("apr-email-lyon", "properties/scopes", ["/subscriptions/other"]),
     "apr-email-lyon: looks at /subscriptions/other"),
    ("a route by another city's mark", setting("apr-email-lyon", "properties/conditions/0/values", ["to=lyons/email;"]),
     "apr-email-lyon: its mark is to=lyons"),
]  # fmt: skip
SCALE = "functionAppConfig/scaleAndConcurrency/alwaysReady"
OF_SERVICES: list[tuple[str, Fault, str]] = [
    ("a connection as a stranger", setting("connection-alerts", "managedIdentityResourceId", "/x/other"), "reads as /x/other"),
    ("a cluster that is nobody", setting("cluster", "identity", GONE), "cluster: has no identity"),
    ("one machine", setting("cluster", "sku/capacity", 1), "cluster: one machine"),
    ("bounds of scale upside down", setting(
        "cluster", "optimizedAutoscale", {"isEnabled": True, "minimum": 8, "maximum": 2, "version": 1}), "scales from 8 to 2"),
    ("a cluster for every tenant", setting("cluster", "trustedExternalTenants", [{"value": "*"}]), "trustedExternalTenants"),
    ("a cluster that reaches nothing", setting("cluster", "restrictOutboundNetworkAccess", "Enabled"), "restrictOutbound"),
    ("more instances ready than there may be", setting("ingest-app", SCALE, [{"name": "function:poll", "instanceCount": 99}]),
     "99 instances are ready, of 40"),
    ("instances for a function that is not there", setting("fanout-app", SCALE, [{"name": "function:poll", "instanceCount": 1}]),
     "fanout-app: instances are ready for function:poll"),
    ("a debugger", setting("ingest-app", "siteConfig/remoteDebuggingEnabled", True), "remoteDebuggingEnabled"),
    ("a page of anybody's", setting("fanout-app", "siteConfig/cors", {"allowedOrigins": ["*"]}), "siteConfig.cors"),
    ("an app for Windows", setting("ingest-app", "kind", "functionapp"), "kind is 'functionapp'"),
    ("a plan for Windows", setting("ingest-plan", "reserved", False), "ingest-plan: is not a plan of Linux"),
    ("SFTP", setting("lake-account", "isSftpEnabled", True), "isSftpEnabled"),
    ("users of its own", setting("lake-account", "isLocalUserEnabled", True), "isLocalUserEnabled"),
    ("a lifecycle off", setting("lake-lifecycle", "policy/rules/0/enabled", False), "lake-lifecycle: cool-old-files is off"),
    ("a lifecycle of nothing", setting("lake-lifecycle", "policy/rules/0/definition/filters/prefixMatch", ["lakes/"]), "lakes/"),
    ("an archive", setting("lake-lifecycle", "policy/rules/0/definition/actions/baseBlob/tierToArchive",
                           {"daysAfterModificationGreaterThan": 90}), "archives what the lake reads"),
    ("a hub that is off", setting("alerts", "status", "Disabled"), "alerts: status is 'Disabled'"),
    ("a principal of no type", setting("ingest-observations", "principalType", GONE), "principal type None"),
    ("a principal that is a person", setting("ingest-observations", "principalType", "User"), "principal type User"),
    ("telemetry to another workspace", setting("insights", "workspaceResourceId", "/x/other"), "telemetry in /x/other"),
    ("telemetry of the older kind", setting("insights", "ingestionMode", "ApplicationInsights"), "ingestionMode"),
    ("another endpoint", setting("room-alerts-collection", "dataCollectionEndpointId", "/x/other"), "of endpoint /x/other"),
    ("rows that are dropped on their way", setting("room-alerts-collection", "dataFlows/0/transformKql", "source | where false"),
     "changes rows on their way"),
    ("a shut endpoint", setting("room-alerts-endpoint", "networkAcls/publicNetworkAccess", "Disabled"), "takes nothing in"),
    ("a table that rules can't ask", setting("room-alerts-table", "plan", "Basic"), "plan Basic feeds no alert rule"),
    ("units that count otherwise", setting("query", "sku", "Standard"), "query: Standard counts"),
    ("a query that waits for order", setting("query", "policies/eventsOutOfOrderMaxDelayInSeconds", 600), "waits for an order"),
    ("another form", setting("query", "inputs/observations/serialization/type", "Avro"), "observations: carries Avro"),
    ("a key the query lacks", setting("query", "outputs/alerts/datasource/properties/partitionKey", "nope"), "by key nope"),
    ("an unread table", setting("query", "outputs/lake/serialization/properties/deltaTablePath", "reading"), "table reading"),
    ("an output nobody writes", setting("query", "query", "SELECT * INTO [nowhere] FROM [observations]"), "writes into nowhere"),
    ("a vault that forgets in three days", setting("key-vault", "properties/softDeleteRetentionInDays", 3), "Azure has 7 to 90"),
    ("a hub for a month", setting("alerts", "retentionDescription/retentionTimeInHours", 720), "keeps events 720 h"),
]  # fmt: skip
FIRST = "criteria/allOf/0/"
OF_STANDING: list[tuple[str, Fault, str]] = [
    ("a log rule turned round", setting("no-row", f"{FIRST}operator", "LessThan"), "no-row: fires on Count LessThan 0"),
    ("a log rule that wants six rows", setting("no-row", f"{FIRST}threshold", 5), "no-row: fires on Count GreaterThan 5"),
    ("the mean of rows", setting("no-row", f"{FIRST}timeAggregation", "Average"), "no-row: fires on Average"),
    ("silence as a note", setting("no-poll", "severity", 4), "no-poll: severity 4 for what nothing else notices"),
    ("a provider in mixed case", setting(
        "no-row", f"{FIRST}query", "AzureMetrics | where ResourceProvider == 'Microsoft.StreamAnalytics'"),
     "AzureMetrics has no provider Microsoft.StreamAnalytics"),
    ("a function in capitals", setting("no-poll", f"{FIRST}query", "AppRequests | where Name == 'Poll'"), "is called Poll"),
    ("words that nobody logs", setting(
        "webex-token", f"{FIRST}query", "AppTraces | where Message startswith 'token alarm of webex'"),
     "no line of the log begins with token alarm of webex"),
    ("an app shut to everybody", setting("fanout-app", "publicNetworkAccess", "Disabled"), "fanout-app: nobody can ask"),
    ("an app that wants certificates", setting("fanout-app", "clientCertEnabled", True), "fanout-app: wants a certificate"),
    ("hubs that nobody enters", setting("namespace", "publicNetworkAccess", "Disabled"), "namespace: is shut"),
    ("a cluster that nobody enters", setting("cluster", "publicNetworkAccess", "Disabled"), "cluster: is shut"),
    ("a lake that nobody enters", setting("lake-account", "networkRuleSet/defaultAction", "Deny"), "lake-account: is shut"),
    ("a vault that nobody enters", setting("key-vault", "properties/publicNetworkAccess", "Disabled"), "key-vault: is shut"),
    ("a vault that denies", setting(
        "key-vault", "properties/networkAcls", {"defaultAction": "Deny", "bypass": "None"}), "key-vault: is shut"),
    ("secrets for virtual machines", setting("key-vault", "properties/enabledForDeployment", True), "enabledForDeployment lets"),
    ("secrets for templates", setting(
        "key-vault", "properties/enabledForTemplateDeployment", True), "enabledForTemplateDeployment lets"),
    ("a role under a condition", setting("ingest-observations", "condition", "@Resource[x] StringEquals 'y'"), "has a condition"),
    ("rows that wait for a batch", setting("cluster", "enableStreamingIngest", False), "cluster: takes no rows as they come"),
    ("an engine of long ago", setting("cluster", "engineType", "V2"), "cluster: engine V2"),
    ("events that choose their database", setting("connection-alerts", "databaseRouting", "Multi"), "lets events choose"),
    ("a job for the edge", setting("query", "policies/jobType", "Edge"), "query: is a job for Edge"),
    ("an input by a key", setting("query", "inputs/observations/partitionKey", "nope"), "observations: is read by key nope"),
    ("a poll on New Year's Day", app_setting("ingest-app", "POLL_SCHEDULE", "0 0 0 1 1 *"), "POLL_SCHEDULE 0 0 0 1 1 *"),
    ("a fan-out by day", app_setting("fanout-app", "TEND_SCHEDULE", "*/10 * 8-17 * * *"), "TEND_SCHEDULE */10 * 8-17"),
    ("alerts that are asked about for four days", setting("room-alerts-table", "retentionInDays", 4), "for 4 days"),
    ("one table for all logs", setting(
        "vault-diagnostics", "logAnalyticsDestinationType", "AzureDiagnostics"), "vault-diagnostics: goes to AzureDiagnostics"),
]  # fmt: skip
OF_FABRIC: list[tuple[str, Fault, str]] = [
    ("a role over another", setting("workspace-viewer-3f6c1f0e-0f4e-4c57-9a53-7f0f5c2c9d11", "role", "Contributor"),
     "gives role Contributor"),
    ("a program without a role", without("workspace-ingest"), "ingest has no role in the workspace"),
    ("a view before its tables", waiting_for_nothing("view-lyon"), "view-lyon: does not wait for kql-schema"),
    ("an eventstream before its tables", waiting_for_nothing("eventstream-roompulse"), "does not wait for kql-schema"),
    ("a report before its connection", waiting_for_nothing("report-lyon"), "report-lyon: does not wait for the model"),
    ("a binding of nothing", setting("binding-roompulse", "semanticModelId", "id-of-report-lyon"), "binds id-of-report-lyon"),
    ("an endpoint that is no node", setting("ingest-endpoint", "node", "entry"), "ingest-endpoint: entry is none of"),
    ("an endpoint of the other side", setting("ingest-endpoint", "side", "destinations"), "ingest-endpoint: ingest is none of"),
    ("an item in another workspace", setting("report-lyon", "workspaceId", "another"), "report-lyon: is in workspace another"),
    ("a shortcut in another workspace", setting("shortcut-alerts", "workspaceId", "another"), "shortcut-alerts: is in workspace"),
    ("a connection to another database", setting("live-store-connection", "parameters/database", "rooms"), "database rooms"),
    ("an item without a name", setting("report-lyon", "name", " "), "report-lyon: an item without a name"),
    ("a city without a view", without("view-lyon"), "report-lyon: view-lyon is missing"),
    ("a workspace without a capacity", setting("fabric-workspace", "capacity", ""), "fabric-workspace: is on no capacity"),
]  # fmt: skip
OF_THE_FOLLOWER: list[tuple[str, Fault, str]] = [
    ("a capacity nobody administers", setting("fabric-capacity", "administration/members", []), "without an administrator"),
    ("another database", setting("kqldatabase-roompulse", "creation/sourceDatabaseName", "rooms"), "follows database"),
]  # fmt: skip
CASES: dict[str, list[tuple[str, Fault, str]]] = {
    "prod": [*SECRET_SETTINGS, *OF_ALERTS, *OF_SERVICES, *OF_STANDING],
    "private": OF_THE_NETWORK,
    "fabric": OF_FABRIC,
    "dev": OF_THE_FOLLOWER,
}


@pytest.fixture(scope="module")
def good() -> dict[str, Recording]:
    """Deployments without a finding, by name."""
    return {**{name: recording(name) for name in ("dev", "prod", "fabric")}, "private": closed("prod")}


@pytest.mark.parametrize(
    ("name", "fault", "named"),
    [pytest.param(name, *case[1:], id=case[0]) for name, cases in CASES.items() for case in cases],
)
def test_a_seeded_fault_is_found_and_named(good: dict[str, Recording], name: str, fault: Fault, named: str) -> None:
    broken = Recording(tuple(fault(list(good[name].registrations))), good[name].outputs)
    found = findings(broken)
    assert any(named in finding for finding in found), found


@pytest.mark.parametrize(("how", "value"), [("missing", GONE), ("wrong", "wrong")])
def test_every_setting_that_is_missing_or_wrong_is_found_and_named(good: dict[str, Recording], how: str, value: Any) -> None:
    broken = list(good["prod"].registrations)
    for app, names in SETTINGS.items():
        for name in names:
            broken = app_setting(app, name, value)(broken)
    found = "\n".join(findings(Recording(tuple(broken), good["prod"].outputs)))
    told = {f"{app}: setting {name} is {how}" for app, names in SETTINGS.items() for name in names}
    assert sorted(one for one in told if one not in found) == []
