"""Control Hub's alerts about devices, as its webhooks send them: a device is offline or back, issues are detected or resolved.

Where they go is an effect of the control endpoint, so it survives a restart; what was reported doesn't: how devices are when the
simulator starts is where it begins from. The bodies are those of Cisco's article on device alerts.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import http.client
import json
import logging
import math
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from webex_simulator.chance import key
from webex_simulator.clock import Clock
from webex_simulator.conditions import Conditions
from webex_simulator.effects import Effect, Effects
from webex_simulator.estate import Device, Estate, webex_id
from webex_simulator.site_time import iso

CONTROL_HUB = "control-hub"
OFFLINE_AFTER_SECONDS = 600.0
"""How long a device has been gone when Control Hub reports it."""
PRESENCE, ISSUES = "Offline and online events", "Issues detected and resolved events"
SIGNATURE = "X-Spark-Signature"
LOOK_SECONDS = 0.5
"""Real time between two looks at what has changed."""
ANSWER_SECONDS = 10.0
TRIES = 20
"""So often an alert is sent that nobody takes, once a look. Real figures are not published."""

log = logging.getLogger("webex_simulator.control_hub")


class _Known(NamedTuple):
    """What was reported of a device: whether it is gone, and the codes of its issues."""

    is_offline: bool
    codes: frozenset[str]


class ControlHub:
    """Watches the devices, and sends what befalls them to where the effect `control-hub` says. `look` is for one thread."""

    def __init__(self, estate: Estate, conditions: Conditions, effects: Effects, clock: Clock) -> None:
        self._estate = estate
        self._conditions = conditions
        self._effects = effects
        self._clock = clock
        self._known: dict[int, _Known] = {}
        self._due: list[tuple[float, int]] = []
        self._next: dict[int, float] = {}
        self._version = -1
        self._unsent: deque[tuple[int, dict[str, Any]]] = deque()
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on loopback, behind no proxy
        self._number = 0

    def run(self, stopping: threading.Event) -> None:
        """Look again and again until it is to stop."""
        while not stopping.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Send what has befallen devices since the last look. What nobody takes is sent again with the next ones."""
        now = self._clock.seconds()
        where = self._effects.of_kind(CONTROL_HUB, now)
        if where is None:
            self._known.clear()
            self._next.clear()
            self._due.clear()
            self._unsent.clear()
            return
        if not self._known:
            self._begin(where, now)
        self._unsent.extend((0, alert) for device in self._changed(now) for alert in self._alerts(where, device, now))
        for _ in range(len(self._unsent)):
            tries, alert = self._unsent.popleft()
            if not self._sent(where, alert) and tries + 1 < TRIES:
                self._unsent.append((tries + 1, alert))

    def _begin(self, where: Effect, now: float) -> None:
        """Remember how devices are: what was so before is not news."""
        for device in self._estate.devices:
            if device.location is not None:
                self._known[device.index] = self._seen(where, device, now)
        self._version = self._effects.version

    def _changed(self, now: float) -> Iterator[Device]:
        """The devices of which something may have changed: what was known of them has ended, or something was broken."""
        if self._version != self._effects.version:
            self._version = self._effects.version
            for index in self._known:
                self._wait_until(index, now)
        while self._due and self._due[0][0] <= now:
            moment, index = heapq.heappop(self._due)
            if self._next.get(index) == moment:
                yield self._estate.devices[index]

    def _seen(self, where: Effect, device: Device, now: float) -> _Known:
        """How Control Hub sees a device. Of one that is gone nobody reports issues: they stay as they were."""
        condition = self._conditions.at(device, now)
        is_gone = condition.status == "disconnected" and not condition.in_maintenance
        reported_at = condition.since + float(where.values["afterSeconds"]) if is_gone else math.inf
        self._wait_until(device.index, min(condition.valid_until, reported_at) if now < reported_at else condition.valid_until)
        before = self._known.get(device.index)
        codes = before.codes if before and condition.status == "disconnected" else frozenset(condition.codes)
        return _Known(now >= reported_at, codes)

    def _alerts(self, where: Effect, device: Device, now: float) -> Iterator[dict[str, Any]]:
        before, seen = self._known[device.index], self._seen(where, device, now)
        self._known[device.index] = seen
        if seen.is_offline != before.is_offline:
            how = "offline" if seen.is_offline else "online"
            yield self._alert(device, PRESENCE, f"{device.name} is {how}", {}, now)
        detected, resolved = sorted(seen.codes - before.codes), sorted(before.codes - seen.codes)
        if detected or resolved:
            text = f"{device.name}: {len(detected)} issues detected, {len(resolved)} resolved"
            yield self._alert(device, ISSUES, text, {"issues": {"detected": detected, "resolved": resolved}}, now)

    def _alert(self, device: Device, sub_type: str, summary: str, more: dict[str, Any], now: float) -> dict[str, Any]:
        self._number += 1
        identity = key(self._estate.seed, "alert", device.id, sub_type, int(now * 1000), self._number)
        about = {
            "RULE_NAME": sub_type, "ORGANIZATION_NAME": "Simulated organisation",
            "deviceId": device.id, "deviceName": device.name,
        }  # fmt: skip
        return {
            "id": webex_id("WEBHOOK", identity),
            "name": "controlHubAlerts",
            "resource": "controlHubAlerts",
            "event": "created",
            "orgId": self._estate.organization_id,
            "ownedBy": "org",
            "status": "active",
            "created": iso(now),
            "data": {
                "summary": summary,
                "severity": "HIGH",
                "emailIds": None,
                "notificationAttributes": about | more,
                "overrideExistingSubscriptionRecipients": False,
                "actionUrl": f"https://admin.webex.com/devices/view/{device.id}",
                "type": "Devices",
                "orgId": self._estate.organization_id,
                "audit": False,
                "callbackUrl": None,
                "notificationId": f"alert-{identity:016x}",
                "subType": sub_type,
                "ruleId": f"rule-{key(self._estate.seed, sub_type):016x}",
                "category": None,
            },
        }

    def _sent(self, where: Effect, alert: dict[str, Any]) -> bool:
        """Whether the receiver has taken an alert."""
        url = where.values["url"]
        body = json.dumps({**alert, "targetUrl": url}).encode()
        signature = hmac.new(where.values["secret"].encode(), body, hashlib.sha1).hexdigest()
        headers = {"Content-Type": "application/json", SIGNATURE: signature}
        try:
            with self._opener.open(urllib.request.Request(url, body, headers), timeout=ANSWER_SECONDS) as answer:
                return bool(200 <= answer.status < 300)
        except (OSError, http.client.HTTPException) as fault:
            log.warning("an alert was not taken", extra={"ids": {"alert": alert["id"], "cause": str(fault)}})
            return False

    def _wait_until(self, index: int, moment: float) -> None:
        self._next[index] = moment
        heapq.heappush(self._due, (moment, index))
