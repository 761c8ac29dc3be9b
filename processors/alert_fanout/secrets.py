"""Secrets by name: from the environment (SECRET_<NAME>; on Azure those are references into Key Vault), or from files.

A value is read when it is needed and never kept, logged or stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

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
    """Secrets of an environment: its variables, then files of the folder SECRETS_FOLDER."""

    def value(name: str) -> str:
        found = environment.get(variable_of(name), "") or _file(environment.get("SECRETS_FOLDER"), name)
        if not found or found == NOT_SET or found.startswith("@Microsoft.KeyVault("):
            raise SecretMissing(
                f"the secret {name} has no value: locally set {variable_of(name)} or write it to the file secrets/{name} of the "
                f"data folder; on Azure az keyvault secret set --vault-name VAULT --name {name} --file FILE, then restart the app"
            )
        return found

    return value


def _file(folder: str | None, name: str) -> str:
    path = Path(folder) / name if folder else None
    return path.read_text(encoding="utf-8").strip() if path and path.is_file() else ""
