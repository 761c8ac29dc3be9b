"""Where an activated integration is kept: in the Key Vault beside the service app's tokens, or in a folder of one machine.

The client secret, the token set that is renewed, and the record of who we are and where Webex speaks to us, each by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from processors.azure_blobs import BlobContainer
from processors.ingest.push.activation import Activation, Integration, integration_from
from processors.ingest.push.trust import Trust
from processors.ingest.token_stores import INTEGRATION_SECRETS, FileTokenStore, VaultTokenStore, written_by_owner
from processors.ingest.tokens import TokenSet, TokenStore, TokenStoreError
from processors.key_vault import KeyVault, KeyVaultError

RECORD_SECRET = "webex-integration"
NOT_SET = "not set"
"""What the vault holds before the first activation: Pulumi makes the secret with it, to give a role on it."""


class Home(Protocol):
    """Keeps one integration."""

    store: TokenStore

    def integration(self) -> Integration | None:
        """The integration, None before the first activation and after a deactivation. Raises TokenStoreError, NotTrusted."""

    def keep(self, activation: Activation, client_secret: str) -> None:
        """Store what an activation gave, in the place of what was there. Raises TokenStoreError."""

    def forget(self) -> None:
        """Let go of an integration that was deactivated. Raises TokenStoreError."""


def home_from(environment: Mapping[str, str], trust: Trust) -> Home | None:
    """The home that the environment names (WEBEX_INTEGRATION_FOLDER, else WEBEX_TOKEN_VAULT_URI); None when it names none.

    Raises TokenStoreError.
    """
    if folder := environment.get("WEBEX_INTEGRATION_FOLDER"):
        return FolderHome(Path(folder), trust)
    if vault := environment.get("WEBEX_TOKEN_VAULT_URI"):
        return VaultHome(vault, environment, trust)
    return None


class _FolderTokens(FileTokenStore):
    """The token set of a folder, with the client secret in a file beside it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "token-set.json", {})
        self._secret_path = folder / "client-secret"

    def client_secret(self) -> str:
        """See TokenStore."""
        try:
            return self._secret_path.read_text(encoding="utf-8").strip()
        except OSError as fault:
            text = f"{self._secret_path} can't be read ({fault.strerror}): activate the integration again"
            raise TokenStoreError(f"{text} (roompulse webex integration activate).") from fault


class FolderHome:
    """A folder that only its owner may read."""

    def __init__(self, folder: Path, trust: Trust) -> None:
        self._folder, self._trust = folder, trust
        self._record = folder / "integration.json"
        self.store: TokenStore = _FolderTokens(folder)

    def integration(self) -> Integration | None:
        """See Home."""
        try:
            return integration_from(self._record.read_text(encoding="utf-8"), self._trust)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise TokenStoreError(
                f"{self._record} can't be read ({fault.strerror}): WEBEX_INTEGRATION_FOLDER names it."
            ) from fault

    def keep(self, activation: Activation, client_secret: str) -> None:
        """See Home. The record comes last: with it the integration counts as activated."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            written_by_owner(self._folder / "client-secret", client_secret)
            self.store.write(_first_tokens(activation))
            written_by_owner(self._record, activation.integration.text())
        except OSError as fault:
            raise TokenStoreError(
                f"{fault.filename} can't be written ({fault.strerror}): see its folder and its disk."
            ) from fault

    def forget(self) -> None:
        """See Home."""
        try:
            for name in ("integration.json", "token-set.json", "client-secret"):
                (self._folder / name).unlink(missing_ok=True)
        except OSError as fault:
            raise TokenStoreError(f"{fault.filename} can't be deleted ({fault.strerror}): delete it.") from fault


class VaultHome:
    """Three secrets of a Key Vault."""

    def __init__(self, vault_uri: str, environment: Mapping[str, str], trust: Trust) -> None:
        self._vault, self._trust = KeyVault(vault_uri, environment), trust
        if not environment.get("STATE_BLOB_URL"):
            raise TokenStoreError("STATE_BLOB_URL is not set: instances agree there on who renews the integration's token.")
        partner = environment.get("WEBEX_ORGANISATION", "")
        turns = BlobContainer(environment["STATE_BLOB_URL"], environment, folder=partner)
        self._names = INTEGRATION_SECRETS.of(partner)
        self._record = f"{RECORD_SECRET}-{partner}" if partner else RECORD_SECRET
        self.store: TokenStore = VaultTokenStore(vault_uri, turns, environment, names=self._names)

    def integration(self) -> Integration | None:
        """See Home."""
        try:
            text = self._vault.get(self._record)
        except KeyVaultError as fault:
            if fault.status == 404:
                return None
            raise TokenStoreError(f"{fault} The integration is kept there.") from fault
        return integration_from(text, self._trust) if text not in ("", NOT_SET) else None

    def keep(self, activation: Activation, client_secret: str) -> None:
        """See Home."""
        try:
            self._vault.set(self._names.client_secret, client_secret, "Webex integration client secret")
            self.store.write(_first_tokens(activation))
            self._vault.set(self._record, activation.integration.text(), "application/json")
        except KeyVaultError as fault:
            step = "Whoever activates needs the role Key Vault Secrets Officer on the vault's webex-integration secrets."
            raise TokenStoreError(f"{fault} {step}") from fault

    def forget(self) -> None:
        """See Home."""
        try:
            self._vault.set(self._record, NOT_SET, "application/json")
        except KeyVaultError as fault:
            raise TokenStoreError(f"{fault} The integration was deactivated, and is still kept there.") from fault


def _first_tokens(activation: Activation) -> TokenSet:
    return TokenSet(activation.integration.client_id, activation.refresh_token)
