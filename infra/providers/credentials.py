"""Who the providers are towards Azure: the same principal as azure-native, chosen by the same ARM_* variables.

azure-identity's own default chain reads AZURE_* variables and would happily be somebody else in the middle of a deployment.
Here the choice is explicit: OIDC, managed identity, service principal with a secret, otherwise the login of the Azure CLI.
Nothing of it is pickled into a provider: credentials are made in the provider's process when the first token is needed.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from infra.providers.base import ProviderError
from processors.contracts.http_session import as_asked

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

OIDC_AUDIENCE = "api://AzureADTokenExchange"
"""The audience Entra expects of a federated GitHub token."""


def access_token(scope: str) -> str:
    """A bearer token for `scope`; raises ProviderError that says how to log in.

    ROOMPULSE_ACCESS_TOKEN stands in for Azure's login when the providers run against local stand-ins.
    """
    given = os.environ.get("ROOMPULSE_ACCESS_TOKEN")
    if given:
        return given
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import CredentialUnavailableError

    try:
        return _credential().get_token(scope).token
    except (ClientAuthenticationError, CredentialUnavailableError, ValueError) as fault:  # ValueError: an answer that is not JSON
        first_line = str(fault).splitlines()[0]
        raise ProviderError(
            f"no token for {scope}: {first_line} Next: az login, or set the ARM_* variables (docs/stages/deploy.md)."
        ) from None


@functools.cache
def _credential() -> TokenCredential:
    return credential_for(os.environ)


def credential_for(environment: Mapping[str, str]) -> TokenCredential:
    """The credential azure-native would use with these variables."""
    from azure.identity import AzureCliCredential, ClientAssertionCredential, ClientSecretCredential, ManagedIdentityCredential

    if environment.get("ARM_USE_OIDC", "").lower() == "true":
        tenant, client = _required(environment, "ARM_TENANT_ID"), _required(environment, "ARM_CLIENT_ID")
        return ClientAssertionCredential(tenant, client, lambda: federated_token(environment))
    if environment.get("ARM_USE_MSI", "").lower() == "true":
        return ManagedIdentityCredential(client_id=environment.get("ARM_CLIENT_ID"))
    if environment.get("ARM_CLIENT_SECRET"):
        tenant, client = _required(environment, "ARM_TENANT_ID"), _required(environment, "ARM_CLIENT_ID")
        return ClientSecretCredential(tenant, client, environment["ARM_CLIENT_SECRET"])
    return AzureCliCredential()


def federated_token(environment: Mapping[str, str]) -> str:
    """The OIDC token to exchange: ARM_OIDC_TOKEN, the file ARM_OIDC_TOKEN_FILE_PATH, or a fresh one from GitHub Actions."""
    if environment.get("ARM_OIDC_TOKEN"):
        return environment["ARM_OIDC_TOKEN"]
    if environment.get("ARM_OIDC_TOKEN_FILE_PATH"):
        return Path(environment["ARM_OIDC_TOKEN_FILE_PATH"]).read_text(encoding="utf-8").strip()
    url = _required(environment, "ACTIONS_ID_TOKEN_REQUEST_URL")
    request_token = _required(environment, "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    headers = {"Authorization": f"Bearer {request_token}"}
    response = requests.get(url, params={"audience": OIDC_AUDIENCE}, headers=headers, auth=as_asked, timeout=30)
    if response.status_code != requests.codes.ok:
        raise ProviderError(
            f"GitHub gave no OIDC token (HTTP {response.status_code}). Next: the job needs `permissions: id-token: write`."
        )
    return str(response.json()["value"])


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise ProviderError(
            f"{name} is not set, and the chosen way to log in needs it. Next: set it, or unset ARM_USE_OIDC and az login."
        )
    return value
