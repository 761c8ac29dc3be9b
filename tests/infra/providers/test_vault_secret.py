"""The place of a secret is made once, where there is none; a value that somebody wrote is never read, changed or deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pulumi.output import Unknown

from infra.providers.base import ProviderError
from infra.providers.vault_secret import NOT_SET, VaultSecretProvider
from tests.infra.providers.fake_service import TOKEN, arm_error
from tests.infra.providers.fake_vault import FakeVault

PROVIDER = VaultSecretProvider()
PLACE = {"subscriptionId": "s", "resourceGroupName": "rg", "vaultName": "kv", "secretName": "hook"}
PROPS = {**PLACE, "contentType": "set by az keyvault secret set"}
ID = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv/secrets/hook"


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVault]:
    vault = FakeVault()
    monkeypatch.setenv("ROOMPULSE_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv("ROOMPULSE_ARM_ENDPOINT", vault.url)
    yield vault
    vault.close()


def sent(vault: FakeVault) -> list[str]:
    return [request.method for request in vault.requests]


def test_where_there_is_none_it_is_made_without_a_value(vault: FakeVault) -> None:
    assert PROVIDER.create(PROPS).id == ID, "the scope of a role is that of azure-native's own"
    assert vault.secrets == {"kv/hook": {"value": NOT_SET, "contentType": PROPS["contentType"]}}


def test_one_that_is_there_is_taken_up_with_its_value(vault: FakeVault) -> None:
    vault.secrets["kv/hook"] = {"value": "set by a person"}
    assert PROVIDER.create(PROPS).id == ID
    assert sent(vault) == ["GET"] and vault.secrets["kv/hook"] == {"value": "set by a person"}


def test_taken_out_it_stays_in_the_vault(vault: FakeVault) -> None:
    PROVIDER.create(PROPS)
    PROVIDER.delete(ID, PROPS)
    assert "kv/hook" in vault.secrets and "DELETE" not in sent(vault)


def test_one_that_the_vault_keeps_deleted_says_how_it_comes_back(vault: FakeVault) -> None:
    vault.deleted.add("kv/hook")
    with pytest.raises(ProviderError, match="Next: az keyvault secret recover --vault-name kv --name hook, then run pulumi up"):
        PROVIDER.create(PROPS)


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_azure_refuses_is_said_with_the_secret_and_the_next_step(vault: FakeVault, method: str) -> None:
    vault.fail(method, "/secrets/hook", arm_error(403, "AuthorizationFailed", "no write"))
    with pytest.raises(ProviderError, match=r"secret hook of vault kv: .*AuthorizationFailed: no write.* Next: give"):
        PROVIDER.create(PROPS)


@pytest.mark.parametrize(("there", "id_"), [(True, ID), (False, "")])
def test_a_refresh_sees_whether_it_is_there_and_changes_nothing(vault: FakeVault, there: bool, id_: str) -> None:
    if there:
        vault.secrets["kv/hook"] = {"value": "set by a person"}
    read = PROVIDER.read(ID, PROPS)
    assert (read.id, read.outs) == (id_, PROPS if there else {}) and sent(vault) == ["GET"]


CHANGES: list[tuple[dict[str, Any], bool, list[str]]] = [
    ({}, False, []),
    ({"contentType": "other words"}, False, []),
    *[({name: "other"}, True, [name]) for name in PLACE],
    ({"vaultName": Unknown()}, True, []),  # type: ignore[no-untyped-call]
]


@pytest.mark.parametrize(("change", "changes", "replaces"), CHANGES)
def test_only_another_place_is_another_secret(change: dict[str, Any], changes: bool, replaces: list[str]) -> None:
    found = PROVIDER.diff(ID, PROPS, PROPS | change)
    assert (found.changes, found.replaces) == (changes, replaces)
