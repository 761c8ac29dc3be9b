"""HTTP sessions that say who we are in our own words only, to the host we name only.

requests takes user and password for a host from `~/.netrc` (or NETRC) and puts them in the place of the Authorization header it
was given, so a bearer token is replaced, and somebody's password sent to a host it was not meant for. Proxies (HTTPS_PROXY,
NO_PROXY) and authorities (REQUESTS_CA_BUNDLE) of the environment still hold.

Whatever a server does, an answer is over when its time is (`Session.within`), and belongs to the request that it answers:

- A time-out of a socket begins anew with each byte. Who drips headers, or the size of a chunk, would hold a request for ever.
- http.client passes over 100 Continue alone. It takes 102 or 103 for the answer, and the answer for that to the next request.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import DEFAULT_POOLSIZE, HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

LARGEST_ANSWER_BYTES = 64 << 20
"""Unpacked: ten times a page of 1,000 devices with everything they can say."""
_CHUNK_BYTES = 1 << 16


class AnswerTooLarge(requests.RequestException):
    """An answer is larger than any that makes sense."""


class Span:
    """The time that requests have, from connecting to the last byte of the answer. `is_over`: an answer was ended by it."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self.is_over = False

    def left(self) -> float:
        """Seconds; negative when it has passed."""
        return self._until - time.monotonic()


_of_thread = threading.local()
"""`span`: the time that the requests of this thread have; None for any."""


class _InTime(io.RawIOBase):
    """What comes from a socket within a span; when that is over, it ends where it is, and so does the connection."""

    def __init__(self, raw: Any, connection: socket.socket, span: Span) -> None:
        self._raw, self._connection, self._span = raw, connection, span
        self._silence = connection.gettimeout()

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See io.RawIOBase."""
        left = self._span.left()
        try:
            if left > 0 and (self._silence is None or left < self._silence):
                self._connection.settimeout(left)
            read: int | None = self._raw.readinto(buffer) if left > 0 else self.end()
        except TimeoutError:
            if self._span.left() > 0:
                raise
            return self.end()
        return read

    def end(self) -> int:
        """Nothing comes any more."""
        self._span.is_over = True
        with contextlib.suppress(OSError):  # it may be closed already
            # Not SSLSocket.shutdown, which would first make the connection forget its encryption under the reader's feet.
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
        return 0

    def close(self) -> None:
        """See io.RawIOBase: the connection goes on to the next request, with all of its patience."""
        if not self.closed:
            with contextlib.suppress(OSError):
                self._connection.settimeout(self._silence)
            self._raw.close()
        super().close()


class _FinalAnswer(http.client.HTTPResponse):
    """The answer behind those that come before it (102 Processing, 103 Early Hints), within the time it has."""

    def __init__(self, connection: socket.socket, *how: Any, **more: Any) -> None:
        super().__init__(connection, *how, **more)
        span: Span | None = getattr(_of_thread, "span", None)
        if span is not None:
            self.fp = io.BufferedReader(_InTime(self.fp.detach(), connection, span))

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 101 < status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)


class _Http(HTTPConnection):
    response_class = _FinalAnswer


class _Https(HTTPSConnection):
    response_class = _FinalAnswer


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class _Adapter(HTTPAdapter):
    """Finds the connections to a host once. requests does so for each request, which took a tenth of its time."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_maxsize=connections)
        self._pools: dict[tuple[Any, ...], Any] = {}

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """See HTTPAdapter."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """See HTTPAdapter."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: str | tuple[str, str] | None = None,
    ) -> Any:
        """See HTTPAdapter."""
        asked = (*urlsplit(request.url)[:2], verify, cert, *sorted((proxies or {}).items()))
        if asked not in self._pools:
            self._pools[asked] = super().get_connection_with_tls_context(request, verify, proxies, cert)
        return self._pools[asked]

    def close(self) -> None:
        """See HTTPAdapter: urllib3 closes connections that nobody holds."""
        self._pools.clear()
        super().close()


class Session(requests.Session):
    """A session that never looks into a netrc file, never follows a redirect, and reads the environment once for each host."""

    def __init__(self, connections: int = DEFAULT_POOLSIZE) -> None:
        """`connections`: so many to a host are kept alive. Those of more requests at once are closed after each."""
        super().__init__()
        self.auth = as_asked
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(connections))
        self._environment: dict[tuple[Any, ...], Any] = {}

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[Span]:
        """A context in which each answer to this thread ends with the span: who reads on finds it cut short (`Span.is_over`)."""
        before = getattr(_of_thread, "span", None)
        span = _of_thread.span = Span(seconds)
        try:
            yield span
        finally:
            _of_thread.span = before

    def merge_environment_settings(
        self,
        url: str | bytes | None,
        proxies: MutableMapping[str, str] | None,
        stream: bool | None,
        verify: bool | str | None,
        cert: str | tuple[str, str] | None,
    ) -> Any:
        """Proxies and authorities for a host, from the environment as it was at the first request to it.

        requests looks through all of the environment for each request, which took a third of its time.
        """
        asked = (*urlsplit(url)[:2], tuple(sorted((proxies or {}).items())), stream, verify, cert)
        if asked not in self._environment:
            self._environment[asked] = super().merge_environment_settings(url, proxies, stream, verify, cert)
        return self._environment[asked]

    def streamed(self, url: str, headers: Mapping[str, str], timeout: tuple[float, float]) -> requests.Response:
        """GET; the body is still to be read. `timeout`: seconds to connect, and between two reads. Raises what `get` raises.

        The same request without cookies and hooks, which nothing here has: looking for them took a quarter of its time.
        """
        asked = requests.PreparedRequest()
        asked.prepare_method("GET")
        asked.prepare_url(url, None)
        asked.prepare_headers({**self.headers, **headers})
        way = self.merge_environment_settings(asked.url, {}, True, None, None)
        return self.get_adapter(url).send(asked, timeout=timeout, **way)

    def whole(self, method: str, url: str, connect: float, seconds: float, **request: Any) -> requests.Response:
        """A request with all of its answer: `seconds` for both, `connect` for each address of the host. A redirect is an answer.

        Raises requests.RequestException, also for an answer that is not whole by then, or larger than LARGEST_ANSWER_BYTES.
        """
        how: dict[str, Any] = {"timeout": (connect, seconds), "allow_redirects": False, "stream": True, **request}
        with self.within(seconds) as span, self.request(method, url, **how) as response:
            body = bytearray()
            for part in response.iter_content(_CHUNK_BYTES):
                body += part
                if len(body) > LARGEST_ANSWER_BYTES:
                    raise AnswerTooLarge(f"more than {LARGEST_ANSWER_BYTES >> 20} MB")
            if span.is_over:
                raise requests.Timeout(f"no complete answer within {seconds:g} s")
            response._content = bytes(body)  # where requests keeps what it has read
            return response

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, ever: requests would look where a redirect leads even when asked not to, and use up a body that is streamed."""


def as_asked(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authorization as the request has it: for a single request, `auth=as_asked`."""
    return request
