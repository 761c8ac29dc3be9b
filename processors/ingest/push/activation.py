"""The tokens that Webex signs for an integration: the activation code that an administrator copies, and later actions.

Both are verified in everything they claim before a word of them is used: signature, what they are for, until when, for whom, and
that they come for the first time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from processors.clock import utc_now
from processors.ingest.push.trust import NotTrusted, Trust
from processors.timestamps import format_time, parse_time

ALGORITHM = "ES256"
OLDEST_ACTION = timedelta(minutes=5)
"""An action without an end of its own is believed for so long."""
CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead of ours Webex's clock may be."""
_ADDRESSES = {"app_url": "appUrl", "oauth_url": "oauthUrl", "api_base": "webexapisBaseUrl"}


@dataclass(frozen=True)
class Integration:
    """An activated integration: whose, under which client, where Webex speaks to it, and which manifest was activated."""

    org_id: str
    app_id: str
    client_id: str
    app_url: str
    oauth_url: str
    api_base: str
    region: str
    manifest_version: int | None = None

    def text(self) -> str:
        """As it is stored: JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Activation:
    """What an activation code gives."""

    integration: Integration
    refresh_token: str

    def __repr__(self) -> str:
        """Without the token: this may end up in a traceback."""
        return f"Activation({self.integration!r}, ...)"


@dataclass(frozen=True)
class Action:
    """Something that the administrator did: `provision`, `deprovision`, `update`, `updateApproved`, `healthCheck`, or another."""

    name: str
    refresh_token: str | None
    manifest_version: int | None


def integration_from(text: str, trust: Trust) -> Integration:
    """The stored integration. Raises NotTrusted when the text is none, or leads elsewhere."""
    try:
        integration = Integration(**json.loads(text))
    except (ValueError, TypeError):
        raise NotTrusted(
            "What is stored is not an integration: activate it again (roompulse webex integration activate)."
        ) from None
    for field, name in _ADDRESSES.items():
        trust.checked(name, getattr(integration, field))
    return integration


def activation_from(code: str, client_id: str, trust: Trust) -> Activation:
    """What an activation code gives. Raises NotTrusted, with what is wrong with it."""
    claims = _verified(code, trust, "the activation code")
    if claims.get("action") != "provision":
        raise NotTrusted(f"The code is for {claims.get('action')!r}, not for an activation: copy the one that Control Hub shows.")
    addresses = {field: trust.checked(name, claims.get(name)) for field, name in _ADDRESSES.items()}
    organisation, app, token = (_required(claims, name) for name in ("sub", "appId", "refreshToken"))
    region, version = str(claims.get("region", "")), _version(claims)
    return Activation(Integration(organisation, app, client_id, **addresses, region=region, manifest_version=version), token)


def action_from(token: str, integration: Integration, trust: Trust, seen: Collection[str]) -> tuple[Action, str]:
    """What an action of the queue says, and its id; `seen` are the ids of those before. Raises NotTrusted."""
    claims = _verified(token, trust, "an action")
    for name, ours in (("sub", integration.org_id), ("appId", integration.app_id)):
        if claims.get(name) != ours:
            raise NotTrusted(f"An action is for another {'organisation' if name == 'sub' else 'integration'}: it is left.")
    token_id = _required(claims, "jti")
    if token_id in seen:
        raise NotTrusted("An action comes a second time: it is left.")
    refresh = claims.get("refreshToken")
    name = _required(claims, "action")
    return Action(name, refresh if isinstance(refresh, str) and refresh else None, _version(claims)), token_id


def _verified(token: str, trust: Trust, what: str) -> Mapping[str, Any]:
    """The claims of a token that Webex has signed and that holds now."""
    import jwt  # 60 ms: not while a function app starts

    try:
        header = jwt.get_unverified_header(token.strip())
        region = jwt.decode(token.strip(), options={"verify_signature": False}).get("region")
        if header.get("alg") != ALGORITHM or not isinstance(header.get("kid"), str):
            raise NotTrusted(f"{what.capitalize()} is signed with {header.get('alg')!r}, and Webex signs with {ALGORITHM}.")
        key = trust.key(region, header["kid"])
        # It names no audience by the standard's claim: for whom it is, is in its own claims.
        options: Any = {"verify_aud": False, "verify_iat": False}
        claims: Mapping[str, Any] = jwt.decode(token.strip(), key, algorithms=[ALGORITHM], options=options)
    except jwt.InvalidSignatureError:
        raise NotTrusted(f"The signature of {what} is not Webex's: copy it from Control Hub anew, whole.") from None
    except jwt.PyJWTError as fault:
        raise NotTrusted(
            f"{what.capitalize()} is not a token of Webex ({fault}): copy it from Control Hub anew, whole."
        ) from None
    _check_times(claims, what)
    _required(claims, "jti")
    return claims


def _check_times(claims: Mapping[str, Any], what: str) -> None:
    now, made = utc_now(), _moment(claims.get("iat"))
    if made is None or made > now + CLOCK_SKEW:
        raise NotTrusted(f"{what.capitalize()} says no time when it was made, or one to come: see this machine's clock.")
    ends = parse_time(claims["expiryTime"]) if "expiryTime" in claims else made + OLDEST_ACTION
    if ends is None or ends < now:
        reported = format_time(ends) if ends else "never"
        raise NotTrusted(
            f"{what.capitalize()} ended at {reported}: activate the integration again in Control Hub, for a new one."
        )


def _moment(seconds: object) -> datetime | None:
    known = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 1e11
    return datetime.fromtimestamp(seconds, UTC) if known else None  # type: ignore[arg-type]


def _required(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise NotTrusted(f"It lacks {name}: copy it from Control Hub anew, whole.")
    return value


def _version(claims: Mapping[str, Any]) -> int | None:
    version = claims.get("manifestVersion")
    return version if isinstance(version, int) and not isinstance(version, bool) else None
