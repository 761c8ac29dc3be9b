"""When Webex lists far less than it did: a fault, and not an estate that has shrunk.

A token that has lost its admin role is answered 200, with the caller's own devices only. Taking that for the truth would remove
the estate and resolve its alerts. So what goes missing in bulk stays as it was last known, until a person accepts it
(`roompulse ingest accept`) or it has lasted for `removalHoldHours`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from processors.ingest.changes import KnownDevice
from processors.ingest.state import IngestState
from processors.ingest.webex_client import WebexError
from processors.timestamps import format_time, parse_time

ORGANISATION = "organisation"
"""What the removal of devices all over is called; that of a location goes by its id."""
_HELD = "held:"

FEW = 3
"""So many may go at once wherever they are: somebody has cleared a room."""
SHARE_OF_ORGANISATION = 0.05
MOST_AT_ONCE = 100
"""More than a twentieth of the organisation, or than so many, do not go within three polls in the ordinary course of things."""
SHARE_OF_LOCATION = 0.5


class Shrunken(WebexError):
    """Webex answered properly, with so little that it is not believed."""


class Held(NamedTuple):
    """A removal that is held back: since when, of how many devices out of how many, and the name of where they are."""

    since: str
    missing: int
    known: int
    name: str

    def text(self) -> str:
        """As a note of the state."""
        return json.dumps(self._asdict())

    def covers(self, other: Held) -> bool:
        """Whether accepting this accepts `other`: it is the same removal, and has not grown since."""
        return self.since == other.since and other.missing <= self.missing


def held_from(text: str) -> Held | None:
    """From its text; None when that says something else."""
    try:
        fields = json.loads(text)
        return Held(str(fields["since"]), int(fields["missing"]), int(fields["known"]), str(fields["name"]))
    except (ValueError, TypeError, LookupError):
        return None


def held_in(marks: Mapping[str, str]) -> dict[str, Held]:
    """What is held back, by subject, among the notes of a state."""
    found = {name.removeprefix(_HELD): held_from(text) for name, text in marks.items() if name.startswith(_HELD)}
    return {subject: held for subject, held in found.items() if held is not None}


def is_bulk(missing: int, known: int) -> bool:
    """Whether so many missing of so many known in a whole organisation are too many to be believed."""
    if missing == known:
        return missing > 0
    ordinary = min(MOST_AT_ONCE, max(FEW, int(known * SHARE_OF_ORGANISATION)))
    return missing > ordinary or 1 < missing >= known / 2


def is_bulk_at_location(missing: int, known: int) -> bool:
    """The same for one location; a small site may close within a poll."""
    return missing > FEW and missing >= known * SHARE_OF_LOCATION


class Gate:
    """Holds back what goes missing in bulk, and remembers in the state since when."""

    def __init__(self, state: IngestState, hold: timedelta) -> None:
        """`hold`: after so long a removal goes without anybody's word."""
        self._state = state
        self._hold = hold

    def held(self, missing: Collection[KnownDevice], now: datetime) -> dict[str, list[KnownDevice]]:
        """Of the known devices that a complete listing lacks, those that stay: by subject. Raises StateError."""
        before = held_in(self._state.marks)
        bulk = self._in_bulk(missing) if missing else {}
        current = {subject: self._as_now(before.get(subject), devices, subject, now) for subject, devices in bulk.items()}
        marks: dict[str, str | None] = {f"{_HELD}{subject}": None for subject in before.keys() - current.keys()}
        marks |= {f"{_HELD}{subject}": held.text() for subject, held in current.items() if held != before.get(subject)}
        self._state.commit_marks(marks)
        consents = self._state.consents() if current else {}
        return {subject: bulk[subject] for subject, held in current.items() if not self._may_go(subject, held, consents, now)}

    def fault(self, subject: str) -> Shrunken:
        """What is said of a removal that is held back."""
        held = held_in(self._state.marks)[subject]
        since = parse_time(held.since)
        until = f" until {format_time(since + self._hold)}" if since else ""
        return Shrunken(
            f"GET /devices: {held.missing} of {held.known} known devices of {held.name} are no longer listed. They stay as they "
            f"were; their removal is held back since {held.since}{until}. Has the Webex service app lost its admin role? Then it "
            f"is shown its own devices only: run roompulse ingest doctor. If they are gone: roompulse ingest accept {subject}"
        )

    def forget_all_but(self, subjects: Collection[str]) -> None:
        """The other removals have been made. Raises StateError."""
        over = held_in(self._state.marks).keys() - set(subjects)
        self._state.commit_marks({f"{_HELD}{subject}": None for subject in over})

    def _in_bulk(self, missing: Collection[KnownDevice]) -> dict[str, list[KnownDevice]]:
        """What is missing in bulk: in the organisation, else at single locations."""
        if is_bulk(len(missing), len(self._state.devices)):
            return {ORGANISATION: list(missing)}
        at_location = _by_location(missing)
        known = Counter(known.place.location_id for known in self._state.devices.values())
        return {key: devices for key, devices in at_location.items() if is_bulk_at_location(len(devices), known[key])}

    def _as_now(self, before: Held | None, devices: list[KnownDevice], subject: str, now: datetime) -> Held:
        everywhere = subject == ORGANISATION
        at = [known for known in self._state.devices.values() if everywhere or known.place.location_id == subject]
        name = "the organisation" if everywhere else f"location {devices[0].place.location_name or subject}"
        return Held(before.since if before else format_time(now), len(devices), len(at), name)

    def _may_go(self, subject: str, held: Held, consents: Mapping[str, str], now: datetime) -> bool:
        accepted = held_from(consents.get(subject, ""))
        since = parse_time(held.since)
        return (accepted is not None and accepted.covers(held)) or (since is not None and now - since >= self._hold)


def _by_location(devices: Iterable[KnownDevice]) -> dict[str, list[KnownDevice]]:
    found: dict[str, list[KnownDevice]] = {}
    for known in devices:
        if known.place.location_id:
            found.setdefault(known.place.location_id, []).append(known)
    return found
