"""docs/stages/deploy.md, walked against the program: what it tells a person to type exists under that name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from infra.entry import token_set_fault
from infra.settings.stack import SECRETS, load_stack
from tests.infra.arm_bodies import AZURE, arm_name
from tests.infra.deployments import city, record, recording, stack, with_cities
from tests.infra.recorded import of_type, ours, triggers
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

PAGE = (REPOSITORY / "docs" / "stages" / "deploy.md").read_text(encoding="utf-8")
MODULE_OF_PROVIDER = {
    "EventHub": "eventhub",
    "StreamAnalytics": "dynamic",
    "Kusto": "kusto",
    "Storage": "storage",
    "KeyVault": "keyvault",
    "Web": "web",
    "Insights": "monitor",
    "OperationalInsights": "operationalinsights",
    "AlertsManagement": "alertsmanagement",
    "ManagedIdentity": "managedidentity",
    "Fabric": "fabric",
}
ALWAYS_THERE = {"resources", "authorization"}
"""Azure registers these by itself."""


def test_every_output_it_reads_is_exported() -> None:
    assert set(re.findall(r"pulumi stack output (\w+)", PAGE)) <= set(recording("dev").outputs)


def test_every_resource_provider_the_program_needs_is_registered() -> None:
    (listed,) = re.findall(r"for provider in ([\w ]+);", PAGE)
    modules = {resource.type.removeprefix(AZURE).split(":")[0] for resource in recording("dev").resources}
    modules = {"dynamic" if module == "pulumi-python" else module for module in modules}
    assert {MODULE_OF_PROVIDER[provider] for provider in listed.split()} == modules - ALWAYS_THERE - {"applicationinsights"}


def test_the_names_it_spells_out_are_those_of_the_program() -> None:
    names = {arm_name(resource) for resource in recording("dev").resources if resource.type.startswith(AZURE)}
    for spelled in re.findall(r"[\w-]+-ORGANISATION-STACK", PAGE):
        assert spelled.replace("ORGANISATION-STACK", "contoso-dev") in names


def test_the_function_whose_runs_it_looks_for_exists() -> None:
    assert set(re.findall(r"name == '(\w+)'", PAGE)) <= triggers("ingest").keys()


def test_the_metric_alert_it_names_exists() -> None:
    assert "functions-failing" in PAGE and recording("dev")["functions-failing"]


def test_the_settings_it_names_exist() -> None:
    documented = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    for key in set(re.findall(r"`(azure\.[\w.]+)`", PAGE)):
        assert f"| `{key}` |" in documented


def test_the_secrets_it_sets_are_those_the_program_asks_for() -> None:
    project = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    assert set(re.findall(r"config set --secret (\w+)", PAGE)) == set(project) == set(SECRETS)
    assert all(key["secret"] is True for key in project.values())


def test_the_token_set_it_shows_is_one() -> None:
    (shown,) = re.findall(r"`(\{\"client_id\".*?\})`", PAGE)
    assert token_set_fault(shown) == ""


def test_the_secrets_of_the_vault_it_names_exist() -> None:
    dev = stack("dev")
    partner = with_cities(dev, [*dev.cities, replace(city("oslo"), organisation="contoso")])
    recorded = record(partner)
    secrets = [*of_type(recorded, "keyvault:Secret"), *ours(recorded, "VaultSecret")]
    names = {resource.inputs["secretName"] for resource in secrets}
    assert {"webex-token-set"} <= set(re.findall(r"(?:-n |--name )(webex-[\w-]+)", PAGE)) <= names


def test_the_days_a_vault_stays_are_those_of_the_program() -> None:
    days = {name: recording(name)["key-vault"].inputs["properties"]["softDeleteRetentionInDays"] for name in ("dev", "prod")}
    assert f"for {days['dev']} days ({days['prod']} where protected)" in " ".join(PAGE.split())


def test_our_stack_files_can_be_deployed() -> None:
    for path in REPOSITORY.glob("Pulumi.*.yaml"):
        assert load_stack(path, RULES).azure is not None


def test_its_test_of_the_program_runs_as_it_stands() -> None:
    """Pasted into a file of somebody's own: it holds, and with another number it would not."""
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    own: dict[str, Any] = {}
    exec(snippet, own)
    own["test_events_of_prod_can_be_read_again_for_three_days"]()
    exec(snippet.replace("{72}", "{24}"), own)
    with pytest.raises(AssertionError):
        own["test_events_of_prod_can_be_read_again_for_three_days"]()
