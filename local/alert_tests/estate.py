"""From series to observations: what the ingest sends when polls see what a case says. What decides is the ingest's own code.

A device's word becomes the record that Webex would list: `up`, `down`, `asleep`, `maintenance` (down, as planned) or an issue
code. A number is what the rule's signal reads; it becomes what would have to be listed, measured or answered for that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from activator.declarations import Fault, did_you_mean
from activator.rule_tests import Value
from activator.rules import Rule
from infra.settings.processor_settings import ingest_settings
from local.alert_tests.worlds import TODAY, World
from processors.contracts.signals import METRICS
from processors.ingest.changes import KnownDevice, observed, reason_to_send
from processors.ingest.cloud_events import Event
from processors.ingest.directory import Place
from processors.ingest.error_codes import CRITICAL, WARNING, grade_of
from processors.ingest.fleet import CityTally, LocationTally, Seen, tally
from processors.ingest.health import Health
from processors.ingest.observations import (
    PollContext,
    booking_observation,
    city_observation,
    device_observation,
    location_observation,
    metric_observation,
)
from processors.ingest.records import Device, Workspace
from processors.ingest.room_status import read_room_status
from processors.ingest.settings import AlertRule, City
from processors.ingest.signals import NOTHING_TOLD, RuleBook, Told
from processors.timestamps import format_time

STATUS_OF_WORD = {
    "up": "connected",
    "down": "disconnected",
    "asleep": "offline_deep_sleep",
    "maintenance": "disconnected",
}
MADE_BY = {
    "offline": "down",
    "issues": "missingdisplay",
    "warningIssues": "networkquality",
    "criticalIssues": "camerapairing",
    "peripheralIssues": "camerapairing",
    "displayIssues": "missingdisplay",
    "overheatingIssues": "temperaturecheck",
    "drops": "down",
    "offlineRatio": "down",
    "devices": "up",
}
"""A word that makes a signal which no number makes."""
_NO_NUMBERS = (
    "numbers can't make {}: write words, or teach local/alert_tests/estate.py what Webex would have to say for it to be a number."
)
MAIN_SITE = "Main site"
"""The location of devices whose case names none."""
SNAPSHOT = timedelta(minutes=15)
SEATS = 20
"""The seats of every room (but where they are the signal): occupancy 1.5 is 30 people."""
_ON = {"SystemUnit": {"State": {"NumberOfActiveCalls": 1}}}


def _call(**netstat: float) -> dict[str, Any]:
    """What a device says in a call with such a channel."""
    return {**_ON, "MediaChannels": {"Call": [{"Channel": [{"Netstat": netstat}]}]}}


_ANSWERS: dict[str, Callable[[float], dict[str, Any]]] = {
    "inCall": lambda value: {"SystemUnit": {"State": {"NumberOfActiveCalls": value}}},
    "callLoss": lambda value: _call(LastIntervalLost=value, LastIntervalReceived=100 - value),
    "callJitter": lambda value: _call(Jitter=value),
}
"""What a device would have to answer (xAPI) for one of its signals to be a number."""
_PEOPLE: dict[str, Callable[[float], float]] = {
    "occupancy": lambda value: value * SEATS,
    "inUse": lambda value: value,
    "capacity": lambda value: 0.0,
}
"""How many people would have to be in a room for one of the signals of its use to be a number."""


_OF_BOOKINGS = ("booked", "unattendedMinutes", "noShow")


def _with_health(health: Health) -> Callable[[int], CityTally]:
    return lambda value: CityTally(value, {**CityTally().by_health, health: value})


_COUNTS: dict[str, Callable[[int], CityTally]] = {
    "devices": lambda value: CityTally(devices=value),
    "devicesUp": _with_health("up"),
    "devicesIssues": _with_health("issues"),
    "devicesDown": _with_health("down"),
    "devicesAsleep": _with_health("asleep"),
    "devicesUnknown": _with_health("unknown"),
    "devicesHeld": lambda value: CityTally(held=value),
    "devicesSeen": lambda value: CityTally(seen=Seen(value)),
    "oldestSightMinutes": lambda value: CityTally(seen=Seen(0, value)),
    "rooms": lambda value: CityTally(rooms=set(map(str, range(value)))),
    "roomsUsable": lambda value: CityTally(rooms=set(map(str, range(value)))),
    "roomsReporting": lambda value: CityTally(rooms_reporting=value),
    "roomsInUse": lambda value: CityTally(rooms_in_use=value),
}
"""The devices and rooms a city would have to have for one of its signals to be a number."""


def _sees(seen: Callable[[float], Seen]) -> Callable[[LocationTally, float], None]:
    return lambda count, value: setattr(count, "seen", seen(value))


_AT_LOCATION: dict[str, Callable[[LocationTally, float], None]] = {
    "devicesSeen": _sees(lambda value: Seen(int(value))),
    "oldestSightMinutes": _sees(lambda value: Seen(0, value)),
    "roomsDownOnFloor": lambda count, value: count.down_rooms.update({"3rd floor": set(map(str, range(int(value))))}),
}
"""What a poll would have to have counted at a location for one of these signals to be a number."""
_OF_THE_POLL = ("unseenMinutes", "requests", "quarantined")
_TOLD: dict[str, Callable[[float], Told]] = {
    "pushSilent": lambda value: Told(push_silent=bool(value)),
    "devicesVanished": lambda value: Told(vanished=[f"Room Bar {number + 1}" for number in range(int(value))]),
    "webexIncidents": lambda value: Told(webex_incidents=int(value)),
    "tokenDays": lambda value: Told(token_days=value),
}
"""What would have to be known of a city for one of these signals to be a number."""
NUMBERS: Mapping[str, Collection[str]] = {
    "device": {"firmwareBehind", *_ANSWERS},
    "workspace": {*METRICS, *_PEOPLE, *_OF_BOOKINGS},
    "location": _AT_LOCATION,
    "city": {*_COUNTS, *_OF_THE_POLL, *_TOLD},
    "pipeline": ("processedRows",),
}
"""The signals that the numbers of a series can make; the others follow from words."""


@dataclass(frozen=True)
class Sent:
    """An observation, and when it was made."""

    time: datetime
    event: Event


def observations(world: World) -> Iterator[Sent]:
    """Everything the ingest sends in a case without faults (see word_faults), poll by poll."""
    return {
        "device": _devices,
        "location": _devices,
        "workspace": _workspaces,
        "city": _cities,
    }[world.rule.entity](world)


def word_faults(rule: Rule) -> Iterator[Fault]:
    """Words in the series of a rule's cases that mean nothing."""
    for index, case in enumerate(rule.tests):
        for key, values in case.series.items():
            where = f"{rule.id}.yaml/tests/{index}/series/{key}"
            if rule.signal not in NUMBERS[rule.entity] and any(isinstance(value, float) for value in values):
                yield Fault(where, _NO_NUMBERS.format(rule.signal))
            for word in dict.fromkeys(value for value in values if isinstance(value, str)):
                if rule.entity not in ("device", "location"):
                    yield Fault(where, f'"{word}" is not a number: a {rule.entity} reads numbers, or _ for nothing.')
                elif word not in STATUS_OF_WORD and grade_of(word) is None:
                    hint = did_you_mean(word, [*STATUS_OF_WORD, *CRITICAL, *WARNING])
                    known = ", ".join(STATUS_OF_WORD)
                    yield Fault(where, f'"{word}" is neither of {known} nor an issue code we grade.{hint}')


