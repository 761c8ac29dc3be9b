"""Whom a city's contacts hear from at a moment: office hours by the city's own clock, and rules the city has muted.

The clock on the wall decides, so a change between summer and winter time needs no thought: a day simply has an hour more or less.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from processors.alert_fanout.channel_kind import ALWAYS, ChannelSettings
from processors.alert_fanout.settings import OUTSIDE_OFFICE_HOURS, City, RuleMeaning
from processors.contracts.facts import SEVERITIES, WEEKDAYS, OfficeHours


def may_speak(when: str, city: City, moment: datetime) -> bool:
    """Whether a channel with these terms (always, office-hours, off-hours) is told something at this moment."""
    return when == ALWAYS or (when == "office-hours") == in_office_hours(city.hours, city.time_zone, moment)


def hears(channel: ChannelSettings, rule: RuleMeaning | None, severity: int) -> bool:
    """Whether a channel is for alerts of this rule and severity: the contact says which severities, and so does the rule."""
    by_rule = rule.channels.get(channel.contact_kind or "", SEVERITIES) if rule else SEVERITIES
    return severity in channel.severities and severity in by_rule


def by_its_hours(channel: ChannelSettings, city: City, moment: datetime) -> bool:
    """Whether a moment is within the hours of a channel's contact."""
    return may_speak(channel.when, city, moment)


def by_its_rules_hours(rule: RuleMeaning | None, city: City, moment: datetime) -> bool:
    """Whether a moment is within the hours at which a rule's alerts are told."""
    return OUTSIDE_OFFICE_HOURS not in (rule.suppress_when if rule else ()) or may_speak("office-hours", city, moment)


def in_office_hours(hours: OfficeHours, time_zone: str, moment: datetime) -> bool:
    """Whether people are at work at this moment (timezone-aware)."""
    local = moment.astimezone(ZoneInfo(time_zone))
    return WEEKDAYS[local.weekday()] in hours.days and hours.opens <= f"{local:%H:%M}" < hours.closes


def is_muted(rule_id: str, city: City, moment: datetime) -> bool:
    """Whether the city has muted the rule on the day it is there."""
    until = city.mutes.get(rule_id)
    return until is not None and moment.astimezone(ZoneInfo(city.time_zone)).date().isoformat() <= until
