"""An incident in plain words: what, where, since when in the city's own time, how bad, what is folded in, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.incidents import Book, Incident, Told
from processors.alert_fanout.settings import City, FanoutSettings
from processors.alert_fanout.steps import Step
from processors.timestamps import parse_time

NAMES_SHOWN = 8
_SIGNAL_WORDS = {
    "offline": "offline (1 = yes)",
    "issues": "issues",
    "criticalIssues": "critical issues",
    "peripheralIssues": "touch panels, cameras or microphones lost",
    "displayIssues": "displays lost",
    "drops": "times it went down in the last hour",
    "firmwareBehind": "days behind the newest version",
    "callLoss": "packet loss in %",
    "callJitter": "jitter in ms",
    "offlineRatio": "share of devices down",
    "temperature": "temperature in °C",
    "humidity": "humidity in %",
    "tvoc": "air quality index (TVOC)",
    "ambientNoise": "ambient noise in dB(A)",
    "soundLevel": "sound level in dB(A)",
    "peopleCount": "people",
    "occupancy": "people ÷ capacity",
    "unseenMinutes": "minutes since a poll listed a device",
}


@dataclass(frozen=True)
class Notice:
    """What a channel is told about an incident. `action`: open, update, merge or close; `key` is the same when it is repeated;
    `ref` is the channel's id of what it was told before; `devices` are the names of what is folded in.
    """

    action: str
    key: str
    incident: str
    title: str
    text: str
    lead: Alert
    end: Alert | None
    city: str
    runbook: str | None
    devices: tuple[str, ...]
    held_back: int
    ref: str | None

    @property
    def state(self) -> str:
        """fired, updated or resolved."""
        return {"open": "fired", "update": "updated"}.get(self.action, "resolved")


def notice(book: Book, step: Step, settings: FanoutSettings, city: City) -> Notice:
    """The notice of a step."""
    incident = book.incidents[step.incident]
    told = incident.told.get(step.channel, Told())
    rule = settings.rules.get(incident.lead.rule_id)
    words = {"open": _opening, "update": _opening, "merge": _merge, "close": _end}[step.action]
    number = f"|{told.updates + 1}" if step.action == "update" else ""
    drill = incident.lead.is_drill
    lines = [_DRILL] if drill else []
    return Notice(
        action=step.action,
        key=f"{incident.id}|{step.action}{number}",
        incident=incident.id,
        title=("DRILL · " if drill else "") + _title(incident, step.action, city),
        text="\n".join([*lines, *words(book, incident, settings, city)]),
        lead=incident.lead,
        end=incident.end,
        city=city.name,
        runbook=rule.runbook if rule else None,
        devices=tuple(incident.devices),
        held_back=incident.held_back,
        ref=told.ref,
    )


_DRILL = "This is a drill: nothing is wrong, nobody has to do anything."


def _title(incident: Incident, action: str, city: City) -> str:
    """Such as `Site outage: Lyon Confluence, Lyon` and `Resolved: site outage, Lyon Confluence, Lyon`."""
    alert, count = incident.lead, len(incident.devices)
    if incident.kind == "leftover":
        what = f"still down after the outage, {_counted(count)}, {_place(alert, city)}"
    elif incident.kind == "storm":
        what = f"and {count} more alert{'s' * (count != 1)}, {city.name}"
    else:
        rule = alert.rule_id.replace("-", " ")
        if action not in ("merge", "close"):
            folded = f" ({_counted(count)})" if count else ""
            return f"{rule.capitalize()}: {alert.name}{folded}, {city.name}"
        what = f"{rule}, {alert.name}, {city.name}"
    if action == "merge":
        return f"Part of an outage: {what}"
    return f"Resolved: {what}" if action == "close" else what[0].upper() + what[1:]


def _opening(book: Book, incident: Incident, settings: FanoutSettings, city: City) -> list[str]:
    alert = incident.lead
    lines = [] if incident.open else ["This is already over; the news of its beginning comes late."]
    if incident.kind == "storm":
        what = f"Held back here, because too many came at once: {_names(incident.devices)}."
        return [*lines, what, "Each is in the other channels and on the page; this is resolved when all of them are."]
    if incident.kind == "leftover":
        return [
            *lines,
            "The outage of the site is over, and these have not come back with it.",
            f"What: {_names(incident.devices)}",
            f"Where: {_where(alert, city.name)}",
            f"Severity: {alert.severity} (1 is worst)",
            *_runbook(alert, settings),
        ]
    rule = settings.rules.get(alert.rule_id)
    meaning = (
        rule.meaning if rule else f"Rule {alert.rule_id} (this fan-out does not know its meaning: deploy its settings again)."
    )
    devices = [f"Folded in: {_names(incident.devices)}"] if incident.folded else []
    spared = [f"Not told on {incident.held_back} channels, which had too many at once."] if incident.held_back else []
    return [
        *lines,
        meaning,
        f"What: {alert.entity} {alert.name}",
        f"Where: {_where(alert, city.name)}",
        f"Severity: {alert.severity} (1 is worst)",
        _since(alert, city),
        f"Measured: {_measured(alert)}, threshold {alert.threshold:g}",
        *devices,
        *spared,
        *_runbook(alert, settings),
    ]


def _merge(book: Book, incident: Incident, settings: FanoutSettings, city: City) -> list[str]:
    whole = book.incidents.get(incident.merged_into or "")
    name = _title(whole, "open", city) if whole else "an outage that is over"
    return [f"Now part of: {name}. Its end is told there.", f"What: {incident.lead.entity} {incident.lead.name}"]


def _end(book: Book, incident: Incident, settings: FanoutSettings, city: City) -> list[str]:
    alert, end = incident.lead, incident.end
    if incident.kind == "storm":
        return [f"All of it is over: {_names(incident.devices)}."]
    lines = [f"What: {alert.entity} {alert.name}", f"Where: {_where(alert, city.name)}"]
    if incident.kind == "leftover":
        lines = [f"All are back: {_names(incident.devices)}", f"Where: {_where(alert, city.name)}"]
    if end:
        lines += [_lasted(alert, end, city), f"Measured: {_measured(end)}, threshold {end.threshold:g}"]
    if incident.kind == "alert" and incident.folded:
        lines.append(f"Folded in: {_counted(len(incident.devices))}")
    if incident.members:
        still = _counted(len({member.name for member in incident.members.values()}))
        lines.append(f"Not back yet: {still}; what stays down is told by itself.")
    return [*lines, *_runbook(alert, settings)]


def _runbook(alert: Alert, settings: FanoutSettings) -> list[str]:
    rule = settings.rules.get(alert.rule_id)
    return [f"Runbook: {rule.runbook}"] if rule else []


def _names(names: Sequence[str]) -> str:
    """The first names and how many more there are."""
    shown, more = ", ".join(names[:NAMES_SHOWN]), len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _counted(count: int) -> str:
    return f"{count} device{'s' * (count != 1)}"


def _measured(alert: Alert) -> str:
    return f"{_SIGNAL_WORDS.get(alert.signal, alert.signal)} {alert.value:g}"


def _place(alert: Alert, city: City) -> str:
    return ", ".join(dict.fromkeys(place for place in (alert.location_name, city.name) if place))


def _where(alert: Alert, city: str) -> str:
    places = [alert.workspace_name, alert.location_name, city]
    return ", ".join(dict.fromkeys(place for place in places if place and place != alert.name)) or city


def _since(alert: Alert, city: City) -> str:
    started, observed = parse_time(alert.started_at), parse_time(alert.observed_at)
    if started is None or observed is None:
        return f"Since: {alert.started_at}"
    zone = ZoneInfo(city.time_zone)
    return f"Since: {_local(started, zone)} ({zone.key}), {_duration(observed - started)} when it fired"


def _lasted(alert: Alert, end: Alert, city: City) -> str:
    started, ended = parse_time(alert.started_at), parse_time(end.observed_at)
    if started is None or ended is None:
        return f"From {alert.started_at} to {end.observed_at}"
    zone = ZoneInfo(city.time_zone)
    return f"Lasted: {_duration(ended - started)}, from {_local(started, zone)} to {_local(ended, zone)} ({zone.key})"


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%a %d %b %Y %H:%M}"


def _duration(span: timedelta) -> str:
    minutes = max(0, round(span.total_seconds() / 60))
    if minutes < 1:
        return "less than a minute"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{rest} min" if rest and not days else ""]
    return " ".join(part for part in parts if part)
