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
from processors.contracts.signals import METRICS, OF_ENTITY
from processors.ingest.changes import KnownDevice, observed, reason_to_send
from processors.ingest.city_facts import NO_FACTS, SIGNAL_OF, CityFacts
from processors.ingest.cloud_events import Event
from processors.ingest.directory import Place
from processors.ingest.error_codes import CRITICAL, OF_SIGNAL, WARNING, grade_of
from processors.ingest.fleet import CityTally, LocationTally, Seen, tally
from processors.ingest.health import Health
from processors.ingest.observations import (
    PollContext,
    booking_observation,
    city_observation,
    device_observation,
    location_observation,
    metric_observation,
    use_observation,
)
from processors.ingest.records import Device, Workspace
from processors.ingest.room_status import ANSWERS, read_room_status
from processors.ingest.settings import AlertRule, City
from processors.ingest.signals import RuleBook
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
    **{signal: min(codes) for signal, codes in OF_SIGNAL.items()},
    "drops": "down",
    "offlineRatio": "down",
    "devices": "up",
}
"""A word that makes a signal which no number makes."""
_NO_NUMBERS = (
    "numbers can't make {}: write words, or say in ANSWERS (processors/ingest/room_status.py) what a device answers for it to be "
    "a number."
)
MAIN_SITE = "Main site"
"""The location of devices whose case names none."""
SNAPSHOT = timedelta(minutes=15)
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
NUMBERS: Mapping[str, Collection[str]] = {
    "device": {"firmwareBehind", *(ANSWERS.keys() & OF_ENTITY["device"].keys())},
    "workspace": {*METRICS, *_OF_BOOKINGS, *(ANSWERS.keys() & OF_ENTITY["workspace"].keys())},
    "location": _AT_LOCATION,
    "city": {*_COUNTS, *SIGNAL_OF.values()},
    "pipeline": OF_ENTITY["pipeline"].keys(),
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
                answered = isinstance(value, float) and world.rule.signal in ANSWERS
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
    if isinstance(value, float) and world.rule.signal in ANSWERS:
        status = read_room_status(ANSWERS[world.rule.signal](value))
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
    for time, key, value in _numbers(world):
        place = place_of(world, key)
        room = Workspace(str(place.workspace_id), key.split("/")[-1], place.location_id, frozenset(), None)
        for event in _of_room(world.rule.signal, value, format_time(time), book, place, room):
            yield Sent(time, event)


def _of_room(signal: str, value: float, time: str, book: RuleBook, place: Place, room: Workspace) -> list[Event]:
    """What is sent of a room for one of its signals to be a number."""
    poll = PollContext(time, False)
    if signal in _OF_BOOKINGS:
        return [booking_observation(poll, book, place, room, {signal: value})]
    if signal in ANSWERS:
        return use_observation(poll, book, place, room, read_room_status(ANSWERS[signal](value)), {})
    return [metric_observation(time, book, place, room, signal, time, value)]


def _cities(world: World) -> Iterator[Sent]:
    book, signal = book_of(world), world.rule.signal
    for time, name, value in _numbers(world):
        city, poll = world.cities[name], PollContext(format_time(time), False)
        count = _COUNTS[signal](int(value)) if signal in _COUNTS else CityTally()
        facts = NO_FACTS if signal in _COUNTS else _facts(signal, value)
        yield Sent(time, city_observation(poll, book, city.slug, city.name, count, facts))


def _facts(signal: str, value: float) -> CityFacts:
    """What would have to be known of a city for a signal of its facts to be a number."""
    (field,) = (field for field, name in SIGNAL_OF.items() if name == signal)
    names = isinstance(getattr(NO_FACTS, field), tuple)
    fact: Any = [f"Room Bar {number + 1}" for number in range(int(value))] if names else value
    return NO_FACTS._replace(**{field: fact})


def _numbers(world: World) -> Iterator[tuple[datetime, str, float]]:
    """The numbers of a world's series, poll by poll."""
    for number, time in polls(world):
        for key, values in world.case.series.items():
            value = values[number] if number < len(values) else None
            if isinstance(value, float):
                yield time, key, value


def place_of(world: World, key: str) -> Place:
    """Where an entity of a case is: `city/name` or `city/location/name`; each is in a room of its own name."""
    city, *between, name = key.split("/")
    location = between[0] if between else MAIN_SITE
    return Place(world.slug(city), f"{world.number}/{city}/{location}", location, f"{world.number}/{key}/room", name)
