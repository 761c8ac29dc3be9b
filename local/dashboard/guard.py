"""What stands before the page: the names it answers to, the sign-in where other machines reach it, and the security headers."""

from __future__ import annotations

import html
import ipaddress
import math
import socket
from collections.abc import Collection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.dashboard.sign_in import COOKIE, SESSION_SECONDS, SignIn, is_loopback
from processors.alert_fanout import inbound

STATIC = Path(__file__).parent / "static"

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
SIGN_IN = "/sign-in"
_OPEN_TO_ALL = ("/static/", "/healthz", f"{inbound.PATH}/", SIGN_IN)
"""What is sent back is known by its signature, here as on Azure."""
_FOR_PROGRAMS = ("/api/", "/events", "/devices.csv")
LONGEST_FORM = 4096
"""Bytes of a sign-in that are read."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


class SecureHeaders:
    """Adds the security headers, and has browsers ask again for what doesn't say otherwise (answers are cheap on loopback)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through; the headers go out with the start of the response."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-cache")
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def names_of(host: str) -> frozenset[str]:
    """The names under which a page that listens on `host` may be asked for, in lower case."""
    if is_loopback(host):
        return LOOPBACK_NAMES | {host.lower()}
    machine = socket.gethostname().lower()
    return LOOPBACK_NAMES | {host.lower(), machine, f"{machine}.local"}


class KnownNames:
    """Refuses requests under a name that is not the page's: a foreign site whose name leads here could make a browser read it
    (DNS rebinding). Addresses are not names, so where other machines reach the page all of them are taken.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], addresses: bool) -> None:
        self.app, self._names, self._addresses = app, names, addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is asked for by a known name."""
        if scope["type"] == "http" and not self._knows(Headers(scope=scope).get("host", "")):
            text = "The page does not answer to this name: open it under the address that roompulse run prints.\n"
            return await PlainTextResponse(text, status_code=400)(scope, receive, send)
        await self.app(scope, receive, send)

    def _knows(self, host: str) -> bool:
        name = host.lower().rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host.lower()
        return name in self._names or (self._addresses and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class SignInRequired:
    """Lets nobody see anything who has not signed in. Pages answer with the form to sign in, whatever programs ask with 401."""

    def __init__(self, app: ASGIApp, sign_in: SignIn) -> None:
        self.app, self._sign_in = app, sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is open to all, and everything for whoever is signed in."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request = Request(scope, receive)
        await (await self._answer(request, self._passed_on))(scope, receive, send)

    async def _passed_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_private(message: Message) -> None:
            if message["type"] == "http.response.start" and not scope["path"].startswith("/static/"):
                MutableHeaders(scope=message)["Cache-Control"] = "private, no-store"
            await send(message)

        await self.app(scope, receive, send_private)

    async def _answer(self, request: Request, passed_on: ASGIApp) -> ASGIApp:
        path = request.url.path
        if path == SIGN_IN and request.method == "POST":
            return await self._signed_in(request)
        if path == SIGN_IN:
            return form()
        if path.startswith(_OPEN_TO_ALL) or self._sign_in.knows(request.cookies.get(COOKIE)):
            return passed_on
        if path.startswith(_FOR_PROGRAMS):
            return JSONResponse({"error": f"sign in at {SIGN_IN} first"}, 401)
        return form(status=401)

    async def _signed_in(self, request: Request) -> Response:
        if not _is_own(request):
            return form("This came from another site: sign in here.", 403)
        fields = parse_qs(await _body(request), keep_blank_values=True)
        address = request.client.host if request.client else ""
        answer = self._sign_in.attempt(fields.get("token", [""])[0], address)
        wanted = own_path(fields.get("next", ["/"])[0])
        if answer.cookie is None:
            return _refused(answer.wait_seconds, wanted)
        response = RedirectResponse(wanted, 303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, answer.cookie, SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
        return response


def form(fault: str = "", status: int = 200, wanted: str = "/", headers: dict[str, str] | None = None) -> Response:
    """The form to sign in, with what was wrong the last time; it leads to the path that is `wanted`."""
    page = (STATIC / "sign_in.html").read_text(encoding="utf-8")
    page = page.replace("<!-- fault -->", html.escape(fault)).replace('value="/"', f'value="{html.escape(wanted)}"')
    return HTMLResponse(page, status, headers)


def own_path(text: str) -> str:
    """A path of this page, where a text is one; otherwise the first page. So that a sign-in leads nowhere else: browsers take
    `//` and `/\\` for the beginning of a host, and leave control characters out before they look.
    """
    is_path = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_path else "/"


def _refused(wait_seconds: float, wanted: str) -> Response:
    seconds = math.ceil(wait_seconds)
    text = f"That is not the token. Try again in {seconds} s; it is in the file page-token of the run's data folder."
    return form(text, 429, wanted, {"Retry-After": str(seconds)})


def _is_own(request: Request) -> bool:
    """Whether a form was sent by our own page: browsers say where it comes from."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def _body(request: Request) -> str:
    read = b""
    async for chunk in request.stream():
        read += chunk
        if len(read) > LONGEST_FORM:
            return ""
    return read.decode("utf-8", "replace")
