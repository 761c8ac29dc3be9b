"""Whether a channel may be told of an incident, and why not: the one place that knows, for telling and for `alerts why` alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from processors.alert_fanout.acts import SNOOZE, Acts
from processors.alert_fanout.channel_kind import ChannelSettings
from processors.alert_fanout.incidents import Incident
from processors.alert_fanout.routing import by_its_hours, by_its_rules_hours, hears, is_muted
from processors.alert_fanout.settings import City, RuleMeaning
from processors.alert_fanout.wording import moment

FOR_ALL = ("channel", "missed")
"""Kinds of incidents that a channel hears of at whatever severities: else a broken one could be broken unheard."""


@dataclass(frozen=True)
class Place:
    """Where and when something is to be told, by which rules, and what people did about it."""

    city: City
    rules: dict[str, RuleMeaning]
    now: datetime
    acts: Acts

    def rule_of(self, incident: Incident) -> RuleMeaning | None:
        """The rule of an incident; None for one of ours (a storm), and where these settings don't know it."""
        return None if incident.kind in ("storm", "missed") else self.rules.get(incident.lead.rule_id)


def concerns(incident: Incident, key: str) -> bool:
    """Whether a channel may hear of an incident: not of another channel's storm, nor that it is broken itself."""
    return incident.only in (None, key) and not (incident.kind == "channel" and incident.lead.entity_id == key)


def never(incident: Incident, channel: ChannelSettings, place: Place) -> str:
    """Why a channel is not for an incident at all; empty where it is."""
    severity, rule = incident.lead.severity, place.rule_of(incident)
    if not concerns(incident, channel.key):
        return "it is about the channel itself" if incident.kind == "channel" else "it is about another channel"
    if incident.kind in FOR_ALL or hears(channel, rule, severity):
        return ""
    if severity not in channel.severities:
        return f"severity {severity}: the contact wants {_listed(channel.severities)}"
    told = rule.channels.get(channel.contact_kind or "", ()) if rule else ()
    return f"severity {severity}: rule {incident.lead.rule_id} tells {channel.contact_kind} at {_listed(told) or 'none'}"


def not_now(incident: Incident, channel: ChannelSettings, place: Place) -> str:
    """Why a channel is not told of an incident at this moment, though it will be if that still burns; empty where it is told."""
    return outside_hours(incident, channel, place) or hidden(incident, place)


def outside_hours(incident: Incident, channel: ChannelSettings, place: Place) -> str:
    """Whose hours keep a channel from being spoken to; empty within them."""
    if not by_its_hours(channel, place.city, place.now):
        return f"outside the contact's hours ({channel.when})"
    if not by_its_rules_hours(place.rule_of(incident), place.city, place.now):
        return f"rule {incident.lead.rule_id} is told in office hours only"
    return ""


def hidden(incident: Incident, place: Place) -> str:
    """What hides an incident for a while: a mute of the city, or somebody's silence or snooze. Its end is told nevertheless."""
    rule_id, city = incident.lead.rule_id, place.city
    if incident.kind not in ("storm", "channel") and is_muted(rule_id, city, place.now):
        return f"{city.name} has muted {rule_id} until {city.mutes[rule_id]}"
    silence = place.acts.silence(incident, place.now)
    if silence is None:
        return ""
    until = f"{moment(place.acts.end_of(silence), city.time_zone)} ({city.time_zone})"
    return f"{'snoozed' if silence.kind == SNOOZE else 'silenced'} by {silence.author} until {until}: {silence.text}"


def _listed(severities: tuple[int, ...]) -> str:
    return ", ".join(map(str, severities))
