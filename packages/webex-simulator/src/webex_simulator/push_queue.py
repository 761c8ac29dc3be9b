"""The queue of an integration: the messages its devices send, as they arrive when they are lost, doubled or out of order."""

from __future__ import annotations

import uuid
from collections import deque
from typing import Any

from webex_simulator.chance import key, unit
from webex_simulator.effects import Effects
from webex_simulator.feed import Change, Feed
from webex_simulator.site_time import iso

LOOK_AGAIN_SECONDS = 0.05
"""Of real time: how late a change can be seen."""

_LOST, _DOUBLED, _SHUFFLED = (key(f"push {name}") for name in ("lost", "doubled", "shuffled"))


class Queue:
    """What is handed out is not handed out again. Not thread-safe."""

    look_again_seconds = LOOK_AGAIN_SECONDS

    def __init__(self, feed: Feed, effects: Effects, about: dict[str, str]) -> None:
        """`about`: what every message says of its organisation and integration."""
        self.id = uuid.uuid4().hex
        self._feed = feed
        self._effects = effects
        self._about = about
        self._waiting: deque[dict[str, Any]] = deque()
        self._number = 0

    def put(self, message: dict[str, Any]) -> None:
        """Add a message that comes from no device's status."""
        self._waiting.append(message)

    def taken(self, now: float, most: int) -> list[dict[str, Any]]:
        """The messages that are there, at most so many (and the copies that are there on purpose); they are gone then."""
        changes = self._feed.changes(now, most)
        if self._effects.of_kind("push-silence", now):
            return []
        self._waiting.extend(self._message(change) for change in changes)
        handed = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        return self._disturbed(handed, now)

    def _message(self, change: Change) -> dict[str, Any]:
        workspace = change.device.workspace
        about = {"deviceId": change.device.id, "workspaceId": workspace.id if workspace else "", **self._about}
        changes = {"updated": dict(change.updated), "removed": list(change.removed)}
        return stamped("status", about, change.moment, changes=changes, isFullSync=change.is_full)

    def _disturbed(self, messages: list[dict[str, Any]], now: float) -> list[dict[str, Any]]:
        """The messages as they come through what is broken: some lost, some twice, in another order."""
        left: list[dict[str, Any]] = []
        for message in messages:
            self._number += 1
            if not self._draw("push-loss", _LOST, now):
                left += [message, message] if self._draw("push-duplicates", _DOUBLED, now) else [message]
        if self._effects.of_kind("push-disorder", now):
            order = sorted(range(len(left)), key=lambda place: unit(self._number, _SHUFFLED, place))
            return [left[place] for place in order]
        return left

    def _draw(self, kind: str, purpose: int, now: float) -> bool:
        effect = self._effects.of_kind(kind, now)
        return effect is not None and unit(self._number, purpose) * 100 < effect.values["percent"]


def stamped(kind: str, about: dict[str, str], moment: float, **content: Any) -> dict[str, Any]:
    """A message of a kind, as it leaves Webex."""
    return {"type": kind, **about, "timestamp": iso(moment), **content}
