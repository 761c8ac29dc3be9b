"""Every request goes out with the authorization we gave it, whatever lies in ~/.netrc; proxies and authorities still hold."""

from __future__ import annotations

import ast
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from processors.azure_blobs import BlobContainer, BlobError
from processors.contracts import http_session
from processors.contracts.http_session import AnswerTooLarge, Session
from processors.ingest.tokens import ServiceAppToken
from processors.ingest.webex_client import Deadline, TokenError, WebexClient, WebexError
from processors.key_vault import KeyVault, KeyVaultError
from tests.support.misbehaving import Ending, answering, closing, misbehaving
from tests.support.shared_data import REPOSITORY


class Echo:
    """A server that remembers the Authorization header of every request, and refuses all but redirects."""

    def __init__(self) -> None:
        self.authorizations: list[str | None] = []
        self.url = ""


@pytest.fixture
def echo() -> Iterator[Echo]:
    remembered = Echo()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            remembered.authorizations.append(self.headers.get("Authorization"))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            there = self.path.partition("to=")[2]
            self.send_response(302 if there else 404)
            if there:
                self.send_header("Location", there)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = do_HEAD = _answer

        def log_message(self, format: str, *arguments: object) -> None:
            """Tests need no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    remembered.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield remembered
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A netrc file with a password for every host."""
    path = tmp_path / "netrc"
    path.write_text("default login somebody password secret\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


Get = Callable[[Session, str, dict[str, str]], requests.Response]
WAYS_TO_GET: list[Get] = [
    lambda session, url, headers: session.get(url, headers=headers, stream=True),
    lambda session, url, headers: session.streamed(url, headers, (5, 5)),
]
either_way = pytest.mark.parametrize("get", WAYS_TO_GET, ids=["get", "streamed"])


@either_way
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer token"}])
def test_the_header_is_the_one_that_was_given(echo: Echo, given: dict[str, Any], get: Get) -> None:
    get(Session(), echo.url, given)
    assert echo.authorizations == [given.get("Authorization")]


@either_way
def test_a_redirect_is_an_answer_like_any_other_and_its_body_still_to_be_read(echo: Echo, get: Get) -> None:
    with get(Session(), f"{echo.url}/?to={echo.url}/there", {"Authorization": "Bearer token"}) as response:
        assert (response.status_code, response.raw.read1(10, decode_content=False)) == (302, b"")
    assert echo.authorizations == ["Bearer token"]


def test_proxies_and_authorities_of_the_environment_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:8080")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/authorities.pem")
    settings = Session().merge_environment_settings("https://webexapis.com/v1", {}, False, None, None)
    assert (settings["proxies"]["https"], settings["verify"]) == ("http://proxy:8080", "/etc/authorities.pem")


@either_way
def test_the_environment_is_read_once_for_a_host_and_each_host_has_its_own_way(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, get: Get
) -> None:
    looked: list[str] = []
    real = requests.sessions.get_environ_proxies

    def look(url: str, **how: Any) -> Any:
        looked.append(url)
        return real(url, **how)

    monkeypatch.setattr(requests.sessions, "get_environ_proxies", look)
    monkeypatch.setenv("HTTP_PROXY", echo.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    session = Session()
    for url in (f"{echo.url}/a", "http://elsewhere.example/b", f"{echo.url}/c", "http://elsewhere.example/d"):
        get(session, url, {"Authorization": url})
    assert echo.authorizations == [f"{echo.url}/a", "http://elsewhere.example/b", f"{echo.url}/c", "http://elsewhere.example/d"]
    assert looked == [f"{echo.url}/a", "http://elsewhere.example/b"]


@either_way
def test_the_connections_to_a_host_are_found_once_and_anew_when_they_have_been_closed(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, get: Get
) -> None:
    found: list[str | None] = []
    real = HTTPAdapter.get_connection_with_tls_context

    def find(adapter: HTTPAdapter, request: requests.PreparedRequest, *how: Any) -> Any:
        found.append(request.url)
        return real(adapter, request, *how)

    monkeypatch.setattr(HTTPAdapter, "get_connection_with_tls_context", find)
    session, elsewhere = Session(), echo.url.replace("127.0.0.1", "localhost")
    for path in ("a", "b"):
        for host in (echo.url, elsewhere):
            get(session, f"{host}/{path}", {"Authorization": f"{host}/{path}"})
    session.close()
    get(session, f"{echo.url}/c", {"Authorization": "c"})
    assert found == [f"{echo.url}/a", f"{elsewhere}/a", f"{echo.url}/c"]
    assert echo.authorizations == [*(f"{host}/{path}" for path in ("a", "b") for host in (echo.url, elsewhere)), "c"]


DRIPPING = {
    "its first line": answering(b"HTTP/1.1 ", forever=b"2", pause=0.05),
    "its headers": answering(b"HTTP/1.1 200 OK\r\n", forever=b"X-A: b\r\n", pause=0.05),
    "the size of a chunk": answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", forever=b"0", pause=0.05),
    "its body": answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", forever=b"b", pause=0.05),
}


@either_way
@pytest.mark.parametrize("dripping", DRIPPING)
def test_an_answer_that_drips_is_over_when_its_time_is(dripping: str, get: Get) -> None:
    with misbehaving(DRIPPING[dripping]) as service, Session() as session:
        began = time.monotonic()
        with session.within(0.3) as span:
            try:
                with get(session, f"http://{service.address}", {}) as answer:
                    while answer.raw.read1(10, decode_content=False):
                        pass
            except (requests.RequestException, HTTPError):
                assert dripping != "its headers", "what came of them holds"
        assert span.is_over and 0.3 <= time.monotonic() - began < 2


@either_way
def test_an_answer_that_is_whole_in_its_time_leaves_the_connection_to_the_next_with_all_its_patience(get: Get) -> None:
    def at_ease(connection: socket.socket, ending: Ending) -> None:
        for pause in (0.0, 0.5):
            connection.recv(65536)
            ending.wait(pause)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with misbehaving(at_ease) as service, Session() as session:
        for seconds in (0.4, 4.0):
            with session.within(seconds) as span, get(session, f"http://{service.address}", {}) as answer:
                assert answer.raw.read1(10, decode_content=False) == b"ok"
            assert not span.is_over
        assert service.connections == 1


@either_way
def test_what_comes_before_an_answer_is_not_taken_for_it_nor_the_answer_for_that_to_the_next_request(get: Get) -> None:
    def hinting(connection: socket.socket, ending: Ending) -> None:
        while request := connection.recv(65536):
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
            ending.wait(0.05)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + request[5:7])

    with misbehaving(hinting) as service, Session() as session:
        for path in ("aa", "bb"):
            with get(session, f"http://{service.address}/{path}", {}) as answer:
                assert (answer.status_code, answer.raw.read1(10, decode_content=False)) == (200, path.encode())
        assert service.connections == 1


