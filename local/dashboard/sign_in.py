"""Who may see the page from another machine: whoever has signed in with the token of the run.

On loopback nobody has to: whoever is on this machine may read the data folder anyway. The token is made once and stays in the
data folder, for its owner's eyes only. Whoever gives it gets a cookie signed with it, so that a page which starts again still
knows its browsers; another token signs everybody out.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

COOKIE = "roompulse-session"
SESSION_SECONDS = 30 * 24 * 3600
"""How long a browser stays signed in: a wall display has nobody to sign in every morning."""
LONGEST_WAIT_SECONDS = 60.0
ADDRESSES_KEPT = 1000
"""Of how many addresses the failed attempts are remembered; the one that failed longest ago is forgotten first."""
SHORTEST_TOKEN = 20


class TokenError(Exception):
    """The token can't be used. The text names its file and the next step."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a page that listens there. A name other than localhost counts as open."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_in(path: Path) -> tuple[str, bool]:
    """The token, and whether it is new: it is made when there is none. Raises TokenError."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            token = secrets.token_urlsafe(24)
            file.write(token)
        return token, True
    except FileExistsError:
        return _kept(path), False
    except OSError as fault:
        raise TokenError(f"the token of the page can't be kept in {path} ({fault.strerror}): make room or rights") from fault


def _kept(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as fault:
        raise TokenError(f"the token in {path} can't be read: delete the file, and a new one is made") from fault
    if len(token) < SHORTEST_TOKEN:
        raise TokenError(f"the token in {path} is too short to be safe: delete the file, and a new one is made")
    return token


@dataclass(frozen=True)
class Answer:
    """What an attempt to sign in came to: the value of the cookie, or for how many seconds nothing from there is looked at."""

    cookie: str | None = None
    wait_seconds: float = 0.0


class SignIn:
    """Knows who is signed in. Times are in seconds; `now` is real time, which a cookie's end is in."""

    def __init__(self, token: str, now: Callable[[], float] = time.time) -> None:
        self._token = token.encode()
        self._key = hashlib.sha256(b"roompulse page session " + self._token).digest()
        self._now = now
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def knows(self, cookie: str | None) -> bool:
        """Whether a cookie is one of ours and has not ended."""
        end, _, signature = (cookie or "").partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(end).encode()):
            return False
        return end.isdecimal() and float(end) > self._now()

    def attempt(self, token: str, address: str) -> Answer:
        """Try a token from a network address. After each failure from there nothing is looked at for twice as long."""
        origin = _origin(address)
        failures, until = self._failures.get(origin, (0, 0.0))
        if self._now() < until:
            return Answer(wait_seconds=until - self._now())
        if hmac.compare_digest(token.strip().encode(), self._token):
            self._failures.pop(origin, None)
            return Answer(cookie=self._cookie())
        wait = min(2.0**failures, LONGEST_WAIT_SECONDS)
        self._failures[origin] = (failures + 1, self._now() + wait)
        self._failures.move_to_end(origin)
        while len(self._failures) > ADDRESSES_KEPT:
            self._failures.popitem(last=False)
        return Answer(wait_seconds=wait)

    def _cookie(self) -> str:
        end = str(int(self._now() + SESSION_SECONDS))
        return f"{end}.{self._signature(end)}"

    def _signature(self, end: str) -> str:
        return hmac.new(self._key, end.encode(), hashlib.sha256).hexdigest()


def _origin(address: str) -> str:
    """What failed attempts are counted by: an address; of IPv6 the network, since whoever has one address has all of it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
