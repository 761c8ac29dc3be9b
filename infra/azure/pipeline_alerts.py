"""Alerts about the pipeline itself, for the people who run it. Each threshold says why it is what it is.

Metric alerts, because logs are poor at noticing that nothing comes. Silence of one city can only be seen where its rows are: with
a live store that answers by its public name, a rule asks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pulumi
from pulumi import Output, ResourceOptions
from pulumi_azure_native import monitor

from activator.rules import Rule
from infra.azure.action_groups import operations_group
from infra.azure.compiled_rules import description, metric_operator, properties, rows_found, window
from infra.azure.live_store import DATABASE, LiveStore
from infra.azure.observability import Observability
from infra.azure.resource_group import ResourceGroup
from infra.azure.roles import Identity, Role
from infra.azure.room_alerts import add_route
from infra.meters import Each, Meter, free
from infra.parts import Kind, Part
from processors.contracts.facts import UNASSIGNED

READER = Role("Reader", "acdd72a7-3385-48ef-bd42-f606fba81ae7")
METRIC_ALERT = Each(
    "Metric alerts",
    Meter("Azure Monitor", "Alerts Metric Monitored", "1/Month"),
    1,
    "rules; one that watches more series costs more",
)


@dataclass(frozen=True)
class MetricRule:
    """A metric (`kind` is the resource type) that goes beyond `threshold` within `window`, looked at every `every` (ISO 8601).

    `only` narrows to one value of a dimension. `because` is where the number comes from; operators read it in the alert.
    """

    name: str
    kind: str
    metric: str
    aggregation: str
    operator: str
    threshold: float
    window: str
    every: str
    severity: int
    because: str
    only: tuple[str, str] | None = None


NAMESPACE = "Microsoft.EventHub/namespaces"
JOB = "Microsoft.StreamAnalytics/streamingjobs"
INSIGHTS = "Microsoft.Insights/components"
CLUSTER = "Microsoft.Kusto/clusters"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices"

RULES = (
    MetricRule(
        "throttled", NAMESPACE, "ThrottledRequests", "Total", "GreaterThan", 100, "PT15M", "PT5M", 3,
        "A snapshot may be refused a few times while the namespace inflates; clients try again. More than 100 in 15 minutes: it "
        "has inflated as far as the stack lets it.",
    ),
    MetricRule(
        "hubs-refuse", NAMESPACE, "QuotaExceededErrors", "Total", "GreaterThan", 0, "PT15M", "PT5M", 2,
        "A quota of the namespace is used up, such as its connections: waiting does not help, as it does with throttling.",
    ),
    MetricRule(
        "hubs-failing", NAMESPACE, "ServerErrors", "Total", "GreaterThan", 5, "PT15M", "PT5M", 3,
        "Clients try again after one; more than five in a quarter of an hour is trouble of Azure's own (see service-health).",
    ),
    MetricRule(
        "not-understood", NAMESPACE, "IncomingMessages", "Total", "GreaterThan", 100, "PT1H", "PT15M", 3,
        "An odd record now and then is life with an open API. 100 in an hour are a field that changed; table DeadLetter has it.",
        ("EntityName", "deadletter"),
    ),
    MetricRule(
        "query-behind", JOB, "OutputWatermarkDelaySeconds", "Maximum", "GreaterThan", 120, "PT15M", "PT5M", 2,
        "Alerts are promised within a poll. At rest the delay is a few seconds, and a minute right after a snapshot; two minutes "
        "for a quarter of an hour mean that it does not catch up.",
    ),
    MetricRule(
        "query-errors", JOB, "Errors", "Total", "GreaterThan", 0, "PT5M", "PT5M", 2,
        "The query can't fail on data it has been tested with: any runtime error is a lost permission or a bug.",
    ),
    MetricRule(
        "query-unreadable", JOB, "DeserializationError", "Total", "GreaterThan", 0, "PT5M", "PT5M", 2,
        "The ingest sends JSON of one form and nobody else may send: an event that can't be read is lost to the query: a bug.",
    ),
    MetricRule(
        "query-unfit", JOB, "ConversionErrors", "Total", "GreaterThan", 0, "PT5M", "PT5M", 2,
        "A row that does not fit its output holds back all that follow it, because the job retries it.",
    ),
    MetricRule(
        "query-backlog", JOB, "InputEventsSourcesBacklogged", "Maximum", "GreaterThan", 100_000, "PT15M", "PT5M", 3,
        "Ten times the largest snapshot we size for. More is waiting than the job reads: query-behind says how late it is.",
    ),
    MetricRule(
        "query-full", JOB, "ResourceUtilization", "Average", "GreaterThan", 80, "PT30M", "PT15M", 3,
        "State lives in memory, and a job that runs out of it fails. 80 % is where Azure's own guidance says to add units.",
    ),
    MetricRule(
        "functions-failing", INSIGHTS, "requests/failed", "Count", "GreaterThan", 5, "PT15M", "PT5M", 2,
        "A poll fails when Webex is away, and heals by itself; five in a quarter of an hour do not. Deliveries that fail are "
        "repeated and count here too.",
    ),
    MetricRule(
        "live-store-down", CLUSTER, "KeepAlive", "Average", "LessThan", 1, "PT15M", "PT5M", 2,
        "1 is a cluster that answers. Reports and pages show nothing while it does not; alerts keep flowing.",
    ),
    MetricRule(
        "live-store-late", CLUSTER, "IngestionLatencyInSeconds", "Average", "GreaterThan", 180, "PT15M", "PT5M", 3,
        "Batches close after 10 s, so half a minute is normal. At three minutes people look at rooms as they were.",
    ),
    MetricRule(
        "live-store-loses", CLUSTER, "IngestionResult", "Total", "GreaterThan", 0, "PT30M", "PT15M", 2,
        "What fails for good is not tried again: those rows are lost to pages and reports, while all others come in time. A row "
        "that does not fit its mapping is a bug; .show ingestion failures names it.",
        ("FailureKind", "Permanent"),
    ),
    MetricRule(
        "lake-crowded", BLOBS, "BlobCount", "Average", "GreaterThan", 250_000, "PT6H", "PT1H", 3,
        "The job writes a file a minute and partition and merges none, so some weeks make so many, and every query of the "
        "lake opens them all. From any Delta engine, for each table: OPTIMIZE, then VACUUM (docs/stages/deploy.md).",
        ("BlobType", "BlockBlob"),
    ),
)  # fmt: skip
UNWELL = ("Degraded", "Unavailable")
"""States of health that people are notified of; Unknown comes and goes with what reports it."""
DELETIONS = {
    "vault-deleted": ("Microsoft.KeyVault/vaults/delete", "az keyvault recover"),
    "logs-deleted": ("Microsoft.OperationalInsights/workspaces/delete", "az monitor log-analytics workspace recover"),
}
"""Operations of the activity log by the rule that watches them, and the way back."""
TOKEN_ALARM = "AppTraces | where Message startswith 'webex token alarm'"
"""What the ingest logs when the Webex token can't be renewed or stored, or will soon be renewed no more (ingest/tokens.py)."""
POLLS = "AppRequests | where Name == 'poll' and Success == true | summarize n = count()"
"""How often the ingest has polled and sent."""
ROWS = (
    "AzureMetrics | where ResourceProvider == 'MICROSOFT.STREAMANALYTICS' and MetricName == 'OutputEvents' "
    "| summarize n = tolong(sum(Total))"
)
"""How many rows the query has given."""
STANDSTILL, SILENT_CITY = "pipeline-stale", "city-silent"
"""The alert rules of activator/rules that the platform judges, the second besides the query: a city may have no rows at all."""


