"""Why each channel of a city was notified of an incident, or was not, and everything that became of it: for people who ask.

Nothing is decided here: what the fan-out asks before it notifies (whether.py) is asked once more, and its notes are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from processors.alert_fanout.acts import COMMENT, Act, Acts
from processors.alert_fanout.channel_kind import ChannelSettings
from processors.alert_fanout.health import is_left_alone
from processors.alert_fanout.incidents import Book, Delivery, Entry, Incident
from processors.alert_fanout.steps import FIRST
from processors.alert_fanout.whether import Place, hidden, never, not_now, outside_hours
from processors.timestamps import format_time

_DONE = {
    "acknowledge": "acknowledged",
    "unacknowledge": "took the acknowledgement back",
    "take": "took it over",
    COMMENT: "commented",
    "snooze": "snoozed",
    "silence": "silenced",
    "unsilence": "ended the quiet",
}


NOTIFIED, NOT_NOTIFIED, WAITS, GIVEN_UP = "notified", "not notified", "waits", "given up"
"""The verdicts."""


class Verdict(NamedTuple):
    """Whether a channel was notified of an incident (`notified`, `not notified`, `waits`, `given up`), and why."""

    channel: str
    verdict: str
    why: str


def verdicts(book: Book, incident: Incident, place: Place) -> list[Verdict]:
    """One for each channel of the city, and for each that was sent and is not there any more."""
    here = [Verdict(channel.key, *_verdict(book, incident, channel, place)) for channel in place.city.channels]
    keys = {one.channel for one in here}
    gone = [
        Verdict(
            key,
            *_known(incident, key, delivery),
        )
        for key, delivery in incident.deliveries.items()
        if key not in keys and delivery.notified_at
    ]
    return here + [one._replace(why=f"{one.why}; the city does not have this channel any more") for one in gone]


def _verdict(book: Book, incident: Incident, channel: ChannelSettings, place: Place) -> tuple[str, str]:
    delivery = incident.deliveries.get(channel.key, Delivery())
    if delivery.dead:
        return GIVEN_UP, f"at {delivery.dead_at}: {delivery.dead}"
    if delivery.stage in ("opened", "closed"):
        return _notified(book, incident, channel, delivery, place)
    if reason := never(incident, channel, place):
        return NOT_NOTIFIED, reason
    return _not_notified(book, incident, channel, delivery, place)


def _known(incident: Incident, key: str, delivery: Delivery) -> tuple[str, str]:
    """When a channel heard of its end, or of what it became part of; else when it first heard of it, and was last sent news."""
    if delivery.stage == "closed":
        return NOTIFIED, f"of {'what it became part of' if incident.merged_into else 'its end'} at {delivery.notified_at}"
    first = next((entry.at for entry in incident.log if entry.channel == key and entry.what in FIRST), delivery.notified_at)
    newer = f", updated at {delivery.notified_at}" if delivery.updates else ""
    return NOTIFIED, f"at {first}{newer}"


def _notified(book: Book, incident: Incident, channel: ChannelSettings, delivery: Delivery, place: Place) -> tuple[str, str]:
    verdict, when = _known(incident, channel.key, delivery)
    if delivery.stage == "closed":
        return verdict, when
    if incident.open:
        quiet = hidden(incident, place)
        return verdict, f"{when}; {quiet}" if quiet else when
    reason = outside_hours(incident, channel, place) or _trouble(book, channel, delivery, place) or "it is due now"
    return verdict, f"{when}; of its end not yet: {reason}"


def _not_notified(book: Book, incident: Incident, channel: ChannelSettings, delivery: Delivery, place: Place) -> tuple[str, str]:
    if delivery.stage == "held back":
        return (
            NOT_NOTIFIED,
            f"too many came at once: it is in the summary of what was held back ({channel.capabilities.limit} in 10 minutes)",
        )
    if delivery.stage == "missed":
        return WAITS, "it came and went outside the contact's hours: the summary at their beginning names it"
    if incident.merged_into:
        return NOT_NOTIFIED, "it became part of another incident before"
    if delivery.stage == "skipped" or (not incident.open and delivery.held):
        return NOT_NOTIFIED, f"it was over before: {delivery.why}" if delivery.why else "it was over before, or is in a summary"
    if incident.hold_until > format_time(place.now):
        return WAITS, f"until {incident.hold_until}, for an outage that may explain it"
    reason = not_now(incident, channel, place) or _trouble(book, channel, delivery, place)
    return WAITS, reason or "it is due now"


def _trouble(book: Book, channel: ChannelSettings, delivery: Delivery, place: Place) -> str:
    """What is wrong with the channel itself, or with what it was given."""
    health = book.channels.get(channel.key)
    if health and is_left_alone(book, channel.key, place.now):
        return f"the channel is broken, and is tried again at {health.not_before}: {health.why}"
    if delivery.not_before and format_time(place.now) < delivery.not_before:
        return f"it was refused {delivery.attempts} times, and is tried again at {delivery.not_before}"
    return ""


def timeline(incident: Incident, acts: Acts) -> list[Entry]:
    """Everything that became of an incident and was done about it, oldest first."""
    return sorted([*incident.log, *_done(incident, acts)], key=lambda entry: entry.at)


def _done(incident: Incident, acts: Acts) -> Iterator[Entry]:
    return (
        Entry(act.at, f"{act.author} {_DONE.get(act.kind, act.kind)}", detail=_detail(act)) for act in acts.about(incident.id)
    )


def _detail(act: Act) -> str:
    until = f"until {act.until}" if act.until else ""
    return ": ".join(part for part in (until, act.text) if part)
