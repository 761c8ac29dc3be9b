"""The Webex access token of a service app, kept alive: renewed early, by one instance at a time, stored before it is used.

An access token lives 14 days, the refresh token that renews it 90 days, counted anew with every use. A refresh token may come
back changed, and the old one is dead then: so what comes back is stored before anything else. Webex asks not to renew more than
once a day, and keeps at most 750 live tokens.

| when | what happens |
|---|---|
| under 4 days of the access token left | renewed, at most once a day; when that fails, an alarm, and the old one serves on |
| Webex refuses the token | the store is read again; if it has no other token, one renewal, unless it is under an hour old |
| another instance is renewing | its result is waited for |
| the new token can't be stored | it is used all the same, kept in memory, an alarm, and storing is tried every minute |
| under 30 days of the refresh token left | an alarm every hour: somebody has to authorise the service app again |

An alarm is an error on the logger `roompulse.ingest.token`. No token is ever logged.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import requests

from processors.clock import utc_now
from processors.connection_faults import answered_by_another, next_step
from processors.contracts.http_session import Session
from processors.contracts.json_body import is_page, json_object
from processors.ingest.webex_client import TokenError, can_be_sent
from processors.timestamps import format_time, parse_time

RETRY_AFTER = timedelta(minutes=10)
"""After a renewal that failed while the present token still serves."""
ALARM_BELOW = timedelta(days=30)
ALARM_EVERY = timedelta(hours=1)
STORE_AGAIN_AFTER = timedelta(minutes=1)
WAIT_FOR_ANOTHER_SECONDS = 10.0
LOOK_EVERY_SECONDS = 0.5
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 20.0

log = logging.getLogger("roompulse.ingest.token")


@dataclass(frozen=True)
class Grant:
    """What a token set comes from: its access token is renewed `before` it ends, not sooner than `shortest` after the last
    renewal, or `on_refusal` where Webex has refused it. `again`: what somebody has to do when the refresh token is no good.
    """

    before: timedelta
    shortest: timedelta
    on_refusal: timedelta
    again: str


SERVICE_APP = Grant(
    before=timedelta(days=4),
    shortest=timedelta(days=1),
    on_refusal=timedelta(hours=1),
    again="authorise the service app again in Control Hub, and store the token set it gives (docs/stages/ingest.md)",
)
INTEGRATION = Grant(
    before=timedelta(minutes=15),
    shortest=timedelta(minutes=5),
    on_refusal=timedelta(seconds=10),
    again="activate the integration again in Control Hub, and give its code to roompulse webex integration activate",
)


class TokenStoreError(Exception):
    """The token set can't be read or written. The text names where it is and the next step; never what is in it."""


@dataclass(frozen=True)
class TokenSet:
    """What renews a service app's access token. Times that are not known are None: the first renewal finds them out."""

    client_id: str
    refresh_token: str
    access_token: str = ""
    access_expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    obtained_at: datetime | None = None

    def __repr__(self) -> str:
        """Without tokens: this may end up in a traceback."""
        return f"TokenSet(client_id={self.client_id!r}, access_expires_at={self.access_expires_at}, ...)"


class TokenStore(Protocol):
    """Where the token set and the client secret are, and whose turn it is to renew."""

    def read(self) -> TokenSet:
        """The token set. Raises TokenStoreError."""

    def write(self, tokens: TokenSet) -> None:
        """Replace the token set. Raises TokenStoreError."""

    def client_secret(self) -> str:
        """The service app's client secret. Raises TokenStoreError."""

    def turn(self) -> AbstractContextManager[bool]:
        """Holds the only right to renew, when it gives True. Raises TokenStoreError."""


