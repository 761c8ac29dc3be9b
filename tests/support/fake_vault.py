"""A small Key Vault on loopback: secrets by name with versions, and what it refuses as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class FakeVault:
    """Secrets (all versions, newest last), requests as (method, name), and statuses to refuse a method with."""

    def __init__(self) -> None:
        self.uri = ""
        self.secrets: dict[str, list[str]] = {}
        self.requests: list[tuple[str, str]] = []
        self.authorizations: set[str | None] = set()
        self.refuse: dict[str, int] = {}

    def answer(self, method: str, name: str, version: str | None, body: bytes) -> tuple[int, dict[str, object]]:
        """Status and JSON, as the REST reference documents them."""
        self.requests.append((method, name))
        if status := self.refuse.get(method):
            return status, {"error": {"code": "Forbidden", "message": "refused"}}
        if version is None:
            return 400, {"error": {"code": "BadParameter", "message": "api-version must be specified"}}
        if method == "PUT":
            self.secrets.setdefault(name, []).append(json.loads(body)["value"])
        if name not in self.secrets:
            return 404, {"error": {"code": "SecretNotFound", "message": f"A secret with (name/id) {name} was not found"}}
        return 200, {"value": self.secrets[name][-1], "id": f"{self.uri}/secrets/{name}/{len(self.secrets[name])}"}


@contextmanager
def fake_vault() -> Iterator[FakeVault]:
    """Serve on a free port of loopback until the context ends."""
    vault = FakeVault()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            vault.authorizations.add(self.headers.get("Authorization"))
            versions = parse_qs(parts.query).get("api-version", [None])
            status, document = vault.answer(self.command, parts.path.removeprefix("/secrets/"), versions[0], body)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = _handle

        def log_message(self, format: str, *arguments: object) -> None:
            """Tests need no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    vault.uri = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield vault
    finally:
        server.shutdown()
        server.server_close()
