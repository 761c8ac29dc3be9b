"""What PagerDuty, ServiceNow and Webex Control Hub send: somebody there has one of our incidents, has it no longer, or takes it
for over; or Control Hub has seen what we have (control_hub.py).

Rotations are theirs, so whoever is on call acts there, and it has to count here. What arrives is a fact like any other act
(acts.py), with the system as its author. It is known by its signature alone: no person is signed in. What is not about an
incident of ours is taken and forgotten, since a subscription whose calls are refused is switched off (PagerDuty: after three).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from processors.alert_fanout import acts as facts
from processors.alert_fanout import control_hub
from processors.alert_fanout.acting import Actor, Found, Refusal, act_on, incidents_of
from processors.alert_fanout.alerts import TEXT_LIMIT
from processors.alert_fanout.channels.webhook import WebhookChannel
from processors.alert_fanout.secrets import SecretFault, Secrets, text
from processors.alert_fanout.settings import City, FanoutSettings
from processors.alert_fanout.state import State, StateError
from processors.alert_fanout.templates import short_id
from processors.contracts.plain_text import one_line

PATH = "/hooks"
CONTROL_HUB = control_hub.WAY
"""The name of Webex Control Hub in PATH."""
LONGEST_BODY = 65_536
"""Bytes; PagerDuty sends 55 kB at most."""
HELD_FOR = timedelta(hours=24)
"""How long what was acknowledged there is acknowledged here, unless they say sooner that it no longer is."""
FRESH = timedelta(minutes=5)
"""How old what ServiceNow signed may be."""

log = logging.getLogger("roompulse.fanout")
Headers = Mapping[str, str]
"""By name in lower case."""


@dataclass(frozen=True)
class Answer:
    """What the service gets: an HTTP status and a line of plain text."""

    status: int
    text: str


@dataclass(frozen=True)
class Said:
    """What was done or seen there: under which id of theirs, about which incident of ours by the key that both know (of Control
    Hub: the device, and what was `seen` of it), and the act it is here.
    """

    id: str
    key: str
    act: str
    text: str = ""
    seen: control_hub.Witnessed | None = None


class _Unreadable(Exception):
    """It is signed, and is not what the service is known to send."""


@dataclass(frozen=True)
class _Service:
    name: str
    is_signed: Callable[[str, Headers, bytes, datetime], bool]
    read: Callable[[Any], Said | None]
    """None for what changes nothing here."""
    setting: str
    """Which setting of the stack file names its secret."""
    is_meant: Callable[[Found, str], bool]
    """Whether an incident goes by a key."""


def answer(
    service: str, headers: Headers, body: bytes, state: State, settings: FanoutSettings, secrets: Secrets, now: datetime
) -> Answer:
    """Take what a service has sent, and write down what it says. Every answer but 200 says what to do."""
    theirs, named = _SERVICES.get(service), _secrets_of(settings, service)
    if theirs is None:
        ways = "; ".join(f"{name}: {known.setting}" for name, known in _SERVICES.items())
        return Answer(404, f"Nothing is taken here but what a secret is named for ({ways}).")
    if not named:
        return Answer(404, f"No secret is named for {service}: the stack file may have one, {theirs.setting}.")
    if len(body) > LONGEST_BODY:
        return Answer(413, f"More than {LONGEST_BODY} bytes are not read.")
    cities, faults = _signed_for(theirs, named, headers, body, secrets, now)
    if faults and not cities:
        return Answer(503, "The secret by which this would be known can't be read; the log says which. Send it again.")
    if not cities:
        log.warning("a signature fits no secret of ours", extra={"ids": {"service": service, "setting": theirs.setting}})
        return Answer(401, f"The signature fits no secret of ours: see {theirs.setting}, and that the body arrives unchanged.")
    try:
        said = theirs.read(json.loads(body))
        return Answer(200, _entered(theirs, service, said, cities, state, settings, now) if said else "Nothing to do for that.")
    except (ValueError, RecursionError, _Unreadable) as fault:
        log.warning("what was sent back is not understood", extra={"ids": {"service": service, "fault": str(fault)}})
        return Answer(400, f"That is not what {theirs.name} is known to send.")
    except StateError as fault:
        return Answer(503, str(fault))


def _secrets_of(settings: FanoutSettings, service: str) -> dict[str, set[str]]:
    """The cities, by the name of the secret with which the service signs what it says of them."""
    found: dict[str, set[str]] = {}
    for slug, city in settings.cities.items():
        for secret in _secrets_in(city, service):
            found.setdefault(secret, set()).add(slug)
    return found


def _secrets_in(city: City, service: str) -> Iterator[str]:
    if service == CONTROL_HUB and city.control_hub_secret:
        yield city.control_hub_secret
    for channel in city.channels:
        if isinstance(channel, WebhookChannel) and channel.template == service and channel.back_secret:
            yield channel.back_secret


def _signed_for(
    service: _Service, named: Mapping[str, set[str]], headers: Headers, body: bytes, secrets: Secrets, now: datetime
) -> tuple[set[str], list[SecretFault]]:
    """The cities about which the sender may speak, and the secrets that could not be looked at."""
    cities: set[str] = set()
    faults: list[SecretFault] = []
    for name, slugs in named.items():
        try:
            if service.is_signed(text(secrets, name), headers, body, now):
                cities |= slugs
        except SecretFault as fault:
            log.error("what was sent back can't be known for genuine", extra={"ids": {"fault": str(fault)}})
            faults.append(fault)
    return cities, faults


def _entered(
    service: _Service, way: str, said: Said, cities: Collection[str], state: State, settings: FanoutSettings, now: datetime
) -> str:
    """Write it down; what became of it, in a sentence."""
    found = _incident_of(service, state, cities, said.key)
    if found is None and said.seen is not None:
        return _unmatched(said.seen, cities, state, settings, now)
    if found is None:
        return "No incident of ours has that key: it may be over."
    if said.act == facts.UNACKNOWLEDGE and not _has_it(found, way, now):
        return "Somebody else has it here, or nobody: nothing is taken back."
    until = now + HELD_FOR if said.act == facts.ACKNOWLEDGE else None
    try:
        by = Actor(service.name, way)
        act_on(state, found, said.act, by, now, until=until, text=said.text, id_=f"{way}-{said.id}")
    except Refusal as refusal:
        return str(refusal)
    ids = {"incident": found.incident.handle, "service": way, "act": said.act}
    log.info("acted on elsewhere", extra={"ids": ids})
    return "Written down."


def _unmatched(
    seen: control_hub.Witnessed, cities: Collection[str], state: State, settings: FanoutSettings, now: datetime
) -> str:
    """Control Hub has seen something of a device of which polling has opened nothing. Not every issue is an incident here; a
    device that went offline is, or polling has not seen it.
    """
    ids = {"device": seen.device, "alert": seen.id, "said": one_line(seen.text, TEXT_LIMIT)}
    log.warning("Control Hub reports on a device of which no incident is here", extra={"ids": ids})
    if not seen.is_presence:
        return "No incident about that device is here: not every issue is one. The log has what was reported."
    control_hub.ask_about(state, settings, seen, cities, now)
    return f"No incident about that device is here: unless one comes, {control_hub.UNMATCHED} is one in a few minutes."


def _incident_of(service: _Service, state: State, cities: Iterable[str], key: str) -> Found | None:
    """The newest incident of these cities that goes by a key."""
    named = (found for city in cities for found in incidents_of(state, city) if service.is_meant(found, key))
    return max(named, key=lambda found: found.incident.recorded_at, default=None)


def _has_device(found: Found, device: str) -> bool:
    return control_hub.has_device(found.incident, device)


def _has_key(found: Found, key: str) -> bool:
    """Whether services know an incident under a key: see render.py."""
    return key in _keys(found)


def _keys(found: Found) -> set[str]:
    rounds = (delivery.round for delivery in found.incident.deliveries.values() if delivery.round)
    ids = {found.incident.id, *(f"{found.incident.id}|{number}" for number in rounds)}
    return set(map(short_id, ids))


def _has_it(found: Found, way: str, now: datetime) -> bool:
    held = found.acts.acknowledgement(found.incident, now)
    return held is not None and held.way == way


def _hmac(secret: str, content: bytes) -> bytes:
    return hmac.new(secret.encode(), content, hashlib.sha256).digest()


def _is_signed_by_pagerduty(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    """`v1=` and the hex HMAC-SHA256 of the body; several of them while a secret is being replaced."""
    wanted = f"v1={_hmac(secret, body).hex()}".encode()
    given = headers.get("x-pagerduty-signature", "").split(",")
    return any(hmac.compare_digest(one.strip().encode(), wanted) for one in given)


def _is_signed_by_servicenow(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    """As we sign what we send, in Base64: our own script there has no hex. An old one is not taken: it may be a copy."""
    stamp, given = headers.get("roompulse-timestamp", ""), headers.get("roompulse-signature", "")
    if not stamp.isdecimal() or abs(now.timestamp() - int(stamp[:12])) > FRESH.total_seconds():
        return False
    try:
        signed = base64.b64decode(given.removeprefix("v1="), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(signed, _hmac(secret, f"{stamp}.".encode() + body))


_PAGERDUTY_ACTS = {
    "incident.acknowledged": (facts.ACKNOWLEDGE, ""),
    "incident.unacknowledged": (facts.UNACKNOWLEDGE, ""),
    "incident.reopened": (facts.UNACKNOWLEDGE, ""),
    "incident.resolved": (facts.ACKNOWLEDGE, "resolved in PagerDuty; it is over here when the rooms say so"),
}


def _said_by_pagerduty(document: Any) -> Said | None:
    """An event of a version 3 webhook."""
    event = _mapping(_mapping(document).get("event"))
    if _is_an_echo(event.get("agent")):
        return None
    act, text = _PAGERDUTY_ACTS.get(_needed(event, "event_type"), ("", ""))
    if not act:
        return None
    key = _mapping(event.get("data")).get("incident_key")
    return Said(_needed(event, "id"), key, act, text) if isinstance(key, str) and key else None


def _is_an_echo(agent: Any) -> bool:
    """Whether an event was made by an event like those that we send, and by no person and no clock of theirs."""
    return isinstance(agent, Mapping) and str(agent.get("type", "")).endswith("inbound_integration_reference")


def _said_by_servicenow(document: Any) -> Said | None:
    """An alert (em_alert) as our business rule sends it (docs/stages/alert-fanout.md)."""
    alert = _mapping(document)
    key, id_ = _needed(alert, "messageKey"), _needed(alert, "id")
    if _needed(alert, "state").casefold() == "closed":
        return Said(id_, key, facts.ACKNOWLEDGE, "closed in ServiceNow; it is over here when the rooms say so")
    return Said(id_, key, facts.ACKNOWLEDGE if alert.get("acknowledged") is True else facts.UNACKNOWLEDGE)


def _is_signed_by_webex(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    return control_hub.is_signed(secret, headers.get(control_hub.SIGNATURE, ""), body)


def _said_by_control_hub(document: Any) -> Said | None:
    seen = control_hub.witnessed(document)
    return Said(seen.id, seen.device, facts.COMMENT, seen.text, seen) if seen else None


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Unreadable("an object is missing")
    return value


def _needed(record: Mapping[str, Any], name: str) -> str:
    value = control_hub.word(record.get(name))
    if not value:
        raise _Unreadable(f"{name} is missing")
    return value


_BACK_SECRET = "backSecret of a webhook contact"
_SERVICES = {
    "pagerduty": _Service("PagerDuty", _is_signed_by_pagerduty, _said_by_pagerduty, _BACK_SECRET, _has_key),
    "servicenow": _Service("ServiceNow", _is_signed_by_servicenow, _said_by_servicenow, _BACK_SECRET, _has_key),
    CONTROL_HUB: _Service(control_hub.NAME, _is_signed_by_webex, _said_by_control_hub, "controlHubSecret of a city", _has_device),
}
