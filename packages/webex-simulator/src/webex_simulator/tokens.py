"""Access tokens: one that always works, and those a refresh gives, which expire by the clock as the real ones do.

A token carries its time of issue and a digest, so that tokens survive a restart of the simulator with nothing stored. Only which
refresh token is the newest is forgotten then: while they rotate, the first one used after a restart counts as it.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from webex_simulator.answers import Answer, ApiError, json_answer
from webex_simulator.chance import key
from webex_simulator.effects import Effect, Effects

ACCESS_TOKEN = "simulated-access-token"
REFRESH_TOKEN = "simulated-refresh-token"
CLIENT_ID = "simulated-client-id"
CLIENT_SECRET = "simulated-client-secret"
ACCESS_SECONDS = 1_209_599
"""14 days less a second, as Webex gives them."""
INTEGRATION_SECONDS = 86_400
"""How long the access token of an integration lives. The real time is whatever `expires_in` says."""
REFRESH_SECONDS = 7_776_000
SCOPES = (
    "spark-admin:devices_read spark-admin:workspaces_read spark-admin:locations_read "
    "spark-admin:workspace_metrics_read spark:xapi_statuses"
)


class Tokens:
    """Issues and checks tokens."""

    def __init__(self, seed: int, effects: Effects) -> None:
        self._seed = seed
        self._effects = effects
        self._newest_refresh: str | None = None

    def refresh(self, form: str, seconds: float) -> Answer:
        """The answer to POST /access_token with a form; unless they rotate, the same refresh token comes back with a new life.

        Raises ApiError.
        """
        fields = _fields(form)
        if fields.get("grant_type") != "refresh_token":
            raise ApiError(400, "grant_type must be refresh_token: the simulator knows no other.")
        if integration := self._integration(fields, seconds):
            return self._of_integration(integration, fields, seconds)
        if (fields.get("client_id"), fields.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise ApiError(401, f"Unknown client: the simulator knows client_id {CLIENT_ID} and client_secret {CLIENT_SECRET}.")
        if not self._refreshes(fields.get("refresh_token", "")) or self._effects.of_kind("refuse-refresh", seconds):
            raise ApiError(400, f"The refresh token is invalid: the simulator takes {REFRESH_TOKEN}, or the newest it gave.")
        if self._effects.of_kind("rotate-refresh-token", seconds):
            issued = int(seconds * 1000)
            self._newest_refresh = f"refresh-{issued}-{key(self._seed, 'refresh', issued):016x}"
        return json_answer(
            {
                "access_token": self._token(int(seconds * 1000)),
                "expires_in": ACCESS_SECONDS,
                "refresh_token": self._newest_refresh or REFRESH_TOKEN,
                "refresh_token_expires_in": REFRESH_SECONDS,
                "token_type": "Bearer",
                "scope": SCOPES,
            }
        )

    def expiry(self, authorization: str | None, seconds: float) -> Answer:
        """The answer to GET /authorizations/tokenExpiry: when the token of the request ends, in milliseconds since the epoch."""
        issued = _issued((authorization or "").partition(" ")[2])
        start = seconds if issued is None else issued / 1000
        return json_answer({"exp": int((start + ACCESS_SECONDS) * 1000)})

    def check(self, authorization: str | None, seconds: float, app_id: str | None = None) -> None:
        """Raises ApiError 401 unless the Authorization header holds a token that is valid now; `app_id`: of that integration."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme != "Bearer" or not self._is_valid(token, seconds, app_id):
            raise ApiError(401, "The request requires a valid access token set in the Authorization request header.")

    def _refreshes(self, token: str) -> bool:
        if self._newest_refresh is not None:
            return token == self._newest_refresh
        issued = _issued(token)
        ours = issued is not None and token == f"refresh-{issued}-{key(self._seed, 'refresh', issued):016x}"
        if ours:
            self._newest_refresh = token
        return ours or token == REFRESH_TOKEN

    def _integration(self, fields: dict[str, str], seconds: float) -> Effect | None:
        """The integration whose client asks."""
        found = (effect for effect in self._effects.all(seconds) if effect.kind == "integration")
        return next((effect for effect in found if effect.values["clientId"] == fields.get("client_id")), None)

    def _of_integration(self, integration: Effect, fields: dict[str, str], seconds: float) -> Answer:
        values = integration.values
        if fields.get("client_secret") != values["clientSecret"]:
            raise ApiError(401, "Unknown client: the secret is not that of the integration.")
        if fields.get("refresh_token") != values["refreshToken"] or self._effects.of_kind("refuse-refresh", seconds):
            raise ApiError(400, "The refresh token is invalid: it is in the activation code.")
        token = self._token(int(seconds * 1000), values["code"])
        lives = {"expires_in": INTEGRATION_SECONDS, "refresh_token_expires_in": REFRESH_SECONDS}
        return json_answer({"access_token": token, "refresh_token": values["refreshToken"], "token_type": "Bearer", **lives})

    def _is_valid(self, token: str, seconds: float, app_id: str | None) -> bool:
        expiry = self._effects.of_kind("expire-token", seconds)
        if token == ACCESS_TOKEN:
            return expiry is None and app_id is None
        issued = _issued(token)
        if issued is None or token != self._token(issued, app_id or ""):
            return False
        too_old = expiry is not None and issued / 1000 < expiry.since
        life = ACCESS_SECONDS if app_id is None else INTEGRATION_SECONDS
        return not too_old and issued / 1000 <= seconds < issued / 1000 + life

    def _token(self, issued: int, app_id: str = "") -> str:
        return f"simulated-{issued}-{key(self._seed, f'token{app_id}', issued):016x}"


def _fields(body: str) -> dict[str, str]:
    """The fields of a form, or of a JSON object as Cisco's own SDK sends it."""
    if not body.startswith("{"):
        return dict(parse_qsl(body))
    try:
        return {name: str(value) for name, value in json.loads(body).items()}
    except ValueError as fault:
        raise ApiError(400, f"The body is not JSON: {fault}.") from fault


def _issued(token: str) -> int | None:
    """The time of issue in milliseconds since the epoch, as the token claims it."""
    parts = token.split("-")
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else None
