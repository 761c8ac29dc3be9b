"""The pages of incidents over HTTP: `/incidents`, `/incidents/<handle>`, and what people do there.

A page shows. Only a POST does something, and only with a person who is signed in, a token that belongs to their session, and
from a page of ours: a link in a message, a mail scanner or a foreign site changes nothing. What serves the pages says who is
signed in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, unquote, urlsplit

from processors.alert_fanout import acts as facts
from processors.alert_fanout.acting import Actor, Found, Refusal, act_on, end_silence, find, readable, silence
from processors.alert_fanout.acts import NOT_URGENT, Scope
from processors.alert_fanout.incident_html import DURATIONS, STYLE, Beside, Form, incident_page, list_page, message_page
from processors.alert_fanout.settings import FanoutSettings
from processors.alert_fanout.state import State, StateError
from processors.contracts.facts import SEVERITIES

PATH = "/incidents"
SESSION = "roompulse-incidents"
WAY = "page"
FORM_BYTES = 16_384
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # A form that is sent without a referrer has no Origin either, by which a foreign one is known.
    "Referrer-Policy": "same-origin",
}


@dataclass(frozen=True)
class Request:
    """What a browser asks for. Names of headers are in lower case; `person` is who is signed in, None for nobody; `beside`: the
    other pages at this address.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    person: str | None
    beside: Beside = ()


@dataclass(frozen=True)
class Response:
    """What it gets."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(request: Request, state: State, settings: FanoutSettings, now: datetime) -> Response:
    """The page that is asked for, after doing what is asked for; every fault is a page that says what to do."""
    if request.person is None:
        return message(request, 401, "Sign in", "These pages are for people who are signed in. Open the page again to sign in.")
    if request.method not in ("GET", "HEAD", "POST"):
        return message(request, 405, "Not this way", "A page is shown by GET; what is done is sent by its buttons.")
    name = unquote(request.path.removeprefix(PATH).strip("/"))
    session, cookie = _session(request)
    try:
        form = Form(_token(state, session), secrets.token_hex(16))
        if not name:
            return _page(200, list_page(*readable(state), settings, now, request.beside), cookie)
        found = find(state, name)
        if request.method == "POST":
            return _acted(request, state, settings, found, now, session)
        return _page(200, incident_page(found, settings, now, form, request.person, request.beside), cookie)
    except Refusal as refusal:
        return message(request, 404, "Not found", str(refusal))
    except StateError as fault:
        return message(request, 503, "Not now", str(fault))


def _acted(request: Request, state: State, settings: FanoutSettings, found: Found, now: datetime, session: str) -> Response:
    sent = _sent(request)
    if not _is_ours(request) or not hmac.compare_digest(sent.get("token", ""), _token(state, session)):
        return message(
            request, 403, "Nothing was done", "This did not come from a page of yours. Open the incident again, and do it there."
        )
    try:
        do = _DOES.get(sent.get("do", ""))
        if do is None:
            raise Refusal("Nothing of that name can be done.")
        do(state, found, Actor(request.person or "", WAY), now, sent)
    except Refusal as refusal:
        form = Form(_token(state, session), secrets.token_hex(16))
        page = incident_page(found, settings, now, form, request.person or "", request.beside, str(refusal))
        return _page(409, page, None)
    return Response(303, "", {**HEADERS, "Location": f"{PATH}/{found.incident.handle}"})


def _act(kind: str) -> Callable[[State, Found, Actor, datetime, Mapping[str, str]], None]:
    def do(state: State, found: Found, by: Actor, now: datetime, sent: Mapping[str, str]) -> None:
        until = now + _lasting(sent) if "for" in sent else None
        act_on(state, found, kind, by, now, until=until, text=sent.get("text", ""), id_=_nonce(sent))

    return do


def _silence(state: State, found: Found, by: Actor, now: datetime, sent: Mapping[str, str]) -> None:
    """Silence what the incident is about, or a larger place around it."""
    lead = found.incident.lead
    severities = SEVERITIES if lead.severity == 1 else NOT_URGENT
    scopes = {
        "device": Scope(device=lead.entity_id, severities=severities) if lead.entity == "device" else None,
        "room": Scope(room=lead.workspace_id, severities=severities) if lead.workspace_id else None,
        "location": Scope(location=lead.location_id, severities=severities) if lead.location_id else None,
        "rule": Scope(rule=lead.rule_id, severities=severities),
        "city": Scope(severities=severities),
    }
    scope = scopes.get(sent.get("scope", ""))
    if scope is None:
        raise Refusal("Say what to silence.")
    silence(state, found.city, scope, by, now, until=now + _lasting(sent), text=sent.get("text", ""), id_=_nonce(sent))


def _unsilence(state: State, found: Found, by: Actor, now: datetime, sent: Mapping[str, str]) -> None:
    end_silence(state, found.city, sent.get("silence", ""), by, now, sent.get("text", ""))


_DOES = {
    **{kind: _act(kind) for kind in (facts.ACKNOWLEDGE, facts.UNACKNOWLEDGE, facts.TAKE, facts.COMMENT, facts.SNOOZE)},
    facts.SILENCE: _silence,
    facts.UNSILENCE: _unsilence,
}
"""What a form may ask for."""


def _lasting(sent: Mapping[str, str]) -> timedelta:
    if sent.get("for") not in DURATIONS:
        raise Refusal("Say for how long.")
    return DURATIONS[sent["for"]]


def _nonce(sent: Mapping[str, str]) -> str:
    """The id of what a form does: sent twice, it is done once."""
    nonce = sent.get("nonce", "")
    if len(nonce) != 32 or not nonce.isalnum():
        raise Refusal("Open the incident again, and do it there.")
    return nonce


def _sent(request: Request) -> dict[str, str]:
    text = request.body[:FORM_BYTES].decode("utf-8", errors="replace")
    return {name: values[0] for name, values in parse_qs(text, max_num_fields=20).items()} if text.count("&") < 20 else {}


def _is_ours(request: Request) -> bool:
    """Whether a page of this very address sent a form. Every browser says so in one of these headers."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    return site == "same-origin" and origin is not None and urlsplit(origin).netloc == request.headers.get("host")


def _session(request: Request) -> tuple[str, str | None]:
    """The session of a browser, and the cookie that begins one where it has none."""
    try:
        known = SimpleCookie(request.headers.get("cookie", "")).get(SESSION)
    except CookieError:
        known = None
    if known and len(known.value) == 32 and known.value.isalnum():
        return _bound(known.value, request), None
    fresh = secrets.token_hex(16)
    secure = "" if request.headers.get("host", "").split(":")[0] in ("127.0.0.1", "localhost") else "; Secure"
    return _bound(fresh, request), f"{SESSION}={fresh}; Path={PATH}; HttpOnly; SameSite=Strict{secure}"


def _bound(session: str, request: Request) -> str:
    """A session is somebody's: signed in as somebody else, it is another one."""
    return f"{session}|{request.person}"


def _token(state: State, session: str) -> str:
    return hmac.new(state.key(), session.encode(), hashlib.sha256).hexdigest()


def message(request: Request, status: int, title: str, text: str) -> Response:
    return _page(status, message_page(title, text, request.beside), None)


def _page(status: int, body: str, cookie: str | None) -> Response:
    return Response(status, body, {**HEADERS, **({"Set-Cookie": cookie} if cookie else {})})
