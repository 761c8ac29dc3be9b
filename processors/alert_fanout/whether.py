"""Whether a channel may be notified of an incident, and why not: for the fan-out and for `alerts why` alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from processors.alert_fanout.acts import SNOOZE, Acts
from processors.alert_fanout.channel_kind import ChannelSettings
from processors.alert_fanout.incidents import Delivery, Incident
from processors.alert_fanout.routing import (
    by_its_hours,
    by_its_rules_hours,
    hears,
    is_muted,
    is_quiet_time,
    severity_at,
    severity_outside,
)
from processors.alert_fanout.settings import City, RuleMeaning
from processors.alert_fanout.wording import moment
from processors.timestamps import format_time, parse_time

SILENCED = ("silenced", "snoozed")
"""How the reason begins for which somebody's silence, or their snooze, hides an incident."""
REMIND_FOR = timedelta(days=7)
"""How long people are reminded of what nobody does anything about."""
FOR_ALL = ("channel", "missed")
"""Kinds of incidents that a channel hears of at whatever severities: else a broken one could be broken unheard."""


@dataclass(frozen=True)
class Place:
    """Where and when something is to be sent, by which rules, and what people did about it."""

    city: City
    rules: dict[str, RuleMeaning]
    now: datetime
    acts: Acts

    def rule_of(self, incident: Incident) -> RuleMeaning | None:
        """The rule of an incident; None for one of ours (a storm), and where these settings don't know it."""
        return None if incident.kind in ("storm", "missed") else self.rules.get(incident.lead.rule_id)

    def severity_of(self, incident: Incident) -> int:
        """The severity of an incident at this moment."""
        return severity_at(incident.lead.severity, self.rule_of(incident), self.city, self.now)


def concerns(incident: Incident, key: str) -> bool:
    """Whether a channel may hear of an incident: not of another channel's storm, nor that it is broken itself."""
    return incident.only in (None, key) and not (incident.kind == "channel" and incident.lead.entity_id == key)


def never(incident: Incident, channel: ChannelSettings, place: Place) -> str:
    """Why a channel is not for an incident at all; empty where it is."""
    severity, rule = incident.lead.severity, place.rule_of(incident)
    if not concerns(incident, channel.key):
        return "it is about the channel itself" if incident.kind == "channel" else "it is about another channel"
    at_night = severity_outside(severity, rule.outside_severity if rule else None)
    if incident.kind in FOR_ALL or any(hears(channel, rule, incident.lead.rule_id, one) for one in (severity, at_night)):
        return ""
    if channel.rules and incident.lead.rule_id not in channel.rules:
        return f"rule {incident.lead.rule_id}: the contact wants {', '.join(channel.rules)}"
    if severity not in channel.severities:
        return f"severity {severity}: the contact wants {_listed(channel.severities)}"
    severities = rule.channels.get(channel.contact_kind or "", ()) if rule else ()
    return f"severity {severity}: rule {incident.lead.rule_id} notifies {channel.contact_kind} at {_listed(severities) or 'none'}"


def not_now(incident: Incident, channel: ChannelSettings, place: Place) -> str:
    """Why a channel is not notified of an incident at this moment, though it will be if that still burns; empty where it is."""
    return (
        outside_hours(incident, channel, place)
        or less_urgent(incident, channel, place)
        or hidden(incident, place)
        or too_early(incident, channel, place)
    )


def less_urgent(incident: Incident, channel: ChannelSettings, place: Place) -> str:
    """Why the severity that an incident has at this moment is not the channel's, though another one of its is; else empty."""
    severity, rule = place.severity_of(incident), place.rule_of(incident)
    if incident.kind in FOR_ALL or hears(channel, rule, incident.lead.rule_id, severity):
        return ""
    hours = "outside office hours" if severity > incident.lead.severity else "in office hours"
    return f"it has severity {severity} {hours}"


def too_early(incident: Incident, channel: ChannelSettings, place: Place) -> str:
    """Why a channel that is sent when nobody acknowledges is not sent yet; empty when it is time, and for all other channels."""
    if not channel.after:
        return ""
    due = escalates_at(incident, channel, place)
    if due is None:
        return "somebody has it: it does not escalate"
    when = moment(format_time(due), place.city.time_zone)
    return "" if due <= place.now else f"it escalates {when} ({place.city.time_zone}) if nobody has acknowledged it"


def escalates_at(incident: Incident, channel: ChannelSettings, place: Place) -> datetime | None:
    """When a channel is notified that nobody has acknowledged; None while somebody has it."""
    since = place.acts.unattended_since(incident, place.now)
    if since is None:
        return None
    begun = incident.begun[-1] if incident.begun else incident.recorded_at
    start = parse_time(max(since, begun))
    return start + timedelta(seconds=channel.after) if start else place.now


def is_due_again(incident: Incident, channel: ChannelSettings, delivery: Delivery, place: Place) -> bool:
    """Whether a channel that was sent is sent once more: `repeat` has passed, or somebody had it and has it no longer."""
    if not can_be_due_again(incident, channel, place):
        return False
    since, asked = place.acts.unattended_since(incident, place.now), parse_time(delivery.asked_at or delivery.notified_at)
    if since is None or asked is None:
        return False
    if since > format_time(asked):
        due = escalates_at(incident, channel, place)
        return due is not None and due <= place.now
    return bool(channel.repeat) and place.now - asked >= timedelta(seconds=channel.repeat)


def can_be_due_again(incident: Incident, channel: ChannelSettings, place: Place) -> bool:
    """Whether a channel that was notified could be so once more: somebody asked for that, or did something."""
    asked_for = channel.capabilities.reminds and (channel.repeat or place.acts.all) and incident.kind not in ("storm", "missed")
    return bool(asked_for) and _is_young(incident, place.now)


def _is_young(incident: Incident, now: datetime) -> bool:
    began = parse_time(incident.recorded_at)
    return began is None or now - began < REMIND_FOR


def outside_hours(incident: Incident, channel: ChannelSettings, place: Place) -> str:
    """Whose hours keep a channel from being spoken to; empty within them."""
    if not by_its_hours(channel, place.city, place.now):
        return f"outside the contact's hours ({channel.when})"
    if place.severity_of(incident) > 1 and incident.kind != "missed" and is_quiet_time(place.city, place.now):
        return f"quiet hours of {place.city.name}"
    if not by_its_rules_hours(place.rule_of(incident), place.city, place.now):
        return f"rule {incident.lead.rule_id} is sent in office hours only"
    return ""


def hidden(incident: Incident, place: Place) -> str:
    """What hides an incident for a while: a mute of the city, or somebody's silence or snooze. Its end is sent nevertheless."""
    rule_id, city = incident.lead.rule_id, place.city
    if incident.kind not in ("storm", "channel") and is_muted(rule_id, city, place.now):
        return f"{city.name} has muted {rule_id} until {city.mutes[rule_id]}"
    silence = place.acts.silence(incident, place.now)
    if silence is None:
        return ""
    until = f"{moment(place.acts.end_of(silence), city.time_zone)} ({city.time_zone})"
    return f"{SILENCED[silence.kind == SNOOZE]} by {silence.author} until {until}: {silence.text}"


def _listed(severities: tuple[int, ...]) -> str:
    return ", ".join(map(str, severities))
