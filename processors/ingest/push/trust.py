"""Whom an integration believes: Webex's hosts and published keys, or those of a stand-in on this machine and nobody else's.

An activation code names the addresses of its region, and none is ever built. So a code that somebody else made would send our
client secret to them: its signature is checked with Webex's published keys, and every address in it against Webex's hosts.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from processors.connection_faults import next_step
from processors.contracts.http_session import Session

HOSTS = ("webexapis.com", "wbx2.com", "webex.com", "ciscospark.com")
"""Webex's, with every name below them."""
KEYS = {
    "us-west-2_r": "https://xapi-r.wbx2.com/jwks",
    "us-east-2_a": "https://xapi-a.wbx2.com/jwks",
    "eu-central-1_k": "https://xapi-k.wbx2.com/jwks",
    "us-gov-west-1_a1": "https://xapi.gov.ciscospark.com/jwks",
}
"""Where each region publishes the keys it signs with (Cisco's Java and Node SDKs; theirs has Cisco's own tests besides)."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 20.0


class NotTrusted(Exception):
    """Something is not from Webex, or can't be shown to be. The text says what, and the next step; never a token."""


class Trust:
    """Believes Webex; where the API is a stand-in on this machine, that one instead."""

    def __init__(self, api_base: str) -> None:
        """`api_base`: the address of the Webex API."""
        parts = urlsplit(api_base)
        self._stand_in = f"{parts.scheme}://{parts.netloc}" if parts.hostname in LOOPBACK else None

    def checked(self, name: str, url: object) -> str:
        """An address that may be spoken to; `name` is the field it comes from. Raises NotTrusted."""
        if isinstance(url, str) and self._is_ours(url):
            return url
        shown = _host(url)
        raise NotTrusted(
            f"{name} leads to {shown}, which is not Webex's: nothing is sent there. Copy the code from Control Hub anew."
        )

    def key(self, region: object, key_id: str) -> Any:
        """The public key that Webex signs with in a region. Raises NotTrusted."""
        import jwt  # 60 ms: not while a function app starts

        url = self._keys_of(region)
        try:
            with Session() as session:
                answer = session.whole("GET", url, CONNECT_SECONDS, ANSWER_SECONDS)
                answer.raise_for_status()
                return jwt.PyJWKSet.from_dict(answer.json())[key_id].key
        except requests.RequestException as fault:
            step = next_step(fault) or "Try it again."
            raise NotTrusted(f"Webex's keys at {url} can't be read ({type(fault).__name__}). {step}") from None
        except (KeyError, ValueError, AttributeError, jwt.PyJWTError) as fault:
            text = f"its key {key_id!r} is not among those that Webex publishes at {url} ({type(fault).__name__})"
            raise NotTrusted(f"{text}: copy the code from Control Hub anew.") from fault

    def _keys_of(self, region: object) -> str:
        if self._stand_in:
            return f"{self._stand_in}/jwks"
        if region not in KEYS:
            known = ", ".join(KEYS)
            raise NotTrusted(f"its region {region!r} is not one whose keys are known ({known}): is there a newer RoomPulse?")
        return KEYS[str(region)]

    def _is_ours(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        if self._stand_in:
            return f"{parts.scheme}://{parts.netloc}" == self._stand_in
        host = parts.hostname or ""
        is_webex = any(host == known or host.endswith(f".{known}") for known in HOSTS)
        return parts.scheme == "https" and is_webex and port in (None, 443) and parts.username is None and "\\" not in url


def _host(url: object) -> str:
    """A host for people, of whatever was given as an address."""
    try:
        return repr(urlsplit(url).hostname) if isinstance(url, str) and urlsplit(url).hostname else "no address"
    except ValueError:
        return "no address"
