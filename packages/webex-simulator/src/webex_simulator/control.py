"""The control endpoint /_control: break things in the simulated estate and its API, see what is broken, fix it.

GET gives the state. POST /_control/<action> with a JSON object does one thing; control.md lists the actions.
Seconds are those of people's watches: with a faster clock an effect covers more simulated time.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from typing import Any

from webex_simulator.answers import Answer, ApiError, json_answer
from webex_simulator.api_faults import CORRUPTIONS
from webex_simulator.capabilities import measures
from webex_simulator.clock import Clock
from webex_simulator.control_hub import CONTROL_HUB, OFFLINE_AFTER_SECONDS
from webex_simulator.effects import Effect, Effects, Target, devices_of
from webex_simulator.estate import Estate, Workspace
from webex_simulator.integrations import INTEGRATION, Integrations
from webex_simulator.occupancy import SEATS_WHEN_UNKNOWN
from webex_simulator.site_time import iso
from webex_simulator.targets import find_target

log = logging.getLogger("webex_simulator.control")

PLACES = ("city", "location", "device")
SET_UP = (INTEGRATION, CONTROL_HUB)
"""Kinds of effects that break nothing: what an administrator has set up. They hold secrets, and `clear` leaves them."""
LONGEST_LATENCY_SECONDS = 60.0


class Control:
    """Answers requests to the control endpoint."""

    def __init__(self, estate: Estate, effects: Effects, clock: Clock, integrations: Integrations) -> None:
        self._estate = estate
        self._integrations = integrations
        self._effects = effects
        self._clock = clock
        self._actions: dict[str, Callable[[_Fields], list[Effect]]] = {
            "outage": self._outage,
            "restore": self._restore,
            "heat": self._heat,
            "firmware": self._firmware,
            "issue": self._issue,
            "flap": self._flap,
            "maintenance": self._maintenance,
            "overcrowd": self._overcrowd,
            "bad-call": self._bad_call,
            "status": self._status,
            "throttle": self._throttle,
            "fail": self._fail,
            "webex-incident": self._webex_incident,
            "fail-status-page": self._fail_status_page,
            "slow": self._slow,
            "corrupt": self._corrupt,
            "drop": self._drop,
            "expire-token": self._expire_token,
            "rotate-refresh-token": self._rotate_refresh_token,
            "refuse-refresh": self._refuse_refresh,
            "paging-traps": self._paging_traps,
            "integrate": self._integrate,
            "update-integration": self._update_integration,
            "event": self._event,
            "health-check": self._health_check,
            "push-loss": self._push_loss,
            "push-duplicates": self._push_duplicates,
            "push-disorder": self._push_disorder,
            "push-silence": self._push_silence,
            "drop-queue": self._drop_queue,
            "control-hub": self._control_hub,
            "chance-outages": self._chance_outages,
            "clear": self._clear,
        }

    def respond(self, method: str, path: str, body: str, base: str) -> Answer:
        """The answer to a request that came to the address `base`; faults are {"error": text for people}."""
        try:
            if method == "GET" and path == "/_control":
                return json_answer(self._state())
            return json_answer({"effects": self._act(method, path.removeprefix("/_control/"), body, base)})
        except ApiError as error:
            return json_answer({"error": str(error)}, error.status)
        except OSError as fault:
            text = f"The change was not made, because it can't be kept on disk ({fault.strerror}): make room, then try again."
            return json_answer({"error": text}, 507)

    def _state(self) -> dict[str, Any]:
        now = self._clock.seconds()
        return {
            "time": iso(now),
            "seed": self._estate.seed,
            "devices": len(self._estate.devices),
            "workspaces": len(self._estate.workspaces),
            "locations": [location.name for location in self._estate.locations],
            "cities": {city.slug: city.name for city in self._estate.cities},
            "effects": [_shown(effect) for effect in self._effects.all(now) if effect.kind not in SET_UP],
        }

    def _act(self, method: str, action: str, body: str, base: str) -> list[dict[str, Any]]:
        if action not in self._actions:
            raise ApiError(404, f"There is no action {action!r}. Actions: {', '.join(self._actions)}.")
        if method != "POST":
            raise ApiError(405, f"Use POST for {action}.")
        fields = _Fields(action, body, base)
        effects = [_shown(effect) for effect in self._actions[action](fields)]
        log.info("scenario %s", action, extra={"ids": {"action": action, "effects": [effect["id"] for effect in effects]}})
        return effects

    def _outage(self, fields: _Fields) -> list[Effect]:
        return self._begin("outage", fields, self._place(fields))

    def _restore(self, fields: _Fields) -> list[Effect]:
        """End the outages of a place and of what is in it; that there is none is fine, so a repeated request does no harm."""
        place = self._place(fields)
        fields.done()
        restored = self._members(place)
        over = []
        for outage in (effect for effect in self._effects.all(self._clock.seconds()) if effect.kind == "outage"):
            down = self._members(_target_of(outage))
            if down <= restored:
                over.append(outage)
            elif down & restored:
                raise ApiError(409, f"{place.name} is down with the {_target_text(outage)}: restore that.")
        return self._effects.end(lambda effect: effect in over)

    def _members(self, place: Target) -> set[int]:
        return {device.index for device in devices_of(self._estate, place)}

    def _heat(self, fields: _Fields) -> list[Effect]:
        room = find_target(self._estate, "workspace", fields.text("room"))
        workspace = self._estate.workspace_of_id[room.key]
        if not measures(self._estate, workspace, "temperature"):
            others = self._others(workspace, "temperature")
            raise ApiError(409, f"{room.name} measures no temperature. Rooms there that do: {others}.")
        return self._begin("heat", fields, room, {"celsius": fields.number("celsius", -40, 80)})

    def _firmware(self, fields: _Fields) -> list[Effect]:
        return self._begin("firmware", fields, self._place(fields), {"version": fields.text("version")})

    def _issue(self, fields: _Fields) -> list[Effect]:
        device = find_target(self._estate, "device", fields.text("device"))
        return self._begin("issue", fields, device, {"code": fields.text("code")})

    def _flap(self, fields: _Fields) -> list[Effect]:
        """Let devices go down and come back, over and over; spans are of the watch, as `seconds` is."""
        place = self._place(fields)
        spans = {name: fields.number(name, 1, 86_400, default=30) * self._clock.speed for name in ("downSeconds", "upSeconds")}
        return self._begin("flap", fields, place, spans)

    def _maintenance(self, fields: _Fields) -> list[Effect]:
        room = fields.optional_text("room")
        place = find_target(self._estate, "workspace", room) if room else self._place(fields)
        return self._begin("maintenance", fields, place)

    def _overcrowd(self, fields: _Fields) -> list[Effect]:
        room = find_target(self._estate, "workspace", fields.text("room"))
        workspace = self._estate.workspace_of_id[room.key]
        if not measures(self._estate, workspace, "peopleCount"):
            raise ApiError(409, f"{room.name} counts no people. Rooms there that do: {self._others(workspace, 'peopleCount')}.")
        seats = workspace.seats or SEATS_WHEN_UNKNOWN
        return self._begin("overcrowd", fields, room, {"people": int(fields.number("people", 0, 1000, default=seats + 3))})

    def _bad_call(self, fields: _Fields) -> list[Effect]:
        """A call of poor quality; the device reports it as an issue, which is what makes the ingest look closer."""
        device = find_target(self._estate, "device", fields.text("device"))
        if self._estate.device_of_id[device.key].product.type != "roomdesk":
            raise ApiError(409, f"{device.name} is not a room device: only those are in calls we can look at.")
        values = {"loss": fields.number("loss", 0, 100, default=8), "jitter": fields.number("jitter", 0, 10_000, default=80)}
        return self._begin("bad-call", fields, device, {**values, "code": "networkquality"})

    def _status(self, fields: _Fields) -> list[Effect]:
        """Any connectionStatus, known or not: Webex has added to them before."""
        device = find_target(self._estate, "device", fields.text("device"))
        return self._begin("status", fields, device, {"status": fields.text("status")})

    def _others(self, workspace: Workspace, sensor: str) -> str:
        """Some rooms near a workspace that have a sensor."""
        near = (each for each in self._estate.workspaces if each.location is workspace.location)
        return ", ".join([each.name for each in near if measures(self._estate, each, sensor)][:5])

    def _throttle(self, fields: _Fields) -> list[Effect]:
        return self._begin("throttle", fields, values={"retryAfter": fields.optional_text("retryAfter"), **_aim(fields)})

    def _fail(self, fields: _Fields) -> list[Effect]:
        status = int(fields.number("status", 500, 599, default=503))
        return self._begin("fail", fields, values={"status": status, **_aim(fields)})

    def _webex_incident(self, fields: _Fields) -> list[Effect]:
        """An incident on Webex's own status page; several of other names add up."""
        impact = fields.optional_text("impact") or "minor"
        return self._begin("webex-incident", fields, values={"code": fields.text("name"), "impact": impact})

    def _fail_status_page(self, fields: _Fields) -> list[Effect]:
        return self._begin("fail-status-page", fields, values={"status": int(fields.number("status", 500, 599, default=503))})

    def _slow(self, fields: _Fields) -> list[Effect]:
        latency = fields.number("latencySeconds", 0, LONGEST_LATENCY_SECONDS)
        return self._begin("slow", fields, values={"latencySeconds": latency, "path": fields.optional_text("path")})

    def _corrupt(self, fields: _Fields) -> list[Effect]:
        pages = int(fields.number("pages", 1, 1_000_000, default=1))
        how = fields.optional_text("how")
        if how not in (None, *CORRUPTIONS):
            raise ApiError(400, f"how must be one of {', '.join(CORRUPTIONS)}, or absent for each in turn: {how!r}.")
        values = {"pages": pages, "left": pages, "how": how, "path": fields.optional_text("path")}
        return self._begin("corrupt", fields, values=values)

    def _drop(self, fields: _Fields) -> list[Effect]:
        return self._begin("drop", fields, values={"left": 1, **_aim(fields)})

    def _expire_token(self, fields: _Fields) -> list[Effect]:
        return self._begin("expire-token", fields)

    def _rotate_refresh_token(self, fields: _Fields) -> list[Effect]:
        return self._begin("rotate-refresh-token", fields)

    def _refuse_refresh(self, fields: _Fields) -> list[Effect]:
        return self._begin("refuse-refresh", fields)

    def _paging_traps(self, fields: _Fields) -> list[Effect]:
        limit = fields.number("timeoutAbove", 1, 1_000_000, default=math.inf)
        values = {"overlap": fields.flag("overlap"), "empty_page": fields.flag("emptyPage")}
        return self._begin("paging-traps", fields, values=values | {"timeout_above": None if limit == math.inf else int(limit)})

    def _chance_outages(self, fields: _Fields) -> list[Effect]:
        return self._begin("chance-outages", fields)

    def _integrate(self, fields: _Fields) -> list[Effect]:
        """Add and activate a Workspace Integration, as an administrator does in Control Hub with its manifest."""
        manifest, location = fields.mapping("manifest"), fields.optional_text("location")
        place = find_target(self._estate, "location", location) if location else None
        values = self._integrations.registered(manifest, place, fields.base, self._clock.seconds())
        fields.done()
        return [self._effects.begin(INTEGRATION, self._clock.seconds(), values=values)]

    def _update_integration(self, fields: _Fields) -> list[Effect]:
        """Notify an integration of an action of its administrator: update, updateApproved, deprovision, healthCheck."""
        action, changed = fields.text("action"), int(fields.number("manifestVersion", 1, 1_000_000, default=1))
        self._integrations.act(self._integration(fields), action, changed, fields.base, self._clock.seconds())
        fields.done()
        return []

    def _event(self, fields: _Fields) -> list[Effect]:
        device = find_target(self._estate, "device", fields.text("device"))
        self._integrations.happened(self._estate.device_of_id[device.key], fields.text("key"), fields.mapping("value"))
        fields.done()
        return []

    def _health_check(self, fields: _Fields) -> list[Effect]:
        fields.done()
        self._integrations.check_health(self._clock.seconds())
        return []

    def _integration(self, fields: _Fields) -> str | None:
        return fields.optional_text("appId")

    def _push_loss(self, fields: _Fields) -> list[Effect]:
        return self._begin("push-loss", fields, values={"percent": fields.number("percent", 0, 100, default=10)})

    def _push_duplicates(self, fields: _Fields) -> list[Effect]:
        return self._begin("push-duplicates", fields, values={"percent": fields.number("percent", 0, 100, default=10)})

    def _push_disorder(self, fields: _Fields) -> list[Effect]:
        return self._begin("push-disorder", fields)

    def _push_silence(self, fields: _Fields) -> list[Effect]:
        return self._begin("push-silence", fields)

    def _drop_queue(self, fields: _Fields) -> list[Effect]:
        fields.done()
        self._integrations.drop_queues()
        return []

    def _control_hub(self, fields: _Fields) -> list[Effect]:
        """Have Control Hub send its alerts about devices to an address, as an administrator does."""
        values = {name: fields.text(name) for name in ("url", "secret")}
        after = fields.number("afterSeconds", 0, 86_400, default=OFFLINE_AFTER_SECONDS)
        fields.done()
        self._effects.begin(CONTROL_HUB, self._clock.seconds(), values=values | {"afterSeconds": after})
        return []

    def _clear(self, fields: _Fields) -> list[Effect]:
        """End one effect by its id, or all that is broken."""
        wanted = fields.optional_text("id")
        fields.done()
        ended = self._effects.end(lambda effect: wanted == effect.id or (wanted is None and effect.kind not in SET_UP))
        if wanted is not None and not ended:
            raise ApiError(404, f"There is no effect {wanted!r}: GET /_control lists those in force.")
        return ended

    def _begin(
        self, kind: str, fields: _Fields, target: Target | None = None, values: dict[str, Any] | None = None
    ) -> list[Effect]:
        """Put an effect into force for the `seconds` of the request, for ever without."""
        lasting = fields.number("seconds", 0, math.inf, default=math.inf)
        fields.done()
        now = self._clock.seconds()
        return [self._effects.begin(kind, now, now + lasting * self._clock.speed, target, values)]

    def _place(self, fields: _Fields) -> Target:
        named = [(kind, name) for kind in PLACES if (name := fields.optional_text(kind)) is not None]
        if len(named) != 1:
            raise ApiError(400, f"Name exactly one of {', '.join(PLACES)}.")
        return find_target(self._estate, *named[0])


