"""The place of a secret in Key Vault whose value others write: made once, taken up where it is there already, never deleted.

azure-native's own Secret refuses to make what exists, and whoever deploys may not delete it (a secret is deleted on the vault's
data plane): a contact that is taken out and put back would stop `pulumi up` for good. A value is never read, and written only
once, as NOT_SET. Form: https://learn.microsoft.com/rest/api/keyvault/secrets/secrets
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import ConfigureRequest, CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

from infra.providers.base import AzureClient, changed_properties, log, log_to_standard_error, replacing
from infra.providers.credentials import access_token

API_VERSION = "2023-07-01"
NOT_SET = "not set"
"""What processors/alert_fanout/secrets.py takes for no value (a test holds the two together)."""
NAMING = ("subscriptionId", "resourceGroupName", "vaultName", "secretName")
OK, CREATED, NOT_FOUND, CONFLICT = 200, 201, 404, 409


def secret_id(props: Mapping[str, Any]) -> str:
    """The ARM id of a secret, as azure-native has it: a role on one is on the same scope."""
    group = f"/subscriptions/{props['subscriptionId']}/resourceGroups/{props['resourceGroupName']}"
    return f"{group}/providers/Microsoft.KeyVault/vaults/{props['vaultName']}/secrets/{props['secretName']}"


class VaultSecrets:
    """The secrets of a vault as Azure Resource Manager has them: by name, without their values."""

    def __init__(self, props: Mapping[str, Any]) -> None:
        self._props = props
        self._path = f"{secret_id(props)}?api-version={API_VERSION}"
        endpoint = os.environ.get("ROOMPULSE_ARM_ENDPOINT", "https://management.azure.com")
        subject = f"secret {props['secretName']} of vault {props['vaultName']}"
        self._client = AzureClient(subject, endpoint, lambda: access_token("https://management.azure.com/.default"))

    def is_there(self) -> bool:
        """Whether the vault has the secret; False too where the vault is gone."""
        response = self._client.send("GET", self._path)
        if response.status_code == NOT_FOUND:
            return False
        self._client.expect(response, "reading the secret", OK)
        return True

    def make(self, content_type: str) -> None:
        """Make the secret with the value NOT_SET; raises ProviderError with the next step where the vault keeps a deleted one."""
        body = {"properties": {"value": NOT_SET, "contentType": content_type}}
        response = self._client.send("PUT", self._path, json=body)
        if response.status_code == CONFLICT:
            vault, name = self._props["vaultName"], self._props["secretName"]
            recover = f"az keyvault secret recover --vault-name {vault} --name {name}, then run pulumi up again"
            raise self._client.error("the vault keeps a deleted secret of this name, with its value", recover)
        self._client.expect(response, "making the secret", OK, CREATED)


class VaultSecretProvider(ResourceProvider):
    """Makes places of secrets. Holds nothing."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Called once in the provider's process."""
        log_to_standard_error()

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another place is another secret; nothing else ever changes, since an update would write a value."""
        changed = changed_properties(_olds, _news, NAMING)
        return DiffResult(changes=bool(changed), replaces=replacing(changed, _news, NAMING))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the secret, unless it is there: then its value stays."""
        secrets = VaultSecrets(props)
        if secrets.is_there():
            log.info("secret %s is in the vault already and keeps its value", props["secretName"])
        else:
            secrets.make(props["contentType"])
        return CreateResult(secret_id(props), dict(props))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Whether it is there; one that is gone is made again by the next `pulumi up`."""
        return ReadResult(id_, props, props) if VaultSecrets(props).is_there() else ReadResult("", {})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Leave the secret: it goes with the vault, or by hand."""


class VaultSecret(Resource, module="roompulse", name="VaultSecret"):
    """The place of a secret. `id` is its ARM id."""

    def __init__(
        self, resource_name: str, place: Mapping[str, pulumi.Input[str]], content_type: str, opts: pulumi.ResourceOptions
    ) -> None:
        """`place` has the properties of NAMING; `content_type` says to whoever opens the vault how the value is set."""
        super().__init__(VaultSecretProvider(), resource_name, {**place, "contentType": content_type}, opts)
