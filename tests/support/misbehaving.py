"""Services that do to a request whatever a service, a proxy or an attacker can do, on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Behaviour = Callable[[socket.socket, "Ending"], None]
MEGABYTE = b" " * 1_000_000
FOREVER = 60.0
GOING_ON = 8
"""How many pauses a service takes before it counts as one that will never come to an end."""


class Ending(threading.Event):
    """Set when a service is to let go of everybody. `shows` is set when a client can see what it does with a request."""

    def __init__(self) -> None:
        super().__init__()
        self.shows = threading.Event()
        self._pauses = 0

    def wait(self, timeout: float | None = None) -> bool:
        """See threading.Event."""
        self._pauses += bool(timeout)  # who sends without a pause is known by what the client does
        if self._pauses >= GOING_ON or timeout == FOREVER:
            self.shows.set()
            # by now it is seen what it is, and whoever drips headers must not reach the number that a client gives up at
            timeout = max(timeout or 0.0, 1.0)
        return super().wait(timeout)


class Misbehaving:
    """Takes connections and treats each as `behaviour` does; `connections` counts. `shows`: see Ending."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._ending = Ending()
        self.shows = self._ending.shows
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Let go of everybody."""
        self._ending.set()
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                threading.Thread(target=self._treat, args=(connection,), daemon=True).start()

    def _treat(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self._behaviour(connection, self._ending)
        self.shows.set()


@contextlib.contextmanager
def misbehaving(behaviour: Behaviour) -> Iterator[Misbehaving]:
    """A service that behaves so, while the context lasts."""
    service = Misbehaving(behaviour)
    try:
        yield service
    finally:
        service.close()


def _request(connection: socket.socket) -> None:
    """Read a request with its body, as far as a service has to."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(65536)
        if not part:
            return
        head += part
    head, body = head.split(b"\r\n\r\n", 1)
    wanted = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
    while len(body) < wanted and (part := connection.recv(65536)):
        body += part


def answering(*parts: bytes, pause: float = 0.0, forever: bytes = b"") -> Behaviour:
    """Send parts with a pause after each, then `forever` again and again; at the end hold the connection open."""

    def behave(connection: socket.socket, ending: Ending) -> None:
        _request(connection)
        for part in parts:
            connection.sendall(part)
            ending.wait(pause)
        while forever and not ending.wait(pause):
            connection.sendall(forever)
        ending.wait(FOREVER)

    return behave


def closing(*parts: bytes) -> Behaviour:
    """Send parts and hang up."""

    def behave(connection: socket.socket, ending: Ending) -> None:
        _request(connection)
        connection.sendall(b"".join(parts))

    return behave


def _silent(connection: socket.socket, ending: Ending) -> None:
    ending.wait(FOREVER)


def _gone(connection: socket.socket, ending: Ending) -> None:
    _request(connection)


def _redirected(connection: socket.socket, ending: Ending) -> None:
    _request(connection)
    host, port = connection.getsockname()
    connection.sendall(f"HTTP/1.1 307 See there\r\nLocation: http://{host}:{port}/\r\nContent-Length: 0\r\n\r\n".encode())


OK = b"HTTP/1.1 200 OK\r\n"
WELL: dict[str, Behaviour] = {
    "is processing first": answering(b"HTTP/1.1 102 Processing\r\n\r\n", OK + b"Content-Length: 0\r\n\r\n"),
    "gives hints first": answering(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK + b"Content-Length: 0\r\n\r\n"),
    "says continue first": answering(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"),
    "speaks HTTP/1.0": closing(b"HTTP/1.0 200 OK\r\n\r\nok"),
    "has more than its length": answering(OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n"),
    "has a length of words": closing(OK + b"Content-Length: two\r\n\r\nok"),
    "has a length below nothing": closing(OK + b"Content-Length: -1\r\n\r\nok"),
    "says nothing at length": answering(b"HTTP/1.1 204 No Content\r\nContent-Length: 100000\r\n\r\n"),
    "comes in chunks": answering(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n", b"1\r\nk\r\n0\r\n\r\n"),
}
"""Those that took it, in a way that is seldom seen."""
TAKING: dict[str, Behaviour] = {
    "drips its headers": answering(OK, forever=b"X-A: b\r\n", pause=0.02),
    "drips its answer": answering(OK + b"Content-Length: 100000\r\n\r\n", forever=b" ", pause=0.02),
    "answers with 600 MB": answering(OK + b"Content-Length: 600000000\r\n\r\n", forever=MEGABYTE),
    "answers without an end": answering(OK + b"Transfer-Encoding: chunked\r\n\r\n", forever=b"f4240\r\n" + MEGABYTE + b"\r\n"),
    "has a bomb in gzip": answering(OK + b"Content-Encoding: gzip\r\nContent-Length: 90000000\r\n\r\n", forever=MEGABYTE),
    "ends in the middle of its answer": answering(OK + b"Content-Length: 9\r\n\r\n"),
}
"""Those that say that they took it, and then go on in a way nobody can read."""
NOT_TAKING: dict[str, Behaviour] = {
    "never answers": _silent,
    "hangs up": _gone,
    "drips its first line": answering(b"HTTP/1.1 ", forever=b"2", pause=0.02),
    "sends headers without an end": answering(OK, forever=b"X-A: " + b"b" * 60_000 + b"\r\n"),
    "speaks no HTTP": answering(b"\x00\xff" * 100 + b"\r\n\r\n"),
    "redirects to itself": _redirected,
}
