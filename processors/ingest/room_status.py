"""The xAPI tier: which devices to ask for their own status, and how to understand what they say.

A device knows what the device list does not: whether it sleeps, whether a call is on and how good it is, how many people it sees.
Each question is a request of its own, all the way to the device and back. So only rooms in need are asked (a device with issues,
in a call as far as we know, or with a priority tag), only where our token may and the device is there, each every
`xapiSeconds`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from processors.contracts.facts import is_unassigned
from processors.ingest import device_words
from processors.ingest.changes import ORDINARY, Condition, KnownDevice, answers, with_what_it_said
from processors.ingest.device_words import DeviceWords, read_words
from processors.ingest.health import health_of
from processors.ingest.records import kind_of
from processors.ingest.room_use import use_values
from processors.ingest.status_tree import at, items, number, truth, word

Value = TypeVar("Value", float, str, bool)

STANDBY = "Standby.State"
CALLS = ("SystemUnit.State.NumberOfActiveCalls", "MicrosoftTeams.Calling.InCall")
BOOKED = "Bookings.Availability.Status"
_EVERYBODY_IS_ASKED = (STANDBY, *CALLS, "MediaChannels.Call[*].Channel[*].Netstat.*", *device_words.EXPRESSIONS)
_USE = ("RoomAnalytics.PeopleCount.*", "RoomAnalytics.RoomInUse")
_USE_AND_BOOKINGS = ("RoomAnalytics.*", BOOKED)
"""The same and more in one expression, which leaves one for the booking."""
MOST_EXPRESSIONS = 10
"""Of one request."""
ROOM_DEVICE = "roomdesk"
FORGOTTEN_AFTER = 3
"""Intervals without an answer after which we no longer believe what a device said."""
STANDBY_STATES = frozenset({"Off", "Standby", "EnteringStandby", "Halfwake"})


class RoomStatus(NamedTuple):
    """What a device says: None where it does not report. Loss in %, jitter in ms, both of the worst channel of its calls.

    `booked`: whether its calendar holds the room, where that is asked.
    `odd`: statuses that it reports and we can't read, with the kind of their values. `words`: see DeviceWords.
    """

    standby: bool | None
    standby_text: str | None
    in_call: bool | None
    call_loss: float
    call_jitter: float
    people: int | None
    capacity: int | None
    in_use: bool | None
    booked: bool | None
    odd: Mapping[str, str]
    words: DeviceWords

    @property
    def used(self) -> bool | None:
        """Whether somebody is in the room, as far as it says."""
        return self.in_use if self.in_use is not None or self.people is None else self.people > 0

    def of_room(self, seats: int | None) -> dict[str, float]:
        """The signals of its room, as far as it says; `seats` are those known of the room, before those that the device knows."""
        return use_values(self.people, self.used, seats or self.capacity)

    def applied_to(self, condition: Condition) -> Condition:
        """A device's condition with what it says now."""
        return condition._replace(
            standby=bool(self.standby),
            in_call=self.in_call,
            call_loss=self.call_loss if self.in_call else 0.0,
            call_jitter=self.call_jitter if self.in_call else 0.0,
            display_lost=condition.display_lost and not self.standby,
            display_lost_since=None if self.standby else condition.display_lost_since,
        )

    def beside_push(self, condition: Condition) -> Condition:
        """The condition of a device that reports by itself, with what is not pushed: how good its call is."""
        if not (self.in_call and condition.in_call):
            return condition
        return condition._replace(call_loss=self.call_loss, call_jitter=self.call_jitter)

    def pushed_to(self, condition: Condition, had: Collection[str] = ()) -> Condition:
        """A device's condition with what it has reported by itself; `had` are paths it once reported and does not have any more.

        How good a call is, is not pushed: of a call that has just begun it is not known.
        """
        standby = self.standby if self.standby is not None or STANDBY in had else condition.standby
        in_call = self.in_call if self.in_call is not None or not set(CALLS).isdisjoint(had) else condition.in_call
        begun = bool(in_call) and not condition.in_call
        return condition._replace(
            standby=bool(standby),
            in_call=in_call,
            call_loss=None if begun else condition.call_loss if in_call else 0.0,
            call_jitter=None if begun else condition.call_jitter if in_call else 0.0,
            display_lost=condition.display_lost and not standby,
            display_lost_since=None if standby else condition.display_lost_since,
        )


def expressions(bookings: bool) -> tuple[str, ...]:
    """What devices are asked for; whether rooms are booked only with `bookings`."""
    return (*_EVERYBODY_IS_ASKED, *(_USE_AND_BOOKINGS if bookings else _USE))


def forgotten(condition: Condition) -> Condition:
    """A device's condition without what it once said."""
    return with_what_it_said(condition, ORDINARY)


def in_need(known: KnownDevice) -> bool:
    """Whether a device's room is worth a request, and may be asked."""
    device = known.device
    if device.kind != ROOM_DEVICE or device.workspace_id is None or is_unassigned(known.place.city_id) or not answers(device):
        return False
    return device.has_priority or bool(known.condition.in_call) or health_of(device.connection_status) == "issues"


