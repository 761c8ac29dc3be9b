"""What the ingest remembers between polls: devices as acknowledged, metric watermarks, the last snapshot, cities as last seen.

One behaviour, three homes: memory only (here), a SQLite file (`sqlite_state.py`), a blob (`blob_state.py`). All of it can be
found out again: losing it costs a repeated snapshot, and metric readings of the time it was gone. So a state that can't be read
is never repaired by guessing; the error says what to move away.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from processors.ingest.changes import KnownDevice


class StateError(Exception):
    """The state can't be read or written. The text names it and the next step."""


class StateUnavailable(StateError):
    """The state can't be read or written now; the next poll may well do it, and loses nothing."""


class TurnLost(StateUnavailable):
    """Another instance has taken over: what this poll did is not remembered, and the other sends it again under the same ids."""


class Watermark(NamedTuple):
    """How far a metric of a workspace has been read: time of the newest reading sent, if any; and when it was last asked for."""

    read_to: str | None
    asked_at: str


@dataclass(frozen=True)
class Change:
    """Something to remember: all of it, or nothing."""

    announced: Collection[str] = ()
    devices: Mapping[str, KnownDevice] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    snapshot: datetime | None = None
    cities_seen: Mapping[str, datetime] = field(default_factory=dict)
    watermarks: Mapping[tuple[str, str], Watermark] = field(default_factory=dict)
    ended: tuple[tuple[str, str], ...] = ()
    """Pairs whose watermarks are forgotten."""
    marks: Mapping[str, str | None] = field(default_factory=dict)


class IngestState:
    """The state in memory. A home writes every change down before memory has it (`_save`), or at the end of a poll (`finish`)."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held by whoever reads, sends and remembers as one: a poll, and what is pushed meanwhile, each have a thread."""
        self.doubtful = False
        """Whether devices may have been sent that this state does not know of: then every device it lists is sent again."""
        self._forget()

    def _forget(self) -> None:
        self.devices: dict[str, KnownDevice] = {}
        self.uncertain: set[str] = set()
        self.watermarks: dict[tuple[str, str], Watermark] = {}
        self.cities_seen: dict[str, datetime] = {}
        """City slug to the last poll that listed a device of it (or the first that looked for one)."""
        self.last_snapshot: datetime | None = None
        self.marks: dict[str, str] = {}
        """Notes of one line by name: what is held back, where a listing goes on. What is in them, their owners know."""

    def begin(self) -> bool:
        """Take the turn to poll, and know what the last poll left. False: another instance has the turn. Raises StateError."""
        return True

    def finish(self) -> None:
        """Remember what this poll did, where that has not happened yet. Raises StateError, TurnLost."""

    def close(self) -> None:
        """Let go of the home, and of the turn."""

    def snapshot_due(self, poll_time: datetime, every_minutes: float) -> bool:
        """Whether every device has to be sent: none was yet, the last time is long ago, or the clock has been set back."""
        if self.last_snapshot is None:
            return True
        return not 0 <= (poll_time - self.last_snapshot).total_seconds() < every_minutes * 60

    def announce(self, device_ids: Collection[str]) -> None:
        """Remember, before they are sent, which devices may arrive as something new without our knowing. Raises StateError."""
        if device_ids:
            self._save(Change(announced=device_ids))
            self.uncertain.update(device_ids)

    def commit_devices(self, changed: Mapping[str, KnownDevice], removed: tuple[str, ...] = ()) -> None:
        """Remember devices whose observations have been acknowledged; forget those that are gone. Raises StateError."""
        if not changed and not removed:
            return
        self._save(Change(devices=changed, removed=removed))
        self.uncertain.difference_update(changed, removed)
        self.devices.update(changed)
        for key in removed:
            self.devices.pop(key, None)

    def commit_snapshot(self, poll_time: datetime) -> None:
        """Remember that every device was sent and acknowledged. Raises StateError."""
        self._save(Change(snapshot=poll_time))
        self.last_snapshot = poll_time

    def commit_cities_seen(self, seen: Mapping[str, datetime]) -> None:
        """Remember when cities were last seen. Raises StateError."""
        self._save(Change(cities_seen=seen))
        self.cities_seen.update(seen)

    def commit_marks(self, changed: Mapping[str, str | None]) -> None:
        """Remember notes; None forgets one. Raises StateError."""
        if not changed:
            return
        self._save(Change(marks=changed))
        for name, text in changed.items():
            if text is None:
                self.marks.pop(name, None)
            else:
                self.marks[name] = text

    def consents(self) -> Mapping[str, str]:
        """What a person has accepted (`roompulse ingest accept`), by what was held back. Raises StateError."""
        return {}

    def commit_watermarks(self, changed: Mapping[tuple[str, str], Watermark]) -> None:
        """Remember how far metrics have been read, after their readings have been acknowledged. Raises StateError."""
        self._save(Change(watermarks=changed))
        self.watermarks.update(changed)

    def forget_watermarks(self, pairs: Collection[tuple[str, str]]) -> None:
        """Forget how far metrics have been read that nobody can ask for any more. Raises StateError."""
        if not pairs:
            return
        self._save(Change(ended=tuple(pairs)))
        for pair in pairs:
            self.watermarks.pop(pair, None)

    def _save(self, change: Change) -> None:
        """Make a change durable; in memory only there is nothing to do."""
