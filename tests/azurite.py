"""Azurite, Microsoft's own stand-in for Azure Storage, entered as a deployed app enters: https, and the identity of App Service.

One runs for each process of pytest that needs one, from the first test that does until that process ends; every test has
containers of its own. Its clock can be put forward (azurite_clock.js), so it needs no waiting to see a lease end.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from tools import NODE_MODULES, TESTS, node

from tests.infra.providers.fake_service import Answer, FakeService, Request

ACCOUNT = "account"
TENANT = "00000000-0000-0000-0000-000000000001"
TOKEN_DAYS = 30
"""Longer than the clock is ever put forward."""
_LISTENS = "successfully listens on "


class IdentityEndpoint(FakeService):
    """What App Service gives an app in IDENTITY_ENDPOINT: tokens of its managed identity, for whatever resource it asks."""

    def __init__(self) -> None:
        super().__init__()
        self.header = uuid.uuid4().hex
        """What IDENTITY_HEADER holds; who does not know it gets nothing."""
        self.audience: str | None = None
        """The audience of the next tokens, where it is to be another than was asked for."""

    @property
    def environment(self) -> dict[str, str]:
        """What an app is given of it."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": self.header, "NO_PROXY": "127.0.0.1"}

    def handle(self, request: Request) -> Answer:
        """By the REST reference of App Service: one GET, with the header, the version and a resource."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        if headers.get("x-identity-header") != self.header or request.query.get("api-version") != "2019-08-01":
            return Answer(400, {"statusCode": 400, "message": "no such endpoint, or not for you"})
        resource = request.query["resource"]
        ends = int(time.time()) + TOKEN_DAYS * 86_400
        token = json_web_token(self.audience or resource, ends)
        return Answer(200, {"access_token": token, "expires_on": str(ends), "resource": resource, "token_type": "Bearer"})


def json_web_token(audience: str, ends: int) -> str:
    """A token as Entra issues it, unsigned: Azurite reads what it says, and does not look at the signature."""
    now = int(time.time()) - 60
    claims = {"aud": audience, "iss": f"https://sts.windows.net/{TENANT}/", "iat": now, "nbf": now, "exp": ends, "tid": TENANT}
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join([base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts] + [""])


class Azurite:
    """The process, the identity that gets in, and the certificate that it shows."""

    def __init__(self) -> None:
        command = [node(), "--require", str(TESTS / "azurite_clock.js"), str(NODE_MODULES / "azurite/dist/src/blob/main.js")]
        self.folder = tempfile.TemporaryDirectory(prefix="azurite-")
        self.certificate, private_key = _certificate(Path(self.folder.name))
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


def _certificate(folder: Path) -> tuple[str, str]:
    """A certificate for this machine's loopback and its private key, as files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for file, content in (("certificate.pem", certificate.public_bytes(encoding)), ("key.pem", private)):
        (folder / file).write_bytes(content)
    return str(folder / "certificate.pem"), str(folder / "key.pem")
