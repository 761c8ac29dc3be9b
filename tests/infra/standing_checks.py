"""Checks of what deploys well and then does nothing: rules that count nothing, doors that are shut to those who need them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from infra.offline import Recording
from infra.policies.rules import at
from powerbi.kusto_schema import FOLDER
from tests.infra.network_checks import networks
from tests.infra.published_checks import published
from tests.infra.recorded import jobs, of_type, setting_of, triggers
from tests.support.shared_data import REPOSITORY

DEAD_MEN = {"no-poll": 1, "no-row": 1, "city-silent": 2}
"""Rules by which silence is heard, and the least urgent severity they may have: nothing else notices."""
OFTEN = re.compile(r"(\*|\d+|\*/\d+) (\*|\*/\d+) \* \* \* \*")
"""NCRONTAB with seconds: at least every hour, at every hour of every day."""
READ_BY_ANYBODY = ("enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment")
"""Properties of a vault that let Azure's own services hand its secrets on, past the roles."""
LEAST_DAYS_OF_ALERTS = 30


def check_log_alerts_fire_on_a_row(recording: Recording) -> Iterator[str]:
    """A query of ours gives a row where something is wrong, so its rule fires on one row or more, and on nothing else."""
    for rule in of_type(recording, "monitor:ScheduledQueryRule"):
        (criterion,) = at(rule.inputs, "criteria.allOf")
        how = (criterion["timeAggregation"], criterion["operator"], criterion["threshold"])
        if how != ("Count", "GreaterThan", 0):
            yield f"{rule.name}: fires on {' '.join(map(str, how))} rows, and a fault is one row"
        if rule.inputs["severity"] > DEAD_MEN.get(rule.name, 4):
            yield f"{rule.name}: severity {rule.inputs['severity']} for what nothing else notices"


def check_log_alerts_ask_for_what_is_written(recording: Recording) -> Iterator[str]:
    """Kusto compares by case: a function, a provider or a line of the log that nobody writes like that is never found."""
    functions = {name for processor in ("ingest", "alert_fanout") for name in triggers(processor)}
    providers = set(published("log_tables")["providers"])
    for rule in of_type(recording, "monitor:ScheduledQueryRule"):
        query = str(at(rule.inputs, "criteria.allOf")[0]["query"])
        for name in sorted(set(re.findall(r"AppRequests \| where Name == '([^']*)'", query)) - functions):
            yield f"{rule.name}: no function is called {name}"
        for name in sorted(set(re.findall(r"ResourceProvider == '([^']*)'", query)) - providers):
            yield f"{rule.name}: AzureMetrics has no provider {name}"
        for words in re.findall(r"Message startswith '([^']*)'", query):
            if words not in _sources():
                yield f"{rule.name}: no line of the log begins with {words}"


@cache
def _sources() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "processors").rglob("*.py")))


def check_public_doors_are_open(recording: Recording) -> Iterator[str]:
    """Without a network of its own a stack's parts reach each other by public names; an app's health is asked from outside."""
    for app in of_type(recording, "web:WebApp"):
        if app.inputs.get("publicNetworkAccess") != "Enabled":
            yield f"{app.name}: nobody can ask it for its health"
        if app.inputs.get("clientCertEnabled"):
            yield f"{app.name}: wants a certificate of who asks, which nobody has"
    for door, shut in () if networks(recording) else _doors(recording):
        if shut:
            yield f"{door}: is shut, and there is no network to enter it by"


def _doors(recording: Recording) -> Iterator[tuple[str, bool]]:
    for path, token in (
        ("publicNetworkAccess", "eventhub:Namespace"),
        ("publicNetworkAccess", "kusto:Cluster"),
        ("publicNetworkAccess", "storage:StorageAccount"),
        ("properties.publicNetworkAccess", "keyvault:Vault"),
    ):
        for resource in of_type(recording, token):
            yield resource.name, at(resource.inputs, path) == "Disabled"
    for path, token in (
        ("networkRuleSet.defaultAction", "storage:StorageAccount"),
        ("properties.networkAcls.defaultAction", "keyvault:Vault"),
    ):
        for resource in of_type(recording, token):
            yield resource.name, at(resource.inputs, path) == "Deny"