def book_of(world: World) -> RuleBook:
    """The rules of the world's cities, as the ingest gets them: overrides resolved."""
    cities = ingest_settings(world.stack, world.rules, TODAY)["cities"]
    return RuleBook(
        City(
            slug,
            city["name"],
            tuple(city["webexLocations"]),
            tuple(
                AlertRule(
                    r["id"],
                    r["entity"],
                    r["signal"],
                    r["op"],
                    r["threshold"],
                    r["forSeconds"],
                    r["severity"],
                    r.get("fewestDevices", 0),
                )
                for r in city["rules"]
            ),
        )
        for slug, city in cities.items()
    )


def polls(world: World) -> Iterator[tuple[int, datetime]]:
    """Number and time of each poll."""
    for number in range(max(map(len, world.case.series.values()))):
        yield number, world.start + timedelta(seconds=number * world.case.step)


def _devices(world: World) -> Iterator[Sent]:
    book, known = book_of(world), dict[str, KnownDevice]()
    entities = {rule.entity for rule in world.rules}
    snapshot_at = world.start
    for number, time in polls(world):
        poll = PollContext(format_time(time), False)
        snapshot = time >= snapshot_at
        snapshot_at = time + SNAPSHOT if snapshot else snapshot_at
        for key, values in world.case.series.items():
            value = values[number] if number < len(values) else None
            if value is not None:
                before = known.get(key)
                known[key] = now = _known(world, key, value, before, time)
                reason = reason_to_send(before, now, snapshot)
                answered = isinstance(value, float) and world.rule.signal in _ANSWERS
                if "device" in entities and (reason or answered):
                    yield Sent(time, device_observation(poll, book, now, "metric" if answered else reason or "snapshot", before))
        if "location" in entities:
            yield from _locations(world, book, poll, known, time, number)