def nothing_of(counted: str) -> str:
    """A query that finds one row when a count is zero, and also when there is nothing to count.

    Nothing gives a metric no point and a table no row, so that neither would ever fire.
    """
    return f"union (print n = 0), ({counted}) | summarize n = sum(n) | where n == 0"


def standstill(rule: Rule) -> tuple[MetricRule, ...]:
    """The rule about the pipeline itself, for the hub before the query and the one behind it: which of them stands still?"""
    return tuple(
        MetricRule(
            name, NAMESPACE, "IncomingMessages", "Total", metric_operator(rule), rule.threshold, window(rule), "PT5M",
            rule.severity, description(rule), ("EntityName", hub),
        )
        for name, hub in (("nothing-observed", "observations"), ("nothing-processed", "processed"))
    )  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """What the rules look at beside the apps: ARM ids, and the live store. What a route has not is not watched: in route fabric,
    Azure Monitor sees the functions alone.
    """

    namespace: Output[str] | None = None
    job: Output[str] | None = None
    live_store: LiveStore | None = None
    lake: Output[str] | None = None


class PipelineAlerts(Part):
    """The metric rules, the rule for the Webex token, what catches rooms of no city, and (with a live store) the rule for cities
    that fell silent."""

    title = "Pipeline alerts"
    resources: ClassVar = {
        "monitor:MetricAlert": Kind("metric alert", METRIC_ALERT, named="ruleName", diagnosed=False),
        "monitor:ActivityLogAlert": Kind("activity alert", free, named="activityLogAlertName", diagnosed=False),
    }

    def __init__(
        self,
        rules: Sequence[Rule],
        group: ResourceGroup,
        observability: Observability,
        watched: Watched,
    ) -> None:
        super().__init__("pipeline-alerts")
        self._group, self._observability = group, observability
        people = operations_group(group.azure.operations_email, group, self)
        self._people: Output[str] = people.id
        live_store = watched.live_store
        cluster = live_store.cluster_id if live_store else None
        scopes = {
            NAMESPACE: watched.namespace, JOB: watched.job, INSIGHTS: observability.insights_id, CLUSTER: cluster,
            BLOBS: watched.lake,
        }  # fmt: skip
        declared = {rule.id: rule for rule in rules}
        for rule in (*standstill(declared[STANDSTILL]), *RULES):
            if (scope := scopes[rule.kind]) is not None:
                self._metric_alert(rule, scope)
        self._log_alert(
            "webex-token",
            "The Webex token is in danger",
            "A renewal is tried four days before the token expires, and a failing one is an alert: days to fix it, then "
            "every city falls silent at once. The log says why; docs/stages/deploy.md, The Webex token, says what to do.",
            severity=2,
            query=TOKEN_ALARM,
            within="PT1H",
        )
        self._activity_alert(
            "service-health",
            "An incident, a maintenance or an advisory of Azure's own: what other rules see may be its echo.",
            {"field": "category", "equals": "ServiceHealth"},
            scope=f"/subscriptions/{group.subscription_id}",
        )
        self._activity_alert(
            "resource-health",
            "Azure itself says that a resource of ours is down or half down: who looks for a fault of ours may stop.",
            {"field": "category", "equals": "ResourceHealth"},
            {"any_of": [{"field": "properties.currentHealthStatus", "equals": state} for state in UNWELL]},
            scope=group.id,
        )
        for name, (operation, way_back) in DELETIONS.items():
            said = {"category": "Administrative", "operationName": operation, "status": "Succeeded"}
            conditions = [{"field": field, "equals": value} for field, value in said.items()]
            because = f"Somebody has deleted what keeps secrets or logs. For some days it can be had back: {way_back}."
            self._activity_alert(name, because, *conditions, scope=group.id)
        self._silence("no-poll", "Nothing has been polled", POLLS, declared[STANDSTILL])
        if watched.job is not None:
            self._silence("no-row", "The query gives no rows", ROWS, declared[STANDSTILL])
        add_route("apr", UNASSIGNED, UNASSIGNED, people, group, observability, self)
        # Azure Monitor asks a cluster by its public name; a private one it can't ask (docs/decisions/0109-private-network.md).
        if live_store and not group.azure.private_network:
            self._silent_cities(declared[SILENT_CITY], live_store)
        self.register_outputs({})

    def _metric_alert(self, rule: MetricRule, scope: Output[str]) -> None:
        criterion = {
            "criterion_type": "StaticThresholdCriterion",
            "name": rule.name,
            "metric_namespace": rule.kind,
            "metric_name": rule.metric,
            "operator": rule.operator,
            "threshold": rule.threshold,
            "time_aggregation": rule.aggregation,
        }
        if rule.only:
            name, value = rule.only
            criterion["dimensions"] = [{"name": name, "operator": "Include", "values": [value]}]
        monitor.MetricAlert(
            rule.name,
            rule_name=self._group.names.plain("alert", rule.name),
            description=rule.because,
            severity=rule.severity,
            enabled=True,
            scopes=[scope],
            target_resource_type=rule.kind,
            evaluation_frequency=rule.every,
            window_size=rule.window,
            auto_mitigate=True,
            # An Args class, not a dict: the SDK leaves the keys of a dict for this union as they are, and Azure ignores them.
            criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
                odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria", all_of=[criterion]
            ),
            actions=[{"action_group_id": self._people}],
            **self._group.global_,
            opts=ResourceOptions(parent=self),
        )

    def _activity_alert(self, name: str, because: str, *conditions: Mapping[str, Any], scope: pulumi.Input[str]) -> None:
        """Fires on an event of Azure's activity log within `scope` that meets all of the conditions."""
        monitor.ActivityLogAlert(
            name,
            activity_log_alert_name=self._group.names.plain("ala", name),
            description=because,
            enabled=True,
            scopes=[scope],
            condition={"all_of": list(conditions)},
            actions={"action_groups": [{"action_group_id": self._people}]},
            **self._group.global_,
            opts=ResourceOptions(parent=self),
        )

    def _silence(self, name: str, title: str, counted: str, rule: Rule) -> None:
        """The standstill rule once more, over what is logged: a metric without traffic may have no points, which rules skip."""
        self._log_alert(
            name,
            title,
            description(rule),
            severity=rule.severity,
            query=nothing_of(counted),
            within=window(rule),
            custom_properties=properties(rule),
        )

    def _silent_cities(self, rule: Rule, live_store: LiveStore) -> None:
        """Fires per city whose rows stopped though it had some in the last day. It lists no city, so none has to be added."""
        identity = Identity("silence", self._group, self)
        identity.may(READER, "workspace", self._observability.workspace_id)
        identity.may(READER, "live-store", live_store.cluster_id)
        viewer = live_store.allow_reading("silence", identity.client_id, "App")
        rows = Output.concat("adx('", live_store.uri, "/", DATABASE, "').CityMinute")
        query = Output.concat(
            rows,
            f" | where windowEnd > ago(1d) | summarize seen = max(windowEnd) by cityId | where seen <= ago({rule.threshold:g}m)",
        )
        self._log_alert(
            "city-silent",
            "A city is silent",
            f"No row of the city for {rule.threshold:g} minutes, though it had some today. {description(rule)}",
            severity=rule.severity,
            query=query,
            within="PT5M",
            per=("cityId",),
            identity={"type": "UserAssigned", "user_assigned_identities": [identity.id]},
            custom_properties=properties(rule),
            depends_on=[*identity.roles, viewer],
        )

    def _log_alert(
        self,
        name: str,
        title: str,
        because: str,
        *,
        severity: int,
        query: pulumi.Input[str],
        within: str,
        per: Sequence[str] = (),
        identity: dict[str, object] | None = None,
        custom_properties: dict[str, str] | None = None,
        depends_on: Sequence[pulumi.Resource] = (),
    ) -> None:
        """A rule that fires when a query finds a row within `within`, for each value of the columns `per`."""
        monitor.ScheduledQueryRule(
            name,
            rule_name=self._group.names.plain("sqr", name),
            kind="LogAlert",
            display_name=title,
            description=because,
            severity=severity,
            enabled=True,
            scopes=[self._observability.workspace_id],
            evaluation_frequency="PT5M",
            window_size=within,
            auto_mitigate=True,
            skip_query_validation=True,
            identity=identity,
            criteria=rows_found(query, per),
            actions={"action_groups": [self._people], "custom_properties": custom_properties or {}},
            **self._group.placed,
            opts=ResourceOptions(parent=self, depends_on=depends_on),
        )
