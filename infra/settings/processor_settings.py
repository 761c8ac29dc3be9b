"""What the deployed processors are given: a stack and the alert rules, turned into the settings files of ingest and fan-out.

Their shapes are the JSON Schemas in `processors/contracts`. City overrides are resolved here, so a processor knows no override.
`pieces_of` takes them apart into what `processors/settings_source.py` reads, so that a city changes no file but its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activator.rules import Rule, rules_of_city
from infra.settings.contacts import Audience, Contact, audiences
from infra.settings.stack import City, StackSettings
from processors.alert_fanout.channel_kind import Terms
from processors.alert_fanout.channel_kinds import CONTACT_KINDS
from processors.contracts.facts import ANY_OTHER_CITY, UNASSIGNED, OfficeHours

MAILED = tuple(name for name, kind in CONTACT_KINDS.items() if kind.channel is None)
"""Kinds of contacts that Azure Monitor notifies, and the fan-out only through it."""


@dataclass(frozen=True)
class Piece:
    """A file of a processor's settings: its path, its text (JSON), and the city it is about (a slug), if it is about one."""

    path: str
    text: str
    city: str | None


def pieces_of(settings: Mapping[str, Any]) -> list[Piece]:
    """The settings of a processor as `common.json` and a file `cities/SLUG.json` per city. `*`, any other city, is common."""
    cities = settings["cities"]
    common = {**settings, "cities": {slug: city for slug, city in cities.items() if slug == ANY_OTHER_CITY}}
    own = [Piece(f"cities/{slug}.json", _text(city), slug) for slug, city in cities.items() if slug != ANY_OTHER_CITY]
    return [Piece("common.json", _text(common), None), *own]


def _text(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)


def ingest_settings(stack: StackSettings, rules: Sequence[Rule], today: str) -> dict[str, Any]:
    """Settings of the ingest: cadence, metrics, and per city its Webex locations and the rules that hold today (ISO date)."""
    return {
        "pollSeconds": stack.poll.seconds,
        "snapshotMinutes": stack.poll.snapshot_minutes,
        "metricRequestsPerPoll": stack.poll.metric_requests_per_poll,
        "metrics": list(stack.poll.metrics),
        "requestsPerSecond": stack.poll.requests_per_second,
        "xapiRequestsPerSecond": stack.poll.xapi_requests_per_second,
        "xapiSeconds": stack.poll.xapi_seconds,
        "metricSeconds": stack.poll.metric_seconds,
        "locationMinutes": stack.poll.location_minutes,
        "priorityTags": list(stack.poll.priority_tags),
        "personalDevices": stack.poll.personal_devices,
        "removalHoldHours": stack.poll.removal_hold_hours,
        "bookings": stack.poll.bookings,
        "cities": {city.slug: _ingest_city(city, rules, today) for city in stack.cities},
    }


def fanout_settings(stack: StackSettings, rules: Sequence[Rule], inbox: str) -> dict[str, Any]:
    """Settings of the alert fan-out on one machine: what each rule means, and the channels of each city besides the `inbox`
    (a file path). Nothing mails or texts here: the inbox stands for that.
    """
    channel = {"type": "inbox", "path": inbox}
    return _fanout(stack, rules, {city.slug: [channel] for city in stack.cities} | {ANY_OTHER_CITY: [channel]})


def deployed_fanout_settings(stack: StackSettings, rules: Sequence[Rule]) -> dict[str, Any]:
    """The same for Azure, where Azure Monitor notifies the audiences of e-mail and text messages."""
    channels = {
        city.slug: [_azure_monitor(city, audience) for kind in MAILED for audience in audiences(city.contacts, kind)]
        for city in stack.cities
    }
    return _fanout(stack, rules, channels | {ANY_OTHER_CITY: [{"type": "azureMonitor", "audience": UNASSIGNED}]})


def _fanout(stack: StackSettings, rules: Sequence[Rule], more: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    cities = {
        city.slug: {
            "name": city.name,
            "timeZone": city.time_zone,
            "officeHours": _hours(city.office_hours),
            **({"quietHours": dict(zip(("from", "to"), city.quiet_hours, strict=True))} if city.quiet_hours else {}),
            **({"controlHubSecret": city.control_hub_secret} if city.control_hub_secret else {}),
            "mutes": {override.rule_id: override.until for override in city.overrides if override.mute},
            "channels": [*more[city.slug], *_channels(city.contacts)],
        }
        for city in stack.cities
    }
    # Alerts of entities whose location belongs to no city still reach somebody.
    channels = more[ANY_OTHER_CITY]
    anywhere = {"name": "Unassigned", "timeZone": "UTC", "officeHours": _hours(OfficeHours()), "channels": channels}
    cities[ANY_OTHER_CITY] = anywhere
    return {"rules": {rule.id: _meaning(stack, rule) for rule in rules}, "cities": cities}


def _meaning(stack: StackSettings, rule: Rule) -> dict[str, Any]:
    return {
        "meaning": rule.meaning,
        "runbook": stack.runbook_of(rule),
        "suppressWhen": list(rule.suppress_when),
        "channels": {kind: list(severities) for kind, severities in rule.channels.items()},
        **({"outsideSeverity": rule.severity_outside} if rule.severity_outside else {}),
    }


def _channels(contacts: Sequence[Contact]) -> list[dict[str, Any]]:
    """The contacts that the fan-out itself notifies."""
    own = ((contact.channel, contact) for contact in contacts)
    return [channel | written_terms(contact.channel_terms) for channel, contact in own if channel]


def _azure_monitor(city: City, audience: Audience) -> dict[str, Any]:
    return {"type": "azureMonitor", "audience": f"{city.slug}/{audience.name}"} | written_terms(audience.terms)


def written_terms(terms: Terms) -> dict[str, Any]:
    """Terms as the fan-out's settings have them; what holds for everything, always and at once is left out."""
    standard = Terms()
    written = {
        "severities": list(terms.severities) if terms.severities != standard.severities else None,
        "when": terms.when if terms.when != standard.when else None,
        "rules": list(terms.rules) or None,
        "afterSeconds": terms.after or None,
        "repeatSeconds": terms.repeat or None,
    }
    return {name: value for name, value in written.items() if value is not None}


def _hours(hours: OfficeHours) -> dict[str, Any]:
    return {"days": list(hours.days), "from": hours.opens, "to": hours.closes}


def _ingest_city(city: City, rules: Sequence[Rule], today: str) -> dict[str, Any]:
    return {
        "name": city.name,
        "timeZone": city.time_zone,
        "webexLocations": list(city.webex_locations),
        **({"organisation": city.organisation} if city.organisation else {}),
        **({"push": True} if city.push else {}),
        "rules": [
            {
                "id": rule.id,
                "entity": rule.entity,
                "signal": rule.signal,
                "op": rule.op,
                "threshold": rule.threshold,
                "forSeconds": rule.for_seconds,
                "severity": rule.severity,
                **({"fewestDevices": rule.fewest_devices} if rule.fewest_devices else {}),
            }
            for rule in rules_of_city(rules, city.overrides, today)
        ],
    }
