"""What only a snapshot would hold, held to what Microsoft publishes (tests/infra/published) or to our own other half.

A snapshot says that something changed, never that it is wrong: these say which of the two it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.azure.roles import declared_roles
from infra.offline import Recording, Registration
from infra.packaging import PYTHON_VERSION
from infra.preflight.rights import VERSION
from infra.preflight.subscription import RESOURCES
from infra.providers.stream_analytics_service import API_VERSION
from powerbi.kusto_schema import FOLDER, read_tables
from tests.infra.arm_bodies import AZURE, arm_type, types_file
from tests.infra.deployments import recording
from tests.infra.published_checks import PUBLISHED_CHECKS, published
from tests.infra.recorded import of_type, setting_of
from tests.support.shared_data import REPOSITORY, shared_data

STACKS = ["dev", "prod", "fabric"]


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


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("check", PUBLISHED_CHECKS, ids=[check.__name__.removeprefix("check_") for check in PUBLISHED_CHECKS])
def test_our_stacks_keep_to_the_lists(check: Callable[[Recording], Iterator[str]], name: str) -> None:
    assert list(check(recording(name))) == []


@pytest.mark.parametrize("name", STACKS)
def test_the_fan_out_sends_to_a_stream_of_the_collection_rule(name: str) -> None:
    (rule,) = of_type(recording(name), "monitor:DataCollectionRule")
    (table,) = of_type(recording(name), "operationalinsights:Table")
    assert {setting_of(recording(name)["fanout-app"], "ALERT_LOG_STREAM")} == set(rule.inputs["streamDeclarations"])
    assert table.inputs["schema"]["name"] == table.inputs["tableName"] and table.inputs["tableName"].endswith("_CL")


def test_the_script_makes_a_mapping_for_each_table() -> None:
    text = (FOLDER / "tables.kql").read_text(encoding="utf-8")
    assert set(re.findall(r'\.create-or-alter table (\w+) ingestion json mapping "\1"', text)) == set(read_tables())


def test_every_metric_alert_of_the_baseline_looks_the_way_it_does() -> None:
    """A list of what is bad when low says nothing of a metric that no rule and no baseline has."""
    named = {rule["signal"] for rule in published("baseline_alerts")["rules"]}
    assert set(published("baseline_alerts")["bad_when_low"]) <= named


def test_the_sizes_a_stack_may_have_are_of_the_list() -> None:
    schema = json.loads((REPOSITORY / "infra" / "settings" / "stack.schema.json").read_text(encoding="utf-8"))
    azure, listed = schema["$defs"]["azure"]["properties"], published("skus")
    assert set(azure["kusto"]["properties"]["sku"]["enum"]) <= listed["skus"]["kusto:Cluster"].keys()
    assert azure["fabricCapacity"]["properties"]["sku"]["enum"] == list(listed["skus"]["fabric:FabricCapacity"])
    assert set(azure["streamAnalytics"]["properties"]["streamingUnits"]["enum"]) <= set(listed["streaming_units"])


def test_functions_run_the_python_that_the_packages_are_built_for() -> None:
    last_month = published("runtimes")["python"][PYTHON_VERSION]
    assert f"{datetime.now(UTC):%Y-%m}" < last_month, f"Python {PYTHON_VERSION} ends in {last_month}: infra/packaging.py"


VERSIONED = re.compile(r'"(?:providers/)?(Microsoft\.\w+)[/\w{}.?=]*",\s+"(\d{4}-\d\d-\d\d(?:-preview)?)"')


def test_every_api_is_asked_in_a_version_that_it_has() -> None:
    listed = published("api_versions")["versions"]
    asked = {
        (namespace, version)
        for file in (REPOSITORY / "infra").rglob("*.py")
        for namespace, version in VERSIONED.findall(file.read_text(encoding="utf-8"))
    }
    asked |= {
        ("Microsoft.StreamAnalytics", API_VERSION),
        ("Microsoft.Resources", RESOURCES),
        ("Microsoft.Authorization", VERSION),
    }
    assert len(asked) >= 10, "the versions are found where they stand"
    assert sorted(f"{name} {version}" for name, version in asked if version not in listed.get(name, ())) == []


def test_azure_native_sends_versions_that_azure_has() -> None:
    """The types we check bodies with are of the version that azure-native sends, and Microsoft publishes that version."""
    listed = published("api_versions")["versions"]
    for name in STACKS:
        for token in {r.type.removeprefix(AZURE) for r in recording(name).resources if r.type.startswith(AZURE)}:
            if types_file(shared_data("arm-types"), token) is not None:
                arm, _, version = arm_type(shared_data("arm-types"), token).partition("@")
                namespace = next(one for one in listed if one.lower() == arm.split("/")[0].lower())
                assert version in listed[namespace], f"{token}: {version}"


def test_every_baseline_alert_is_taken_or_waived_with_a_reason() -> None:
    """Azure Monitor Baseline Alerts of every service that is deployed: taken by a rule of that signal, or a reason why not."""
    rules = published("baseline_alerts")["rules"]
    there = _alert_rules()
    for rule in rules:
        assert ("taken" in rule) != ("waived" in rule), rule
        if "waived" in rule:
            assert len(rule["waived"]) > 20, "a reason that a reader can judge"
            assert set(re.findall(r"\b[a-z]+(?:-[a-z]+)+\b", rule["waived"])) <= there.keys(), "the rules it relies on are there"
        else:
            assert rule["signal"].lower() in json.dumps(there[rule["taken"]].inputs).lower(), rule
    assert len({(rule["service"], rule["name"]) for rule in rules}) == len(rules)


def test_what_a_baseline_alert_asks_is_kept_or_differs_with_a_reason() -> None:
    """Severity, window, frequency, aggregation, operator and threshold of each rule that is taken, one by one."""
    for rule in published("baseline_alerts")["rules"]:
        if "taken" in rule:
            said = {name: (one["ours"], len(one["because"]) > 10) for name, one in rule["differs"].items()}
            ours = _criteria_of(_alert_rules()[rule["taken"]])
            assert said == {
                name: (ours[name], True) for name, asked in rule["asks"].items() if name in ours and ours[name] != asked
            }, rule


def _alert_rules() -> dict[str, Registration]:
    kinds = ("MetricAlert", "ScheduledQueryRule", "ActivityLogAlert")
    return {one.name: one for one in recording("prod").resources if one.type.endswith(kinds)}


def _criteria_of(rule: Registration) -> dict[str, Any]:
    """What the baseline would say of a rule; of a query, which counts rows, only how often and how badly."""
    inputs = rule.inputs
    said = {"severity": "severity", "window": "windowSize", "every": "evaluationFrequency"}
    found = {name: inputs[key] for name, key in said.items() if key in inputs}
    if rule.type.endswith("MetricAlert"):
        (criterion,) = inputs["criteria"]["allOf"]
        told = {"aggregation": "timeAggregation", "operator": "operator", "threshold": "threshold"}
        found |= {name: criterion[key] for name, key in told.items()}
    return found