def check_secrets_go_by_roles_alone(recording: Recording) -> Iterator[str]:
    """No service of Azure hands a secret on, and no condition of a role takes away what the role gives."""
    for vault in of_type(recording, "keyvault:Vault"):
        for name in READ_BY_ANYBODY:
            if at(vault.inputs, f"properties.{name}"):
                yield f"{vault.name}: {name} lets secrets out past the roles"
    for role in of_type(recording, "authorization:RoleAssignment"):
        if role.inputs.get("condition"):
            yield f"{role.name}: has a condition, and no role here is held under one"


def check_the_live_store_takes_rows_at_once(recording: Recording) -> Iterator[str]:
    """Tables that take rows as they come need a cluster that does, and rows go where their connection says."""
    streams = "policy streamingingestion enable" in (FOLDER / "tables.kql").read_text(encoding="utf-8")
    for cluster in of_type(recording, "kusto:Cluster"):
        if streams and cluster.inputs.get("enableStreamingIngest") is not True:
            yield f"{cluster.name}: takes no rows as they come, which its tables ask for"
        if cluster.inputs.get("engineType", "V3") != "V3":
            yield f"{cluster.name}: engine {cluster.inputs['engineType']} is not offered any more"
    for connection in of_type(recording, "kusto:EventHubDataConnection"):
        if connection.inputs.get("databaseRouting", "Single") != "Single":
            yield f"{connection.name}: lets events choose their database"


def check_the_query_runs_in_the_cloud_by_partition(recording: Recording) -> Iterator[str]:
    """A job for the edge never runs; at compatibility level 1.2 an input reads every partition without a key of its own."""
    for job in jobs(recording):
        if at(job.inputs, "policies.jobType") != "Cloud":
            yield f"{job.name}: is a job for {at(job.inputs, 'policies.jobType')}"
        for name, properties in job.inputs["inputs"].items():
            if properties.get("partitionKey") is not None:
                yield f"{job.name}/{name}: is read by key {properties['partitionKey']}, which its events do not have"


def check_functions_run_often(recording: Recording) -> Iterator[str]:
    """A schedule that waits for a certain hour or day leaves everything in between unseen."""
    for app, setting in (("ingest-app", "POLL_SCHEDULE"), ("fanout-app", "TEND_SCHEDULE")):
        schedule = setting_of(recording[app], setting)
        if not OFTEN.fullmatch(schedule):
            yield f"{app}: {setting} {schedule} does not come every hour"


def check_alert_rows_are_kept(recording: Recording) -> Iterator[str]:
    """Rows of alerts can be asked about for a month at least, and as long as they are kept in all."""
    for table in of_type(recording, "operationalinsights:Table"):
        days: Any = table.inputs.get("retentionInDays")
        if not LEAST_DAYS_OF_ALERTS <= days <= table.inputs["totalRetentionInDays"]:
            yield f"{table.name}: rows can be asked about for {days} days"


def check_logs_go_to_the_tables_that_are_asked(recording: Recording) -> Iterator[str]:
    """`AzureDiagnostics` is one table for every service, of 500 columns in all: what does not fit is left out."""
    for setting in of_type(recording, "monitor:DiagnosticSetting"):
        if setting.inputs.get("logAnalyticsDestinationType") not in (None, "Dedicated"):
            yield f"{setting.name}: goes to {setting.inputs['logAnalyticsDestinationType']}"


STANDING_CHECKS: tuple[Callable[[Recording], Iterator[str]], ...] = (
    check_log_alerts_fire_on_a_row,
    check_log_alerts_ask_for_what_is_written,
    check_public_doors_are_open,
    check_secrets_go_by_roles_alone,
    check_the_live_store_takes_rows_at_once,
    check_the_query_runs_in_the_cloud_by_partition,
    check_functions_run_often,
    check_alert_rows_are_kept,
    check_logs_go_to_the_tables_that_are_asked,
)
