"""The simulator as an HTTP server: HTTP/1.1 with keep-alive, gzip when asked for, a tracking id on every answer.

The standard library's threading server does: a poller has one connection, and measured beside Starlette on uvicorn it took a
third of the memory and two thirds of the CPU time. It also lets us cut connections, which is one of the faults to simulate.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import sys
import threading
import uuid
import zlib
from collections import Counter
from collections.abc import Sequence
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseServer, ThreadingTCPServer
from typing import Any, cast
from urllib.parse import urlsplit

from webex_simulator.answers import Answer, Dropped, Query, json_answer
from webex_simulator.api import Api, Request
from webex_simulator.clock import Clock
from webex_simulator.control import Control
from webex_simulator.effects import DamagedEffects, Effects
from webex_simulator.estate import City, Estate, build_estate

PAGE_CAP = 1000
"""Most devices or workspaces a page. The real caps are not documented."""
WORTH_COMPRESSING = 1400
"""Bytes: a shorter body fits into one packet anyway."""
LONGEST_BODY = 64 * 1024
DEVICES = 420
SEED = 7
REAL_TIME = Clock()
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ONLY_OURS = "This breaks things in the simulated estate, so it is for commands on this machine only, not for pages in a browser."
STOP_CHECK_SECONDS = 0.05

log = logging.getLogger("webex_simulator")


class SimulatorError(Exception):
    """The simulator can't be built. The text names the thing at fault and the next step."""


class WebexSimulator:
    """A simulated Webex organisation behind the documented API, on loopback. Reusable: start, stop, start again."""

    def __init__(
        self,
        cities: Sequence[City],
        state_file: Path,
        *,
        devices: int = DEVICES,
        seed: int = SEED,
        port: int = 0,
        clock: Clock = REAL_TIME,
        traps: bool = True,
        page_cap: int = PAGE_CAP,
    ) -> None:
        """`state_file`: where what is broken on purpose is kept. `port` 0 lets the system choose. `traps`: records have the
        oddities of the real API. Raises SimulatorError for a number of devices out of range and for a damaged state file.
        """
        try:
            self.estate: Estate = build_estate(seed, devices, cities, traps=traps)
            effects = Effects(self.estate, state_file)
        except (ValueError, DamagedEffects) as fault:
            raise SimulatorError(str(fault)) from fault
        self._api = Api(self.estate, effects, clock, page_cap)
        self.integrations = self._api.integrations
        """Those that are activated; `hold_seconds` is how long a poll of a queue is held."""
        self.control_hub = self._api.control_hub
        """Sends alerts about devices where it is set up to."""
        self._control = Control(self.estate, effects, clock, self.integrations)
        self._wanted_port = port
        self._server: _Server | None = None
        self._stopping = threading.Event()
        self.answers: Counter[int] = Counter()
        """Requests to the API so far, by HTTP status; 0 stands for connections that were cut."""

    def start(self) -> None:
        """Listen and answer in threads of their own; raises OSError when the port is taken."""
        self._server = _Server(("127.0.0.1", self._wanted_port), self._api, self._control, self.answers)
        threading.Thread(target=self._server.serve_forever, args=(STOP_CHECK_SECONDS,), name="webex", daemon=True).start()
        self._stopping = threading.Event()
        threading.Thread(target=self.control_hub.run, args=(self._stopping,), name="control-hub", daemon=True).start()

    def stop(self) -> None:
        """Stop listening and cut every connection."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        """Base address of the API, ending in /v1; only while it runs."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def status_url(self) -> str:
        """Base address of Webex's status page; only while it runs."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def control_url(self) -> str:
        """Address of the control endpoint; only while it runs."""
        return f"http://127.0.0.1:{self._port}/_control"

    @property
    def _port(self) -> int:
        if self._server is None:
            raise RuntimeError("the simulator does not run: call start() first")
        return int(self._server.server_address[1])


class _Server(ThreadingTCPServer):
    """Accepts connections; closing it cuts those that are open."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], api: Api, control: Control, answers: Counter[int]) -> None:
        self.api = api
        self.control = control
        self._answers = answers
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def count(self, status: int) -> None:
        """Count an answer."""
        with self._lock:
            self._answers[status] += 1

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, and remember it while it is open."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop listening and cut every connection."""
        super().server_close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the peer may have closed it in this moment
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong in a connection's thread; a client that goes away is not a fault of ours."""
        fault = sys.exc_info()[1]
        if isinstance(fault, ConnectionError):
            log.debug("a client went away: %s", fault)
        else:
            log.exception("a request could not be answered")


def _is_foreign(headers: Message) -> bool:
    """Whether a request comes from a page in a browser, or by a name that others can give to this machine (DNS rebinding)."""
    try:
        host = urlsplit(f"//{headers.get('Host', '')}").hostname
    except ValueError:
        return True
    from_a_page = headers.get("Origin") is not None or headers.get("Sec-Fetch-Site", "none") != "none"
    return from_a_page or host not in LOOPBACK


class _Handler(BaseHTTPRequestHandler):
    """Reads requests of one connection and writes the answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, request: Any, client_address: Any, server: BaseServer) -> None:
        self._server = cast(_Server, server)
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        """Answer a request of any method."""
        address = urlsplit(self.path)
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            self.send_error(413)
            return
        body = self.rfile.read(int(length)).decode("utf-8", "replace")
        tracking_id = f"SIMULATOR_{uuid.uuid4()}"
        base = f"http://{self.headers.get('Host') or '{}:{}'.format(*self._server.server_address[:2])}"
        if address.path.startswith("/_control"):
            if _is_foreign(self.headers):
                self._send(json_answer({"error": ONLY_OURS}, 403), tracking_id)
                return
            self._send(self._server.control.respond(self.command, address.path.rstrip("/"), body, base), tracking_id)
            return
        request = Request(self.command, base, address.path, Query(address.query), self.headers.get("Authorization"), body)
        try:
            answer = self._server.api.respond(request, tracking_id)
        except Dropped:
            self._server.count(0)
            self._cut()
            return
        self._server.count(answer.status)
        self._send(answer, tracking_id)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are counted, not logged one by one."""

    def _send(self, answer: Answer, tracking_id: str) -> None:
        body, headers = answer.body, {"Content-Type": answer.content_type, "TrackingID": tracking_id, **answer.headers}
        if len(body) > WORTH_COMPRESSING and "gzip" in self.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = zlib.compress(body, 1, wbits=31), "gzip"
        self.send_response(answer.status)
        for name, value in (headers | {"Cache-Control": "no-cache, no-store", "Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _cut(self) -> None:
        """Reset the connection: no answer, no farewell."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
