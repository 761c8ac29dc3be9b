"""How rooms are used now, from whatever reports it (a poll, a push, a count of people), and what follows from one word to the
next.

A booking says when a room is taken, not whether anybody came. So what counts here is whether anybody has been there since the
booking was first seen: a room that is booked, and nobody came for ten minutes, has a ghost meeting; a booking that ended with
nobody ever there was a no-show. Only counts and times: who booked, who came and what for is never asked. What is remembered
lives as long as the process; a booking that was under way when it began is not judged when it ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

SHORTEST_BOOKING = timedelta(minutes=10)
"""What ended sooner was cancelled, or given back: no no-show."""


class Booking(NamedTuple):
    """A booking that is under way: since when it is known, whether its beginning was seen, whether anybody has come.

    `is_known`: whether it was known at every word of it that came.
    """

    since: datetime
    begun: bool
    attended: bool = False
    is_known: bool = True


class Use(NamedTuple):
    """The newest word on a room: at which moment, by which device; None where it does not say."""

    moment: datetime
    device_id: str | None
    in_use: bool | None
    booked: bool | None
    booking: Booking | None

    @property
    def is_unattended(self) -> bool:
        """Whether it is booked, and nobody has come so far, as far as is known."""
        return self.booking is not None and self.booking.is_known and not self.booking.attended

    def unattended_at(self, moment: datetime) -> float | None:
        """For how many minutes it has been booked with nobody there; 0 when it isn't, None when that is not known."""
        if self.booking is None:
            return None if self.booked is None else 0.0
        if self.booking.attended:
            return 0.0
        return round((moment - self.booking.since) / timedelta(minutes=1), 2) if self.booking.is_known else None


class RoomUses:
    """The newest word on every room. Thread-safe: what is pushed comes while a poll is under way."""

    def __init__(self) -> None:
        self._uses: dict[str, Use] = {}
        self._lock = threading.Lock()

    def note(
        self, room_id: str, moment: datetime, in_use: bool | None, booked: bool | None = None, device_id: str | None = None
    ) -> dict[str, float]:
        """Take a word on a room; gives the signals of its booking that follow. One older than the newest changes nothing."""
        with self._lock:
            before = self._uses.get(room_id)
            if before is not None and moment < before.moment:
                return {}
            stays = booked is None and device_id is None  # of somebody who knows nothing of bookings
            now_booked = before.booked if stays and before else booked
            booking = _booking(before, moment, in_use, now_booked)
            now = Use(moment, device_id or (before.device_id if before else None), in_use, now_booked, booking)
            self._uses[room_id] = now
        return {} if stays else _signals(before, now)

    def unattended(self, is_believed: Callable[[Use], bool]) -> list[tuple[str, Use]]:
        """The rooms that are booked, with nobody there so far, whose word is believed."""
        with self._lock:
            uses = list(self._uses.items())
        return [(room_id, use) for room_id, use in uses if use.is_unattended and is_believed(use)]

    def count(self, rooms: Iterable[str], is_believed: Callable[[Use], bool]) -> tuple[int, int]:
        """Of some rooms, how many say by now whether somebody is there, and in how many somebody is."""
        with self._lock:
            said = [use.in_use for use in self._of(rooms) if use.in_use is not None and is_believed(use)]
        return len(said), sum(said)

    def forget_gone(self, is_there: Callable[[str], bool]) -> None:
        """Forget rooms that are not there any more."""
        with self._lock:
            self._uses = {room_id: use for room_id, use in self._uses.items() if is_there(room_id)}

    def _of(self, rooms: Iterable[str]) -> Iterator[Use]:
        return (self._uses[room_id] for room_id in rooms if room_id in self._uses)


def use_values(people: float | None, in_use: bool | None, seats: int | None) -> dict[str, float]:
    """The signals of how a room is used, as far as it is known: people in it, whether it is in use, its seats, how full it is."""
    values: dict[str, float] = {}
    if people is not None:
        values["peopleCount"] = people
    if in_use is not None:
        values["inUse"] = int(in_use)
    if people is not None and seats:
        values |= {"capacity": seats, "occupancy": round(people / seats, 3)}
    return values


def _booking(before: Use | None, moment: datetime, in_use: bool | None, booked: bool | None) -> Booking | None:
    """The booking that is under way at a moment, and whether anybody has come to it."""
    if not booked:
        return None
    known = before.booking if before else None
    booking = known or Booking(moment, begun=before is not None and before.booked is False)
    return booking._replace(attended=booking.attended or in_use is True, is_known=booking.is_known and in_use is not None)


def _signals(before: Use | None, now: Use) -> dict[str, float]:
    if now.booked is None:
        return {}
    values: dict[str, float] = {"booked": int(now.booked)}
    if (minutes := now.unattended_at(now.moment)) is not None:
        values["unattendedMinutes"] = minutes
    ended = before.booking if before and not now.booked else None
    if ended is not None and ended.begun and now.moment - ended.since >= SHORTEST_BOOKING and (ended.attended or ended.is_known):
        values["noShow"] = int(not ended.attended)
    return values