class ServiceAppToken:
    """A TokenSource that renews the token of a service app, or of an integration."""

    def __init__(self, store: TokenStore, token_url: str, grant: Grant = SERVICE_APP) -> None:
        """`token_url`: where a refresh token gives an access token. Nothing is read before the first token is asked for."""
        self._store = store
        self._grant = grant
        self._url = token_url
        self._lock = threading.Lock()
        self._tokens: TokenSet | None = None
        self._unstored = False
        self._not_before: dict[str, datetime] = {}

    def token(self) -> str:
        """See TokenSource."""
        with self._lock:
            tokens = self._known()
            self._store_again(tokens)
            if self._is_due(tokens) and self._time_has_come("renewal", RETRY_AFTER):
                try:
                    tokens = self._renewed(tokens.access_token)
                except TokenError:
                    if not tokens.access_token or _is_over(tokens.access_expires_at):
                        raise
            self._watch_refresh_life(tokens)
            if not tokens.access_token or _is_over(tokens.access_expires_at):
                raise TokenError("The Webex access token has expired and could not be renewed; the log says why.")
            return tokens.access_token

    def renew(self, rejected: str) -> str:
        """See TokenSource."""
        with self._lock:
            tokens = self._known()
            if tokens.access_token == rejected:
                tokens = self._renewed(rejected, self._grant.on_refusal)
            return tokens.access_token

    def lives(self) -> dict[str, float | None]:
        """Days that are left of the access token and of the refresh token, None where that is not known. Raises TokenError."""
        with self._lock:
            tokens = self._known()
        return {
            "access": _days_until(tokens.access_expires_at),
            "refresh": _days_until(tokens.refresh_expires_at),
        }

    def _known(self) -> TokenSet:
        if self._tokens is None:
            self._tokens = self._read()
        return self._tokens

    def _read(self) -> TokenSet:
        try:
            return self._store.read()
        except TokenStoreError as fault:
            raise TokenError(str(fault)) from fault

    def _is_due(self, tokens: TokenSet) -> bool:
        now = utc_now()
        if not tokens.access_token or tokens.access_expires_at is None:
            return True
        young = tokens.obtained_at is not None and now - tokens.obtained_at < self._grant.shortest
        return tokens.access_expires_at - now < self._grant.before and not young

    def _renewed(self, stale: str, shortest: timedelta = timedelta(0)) -> TokenSet:
        """A token set with another access token than `stale`: what another instance stored, or what Webex gives now.

        Raises TokenError; also when the stale token was got less than `shortest` ago: another would fare no better.
        """
        end = time.monotonic() + WAIT_FOR_ANOTHER_SECONDS
        try:
            while True:
                with self._store.turn() as ours:
                    stored = self._store.read() if not self._unstored else self._known()
                    if stored.access_token and stored.access_token != stale:
                        self._tokens = stored
                        return stored
                    if ours:
                        return self._exchanged(stored, shortest)
                if time.monotonic() >= end:
                    raise _alarm("another instance renews the token, and does not come to an end; it is tried again")
                time.sleep(LOOK_EVERY_SECONDS)
        except TokenStoreError as fault:
            raise _alarm(str(fault)) from fault

    def _exchanged(self, stored: TokenSet, shortest: timedelta) -> TokenSet:
        now = utc_now()
        if stored.obtained_at is not None and now - stored.obtained_at < shortest:
            raise _alarm(f"Webex refuses a token that was renewed at {format_time(stored.obtained_at)}: {self._grant.again}")
        new = _understood(self._ask_webex(stored), stored, now)
        self._tokens = new  # whatever happens to the store: the old refresh token may be dead by now
        self._unstored = True
        self._put_away(new)
        if new.obtained_at != now:
            raise _alarm("Webex answered the renewal without an access token that can be sent; it is tried again")
        log.info("token renewed", extra={"ids": {"accessDays": _days_until(new.access_expires_at), **_refresh_life(new)}})
        return new

    def _ask_webex(self, stored: TokenSet) -> dict[str, Any]:
        form = {
            "grant_type": "refresh_token",
            "client_id": stored.client_id,
            "client_secret": self._store.client_secret(),
            "refresh_token": stored.refresh_token,
        }
        try:
            with Session() as session:
                response = session.whole("POST", self._url, CONNECT_SECONDS, ANSWER_SECONDS, data=form)
        except requests.RequestException as fault:
            # Its text could show the address only, but a proxy's could show more.
            step = next_step(fault)
            text = f"Webex gave no proper answer to the renewal of the token ({type(fault).__name__})"
            raise _alarm(text + (step and f". {step}")) from None
        document = json_object(response.content)
        if response.status_code == 200 and document is not None:
            return document
        if step := answered_by_another(response, page=response.status_code == 200 and is_page(response.content)):
            raise _alarm(f"the renewal of the token got {response.status_code}. {step}")
        tracking_id = response.headers.get("TrackingID")
        raise _alarm(
            f"Webex did not renew the token: {response.status_code}, tracking id {tracking_id}. "
            + (
                f"The refresh token or the client secret is no good any more: {self._grant.again}"
                if response.status_code in (400, 401, 403)
                else "It is tried again"
            )
        )

    def _put_away(self, tokens: TokenSet) -> None:
        try:
            self._store.write(tokens)
        except TokenStoreError as fault:
            _alarm(f"the renewed token is in memory only: {fault}")
            self._not_before["store"] = utc_now() + STORE_AGAIN_AFTER
        else:
            self._unstored = False

    def _store_again(self, tokens: TokenSet) -> None:
        if self._unstored and self._time_has_come("store", STORE_AGAIN_AFTER):
            self._put_away(tokens)

    def _watch_refresh_life(self, tokens: TokenSet) -> None:
        expires = tokens.refresh_expires_at
        if expires and expires - utc_now() < ALARM_BELOW and self._time_has_come("alarm", ALARM_EVERY):
            _alarm(f"the refresh token ends on {format_time(expires)}: {self._grant.again}")

    def _time_has_come(self, what: str, interval: timedelta) -> bool:
        """Whether `interval` has passed since the last time this was so."""
        now = utc_now()
        if now < self._not_before.get(what, now):
            return False
        self._not_before[what] = now + interval
        return True


