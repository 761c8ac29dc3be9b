"""Key Vault: the token set of the Webex service app, which the ingest alone reads and renews; its client secret, readable by the
ingest alone; and what contacts keep secret, readable by the fan-out alone. Access by role to each secret, purge protection on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_azure_native import keyvault

from infra.azure.network import VAULT, Network, public_access
from infra.azure.observability import Observability
from infra.azure.resource_group import ResourceGroup, unguarded
from infra.azure.roles import Identity, Role
from infra.meters import ByUse, free
from infra.parts import Kind, Part
from infra.providers.vault_secret import VaultSecret

SECRETS_OFFICER = Role("Key Vault Secrets Officer", "b86a8fe4-44ce-4948-aee5-eccb2c155cd7")
SECRETS_USER = Role("Key Vault Secrets User", "4633458b-17de-408a-b874-0445c86b69e6")


@dataclass(frozen=True)
class WebexSecrets:
    """What the stack keeps of the Webex service app: token set (the JSON of docs/stages/ingest.md) and client secret."""

    token_set: Output[str]
    client_secret: Output[str]


class Vault(Part):
    """The vault and its secrets; `uri` is where its secrets are read and written.

    In a private network it can be asked once `reachable` exists.
    """

    title = "Key Vault"
    resources: ClassVar = {
        "keyvault:Vault": Kind("vault", free, ByUse("Key Vault", "by the request"), named="vaultName"),
        "keyvault:Secret": Kind("secret", free, named="vaultName/secretName"),
        "VaultSecret": Kind("secret", free),
    }

    def __init__(self, group: ResourceGroup, observability: Observability, network: Network | None, webex: WebexSecrets) -> None:
        super().__init__("vault")
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
            # Azure takes the days once, when it makes the vault: azure.protect may change later (docs/stages/deploy.md, Destroy).
            opts=ResourceOptions.merge(
                group.guarded(self), ResourceOptions(ignore_changes=["properties.softDeleteRetentionInDays"])
            ),
        )
        self.reachable: list[pulumi.Resource] = [network.connect("vault", vault.id, "vault", [VAULT], vault)] if network else []
        observability.diagnose("vault", vault.id, vault)
        self._vault = vault
        self.name: Output[str] = vault.name
        self.uri: Output[str] = Output.concat("https://", vault.name, ".vault.azure.net")
        # Pulumi writes the token set once, as the seed. Every later version is the ingest's: it renews the tokens, and older ones
        # may be dead. A `pulumi up` that wrote the seed again would lose the only living refresh token.
        self._token_set = self._secret(
            "webex-token-set", "webex-token-set", webex.token_set, "application/json", written_elsewhere=True
        )
        self._client_secret = self._secret(
            "webex-client-secret", "webex-client-secret", webex.client_secret, "Webex service app client secret"
        )
        self.register_outputs({})

    def let_renew_token(self, identity: Identity) -> None:
        """Let an identity read and renew the token set, and read the client secret that takes."""
        identity.may(SECRETS_OFFICER, "webex-token-set", self._token_set)
        identity.may(SECRETS_USER, "webex-client-secret", self._client_secret)

    def let_renew_partner_token(self, identity: Identity, organisation: str) -> None:
        """The same of a partner's organisation. Both secrets are made without a value: people put them into the vault."""
        for name, role in (("webex-token-set", SECRETS_OFFICER), ("webex-client-secret", SECRETS_USER)):
            own = f"{name}-{organisation}"
            identity.may(role, own, self._place(own, own, "set by az keyvault secret set"))

    def let_listen(self, identity: Identity, organisation: str = "") -> None:
        """Let an identity keep a Workspace Integration: read and renew its token set, read its record and let go of it, and read
        its client secret; of a partner's `organisation`, or of the stack's own.

        `roompulse webex integration activate` writes all three; they are made without a value, so that a role can be given on
        each alone.
        """
        for name, role in (
            ("webex-integration", SECRETS_OFFICER),
            ("webex-integration-token-set", SECRETS_OFFICER),
            ("webex-integration-client-secret", SECRETS_USER),
        ):
            own = f"{name}-{organisation}" if organisation else name
            identity.may(role, own, self._place(own, own, "set by roompulse webex integration activate"))

    def let_read_contact_secret(self, identity: Identity, name: str) -> None:
        """Let an identity read a secret whose value people put into the vault themselves; it asks the vault for it by name.

        It is made with the value "not set", so that a role can be given on it alone; nothing here ever reads or changes it again.
        """
        place = self._place(f"secret-{name}", name, "set by az keyvault secret set")
        identity.may(SECRETS_USER, f"secret-{name}", place)

    def _place(self, logical_name: str, name: str, content_type: str) -> Output[str]:
        """The id of a secret that people or programs write; one that was there before keeps its value."""
        place = {
            "subscriptionId": self._group.subscription_id,
            "resourceGroupName": self._group.within["resource_group_name"],
            "vaultName": self.name,
            "secretName": name,
        }
        id_: Output[str] = VaultSecret(logical_name, place, content_type, unguarded(self._vault)).id
        return id_

    def _secret(
        self, logical_name: str, name: str, value: Input[str], content_type: str, *, written_elsewhere: bool = False
    ) -> Output[str]:
        """The id of a secret. What is `written_elsewhere` is made once with `value`, and never updated.

        All its properties are left alone, not the value only: any update would send the value of the state along.
        """
        # Pulumi would delete a secret on the vault's data plane, where whoever deploys has no role, and its name would be taken
        # for as long as the vault keeps what was deleted. It goes with the vault instead.
        left_alone = ResourceOptions(ignore_changes=["properties", "tags"] if written_elsewhere else [], retain_on_delete=True)
        secret = keyvault.Secret(
            logical_name,
            secret_name=name,
            vault_name=self.name,
            properties={"value": value, "content_type": content_type},
            **self._group.within,
            opts=ResourceOptions.merge(unguarded(self._vault), left_alone),
        )
        id_: Output[str] = secret.id
        return id_
