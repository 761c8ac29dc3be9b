"""Every policy bites, and none of our stacks breaks one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from infra.policies.rules import AZURE, KEYED, REQUIRED, violations
from tests.infra.deployments import recording

POLICIES = [(token, path) for token, wanted in REQUIRED.items() for path in wanted]


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_our_stacks_keep_the_policies(name: str) -> None:
    assert not [violation for r in recording(name).resources for violation in violations(r.type, r.inputs)]


@pytest.mark.parametrize(("token", "path"), POLICIES, ids=[f"{token} {path}" for token, path in POLICIES])
def test_a_resource_of_ours_without_it_breaks_a_policy(token: str, path: str) -> None:
    ours = next(r for r in recording("dev").resources if r.type == AZURE + token)
    properties = copy.deepcopy(ours.inputs)
    *way, last = path.split(".")
    place: Any = properties
    for step in way:
        place = place[step]
    del place[last]
    assert [violation for violation in violations(ours.type, properties) if violation.startswith(f"{path} is None")]


@pytest.mark.parametrize("token", sorted(KEYED))
def test_what_makes_or_needs_a_key_is_refused(token: str) -> None:
    assert "works with a key" in " ".join(violations(AZURE + token, {}))


def test_an_action_group_without_people_is_refused() -> None:
    assert "reach nobody" in " ".join(violations(f"{AZURE}monitor:ActionGroup", {"emailReceivers": [], "smsReceivers": []}))


def test_types_nobody_has_a_policy_for_are_left_alone() -> None:
    assert not list(violations(f"{AZURE}monitor:MetricAlert", {}))
