"""What only a snapshot would hold, held to what Microsoft publishes (tests/infra/published) or to our own other half.

A snapshot says that something changed, never that it is wrong: these say which of the two it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from infra.azure.live_store import TABLE_OF_HUB
from infra.azure.roles import declared_roles
from infra.offline import Recording, Registration
from infra.policies.rules import at
from powerbi.kusto_schema import FOLDER, read_tables
from tests.infra.checks import of_type
from tests.infra.deployments import recording
from tests.support.shared_data import REPOSITORY

PUBLISHED = REPOSITORY / "tests" / "infra" / "published"
STACKS = ["dev", "prod", "fabric"]


def published(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))
    return document


def test_every_role_has_the_id_that_microsoft_lists() -> None:
    listed = published("roles")["roles"]
    unknown = sorted(set(declared_roles().values()) - set(listed))
    assert unknown == [], "add them to tests/infra/published/roles.json, from the page that it names"
    assert {name: id_ for id_, name in declared_roles().items()} == {name: listed[name] for name in declared_roles().values()}


@pytest.mark.parametrize("name", STACKS)
def test_every_role_that_is_given_is_one_of_them(name: str) -> None:
    given = {
        str(one.inputs["roleDefinitionId"]).rsplit("/", 1)[-1] for one in of_type(recording(name), "authorization:RoleAssignment")
    }
    assert given <= set(published("roles")["roles"].values())


def criteria(recorded: Recording) -> Iterator[tuple[Registration, dict[str, Any]]]:
    for alert in of_type(recorded, "monitor:MetricAlert"):
        for criterion in at(alert.inputs, "criteria.allOf"):
            yield alert, criterion


@pytest.mark.parametrize("name", STACKS)
def test_every_metric_exists_with_its_aggregation_and_its_dimensions(name: str) -> None:
    listed = published("metrics")["metrics"]
    for alert, criterion in criteria(recording(name)):
        assert alert.inputs["targetResourceType"] == criterion["metricNamespace"]
        metric = listed[criterion["metricNamespace"]].get(criterion["metricName"])
        assert metric, f"{alert.name}: {criterion['metricName']} is no metric of {criterion['metricNamespace']}"
        assert criterion["timeAggregation"] in metric["aggregations"], alert.name
        assert {dimension["name"] for dimension in criterion.get("dimensions", ())} <= set(metric["dimensions"]), alert.name


@pytest.mark.parametrize("name", STACKS)
def test_a_metric_is_looked_at_where_it_comes_from(name: str) -> None:
    kinds = {
        "Microsoft.EventHub/namespaces": "eventhub:Namespace",
        "Microsoft.StreamAnalytics/streamingjobs": "StreamAnalyticsJob",
        "Microsoft.Kusto/clusters": "kusto:Cluster",
        "Microsoft.Insights/components": "applicationinsights:Component",
    }
    for alert, criterion in criteria(recording(name)):
        (scope,) = alert.inputs["scopes"]
        assert kinds[criterion["metricNamespace"]] in scope, f"{alert.name} looks at {scope}"


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_metrics_that_are_read_from_the_workspace_are_exported_to_it(name: str) -> None:
    exported = published("metrics")["metrics"]["Microsoft.StreamAnalytics/streamingjobs"]
    for rule in of_type(recording(name), "monitor:ScheduledQueryRule"):
        query = str(at(rule.inputs, "criteria.allOf")[0]["query"])
        for metric in re.findall(r"MetricName == '(\w+)'", query):
            assert exported[metric]["exported"], f"{rule.name}: {metric} never gets into AzureMetrics"
            assert recording(name)["stream-job-diagnostics"].inputs["metrics"] == [{"category": "AllMetrics", "enabled": True}]


@pytest.mark.parametrize("name", STACKS)
def test_the_collection_rule_has_the_columns_of_its_table(name: str) -> None:
    (rule,) = of_type(recording(name), "monitor:DataCollectionRule")
    (table,) = of_type(recording(name), "operationalinsights:Table")
    (flow,) = rule.inputs["dataFlows"]
    (stream,) = flow["streams"]
    declared = {column["name"]: column["type"] for column in rule.inputs["streamDeclarations"][stream]["columns"]}
    kept = {column["name"]: column["type"].lower() for column in table.inputs["schema"]["columns"]}
    assert declared == kept
    assert flow["outputStream"] == f"Custom-{table.inputs['tableName']}" and table.inputs["tableName"].endswith("_CL")
    assert table.inputs["schema"]["name"] == table.inputs["tableName"]
    settings = {one["name"]: one["value"] for one in recording(name)["fanout-app"].inputs["siteConfig"]["appSettings"]}
    assert settings["ALERT_LOG_STREAM"] == stream


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_every_data_connection_names_a_table_and_a_mapping_that_the_script_makes(name: str) -> None:
    text = (FOLDER / "tables.kql").read_text(encoding="utf-8")
    mappings = set(re.findall(r'\.create-or-alter table (\w+) ingestion json mapping "\1"', text))
    assert mappings == set(read_tables()), "a mapping for each table, of its name"
    connections = of_type(recording(name), "kusto:EventHubDataConnection")
    assert {one.inputs["dataConnectionName"] for one in connections} == set(TABLE_OF_HUB)
    for connection in connections:
        table, mapping = connection.inputs.get("tableName"), connection.inputs.get("mappingRuleName")
        assert table == mapping
        assert table in mappings or (table is None and connection.inputs["dataConnectionName"] == "processed"), connection.name


def test_every_baseline_alert_is_taken_or_waived_with_a_reason() -> None:
    """Azure Monitor Baseline Alerts of every service that is deployed: taken by a rule of that signal, or a reason why not."""
    rules = published("baseline_alerts")["rules"]
    kinds = ("MetricAlert", "ScheduledQueryRule", "ActivityLogAlert")
    there = {one.name: one for one in recording("prod").resources if one.type.endswith(kinds)}
    for rule in rules:
        assert ("taken" in rule) != ("waived" in rule), rule
        if "waived" in rule:
            assert len(rule["waived"]) > 20, "a reason that a reader can judge"
            assert set(re.findall(r"\b[a-z]+(?:-[a-z]+)+\b", rule["waived"])) <= there.keys(), "the rules it relies on are there"
        else:
            assert rule["signal"].lower() in json.dumps(there[rule["taken"]].inputs).lower(), rule
    assert len({(rule["service"], rule["signal"]) for rule in rules}) == len(rules)
