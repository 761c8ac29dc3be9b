"""An incident in plain words: what, where, since when in the city's own time, how bad, what is folded in, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.incidents import Book, Incident, Told
from processors.alert_fanout.notice import Line, Notice
from processors.alert_fanout.settings import City, FanoutSettings
from processors.alert_fanout.steps import Step
from processors.contracts.signals import signal_of
from processors.plain_text import name_of, one_line
from processors.timestamps import parse_time

NAMES_SHOWN = 8
_SAYS_NOTHING = "offline"
"""A signal that is 1 or 0: the rule's meaning has said it."""
_DRILL = "This is a drill: nothing is wrong, nobody has to do anything."


def notice(book: Book, step: Step, settings: FanoutSettings, city: City) -> Notice:
    """The notice of a step."""
    incident, city = book.incidents[step.incident], replace(city, name=name_of(city.name))
    told = incident.told.get(step.channel, Told())
    rule = settings.rules.get(incident.lead.rule_id)
    words = {"open": _opening, "update": _opening, "merge": _merge, "close": _end}[step.action]
    number = f"|{told.updates + 1}" if step.action == "update" else ""
    drill = incident.lead.is_drill
    lines = [*([Line(_DRILL)] if drill else []), *words(book, incident, settings, city)]
    return Notice(
        action=step.action,
        key=f"{incident.id}|{step.action}{number}",
        incident=incident.id,
        title=one_line(("DRILL · " if drill else "") + _title(incident, step.action, city)),
        lines=tuple(line._replace(text=one_line(line.text)) for line in lines),
        lead=incident.lead,
        end=incident.end,
        city=city.name,
        runbook=rule.runbook if rule else None,
        devices=tuple(map(name_of, incident.devices)),
        held_back=incident.held_back,
        ref=told.ref,
        merged_into=incident.merged_into,
    )


def _title(incident: Incident, action: str, city: City) -> str:
    """Such as `Site outage: Lyon Confluence, Lyon` and `Resolved: site outage, Lyon Confluence, Lyon`."""
    alert, count = incident.lead, len(incident.devices)
    if incident.kind == "leftover":
        what = f"still down after the outage, {_counted(count, 'device')}, {_place(alert, city)}"
    elif incident.kind == "storm":
        what = f"and {_counted(count, 'more alert')}, {city.name}"
    elif incident.kind == "channel":
        what = f"channel broken, {alert.name}, {city.name}"
    else:
        rule = alert.rule_id.replace("-", " ")
        if action not in ("merge", "close"):
            folded = f" ({_counted(len(incident.folded), 'alert')})" if incident.folded else ""
            return f"{rule.capitalize()}: {alert.name}{folded}, {city.name}"
        what = f"{rule}, {alert.name}, {city.name}"
    if action == "merge":
        return f"Part of an outage: {what}"
    return f"Resolved: {what}" if action == "close" else what[0].upper() + what[1:]


def _opening(book: Book, incident: Incident, settings: FanoutSettings, city: City) -> list[Line]:
    alert = incident.lead
    lines = [] if incident.open else [Line("This is already over; the news of its beginning comes late.")]
    if incident.kind == "storm":
        what = f"Held back here, because too many came at once: {_names(incident.devices)}."
        return [*lines, Line(what), Line("Each is in the other channels and on the page; this is resolved when all of them are.")]
    severity = Line(f"{alert.severity} (1 is worst)", "Severity")
    if incident.kind == "channel":
        health = book.channels.get(alert.entity_id)
        return [
            *lines,
            Line("A channel through which this city is told of alerts does not work. You hear of them, its readers don't."),
            Line(alert.name, "What"),
            *([Line(health.why, "Why")] if health and health.why else []),
            severity,
            _since(alert, city),
            Line("Mend it: what it missed is kept for a day and then told; after that, roompulse alerts replay tells it.", "Do"),
        ]
    if incident.kind == "leftover":
        return [
            *lines,
            Line("The outage of the site is over, and these have not come back with it."),
            Line(_names(incident.devices), "What"),
            _where(alert, city),
            severity,
            *_runbook(alert, settings),
        ]
    rule = settings.rules.get(alert.rule_id)
    unknown = f"Rule {alert.rule_id} (this fan-out does not know its meaning: deploy its settings again)."
    spared = f"Not told on {_counted(incident.held_back, 'channel')}, where too many came at once."
    return [
        *lines,
        Line(rule.meaning if rule else unknown),
        _what(alert),
        _where(alert, city),
        severity,
        _since(alert, city),
        *_measured(alert),
        *([Line(_names(incident.devices), "Folded in")] if incident.folded else []),
        *([Line(spared)] if incident.held_back else []),
        *_runbook(alert, settings),
    ]


