"""Checks against Microsoft's published lists (tests/infra/published): metrics, log categories, SKUs, runtimes.

A snapshot says that something changed, never that it is wrong: these say which of the two it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from infra.azure import limits
from infra.azure.compiled_rules import TABLE
from infra.azure.live_store import TABLE_OF_HUB
from infra.offline import Recording, Registration
from infra.policies.rules import at
from powerbi.kusto_schema import FOLDER
from tests.infra.arm_bodies import arm_type
from tests.infra.recorded import inside_fabric, jobs, of_type
from tests.support.shared_data import REPOSITORY, shared_data

MARKS = {
    "Microsoft.StreamAnalytics/streamingjobs": "StreamAnalyticsJob",
    "Microsoft.Storage/storageAccounts/blobServices": "/blobServices/",
}
"""Azure's types that azure-native does not make by themselves, and what the id of one holds in a recording."""
DEAD_LETTERS = "deadletter"
"""The one hub that is well while nothing comes."""
FREQUENCIES = {"PT1M": 1, "PT5M": 5, "PT10M": 10, "PT15M": 15, "PT30M": 30, "PT45M": 45, "PT1H": 60, "PT6H": 360, "P1D": 1440}
WINDOWS = FREQUENCIES | {"PT2H": 120, "PT12H": 720, "P2D": 2880}
"""Minutes of what an alert rule may say: learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-metric-alert-rule and
-log-alert-rule."""


@cache
def published(name: str) -> dict[str, Any]:
    """One of the lists, read once."""
    path = REPOSITORY / "tests" / "infra" / "published" / f"{name}.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def criteria(recording: Recording) -> Iterator[tuple[Registration, dict[str, Any]]]:
    """Every metric alert with each of its criteria."""
    for alert in of_type(recording, "monitor:MetricAlert"):
        for criterion in at(alert.inputs, "criteria.allOf"):
            yield alert, criterion


def check_metrics_exist(recording: Recording) -> Iterator[str]:
    """A metric alert on a metric that Azure doesn't have is refused, or never fires."""
    listed = published("metrics")["metrics"]
    for alert, criterion in criteria(recording):
        name, namespace = criterion["metricName"], criterion["metricNamespace"]
        metric = listed.get(namespace, {}).get(name)
        if metric is None:
            yield f"{alert.name}: {name} is not a metric of {namespace}"
            continue
        if criterion["timeAggregation"] not in metric["aggregations"]:
            yield f"{alert.name}: {name} has no aggregation {criterion['timeAggregation']}"
        for dimension in criterion.get("dimensions") or ():
            if dimension["name"] not in metric["dimensions"]:
                yield f"{alert.name}: {name} has no dimension {dimension['name']}"


def check_metrics_are_looked_at_where_they_come_from(recording: Recording) -> Iterator[str]:
    """The scope of a metric alert is a resource of the metric's type, and a hub it narrows to exists."""
    hubs = {hub.inputs["eventHubName"] for hub in of_type(recording, "eventhub:EventHub")}
    for alert, criterion in criteria(recording):
        namespace = criterion["metricNamespace"]
        if alert.inputs["targetResourceType"] != namespace:
            yield f"{alert.name}: its target is {alert.inputs['targetResourceType']}, its metric of {namespace}"
        for scope in alert.inputs["scopes"]:
            if type_at(scope) != namespace:
                yield f"{alert.name}: a metric of {namespace} is looked for at {scope}"
        for dimension in criterion.get("dimensions") or ():
            for hub in sorted(set(dimension["values"]) - hubs if dimension["name"] == "EntityName" else ()):
                yield f"{alert.name}: narrows to hub {hub}, which does not exist"


def type_at(id_: str) -> str:
    """Azure's type of the resource with this id in a recording, `Microsoft.KeyVault/vaults`; the id where it is of none."""
    for name, mark in MARKS.items():
        if mark in id_:
            return name
    token = re.search(r"/(\w+:\w+)/", id_)
    return arm_type(shared_data("arm-types"), token[1]).partition("@")[0] if token else id_


def check_metrics_are_bad_the_way_the_rule_looks(recording: Recording) -> Iterator[str]:
    """A rule that fires when all is well, and is quiet when it is not, is a rule with the sign turned."""
    low = set(published("baseline_alerts")["bad_when_low"])
    for alert, criterion in criteria(recording):
        of_dead_letters = any(DEAD_LETTERS in dimension["values"] for dimension in criterion.get("dimensions") or ())
        wanted = "Less" if criterion["metricName"] in low and not of_dead_letters else "Greater"
        if not criterion["operator"].startswith(wanted):
            yield f"{alert.name}: {criterion['metricName']} is bad when {'low' if wanted == 'Less' else 'high'}"


