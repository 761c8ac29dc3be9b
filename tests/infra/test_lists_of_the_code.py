"""Whoever adds a resource and forgets a list of the code is told which list, and what to add."""

from __future__ import annotations

import re

import pytest

from activator.declarations import DeclarationError
from infra import plan
from infra.azure import roles
from infra.offline import Registration
from tests.infra.arm_bodies import arm_name
from tests.infra.deployments import RULES, recording, stack


def test_a_role_that_is_in_no_list_is_told_with_where_to_find_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {name: id_ for name, id_ in roles.BUILT_IN_ROLES.items() if name != "Key Vault Secrets User"}
    monkeypatch.setattr(roles, "BUILT_IN_ROLES", listed)
    with pytest.raises(DeclarationError) as caught:
        plan.plan_of(stack("dev"), RULES)
    assert str(caught.value) == (
        "infra/azure/roles.py lacks a role (1 fault):\n"
        '  BUILT_IN_ROLES  "Key Vault Secrets User" is not in it: add it with its id '
        '(az role definition list --name "Key Vault Secrets User" --query "[].name"). Did you mean Key Vault Secrets Officer?'
    )


def test_a_component_that_the_plan_has_no_place_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SERVICES", {kind: title for kind, title in plan.SERVICES.items() if kind != "Vault"})
    with pytest.raises(DeclarationError, match=r"infra/plan\.py lacks components .*\n  SERVICES/Vault  is not in it: add it"):
        list(plan._services(recording("dev"), "contoso", "dev"))


def test_a_type_whose_address_no_test_knows_is_told() -> None:
    queue = Registration("", "azure-native:storage:Queue", "queue", True, {}, frozenset(), "", (), False, ())
    with pytest.raises(AssertionError, match=re.escape("storage:Queue is not in NAMES of tests/infra/arm_bodies.py: add")):
        arm_name(queue)
