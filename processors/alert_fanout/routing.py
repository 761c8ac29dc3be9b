"""Whom a city's contacts hear from at a moment: office hours by the city's own clock, and rules the city has muted.

The clock on the wall decides, so a change between summer and winter time needs no thought: a day simply has an hour more or less.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from processors.alert_fanout.channel_kind import ALWAYS, DAILY, ChannelSettings
from processors.alert_fanout.settings import OUTSIDE_OFFICE_HOURS, City, RuleMeaning
from processors.contracts.facts import SEVERITIES, WEEKDAYS, OfficeHours


def may_speak(when: str, city: City, moment: datetime) -> bool:
    """Whether a channel with these terms is notified at this moment. What is daily has its moment from `next_opening`."""
    return when in (ALWAYS, DAILY) or (when == "office-hours") == in_office_hours(city.hours, city.time_zone, moment)


def hears(channel: ChannelSettings, rule: RuleMeaning | None, rule_id: str, severity: int) -> bool:
    """Whether a channel is for alerts of this rule and severity: the contact says which, and the rule notifies its kind."""
    by_rule = rule.channels.get(channel.contact_kind or "", SEVERITIES) if rule else SEVERITIES
    return (not channel.rules or rule_id in channel.rules) and severity in channel.severities and severity in by_rule


def by_its_hours(channel: ChannelSettings, city: City, moment: datetime) -> bool:
    """Whether a moment is within the hours of a channel's contact."""
    return may_speak(channel.when, city, moment)


def by_its_rules_hours(rule: RuleMeaning | None, city: City, moment: datetime) -> bool:
    """Whether a moment is within the hours at which a rule's alerts are sent."""
    return OUTSIDE_OFFICE_HOURS not in (rule.suppress_when if rule else ()) or may_speak("office-hours", city, moment)


def severity_at(severity: int, rule: RuleMeaning | None, city: City, moment: datetime) -> int:
    """The severity of an alert at a moment: outside office hours its rule may have a lower one, and never a higher one."""
    outside = rule.outside_severity if rule else None
    return severity if may_speak("office-hours", city, moment) else severity_outside(severity, outside)


def severity_outside(severity: int, of_its_rule: int | None) -> int:
    """The severity of an alert outside office hours, where its rule has one for them."""
    return max(severity, of_its_rule or severity)


def in_office_hours(hours: OfficeHours, time_zone: str, moment: datetime) -> bool:
    """Whether people are at work at this moment (timezone-aware)."""
    local = moment.astimezone(ZoneInfo(time_zone))
    return WEEKDAYS[local.weekday()] in hours.days and hours.opens <= f"{local:%H:%M}" < hours.closes


def is_quiet_time(city: City, moment: datetime) -> bool:
    """Whether a moment is within the city's quiet hours, which may go over midnight."""
    if city.quiet is None:
        return False
    (begins, ends), now = city.quiet, f"{moment.astimezone(ZoneInfo(city.time_zone)):%H:%M}"
    return begins <= now < ends if begins < ends else now >= begins or now < ends


def next_opening(city: City, moment: datetime) -> datetime:
    """When the city's office opens next after a moment; at the same time every day where it never does."""
    zone = ZoneInfo(city.time_zone)
    opens, today = time.fromisoformat(city.hours.opens), moment.astimezone(zone).date()
    days = (datetime.combine(today + timedelta(days=ahead), opens, zone) for ahead in range(9))
    return next(day for day in days if day > moment and (WEEKDAYS[day.weekday()] in city.hours.days or not city.hours.days))


def is_muted(rule_id: str, city: City, moment: datetime) -> bool:
    """Whether the city has muted the rule on the day it is there."""
    until = city.mutes.get(rule_id)
    return until is not None and moment.astimezone(ZoneInfo(city.time_zone)).date().isoformat() <= until
