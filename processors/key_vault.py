"""Secrets of a Key Vault over its REST API (version 7.4), entered with the app's own identity.

Source: the REST reference of Key Vault, "Get Secret" and "Set Secret".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from processors.connection_faults import answered_by_another, next_step
from processors.contracts.http_session import Session
from processors.contracts.json_body import is_page, json_object

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 20.0
_API_VERSION = "7.4"
_SCOPE = "https://vault.azure.net/.default"


class KeyVaultError(Exception):
    """The vault did not do it; `status` is its answer's, None where there was none. The text names the secret only."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class KeyVault:
    """One vault. A value is read when it is asked for and never kept."""

    def __init__(self, uri: str, environment: Mapping[str, str], credential: Any = None) -> None:
        """`uri` as in https://NAME.vault.azure.net; AZURE_CLIENT_ID names the identity. A stand-in on this machine (http) is
        entered without a credential."""
        self.uri = uri.rstrip("/")
        self._environment = environment
        self._credential = credential

    def get(self, name: str) -> str:
        """The newest value of a secret, which may be empty; raises KeyVaultError."""
        value = self._ask("GET", name).get("value")
        return value if isinstance(value, str) else ""

    def set(self, name: str, value: str, content_type: str) -> None:
        """Give a secret a new version; raises KeyVaultError."""
        self._ask("PUT", name, {"value": value, "contentType": content_type})

    def _ask(self, method: str, name: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        url, where = f"{self.uri}/secrets/{name}?api-version={_API_VERSION}", f"secret {name} of {self.uri}"
        headers = self._authorization()
        try:
            with Session() as session:
                response = session.whole(method, url, CONNECT_SECONDS, ANSWER_SECONDS, json=body, headers=headers)
        except requests.RequestException as fault:
            raise KeyVaultError(
                f"{where} can't be reached ({type(fault).__name__}): "
                + (next_step(fault) or "see firewall and DNS of the vault.")
            ) from None
        document = json_object(response.content)
        if response.status_code == 200 and document is not None:
            return document
        step = answered_by_another(response, page=response.status_code == 200 and is_page(response.content))
        raise KeyVaultError(f"{where}: {method} got {response.status_code}. {step}".strip(), response.status_code)

    def _authorization(self) -> dict[str, str]:
        if self._credential is None:
            if urlsplit(self.uri).scheme == "http":
                return {}
            from azure.identity import DefaultAzureCredential

            self._credential = DefaultAzureCredential(managed_identity_client_id=self._environment.get("AZURE_CLIENT_ID"))
        from azure.core.exceptions import AzureError

        try:
            return {"Authorization": f"Bearer {self._credential.get_token(_SCOPE).token}"}
        except AzureError as fault:
            raise KeyVaultError(
                f"{self.uri}: no Entra token ({type(fault).__name__}): see that AZURE_CLIENT_ID names this app's identity."
            ) from fault
