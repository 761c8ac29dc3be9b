"""A small Blob service on loopback that answers as Azure Storage documents: etags, conditions, leases, pages, throttling.

Only what the repository uses. It speaks real HTTP to the real azure-storage-blob client; faults come as scripted. What both can
do, Azurite does as well (tests/support/blobs.py).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

ACCOUNT = "account"
Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""
PAGE = 3
"""Blobs to a page of a listing: small, so that tests see several."""


@dataclass
class StoredBlob:
    """A blob and the lease on it: `lease` is its id, `until` the end; `breaking` says it was broken."""

    content: bytes
    etag: str
    lease: str | None = None
    seconds: float = 0.0
    until: float = 0.0
    breaking: bool = False


class Refused(Exception):
    """The request gets this status and error code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


@dataclass
class Request:
    """A request as it came in: `action` is GET, HEAD, PUT, DELETE, list or lease-acquire, lease-renew, lease-release."""

    action: str
    blob: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes


class FakeBlobs:
    """Containers of blobs, the requests so far, and what is to go wrong."""

    def __init__(self) -> None:
        self.port = 0
        self.environment: dict[str, str] = {}
        """A service on http lets everybody in."""
        self.containers: dict[str, dict[str, StoredBlob]] = {"state": {}}
        self.requests: list[Request] = []
        self.throttle: list[str] = []
        """Actions whose next request gets 503 ServerBusy."""
        self.lose_answer: list[str] = []
        """Actions whose next request is carried out, and its answer lost."""
        self.before: dict[str, Callable[[], object]] = {}
        """By action, what happens just before the next such request is carried out."""
        self.forbidden = False
        self.elapsed = 0.0
        """Seconds that leases believe have gone by beyond the real ones."""
        self.blocks: dict[str, bytes] = {}
        """By id, what was sent of blobs that are sent in blocks."""
        self.lock = threading.RLock()

    def url(self, container: str = "state") -> str:
        """The URL of a container."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}/{container}"

    def blob(self, name: str, container: str = "state") -> StoredBlob:
        """A blob as it is now."""
        return self.containers[container][name]

    def put(self, name: str, content: bytes, container: str = "state") -> str:
        """Write a blob past all conditions, as somebody else would; gives its etag."""
        return self._stored(self.containers[container], name, content)

    def content(self, name: str) -> bytes:
        """See Blobs."""
        return self.blob(name).content

    def names(self) -> list[str]:
        """See Blobs."""
        return sorted(self.containers["state"])

    def remove(self, name: str) -> None:
        """See Blobs."""
        del self.containers["state"][name]

    def remove_container(self) -> None:
        """See Blobs."""
        del self.containers["state"]

    def leased(self, name: str) -> bool:
        """See Blobs."""
        return self._active(self.blob(name))

    def break_lease(self, name: str) -> None:
        """See Blobs."""
        self.blob(name).breaking = True

    def pass_time(self, seconds: float) -> None:
        """See Blobs."""
        self.elapsed += seconds

    def actions(self) -> list[str]:
        """What was asked for so far."""
        return [request.action for request in self.requests]

    def now(self) -> float:
        """The clock of the leases."""
        return time.monotonic() + self.elapsed

    def answer(self, container: str, request: Request) -> Answer:
        """Status, headers and body."""
        if self.forbidden:
            raise Refused(403, "AuthorizationPermissionMismatch")
        if "x-ms-version" not in request.headers:
            raise Refused(400, "MissingRequiredHeader")
        blobs = self.containers.get(container)
        if blobs is None:
            raise Refused(404, "ContainerNotFound")
        if request.action == "list":
            return 200, {"Content-Type": "application/xml"}, _listing(blobs, request.query)
        stored = blobs.get(request.blob)
        if request.action == "PUT":
            return self._put(blobs, stored, request)
        if stored is None:
            raise Refused(404, "BlobNotFound")
        if request.action == "DELETE":
            _check_conditions(stored, request.headers)
            self._check_lease(stored, request.headers)
            del blobs[request.blob]
            return 202, {}, b""
        if request.action.startswith("lease-"):
            return self._lease(stored, request)
        return _content(stored, request)

    def _put(self, blobs: dict[str, StoredBlob], stored: StoredBlob | None, request: Request) -> Answer:
        content, part = request.body, request.query.get("comp")
        if part is None and request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise Refused(400, "InvalidHeaderValue")
        if part != "block":
            _check_conditions(stored, request.headers)
        if stored is not None:
            self._check_lease(stored, request.headers)
        if part == "block":
            self.blocks[request.query["blockid"]] = request.body
            return 201, {"x-ms-request-server-encrypted": "true"}, b""
        if part == "blocklist":
            content = b"".join(self.blocks.pop(block.text or "") for block in ElementTree.fromstring(request.body))
        etag = self._stored(blobs, request.blob, content)
        return 201, {"ETag": etag, "x-ms-request-server-encrypted": "true"}, b""

    def _stored(self, blobs: dict[str, StoredBlob], name: str, body: bytes) -> str:
        etag = f'"0x{uuid.uuid4().hex[:16].upper()}"'
        stored = blobs.setdefault(name, StoredBlob(b"", ""))
        if not self._active(stored):
            stored.lease = None  # a write ends an expired lease for good: it can't be renewed any more
        stored.content, stored.etag = body, etag
        return etag

    def _active(self, stored: StoredBlob) -> bool:
        return stored.lease is not None and not stored.breaking and self.now() < stored.until

    def _check_lease(self, stored: StoredBlob, headers: dict[str, str]) -> None:
        """What a write needs: the id of the active lease; and no id where there is no lease."""
        given = headers.get("x-ms-lease-id")
        if self._active(stored):
            if given is None:
                raise Refused(412, "LeaseIdMissing")
            if given != stored.lease:
                raise Refused(412, "LeaseIdMismatchWithBlobOperation")
        elif given is not None:
            raise Refused(412, "LeaseLost" if given == stored.lease else "LeaseNotPresentWithBlobOperation")

    def _lease(self, stored: StoredBlob, request: Request) -> Answer:
        """By the table of lease states and operations in the reference of Lease Blob."""
        given = request.headers.get("x-ms-lease-id")
        if request.action == "lease-acquire":
            wanted = request.headers.get("x-ms-proposed-lease-id") or str(uuid.uuid4())
            if self._active(stored) and stored.lease != wanted:
                raise Refused(409, "LeaseAlreadyPresent")
            seconds = int(request.headers["x-ms-lease-duration"])
            if not 15 <= seconds <= 60:
                raise Refused(400, "InvalidHeaderValue")
            stored.lease, stored.seconds, stored.until, stored.breaking = wanted, seconds, self.now() + seconds, False
            return 201, {"ETag": stored.etag, "x-ms-lease-id": wanted}, b""
        if stored.lease is None:
            raise Refused(409, "LeaseNotPresentWithLeaseOperation")
        if given != stored.lease:
            raise Refused(409, "LeaseIdMismatchWithLeaseOperation")
        if request.action == "lease-release":
            stored.lease = None
            return 200, {"ETag": stored.etag}, b""
        if stored.breaking:
            raise Refused(409, "LeaseIsBrokenAndCannotBeRenewed")
        stored.until = self.now() + stored.seconds
        return 200, {"ETag": stored.etag, "x-ms-lease-id": given}, b""


def _content(stored: StoredBlob, request: Request) -> Answer:
    _check_conditions(stored, request.headers)
    headers = {"ETag": stored.etag, "x-ms-blob-type": "BlockBlob", "Accept-Ranges": "bytes"}
    size = len(stored.content)
    if request.action == "HEAD":
        return 200, headers | {"Content-Length": str(size)}, b""
    asked = request.headers.get("x-ms-range") or request.headers.get("range")
    if asked is None:
        return 200, headers, stored.content
    first, last = (int(part) for part in asked.removeprefix("bytes=").split("-"))
    if first >= size:
        raise Refused(416, "InvalidRange")
    last = min(last, size - 1)
    return 206, headers | {"Content-Range": f"bytes {first}-{last}/{size}"}, stored.content[first : last + 1]


def _check_conditions(stored: StoredBlob | None, headers: dict[str, str]) -> None:
    wanted, unwanted = headers.get("if-match"), headers.get("if-none-match")
    if wanted is not None and (stored is None or wanted not in ("*", stored.etag)):
        raise Refused(412, "ConditionNotMet")
    if unwanted == "*" and stored is not None:
        raise Refused(409, "BlobAlreadyExists")
    if unwanted is not None and stored is not None and unwanted == stored.etag:
        raise Refused(304, "ConditionNotMet")


def _listing(blobs: dict[str, StoredBlob], query: dict[str, str]) -> bytes:
    names = sorted(name for name in blobs if name.startswith(query.get("prefix", "")) and name >= query.get("marker", ""))
    page, rest = names[:PAGE], names[PAGE:]
    items = "".join(
        f"<Blob><Name>{escape(name)}</Name><Properties><Etag>{blobs[name].etag.strip(chr(34))}</Etag>"
        f"<Content-Length>{len(blobs[name].content)}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
        for name in page
    )
    marker = f"<NextMarker>{escape(rest[0])}</NextMarker>" if rest else "<NextMarker />"
    prefix = f"<Prefix>{escape(query.get('prefix', ''))}</Prefix>"
    inside = f"{prefix}<Blobs>{items}</Blobs>{marker}"
    return f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults>{inside}</EnumerationResults>'.encode()


@contextmanager
def fake_blobs() -> Iterator[FakeBlobs]:
    """Serve on a free port of loopback until the context ends."""
    service = FakeBlobs()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            _, _, container, *names = unquote(parts.path).split("/")
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            action = self.command
            if query.get("comp") == "list":
                action = "list"
            elif query.get("comp") == "lease":
                action = f"lease-{headers['x-ms-lease-action']}"
            request = Request(action, "/".join(names), headers, query, body)
            if happening := service.before.pop(action, None):
                happening()
            with service.lock:
                service.requests.append(request)
                if action in service.throttle:
                    service.throttle.remove(action)
                    self._send(*_refusal(Refused(503, "ServerBusy"), request))
                    return
                try:
                    answer = service.answer(container, request)
                except Refused as refused:
                    answer = _refusal(refused, request)
                if action in service.lose_answer:
                    service.lose_answer.remove(action)
                    self.close_connection = True
                    return
            self._send(*answer)

        do_GET = do_HEAD = do_PUT = do_DELETE = _handle

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            now = formatdate(usegmt=True)
            own = {"Last-Modified": now, "x-ms-request-id": str(uuid.uuid4()), "x-ms-version": "2026-06-06"}
            for name, value in ({"Content-Length": str(len(body))} | own | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Tests need no log."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that was killed is part of the script."""

    server = Server(("127.0.0.1", 0), Handler)
    service.port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


def _refusal(refused: Refused, request: Request) -> Answer:
    text = f"<?xml version='1.0'?><Error><Code>{refused.code}</Code><Message>{refused.code}.</Message></Error>"
    body = b"" if request.action == "HEAD" or refused.status == 304 else text.encode()
    return refused.status, {"x-ms-error-code": refused.code, "Content-Type": "application/xml"}, body
