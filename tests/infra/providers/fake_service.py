"""A fake Azure service on loopback: records what was asked, and fails on request in the ways real services fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "test-bearer-token-that-must-stay-secret"


@dataclass
class Request:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    """What is sent back. A body that is not text is sent as JSON."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """Something that goes wrong with the requests it applies to: `answer` None closes the connection without one.

    `afterwards` lets the service do what it was asked before the answer goes wrong; `happening` runs at that moment (a kill,
    say).
    """

    applies: Callable[[Request], bool]
    answer: Answer | None = None
    times: int = 1
    afterwards: bool = False
    happening: Callable[[], None] | None = None


class FakeService:
    """An HTTP service in a thread. Subclasses answer in `handle`; it is called under a lock, one request at a time."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self._lock = threading.RLock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                split = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = {name: values[0] for name, values in parse_qs(split.query).items()}
                answer = service._answer(Request(self.command, split.path, query, dict(self.headers.items()), body))
                if answer is None:
                    self.close_connection = True
                    return
                content = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                payload = b"" if answer.body is None else content.encode()
                self.send_response(answer.status)
                if payload and not isinstance(answer.body, str):
                    self.send_header("Content-Type", "application/json; charset=utf-8")
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _serve

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def handle(self, request: Request) -> Answer:
        raise NotImplementedError

    def fail(
        self,
        method: str,
        path_ending: str,
        answer: Answer | None,
        *,
        times: int = 1,
        afterwards: bool = False,
    ) -> None:
        """The next `times` requests of this kind go wrong."""

        def applies(request: Request) -> bool:
            return request.method == method and request.path.endswith(path_ending)

        self.faults.append(Fault(applies, answer, times, afterwards))

    def fail_nth(
        self, number: int, answer: Answer | None, *, afterwards: bool, happening: Callable[[], None] | None = None
    ) -> None:
        """The request that comes as the `number`th from now on (1 is the next one) goes wrong."""
        target = len(self.requests) + number

        def applies(_request: Request) -> bool:
            return len(self.requests) == target

        self.faults.append(Fault(applies, answer, 1, afterwards, happening))

    def _answer(self, request: Request) -> Answer | None:
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self.faults if fault.times > 0 and fault.applies(request)), None)
            if fault is not None and not fault.afterwards:
                return self._go_wrong(fault)
            answer = self.handle(request)
            return self._go_wrong(fault) if fault is not None else answer

    @staticmethod
    def _go_wrong(fault: Fault) -> Answer | None:
        fault.times -= 1
        if fault.happening is not None:
            fault.happening()
        return fault.answer


def arm_error(status: int, code: str, message: str, **headers: str) -> Answer:
    """An error in the shape Azure Resource Manager gives it."""
    return Answer(
        status, {"error": {"code": code, "message": message}}, {"x-ms-correlation-request-id": "correlation-1", **headers}
    )
