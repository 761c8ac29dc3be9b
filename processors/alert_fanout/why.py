"""Why each channel of a city was told of an incident, or was not, and everything that became of it: for people who ask.

Nothing is decided here: what the fan-out asks before it tells (whether.py) is asked once more, and its notes are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from processors.alert_fanout.acts import COMMENT, Act, Acts
from processors.alert_fanout.channel_kind import ChannelSettings
from processors.alert_fanout.health import is_left_alone
from processors.alert_fanout.incidents import Book, Entry, Incident, Told
from processors.alert_fanout.whether import Place, never, not_now, outside_hours
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


class Verdict(NamedTuple):
    """What a channel was told of an incident (`told`, `not told`, `waits`, `given up`), and why."""

    channel: str
    verdict: str
    why: str


def verdicts(book: Book, incident: Incident, place: Place) -> list[Verdict]:
    """One for each channel of the city, and for each that was told and is not there any more."""
    here = [Verdict(channel.key, *_verdict(book, incident, channel, place)) for channel in place.city.channels]
    keys = {one.channel for one in here}
    gone = [
        Verdict(
            key,
            *_known(told),
        )
        for key, told in incident.told.items()
        if key not in keys and told.told_at
    ]
    return here + [one._replace(why=f"{one.why}; the city does not have this channel any more") for one in gone]


def _verdict(book: Book, incident: Incident, channel: ChannelSettings, place: Place) -> tuple[str, str]:
    told = incident.told.get(channel.key, Told())
    if told.dead:
        return "given up", f"at {told.dead_at}: {told.dead}"
    if told.stage in ("opened", "closed"):
        return _told(book, incident, channel, told, place)
    if reason := never(incident, channel, place):
        return "not told", reason
    return _not_told(book, incident, channel, told, place)


def _known(told: Told) -> tuple[str, str]:
    ended = " of its end" if told.stage == "closed" else ""
    return "told", f"{ended.strip()} at {told.told_at}".strip()


def _told(book: Book, incident: Incident, channel: ChannelSettings, told: Told, place: Place) -> tuple[str, str]:
    verdict, when = _known(told)
    if told.stage == "closed" or incident.open:
        return verdict, when
    reason = outside_hours(incident, channel, place) or _trouble(book, channel, told, place) or "it is due now"
    return verdict, f"{when}; of its end not yet: {reason}"


def _not_told(book: Book, incident: Incident, channel: ChannelSettings, told: Told, place: Place) -> tuple[str, str]:
    if told.stage == "held back":
        return (
            "not told",
            f"too many came at once: it is in the summary of what was held back ({channel.manner.limit} in 10 minutes)",
        )
    if told.stage == "missed":
        return "waits", "it came and went outside the contact's hours: the summary at their beginning names it"
    if incident.merged_into:
        return "not told", "it became part of another incident before"
    if told.stage == "skipped" or (not incident.open and told.held):
        return "not told", f"it was over before: {told.why}" if told.why else "it was over before, or is in a summary"
    if incident.hold_until > format_time(place.now):
        return "waits", f"until {incident.hold_until}, for an outage that may explain it"
    reason = not_now(incident, channel, place) or _trouble(book, channel, told, place)
    return "waits", reason or "it is due now"


def _trouble(book: Book, channel: ChannelSettings, told: Told, place: Place) -> str:
    """What is wrong with the channel itself, or with what it was given."""
    health = book.channels.get(channel.key)
    if health and is_left_alone(book, channel.key, place.now):
        return f"the channel is broken, and is tried again at {health.not_before}: {health.why}"
    if told.not_before and format_time(place.now) < told.not_before:
        return f"it was refused {told.attempts} times, and is tried again at {told.not_before}"
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
