"""Secrets by name: from the environment, from files, or (on Azure) from the Key Vault that SECRETS_VAULT_URI names.

A value is read when it is needed and never kept, logged or stored. The vault is asked by name, so that a city that brings a
secret changes no setting of the app.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from processors.alert_fanout.delivery import DeliveryError
from processors.contracts.validation import is_this_machine, is_web_address
from processors.key_vault import KeyVault, KeyVaultError

NOT_SET = "not set"
"""What a secret holds in Key Vault until somebody has put its value there."""
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of characters that show nothing: control, format (zero width), half characters, line and paragraph breaks."""
Secrets = Callable[[str], str]
"""Gives the value of a secret; raises SecretFault."""


class SecretFault(DeliveryError):
    """A secret can't be used. The text names it and says what to do, and gives nothing of its value away."""

    def __init__(self, text: str) -> None:
        super().__init__(text, unusable=True)


class SecretMissing(SecretFault):
    """There is no such secret. The text says where to put it."""


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


def text(secrets: Secrets, name: str) -> str:
    """A secret as people typed it: a signing key, a password. What can't be seen is not what they meant."""
    value = secrets(name)
    for place, sign in enumerate(value, start=1):
        if unicodedata.category(sign) in _UNSEEN:
            shown = f"U+{ord(sign):04X}"
            raise SecretFault(f"the secret {name} can't be used: its character {place} can't be seen ({shown}). Put it in anew.")
    return value


def token(secrets: Secrets, name: str) -> str:
    """A secret that goes into a header or an id of a service: ASCII without blanks."""
    value = text(secrets, name)
    for place, sign in enumerate(value, start=1):
        if not "!" <= sign <= "~":
            shown = f"U+{ord(sign):04X}"
            raise SecretFault(f"the secret {name} can't be used: no token has its character {place} ({shown}). Put it in anew.")
    return value


def address(secrets: Secrets, name: str) -> str:
    """A secret that is an address: https, or http to this machine."""
    value = token(secrets, name)
    if not is_web_address(value):
        raise SecretFault(f"the secret {name} holds no address that a request could be made to. Put it in anew.")
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(parts.hostname or "")):
        raise SecretFault(f"the secret {name} holds no https address, and others could read what is sent. Put it in anew.")
    return value


def _file(folder: str | None, name: str) -> str:
    path = Path(folder) / name if folder else None
    try:
        return path.read_text(encoding="utf-8").strip() if path and path.is_file() else ""
    except UnicodeDecodeError as fault:
        where = f"its file is not UTF-8 (byte {fault.start + 1})"
        raise SecretFault(f"the secret {name} can't be used: {where}. Save it as UTF-8.") from None
    except OSError as fault:
        raise SecretFault(f"the secret {name} can't be read from its file ({fault.strerror}): see who may read it.") from None


def _kept(vault: KeyVault | None, name: str) -> str:
    if vault is None:
        return ""
    try:
        return vault.get(name).strip()
    except KeyVaultError as fault:
        raise SecretMissing(
            f"{fault} The fan-out's identity needs the role Key Vault Secrets User on it: pulumi up gives it."
        ) from fault
