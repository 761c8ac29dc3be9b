"""Workspace Integrations: activated with a manifest, fed by a queue of messages that is polled again and again.

What an activation gives is an effect of the control endpoint, so it survives a restart; a queue doesn't, as it may not at Webex.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Any

from webex_simulator.answers import Answer, ApiError, json_answer
from webex_simulator.chance import key
from webex_simulator.clock import Clock
from webex_simulator.conditions import Conditions
from webex_simulator.effects import Effect, Effects, Target, devices_of
from webex_simulator.environment import Environment
from webex_simulator.estate import Device, Estate, webex_id
from webex_simulator.feed import Feed
from webex_simulator.push_queue import Queue, stamped
from webex_simulator.signing import Signer
from webex_simulator.site_time import iso

INTEGRATION = "integration"
REGION = "eu-central-1_k"
HOLD_SECONDS = 20.0
"""How long a poll of the queue is held at most, in real time. The real time is not published; clients give up after 30 s."""
ACTIVATION_SECONDS = 7 * 86_400
ACTIONS = ("update", "updateApproved", "deprovision", "healthCheck")
QUEUE_STATES = ("enabled", "disabled", "remove")
PROVISIONING_STATES = ("in_progress", "error", "completed")
MOST_MESSAGES = 500
"""In one answer. The real number is not published."""


class Integrations:
    """The integrations of the organisation. Thread-safe."""

    def __init__(self, estate: Estate, environment: Environment, conditions: Conditions, effects: Effects, clock: Clock) -> None:
        self.signer = Signer(estate.seed)
        self.hold_seconds = HOLD_SECONDS
        self._estate = estate
        self._environment = environment
        self._conditions = conditions
        self._effects = effects
        self._clock = clock
        self._queues: dict[str, Queue] = {}
        self._provisioned: dict[str, str] = {}
        self._changed = threading.Condition()

    def registered(self, manifest: dict[str, Any], place: Target | None, base: str, now: float) -> dict[str, Any]:
        """What an activation gives: the integration's client, its secret, and the activation code. Raises ApiError 400."""
        listed = _listed(manifest)
        identity = key(self._estate.seed, "app", str(manifest.get("id")), place.key if place else "", self._effects.version)
        app_id = webex_id("APPLICATION", identity)
        client = {"clientId": f"client-{identity:016x}", "clientSecret": f"secret-{identity:016x}"}
        values = {"code": app_id, **client, **listed, "refreshToken": f"refresh-{identity:016x}"}
        values["location"] = list(place) if place else None
        values["manifestVersion"] = manifest.get("manifestVersion", 1)
        values["activationCode"] = self.signer.signed(self._claims(values, "provision", base, now))
        return values

    def act(self, app_id: str | None, action: str, version: int, base: str, now: float) -> None:
        """Put an action of the administrator into the queues. Raises ApiError 400, 404."""
        if action not in ACTIONS:
            raise ApiError(400, f"action must be one of {', '.join(ACTIONS)}: {action!r}.")
        for integration in self._named(app_id, now):
            claims = self._claims({**integration.values, "manifestVersion": version}, action, base, now)
            claims.pop("expiryTime")
            self._put(integration.values["code"], {"type": "action", "jwt": self.signer.signed(claims)})
            if action == "deprovision":
                self._effects.end(lambda effect, ended=integration: effect is ended)  # type: ignore[misc]

    def happened(self, device: Device, event: str, value: dict[str, Any]) -> None:
        """An event at a device, sent to the integrations that have it in their manifest."""
        now = self._clock.seconds()
        for integration in self._all(now):
            if any(event.startswith(known) for known in integration.values["events"]) and device in self._devices(integration):
                events = [{"key": event, "value": value, "timestamp": iso(now)}]
                self._put(integration.values["code"], stamped("events", self._about(integration, device), now, events=events))

    def check_health(self, now: float) -> None:
        """Send every queue a health check."""
        for integration in self._all(now):
            self._put(integration.values["code"], stamped("healthCheck", self._about(integration), now))

    def drop_queues(self) -> None:
        """Drop the queues with everything in them: they have to be enabled anew, at another address."""
        with self._changed:
            self._queues.clear()
            self._changed.notify_all()

    def respond(self, app_id: str, method: str, rest: Sequence[str], body: str, base: str) -> Answer:
        """The answer to a request about an integration. Raises ApiError."""
        integration = next(iter(self._named(app_id, self._clock.seconds())))
        match method, rest:
            case "GET", []:
                return json_answer(self._described(integration, base))
            case "PATCH", []:
                self._patch(integration, _document(body))
                return json_answer(self._described(integration, base))
            case "GET", ["queue", queue_id]:
                return json_answer({"messages": self._poll(app_id, queue_id)})
        raise ApiError(405, f"{method} is nothing that can be done here.")

    def _poll(self, app_id: str, queue_id: str) -> list[dict[str, Any]]:
        """What the queue has, at once when it has something; else what it gets while the poll is held."""
        end = time.monotonic() + self.hold_seconds
        with self._changed:
            while True:
                queue = self._queues.get(app_id)
                if queue is None or queue.id != queue_id:
                    raise ApiError(404, "There is no such queue: enable it again.")
                messages = queue.taken(self._clock.seconds(), MOST_MESSAGES)
                left = end - time.monotonic()
                if messages or left <= 0:
                    return messages
                self._changed.wait(min(left, queue.look_again_seconds))

    def _patch(self, integration: Effect, changes: dict[str, Any]) -> None:
        app_id = integration.values["code"]
        state = changes.get("provisioningState")
        if state is not None:
            if state not in PROVISIONING_STATES:
                raise ApiError(400, f"provisioningState must be one of {', '.join(PROVISIONING_STATES)}: {state!r}.")
            self._provisioned[app_id] = state
        wanted = (changes.get("queue") or {}).get("state")
        if wanted not in (None, *QUEUE_STATES):
            raise ApiError(400, f"queue.state must be one of {', '.join(QUEUE_STATES)}: {wanted!r}.")
        with self._changed:
            if wanted == "enabled" and app_id not in self._queues:
                self._queues[app_id] = self._new_queue(integration)
            elif wanted in ("disabled", "remove"):
                self._queues.pop(app_id, None)
            self._changed.notify_all()

    def _new_queue(self, integration: Effect) -> Queue:
        feed = Feed(
            self._estate, self._environment, self._conditions, self._effects,
            self._devices(integration), integration.values["statuses"], self._clock.seconds(),
        )  # fmt: skip
        return Queue(feed, self._effects, self._about(integration))

    def _devices(self, integration: Effect) -> Sequence[Device]:
        place = integration.values["location"]
        return devices_of(self._estate, Target(*place)) if place else self._estate.devices

    def _put(self, app_id: str, message: dict[str, Any]) -> None:
        with self._changed:
            if app_id in self._queues:
                self._queues[app_id].put(message)
                self._changed.notify_all()

    def _all(self, now: float) -> list[Effect]:
        return [effect for effect in self._effects.all(now) if effect.kind == INTEGRATION]

    def _named(self, app_id: str | None, now: float) -> list[Effect]:
        found = [effect for effect in self._all(now) if app_id in (None, effect.values["code"])]
        if not found:
            raise ApiError(404, "There is no such integration: it was never activated, or is deactivated.")
        return found

    def _about(self, integration: Effect, device: Device | None = None) -> dict[str, str]:
        of_device = {"deviceId": device.id, "workspaceId": device.workspace.id} if device and device.workspace else {}
        return {**of_device, "orgId": self._estate.organization_id, "appId": integration.values["code"]}

    def _app_url(self, app_id: str, base: str) -> str:
        return f"{base}/xapi/api/organizations/{self._estate.organization_id}/apps/{app_id}"

    def _described(self, integration: Effect, base: str) -> dict[str, Any]:
        values, app_id = integration.values, integration.values["code"]
        document: dict[str, Any] = {
            "id": app_id,
            "manifestVersion": values["manifestVersion"],
            "scopes": values["scopes"],
            "roles": [],
            "xapiAccessKeys": {"statuses": values["statuses"], "events": values["events"], "commands": []},
            "provisioningState": self._provisioned.get(app_id, "in_progress"),
            "publicLocationIds": [values["location"][1]] if values["location"] else [],
            "availability": "org_private",
        }
        queue = self._queues.get(app_id)
        if queue is not None:
            document["queue"] = {"state": "enabled", "pollUrl": f"{self._app_url(app_id, base)}/queue/{queue.id}"}
        return document

    def _claims(self, values: dict[str, Any], action: str, base: str, now: float) -> dict[str, Any]:
        access = {"status": values["statuses"], "events": values["events"], "commands": []}
        return {
            "sub": self._estate.organization_id,
            "orgName": "Simulated organisation",
            "appId": values["code"],
            "appUrl": self._app_url(values["code"], base),
            "manifestUrl": f"{self._app_url(values['code'], base)}/manifest",
            "manifestVersion": values["manifestVersion"],
            "oauthUrl": f"{base}/v1/access_token",
            "webexapisBaseUrl": f"{base}/v1",
            "region": REGION,
            "scopes": " ".join(values["scopes"]),
            "xapiAccess": json.dumps(access),
            "refreshToken": values["refreshToken"],
            "expiryTime": iso(now + ACTIVATION_SECONDS),
            "iat": int(now),
            "jti": str(uuid.uuid4()),
            "action": action,
        }


def _listed(manifest: dict[str, Any]) -> dict[str, Any]:
    """The scopes, statuses and events of a manifest. Raises ApiError 400."""
    try:
        access = manifest["xapiAccess"]
        return {
            "scopes": [entry["scope"] for entry in manifest["apiAccess"]],
            "statuses": [entry["path"] for entry in access.get("status", ())],
            "events": [entry["path"] for entry in access.get("events", ())],
        }
    except (KeyError, TypeError, AttributeError) as fault:
        raise ApiError(400, f"The manifest is not one: {type(fault).__name__} {fault}.") from fault


def _document(body: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as fault:
        raise ApiError(400, f"The body is not JSON: {fault}.") from fault
    if not isinstance(document, dict):
        raise ApiError(400, "The body must be a JSON object.")
    return document
