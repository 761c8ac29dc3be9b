"""What the devices of an integration have to report: the statuses it is subscribed to, each time one of them changes.

Nothing is stepped along: a device is looked at when its next change is due (its sensors read, people come or go, its condition
ends) or when something was broken on purpose. So a look costs what has changed, whatever the size of the estate.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from webex_simulator.conditions import Conditions
from webex_simulator.effects import Effect, Effects
from webex_simulator.environment import STEP_SECONDS, Environment, step_offset
from webex_simulator.estate import Device, Estate, Workspace
from webex_simulator.occupancy import next_change
from webex_simulator.status_expressions import merge, select
from webex_simulator.xapi import status_tree

PUSHED = (
    "RoomAnalytics",
    "Peripherals.ConnectedDevice[*].RoomAnalytics",
    "Standby.State",
    "SystemUnit.State",
    "MicrosoftTeams.Calling",
    "Bookings.Availability",
)
"""What can be subscribed to, as far as it is publicly known; what else a manifest lists can only be asked for."""
READ_BY_STEPS = ("Temperature", "Humidity", "Level.A", "AirQuality.Index")
"""The ends of statuses that change when the sensors read, and not in between."""
KEPT_SECONDS = 900.0
"""How long what nobody fetches is kept. The real time is not documented."""


class Change(NamedTuple):
    """What a device reports at a moment; `is_full` when it states everything."""

    device: Device
    moment: float
    updated: Mapping[str, Any]
    removed: Sequence[str]
    is_full: bool


class Feed:
    """The changes of some devices from a moment on, each once. Not thread-safe."""

    def __init__(
        self, estate: Estate, environment: Environment, conditions: Conditions, effects: Effects,
        devices: Iterable[Device], expressions: Sequence[str], now: float,
    ) -> None:  # fmt: skip
        """`expressions`: the statuses that are subscribed to. A device begins with everything it has to report."""
        self._estate = estate
        self._environment = environment
        self._conditions = conditions
        self._effects = effects
        self._expressions = [each for each in expressions if each.startswith(PUSHED)]
        self._reported: dict[int, dict[str, Any]] = {}
        self._looked: dict[int, float] = {}
        self._next = {device.index: now for device in devices if device.workspace and device.product.type == "roomdesk"}
        self._due = [(moment, index) for index, moment in self._next.items()]
        self._version, self._touched = effects.version, effects.touched()

    def changes(self, now: float, most: int) -> list[Change]:
        """What has changed up to now, oldest first, at most so many changes; the others come next time."""
        self._look_at_touched(now)
        found: list[Change] = []
        while self._due and self._due[0][0] <= now and len(found) < most:
            moment, index = heapq.heappop(self._due)
            if self._next.get(index) != moment:
                continue  # it was looked at meanwhile, because something was broken
            moment = max(moment, now - KEPT_SECONDS)
            found += self._look(self._estate.devices[index], moment)
        return found

    def _look_at_touched(self, now: float) -> None:
        """Look at once at what is broken differently from before."""
        if self._version == self._effects.version:
            return
        before, self._touched, self._version = self._touched, self._effects.touched(), self._effects.version
        for index in sorted((before | self._touched) & self._next.keys()):
            self._wait_until(index, self._broken_at(self._estate.devices[index], now))

    def _broken_at(self, device: Device, now: float) -> float:
        """When something new was broken with a device; now, when there is nothing new or it has been put right."""
        since = max((effect.since for effect in self._effects_on(device) if effect.holds(now)), default=now)
        return since if since > self._looked.get(device.index, now) else now

    def _effects_on(self, device: Device) -> Sequence[Effect]:
        assert device.workspace is not None
        return (*self._effects.on_device(device), *self._effects.on_workspace(device.workspace))

    def _look(self, device: Device, moment: float) -> Iterator[Change]:
        self._looked[device.index] = moment
        condition = self._conditions.at(device, moment)
        self._wait_until(device.index, min(condition.valid_until, self._next_event(device, moment)))
        if not condition.status.startswith("connected"):
            self._reported.pop(device.index, None)
            return
        tree = status_tree(self._estate, self._environment, condition, device, moment)
        state: dict[str, Any] = {}
        for expression in self._expressions:
            merge(state, select(tree, expression))
        now, before = dict(_flat(state, "")), self._reported.get(device.index)
        if before is not None and not self._sensors_read(device, moment):
            now |= {path: value for path, value in before.items() if path.endswith(READ_BY_STEPS)}
        self._reported[device.index] = now
        updated = now if before is None else {path: value for path, value in now.items() if before.get(path) != value}
        removed = [] if before is None else sorted(before.keys() - now.keys())
        if updated or removed:
            yield Change(device, moment, updated, removed, before is None)

    def _sensors_read(self, device: Device, moment: float) -> bool:
        assert device.workspace is not None
        at_step = moment == math.floor(moment) and (int(moment) - step_offset(device.workspace)) % STEP_SECONDS == 0
        return at_step or device.index in self._touched

    def _next_event(self, device: Device, moment: float) -> float:
        assert device.workspace is not None
        ends = (effect.until for effect in self._effects_on(device) if effect.until > moment)
        return min(_next_step(device.workspace, moment), next_change(device.workspace, moment), *ends, math.inf)

    def _wait_until(self, index: int, moment: float) -> None:
        self._next[index] = moment
        heapq.heappush(self._due, (moment, index))


def _next_step(workspace: Workspace, moment: float) -> float:
    offset = step_offset(workspace)
    return (math.floor((moment - offset) / STEP_SECONDS) + 1) * STEP_SECONDS + offset


def _flat(tree: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """The values of a tree by their paths: `Peripherals.ConnectedDevice[1001].RoomAnalytics.RelativeHumidity`."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        elif isinstance(value, list):
            for item in value:
                fields = {key: field for key, field in item.items() if key != "id"}
                yield from _flat(fields, f"{path}{name}[{item['id']}].")
        else:
            yield f"{path}{name}", value
