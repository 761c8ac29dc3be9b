"""What each channel has to be sent next: the difference between what an incident is and what the channel knows of it.

Nothing is queued, so nothing can be queued twice: a fan-out that was killed compares again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from processors.alert_fanout.acts import NOTHING_DONE, Act, Acts
from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.channel_kind import ALWAYS, DAILY, ChannelSettings
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.incidents import Book, Delivery, Incident, close, notify_as_new
from processors.alert_fanout.routing import hears, next_opening
from processors.alert_fanout.settings import OUTSIDE_OFFICE_HOURS, City, RuleMeaning
from processors.alert_fanout.whether import (
    SILENCED,
    Place,
    can_be_due_again,
    concerns,
    hidden,
    is_due_again,
    never,
    not_now,
    outside_hours,
)
from processors.timestamps import format_time, parse_time

STORM_WINDOW = timedelta(minutes=10)
STORM_GATHER = timedelta(seconds=10)
"""How long a storm is gathered before the channel hears what it was spared."""
UPDATE_EVERY = timedelta(minutes=1)
GIVE_UP_AFTER = timedelta(hours=24)
"""News older than this helps nobody any more; it can still be replayed."""
REFUSED_TRIES = 5
"""How often something is sent to a channel that refuses it (a wrong address, a revoked token): somebody may be fixing it."""


_OF_WHAT_IS_OPEN = ("open", "escalate", "update", "remind")
_NOTED_AS = {
    "open": "notified",
    "escalate": "escalated",
    "remind": "reminded",
    "acknowledge": "notified of who has it",
    "merge": "notified of what it became part of",
    "close": "notified of its end",
}
"""What becomes of an incident by each action, as its log says it."""
FIRST = (_NOTED_AS["open"], _NOTED_AS["escalate"])
"""How the log says that a channel has heard of it for the first time."""


@dataclass(frozen=True)
class Step:
    """Notify one channel of one thing about one incident. `action`: open, escalate (open it where somebody else has not
    acknowledged), update, remind, acknowledge (somebody has it, by the act `act`), merge or close.
    """

    incident: str
    channel: str
    action: str
    act: str = ""


def next_steps(
    book: Book,
    city: City,
    rules: dict[str, RuleMeaning],
    now: datetime,
    channels: Iterable[ChannelSettings] | None = None,
    acts: Acts = NOTHING_DONE,
) -> list[Step]:
    """What has to be sent now, to these channels of the city. Notes in the book what is not sent, and why."""
    _end_storms(book, now)
    place = Place(city, rules, now, acts)
    asked = [(channel.key, channel) for channel in (city.channels if channels is None else channels)]
    steps = []
    for incident in list(book.incidents.values()):
        for key, channel in asked:
            if not concerns(incident, key):
                continue
            if action := _action(book, incident, channel, place):
                steps.append(Step(incident.id, key, action))
            elif act := _unheard(incident, channel, place):
                steps.append(Step(incident.id, key, "acknowledge", act.id))
    return steps


def _unheard(incident: Incident, channel: ChannelSettings, place: Place) -> Act | None:
    """By which act somebody has an incident that its channel takes for nobody's; not one that was done there. It calls people
    until it hears, so no hours and no silence keep it from that.
    """
    delivery = incident.deliveries.get(channel.key)
    if not (place.acts.all and channel.capabilities.acts_as and incident.open and delivery and delivery.stage == "opened"):
        return None
    if delivery.dead or _before(delivery.not_before, place.now):
        return None
    held = place.acts.acknowledgement(incident, place.now)
    is_news = held and held.id != delivery.acknowledged and held.way != channel.capabilities.acts_as
    return held if is_news else None


def _action(book: Book, incident: Incident, channel: ChannelSettings, place: Place) -> str | None:
    now = place.now
    delivery = incident.deliveries.get(channel.key) or Delivery()
    if delivery.stage not in ("waiting", "opened") or delivery.dead or _before(delivery.not_before, now):
        return None
    if delivery.stage == "waiting":
        return _opening(book, incident, delivery, channel, place)
    if incident.open and delivery.folded == news(incident) and not can_be_due_again(incident, channel, place):
        return None  # nearly all of a storm: what is looked at most costs least
    if outside_hours(incident, channel, place):
        return None
    capabilities = channel.capabilities
    if not incident.open:
        if incident.merged_into and _hands_over(book, incident, delivery, channel, place) and not capabilities.hears_merges:
            delivery.stage = "closed"
            return None
        return "merge" if incident.merged_into else "close" if incident.is_quiet(now) else None
    if place.acts.silence(incident, now):
        return None
    if is_due_again(incident, channel, delivery, place):
        return "remind"
    due = capabilities.updates_at_once or not delivery.notified_at or _passed(delivery.notified_at, UPDATE_EVERY, now)
    return "update" if delivery.folded != news(incident) and delivery.updates < capabilities.updates and due else None


def _hands_over(book: Book, part: Incident, delivery: Delivery, channel: ChannelSettings, place: Place) -> bool:
    """Whether a channel that was notified of a part hears of the whole as well. If that is for other severities it hears of its
    end nevertheless, in which its own is named.
    """
    whole = book.incidents.get(part.merged_into or "")
    if whole is None or hears(channel, place.rule_of(whole), whole.lead.rule_id, whole.lead.severity):
        return True
    known = Delivery("opened", delivery.ref, notified_at=format_time(place.now), updates=channel.capabilities.updates)
    whole.deliveries.setdefault(channel.key, known)
    return False


def news(incident: Incident) -> int:
    """A number that changes when an open incident has something new to say: what was folded in, and who was spared it."""
    return (len(incident.begun) * 100_000 + len(incident.folded)) * 1000 + min(incident.held_back, 999)


def _opening(book: Book, incident: Incident, delivery: Delivery, channel: ChannelSettings, place: Place) -> str | None:
    now = place.now
    if never(incident, channel, place):
        return None
    if incident.kind == "missed":
        return None if outside_hours(incident, channel, place) or _before(incident.hold_until, now) else "close"
    if channel.when == DAILY:
        _gather(book, incident, channel, _note(incident, channel, delivery), place)
        return None
    if not incident.open and (delivery.held or incident.merged_into or incident.kind == "storm" or channel.after):
        _miss(book, incident, channel, _note(incident, channel, delivery), place)
        return None
    if _before(incident.hold_until, now):
        return None
    if reason := not_now(incident, channel, place):
        _waits_for(incident, channel, _note(incident, channel, delivery), reason, now)
        return None
    if incident.kind not in ("storm", "channel") and not delivery.counted and not _within_limit(book, incident, channel, now):
        _note(incident, channel, delivery).stage = "held back"
        incident.note(now, "held back", channel.key, "too many came at once")
        _storm(book, incident, channel, now)
        return None
    _note(incident, channel, delivery).counted = True  # once, however often it takes to send it
    return "escalate" if channel.after else "open"


def _gather(book: Book, incident: Incident, channel: ChannelSettings, delivery: Delivery, place: Place) -> None:
    """Put an incident into the channel's digest, which is sent when the office opens; not what is hidden now."""
    reason = "a digest names no drill" if incident.lead.is_drill else hidden(incident, place)
    if reason or incident.kind == "storm" or incident.merged_into:
        delivery.stage = delivery.stage if incident.open else "skipped"
        delivery.why = reason
        return
    delivery.stage = "missed"
    _summarise(book, incident.lead, channel.key, place.now, next_opening(place.city, place.now))


