"""What people do about incidents, as facts: acknowledgements, take-overs, comments, snoozes and silences.

A fact is written once and never changed. What holds at a moment is derived from the facts and the time, here: nothing has to be
switched off when an acknowledgement or a silence ends, so nothing can be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.incidents import REMEMBERED, Incident
from processors.contracts.facts import SEVERITIES
from processors.timestamps import format_time

ACKNOWLEDGE, UNACKNOWLEDGE, TAKE, COMMENT = "acknowledge", "unacknowledge", "take", "comment"
SNOOZE, SILENCE, UNSILENCE = "snooze", "silence", "unsilence"
NOT_URGENT = tuple(severity for severity in SEVERITIES if severity > 1)
"""What a silence covers that names no severities: nobody hides the worst without saying so."""


@dataclass(frozen=True)
class Scope:
    """What a silence is about, within its city: whatever fits everything that is named here. `location`, `room` and `device` are
    ids or names, in whatever case.
    """

    rule: str = ""
    location: str = ""
    room: str = ""
    device: str = ""
    severities: tuple[int, ...] = NOT_URGENT

    def covers(self, alert: Alert) -> bool:
        """Whether an alert is within it."""
        return (
            alert.severity in self.severities
            and self.rule in ("", alert.rule_id)
            and _is_one_of(self.location, alert.location_id, alert.location_name, *_itself(alert, "location"))
            and _is_one_of(self.room, alert.workspace_id, alert.workspace_name, *_itself(alert, "workspace"))
            and _is_one_of(self.device, *_itself(alert, "device"))
        )


def _is_one_of(wanted: str, *known: str | None) -> bool:
    return not wanted or wanted.casefold() in [one.casefold() for one in known if one]


def _itself(alert: Alert, entity: str) -> tuple[str, ...]:
    return (alert.entity_id, alert.name) if alert.entity == entity else ()


@dataclass(frozen=True)
class Act:
    """Something a person did. Times are ISO 8601 texts in UTC, `at` when it was done, `until` when it ends.

    `id` is unique within a city: what is sent twice is done once. `incident` is what it is about; a silence is about its `scope`.
    `severity` is what the incident had: an act holds for nothing worse. `ends` is the id of the silence or snooze that an
    unsilence ends. `way` is how it came: command line, page, ...
    """

    id: str
    kind: str
    at: str
    author: str
    way: str
    incident: str = ""
    severity: int = 0
    until: str = ""
    text: str = ""
    scope: Scope | None = None
    ends: str = ""
    more: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Acts:
    """All that was done in a city, in the order in which it was written down."""

    all: tuple[Act, ...] = ()

    def with_act(self, act: Act) -> Acts:
        """These and one more; the same if it is there already."""
        return self if any(one.id == act.id for one in self.all) else Acts((*self.all, act))

    def about(self, incident: str) -> tuple[Act, ...]:
        """What was done about an incident, oldest first."""
        return tuple(self._by_incident.get(incident, ()))

    def acknowledgement(self, incident: Incident, now: datetime) -> Act | None:
        """What makes an incident acknowledged at a moment: the act that names who has it, with the end that was said last. None
        when nobody has it: the acknowledgement is over or taken back, or the incident is worse than it was.
        """
        held: Act | None = None
        for act in self.about(incident.id):
            if act.kind == UNACKNOWLEDGE:
                held = None
            elif act.kind in (ACKNOWLEDGE, TAKE) and act.severity <= incident.lead.severity:
                goes_on = held is not None and act.kind == ACKNOWLEDGE and held.until > act.at
                held = replace(held, until=act.until) if held and goes_on else act
        return held if held and held.until > format_time(now) else None

    def silence(self, incident: Incident, now: datetime) -> Act | None:
        """The silence or snooze that keeps an incident quiet at a moment: the one that ends last."""
        if not self._lasting:
            return None
        found = [act for act in self.silences(now) if _hides(act, incident)]
        return max(found, key=self.end_of, default=None)

    def unattended_since(self, incident: Incident, now: datetime) -> str | None:
        """Since when nobody does anything about an incident although somebody did: the end of an acknowledgement, a snooze or a
        silence. Empty when nobody has yet, None when somebody has it or keeps it quiet at this moment.
        """
        if self.acknowledgement(incident, now) or self.silence(incident, now):
            return None
        moment, ends = format_time(now), [""]
        held_until = ""
        for act in self.about(incident.id):
            if act.kind == UNACKNOWLEDGE:
                ends, held_until = [*ends, act.at], ""
            elif act.kind in (ACKNOWLEDGE, TAKE):
                held_until = act.until
        quiet = (self.end_of(act) for act in self._lasting if _hides(act, incident) and self.end_of(act) > incident.recorded_at)
        return max(end for end in (*ends, held_until, *quiet) if end <= moment)

    def silences(self, now: datetime) -> list[Act]:
        """The silences and snoozes that hold at a moment."""
        moment = format_time(now)
        return [act for act in self._lasting if act.at <= moment < self.end_of(act)]

    def end_of(self, lasting: Act) -> str:
        """When a silence or snooze ends, or did: by itself, or because somebody ended it."""
        return min(lasting.until, self._ended.get(lasting.id, lasting.until))

    @cached_property
    def _by_incident(self) -> dict[str, list[Act]]:
        found: dict[str, list[Act]] = {}
        for act in self.all:
            if act.incident:
                found.setdefault(act.incident, []).append(act)
        return found

    @cached_property
    def _lasting(self) -> tuple[Act, ...]:
        return tuple(act for act in self.all if act.kind in (SNOOZE, SILENCE))

    @cached_property
    def _ended(self) -> dict[str, str]:
        """When somebody ended a silence, by its id: the first one who did."""
        return {act.ends: act.at for act in reversed(self.all) if act.kind == UNSILENCE}

    def kept(self, incidents: Iterable[str], now: datetime) -> Acts:
        """Without what is over for so long that nothing asks for it: of no incident that is known, and long past its end."""
        known, oldest = set(incidents), format_time(now - REMEMBERED)
        stay = {act.id for act in self.all if act.incident in known or max(act.until, act.at) >= oldest}
        return Acts(tuple(act for act in self.all if act.id in stay or act.ends in stay))


NOTHING_DONE = Acts()


def _hides(act: Act, incident: Incident) -> bool:
    if act.kind == SNOOZE:
        return act.incident == incident.id and act.severity <= incident.lead.severity
    if act.scope is None or incident.kind in ("storm", "missed"):
        return False
    # That a channel is broken hides behind no silence of a place: else a city would not hear that it hears nothing.
    named = incident.kind != "channel" or act.scope.rule == incident.lead.rule_id
    return named and act.scope.covers(incident.lead)


def to_text(acts: Acts) -> str:
    """The acts as JSON; a release that knows none takes the text for the book of a city in which nothing happened."""
    return json.dumps({"incidents": {}, "early": {}, "acts": [_values(act) for act in acts.all]}, ensure_ascii=False)


def from_text(text: str) -> Acts:
    """The acts in a text; raises ValueError when it holds none."""
    try:
        return Acts(tuple(map(_act, json.loads(text)["acts"])))
    except (KeyError, TypeError, AttributeError) as fault:
        raise ValueError(f"{type(fault).__name__} {fault}") from fault


def _values(act: Act) -> dict[str, Any]:
    values = {name: value for name, value in vars(act).items() if value and name != "more"}
    return values | ({"scope": vars(act.scope)} if act.scope else {}) | act.more


def _act(record: Mapping[str, Any]) -> Act:
    known = {one.name for one in fields(Act)} - {"more"}
    scope = record.get("scope")
    values = {name: value for name, value in record.items() if name in known}
    if scope:
        values["scope"] = Scope(**scope | {"severities": tuple(scope["severities"])})
    return Act(**values, more={name: value for name, value in record.items() if name not in known})
