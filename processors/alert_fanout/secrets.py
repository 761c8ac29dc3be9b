"""Secrets by name: from the environment, from files, or (on Azure) from the Key Vault that SECRETS_VAULT_URI names.

A value is read when it is needed and never kept, logged or stored. The vault is asked by name, so that a city that brings a
secret changes no setting of the app.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from processors.key_vault import KeyVault, KeyVaultError

NOT_SET = "not set"
"""What a secret holds in Key Vault until somebody has put its value there."""
Secrets = Callable[[str], str]
"""Gives the value of a secret; raises SecretMissing."""


class SecretMissing(Exception):
    """There is no such secret. The text names it and says where to put it."""


def variable_of(name: str) -> str:
    """The environment variable of a secret."""
    return f"SECRET_{name.upper().replace('-', '_')}"


def secret_from(environment: Mapping[str, str] = os.environ) -> Secrets:
    """Secrets of an environment: its variables, then files of the folder SECRETS_FOLDER, then the vault SECRETS_VAULT_URI."""
    vault = KeyVault(environment["SECRETS_VAULT_URI"], environment) if environment.get("SECRETS_VAULT_URI") else None

    def value(name: str) -> str:
        found = environment.get(variable_of(name), "") or _file(environment.get("SECRETS_FOLDER"), name) or _kept(vault, name)
        if not found or found == NOT_SET:
            raise SecretMissing(
                f"the secret {name} has no value: locally set {variable_of(name)} or write it to the file secrets/{name} of the "
                f"data folder; on Azure az keyvault secret set --vault-name VAULT --name {name} --file FILE"
            )
        return found

    return value


def _file(folder: str | None, name: str) -> str:
    path = Path(folder) / name if folder else None
    return path.read_text(encoding="utf-8").strip() if path and path.is_file() else ""


def _kept(vault: KeyVault | None, name: str) -> str:
    if vault is None:
        return ""
    try:
        return vault.get(name).strip()
    except KeyVaultError as fault:
        raise SecretMissing(
            f"{fault} The fan-out's identity needs the role Key Vault Secrets User on it: pulumi up gives it."
        ) from fault