def _miss(book: Book, incident: Incident, channel: ChannelSettings, delivery: Delivery, place: Place) -> None:
    """It is over and was not sent here. What came and went outside the hours of the channel itself is named when they begin,
    where the channel takes several things in one message; what its rule or the city keeps quiet, and what became part of
    something else, is not.
    """
    rule = place.rule_of(incident)
    own_hours = channel.when != ALWAYS and not channel.after and OUTSIDE_OFFICE_HOURS not in (rule.suppress_when if rule else ())
    silent = incident.merged_into or not own_hours or incident.lead.is_drill or hidden(incident, place)
    if silent or not channel.capabilities.reminds:
        delivery.stage = "skipped"
        delivery.why = delivery.why if silent else f"{delivery.why}, and it takes no summary of what came and went"
        why = "it became part of another" if incident.merged_into else delivery.why
        incident.note(place.now, "never notified", channel.key, why)
        return
    delivery.stage = "missed"
    _summarise(book, incident.lead, channel.key, place.now, place.now + STORM_GATHER)


def _waits(summary: Incident, key: str) -> bool:
    return key in summary.deliveries and summary.deliveries[key].stage == "waiting" and not summary.deliveries[key].dead


def _summarise(book: Book, lead: Alert, key: str, now: datetime, due: datetime) -> None:
    """Have a channel notified of what it has missed, from a moment on; the summary that waits already names this too."""
    if any(one.kind == "missed" and _waits(one, key) for one in book.incidents.values()):
        return
    id_ = f"missed|{key}|{format_time(now)}"
    summary = Incident(id_, "missed", lead, format_time(now), format_time(due), only=key, deliveries={key: Delivery()})
    book.incidents[id_] = summary
    close(summary, now)


def _waits_for(incident: Incident, channel: ChannelSettings, delivery: Delivery, reason: str, now: datetime) -> None:
    delivery.held = True
    if delivery.why != reason:
        delivery.why = reason
        incident.note(now, "silenced" if reason.startswith(SILENCED) else "waits", channel.key, reason)


def is_still_due(step: Step, book: Book, channel: ChannelSettings, place: Place) -> bool:
    """Whether a step that was found due is that still: asked right before it is sent. An end always is."""
    incident = book.incidents.get(step.incident)
    if step.action in ("merge", "close") or incident is None:
        return True
    if step.action == "acknowledge":
        held = _unheard(incident, channel, place)
        return held is not None and held.id == step.act
    if step.action in ("escalate", "remind") and not incident.open:
        return False
    if step.action == "remind" and place.acts.unattended_since(incident, place.now) is None:
        return False
    return not not_now(incident, channel, place)


