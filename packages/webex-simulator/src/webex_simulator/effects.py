"""What is broken on purpose: effects on the estate and on the API, kept on disk so that a killed simulator comes back with them.

An effect holds from `since` to `until` in simulated time; without `until` it holds until it is ended.
"""

from __future__ import annotations

import json
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from webex_simulator.estate import Device, Estate, Workspace


class Target(NamedTuple):
    """What an effect concerns: `kind` is city, location, workspace or device; `key` the city's slug or the Webex id."""

    kind: str
    key: str
    name: str


@dataclass(frozen=True)
class Effect:
    """Something broken on purpose. `values` are the settings of its kind; see the table in control.md."""

    id: str
    kind: str
    since: float
    until: float = math.inf
    target: Target | None = None
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> tuple[str, Target | None, str | None]:
        """What can be so in one way only: a device may report several issues, but a room has one temperature."""
        return self.kind, self.target, self.values.get("code") or self.values.get("path")

    def holds(self, seconds: float) -> bool:
        """Whether it is in force at a moment (seconds since the epoch)."""
        return self.since <= seconds < self.until


class DamagedEffects(Exception):
    """The file of effects can't be read; the text names it and the next step."""


class Effects:
    """The effects in force. Every change is on disk before it is visible; `version` grows with each. Thread-safe."""

    def __init__(self, estate: Estate, path: Path) -> None:
        """Resume the effects of an earlier run from `path`; raises DamagedEffects."""
        self.version = 0
        self._estate = estate
        self._path = path
        self._lock = threading.RLock()
        self._last_number = 0
        self._effects: tuple[Effect, ...] = ()
        if path.is_file():
            self._resume()
        self._index()

    def all(self, seconds: float) -> list[Effect]:
        """The effects in force at a moment, oldest first."""
        return [effect for effect in self._effects if effect.holds(seconds)]

    def of_kind(self, kind: str, seconds: float, path: str = "") -> Effect | None:
        """The newest effect of a kind in force at a moment, of those for certain paths only one for this `path`."""
        held = (effect for effect in reversed(self._effects) if effect.kind == kind and effect.holds(seconds))
        return next((effect for effect in held if (effect.values.get("path") or "") in path), None)

    def on_device(self, device: Device) -> Sequence[Effect]:
        """The effects that concern a device, in force or not, oldest first."""
        return self._on_device.get(device.index, ())

    def on_workspace(self, workspace: Workspace) -> Sequence[Effect]:
        """The effects that concern a workspace, in force or not, oldest first."""
        return self._on_workspace.get(workspace.index, ())

    def touched(self) -> set[int]:
        """The devices (by index) that effects concern, themselves or through their room."""
        rooms = (self._estate.workspaces[index] for index in self._on_workspace)
        return {*self._on_device, *(device for room in rooms for device in room.devices)}

    def begin(
        self, kind: str, since: float, until: float = math.inf, target: Target | None = None, values: dict[str, Any] | None = None
    ) -> Effect:
        """Put an effect into force; it replaces one with the same subject. Raises OSError when it can't be kept."""
        with self._lock:
            number = self._last_number + 1
            effect = Effect(f"effect-{number}", kind, since, until, target, values or {})
            kept = [old for old in self._effects if old.until > since and old.subject != effect.subject]
            self._commit((*kept, effect), number)
            return effect

    def end(self, over: Callable[[Effect], bool]) -> list[Effect]:
        """End the effects for which `over` says so, and give them. Raises OSError when that can't be kept."""
        with self._lock:
            ended = [effect for effect in self._effects if over(effect)]
            if ended:
                self._commit(tuple(effect for effect in self._effects if effect not in ended), self._last_number)
            return ended

    def use_up(self, kind: str, seconds: float, path: str = "") -> int:
        """Take one from the `left` of the effect of a kind and give how many there were; 0 when none is in force."""
        with self._lock:
            effect = self.of_kind(kind, seconds, path)
            if effect is None:
                return 0
            left = int(effect.values["left"])
            fewer = replace(effect, values={**effect.values, "left": left - 1})
            changed = (fewer if each is effect else each for each in self._effects)
            self._commit(tuple(each for each in changed if each.values.get("left") != 0), self._last_number)
            return left

    def _commit(self, effects: tuple[Effect, ...], last_number: int) -> None:
        self._write(effects, last_number)
        self._effects, self._last_number = effects, last_number
        self._index()

    def _write(self, effects: Iterable[Effect], last_number: int) -> None:
        records = [asdict(effect) | {"until": None if effect.until == math.inf else effect.until} for effect in effects]
        temporary = self._path.with_suffix(".tmp")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"lastNumber": last_number, "effects": records}, indent=1), encoding="utf-8")
        temporary.replace(self._path)

    def _resume(self) -> None:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            self._last_number = int(document["lastNumber"])
            self._effects = tuple(_effect(record) for record in document["effects"])
        except (ValueError, KeyError, TypeError) as fault:
            text = f"{self._path} is damaged ({type(fault).__name__}: {fault}): delete it, then nothing is broken on purpose."
            raise DamagedEffects(text) from fault

    def _index(self) -> None:
        """Look up once, not per device and request, whom the effects concern."""
        on_device: dict[int, list[Effect]] = defaultdict(list)
        on_workspace: dict[int, list[Effect]] = defaultdict(list)
        for effect in self._effects:
            if effect.target is None:
                continue
            if effect.target.kind == "workspace":
                workspace = self._estate.workspace_of_id.get(effect.target.key)
                if workspace is not None:
                    on_workspace[workspace.index].append(effect)
            else:
                for device in devices_of(self._estate, effect.target):
                    on_device[device.index].append(effect)
        self._on_device, self._on_workspace = dict(on_device), dict(on_workspace)
        self.version += 1


def devices_of(estate: Estate, target: Target) -> list[Device]:
    """The devices of a city, of a location, or the one device; none when the estate no longer has the target."""
    if target.kind == "device":
        device = estate.device_of_id.get(target.key)
        return [device] if device else []
    if target.kind == "city":
        return [device for device in estate.devices if _slug(device) == target.key]
    return [device for device in estate.devices if device.location is not None and device.location.id == target.key]


def _slug(device: Device) -> str | None:
    return device.location.city.slug if device.location and device.location.city else None


def _effect(record: dict[str, Any]) -> Effect:
    return Effect(
        id=record["id"],
        kind=record["kind"],
        since=record["since"],
        until=math.inf if record["until"] is None else record["until"],
        target=Target(*record["target"]) if record["target"] else None,
        values=record["values"],
    )
