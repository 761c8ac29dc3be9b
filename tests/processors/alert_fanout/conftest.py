"""What the tests of the fan-out share: alert rows, settings, a webhook receiver on loopback."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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


def outage_row(state: str = "fired", **fields: Any) -> dict[str, Any]:
    """The outage of the site where alert_row's devices are."""
    started = "2026-11-24T09:34:00.0000000Z"
    row: dict[str, Any] = {
        "alertId": f"site-outage|location-1|{started}",
        "ruleId": "site-outage",
        "severity": 1,
        "entity": "location",
        "entityId": "location-1",
        "name": "Lyon Part-Dieu",
        "workspaceId": None,
        "workspaceName": None,
        "signal": "offlineRatio",
        "value": 0.98 if state == "fired" else 0.02,
        "threshold": 0.5,
        "startedAt": started,
    }
    return alert_row(state=state, **(row | fields))


def body(*rows: dict[str, Any]) -> bytes:
    """An event's body as Stream Analytics writes it: JSON objects separated by line feeds."""
    known = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return "\n".join(json.dumps(row) for row in known).encode()


@dataclass
class Request:
    """What a service got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass
class Answer:
    """What a service answers, a `body` of bytes as it is and others as JSON; `silent`: it never does."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    silent: bool = False


class Receiver:
    """A service that keeps what it gets and answers as scripted (`always` when nothing is). Like a good receiver of webhooks, it
    takes a request whose `Idempotency-Key` it knows and forgets it.
    """

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[int | Answer] = []
        self.always: int | Answer = 200
        self.attempts = 0
        self.requests: list[Request] = []

    @property
    def got(self) -> list[tuple[str, Any]]:
        """Key and content of everything it took, repeats left out."""
        first = {request.headers.get("Idempotency-Key", str(number)): request for number, request in enumerate(self.requests)}
        return [(key, request.json) for key, request in first.items()]

    def titles(self) -> list[str]:
        """The titles it took, in order."""
        return [content["title"] for _, content in self.got]

    def answered(self, request: Request) -> Answer:
        """Take a request; what to answer."""
        self.attempts += 1
        answer = self.answers.pop(0) if self.answers else self.always
        answer = Answer(answer) if isinstance(answer, int) else answer
        if 200 <= answer.status < 300 and not answer.silent:
            self.requests.append(request)
        return answer


@contextlib.contextmanager
def serving(kept: Receiver) -> Iterator[Receiver]:
    """Serve a receiver on a free port."""
    ending = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

        def handle_any(self) -> None:
            body = self.rfile.read(length := int(self.headers["Content-Length"]))
            if len(body) < length:
                return  # whoever sent it was killed meanwhile: nobody has got it
            answer = kept.answered(Request(self.command, self.path, dict(self.headers), body))
            if answer.silent:
                ending.wait(10)
                return
            said = b"" if answer.body is None else answer.body
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = handle_any

        def log_message(self, format: str, *arguments: object) -> None:
            """Tests need no log."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # so many channels may come at once

    server = Server(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/hook/secret-token"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield kept
    finally:
        ending.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A service on a free port."""
    with serving(Receiver()) as kept:
        yield kept


@pytest.fixture
def another_receiver() -> Iterator[Receiver]:
    """One more."""
    with serving(Receiver()) as kept:
        yield kept


@pytest.fixture
def answer() -> type[Answer]:
    """See Answer."""
    return Answer


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    """See alert_row."""
    return alert_row


@pytest.fixture
def make_outage() -> Callable[..., dict[str, Any]]:
    """See outage_row."""
    return outage_row


@pytest.fixture
def make_body() -> Callable[..., bytes]:
    """See body."""
    return body
