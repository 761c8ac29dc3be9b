"""What the tests of the fan-out share: alert rows, settings, a webhook receiver on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


def alert_row(number: int = 1, state: str = "fired", **fields: Any) -> dict[str, Any]:
    """An alert as the stream query writes it; alert `number` is of device `number` in Lyon."""
    started = "2026-11-24T09:30:00.0000000Z"
    return {
        "alertId": f"device-offline|device-{number}|{started}",
        "ruleId": "device-offline",
        "severity": 2,
        "state": state,
        "entity": "device",
        "entityId": f"device-{number}",
        "name": f"Room Bar {number}",
        "cityId": "lyon",
        "locationId": "location-1",
        "locationName": "Lyon Part-Dieu",
        "workspaceId": f"workspace-{number}",
        "workspaceName": f"Room {number}",
        "signal": "offline",
        "value": 1.0 if state == "fired" else 0.0,
        "threshold": 1.0,
        "startedAt": started,
        "observedAt": "2026-11-24T09:35:00.0000000Z" if state == "fired" else "2026-11-24T10:45:00.0000000Z",
    } | fields


def body(*rows: dict[str, Any]) -> bytes:
    """An event's body as Stream Analytics writes it: JSON objects separated by line feeds."""
    return "\n".join(json.dumps(row) for row in rows).encode()


class Receiver:
    """A webhook that keeps what it gets and answers as scripted (200 when nothing is)."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[int] = []
        self.always = 200
        self.attempts = 0
        self.got: list[tuple[str, dict[str, Any]]] = []

    def titles(self) -> list[str]:
        """The titles it took, in order."""
        return [content["title"] for _, content in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook receiver on a free port."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kept.attempts += 1
            status = kept.answers.pop(0) if kept.answers else kept.always
            if status == 200:
                kept.got.append((self.headers["Idempotency-Key"], content))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Tests need no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_port}/hook/secret-token"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def make_row():
    """See alert_row."""
    return alert_row


@pytest.fixture
def make_body():
    """See body."""
    return body
