"""Key Vault: the Webex token, readable by the ingest alone, and what contacts keep secret, readable by the fan-out alone. Access
by role to each secret, purge protection on.
"""

from __future__ import annotations

import pulumi
from pulumi import Output, ResourceOptions
from pulumi_azure_native import keyvault

from infra.azure.network import VAULT, Network, public_access
from infra.azure.observability import Observability
from infra.azure.resource_group import ResourceGroup, unguarded

NOT_SET = "not set"
"""What processors/alert_fanout/secrets.py takes for no value (a test holds the two together)."""


class Vault(pulumi.ComponentResource):
    """The vault and its secrets; `token_reference` is what an app setting says to get the token's newest version.

    In a private network it can be asked once `reachable` exists.
    """

    def __init__(
        self, group: ResourceGroup, observability: Observability, network: Network | None, webex_access_token: Output[str]
    ) -> None:
        super().__init__("roompulse:azure:Vault", "vault")
        self._group = group
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
        self._vault = vault
        self.name: Output[str] = vault.name
        self.token_id: Output[str] = token.id
        # With its version: another token is another setting, and the app starts anew with it instead of within a day.
        # The address is no secret, and left as one it would hide all the app's settings in a preview.
        self.token_reference: Output[str] = Output.unsecret(token.properties).apply(
            lambda secret: f"@Microsoft.KeyVault(SecretUri={secret.secret_uri_with_version})"
        )
        self.register_outputs({})

    def contact_secret(self, name: str) -> tuple[Output[str], Output[str]]:
        """A secret whose value people put into the vault themselves: its id, and a reference to its newest version.

        It is made with the value "not set", so that a role can be given on it alone; nothing here ever reads or changes it again.
        """
        secret = keyvault.Secret(
            f"secret-{name}",
            secret_name=name,
            vault_name=self.name,
            properties={"value": NOT_SET, "content_type": "set by az keyvault secret set"},
            **self._group.within,
            opts=ResourceOptions.merge(unguarded(self._vault), ResourceOptions(ignore_changes=["properties", "tags"])),
        )
        # Without a version: a value that is set or renewed needs no deployment. The app sees it within a day or when it restarts.
        return secret.id, Output.concat("@Microsoft.KeyVault(VaultName=", self.name, ";SecretName=", name, ")")