def _note(incident: Incident, channel: ChannelSettings, delivery: Delivery) -> Delivery:
    return incident.deliveries.setdefault(channel.key, delivery)


def _within_limit(book: Book, incident: Incident, channel: ChannelSettings, now: datetime) -> bool:
    """Whether the channel may still hear of something new; severity 1 has a limit of its own, so that no other crowds it out."""
    limit = channel.capabilities.limit
    if limit is None or incident.lead.is_drill:
        return True
    key = f"{channel.key}|{'urgent' if incident.lead.severity == 1 else 'other'}"
    oldest = format_time(now - STORM_WINDOW)
    recent = [at for at in book.opened.get(key, []) if at > oldest]
    allowed = len(recent) < limit
    book.opened[key] = [*recent, format_time(now)] if allowed else recent
    return allowed


def _storm(book: Book, incident: Incident, channel: ChannelSettings, now: datetime) -> None:
    """Put an incident into the channel's storm: the open one of this window, or a new one."""
    for storm in book.incidents.values():
        ours = storm.kind == "storm" and storm.open and storm.only == channel.key
        if ours and not _passed(storm.recorded_at, STORM_WINDOW, now):
            break
    else:
        id_ = f"storm|{channel.key}|{format_time(now)}"
        storm = Incident(id_, "storm", incident.lead, format_time(now), format_time(now + STORM_GATHER), only=channel.key)
        book.incidents[id_] = storm
    storm.members[incident.id] = incident.lead
    storm.folded[incident.id] = incident.lead.name


def _end_storms(book: Book, now: datetime) -> None:
    """A storm is over when everything the channel was spared is."""
    for storm in book.incidents.values():
        if storm.kind == "storm" and storm.open:
            for id_ in list(storm.members):
                if id_ not in book.incidents or not book.incidents[id_].open:
                    del storm.members[id_]
            if not storm.members:
                close(storm, now)


def heard(book: Book, step: Step, ref: str | None, now: datetime) -> None:
    """Note that a channel has heard."""
    incident = book.incidents.get(step.incident)
    if incident is None:
        return
    delivery = incident.deliveries.setdefault(step.channel, Delivery())
    delivery.ref = ref or delivery.ref
    delivery.notified_at, delivery.attempts, delivery.why = format_time(now), 0, ""
    delivery.failed_at = delivery.not_before = None
    if step.action != "update":
        incident.note(now, _NOTED_AS[step.action], step.channel)
    if step.action == "acknowledge":
        delivery.acknowledged = step.act
    elif step.action in _OF_WHAT_IS_OPEN:
        delivery.folded = news(incident)
        delivery.updates += step.action == "update"
        delivery.reminders += step.action == "remind"
        delivery.asked_at = delivery.asked_at if step.action == "update" else format_time(now)
        delivery.stage = "opened"
    else:
        delivery.stage = "closed"
        if incident.kind == "missed":
            _named(book, step.channel)
        elif incident.open:
            notify_as_new(delivery)  # it began again while its end was sent


def _named(book: Book, channel: str) -> None:
    """A channel has heard the summary of what it missed."""
    for incident in book.incidents.values():
        if channel in incident.deliveries and incident.deliveries[channel].stage == "missed":
            incident.deliveries[channel].stage = "skipped"


def failed(book: Book, step: Step, fault: DeliveryError, jitter: float, now: datetime) -> None:
    """Note that a channel did not take it: given up when it refuses for good or a day has passed. Of an update, a reminder or who
    has it, only that is: the end is sent nevertheless.
    """
    incident = book.incidents.get(step.incident)
    if incident is None:
        return
    delivery = incident.deliveries.setdefault(step.channel, Delivery())
    delivery.attempts += 1
    if delivery.failed_at is None:
        incident.note(now, "failed", step.channel, str(fault))
    delivery.failed_at = delivery.failed_at or format_time(now)
    if fault.refused:
        delivery.not_before = format_time(now + timedelta(seconds=2.0**delivery.attempts * jitter))
    is_over = fault.refused or _passed(delivery.failed_at, GIVE_UP_AFTER, now)
    if step.action == "acknowledge" and is_over:
        delivery.acknowledged, delivery.attempts, delivery.failed_at = step.act, 0, None
    elif step.action in ("update", "remind") and is_over:
        delivery.folded, delivery.attempts, delivery.failed_at = news(incident), 0, None
        delivery.asked_at = delivery.asked_at if step.action == "update" else format_time(now)
    elif (fault.refused and delivery.attempts >= REFUSED_TRIES) or _passed(delivery.failed_at, GIVE_UP_AFTER, now):
        delivery.dead, delivery.dead_at = f"{step.action}: {fault}", format_time(now)
        incident.note(now, "given up", step.channel, str(fault))


def _before(moment: str | None, now: datetime) -> bool:
    """Whether `now` lies before a moment."""
    return moment is not None and format_time(now) < moment


def _passed(moment: str, span: timedelta, now: datetime) -> bool:
    parsed = parse_time(moment)
    return parsed is not None and now - parsed >= span
