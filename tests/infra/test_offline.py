"""The recorder sees what the engine would be told, and one run never sees another."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi
import pytest
from pulumi import Output, ResourceOptions
from pulumi_azure_native import keyvault, managedidentity, resources, storage

from activator.declarations import DeclarationError
from infra.offline import evaluate


def test_parents_dependencies_and_protection_are_recorded() -> None:
    def program() -> None:
        group = resources.ResourceGroup("group", resource_group_name="rg", opts=ResourceOptions(protect=True))
        first = managedidentity.UserAssignedIdentity("first", resource_group_name=group.name, opts=ResourceOptions(parent=group))
        managedidentity.UserAssignedIdentity("second", resource_group_name="rg", opts=ResourceOptions(depends_on=[first]))

    recorded = evaluate(program, stack="test")
    assert recorded["group"].protect and recorded["first"].parent == recorded["group"].urn
    assert recorded["second"].depends_on == (recorded["first"].urn,)
    assert recorded["first"].depends_on == (recorded["group"].urn,), "it takes an output of it"


def test_a_secret_is_plain_to_read_and_known_as_secret() -> None:
    def program() -> None:
        properties: Any = {"value": pulumi.Config("roompulse").require_secret("webexTokenSet")}
        keyvault.Secret("token", resource_group_name="rg", vault_name="kv", properties=properties)

    recorded = evaluate(program, stack="test", config={"webexTokenSet": "hidden"})
    assert recorded["token"].inputs["properties"]["value"] == "hidden" and recorded["token"].secrets == {"properties"}


def test_in_a_preview_what_azure_decides_is_unknown() -> None:
    seen: list[str] = []

    def program() -> None:
        identity = managedidentity.UserAssignedIdentity("identity", resource_name_="id-1", resource_group_name="rg")
        identity.client_id.apply(seen.append)
        identity.name.apply(seen.append)

    evaluate(program, stack="test", preview=True)
    assert seen == ["id-1"]


def test_an_invoke_nobody_foresaw_fails_instead_of_answering_nothing() -> None:
    def program() -> None:
        storage.list_storage_account_keys(account_name="a", resource_group_name="rg")

    with pytest.raises(Exception, match="has no offline answer"):
        evaluate(program, stack="test")


def test_what_the_program_raises_is_raised_and_the_next_run_is_clean() -> None:
    def broken() -> None:
        resources.ResourceGroup("half", resource_group_name="rg")
        raise ValueError("no such city")

    with pytest.raises(ValueError, match="no such city"):
        evaluate(broken, stack="test")
    assert evaluate(lambda: None, stack="test").registrations == ()


def test_outputs_of_the_stack_are_recorded() -> None:
    recorded = evaluate(lambda: pulumi.export("address", Output.concat("a", "b")), stack="test")
    assert recorded.outputs == {"address": "ab"}


def test_two_resources_of_one_name_are_refused_as_pulumi_does() -> None:
    def program() -> None:
        resources.ResourceGroup("group", resource_group_name="one")
        resources.ResourceGroup("group", resource_group_name="two")

    with pytest.raises(DeclarationError, match="Stack test can't be deployed") as refused:
        evaluate(program, stack="test")
    says = "is declared twice, which Pulumi refuses: rename the city or the secret that it is made for."
    assert [(fault.path, fault.message) for fault in refused.value.faults] == [("group", says)]


def test_no_event_loop_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is collected open prints "Invalid file descriptor: -1" in the middle of whatever runs then."""
    made: list[asyncio.AbstractEventLoop] = []
    new = asyncio.new_event_loop

    def noted() -> asyncio.AbstractEventLoop:
        made.append(new())
        return made[-1]

    def declaring() -> None:
        resources.ResourceGroup("group")

    def refusing() -> None:
        resources.ResourceGroup("group")
        raise ValueError("refused")

    monkeypatch.setattr(asyncio, "new_event_loop", noted)
    evaluate(declaring, stack="test")
    with pytest.raises(ValueError, match="refused"):
        evaluate(refusing, stack="test")
    assert len(made) > 2 and all(loop.is_closed() for loop in made), "those of threads among them"