def check_windows_of_alert_rules(recording: Recording) -> Iterator[str]:
    """Azure has a list of windows, and none that is shorter than the time between two looks: what falls between is never seen."""
    for token in ("monitor:MetricAlert", "monitor:ScheduledQueryRule"):
        for rule in of_type(recording, token):
            every, window = FREQUENCIES.get(rule.inputs["evaluationFrequency"]), WINDOWS.get(rule.inputs["windowSize"])
            if every is None or window is None:
                told = f"every {rule.inputs['evaluationFrequency']} at {rule.inputs['windowSize']}"
                yield f"{rule.name}: looks {told}, which Azure does not have"
            elif window < every:
                yield f"{rule.name}: looks at {window} min every {every} min, and misses what is between"


def check_open_alerts_are_looked_for_as_far_back_as_azure_looks(recording: Recording) -> Iterator[str]:
    """The row of an alert's beginning is as old as the alert: a rule that looks back for less ends it while it goes on."""
    longest = max(WINDOWS, key=lambda window: WINDOWS[window])
    for rule in of_type(recording, "monitor:ScheduledQueryRule"):
        if TABLE in str(at(rule.inputs, "criteria.allOf")[0]["query"]) and rule.inputs.get("overrideQueryTimeRange") != longest:
            yield f"{rule.name}: looks back {rule.inputs.get('overrideQueryTimeRange')}, and Azure looks back {longest}"


def check_alerts_end(recording: Recording) -> Iterator[str]:
    """A rule that does not resolve by itself stays open when all is well again, and then tells nobody of the next time."""
    for token in ("monitor:MetricAlert", "monitor:ScheduledQueryRule"):
        for rule in of_type(recording, token):
            if rule.inputs.get("autoMitigate") is not True:
                yield f"{rule.name}: does not resolve by itself"


def check_metrics_of_the_workspace_are_exported(recording: Recording) -> Iterator[str]:
    """What a query asks of AzureMetrics gets there by a diagnostic setting, and only where Azure exports it."""
    listed = published("metrics")["metrics"]["Microsoft.StreamAnalytics/streamingjobs"]
    for rule in of_type(recording, "monitor:ScheduledQueryRule"):
        for metric in re.findall(r"MetricName == '(\w+)'", str(at(rule.inputs, "criteria.allOf")[0]["query"])):
            if not listed.get(metric, {}).get("exported"):
                yield f"{rule.name}: {metric} never gets into AzureMetrics"


def check_log_categories_exist(recording: Recording) -> Iterator[str]:
    """A diagnostic setting names categories that the service has, sends all of them, and nothing of it is off."""
    listed = published("log_categories")
    for setting in of_type(recording, "monitor:DiagnosticSetting"):
        uri = str(setting.inputs["resourceUri"])
        kind = type_at(uri)
        logs = setting.inputs.get("logs") or []
        for log in logs:
            if log.get("categoryGroup") not in (None, *listed["groups"]):
                yield f"{setting.name}: there is no group of categories {log['categoryGroup']}"
            if log.get("category") not in (None, *listed["categories"].get(kind, ())):
                yield f"{setting.name}: {kind} has no log category {log['category']}"
        for one in (*logs, *(setting.inputs.get("metrics") or ())):
            if not one.get("enabled"):
                yield f"{setting.name}: {one.get('categoryGroup') or one.get('category')} is off"
        every = {"allLogs"} & {log.get("categoryGroup") for log in logs} or {log.get("category") for log in logs}
        if kind != "Microsoft.Web/sites" and every not in ({"allLogs"}, set(listed["categories"].get(kind, ()))):
            yield f"{setting.name}: not all logs of {kind} are sent"
        for metric in setting.inputs.get("metrics") or ():
            if metric["category"] not in {"AllMetrics", *listed["metrics"].get(kind, ())}:
                yield f"{setting.name}: {kind} has no category of metrics {metric['category']}"


