"""Doing something about an incident: what is asked for is checked, and written down as a fact (acts.py) with its author.

The command line and the incident's page both come through here, so what one refuses, the other does too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

from processors.alert_fanout import acts as facts
from processors.alert_fanout.acts import Act, Acts, Scope
from processors.alert_fanout.alerts import TEXT_LIMIT
from processors.alert_fanout.incidents import Book, Incident
from processors.alert_fanout.state import Damaged, State
from processors.contracts.plain_text import name_of, one_line
from processors.timestamps import format_time

LONGEST = timedelta(days=7)
"""What is to be quiet for longer is a mute of the city's: a change of the stack that somebody reviews."""
SHORTEST_HANDLE = 4


class Refusal(Exception):
    """What was asked for can't be done. The text says why, and the next step."""


class Actor(NamedTuple):
    """Who does something, and by which way: command line, page, ..."""

    author: str
    way: str


@dataclass(frozen=True)
class Found:
    """An incident, with its city's slug, book and acts."""

    city: str
    incident: Incident
    book: Book
    acts: Acts


def every_incident(state: State) -> Iterator[Found]:
    """The incidents of all cities, those aside that are about a channel's own backlog. Raises StateError."""
    for city in state.cities():
        yield from incidents_of(state, city)


def incidents_of(state: State, city: str) -> Iterator[Found]:
    """The same of one city."""
    book, acts = state.book(city), state.acts(city)
    for incident in book.incidents.values():
        if incident.kind not in ("storm", "missed"):
            yield Found(city, incident, book, acts)


def readable(state: State) -> tuple[list[Found], list[Damaged]]:
    """The incidents of the cities whose state can be read, and what is wrong with that of others. Raises StateError where the
    store can't be used at all.
    """
    found: list[Found] = []
    faults: list[Damaged] = []
    for city in state.cities():
        try:
            found += incidents_of(state, city)
        except Damaged as fault:
            faults.append(fault)
    return found, faults


def find(state: State, name: str) -> Found:
    """The incident of an id, of an alert that is folded into it, or of a handle or as much of one as fits no other; raises
    Refusal, and StateError where it may be in what can't be read.
    """
    all_, faults = readable(state)
    fitting = [one for one in all_ if one.incident.id == name or _is_known_as(one.incident, name)]
    fitting = fitting or [one for one in all_ if name in one.incident.members]
    if not fitting and len(name) >= SHORTEST_HANDLE:
        fitting = [one for one in all_ if one.incident.handle.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        handles = ", ".join(one.incident.handle for one in fitting)
        raise Refusal(f"{name} fits several incidents: {handles}. Give more of it.")
    if faults:
        raise faults[0]
    raise Refusal(
        f"There is no incident {name}: they are kept for an hour after their end. roompulse alerts list shows those there are."
    )


def _is_known_as(incident: Incident, name: str) -> bool:
    """Whether a channel was notified of it under this id: see render.py."""
    return any(delivery.round and name == f"{incident.id}|{delivery.round}" for delivery in incident.deliveries.values())


def act_on(
    state: State,
    found: Found,
    kind: str,
    by: Actor,
    now: datetime,
    *,
    until: datetime | None = None,
    text: str = "",
    id_: str | None = None,
) -> Act:
    """Acknowledge an incident, take it over, take the acknowledgement back, comment on it or snooze it (kinds: see acts.py).

    `until` is the end of an acknowledgement or a snooze, `text` the comment, or why. `id_` distinguishes a repeat from doing it
    again. Returns once it is written down; raises Refusal.
    """
    act = Act(
        id=id_ or uuid4().hex,
        kind=kind,
        at=format_time(now),
        author=_author(by),
        way=by.way,
        incident=found.incident.id,
        severity=found.incident.lead.severity,
        until=format_time(until) if until else "",
        text=one_line(text, TEXT_LIMIT),
    )
    if _is_known(found.acts, act):
        return act
    _check(found, act, now)
    return _written(state, found.city, act, now)


def silence(
    state: State, city: str, scope: Scope, by: Actor, now: datetime, *, until: datetime, text: str, id_: str | None = None
) -> Act:
    """Keep what fits a scope quiet in a city, until then and for a reason. Returns once it is written down; raises Refusal."""
    act = Act(
        id=id_ or uuid4().hex,
        kind=facts.SILENCE,
        at=format_time(now),
        author=_author(by),
        way=by.way,
        until=format_time(until),
        text=one_line(text, TEXT_LIMIT),
        scope=replace(scope, severities=tuple(sorted(set(scope.severities)))),
    )
    _check_end(act, now)
    _check_reason(act)
    return _written(state, city, act, now)


def end_silence(state: State, city: str, id_: str, by: Actor, now: datetime, text: str = "") -> Act:
    """End a silence or a snooze of a city, by its id or as much of it as fits no other; what still burns is sent then. One that
    is over already stays as it is. Raises Refusal.
    """
    fitting = [act for act in state.acts(city).all if act.kind in (facts.SILENCE, facts.SNOOZE) and act.id.startswith(id_)]
    if len(fitting) != 1 or len(id_) < SHORTEST_HANDLE:
        why = "fits several silences" if len(fitting) > 1 else "is not the id of a silence"
        raise Refusal(f"{id_} {why} in {city}: roompulse alerts silences lists them.")
    # Named after what it ends: to end it twice is to end it once.
    act = Act(
        id=f"end-{fitting[0].id}",
        kind=facts.UNSILENCE,
        at=format_time(now),
        author=_author(by),
        way=by.way,
        incident=fitting[0].incident,
        text=one_line(text, TEXT_LIMIT),
        ends=fitting[0].id,
    )
    return _written(state, city, act, now)


def _written(state: State, city: str, act: Act, now: datetime) -> Act:
    state.add(city, act, [one.id for one in state.book(city).incidents.values()], now)
    return act


def _is_known(acts: Acts, act: Act) -> bool:
    return any(one.id == act.id for one in acts.all)


def _author(by: Actor) -> str:
    author = name_of(by.author)
    if not author:
        raise Refusal("Who are you? What is done about an incident has an author.")
    return author


def _check(found: Found, act: Act, now: datetime) -> None:
    if act.kind == facts.COMMENT:
        if not act.text:
            raise Refusal("A comment needs a text.")
        return
    if not found.incident.open:
        ended = found.incident.ended_at or "an unknown time"
        raise Refusal(f"{found.incident.handle} is over since {ended}: only a comment can be added to it.")
    if act.kind == facts.UNACKNOWLEDGE:
        if found.acts.acknowledgement(found.incident, now) is None:
            raise Refusal(f"Nobody has acknowledged {found.incident.handle}, or that is over: there is nothing to take back.")
        return
    _check_end(act, now)
    if act.kind == facts.SNOOZE:
        _check_reason(act)


def _check_end(act: Act, now: datetime) -> None:
    if act.until <= format_time(now):
        raise Refusal("It needs an end in the future: for how long?")
    if act.until > format_time(now + LONGEST):
        days = LONGEST.days
        raise Refusal(f"{days} days is the longest. What is to be quiet for longer is a mute of the city's in the stack file.")


def _check_reason(act: Act) -> None:
    if not act.text:
        raise Refusal("It hides something, so it needs a reason.")
