"""From series to observations: what the ingest sends when polls see what a case says. What decides is the ingest's own code.

A device's word becomes the record that Webex would list: `up`, `down`, `asleep`, `maintenance` (down, as planned) or an issue
code. A number is what the rule's signal reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from activator.declarations import Fault, did_you_mean
from activator.rule_tests import Value
from activator.rules import Rule
from infra.settings.processor_settings import ingest_settings
from local.alert_tests.worlds import TODAY, World
from processors.ingest.changes import KnownDevice, observed, reason_to_send
from processors.ingest.cloud_events import OBSERVATION_TYPE, Event, sealed
from processors.ingest.directory import Place
from processors.ingest.error_codes import CRITICAL, WARNING, grade_of
from processors.ingest.fleet import CityTally, tally
from processors.ingest.observations import (
    PollContext,
    city_observation,
    device_observation,
    location_observation,
    metric_observation,
)
from processors.ingest.records import Device, Workspace
from processors.ingest.settings import AlertRule, City
from processors.ingest.signals import RuleBook
from processors.timestamps import format_time

STATUS_OF_WORD = {
    "up": "connected",
    "down": "disconnected",
    "asleep": "offline_deep_sleep",
    "maintenance": "disconnected",
}
MAIN_SITE = "Main site"
"""The location of devices whose case names none."""
SNAPSHOT = timedelta(minutes=15)
SEATS = 20
"""The seats of every room: occupancy 1.5 is 30 people."""


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
            for word in dict.fromkeys(value for value in values if isinstance(value, str)):
                where = f"{rule.id}.yaml/tests/{index}/series/{key}"
                if rule.entity not in ("device", "location"):
                    yield Fault(where, f'"{word}" is no number: a {rule.entity} reads numbers, or _ for nothing.')
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
                AlertRule(r["id"], r["entity"], r["signal"], r["op"], r["threshold"], r["forSeconds"], r["severity"])
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
                event = device_observation(poll, book, now, reason or "snapshot", before)
                measured = isinstance(value, float) and world.rule.signal != "firmwareBehind"
                if measured:
                    event = _measured(event, book, now, world.rule, float(value))
                if "device" in entities and (reason or measured):
                    yield Sent(time, event)
        if "location" in entities:
            yield from _locations(world, book, poll, known, time)


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
    return observed(device, place, before, time, word == "maintenance" and not world.blind_to_maintenance, behind)


def _measured(event: Event, book: RuleBook, known: KnownDevice, rule: Rule, value: float) -> Event:
    """The observation with the rule's signal at what a device was asked for (a call's loss: no list of devices has it)."""
    content = json.loads(event.body)
    data = content["data"]
    rules = book.of(known.place.city_id, "device").get(rule.signal, [])
    others = [signal for signal in data["signals"] if signal["name"] != rule.signal]
    data["signals"] = [*others, {"name": rule.signal, "value": value, "rules": rules}]
    return sealed(OBSERVATION_TYPE, event.subject, content["time"], data)


def _locations(
    world: World, book: RuleBook, poll: PollContext, known: Mapping[str, KnownDevice], time: datetime
) -> Iterator[Sent]:
    places = {one.place.location_id: one.place for one in known.values() if one.place.location_id}
    counted = tally(known.values(), (), places)
    for id_, place in places.items():
        site = Place(place.city_id, id_, place.location_name, None, None)
        yield Sent(time, location_observation(poll, book, site, counted.locations[str(id_)]))


def _workspaces(world: World) -> Iterator[Sent]:
    book = book_of(world)
    metric = "peopleCount" if world.rule.signal in ("occupancy", "inUse", "capacity") else world.rule.signal
    for number, time in polls(world):
        for key, values in world.case.series.items():
            value = values[number] if number < len(values) else None
            if not isinstance(value, float):
                continue
            read = value * SEATS if world.rule.signal == "occupancy" else value
            place = place_of(world, key)
            room = Workspace(str(place.workspace_id), key.split("/")[-1], place.location_id, frozenset(), SEATS)
            text = format_time(time)
            yield Sent(time, metric_observation(text, book, place, room, metric, text, read))


def _cities(world: World) -> Iterator[Sent]:
    book = book_of(world)
    for number, time in polls(world):
        for name, values in world.case.series.items():
            value = values[number] if number < len(values) else None
            if isinstance(value, float):
                city = world.cities[name]
                poll = PollContext(format_time(time), False)
                yield Sent(time, city_observation(poll, book, city.slug, city.name, CityTally(), value, 1, 0))


def place_of(world: World, key: str) -> Place:
    """Where an entity of a case is: `city/name` or `city/location/name`; each is in a room of its own name."""
    city, *between, name = key.split("/")
    location = between[0] if between else MAIN_SITE
    return Place(world.slug(city), f"{world.number}/{city}/{location}", location, f"{world.number}/{key}/room", name)
