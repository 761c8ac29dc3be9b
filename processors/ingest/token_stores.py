"""Where the service app's tokens are: secrets of a Key Vault on Azure, a file that only its owner may read on one machine."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from processors.azure_blobs import BlobChanged, BlobContainer, BlobError
from processors.ingest.tokens import TokenSet, TokenStoreError, token_set_from, token_set_text
from processors.key_vault import KeyVault, KeyVaultError


class SecretNames(NamedTuple):
    """What a token set and the client secret that renews it are called in a vault, and the blob whose lease is the turn."""

    token_set: str
    client_secret: str
    turn: str

    def of(self, organisation: str) -> SecretNames:
        """The same of a partner's organisation; empty for the stack's own."""
        return SecretNames(*(f"{name}-{organisation}" for name in self)) if organisation else self


SERVICE_APP_SECRETS = SecretNames("webex-token-set", "webex-client-secret", "webex-token.turn")
INTEGRATION_SECRETS = SecretNames(
    "webex-integration-token-set", "webex-integration-client-secret", "webex-integration-token.turn"
)
_MOUNTED = (errno.EBUSY, errno.EXDEV)
"""What renaming onto a mount point gives."""


class VaultTokenStore:
    """Two secrets of a Key Vault. The turn to renew is a lease on a blob: a vault has neither locks nor conditions."""

    def __init__(
        self,
        vault_uri: str,
        turns: BlobContainer,
        environment: Mapping[str, str],
        credential: Any = None,
        names: SecretNames = SERVICE_APP_SECRETS,
    ) -> None:
        """`vault_uri` as in https://NAME.vault.azure.net. A stand-in on this machine (http) is entered without a credential."""
        self._vault = KeyVault(vault_uri, environment, credential)
        self._names = names
        self._turns = turns

    def read(self) -> TokenSet:
        """See TokenStore."""
        name = self._names.token_set
        return token_set_from(self._secret(name), f"secret {name} of {self._vault.uri}")

    def write(self, tokens: TokenSet) -> None:
        """See TokenStore; the secret gets a new version."""
        with self._explained("PUT"):
            self._vault.set(self._names.token_set, token_set_text(tokens), "application/json")

    def client_secret(self) -> str:
        """See TokenStore."""
        return self._secret(self._names.client_secret)

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """See TokenStore."""
        try:
            with contextlib.suppress(BlobChanged):
                if self._turns.etag_of(self._names.turn) is None:
                    self._turns.write(self._names.turn, b"", None)
            lease = self._turns.acquire(self._names.turn)
        except BlobError as fault:
            raise TokenStoreError(f"nobody can say whose turn it is to renew the token: {fault}") from fault
        try:
            yield lease is not None
        finally:
            if lease is not None:
                with contextlib.suppress(BlobError):  # it ends by itself within a minute
                    lease.release()

    def _secret(self, name: str) -> str:
        with self._explained("GET"):
            value = self._vault.get(name)
        if not value:
            raise TokenStoreError(f"secret {name} of {self._vault.uri} is empty: store it (docs/stages/ingest.md).")
        return value

    @contextlib.contextmanager
    def _explained(self, method: str) -> Iterator[None]:
        try:
            yield
        except KeyVaultError as fault:
            next_step = f" {_next_step(fault.status, method)}" if fault.status is not None else ""
            raise TokenStoreError(f"{fault}{next_step}") from fault


class FileTokenStore:
    """A JSON file with mode 0600, replaced whole; the turn to renew is a lock on a file beside it."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        """The client secret is in `environment` as WEBEX_CLIENT_SECRET."""
        self._path = path
        self._environment = environment
        self._in_this_process = threading.Lock()

    def read(self) -> TokenSet:
        """See TokenStore. A file that others may read is refused."""
        try:
            if stat.S_IMODE(self._path.stat().st_mode) & 0o077:
                raise TokenStoreError(f"{self._path} may be read by others: chmod 600 {self._path}")
            return token_set_from(self._path.read_text(encoding="utf-8"), str(self._path))
        except OSError as fault:
            raise TokenStoreError(f"{self._path} can't be read ({fault.strerror}): WEBEX_TOKEN_FILE names it.") from fault

    def write(self, tokens: TokenSet) -> None:
        """See TokenStore. A crash leaves the old file or the new one, never half of one; of a file that is mounted by
        itself (as into a container) and can't be replaced, it may leave half, and the whole beside it, ending in `.new`.
        """
        path = self._path.resolve()  # a link stays one
        unfinished = _beside(path, ".new")
        text = token_set_text(tokens)
        try:
            unfinished.unlink(missing_ok=True)
            _write_through(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), text)
            try:
                unfinished.replace(path)
            except OSError as fault:
                if fault.errno not in _MOUNTED:
                    raise
                _write_through(os.open(path, os.O_WRONLY | os.O_TRUNC), text)
                unfinished.unlink()
        except OSError as fault:
            raise TokenStoreError(f"{self._path} can't be written ({fault.strerror}): see its folder and its disk.") from fault

    def client_secret(self) -> str:
        """See TokenStore."""
        secret = self._environment.get("WEBEX_CLIENT_SECRET")
        if not secret:
            raise TokenStoreError(
                "WEBEX_CLIENT_SECRET is not set: the client secret of the service app, to renew its token with."
            )
        return secret

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """See TokenStore."""
        try:
            lock = _beside(self._path.resolve(), ".lock").open("w")
        except OSError as fault:
            raise TokenStoreError(f"{self._path}: no lock can be made beside it ({fault.strerror}).") from fault
        with lock, self._in_this_process:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True


def written_by_owner(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all. Raises OSError."""
    unfinished = _beside(path, ".new")
    unfinished.unlink(missing_ok=True)
    _write_through(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), text)
    unfinished.replace(path)


def _beside(path: Path, ending: str) -> Path:
    """A file in the same folder that belongs to this one alone: `org.a` and `org.b` have one each."""
    return path.with_name(path.name + ending)


def _write_through(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _next_step(status: int, method: str) -> str:
    if status in (401, 403):
        return "Give the ingest's identity the role Key Vault Secrets Officer on this secret, and see the vault's firewall."
    if status == 404:
        return "Store it once: docs/stages/ingest.md says how."
    return (
        "The next try may do it."
        if status >= 500 or status == 429
        else f"{method} is not what the vault takes: see WEBEX_TOKEN_VAULT_URI."
    )
