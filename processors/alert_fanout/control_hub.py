"""Control Hub's own alerts about devices, as its webhook sends them: a second witness beside polling.

The envelope and its `data` are as Cisco's article on device alerts has them ("Webhook parsing examples"). Whether a device went
offline or came back stands in no field, only in the summary that Control Hub wrote, so it is shown as it came; issues have codes.

What it reports of a device that went offline or came back, and of which no incident is here, is an incident of its own once
GRACE is over: then one of the two does not see what the other does, and it may be us.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from processors.alert_fanout import acts as facts
from processors.alert_fanout.acting import Actor, Found, act_on, incidents_of
from processors.alert_fanout.alerts import Alert, alert_of_ours
from processors.alert_fanout.incidents import Book, Incident, take
from processors.alert_fanout.settings import FanoutSettings
from processors.alert_fanout.state import State
from processors.contracts.facts import ANY_OTHER_CITY
from processors.timestamps import format_time

RESOURCE = "controlHubAlerts"
SIGNATURE = "x-spark-signature"
PRESENCE = "Offline and online events"
"""The `subType` of an alert about a device that went offline or came back."""
CODES_NAMED = 10
"""Of more issues in one alert the rest is counted."""
WAY, NAME = "control-hub", "Control Hub"
"""How it is called in addresses and ids, and to people."""
UNMATCHED = "control-hub-unmatched"
"""The alert rule of what only Control Hub has seen."""
GRACE = timedelta(minutes=5)
"""How long an incident of ours may come after Control Hub's alert: the rule's own time."""
BELIEVED = timedelta(hours=24)
"""After so long, what only Control Hub has seen is not asked about any more."""


class Witnessed(NamedTuple):
    """What Control Hub reports of a device: the id of its alert, the device's id as Webex gives it and its name, what there is to
    say, and whether it is about the device being there or not.
    """

    id: str
    device: str
    name: str
    text: str
    is_presence: bool


def is_signed(secret: str, signature: str, body: bytes) -> bool:
    """Whether a webhook of Webex is signed with a secret: the hex HMAC-SHA1 of the body, as it arrived."""
    wanted = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    return hmac.compare_digest(signature.strip().lower().encode(), wanted.encode())


def witnessed(document: Any) -> Witnessed | None:
    """What an alert says of a device; None for one that is about none. Raises ValueError for what Control Hub would not send."""
    if not isinstance(document, Mapping) or document.get("resource") != RESOURCE or not isinstance(document.get("data"), Mapping):
        raise ValueError(f"resource is not {RESOURCE}, or data is missing")
    data = document["data"]
    about = data.get("notificationAttributes")
    if not isinstance(about, Mapping) or not word(about.get("deviceId")):
        return None
    id_ = word(data.get("notificationId"))
    if not id_:
        raise ValueError("data.notificationId is missing")
    said = "; ".join(filter(None, [*_issues(about.get("issues")), word(data.get("summary"))])) or "an alert without a summary"
    device, name = word(about.get("deviceId")), word(about.get("deviceName"))
    return Witnessed(id_, device, name, f"{NAME} reports: {said}", data.get("subType") == PRESENCE)


def has_device(incident: Incident, device: str) -> bool:
    """Whether an incident is about a device, or has it folded in. Its id is compared without the region, which differs between
    Webex's interfaces.
    """
    alerts = (incident.lead, *incident.members.values())
    return any(alert.entity == "device" and bare_id(alert.entity_id) == bare_id(device) for alert in alerts)


def ask_about(state: State, settings: FanoutSettings, seen: Witnessed, cities: Collection[str], now: datetime) -> None:
    """Open what becomes an incident for whoever hears of rooms of no city, unless one about the device comes within GRACE in
    these cities, for which the sender may speak.

    The same alert again changes nothing. Raises StateError.
    """
    alert = alert_of_ours(
        rule_id=UNMATCHED,
        about=f"{settings.cities[min(cities)].control_hub_secret}|{seen.id}",
        entity="device",
        entity_id=seen.device,
        name=seen.name,
        city_id=ANY_OTHER_CITY,
        signal="controlHubUnmatched",
        moment=format_time(now),
        text=seen.text,
    )

    def enter(book: Book) -> None:
        _enter(book, alert, settings, now)
        opened = book.incidents.get(alert.alert_id)
        if opened is not None and opened.recorded_at == alert.observed_at:
            opened.hold_until = format_time(now + GRACE)

    state.change(ANY_OTHER_CITY, enter)


def compare(state: State, settings: FanoutSettings, now: datetime) -> None:
    """End what only Control Hub had seen and is an incident of ours by now, which gets its word as a comment, and what is so old
    that nobody need ask any more. Raises StateError.
    """
    asked, _ = state.remembered(ANY_OTHER_CITY)
    for question in [one for one in asked.incidents.values() if one.open and one.lead.rule_id == UNMATCHED]:
        _, secret, id_ = question.lead.alert_id.split("|", 2)
        cities = {slug for slug, city in settings.cities.items() if city.control_hub_secret == secret}
        ours = ours_about(state, question.lead.entity_id, cities)
        if ours is not None and (ours.incident.open or ours.incident.recorded_at > question.recorded_at):
            act_on(state, ours, facts.COMMENT, Actor(NAME, WAY), now, text=question.lead.text or "", id_=f"{WAY}-{id_}")
        elif question.lead.observed_at > format_time(now - BELIEVED):
            continue
        end = replace(question.lead, state="resolved", value=0, observed_at=format_time(now))
        state.change(ANY_OTHER_CITY, lambda book, end=end: _enter(book, end, settings, now))  # type: ignore[misc]


def ours_about(state: State, device: str, cities: Iterable[str]) -> Found | None:
    """The newest incident of these cities about a device: one that is open, or has ended within the hour for which it is kept."""
    about = (found for city in cities for found in incidents_of(state, city) if has_device(found.incident, device))
    return max(about, key=lambda found: found.incident.recorded_at, default=None)


def _enter(book: Book, alert: Alert, settings: FanoutSettings, now: datetime) -> None:
    take(book, [alert], settings.cities[ANY_OTHER_CITY], settings.rules, now)


def bare_id(id_: str) -> str:
    """What distinguishes a Webex id: the last part of the address that its Base64 stands for, or the id itself."""
    try:
        address = base64.b64decode(id_ + "=" * (-len(id_) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return id_
    return address.rpartition("/")[2] if address.startswith("ciscospark://") else id_


def _issues(issues: Any) -> Iterable[str]:
    known = issues if isinstance(issues, Mapping) else {}
    return (f"issues {what}: {_listed(known[what])}" for what in ("detected", "resolved") if _codes(known.get(what)))


def _listed(issues: Any) -> str:
    codes = _codes(issues)
    more = f" and {len(codes) - CODES_NAMED} more" if len(codes) > CODES_NAMED else ""
    return ", ".join(codes[:CODES_NAMED]) + more


def _codes(issues: Any) -> list[str]:
    return list(filter(None, map(word, issues))) if isinstance(issues, list) else []


def word(value: Any) -> str:
    """A text of somebody else's JSON without the white space around it; empty for what is not a text."""
    return value.strip() if isinstance(value, str) else ""