def token_set_from(text: str, where: str) -> TokenSet:
    """The token set of a JSON text; `where` names its place in errors. Raises TokenStoreError, which never shows the text."""
    try:
        document = json.loads(text)
        fields = {name: document.get(name) for name in ("client_id", "refresh_token", "access_token")}
    except (ValueError, AttributeError):
        raise TokenStoreError(f'{where} holds no token set: JSON such as {{"client_id": ..., "refresh_token": ...}}.') from None
    missing = [name for name in ("client_id", "refresh_token") if not (isinstance(fields[name], str) and fields[name])]
    if missing:
        raise TokenStoreError(
            f"{where}: {' and '.join(missing)} missing: the service app's page in the developer portal has them."
        )
    if (access := fields["access_token"]) and not (isinstance(access, str) and can_be_sent(access)):
        raise TokenStoreError(f"{where}: access_token has characters that no token has: leave it out, and it is renewed.")
    times = {name: parse_time(document.get(name)) for name in ("access_expires_at", "refresh_expires_at", "obtained_at")}
    return TokenSet(fields["client_id"], fields["refresh_token"], fields["access_token"] or "", **times)


def token_set_text(tokens: TokenSet) -> str:
    """The token set as the JSON text that is stored."""
    show: Callable[[datetime | None], str | None] = lambda moment: format_time(moment) if moment else None  # noqa: E731
    document = {
        "client_id": tokens.client_id,
        "access_token": tokens.access_token,
        "access_expires_at": show(tokens.access_expires_at),
        "refresh_token": tokens.refresh_token,
        "refresh_expires_at": show(tokens.refresh_expires_at),
        "obtained_at": show(tokens.obtained_at),
    }
    return json.dumps({name: value for name, value in document.items() if value})


def _understood(document: dict[str, Any], before: TokenSet, now: datetime) -> TokenSet:
    """The token set an answer of Webex makes of the one before; a refresh token that is not named again stays, and so does the
    access token where none has come that can be sent.
    """
    access, refresh = document.get("access_token"), document.get("refresh_token")
    new = replace(
        before,
        refresh_token=refresh if isinstance(refresh, str) and refresh else before.refresh_token,
        refresh_expires_at=_end(document.get("refresh_token_expires_in"), now) or before.refresh_expires_at,
    )
    if not isinstance(access, str) or not can_be_sent(access):
        return new
    ends = _end(document.get("expires_in"), now) or now + timedelta(days=1)
    return replace(new, access_token=access, access_expires_at=ends, obtained_at=now)


def _end(seconds: object, now: datetime) -> datetime | None:
    known = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 1e10
    return now + timedelta(seconds=float(seconds)) if known else None  # type: ignore[arg-type]


def _is_over(moment: datetime | None) -> bool:
    return moment is not None and moment <= utc_now()


def _days_until(moment: datetime | None) -> float | None:
    return round((moment - utc_now()) / timedelta(days=1), 2) if moment else None


def _refresh_life(tokens: TokenSet) -> dict[str, float | None]:
    return {"refreshDays": _days_until(tokens.refresh_expires_at)}


def _alarm(text: str) -> TokenError:
    """Say it where alerts look, and give the error to raise."""
    log.error("webex token alarm: %s", text, extra={"ids": {"alarm": "webex-token"}})
    return TokenError(f"{text}.")
