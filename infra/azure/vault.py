"""Key Vault: the Webex token, readable by the ingest alone. Access by role, purge protection on."""

from __future__ import annotations

import pulumi
from pulumi import Output
from pulumi_azure_native import keyvault

from infra.azure.network import VAULT, Network, public_access
from infra.azure.observability import Observability
from infra.azure.resource_group import ResourceGroup, unguarded


class Vault(pulumi.ComponentResource):
    """The vault with its one secret; `token_reference` is what an app setting says to get the token's newest version.

    In a private network it can be asked once `reachable` exists.
    """

    def __init__(
        self, group: ResourceGroup, observability: Observability, network: Network | None, webex_access_token: Output[str]
    ) -> None:
        super().__init__("roompulse:azure:Vault", "vault")
        vault = keyvault.Vault(
            "key-vault",
            vault_name=group.names.short("kv"),
            properties={
                "tenant_id": group.tenant_id,
                "sku": {"family": "A", "name": "standard"},
                "enable_rbac_authorization": True,
                "enable_soft_delete": True,
                "soft_delete_retention_in_days": 90 if group.azure.protect else 7,
                "enable_purge_protection": True,
                "public_network_access": public_access(network),
            },
            **group.placed,
            opts=group.guarded(self),
        )
        token = keyvault.Secret(
            "webex-access-token",
            secret_name="webex-access-token",
            vault_name=vault.name,
            properties={"value": webex_access_token, "content_type": "Webex service app access token"},
            **group.within,
            opts=unguarded(vault),
        )
        self.reachable: list[pulumi.Resource] = [network.connect("vault", vault.id, "vault", [VAULT], vault)] if network else []
        observability.diagnose("vault", vault.id, vault)
        self.name: Output[str] = vault.name
        self.token_id: Output[str] = token.id
        # With its version: another token is another setting, and the app starts anew with it instead of within a day.
        # The address is no secret, and left as one it would hide all the app's settings in a preview.
        self.token_reference: Output[str] = Output.unsecret(token.properties).apply(
            lambda secret: f"@Microsoft.KeyVault(SecretUri={secret.secret_uri_with_version})"
        )
        self.register_outputs({})
