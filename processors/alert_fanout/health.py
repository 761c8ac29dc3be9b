"""How the channels of a city are: left alone while they fail, and an incident for everybody else while one is broken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from processors.alert_fanout.alerts import Alert, alert_of_ours
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.incidents import Book, ChannelHealth, Incident, close, follows, reopen
from processors.timestamps import format_time

BROKEN = "channel-broken"
"""The rule of an incident about a channel; there is none of that name among the alert rules."""
BROKEN_AFTER = 2
"""Failures in a row after which a channel counts as broken: one may be a hiccup."""
LONGEST_PAUSE = 300.0


def is_left_alone(book: Book, key: str, now: datetime) -> bool:
    """Whether a channel has failed and its pause is not over. The first notification after that shows how it is."""
    health = book.channels.get(key)
    return health is not None and health.not_before is not None and format_time(now) < health.not_before


def fell_ill(book: Book, key: str, city_id: str, fault: DeliveryError, jitter: float, now: datetime) -> None:
    """Note that a channel failed: it is left alone for a growing pause, or the one it asked for, and once it counts as broken an
    incident notifies the other channels of the city. What is refused leaves it alone no longer: something else may be taken.
    """
    health = book.channels.setdefault(key, ChannelHealth())
    health.failures += 1
    health.why, health.unusable = str(fault), fault.unusable
    if not fault.refused:
        wait = fault.pause if fault.pause is not None else min(LONGEST_PAUSE, 2.0 ** min(health.failures, 10) * jitter)
        health.not_before = format_time(now + timedelta(seconds=wait))
    if (fault.unusable or health.failures >= BROKEN_AFTER) and _broken(book, key) is None:
        moment = format_time(now)
        about = f"{key}|{moment}"
        alert = alert_of_ours(
            rule_id=BROKEN,
            about=about,
            entity="channel",
            entity_id=key,
            name=key,
            city_id=city_id,
            signal="broken",
            moment=moment,
        )
        _notify_the_others(book, alert, now)


def is_well(book: Book, key: str, now: datetime) -> None:
    """Note that a channel works."""
    health = book.channels.get(key)
    if health is None:
        return
    book.channels[key] = ChannelHealth(lease_holder=health.lease_holder, lease_until=health.lease_until, more=health.more)
    if incident := _broken(book, key):
        close(incident, now)


def _notify_the_others(book: Book, alert: Alert, now: datetime) -> None:
    lately = next((one for one in _about(book, alert.entity_id) if follows(one.ended_at, alert.observed_at)), None)
    if lately:
        reopen(lately, alert, now, now)
    else:
        incident = Incident(alert.alert_id, "channel", alert, alert.started_at, alert.started_at)
        incident.note(now, "began")
        book.incidents[incident.id] = incident


def _broken(book: Book, key: str) -> Incident | None:
    return next((one for one in _about(book, key) if one.open), None)


def _about(book: Book, key: str) -> Iterator[Incident]:
    return (one for one in book.incidents.values() if one.kind == "channel" and one.lead.entity_id == key)