def due(devices: Iterable[KnownDevice], asked: Mapping[str, datetime], now: datetime, seconds: float) -> list[KnownDevice]:
    """The devices to ask, longest unasked first: every `seconds`."""
    latest = now - timedelta(seconds=seconds)
    found = [known for known in devices if in_need(known) and not latest < asked.get(known.device.id, latest) <= now]
    never = datetime.min.replace(tzinfo=now.tzinfo)
    found.sort(key=lambda known: asked.get(known.device.id, never))
    return found


def read_room_status(tree: Mapping[str, Any]) -> RoomStatus:
    """What is understood of a tree of statuses. Types are loose (truth is the word True), and anything may be missing."""
    odd: dict[str, str] = {}
    standby = _read(tree, ("Standby", "State"), word, odd)
    calls = _read(tree, ("SystemUnit", "State", "NumberOfActiveCalls"), number, odd)
    teams_call = _read(tree, ("MicrosoftTeams", "Calling", "InCall"), truth, odd)
    people, capacity = (_read(tree, ("RoomAnalytics", "PeopleCount", name), number, odd) for name in ("Current", "Capacity"))
    channels = list(_channels(tree))
    return RoomStatus(
        standby=None if standby is None else standby != "Off",
        standby_text=standby,
        in_call=_in_call(calls, teams_call),
        call_loss=max((_loss(channel) for channel in channels), default=0.0),
        call_jitter=max((max(0.0, number(channel.get("Jitter")) or 0.0) for channel in channels), default=0.0),
        people=None if people is None or people < 0 else int(people),
        capacity=None if capacity is None or capacity <= 0 else int(capacity),
        in_use=_read(tree, ("RoomAnalytics", "RoomInUse"), truth, odd),
        booked=_read(tree, ("Bookings", "Availability", "Status"), _is_booked, odd),
        odd=odd,
        words=read_words(tree),
    )


def _in_a_call(**netstat: float) -> dict[str, Any]:
    return {**ANSWERS["inCall"](1), "MediaChannels": {"Call": [{"Channel": [{"Netstat": netstat}]}]}}


def _people(now: float, seats: int) -> dict[str, Any]:
    return {"RoomAnalytics": {"PeopleCount": {"Current": round(now), "Capacity": seats}}}


ANSWERS: Mapping[str, Callable[[float], dict[str, Any]]] = {
    "inCall": lambda value: {"SystemUnit": {"State": {"NumberOfActiveCalls": value}}},
    "callLoss": lambda value: _in_a_call(LastIntervalLost=value, LastIntervalReceived=100 - value),
    "callJitter": lambda value: _in_a_call(Jitter=value),
    "inUse": lambda value: {"RoomAnalytics": {"RoomInUse": str(value > 0)}},
    "capacity": lambda value: _people(0, int(value)),
    "occupancy": lambda value: _people(value * 1000, 1000),
}
"""What a device answers for one of its signals, or of its room's, to be a number: rules and tests ask for that."""


def _is_booked(status: object) -> bool | None:
    """BookedUntil, Free, FreeUntil; one of another name is not known."""
    text = word(status) or ""
    return True if text.startswith("Booked") else False if text.startswith("Free") else None


def _in_call(calls: float | None, teams_call: bool | None) -> bool | None:
    """Whether a call is on, of Webex or of Teams: a Teams room counts its own calls nowhere else."""
    if calls is None and teams_call is None:
        return None
    return bool(teams_call) or (calls or 0) > 0


def _read(tree: object, path: tuple[str, ...], understand: Callable[[object], Value | None], odd: dict[str, str]) -> Value | None:
    """A status as it is understood. What is reported and can't be understood, at its place or on the way there, goes to `odd`."""
    for depth, name in enumerate(path):
        if tree is not None and not isinstance(tree, Mapping):
            odd[".".join(path[:depth])] = kind_of(tree)
            return None
        tree = tree.get(name) if tree is not None else None
    value = understand(tree)
    if value is None and tree not in (None, ""):
        odd[".".join(path)] = kind_of(tree)
    return value


def _channels(tree: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The network statistics of every channel of every call."""
    for call in items(tree, "MediaChannels", "Call"):
        for channel in items(call, "Channel"):
            netstat = at(channel, "Netstat")
            if isinstance(netstat, Mapping):
                yield netstat


def _loss(netstat: Mapping[str, Any]) -> float:
    """Packets lost, in %: of the last interval, which says how it is now; of the whole call when that is not reported."""
    lost, received = (number(netstat.get(name)) for name in ("LastIntervalLost", "LastIntervalReceived"))
    if lost is not None and received is not None:
        whole = lost + received
    else:
        lost, whole = number(netstat.get("Loss")), number(netstat.get("Packets")) or 0.0
    return round(100 * min(1.0, max(0.0, lost / whole)), 2) if lost is not None and whole > 0 else 0.0
