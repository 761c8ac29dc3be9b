"""Messages as Webex pushes them, and a poller with a desk at which they are handed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from processors.ingest.poll import Poller
from processors.ingest.push.desk import PushDesk
from processors.timestamps import parse_time

NOON = "2026-11-24T11:00:00.000Z"


def moment(text: str) -> datetime:
    found = parse_time(text)
    assert found is not None
    return found


def at(seconds: float) -> str:
    """A time so many seconds after noon, as a message says it."""
    return f"2026-11-24T11:{int(seconds // 60):02d}:{seconds % 60:06.3f}Z"


def status(
    number: int, seconds: float, updated: Mapping[str, Any] | None = None, removed: tuple[str, ...] = (), full: bool = False
) -> dict[str, Any]:
    """What device `number` tells: values by path."""
    return {
        "type": "status",
        "deviceId": f"device-{number}",
        "workspaceId": f"workspace-{number}",
        "orgId": "org",
        "appId": "app",
        "timestamp": at(seconds),
        "changes": {"updated": dict(updated or {}), "removed": list(removed)},
        "isFullSync": full,
    }


class Heard:
    """A poller, and the desk at which messages are handed in."""

    def __init__(self, poller: Poller, kept: Any) -> None:
        self.poller, self.kept = poller, kept
        self.coverage = poller.pushed.coverage
        self.coverage.begin()
        self.poll()
        self.desk = self.new_desk()

    def new_desk(self) -> PushDesk:
        """A desk of the same poller, as one that has just started has it."""
        poller = self.poller
        return PushDesk(
            poller.settings,
            poller.sink,
            poller.state,
            poller.book,
            poller.places,
            self.coverage,
            poller.slow_tiers.about,
            poller.uses,
        )

    def poll(self) -> list[dict[str, Any]]:
        """Poll; gives what was sent."""
        self.poller.poll()
        return list(self.kept.taken())

    def hear(self, *messages: Any) -> list[dict[str, Any]]:
        """Hand in messages; gives what was sent."""
        self.desk.take(messages)
        return list(self.kept.taken())

    def events(self, *messages: Any) -> list[dict[str, Any]]:
        """The same, with their ids and times."""
        self.desk.take(messages)
        events = list(self.kept.events["observations"])
        self.kept.events["observations"].clear()
        return events


def signals(data: dict[str, Any]) -> dict[str, float]:
    """The values of an observation by signal."""
    return {signal["name"]: signal["value"] for signal in data["signals"]}


class Hands:
    """The hands of the clock that the processors read."""

    def __init__(self) -> None:
        self.now = moment(NOON)

    def read(self) -> datetime:
        return self.now