@pytest.mark.parametrize("dripping", DRIPPING)
def test_an_answer_that_is_not_whole_in_its_time_is_none(dripping: str) -> None:
    with misbehaving(DRIPPING[dripping]) as service, Session() as session:
        began = time.monotonic()
        with pytest.raises(requests.RequestException):
            session.whole("POST", f"http://{service.address}", 5.0, 0.3, data={"a": "b"})
        assert 0.3 <= time.monotonic() - began < 2


def test_nor_is_one_that_is_larger_than_makes_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_session, "LARGEST_ANSWER_BYTES", 1_000_000)
    bomb = gzip.compress(b"0" * 1_000_001)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with misbehaving(closing(head + bomb)) as service, Session() as session, pytest.raises(AnswerTooLarge):
        session.whole("GET", f"http://{service.address}", 5.0, 5.0)


def test_a_whole_answer_is_what_was_sent() -> None:
    body = gzip.compress(b'{"a": 1}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with misbehaving(closing(head + body)) as service, Session() as session:
        assert session.whole("GET", f"http://{service.address}", 5.0, 5.0).json() == {"a": 1}


def test_as_many_connections_are_kept_alive_as_there_are_requests_at_once() -> None:
    together = threading.Barrier(12)

    def answer(connection: socket.socket, ending: Ending) -> None:
        while connection.recv(65536):
            together.wait(10)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with misbehaving(answer) as service, Session(connections=12) as session, ThreadPoolExecutor(12) as pool:
        for _ in range(2):
            list(pool.map(lambda _: session.get(f"http://{service.address}"), range(12)))
        assert service.connections == 12


class TestWhoSends:
    def test_the_webex_client(self, echo: Echo) -> None:
        class Token:
            def token(self) -> str:
                return "token"

            def renew(self, rejected: str) -> str:
                raise TokenError("none")

        with pytest.raises(WebexError):
            WebexClient(f"{echo.url}/v1", Token()).get("/devices", {}, Deadline(5))
        assert echo.authorizations == ["Bearer token"]

    def test_the_renewal_of_the_token(self, echo: Echo, tmp_path: Path) -> None:
        from processors.ingest.token_stores import FileTokenStore

        path = tmp_path / "tokens.json"
        path.write_text('{"client_id": "C1", "refresh_token": "r"}')
        path.chmod(0o600)
        with pytest.raises(TokenError):
            ServiceAppToken(FileTokenStore(path, {"WEBEX_CLIENT_SECRET": "s"}), f"{echo.url}/v1/access_token").token()
        assert echo.authorizations == [None]

    def test_the_key_vault(self, echo: Echo) -> None:
        with pytest.raises(KeyVaultError):
            KeyVault(echo.url, {}).get("secret")
        assert echo.authorizations == [None]

    def test_blobs(self, echo: Echo) -> None:
        container = BlobContainer(f"{echo.url}/account/container", {})
        try:
            container.read("blob")
        except BlobError:
            pass
        finally:
            container.close()
        assert set(echo.authorizations) == {None}


WITHOUT_A_SESSION = {"delete", "get", "head", "patch", "post", "put", "request", "Session", "session"}


@pytest.mark.parametrize("package", ["cli", "infra", "local", "processors", "powerbi", "activator"])
def test_nobody_goes_past_it(package: str) -> None:
    past = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in (REPOSITORY / package).rglob("*.py")
        if ".venv" not in path.parts and path.name != "http_session.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
        if node.func.value.id == "requests" and node.func.attr in WITHOUT_A_SESSION
        if not any(keyword.arg == "auth" for keyword in node.keywords)
    ]
    assert past == []
