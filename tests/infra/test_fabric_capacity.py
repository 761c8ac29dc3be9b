"""A stack with a Fabric capacity, and stacks without one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from infra.cost import purchases
from infra.meters import HOURS
from infra.offline import Recording
from infra.plan import plan_of
from infra.plan_text import render
from infra.settings.deployment import FabricCapacitySettings, azure_settings
from infra.settings.stack import StackSettings
from tests.infra.checks import findings
from tests.infra.deployments import record, recording, stack
from tests.infra.recorded import of_type
from tests.support.rules import RULES

CAPACITY = FabricCapacitySettings("F4", ("admin@example.com", "00000000-0000-0000-0000-00000000000a"))


def with_capacity(name: str) -> StackSettings:
    settings = stack(name)
    assert settings.azure is not None
    return replace(settings, azure=replace(settings.azure, fabric_capacity=CAPACITY))


@cache
def recorded_with(name: str) -> Recording:
    return record(with_capacity(name))


def test_by_default_there_is_none() -> None:
    assert not of_type(recording("prod"), "fabric:FabricCapacity") and "fabricCapacity" not in recording("prod").outputs


def test_it_is_one_resource_that_azure_takes_and_changes_no_other() -> None:
    with_one = recorded_with("prod")
    assert findings(with_one) == []
    old, new = ({r.urn: r.inputs for r in recorded.resources} for recorded in (recording("prod"), with_one))
    assert [urn.rsplit("::", 1)[-1] for urn in new.keys() - old.keys()] == ["fabric-capacity"]
    assert all(new[urn] == old[urn] for urn in old)


def test_it_says_its_size_and_its_administrators() -> None:
    capacity = recorded_with("dev")["fabric-capacity"]
    assert capacity.inputs["sku"] == {"name": "F4", "tier": "Fabric"}
    assert capacity.inputs["administration"] == {"members": list(CAPACITY.admins)}


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_only_prod_refuses_to_delete_it(name: str) -> None:
    assert recorded_with(name)["fabric-capacity"].protect is (name == "prod")


def test_the_output_is_the_name_a_workspace_is_assigned_to() -> None:
    assert recorded_with("dev").outputs["fabricCapacity"] == "fabriccontosodev"


def test_the_plan_shows_it_and_its_units_are_bought() -> None:
    planned = plan_of(with_capacity("dev"), RULES)
    assert any(line.split() == ["Fabric", "capacity", "capacity"] for line in render(planned).splitlines())
    (bought,) = [purchase for purchase in purchases(planned) if "Fabric" in purchase.what]
    assert bought.quantity == 4 * HOURS


def test_a_stack_file_can_ask_for_it() -> None:
    azure = {"location": "westeurope", "organisation": "contoso", "operations": {"email": ["a@example.com"]}}
    asked = {"sku": "F4", "admins": list(CAPACITY.admins)}
    assert azure_settings({**azure, "fabricCapacity": asked}).fabric_capacity == CAPACITY
    assert azure_settings(azure).fabric_capacity is None
