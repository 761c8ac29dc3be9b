"""What the sensors of a workspace read: comfort and use as functions of time, people and what is broken on purpose.

Raw readings come every five minutes, in each room at seconds of its own; the real step is not documented. A sensor whose value
jumps reports at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from webex_simulator.capabilities import measures
from webex_simulator.chance import between, key, unit
from webex_simulator.conditions import Conditions
from webex_simulator.effects import Effects
from webex_simulator.estate import Device, Estate, Workspace
from webex_simulator.occupancy import lingering, people_at
from webex_simulator.site_time import DAY, local_day

STEP_SECONDS = 300
TEMPERATURE_LAG = 25 * 60.0
AIR_LAG = 20 * 60.0
WARMTH_A_PERSON = 0.25
MOST_WARMTH = 3.5
STANDBY_BEFORE_HOUR = 7
STANDBY_FROM_HOUR = 20

_NOISE, _BASE, _DRAUGHT, _STEP = (key(f"sensor {name}") for name in ("noise", "base", "draught", "step"))


class Sample(NamedTuple):
    """A raw reading of a device's sensor; `time` in seconds since the epoch."""

    device: Device
    time: float
    value: float


class Environment:
    """Reads the sensors of workspaces at any moment, now or past."""

    def __init__(self, estate: Estate, conditions: Conditions, effects: Effects) -> None:
        self._estate = estate
        self._conditions = conditions
        self._effects = effects

    def samples(self, workspace: Workspace, metric: str, start: float, end: float) -> Iterator[Sample]:
        """The raw readings of a metric with start <= time < end, oldest first. A device that is away reads nothing."""
        if not measures(self._estate, workspace, metric):
            return
        members = (self._estate.devices[index] for index in workspace.devices)
        devices = [device for device in members if metric in device.product.sensors]
        for moment in self._moments(workspace, metric, start, end):
            value = self.value(workspace, metric, moment)
            for device in devices:
                if self._conditions.at(device, moment).status in ("connected", "connected_with_issues"):
                    yield Sample(device, moment, value)

    def value(self, workspace: Workspace, metric: str, moment: float) -> float:
        """What a sensor in a workspace reads at a moment: °C, %, index, dB(A) or people."""
        if metric == "temperature":
            for effect in reversed(self._effects.on_workspace(workspace)):
                if effect.kind == "heat" and effect.holds(moment):
                    return float(effect.values["celsius"])
        if metric == "peopleCount":
            crowd = self.crowd(workspace, moment)
            if crowd is not None:
                return crowd
        return _FORMULAS[metric](workspace, moment)

    def crowd(self, workspace: Workspace, moment: float) -> int | None:
        """How many people somebody has put into a workspace on purpose."""
        for effect in reversed(self._effects.on_workspace(workspace)):
            if effect.kind == "overcrowd" and effect.holds(moment):
                return int(effect.values["people"])
        return None

    def bad_call(self, device: Device, moment: float) -> Mapping[str, float] | None:
        """The loss (%) and jitter (ms) of a call that somebody has made bad on purpose."""
        for effect in reversed(self._effects.on_device(device)):
            if effect.kind == "bad-call" and effect.holds(moment):
                return effect.values
        return None

    def _moments(self, workspace: Workspace, metric: str, start: float, end: float) -> list[float]:
        offset = step_offset(workspace)
        first, last = (math.ceil((moment - offset) / STEP_SECONDS) for moment in (start, end))
        regular = [float(step * STEP_SECONDS + offset) for step in range(first, last)]
        kind = _JUMPS.get(metric)
        jumps = (effect.since for effect in self._effects.on_workspace(workspace) if effect.kind == kind)
        return sorted({*regular, *(jump for jump in jumps if start <= jump < end)})


_JUMPS = {"temperature": "heat", "peopleCount": "overcrowd"}
"""Metric -> the effect that makes it jump."""


def step_offset(workspace: Workspace) -> int:
    """At which seconds of the five minutes the sensors of a workspace read."""
    return int(STEP_SECONDS * unit(workspace.key, _STEP))


def in_standby(workspace: Workspace, moment: float) -> bool:
    """Whether the room's devices sleep lightly: out of hours and nobody there."""
    day = local_day(workspace.location.time_zone, moment)
    return not STANDBY_BEFORE_HOUR <= day.hour(moment) < STANDBY_FROM_HOUR and people_at(workspace, moment) == 0


def _temperature(workspace: Workspace, moment: float) -> float:
    warmth = min(MOST_WARMTH, WARMTH_A_PERSON * lingering(workspace, moment, TEMPERATURE_LAG))
    return round(20.5 + between(-0.7, 0.7, unit(workspace.key, _BASE)) + warmth + _noise(workspace, moment, 0.15), 1)


def _humidity(workspace: Workspace, moment: float) -> float:
    """30 to 55 %: by site, and more humid in the summer of the northern half of the year's swing."""
    site = between(36, 48, unit(workspace.location.key, _BASE))
    season = -4 * math.cos(2 * math.pi * (moment / DAY % 365.25) / 365.25)
    return round(site + season + 2 * _noise(workspace, moment, 1.0))


def _tvoc(workspace: Workspace, moment: float) -> float:
    idle = between(0.1, 0.5, unit(workspace.key, _DRAUGHT))
    return round(idle + 0.05 * lingering(workspace, moment, AIR_LAG) + _noise(workspace, moment, 0.02), 2)


def _ambient_noise(workspace: Workspace, moment: float) -> float:
    return round(between(31, 37, unit(workspace.key, _BASE, 1)) + 3 * _noise(workspace, moment, 1.0))


def _sound_level(workspace: Workspace, moment: float) -> float:
    low, high = (55, 68) if people_at(workspace, moment) > 0 else (32, 38)
    return round(between(low, high, unit(workspace.key, _NOISE, int(moment))))


def _people_count(workspace: Workspace, moment: float) -> float:
    """-1 in standby: the camera is off, and that is not nobody."""
    return -1 if in_standby(workspace, moment) else people_at(workspace, moment)


def _noise(workspace: Workspace, moment: float, size: float) -> float:
    return between(-size, size, unit(workspace.key, _NOISE, int(moment)))


_FORMULAS: dict[str, Callable[[Workspace, float], float]] = {
    "temperature": _temperature,
    "humidity": _humidity,
    "tvoc": _tvoc,
    "ambientNoise": _ambient_noise,
    "soundLevel": _sound_level,
    "peopleCount": _people_count,
}
