"""What people are notified of in a case: its alert rows through the real fan-out, with channels that only write down."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from activator.rule_tests import Done, Expected
from infra.settings.contacts import Contact, audiences
from infra.settings.processor_settings import MAILED, deployed_fanout_settings, written_terms
from local.alert_tests.worlds import World, address_of
from processors import clock
from processors.alert_fanout.acting import Actor, act_on, every_incident
from processors.alert_fanout.channel_kind import ChannelSettings
from processors.alert_fanout.channel_kinds import channel_settings
from processors.alert_fanout.channels.azure_monitor import AzureMonitorChannel
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.settings import fanout_settings_of
from processors.alert_fanout.state import Conflict, State
from processors.timestamps import parse_time

Row = Mapping[str, Any]
WAITS = (timedelta(seconds=3), timedelta(minutes=2, seconds=30))
"""When the fan-out is given time after each row: for what it holds, and for what it settles after an outage."""


@dataclass(frozen=True)
class Notification:
    """Something people were notified of: as in Expected, with everybody who was."""

    at: int
    state: str
    entity: str
    rule_id: str
    severity: int
    title: str
    text: str
    to: frozenset[str]

    def fits(self, expected: Expected, world: World) -> bool:
        """Whether this is what was expected; what a case leaves open is not looked at."""
        same = (self.at, self.state, self.entity, self.rule_id) == (
            expected.at, expected.state, expected.entity, expected.rule_id,
        )  # fmt: skip
        return (
            same
            and expected.severity in (None, self.severity)
            and expected.title in (None, self.title)
            and all(part in self.text for part in expected.text)
            and (expected.to is None or world.addresses(expected.entity.split("/")[0], expected.to, self.state) == self.to)
        )


class _Memory:
    """Where the fan-out keeps its books while a case runs."""

    where = "memory"

    def __init__(self) -> None:
        self._texts: dict[str, tuple[str, int]] = {}

    def names(self) -> list[str]:
        return list(self._texts)

    def load(self, name: str) -> tuple[str | None, str | None]:
        text, version = self._texts.get(name, (None, None))
        return text, None if version is None else str(version)

    def version(self, name: str) -> str | None:
        return self.load(name)[1]

    def save(self, name: str, text: str, version: str | None) -> str:
        now = self._texts.get(name, ("", 0))[1]
        if int(version or 0) != now:
            raise Conflict(name)
        self._texts[name] = (text, now + 1)
        return str(now + 1)

    def close(self) -> None:
        self._texts.clear()


class _Recorder:
    """A channel that writes down what it is sent, and when."""

    def __init__(self, to: frozenset[str], heard: list[tuple[datetime, Notice, frozenset[str]]]) -> None:
        self._to, self._heard = to, heard

    def check(self) -> None:
        return

    def send(self, notice: Notice) -> str | None:
        self._heard.append((clock.utc_now(), notice, self._to))
        return "1"

    def close(self) -> None:
        return


def notified(world: World, rows: Sequence[Row]) -> list[Notification]:
    """What the rows of a world make its people hear, in order."""
    if not rows:
        return []
    heard: list[tuple[datetime, Notice, frozenset[str]]] = []
    settings = fanout_settings_of(deployed_fanout_settings(world.stack, world.rules))
    channels = {
        channel.key: _Recorder(_addresses(world, slug, channel), heard)
        for slug, city in settings.cities.items()
        for channel in city.channels
    }
    state = State(_Memory())
    fan_out = FanOut(settings, state, channels=channels)
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # a case in which people are notified is not news
    try:
        for moment, bodies in _ticks(world, rows):
            clock.use(lambda moment=moment: moment)  # type: ignore[misc]
            for done in world.case.acts:
                if world.start + timedelta(seconds=done.at) == moment:
                    _act(world, state, done, moment)
            fan_out.handle(bodies)
            fan_out.tend()
    finally:
        clock.use(None)
        logging.disable(before)
        fan_out.close()
    return _merged(world, heard)


def _ticks(world: World, rows: Sequence[Row]) -> Iterator[tuple[datetime, list[bytes]]]:
    """The moments at which the fan-out has something to do, and the rows that have come by then."""
    bodies: dict[datetime, list[bytes]] = {}
    for row in rows:
        time = parse_time(row["observedAt"])
        assert time is not None
        bodies.setdefault(time, []).append(_body(world, row))
        for wait in WAITS:
            bodies.setdefault(time + wait, [])
    for done in world.case.acts:
        bodies.setdefault(world.start + timedelta(seconds=done.at), [])
    if any(rule.suppress_when for rule in world.rules) or _has_timers(world):
        steps = max(map(len, world.case.series.values()))
        for number in range(steps):
            poll = world.start + timedelta(seconds=number * world.case.step)
            for wait in (timedelta(0), WAITS[0]) if _has_timers(world) else (timedelta(0),):
                bodies.setdefault(poll + wait, [])
    yield from sorted(bodies.items())


def _has_timers(world: World) -> bool:
    """Whether somebody in this world is notified of something because time passes."""
    contacts = [contact for city in world.cities.values() for contact in city.contacts]
    return any(contact.after or contact.repeat or contact.when == "daily" for contact in contacts)


def _act(world: World, state: State, done: Done, moment: datetime) -> None:
    """Have somebody do something; about an alert that is not there nothing can be done."""
    for found in every_incident(state):
        lead = found.incident.lead
        if found.incident.open and entity_of(world, lead.entity, lead.entity_id) == done.entity:
            until = moment + timedelta(seconds=done.lasting)
            act_on(state, found, done.kind, Actor("somebody", "case"), moment, until=until, text="a case")


def _body(world: World, row: Row) -> bytes:
    known = {name: value for name, value in row.items() if value is not None and name != "Table"}
    if world.notified_elsewhere:
        slugs = [city.slug for city in world.cities.values()]
        known["cityId"] = slugs[(slugs.index(known["cityId"]) + 1) % len(slugs)]
    return json.dumps(known).encode()


def _addresses(world: World, slug: str, channel: ChannelSettings) -> frozenset[str]:
    """Whom a channel reaches."""
    city = next((city for city in world.cities.values() if city.slug == slug), None)
    if city is None:
        return frozenset({"somebody of no city"})
    if isinstance(channel, AzureMonitorChannel):
        name = channel.audience.split("/")[1]
        people = [one for kind in MAILED for one in audiences(city.contacts, kind) if one.name == name]
        return frozenset(address_of(contact) for audience in people for contact in audience.contacts)
    return frozenset(address_of(contact) for contact in city.contacts if _channel_of(contact) == channel)


def _channel_of(contact: Contact) -> ChannelSettings | None:
    return channel_settings(contact.channel | written_terms(contact.channel_terms)) if contact.channel else None


def _merged(world: World, heard: Sequence[tuple[datetime, Notice, frozenset[str]]]) -> list[Notification]:
    """One entry for what several channels were sent about one thing. Updates are not news of their own."""
    found: dict[tuple[str, str, datetime | int], Notification] = {}
    for moment, notice, to in heard:
        if notice.action == "update":
            continue
        state = "again" if notice.action == "remind" else "escalated" if notice.escalated else notice.state
        # Whoever is for another severity may hear of it when it has that: in the morning.
        key = (notice.incident, state, moment if state == "again" else notice.lead.severity)
        if key in found:
            before = found[key]
            found[key] = Notification(**{**vars(before), "to": before.to | to})
            continue
        lead = notice.lead
        found[key] = Notification(
            at=_since_start(world, moment),
            state=state,
            entity=entity_of(world, lead.entity, lead.entity_id),
            rule_id=lead.rule_id,
            severity=lead.severity,
            title=notice.title,
            text=notice.text,
            to=to,
        )
    return sorted(found.values(), key=lambda one: (one.at, one.state, one.entity))


def entity_of(world: World, entity: str, entity_id: str) -> str:
    """The name the case gives to an entity."""
    if entity == "city":
        return world.name_of(entity_id)
    return entity_id.removeprefix(f"{world.number}/").removesuffix("/room")


def _since_start(world: World, moment: datetime) -> int:
    """Seconds since the first poll, to the poll: what the fan-out holds for a moment is sent with the poll that made it."""
    elapsed = (moment - world.start).total_seconds()
    return int(elapsed // world.case.step * world.case.step)