def _merge(book: Book, incident: Incident, settings: FanoutSettings, city: City) -> list[Line]:
    whole = book.incidents.get(incident.merged_into or "")
    name = _title(whole, "open", city) if whole else "an outage that is over"
    alert = incident.lead
    return [
        Line("From here on it is part of something larger, whose end is told instead."),
        Line(name, "Part of"),
        _what(alert),
        _where(alert, city),
    ]


def _end(book: Book, incident: Incident, settings: FanoutSettings, city: City) -> list[Line]:
    alert, end = incident.lead, incident.end
    if incident.kind == "channel":
        return [Line(alert.name, "What"), Line("It takes alerts again, and is told what it missed.")]
    if incident.kind == "storm":
        return [Line(f"All of it is over: {_names(incident.devices)}.")]
    lines = [Line(_names(incident.devices), "All are back") if incident.kind == "leftover" else _what(alert), _where(alert, city)]
    if end:
        lines += [_lasted(alert, end, city), *_measured(end)]
    if incident.kind == "alert" and incident.folded:
        lines.append(Line(_counted(len(incident.folded), "alert"), "Folded in"))
    if incident.members:
        still = _counted(len({member.name for member in incident.members.values()}), "device")
        lines.append(Line(f"{still}; what stays down is told by itself.", "Not back yet"))
    return [*lines, *_runbook(alert, settings)]


def _what(alert: Alert) -> Line:
    return Line(f"{alert.entity} {alert.name}", "What")


def _runbook(alert: Alert, settings: FanoutSettings) -> list[Line]:
    rule = settings.rules.get(alert.rule_id)
    return [Line(rule.runbook, "Runbook")] if rule else []


def _names(names: Sequence[str]) -> str:
    """The first names and how many more there are."""
    shown, more = ", ".join(map(name_of, names[:NAMES_SHOWN])), len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _measured(alert: Alert) -> list[Line]:
    if alert.signal == _SAYS_NOTHING:
        return []
    signal = signal_of(alert.signal)
    if signal is None:
        return [Line(f"{alert.signal} {alert.value:g}, threshold {alert.threshold:g}", "Measured")]
    return [Line(f"{signal.label} {signal.said(alert.value)}, threshold {signal.said(alert.threshold)}", "Measured")]


def _place(alert: Alert, city: City) -> str:
    return ", ".join(dict.fromkeys(place for place in (alert.location_name, city.name) if place))


def _where(alert: Alert, city: City) -> Line:
    places = [alert.workspace_name, alert.location_name, city.name]
    return Line(", ".join(dict.fromkeys(place for place in places if place and place != alert.name)) or city.name, "Where")


def _since(alert: Alert, city: City) -> Line:
    started, observed = parse_time(alert.started_at), parse_time(alert.observed_at)
    if started is None or observed is None:
        return Line(alert.started_at, "Since")
    zone = ZoneInfo(city.time_zone)
    return Line(f"{_local(started, zone)} ({zone.key}), {_duration(observed - started)} when it fired", "Since")


def _lasted(alert: Alert, end: Alert, city: City) -> Line:
    started, ended = parse_time(alert.started_at), parse_time(end.observed_at)
    if started is None or ended is None:
        return Line(f"from {alert.started_at} to {end.observed_at}", "Lasted")
    zone = ZoneInfo(city.time_zone)
    span = f"from {_local(started, zone)} to {_local(ended, zone)} ({zone.key})"
    return Line(f"{_duration(ended - started)}, {span}", "Lasted")


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%a %d %b %Y %H:%M}"


def _duration(span: timedelta) -> str:
    minutes = max(0, round(span.total_seconds() / 60))
    if minutes < 1:
        return "less than a minute"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{rest} min" if rest and not days else ""]
    return " ".join(part for part in parts if part)
