"""What is not asked for now because it did not answer, and until when: one room or sensor by itself, and a group of them.

A room that fails backs off alone: its neighbours are asked as before. Only when several different rooms fail, one after the
other, and none has answered for a while, is their city left alone (or the whole tier): then asking on would only use up requests.
Every wait is bounded, so nothing that has recovered stays unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)

LONGEST_BACK_OFF = timedelta(hours=1)
BARRED_FOR = timedelta(hours=1)
"""How long something is left alone after Webex has said twice in a row that it is not permitted, or not there."""
LONGEST_BREAK = timedelta(minutes=5)
"""How long a group is left alone at most before it is tried again."""


class Wait(NamedTuple):
    """A time in which something is left alone."""

    since: datetime
    until: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it goes on: one that begins later than now was begun before the clock was set back."""
        return self.since <= now < self.until


class LeftAlone(Generic[Key]):
    """Rooms or sensors that back off, each by itself: longer with every failure in a row."""

    def __init__(self, interval: timedelta, longest: timedelta = LONGEST_BACK_OFF) -> None:
        """`interval`: how often each is asked when it answers; the first wait. `longest`: the longest."""
        self._interval = interval
        self._longest = longest
        self._failures: dict[Key, int] = {}
        self._refused: set[Key] = set()
        """What Webex refused when it was last asked for."""
        self._waits: dict[Key, Wait] = {}
        self._barred: dict[Key, Wait] = {}

    def answered(self, key: Key) -> None:
        """It answers again."""
        self._forget(key)

    def forget_gone(self, is_there: Callable[[Key], bool]) -> None:
        """Forget what is not there any more."""
        for key in {*self._failures, *self._refused}:
            if not is_there(key):
                self._forget(key)

    def failed(self, key: Key, now: datetime) -> None:
        """It gave no proper answer: twice the wait of the time before, up to the longest."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        doublings = min(failures - 1, 20)
        self._waits[key] = Wait(now, now + min(self._longest, self._interval * 2**doublings))

    def refused(self, key: Key, now: datetime) -> None:
        """Webex refused it: a second time in a row it is left alone for an hour; once may be a slip."""
        if key in self._refused:
            self._barred[key] = Wait(now, now + BARRED_FOR)
        self._refused.add(key)

    def includes(self, key: Key, now: datetime) -> bool:
        """Whether it is left alone now."""
        return any(key in waits and waits[key].holds(now) for waits in (self._waits, self._barred))

    def barred(self, now: datetime) -> int:
        """How many are left alone because Webex said not permitted, or not there."""
        return sum(wait.holds(now) for wait in self._barred.values())

    def _forget(self, key: Key) -> None:
        for memory in (self._failures, self._waits, self._barred):
            memory.pop(key, None)
        self._refused.discard(key)


class Breaker:
    """Says when a group of rooms is left alone: `threshold` different ones failed in a row, and none answered for `patience`.

    It takes more than one poll: within one, it may be chance that the broken ones are asked first.
    """

    def __init__(self, threshold: int, patience: timedelta, shortest: timedelta) -> None:
        """`shortest`: how long it is left alone the first time; twice as long each further time, up to five minutes."""
        self._threshold = threshold
        self._patience = patience
        self._shortest = shortest
        self._failed: dict[str, datetime] = {}
        """The rooms that have failed since the last answer, and when first."""
        self._answered_at: datetime | None = None
        self._wait: Wait | None = None
        self._openings = 0

    def answered(self, now: datetime) -> None:
        """A room answered: nothing is wrong with the group."""
        self._failed.clear()
        self._answered_at, self._wait, self._openings = now, None, 0

    def failed(self, room: str, now: datetime) -> None:
        """A room gave no proper answer."""
        self._failed.setdefault(room, now)
        if len(self._failed) < self._threshold or min(self._failed.values()) == now or self._answers(now):
            return
        self._wait = Wait(now, now + min(LONGEST_BREAK, self._shortest * 2 ** min(self._openings, 20)))
        self._openings += 1

    def open_until(self, now: datetime) -> datetime | None:
        """Until when the group is left alone; None when it may be asked."""
        return self._wait.until if self._wait is not None and self._wait.holds(now) else None

    def _answers(self, now: datetime) -> bool:
        return self._answered_at is not None and timedelta() <= now - self._answered_at < self._patience
