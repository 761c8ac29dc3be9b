"""Azurite, Microsoft's own stand-in for Azure Storage, entered as a deployed app enters: https, and the identity of App Service.

One runs for each process of pytest that needs one, from the first test that does until that process ends; every test has
containers of its own. Its clock can be put forward (azurite_clock.js), so it needs no waiting to see a lease end.
"""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
import uuid
from functools import cache
from pathlib import Path

from tests.support.app_service import IdentityEndpoint, certificate
from tests.support.tools import NODE_MODULES, TESTS, node

ACCOUNT = "account"
_LISTENS = "successfully listens on "


class Azurite:
    """The process, the identity that gets in, and the certificate that it shows."""

    def __init__(self) -> None:
        command = [
            node(),
            "--require",
            str(TESTS / "support/azurite_clock.js"),
            str(NODE_MODULES / "azurite/dist/src/blob/main.js"),
        ]
        self.folder = tempfile.TemporaryDirectory(prefix="azurite-")
        self.certificate, private_key = certificate(Path(self.folder.name))
        self.account_key = base64.b64encode(os.urandom(64)).decode()
        self.identity = IdentityEndpoint()
        options = {"blobHost": "127.0.0.1", "blobPort": "0", "cert": self.certificate, "key": private_key, "oauth": "basic"}
        switches = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        self.process = subprocess.Popen(
            command + [word for name, value in options.items() for word in (f"--{name}", value)] + switches,
            cwd=self.folder.name,
            env=os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.account_key}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.url = self._wait_for(_LISTENS).split(_LISTENS)[1].strip()

    @property
    def environment(self) -> dict[str, str]:
        """What an app is given on App Service, and the trust in the certificate."""
        return {**self.identity.environment, "REQUESTS_CA_BUNDLE": self.certificate}

    def put_clock_forward(self, seconds: float) -> None:
        """From now on it is that much later for Azurite."""
        assert self.process.stdin is not None
        print(seconds, file=self.process.stdin, flush=True)
        self._wait_for("clock put forward")

    def _wait_for(self, words: str) -> str:
        assert self.process.stdout is not None
        said: list[str] = []
        for line in self.process.stdout:
            if words in line:
                return line
            said.append(line)
        raise AssertionError(f"Azurite ended: {''.join(said)}")


@cache
def azurite() -> Azurite:
    """The one of this process; it ends with this process, whatever ends that. Skips (fails in CI) where it is not installed."""
    return Azurite()


class AzuriteBlobs:
    """A container in Azurite, as blobs.Blobs has it. What a test does to it is done with the account's key, by somebody else."""

    def __init__(self, service: Azurite) -> None:
        from azure.storage.blob import ContainerClient

        self.service = service
        self.environment = service.environment
        self._url = f"{service.url}/{ACCOUNT}/state-{uuid.uuid4().hex}"
        key = {"account_name": ACCOUNT, "account_key": service.account_key}
        self._container = ContainerClient.from_container_url(self._url, key, connection_verify=service.certificate)
        self._container.create_container()

    def url(self) -> str:
        """See Blobs."""
        return self._url

    def put(self, name: str, content: bytes) -> str:
        """See Blobs."""
        return str(self._container.get_blob_client(name).upload_blob(content, overwrite=True)["etag"])

    def content(self, name: str) -> bytes:
        """See Blobs."""
        return bytes(self._container.download_blob(name).readall())

    def names(self) -> list[str]:
        """See Blobs."""
        return list(self._container.list_blob_names())

    def remove(self, name: str) -> None:
        """See Blobs."""
        self._container.delete_blob(name)

    def remove_container(self) -> None:
        """See Blobs."""
        self._container.delete_container()

    def leased(self, name: str) -> bool:
        """See Blobs."""
        return self._container.get_blob_client(name).get_blob_properties().lease.status == "locked"

    def break_lease(self, name: str) -> None:
        """See Blobs."""
        from azure.storage.blob import BlobLeaseClient

        BlobLeaseClient(self._container.get_blob_client(name)).break_lease(0)

    def pass_time(self, seconds: float) -> None:
        """See Blobs."""
        self.service.put_clock_forward(seconds)

    def close(self) -> None:
        """Close the connections."""
        self._container.close()
