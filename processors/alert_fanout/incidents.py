"""Alerts become incidents: one for an outage with its devices folded in, and one for each alert that says something of its own.

A rule says which other rules make its alerts say nothing new (`suppress_when`). Such an alert is folded into the open incident
that covers the same place. It may come a little before: then it waits HOLD for an outage, and a later one still takes it over.
When the outage ends and a device stays down, the device gets an incident after SETTLE.
What is over and begins again within FLAPPING is the same incident once more, and over when it has been quiet as long.

Everything here is about one city, works on its book in memory and sends nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.routing import is_muted
from processors.alert_fanout.settings import City, RuleMeaning
from processors.timestamps import format_time, parse_time

HOLD = timedelta(seconds=2)
"""How long an alert that an outage could explain waits for it: rows of one poll come out of the query within a second or two."""
SETTLE = timedelta(minutes=2)
"""How long after an outage its devices have to come back: two polls."""
FLAPPING = timedelta(minutes=15)
"""What begins again sooner after its end is flapping: it is over when it has been quiet for as long."""
REMEMBERED = timedelta(days=8)
"""How long alerts are recognised when they are read again: longer than a hub keeps them (a week at most)."""
KEPT = timedelta(hours=1)
"""How long an incident is kept when everybody was notified of its end."""
LOG_KEPT = 200
"""How many lines are kept of what became of an incident."""


class Entry(NamedTuple):
    """A line of what became of an incident: when (ISO 8601, UTC), what, which channel it is about, if any, and its reason."""

    at: str
    what: str
    channel: str = ""
    detail: str = ""


@dataclass
class Delivery:
    """What a channel knows of an incident. `why` it was not notified, when that was last looked at; `asked_at`
    when it was last asked to do something, by its beginning or a reminder, and `reminders` how many of those there were;
    `acknowledged` is the id of the act by which it last heard who has it.

    `stage`: waiting, opened, closed, missed (it came and went outside the channel's hours; the next summary names it), skipped
    (it is over, and there is nothing to say) or held back (a storm incident has it). `ref` is the channel's own id of the
    message; `folded` how many alerts were folded in when it was last notified; `counted` whether it counts towards the channel's
    limit already; `round` how often it was notified that it is over although it was not.
    """

    stage: str = "waiting"
    ref: str | None = None
    folded: int = 0
    held: bool = False
    counted: bool = False
    notified_at: str | None = None
    updates: int = 0
    attempts: int = 0
    failed_at: str | None = None
    not_before: str | None = None
    dead: str | None = None
    dead_at: str | None = None
    round: int = 0
    why: str = ""
    asked_at: str = ""
    reminders: int = 0
    acknowledged: str = ""
    more: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass
class ChannelHealth:
    """How a channel of a city is, where it is not simply well, and which instance is notifying it just now.

    `failures` in a row, the newest with the reason `why`; it is left alone until `not_before`; `unusable`: somebody has to fix
    it. `lease_holder` is the instance that may notify it until `lease_until`, which is real time whatever the clock says.
    """

    failures: int = 0
    why: str = ""
    unusable: bool = False
    not_before: str | None = None
    lease_holder: str | None = None
    lease_until: str | None = None
    more: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass
class Incident:
    """Something people are notified of once. `kind`: alert, leftover (what stayed after an outage), storm (what a channel was
    spared), missed (what came and went outside a channel's hours) or channel (one that is broken: its key is the entity's id).

    `members` are the open alerts folded in; `folded` are the names of all that ever were, by what they are about; `end` is the
    row that ended it; `only` is the one channel that hears of it; `begun` are the moments at which it began, where that is more
    than one; `log` is what became of it, without the lines `forgotten`; `notes_sent` and `acts_sent` say how much of
    that, and of the acts about it, has been sent to its history (None: it is not sent).
    """

    id: str
    kind: str
    lead: Alert
    recorded_at: str
    hold_until: str
    open: bool = True
    end: Alert | None = None
    ended_at: str | None = None
    merged_into: str | None = None
    only: str | None = None
    begun: list[str] = field(default_factory=list)
    members: dict[str, Alert] = field(default_factory=dict)
    folded: dict[str, str] = field(default_factory=dict)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    log: list[Entry] = field(default_factory=list)
    forgotten: int = 0
    notes_sent: int | None = None
    acts_sent: int = 0
    more: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def note(self, now: datetime, what: str, channel: str = "", detail: str = "") -> None:
        """Add a line to what became of it. Of what flaps for days the first line and the newest stay."""
        self.log.append(Entry(format_time(now), what, channel, detail))
        if len(self.log) > LOG_KEPT:
            del self.log[1]
            self.forgotten += 1

    def include(self, things: dict[str, str]) -> None:
        """Add the names of what is folded in, as `named` gives them. What it is about itself is nothing more."""
        about, _ = named(self.lead)
        self.folded |= {key: name for key, name in things.items() if key != about}

    @property
    def notes(self) -> int:
        """How many lines there have been."""
        return len(self.log) + self.forgotten

    @property
    def is_history(self) -> bool:
        """Whether all of it has been sent, where it is sent at all (history.py)."""
        return self.notes_sent is None or self.notes_sent >= self.notes

    @property
    def handle(self) -> str:
        """What people call it by, on a command line and in the address of its page: an id is long, and has names in it."""
        return hashlib.sha256(self.id.encode()).hexdigest()[:10]

    @property
    def devices(self) -> list[str]:
        """The names of what was folded in, each device and room once, in the order of their alerts."""
        return list(self.folded.values())

    @property
    def is_flapping(self) -> bool:
        """Whether it has been over and has begun again."""
        return len(self.begun) > 1

    def is_quiet(self, now: datetime) -> bool:
        """Whether it is over for good: at once, or after FLAPPING where it has begun more than once."""
        return not self.open and (not self.is_flapping or _over(self.ended_at, FLAPPING, now))

    @property
    def held_back(self) -> int:
        """How many channels were spared it for a storm."""
        return sum(delivery.stage == "held back" for delivery in self.deliveries.values())


@dataclass
class Book:
    """A city's incidents by id, what was seen already, ends that came before their beginnings, when each channel was notified of
    something new (for its storm limit), and its channels by key as far as there is something to say of them. `lease_holder` and
    `lease_until` are an earlier release's, which leases a city as a whole.

    `more`, here and in what a book holds: fields that only another release knows, kept as they were read.
    """

    incidents: dict[str, Incident] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    early: dict[str, Alert] = field(default_factory=dict)
    lease_holder: str | None = None
    lease_until: str | None = None
    opened: dict[str, list[str]] = field(default_factory=dict)
    channels: dict[str, ChannelHealth] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


def take(book: Book, alerts: Collection[Alert], city: City, rules: dict[str, RuleMeaning], now: datetime) -> None:
    """Enter alerts into the book; those it has seen before change nothing."""
    causes = {cause for rule in rules.values() for cause in rule.causes}
    # Beginnings before ends, since partitions overtake each other; what explains others first.
    turns = _turns(alerts)
    for alert in sorted(alerts, key=lambda alert: (turns(alert), alert.state != "fired", alert.rule_id not in causes)):
        mark = _mark(alert.alert_id, alert.state)
        if mark in book.seen:
            continue
        book.seen[mark] = format_time(now)
        if alert.state == "fired":
            _fired(book, alert, city, rules, now)
        elif not _resolved(book, alert, now) and _mark(alert.alert_id, "fired") not in book.seen:
            book.early[alert.alert_id] = alert
    _prune(book, now)


def _turns(alerts: Iterable[Alert]) -> Callable[[Alert], int]:
    """How often the same has ended among these alerts before one of them began: what begins again does so after its end."""
    ends: dict[tuple[str, str], list[str]] = {}
    for alert in alerts:
        if alert.state != "fired":
            ends.setdefault((alert.rule_id, alert.entity_id), []).append(alert.started_at)
    return lambda alert: sum(began < alert.started_at for began in ends.get((alert.rule_id, alert.entity_id), ()))


def settle(book: Book, city: City, rules: dict[str, RuleMeaning], now: datetime) -> None:
    """Give what stayed down after an outage an incident of its own, once the outage has been over for SETTLE."""
    for incident in list(book.incidents.values()):
        if incident.kind != "alert" or incident.open or not incident.members or not _over(incident.ended_at, SETTLE, now):
            continue
        members = incident.members.values()
        left = [one for one in members if not _fold(book, one, rules, lambda cause: not is_muted(cause, city, now))]
        incident.members.clear()
        if len(left) == 1:
            _stays(book, left[0], now)
        elif left:
            lead = min(left, key=lambda alert: (alert.severity, alert.started_at))
            # An outage that flaps may leave something each time.
            rest = _open(book, f"leftover|{incident.id}|{incident.ended_at}", "leftover", lead, now, now)
            rest.members = {alert.alert_id: alert for alert in left}
            rest.folded = dict(map(named, left))


def _stays(book: Book, alert: Alert, now: datetime) -> None:
    """Give what stayed an incident: its own once more, where it had one before it became part of the outage. Who was notified of
    that hears of it anew, under another id: the first one is over, and a receiver knows a repeat by it.
    """
    before = _led_by(book, alert.alert_id)
    if before is None:
        _open(book, alert.alert_id, "alert", alert, now, now)
        return
    before.note(now, "began again", detail="what it was part of is over")
    before.open, before.merged_into, before.ended_at, before.hold_until = True, None, None, format_time(now)
    _anew(before)


def covers(cause: Alert, alert: Alert) -> bool:
    """Whether an alert is about something within what the cause is about: a place, a room, a device, a city."""
    if cause.entity == "location":
        return cause.entity_id == alert.location_id
    if cause.entity == "workspace":
        return cause.entity_id == alert.workspace_id
    if cause.entity == "city":
        return cause.entity_id == alert.city_id
    return cause.entity_id == alert.entity_id


def _fired(book: Book, alert: Alert, city: City, rules: dict[str, RuleMeaning], now: datetime) -> None:
    end = book.early.pop(alert.alert_id, None)
    # Of a muted rule nobody is notified (steps.py), and it explains nothing; what still burns when that ends is sent then.
    muted = is_muted(alert.rule_id, city, now)
    if muted or not _fold(book, alert, rules, lambda cause: not is_muted(cause, city, now)):
        may_be_explained = alert.severity > 1 and bool(_causes(alert, rules)) and not alert.is_drill
        hold_until = now + HOLD if may_be_explained else now
        before = _lately_over(book, alert)
        if before:
            reopen(before, alert, hold_until, now)
        incident = before or _open(book, alert.alert_id, "alert", alert, now, hold_until)
        for other in [] if muted else list(_explained_by(book, alert, rules)):
            _merge(other, incident, now)
    if end:
        _resolved(book, end, now)


def _lately_over(book: Book, alert: Alert) -> Incident | None:
    """The incident about the same that ended shortly before this alert."""
    for incident in book.incidents.values():
        same = (incident.lead.rule_id, incident.lead.entity_id) == (alert.rule_id, alert.entity_id)
        if incident.end and incident.kind == "alert" and same and follows(incident.end.observed_at, alert.observed_at):
            return incident
    return None


def follows(ended: str | None, begins: str) -> bool:
    """Whether what begins then is the same once more, as it comes so soon after its end."""
    before, after = parse_time(ended) if ended else None, parse_time(begins)
    return before is not None and after is not None and timedelta(0) <= after - before < FLAPPING


def reopen(incident: Incident, lead: Alert, hold_until: datetime, now: datetime) -> None:
    """It has begun again. Who was notified that it is over is notified of it anew; who has not heard of its end hears nothing."""
    incident.note(now, "began again")
    incident.begun = [*(incident.begun or [incident.lead.observed_at]), lead.observed_at]
    incident.lead, incident.end, incident.ended_at, incident.open = lead, None, None, True
    incident.hold_until = format_time(hold_until)
    _anew(incident)


def _anew(incident: Incident) -> None:
    for delivery in incident.deliveries.values():
        try_again(delivery)
        if delivery.stage != "opened":
            notify_as_new(delivery)


def notify_as_new(delivery: Delivery) -> None:
    """Have a channel notified of an incident as of a new one, whatever it was sent before."""
    delivery.round += delivery.stage == "closed"
    delivery.stage, delivery.ref, delivery.notified_at, delivery.updates, delivery.acknowledged = "waiting", None, None, 0, ""


def try_again(delivery: Delivery) -> None:
    """As if it had never failed."""
    delivery.dead = delivery.dead_at = delivery.failed_at = delivery.not_before = None
    delivery.attempts, delivery.held = 0, False


def _open(book: Book, id_: str, kind: str, lead: Alert, now: datetime, hold_until: datetime) -> Incident:
    incident = Incident(id_, kind, lead, format_time(now), format_time(hold_until))
    incident.note(now, "began")
    book.incidents[id_] = incident
    return incident


def _fold(book: Book, alert: Alert, rules: dict[str, RuleMeaning], may_explain: Callable[[str], bool]) -> bool:
    """Fold an alert into the open incident that explains it; False when there is none."""
    if not _causes(alert, rules):
        return False
    for incident in book.incidents.values():
        may = incident.kind == "alert" and incident.open and may_explain(incident.lead.rule_id)
        if may and _explains(incident.lead, alert, rules):
            incident.members[alert.alert_id] = alert
            incident.include(dict([named(alert)]))
            return True
    return False


def _explained_by(book: Book, cause: Alert, rules: dict[str, RuleMeaning]) -> Iterator[Incident]:
    if not any(cause.rule_id in rule.causes for rule in rules.values()):
        return
    for incident in book.incidents.values():
        if incident.kind == "alert" and incident.open and _explains(cause, incident.lead, rules):
            yield incident


def _explains(cause: Alert, alert: Alert, rules: dict[str, RuleMeaning]) -> bool:
    """What is worse than the cause is sent by itself; so is a drill, which has nothing to do with what is going on."""
    return (
        cause.rule_id in _causes(alert, rules)
        and cause.alert_id != alert.alert_id
        and cause.severity <= alert.severity
        and not cause.is_drill
        and not alert.is_drill
        and covers(cause, alert)
    )


def _causes(alert: Alert, rules: dict[str, RuleMeaning]) -> tuple[str, ...]:
    rule = rules.get(alert.rule_id)
    return rule.causes if rule else ()


def _merge(part: Incident, whole: Incident, now: datetime) -> None:
    whole.members |= {part.lead.alert_id: part.lead} | part.members
    whole.include(dict([named(part.lead)]) | part.folded)
    part.members = {}
    part.open, part.merged_into, part.ended_at = False, whole.id, format_time(now)
    part.note(now, "became part of", detail=whole.handle)


def named(alert: Alert) -> tuple[str, str]:
    """What an alert is about, and its name: two alerts of one device are one device, two devices of one name are two."""
    return f"{alert.entity} {alert.entity_id}", alert.name


def _resolved(book: Book, end: Alert, now: datetime) -> bool:
    """Enter the end of an alert; False when no incident has it."""
    led = _led_by(book, end.alert_id)
    if led and led.open:
        close(led, now, end)
        return True
    for incident in book.incidents.values():
        if incident.kind != "storm" and end.alert_id in incident.members:
            del incident.members[end.alert_id]
            if incident.kind == "leftover" and not incident.members:
                close(incident, now, end)
            return True
    return False


def _led_by(book: Book, alert_id: str) -> Incident | None:
    """The incident whose newest beginning an alert is: mostly the one of its id."""
    incident = book.incidents.get(alert_id)
    if incident and incident.lead.alert_id == alert_id:
        return incident
    return next((one for one in book.incidents.values() if one.is_flapping and one.lead.alert_id == alert_id), None)


def close(incident: Incident, now: datetime, end: Alert | None = None) -> None:
    """The incident is over."""
    incident.open, incident.end, incident.ended_at = False, end, format_time(now)
    incident.note(now, "ended")


def _prune(book: Book, now: datetime) -> None:
    oldest = format_time(now - REMEMBERED)
    parts = {alert_id for incident in book.incidents.values() for alert_id in incident.members}
    book.seen = {mark: seen_at for mark, seen_at in book.seen.items() if seen_at >= oldest}
    book.early = {id_: alert for id_, alert in book.early.items() if _mark(id_, alert.state) in book.seen}
    for incident in list(book.incidents.values()):
        if not incident.open and not incident.members and _over(incident.ended_at, KEPT, now):
            unfinished = any(delivery.stage in ("waiting", "opened", "missed") for delivery in incident.deliveries.values())
            stays = incident.lead.alert_id in parts  # it may be by itself again when the outage is over
            if (not unfinished and incident.is_history and not stays) or _over(incident.ended_at, REMEMBERED, now):
                del book.incidents[incident.id]


def _over(moment: str | None, span: timedelta, now: datetime) -> bool:
    """Whether a moment lies at least so far back."""
    parsed = parse_time(moment) if moment else None
    return parsed is not None and now - parsed >= span


def _mark(alert_id: str, state: str) -> str:
    return hashlib.sha256(f"{alert_id}|{state}".encode()).hexdigest()[:20]
