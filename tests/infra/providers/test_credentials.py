"""The providers are the same principal as azure-native: the ARM_* variables decide, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.providers.base import ProviderError
from infra.providers.credentials import _credential, access_token, credential_for, federated_token
from tests.infra.providers.fake_service import Answer, FakeService, Request
from tests.support.app_service import IdentityEndpoint

PRINCIPAL = {"ARM_TENANT_ID": "11111111-1111-1111-1111-111111111111", "ARM_CLIENT_ID": "22222222-2222-2222-2222-222222222222"}


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, "AzureCliCredential"),
        ({"AZURE_CLIENT_ID": "another", "AZURE_CLIENT_SECRET": "another", "AZURE_TENANT_ID": "another"}, "AzureCliCredential"),
        ({**PRINCIPAL, "ARM_CLIENT_SECRET": "secret"}, "ClientSecretCredential"),
        ({**PRINCIPAL, "ARM_USE_OIDC": "true", "ARM_OIDC_TOKEN": "token"}, "ClientAssertionCredential"),
        ({"ARM_USE_MSI": "true"}, "ManagedIdentityCredential"),
    ],
)
def test_the_variables_choose_the_credential(environment: dict[str, Any], kind: str) -> None:
    assert type(credential_for(environment)).__name__ == kind


def test_a_managed_identity_is_asked_by_its_name_for_a_token_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = IdentityEndpoint()
    for name, value in identity.environment.items():
        monkeypatch.setenv(name, value)
    token = credential_for({**PRINCIPAL, "ARM_USE_MSI": "true"}).get_token("https://management.azure.com/.default").token
    asked = identity.requests[-1].query
    assert (asked["resource"], asked["client_id"]) == ("https://management.azure.com", PRINCIPAL["ARM_CLIENT_ID"])
    assert token.count(".") == 2
    identity.close()


def test_a_variable_that_is_missing_is_named() -> None:
    with pytest.raises(ProviderError, match="ARM_TENANT_ID is not set"):
        credential_for({"ARM_USE_OIDC": "true"})


class GitHub(FakeService):
    """The address GitHub gives a workflow for its OIDC tokens."""

    def handle(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != "Bearer request-token":
            return Answer(403)
        return Answer(200, {"value": f"token for {request.query['audience']}"})


def test_a_federated_token_comes_from_the_variable_the_file_or_github(tmp_path: Path) -> None:
    assert federated_token({"ARM_OIDC_TOKEN": "given"}) == "given"
    (tmp_path / "token").write_text("from-file\n")
    assert federated_token({"ARM_OIDC_TOKEN_FILE_PATH": str(tmp_path / "token")}) == "from-file"
    github = GitHub()
    try:
        address = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{github.url}/token?api-version=2.0"}
        token = federated_token({**address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token"})
        assert token == "token for api://AzureADTokenExchange"
        with pytest.raises(ProviderError, match="id-token: write"):
            federated_token({**address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "wrong"})
    finally:
        github.close()


def test_without_a_login_the_error_says_how_to_log_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ROOMPULSE_ACCESS_TOKEN", "ARM_USE_OIDC", "ARM_USE_MSI", "ARM_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # no Azure CLI here
    _credential.cache_clear()
    with pytest.raises(ProviderError, match=r"^no token for https://management\.azure\.com/\.default: .*Next: az login"):
        access_token("https://management.azure.com/.default")


def test_an_identity_endpoint_that_answers_with_a_page_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies answer for 169.254.169.254 as well, in their own words."""

    class Page:
        def get_token(self, *_: str) -> None:
            raise json.JSONDecodeError("Expecting value", "denied", 0)

    monkeypatch.delenv("ROOMPULSE_ACCESS_TOKEN", raising=False)
    monkeypatch.setattr("infra.providers.credentials._credential", Page)
    with pytest.raises(
        ProviderError, match=r"^no token for https://management\.azure\.com/\.default: Expecting value.*Next: az login"
    ):
        access_token("https://management.azure.com/.default")