def _known(world: World, key: str, value: Value, before: KnownDevice | None, time: datetime) -> KnownDevice:
    word = value if isinstance(value, str) else "up"
    codes = () if word in STATUS_OF_WORD else (word,)
    place = place_of(world, key)
    device = Device(
        id=f"{world.number}/{key}",
        name=key.split("/")[-1],
        kind="roomdesk",
        product="Cisco Room Bar",
        software=None,
        connection_status=STATUS_OF_WORD.get(word, "connected_with_issues"),
        error_codes=codes,
        workspace_id=place.workspace_id,
        location_id=place.location_id,
        person_id=None,
        last_seen=None,
    )
    behind = int(value) if isinstance(value, float) and world.rule.signal == "firmwareBehind" else None
    now = observed(device, place, before, time, word == "maintenance" and not world.blind_to_maintenance, behind)
    if isinstance(value, float) and world.rule.signal in _ANSWERS:
        status = read_room_status(_ANSWERS[world.rule.signal](value))
        return now._replace(condition=status.applied_to(now.condition))
    return now


def _locations(
    world: World,
    book: RuleBook,
    poll: PollContext,
    known: Mapping[str, KnownDevice],
    time: datetime,
    number: int,
) -> Iterator[Sent]:
    places = {one.place.location_id: one.place for one in known.values() if one.place.location_id}
    counted = tally(known.values(), (), places)
    numbers = _numbers_of_locations(world, number)
    for id_, place in places.items():
        site = Place(place.city_id, id_, place.location_name, None, None)
        count = counted.locations[str(id_)]
        count.seen = Seen()
        if id_ in numbers and world.rule.entity == "location":
            _AT_LOCATION[world.rule.signal](count, numbers[id_])
        yield Sent(time, location_observation(poll, book, site, count))


def _numbers_of_locations(world: World, number: int) -> dict[str | None, float]:
    """What a poll has counted at each location whose series says that in numbers."""
    values = {key: values[number] for key, values in world.case.series.items() if number < len(values)}
    return {place_of(world, key).location_id: value for key, value in values.items() if isinstance(value, float)}


def _workspaces(world: World) -> Iterator[Sent]:
    book = book_of(world)
    people = _PEOPLE.get(world.rule.signal)
    metric = "peopleCount" if people else world.rule.signal
    for number, time in polls(world):
        for key, values in world.case.series.items():
            value = values[number] if number < len(values) else None
            if not isinstance(value, float):
                continue
            read = people(value) if people else value
            place = place_of(world, key)
            seats = int(value) if world.rule.signal == "capacity" else SEATS
            room = Workspace(str(place.workspace_id), key.split("/")[-1], place.location_id, frozenset(), seats)
            text = format_time(time)
            if metric in _OF_BOOKINGS:
                yield Sent(time, booking_observation(PollContext(text, False), book, place, room, {metric: read}))
            else:
                yield Sent(time, metric_observation(text, book, place, room, metric, text, read))


def _cities(world: World) -> Iterator[Sent]:
    book, signal = book_of(world), world.rule.signal
    for number, time in polls(world):
        for name, values in world.case.series.items():
            value = values[number] if number < len(values) else None
            if isinstance(value, float):
                city = world.cities[name]
                poll = PollContext(format_time(time), False)
                count = _COUNTS[signal](int(value)) if signal in _COUNTS else CityTally()
                unseen, requests, bad = (value if signal == name else 0 for name in _OF_THE_POLL)
                figures = count, unseen, int(requests), int(bad)
                told = _TOLD[signal](value) if signal in _TOLD else NOTHING_TOLD
                yield Sent(time, city_observation(poll, book, city.slug, city.name, *figures, told))


def place_of(world: World, key: str) -> Place:
    """Where an entity of a case is: `city/name` or `city/location/name`; each is in a room of its own name."""
    city, *between, name = key.split("/")
    location = between[0] if between else MAIN_SITE
    return Place(world.slug(city), f"{world.number}/{city}/{location}", location, f"{world.number}/{key}/room", name)
