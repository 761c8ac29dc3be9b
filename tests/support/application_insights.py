"""Application Insights' ingestion endpoint for tests: https, nothing without a token for it, and what came by its tables."""

from __future__ import annotations

import base64
import gzip
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.app_service import IdentityEndpoint, certificate

AUDIENCE = "https://monitor.azure.com/"
WARNING, ERROR = 2, 3
"""Values of SeverityLevel."""


@dataclass
class ApplicationInsights:
    """What arrived, envelope by envelope; `environment` is what an app needs to send here as it does on Azure."""

    environment: dict[str, str] = field(default_factory=dict)
    envelopes: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def traces(self) -> list[dict[str, Any]]:
        """The rows of AppTraces: Message, SeverityLevel, Properties, AppRoleName."""
        return [
            {
                "Message": envelope["data"]["baseData"]["message"],
                "SeverityLevel": envelope["data"]["baseData"].get("severityLevel"),
                "Properties": envelope["data"]["baseData"].get("properties", {}),
                "AppRoleName": envelope["tags"].get("ai.cloud.role"),
            }
            for envelope in self.envelopes
            if envelope["data"]["baseType"] == "MessageData"
        ]

    def trace(self, message: str) -> dict[str, Any]:
        """The row of AppTraces whose Message begins so, waiting for it; raises AssertionError when none comes."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for row in self.traces():
                if row["Message"].startswith(message):
                    return row
            time.sleep(0.05)
        raise AssertionError(f"no {message!r} among {[row['Message'] for row in self.traces()]}")

    def take(self, authorization: str, body: bytes) -> int:
        """Take what was posted; gives the status of the answer."""
        scheme, _, token = authorization.partition(" ")
        payload = token.split(".")[1] if token.count(".") == 2 else ""
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)) or "{}")
        if scheme != "Bearer" or claims.get("aud", "").rstrip("/") != AUDIENCE.rstrip("/"):
            self.refused.append(authorization)
            return 401
        self.envelopes += json.loads(body)
        return 200


@contextmanager
def ingesting(folder: Path) -> Iterator[ApplicationInsights]:
    """Serve an ingestion endpoint, and the identity endpoint that gives tokens for it."""
    insights = ApplicationInsights()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status = insights.take(self.headers.get("Authorization", ""), body)
            count = len(json.loads(body))
            content = json.dumps({"itemsReceived": count, "itemsAccepted": count if status == 200 else 0, "errors": []}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Tests need no log."""

    public, private = certificate(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    identity = IdentityEndpoint()
    connection = (
        f"InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=https://127.0.0.1:{server.server_port}/"
    )
    insights.environment = {
        **identity.environment,
        "APPLICATIONINSIGHTS_CONNECTION_STRING": connection,
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "AZURE_CLIENT_ID": "the-identity-of-the-app",
        "PYTHON_ENABLE_OPENTELEMETRY": "true",
        "REQUESTS_CA_BUNDLE": public,
    }
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield insights
    finally:
        server.shutdown()
        server.server_close()