def check_skus_are_sold(recording: Recording) -> Iterator[str]:
    """Sizes and tiers are of Microsoft's lists and belong together; redundancy across zones needs a region that has them."""
    listed = published("skus")
    for token, tiers in listed["skus"].items():
        for resource in jobs(recording) if token == "StreamAnalyticsJob" else of_type(recording, token):
            sku = resource.inputs["sku"] if isinstance(resource.inputs["sku"], dict) else {"name": resource.inputs["sku"]}
            if sku["name"] not in tiers:
                yield f"{resource.name}: there is no size {sku['name']} of {token}"
            elif tiers[sku["name"]] and sku.get("tier") != tiers[sku["name"]]:
                yield f"{resource.name}: {sku['name']} is of tier {tiers[sku['name']]}, not {sku.get('tier')}"
            if sku["name"] in listed["across_zones"] and not limits.REGIONS[resource.inputs["location"]].zones:
                yield f"{resource.name}: {resource.inputs['location']} has no zones for {sku['name']}"
    for job in jobs(recording):
        if job.inputs["streamingUnits"] not in listed["streaming_units"]:
            yield f"{job.name}: {job.inputs['streamingUnits']} streaming units are not to be had"


def check_runtimes_are_supported(recording: Recording) -> Iterator[str]:
    """A language version that Functions no longer runs is refused, and one that it has not yet."""
    listed = published("runtimes")
    for app in of_type(recording, "web:WebApp"):
        runtime = at(app.inputs, "functionAppConfig.runtime")
        if runtime["version"] not in listed.get(runtime["name"], {}):
            yield f"{app.name}: Functions run no {runtime['name']} {runtime['version']}"


def check_collection_rule_fits_its_table(recording: Recording) -> Iterator[str]:
    """A row whose stream, columns or table differ is dropped by the endpoint without a word to whoever sent it."""
    for rule in of_type(recording, "monitor:DataCollectionRule"):
        (table,) = of_type(recording, "operationalinsights:Table")
        kept = {column["name"]: column["type"].lower() for column in table.inputs["schema"]["columns"]}
        for flow in rule.inputs["dataFlows"]:
            if flow["outputStream"] != f"Custom-{table.inputs['tableName']}":
                yield f"{rule.name}: rows go to {flow['outputStream']}, the table is {table.inputs['tableName']}"
            for stream in flow["streams"]:
                declared = rule.inputs["streamDeclarations"].get(stream, {"columns": []})["columns"]
                if {column["name"]: column["type"] for column in declared} != kept:
                    yield f"{rule.name}: the columns of {stream} are not those of table {table.inputs['tableName']}"


def check_connections_fit_the_script(recording: Recording) -> Iterator[str]:
    """A data connection names a table and a mapping that the script makes; rows that fit neither are lost."""
    mappings = set(re.findall(r'\.create-or-alter table (\w+) ingestion json mapping "\1"', _tables()))
    connections = of_type(recording, "kusto:EventHubDataConnection")
    hubs = {one.inputs["dataConnectionName"] for one in connections}
    for hub in sorted(set() if inside_fabric(recording) or not connections else TABLE_OF_HUB.keys() - hubs):
        yield f"nothing brings hub {hub} into the live store"
    for one in connections:
        table, mapping = one.inputs.get("tableName"), one.inputs.get("mappingRuleName")
        if table != TABLE_OF_HUB.get(one.inputs["dataConnectionName"], "nothing") or mapping != table:
            yield f"{one.name}: goes to table {table} by mapping {mapping}"
        if table is not None and table not in mappings:
            yield f"{one.name}: the script makes no mapping {table}"
        if one.inputs.get("compression", "None") != "None" or one.inputs["dataFormat"] != "MULTIJSON":
            read = f"{one.inputs['dataFormat']}, {one.inputs.get('compression')}"
            yield f"{one.name}: reads {read}; what comes is plain lines of JSON"


@cache
def _tables() -> str:
    return (FOLDER / "tables.kql").read_text(encoding="utf-8")


PUBLISHED_CHECKS: tuple[Callable[[Recording], Iterator[str]], ...] = (
    check_metrics_exist,
    check_metrics_are_looked_at_where_they_come_from,
    check_metrics_are_bad_the_way_the_rule_looks,
    check_windows_of_alert_rules,
    check_alerts_end,
    check_open_alerts_are_looked_for_as_far_back_as_azure_looks,
    check_metrics_of_the_workspace_are_exported,
    check_log_categories_exist,
    check_skus_are_sold,
    check_runtimes_are_supported,
    check_collection_rule_fits_its_table,
    check_connections_fit_the_script,
)