class _Fields:
    """The JSON object of a request; every fault is an ApiError 400 that names the field."""

    def __init__(self, action: str, body: str, base: str) -> None:
        try:
            document = json.loads(body or "{}")
        except ValueError as fault:
            raise ApiError(400, f"The body is not JSON: {fault}.") from fault
        if not isinstance(document, dict):
            raise ApiError(400, "The body must be a JSON object.")
        self.base = base
        """The address that the request came to, scheme and host."""
        self._action = action
        self._left: dict[str, Any] = document

    def text(self, name: str) -> str:
        """Text that must be there."""
        value = self.optional_text(name)
        if value is None:
            raise ApiError(400, f"{self._action} needs {name}.")
        return value

    def optional_text(self, name: str) -> str | None:
        """Text, None when it is absent, null or empty."""
        value = self._left.pop(name, None)
        if not isinstance(value, str | None):
            raise ApiError(400, f"{name} must be text: {value!r}.")
        return value or None

    def number(self, name: str, least: float, most: float, default: float | None = None) -> float:
        """A number from `least` to `most`; it must be there unless it has a default."""
        value = self._left.pop(name, None)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ApiError(400, f"{name} must be a number from {least:g} to {most:g}: {value!r}.")
        return float(value)

    def mapping(self, name: str) -> dict[str, Any]:
        """A JSON object that must be there."""
        value = self._left.pop(name, None)
        if not isinstance(value, dict):
            raise ApiError(400, f"{self._action} needs {name}, a JSON object.")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false when it is absent."""
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            raise ApiError(400, f"{name} must be true or false: {value!r}.")
        return value

    def done(self) -> None:
        """Raises ApiError when the request has fields nobody asked for."""
        if self._left:
            raise ApiError(400, f"{self._action} knows no {', '.join(self._left)}.")


def _aim(fields: _Fields) -> dict[str, Any]:
    """Which requests a fault of the API meets: all, or those whose path holds a text, or so many of them."""
    requests = fields.number("requests", 1, 1_000_000, default=math.inf)
    return {"path": fields.optional_text("path")} | ({} if requests == math.inf else {"left": int(requests)})


def _target_of(effect: Effect) -> Target:
    assert effect.target is not None, f"{effect.kind} has a target"
    return effect.target


def _target_text(effect: Effect) -> str:
    target = _target_of(effect)
    return f"{'room' if target.kind == 'workspace' else target.kind} {target.name}"


def _shown(effect: Effect) -> dict[str, Any]:
    """An effect as JSON: unset values are left out."""
    shown: dict[str, Any] = {"id": effect.id, "kind": effect.kind}
    if effect.target is not None:
        shown["target"] = _target_text(effect)
    shown["since"] = iso(effect.since)
    if effect.until != math.inf:
        shown["until"] = iso(effect.until)
    return shown | {name: value for name, value in effect.values.items() if value not in (None, False)}
