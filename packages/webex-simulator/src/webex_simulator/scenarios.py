"""Client of the simulator's control endpoint: for programs and tests that break things on purpose."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any

ANSWER_SECONDS = 10.0
RESTART_SECONDS = 10.0
"""How long we wait for a simulator that is just being started again."""


class ScenarioError(Exception):
    """The simulator did not do it; the text says why and what to do, in words for people."""


class NoSimulator(ScenarioError):
    """Nobody answers at the address."""


class ScenarioClient:
    """Breaks things in a running simulator, and fixes them. Every method may be repeated; all raise ScenarioError."""

    def __init__(self, control_url: str) -> None:
        """`control_url`: address of the control endpoint, see WebexSimulator.control_url."""
        self._url = control_url
        # Everything is on loopback: a proxy of the environment must not come between.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def outage(self, *, city: str | None = None, location: str | None = None, device: str | None = None) -> None:
        """Take a city, a location or a device down until it is restored."""
        self._act("outage", city=city, location=location, device=device)

    def restore(self, *, city: str | None = None, location: str | None = None, device: str | None = None) -> None:
        """Bring back what `outage` took down."""
        self._act("restore", city=city, location=location, device=device)

    def heat(self, room: str, celsius: float) -> None:
        """Let the temperature sensors of a room read so many °C."""
        self._act("heat", room=room, celsius=celsius)

    def firmware(self, version: str, *, city: str | None = None, device: str | None = None) -> None:
        """Let the devices of a city, or one device, report a software version."""
        self._act("firmware", version=version, city=city, device=device)

    def issue(self, device: str, code: str) -> None:
        """Let a device report an issue code."""
        self._act("issue", device=device, code=code)

    def flap(self, *, city: str | None = None, location: str | None = None, device: str | None = None,
             down_seconds: float = 30, up_seconds: float = 30) -> None:  # fmt: skip
        """Let devices go down and come back, over and over."""
        self._act("flap", city=city, location=location, device=device, downSeconds=down_seconds, upSeconds=up_seconds)

    def maintenance(self, *, city: str | None = None, location: str | None = None, device: str | None = None,
                    room: str | None = None, seconds: float | None = None) -> None:  # fmt: skip
        """Put devices or a room into planned maintenance, for a while or until it is ended."""
        self._act("maintenance", city=city, location=location, device=device, room=room, seconds=seconds)

    def overcrowd(self, room: str, people: int | None = None) -> None:
        """Let a room count so many people, three more than it has seats by default."""
        self._act("overcrowd", room=room, people=people)

    def bad_call(self, device: str, loss: float = 8, jitter: float = 80) -> None:
        """Put a device into a call that loses so many % of its packets, with a jitter in ms."""
        self._act("bad-call", device=device, loss=loss, jitter=jitter)

    def status(self, device: str, status: str) -> None:
        """Let a device report a connectionStatus, known or not."""
        self._act("status", device=device, status=status)

    def throttle(self, seconds: float, retry_after: str | None = None) -> None:
        """Let the API answer 429 for a while, with any Retry-After or none."""
        self._act("throttle", seconds=seconds, retryAfter=retry_after)

    def fail(self, seconds: float, status: int = 503) -> None:
        """Let the API answer a 5xx status for a while."""
        self._act("fail", seconds=seconds, status=status)

    def webex_incident(self, name: str, impact: str = "minor", seconds: float | None = None) -> None:
        """Let Webex's own status page report an incident, for a while or until it is cleared."""
        self._act("webex-incident", name=name, impact=impact, seconds=seconds)

    def fail_status_page(self, seconds: float, status: int = 503) -> None:
        """Let Webex's own status page answer a 5xx status for a while."""
        self._act("fail-status-page", seconds=seconds, status=status)

    def corrupt(self, pages: int) -> None:
        """Corrupt the next pages of listings."""
        self._act("corrupt", pages=pages)

    def integrate(self, manifest: dict[str, Any], location: str | None = None) -> dict[str, Any]:
        """Activate a Workspace Integration by its manifest, for one location or all: its client, secret and activation code."""
        activated: dict[str, Any] = self._act("integrate", manifest=manifest, location=location)["effects"][0]
        return {name: activated[name] for name in ("clientId", "clientSecret", "activationCode")}

    def control_hub(self, url: str, secret: str, after_seconds: float | None = None) -> None:
        """Let Control Hub send its alerts about devices there, signed with the secret; a device is offline after so long."""
        self._act("control-hub", url=url, secret=secret, afterSeconds=after_seconds)

    def update_integration(self, action: str, version: int = 1) -> None:
        """Let the administrator act: update, updateApproved (of a version of the manifest), deprovision, healthCheck."""
        self._act("update-integration", action=action, manifestVersion=version)

    def event(self, device: str, key: str, value: dict[str, Any]) -> None:
        """Let an event happen at a device, such as BootEvent."""
        self._act("event", device=device, key=key, value=value)

    def health_check(self) -> None:
        """Let Webex send every integration a health check."""
        self._act("health-check")

    def push_loss(self, percent: float) -> None:
        """Lose so many % of what integrations get."""
        self._act("push-loss", percent=percent)

    def push_duplicates(self, percent: float) -> None:
        """Send integrations so many % of it twice."""
        self._act("push-duplicates", percent=percent)

    def push_disorder(self) -> None:
        """Send integrations out of order."""
        self._act("push-disorder")

    def push_silence(self, seconds: float | None = None) -> None:
        """Send integrations nothing more, for a while or until it is ended: what changes meanwhile is lost."""
        self._act("push-silence", seconds=seconds)

    def drop_queue(self) -> None:
        """Drop the queues of the integrations, with what is in them."""
        self._act("drop-queue")

    def expire_token(self) -> None:
        """Refuse every access token of before."""
        self._act("expire-token")

    def clear(self) -> None:
        """End everything that was broken on purpose."""
        self._act("clear")

    def list(self) -> list[dict[str, Any]]:
        """The effects in force, oldest first."""
        return list(self._ask(urllib.request.Request(self._url))["effects"])

    def _act(self, action: str, /, **fields: Any) -> dict[str, Any]:
        named = {name: value for name, value in fields.items() if value is not None}
        body = json.dumps(named).encode()
        return self._ask(urllib.request.Request(f"{self._url}/{action}", body, {"Content-Type": "application/json"}))

    def _ask(self, request: urllib.request.Request) -> dict[str, Any]:
        """The answer as JSON; waits a while for a simulator that does not listen."""
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
                    return dict(json.load(answer))
            except urllib.error.HTTPError as fault:
                raise ScenarioError(_reason(fault)) from fault
            except (OSError, http.client.HTTPException) as fault:
                if time.monotonic() > deadline:
                    raise NoSimulator(f"No Webex simulator answers at {self._url} ({fault}): start one there.") from fault
            time.sleep(0.2)


def _reason(fault: urllib.error.HTTPError) -> str:
    """The simulator's own words, or the status when it was something else that answered."""
    try:
        return str(json.load(fault)["error"])
    except (ValueError, KeyError, TypeError):
        return f"{fault.url} answered {fault.code} {fault.reason}: is it the simulator that listens there?"
