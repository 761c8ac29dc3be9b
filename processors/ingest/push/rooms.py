"""From what devices report by themselves to observations: the same ones, under the same ids, as those of what is polled.

A reading is that of `/workspaceMetrics` at the moment the device names; how a room is used, and what a device says of itself, is
read as `/xapi/status` is. What came before what is known already changes nothing of it, and is reported at its own time all the
same.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from processors.clock import utc_now
from processors.contracts.signals import METRICS, OF_ENTITY
from processors.ingest.changes import Condition, KnownDevice
from processors.ingest.cloud_events import Event
from processors.ingest.details import About
from processors.ingest.directory import Directory
from processors.ingest.metrics import FIRST_LOOK_BACK, Reading, read_reading
from processors.ingest.observations import PollContext, device_observation, metric_observation, use_observation
from processors.ingest.push.coverage import MAY_BE_IN_HAND, Coverage, Pair
from processors.ingest.push.messages import StatusMessage
from processors.ingest.records import BadRecord, Workspace
from processors.ingest.room_status import BOOKED, STANDBY, STANDBY_STATES, RoomStatus, read_room_status
from processors.ingest.room_use import RoomUses
from processors.ingest.settings import IngestSettings
from processors.ingest.signals import RuleBook
from processors.ingest.state import IngestState, Watermark
from processors.ingest.status_tree import number
from processors.ingest.unknowns import Unknowns
from processors.timestamps import format_time, slot_of

_READINGS = {
    name: [re.compile(re.escape(path).replace(r"\[\*\]", r"\[\d+\]")) for path in OF_ENTITY["workspace"][name].pushed]
    for name in METRICS
    if name != "peopleCount"
}
"""Metric -> the paths it is read from, the one that counts first."""
_OF_DEVICE = tuple({path for signal in OF_ENTITY["device"].values() for path in signal.pushed})
_USE_AND_BOOKINGS = tuple({path for name, one in OF_ENTITY["workspace"].items() if name not in _READINGS for path in one.pushed})
_USE = tuple(path for path in _USE_AND_BOOKINGS if path != BOOKED)


AboutOf = Callable[[KnownDevice, Directory, datetime], About]


class Reported(NamedTuple):
    """What a device has reported for a path, and when."""

    time: datetime
    value: Any


RECENT = 8
"""So many messages of a device are remembered: one of them that comes again is not reported again."""


class Taken(NamedTuple):
    """What becomes of some messages: what to send, and what to remember once that is acknowledged."""

    events: list[Event]
    conditions: dict[str, Condition]
    watermarks: dict[Pair, Watermark]
    readings: list[tuple[str, dict[Pair, tuple[datetime, float]]]]
    """By message: whose it is, and what it reported."""
    odd: list[tuple[StatusMessage, BadRecord]]
    left_out: int


class PushedRooms:
    """Knows what devices have said since listening began. Used by one thread at a time."""

    def __init__(
        self, settings: IngestSettings, state: IngestState, book: RuleBook, coverage: Coverage, about: AboutOf, uses: RoomUses
    ) -> None:
        """`about`: what is known of a device besides, at a moment."""
        self._settings = settings
        self._about = about
        self._state = state
        self._book = book
        self._coverage = coverage
        self._uses = uses
        self._use_paths = _USE_AND_BOOKINGS if settings.bookings else _USE
        self._cities = frozenset(city.slug for city in settings.cities if city.push)
        self._reported: dict[str, dict[str, Reported]] = {}
        self._recent: dict[str, deque[int]] = {}
        self.unknowns = Unknowns()

    def forget(self) -> None:
        """Forget what was reported: listening begins anew."""
        self._reported.clear()
        self._recent.clear()

    def take(self, messages: Sequence[StatusMessage], directory: Directory) -> Taken:
        """What becomes of messages, in the order in which they came. Nothing is remembered but what devices have reported."""
        taken = Taken([], {}, {}, [], [], 0)
        for message in messages:
            known = self._known(message.device_id, taken)
            room = self._room(message, known, directory)
            if room is None:
                taken = taken._replace(left_out=taken.left_out + 1)
                continue
            self._take(message, known, room, directory, taken)
        return taken

    def _known(self, device_id: str, taken: Taken) -> KnownDevice | None:
        known = self._state.devices.get(device_id)
        return known._replace(condition=taken.conditions[device_id]) if known and device_id in taken.conditions else known

    def _room(self, message: StatusMessage, known: KnownDevice | None, directory: Directory) -> Workspace | None:
        """The room a message is about, None when nobody wants to know of it: a person's device, a city where it is off."""
        workspace_id = known.device.workspace_id if known else message.workspace_id
        room = directory.workspaces.get(workspace_id or "")
        if room is None or directory.place_of(room.location_id, room.id).city_id not in self._cities:
            return None
        return room

    def _take(
        self, message: StatusMessage, known: KnownDevice | None, room: Workspace, directory: Directory, taken: Taken
    ) -> None:
        if self._came_before(message):
            return
        reported, news = self._reported.setdefault(message.device_id, {}), message.updated
        gone = self._remember(reported, message)
        place = directory.place_of(room.location_id, room.id)
        slot = format_time(slot_of(message.time, self._settings.poll_seconds))
        context = PollContext(slot, partial=False, time=format_time(message.time))
        readings: dict[Pair, tuple[datetime, float]] = {}
        for metric, reading in self._readings(news, message, taken):
            moment = format_time(reading.time)
            taken.events.append(metric_observation(slot, self._book, place, room, metric, moment, reading.value))
            readings[room.id, metric] = reading.time, reading.value
        if any(path in news for path in self._use_paths):
            status = self._status({**_known_at(reported, message.time), **news}, self._use_paths)
            booking = self._uses.note(room.id, message.time, status.used, status.booked, message.device_id)
            taken.events.extend(use_observation(context, self._book, place, room, status, booking))
            if status.people is not None:
                readings[room.id, "peopleCount"] = message.time, status.people
        if known is not None and (any(path in news for path in _OF_DEVICE) or gone):
            self._take_condition(known, reported, gone, context, self._about(known, directory, message.time), taken)
        taken.readings.append((message.device_id, readings))
        self._move_watermarks(readings, taken)

    def _take_condition(
        self, known: KnownDevice, reported: dict[str, Reported], gone: set[str], context: PollContext, about: About, taken: Taken
    ) -> None:
        """What a device says of itself; an observation of it, when that changes something."""
        status = self._status({path: one.value for path, one in reported.items()}, _OF_DEVICE)
        if status.standby_text is not None and status.standby_text not in STANDBY_STATES:
            self.unknowns.note(STANDBY, status.standby_text)
        now = known._replace(condition=status.pushed_to(known.condition, gone))
        if now != known:
            taken.events.append(device_observation(context, self._book, now, "metric", known, about))
            taken.conditions[known.device.id] = now.condition

    def _came_before(self, message: StatusMessage) -> bool:
        """Whether this is a message that has come already."""
        recent = self._recent.setdefault(message.device_id, deque(maxlen=RECENT))
        identity = hash((message.time, repr(sorted(message.updated.items())), message.removed, message.is_full))
        if identity in recent:
            return True
        recent.append(identity)
        return False

    def _remember(self, reported: dict[str, Reported], message: StatusMessage) -> set[str]:
        """Take what a message reports, path by path where it is not older than what is known; gives the paths that are gone."""
        removed = set(message.removed)
        if message.is_full:
            removed |= reported.keys() - message.updated.keys()
        gone = {
            path
            for path, known in reported.items()
            if known.time <= message.time and any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in removed)
        }
        for path in gone:
            del reported[path]
        for path, value in message.updated.items():
            if path not in reported or reported[path].time <= message.time:
                reported[path] = Reported(message.time, value)
        return gone

    def _readings(self, news: Mapping[str, Any], message: StatusMessage, taken: Taken) -> Iterator[tuple[str, Reading]]:
        """The readings of what is new in a message, of each metric at most one."""
        for metric, path in read_paths(news):
            if metric in self._settings.metrics and news[path] not in (None, ""):
                value = number(news[path])
                item = {"timestamp": format_time(message.time), "value": news[path] if value is None else value}
                try:
                    yield metric, read_reading(item, utc_now())
                except BadRecord as fault:
                    taken.odd.append((message, BadRecord(f"{path}: {fault}")))

    def _status(self, values: Mapping[str, Any], paths: Sequence[str]) -> RoomStatus:
        """What a device says by some paths."""
        status = read_room_status(_tree({path: values[path] for path in paths if path in values}))
        self.unknowns.note_odd("push", status.odd)
        return status

    def _move_watermarks(self, readings: Mapping[Pair, tuple[datetime, float]], taken: Taken) -> None:
        """Polling goes on after what was pushed, where nothing can be missing before that.

        An older message may still come, and be in hand when this process ends.
        """
        for pair, (time, _) in readings.items():
            before = taken.watermarks.get(pair) or self._state.watermarks.get(pair)
            text = format_time(time - MAY_BE_IN_HAND)
            if before is None or before.read_to is None:  # from now on nothing may be missing, also if it is polled tomorrow only
                taken.watermarks[pair] = Watermark(format_time(time - FIRST_LOOK_BACK), before.asked_at if before else "")
            elif self._coverage.is_continuous(pair) and before.read_to < text:
                taken.watermarks[pair] = before._replace(read_to=text)


def read_paths(updated: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The metrics that can be read from what a device reports, each with the path that counts."""
    for metric, paths in _READINGS.items():
        path = next((path for one in paths for path in updated if one.fullmatch(path)), None)
        if path is not None:
            yield metric, path


def _known_at(reported: Mapping[str, Reported], moment: datetime) -> dict[str, Any]:
    """What was known at a moment, as far as nothing newer has taken its place."""
    return {path: one.value for path, one in reported.items() if one.time <= moment}


def _tree(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by path as the tree that a device answers with."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *branches, leaf = path.split(".")
        here = tree
        for branch in branches:
            here = here.setdefault(branch, {})
        here[leaf] = value
    return tree
