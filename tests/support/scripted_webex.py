"""A small Webex API for tests: pages like the real one, and misbehaves exactly as a test scripts it."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from socket import SHUT_RDWR
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from processors.ingest.token_bucket import RequestRates

TRACKING_ID = "ROUTER_TEST"


FAST = RequestRates(1e6, 1e6, 1e6, 5)
"""Rates for tests that don't wait for their turn."""


class OneToken:
    """A source of one token that never gets newer."""

    def __init__(self, token: str = "token") -> None:
        self._token = token

    def token(self) -> str:
        """The token."""
        return self._token

    def renew(self, rejected: str) -> str:
        """The same again."""
        return self._token


@dataclass(frozen=True)
class Answer:
    """A scripted answer. `cut` sends only so many bytes and hangs up; `stall` waits first; `drip` waits after each byte."""

    status: int = 200
    body: bytes = b'{"items":[]}'
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall: float = 0.0
    drip: float = 0.0


@dataclass(frozen=True)
class Request:
    """A request as it came in."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]
    at: float


class ScriptedWebex:
    """Listings by path (`/devices`), readings by workspace and metric, statuses by device, and faults that come first."""

    def __init__(self) -> None:
        self.base = ""
        self.page_cap = 1000
        self.tokens = {"token"}
        self.listings: dict[str, list[Any]] = {"/devices": [], "/workspaces": [], "/locations": []}
        self.metrics: dict[tuple[str, str], list[Any]] = defaultdict(list)
        self.durations: dict[tuple[str, str], list[Any]] = defaultdict(list)
        self.statuses: dict[str, Any] = {}
        self.faults: dict[str, list[Answer | None]] = defaultdict(list)
        """By path, the answers to the next requests; None stands for the proper one."""
        self.always: dict[str, Answer] = {}
        self.requests: list[Request] = []
        self.connections: set[tuple[str, int]] = set()
        self.respond: Callable[[Request], Answer] = self.answer
        """What a request gets: the proper answer, or what a test puts in its place."""

    def asked(self, path: str) -> list[Request]:
        """The requests for a path so far."""
        return [request for request in self.requests if request.path == path]

    def answer(self, request: Request) -> Answer:
        """What this request properly gets."""
        if self.faults[request.path]:
            fault = self.faults[request.path].pop(0)
            if fault is not None:
                return fault
        if request.path in self.always:
            return self.always[request.path]
        if request.headers.get("authorization") not in {f"Bearer {token}" for token in self.tokens}:
            return error(401)
        if request.path == "/workspaceMetrics":
            key = request.params["workspaceId"], request.params["metricName"]
            inside = [r for r in self.metrics[key] if _in_window(r, request.params)]
            return Answer(body=json.dumps({"items": inside}).encode())
        if request.path == "/workspaceDurationMetrics":
            hours = self.durations[request.params["workspaceId"], request.params["measurement"]]
            inside = [hour for hour in hours if not isinstance(hour, dict) or _is_inside(hour, request.params)]
            return Answer(body=json.dumps({"items": inside}).encode())
        if request.path == "/xapi/status":
            device_id = request.params["deviceId"]
            if device_id not in self.statuses:
                return error(404)
            return Answer(body=json.dumps({"deviceId": device_id, "result": self.statuses[device_id]}).encode())
        if request.path not in self.listings:
            return error(404)
        return self._page(request)

    def _page(self, request: Request) -> Answer:
        items, status = self.listings[request.path], request.params.get("connectionStatus")
        if status is not None:
            items = [item for item in items if item["connectionStatus"] == status]
        start = int(request.params.get("start", "0"))
        size = min(self.page_cap, int(request.params.get("max", "1000")))
        headers = {}
        if start + size < len(items):
            query = urlencode({**request.params, "max": size, "start": start + size})
            headers["Link"] = f'<{self.base}{request.path}?{query}>; rel="next"'
        return Answer(body=json.dumps({"items": items[start : start + size]}).encode(), headers=headers)


def error(status: int, **headers: str) -> Answer:
    """An error as Webex words it; `Retry_After="3"` becomes the header Retry-After."""
    body = json.dumps({"message": f"status {status}", "errors": [], "trackingId": TRACKING_ID}).encode()
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def device(number: int, **fields: Any) -> dict[str, Any]:
    """A connected room device, as Webex lists it."""
    return {
        "id": f"device-{number}",
        "displayName": f"Room Bar {number}",
        "workspaceId": f"workspace-{number}",
        "locationId": "location-1",
        "connectionStatus": "connected",
        "product": "Cisco Room Bar",
        "type": "roomdesk",
        "software": "RoomOS 26.8",
        "errorCodes": [],
        "lastSeen": "2026-11-23T15:41:08.310Z",
        "plannedMaintenance": {"mode": "off"},
    } | fields


def workspace(number: int, *configured: str, **fields: Any) -> dict[str, Any]:
    """A workspace with these capabilities set up."""
    capabilities = {name: {"supported": True, "configured": True} for name in configured}
    known = {"id": f"workspace-{number}", "displayName": f"Room {number}", "locationId": "location-1"}
    return known | {"capabilities": capabilities} | fields


def location(number: int, name: str, city: str | None = None) -> dict[str, Any]:
    """A location; `city` is what its address says."""
    return {"id": f"location-{number}", "name": name, "address": {"city": city, "country": "FR"}, "timeZone": "Europe/Paris"}


@lru_cache(maxsize=256)
def _zipped(body: bytes) -> bytes:
    """A body as it is sent; most answers are given many times."""
    return gzip.compress(body, 1)


@contextmanager
def serving(webex: ScriptedWebex) -> Iterator[ScriptedWebex]:
    """Serve on a free port of loopback until the context ends."""

    class Handler(StreamRequestHandler):
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

        def handle(self) -> None:
            while line := self.rfile.readline():
                at = time.monotonic()
                method, target, _ = line.decode().split()
                parts, headers = urlsplit(target), dict(self._headers())
                request = Request(parts.path.removeprefix("/v1"), dict(parse_qsl(parts.query)), headers, at)
                webex.requests.append(request)
                webex.connections.add(self.client_address)
                answer = webex.respond(request) if method == "GET" else error(405)
                self._send(answer, "gzip" in headers.get("accept-encoding", ""))
                if answer.cut is not None:
                    break

        def _headers(self) -> Iterator[tuple[str, str]]:
            """The headers of a request; a parser of mail, as http.server's is, takes longer than all the rest."""
            while line := self.rfile.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                yield name.lower(), value.strip()

        def _send(self, answer: Answer, zipped: bool) -> None:
            time.sleep(answer.stall)
            headers = {"Date": formatdate(usegmt=True), "TrackingID": TRACKING_ID, **answer.headers}
            body = answer.body
            if zipped and answer.cut is None:
                body = _zipped(body)
                headers["Content-Encoding"] = "gzip"
            lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            head = "\r\n".join([*lines, "", ""]).encode("latin-1")
            if not answer.drip:
                self.wfile.write(head + body[: answer.cut])
                return
            self.wfile.write(head)
            for byte in body[: answer.cut]:
                self.wfile.write(bytes([byte]))
                time.sleep(answer.drip)

    class Server(ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that gave up is part of the script."""

    server = Server(("127.0.0.1", 0), Handler)
    webex.base = f"http://127.0.0.1:{server.server_address[1]}/v1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield webex
    finally:
        server.socket.shutdown(SHUT_RDWR)  # which it notices at once
        server.shutdown()
        server.server_close()


def _in_window(reading: Any, params: dict[str, str]) -> bool:
    return not isinstance(reading, dict) or params["from"] <= str(reading.get("timestamp")) <= params["to"]


def _is_inside(hour: dict[str, Any], params: dict[str, str]) -> bool:
    return params["from"] <= str(hour["start"]) and str(hour["end"]) <= params["to"]
