"""What App Service gives an app to enter other services with: tokens of its managed identity. And a certificate for loopback."""

from __future__ import annotations

import base64
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from tests.infra.providers.fake_service import Answer, FakeService, Request

TENANT = "00000000-0000-0000-0000-000000000001"
TOKEN_DAYS = 30
"""Longer than any test puts a clock forward."""


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


def certificate(folder: Path) -> tuple[str, str]:
    """A certificate for this machine's loopback and its private key, as files."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
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
    for file, content in (("certificate.pem", signed.public_bytes(encoding)), ("key.pem", private)):
        (folder / file).write_bytes(content)
    return str(folder / "certificate.pem"), str(folder / "key.pem")
