"""An alert in plain words: what, where, since when in the city's own time, how bad, and where it says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.routing import city_of
from processors.alert_fanout.settings import FanoutSettings
from processors.timestamps import parse_time

_SIGNAL_WORDS = {
    "offline": "offline (1 = yes)",
    "issues": "issues",
    "criticalIssues": "critical issues",
    "offlineRatio": "share of devices down",
    "temperature": "temperature in °C",
    "humidity": "humidity in %",
    "tvoc": "air quality index (TVOC)",
    "ambientNoise": "ambient noise in dB(A)",
    "soundLevel": "sound level in dB(A)",
    "peopleCount": "people",
}


@dataclass(frozen=True)
class Message:
    """What people read about an alert, next to the alert itself."""

    alert: Alert
    title: str
    text: str


def rendered(alert: Alert, settings: FanoutSettings, already_resolved: bool = False) -> Message:
    """The message of an alert. `already_resolved`: its end was told before (events can overtake each other): nobody need run."""
    city = city_of(alert, settings)
    rule = settings.rules.get(alert.rule_id)
    where = _where(alert, city.name)
    zone = ZoneInfo(city.time_zone)
    lines = [
        rule.meaning if rule else f"Rule {alert.rule_id} (this fan-out does not know its meaning: deploy its settings again).",
        f"What: {alert.entity} {alert.name}",
        f"Where: {where}",
        f"Severity: {alert.severity} (1 is worst)",
        _when(alert, zone),
        f"Measured: {_SIGNAL_WORDS.get(alert.signal, alert.signal)} {alert.value:g}, threshold {alert.threshold:g}",
    ]
    if rule:
        lines.append(f"Runbook: {rule.runbook}")
    if already_resolved:
        lines.insert(0, "This alert is already over; the news of its beginning comes late.")
    return Message(alert, _title(alert, city.name), "\n".join(lines))


def _title(alert: Alert, city: str) -> str:
    """Such as `Site outage: Lyon Confluence, Lyon` and `Resolved: site outage, Lyon Confluence, Lyon`."""
    rule = alert.rule_id.replace("-", " ")
    if alert.state == "resolved":
        return f"Resolved: {rule}, {alert.name}, {city}"
    return f"{rule.capitalize()}: {alert.name}, {city}"


def _where(alert: Alert, city: str) -> str:
    places = [alert.workspace_name, alert.location_name, city]
    return ", ".join(dict.fromkeys(place for place in places if place and place != alert.name)) or city


def _when(alert: Alert, zone: ZoneInfo) -> str:
    started, observed = parse_time(alert.started_at), parse_time(alert.observed_at)
    if started is None or observed is None:
        return f"Since: {alert.started_at}"
    lasted = _duration(observed - started)
    if alert.state == "resolved":
        return f"Lasted: {lasted}, from {_local(started, zone)} to {_local(observed, zone)} ({zone.key})"
    return f"Since: {_local(started, zone)} ({zone.key}), {lasted} when it fired"


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%a %d %b %Y %H:%M}"


def _duration(span: timedelta) -> str:
    minutes = max(0, round(span.total_seconds() / 60))
    if minutes < 1:
        return "less than a minute"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{rest} min" if rest and not days else ""]
    return " ".join(part for part in parts if part)
