"""An incident in plain words: what to do, what it is, where, since when in the city's own time, how bad, what is folded in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from processors.alert_fanout.acts import NOTHING_DONE, Acts
from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.channel_kind import DAILY
from processors.alert_fanout.channel_kinds import title
from processors.alert_fanout.detail_lines import advice, as_of, facts, webex_reports
from processors.alert_fanout.incidents import FLAPPING, Book, Delivery, Incident, named
from processors.alert_fanout.notice import Line, Notice
from processors.alert_fanout.routing import severity_at
from processors.alert_fanout.settings import City, FanoutSettings, RuleMeaning
from processors.alert_fanout.steps import Step
from processors.alert_fanout.wording import NAMES_SHOWN, counted, duration, kind_of, lasting, moment, names, span, things
from processors.clock import utc_now
from processors.contracts.facts import SEVERITY_NAMES
from processors.contracts.issues import GRADES, OF_CODE, codes_of
from processors.contracts.plain_text import name_of, one_line
from processors.contracts.signals import signal_of
from processors.timestamps import format_time

_OF_A_PLACE = "offlineRatio"
"""The signal of an outage: the share of a place's devices that is down."""
_SAYS_NOTHING = "offline"
"""A signal that is 1 or 0: the rule's meaning has said it."""
STEPS_SHOWN = 3
_UNATTENDED = {"escalate": "Not acknowledged", "remind": "Still open"}
"""How the title begins of what nobody does anything about."""
_DRILL = "This is a drill: nothing is wrong, nobody has to do anything."


def notice(book: Book, step: Step, settings: FanoutSettings, city: City, acts: Acts = NOTHING_DONE) -> Notice:
    """The notice of a step, where people have done these things."""
    incident = as_it_is_now(book.incidents[step.incident], settings, city)
    notification = _Notification(book, incident, step, settings, replace(city, name=name_of(city.name)), acts)
    delivery, id_ = notification.delivery, _id_for(incident, step.channel)
    action = "open" if step.action == "escalate" else step.action
    numbers = {"update": delivery.updates + 1, "remind": delivery.reminders + 1, "acknowledge": step.act}
    number = f"|{numbers[action]}" if action in numbers else ""
    drill = incident.lead.is_drill
    page = _page(settings, incident)
    lines = [*([Line(_DRILL)] if drill else []), *notification.lines(), *([Line(page, "Incident")] if page else [])]
    return Notice(
        action=action,
        key=f"{id_}|{action}{number}",
        incident=id_,
        title=one_line(marked(incident, notification.title())),
        lines=tuple(line._replace(text=one_line(line.text)) for line in lines),
        lead=incident.lead,
        end=incident.end,
        city=notification.city.name,
        runbook=notification.rule.runbook if notification.rule else None,
        devices=tuple(map(name_of, incident.devices)),
        held_back=incident.held_back,
        ref=delivery.ref,
        merged_into=_id_for(notification.whole, step.channel) if notification.whole else incident.merged_into,
        escalated=step.action == "escalate",
        is_digest=incident.kind == "missed" and any(one.open for one in notification.missed),
        page=page,
    )


def as_it_is_now(incident: Incident, settings: FanoutSettings, city: City) -> Incident:
    """An incident with the severity that it has at this moment, by which it is shown everywhere."""
    rule = None if incident.kind in ("storm", "missed") else settings.rules.get(incident.lead.rule_id)
    severity = severity_at(incident.lead.severity, rule, city, utc_now())
    return incident if severity == incident.lead.severity else replace(incident, lead=replace(incident.lead, severity=severity))


def _page(settings: FanoutSettings, incident: Incident) -> str | None:
    """Where an incident is acted on; what is about several leads to all of them."""
    if not settings.pages:
        return None
    several = incident.kind in ("storm", "missed")
    return f"{settings.pages}/incidents" if several else f"{settings.pages}/incidents/{incident.handle}"


def _id_for(incident: Incident, channel: str) -> str:
    """The id under which a channel knows an incident: another one once it was notified that it is over, and it was not."""
    delivery = incident.deliveries.get(channel)
    return f"{incident.id}|{delivery.round}" if delivery and delivery.round else incident.id


@dataclass(frozen=True)
class _Notification:
    """What a step says of an incident."""

    book: Book
    incident: Incident
    step: Step
    settings: FanoutSettings
    city: City
    acts: Acts

    @property
    def delivery(self) -> Delivery:
        return self.incident.deliveries.get(self.step.channel, Delivery())

    @property
    def rule(self) -> RuleMeaning | None:
        return self.settings.rules.get(self.incident.lead.rule_id)

    @property
    def whole(self) -> Incident | None:
        """What it became part of."""
        return self.book.incidents.get(self.incident.merged_into or "")

    @property
    def missed(self) -> list[Incident]:
        """What came and went outside the channel's hours, and it has not heard of: the worst and longest first."""
        key = self.step.channel
        found = [one for one in self.book.incidents.values() if key in one.deliveries and one.deliveries[key].stage == "missed"]
        return sorted(found, key=lambda one: (one.lead.severity, one.lead.started_at))

    def title(self) -> str:
        """Such as `Site outage: Lyon Confluence, Lyon` and `Resolved: site outage, Lyon Confluence, Lyon`."""
        if self.incident.kind == "missed":
            what = "In the last day" if self.is_daily else "Came and went outside your hours"
            return f"{what}: {counted(len(self.missed), 'alert')}, {self.city.name}"
        what = _subject(self.incident, self.city)
        if self.step.action in ("merge", "close"):
            return f"{'Part of an outage' if self.step.action == 'merge' else 'Resolved'}: {what}"
        if self.step.action == "acknowledge":
            return f"Acknowledged: {what}"
        if self.step.action in _UNATTENDED:
            return f"{_UNATTENDED[self.step.action]}: {what}"
        return title_of(self.incident, self.city)

    @property
    def is_daily(self) -> bool:
        """Whether the channel gets a digest."""
        return any(channel.key == self.step.channel and channel.when == DAILY for channel in self.city.channels)

    def lines(self) -> list[Line]:
        """What stands below the title."""
        if self.incident.kind == "missed":
            return _missed(self.missed, self.city, daily=self.is_daily)
        words = {"merge": self._merge, "close": self._end, "acknowledge": self._held}
        return words.get(self.step.action, self._opening)()

    def _opening(self) -> list[Line]:
        kinds = {"storm": self._storm, "channel": self._channel, "leftover": self._leftover}
        late = [] if self.incident.open else [Line("This is already over; the news of its beginning comes late.")]
        nobody = [*self._unattended(), *self._others()] if self.step.action in _UNATTENDED else []
        return [*nobody, *late, *_flapping(self.incident, self.city), *kinds.get(self.incident.kind, self._alert)()]

    def _unattended(self) -> list[Line]:
        age = lasting(self.incident.lead.started_at, format_time(utc_now()))
        since = f" for {age}" if age else ""
        where = "on its page, or with " if _page(self.settings, self.incident) else ""
        return [Line(f"It is open{since}, and nobody has it. Take it: {where}roompulse alerts ack {self.incident.handle}", "Do")]

    def _others(self) -> list[Line]:
        """Who else was notified of it, by the kinds of their channels: whoever is asked next knows whom to ask."""
        known = [key for key, one in self.incident.deliveries.items() if key != self.step.channel and one.stage == "opened"]
        return [Line(f"{', '.join(dict.fromkeys(map(title, known)))}, and nobody there has it", "Notified")] if known else []

    def _storm(self) -> list[Line]:
        return [
            Line(f"Held back here, because too many came at once: {names(self.incident.devices)}."),
            Line("Each is in the other channels and on the page; this is resolved when all of them are."),
        ]

    def _channel(self) -> list[Line]:
        alert = self.incident.lead
        health = self.book.channels.get(alert.entity_id)
        return [
            Line("Fix it: what it missed is kept for a day and then sent; after that, roompulse alerts replay sends it.", "Do"),
            Line("A channel through which this city is notified of alerts does not work. You hear of them, its readers don't."),
            Line(alert.name, "What"),
            *([Line(health.why, "Why")] if health and health.why else []),
            _since(alert, self.city),
            _severity(alert),
        ]

    def _leftover(self) -> list[Line]:
        return [
            Line("The outage of the site is over, and these have not come back with it."),
            Line(names(self.incident.devices), "What"),
            _where(self.incident.lead, self.city),
            Line(f"{moment(self.incident.lead.started_at, self.city.time_zone)} ({self.city.time_zone})", "Since"),
            _severity(self.incident.lead),
            *self._runbook(),
        ]

    def _alert(self) -> list[Line]:
        alert, incident = self.incident.lead, self.incident
        unknown = f"Rule {alert.rule_id} (this fan-out does not know its meaning: deploy its settings again)."
        spared = f"Not sent to {counted(incident.held_back, 'channel')}, where too many came at once."
        details = alert.details or {}
        return [
            *_steps(alert),
            *advice(details),
            Line(self.rule.meaning if self.rule else unknown),
            _what(alert),
            *_fault(alert),
            _where(alert, self.city),
            _since(alert, self.city),
            _severity(alert),
            *_measured(alert),
            *_folded(incident),
            *facts(details, self.city.time_zone),
            *webex_reports(details, self.city.time_zone),
            *as_of(details, alert.text, alert.observed_at, self.city.time_zone),
            *([Line(spared)] if incident.held_back else []),
            *self._runbook(),
        ]

    def _merge(self) -> list[Line]:
        return [
            Line("It is not over: from here on it is part of something larger, whose end is sent instead."),
            Line(title_of(self.whole, self.city) if self.whole else "an outage that is over", "Part of"),
            _what(self.incident.lead),
            _where(self.incident.lead, self.city),
        ]

    def _held(self) -> list[Line]:
        held = self.acts.acknowledgement(self.incident, utc_now())
        until = f"until {moment(held.until, self.city.time_zone)} ({self.city.time_zone})" if held else "not any more"
        why = [Line(held.text, "Why")] if held and held.text else []
        return [Line(f"{held.author if held else 'nobody'}, {until}", "Has it"), *why, _what(self.incident.lead)]

    def _end(self) -> list[Line]:
        incident, alert, end = self.incident, self.incident.lead, self.incident.end
        if incident.kind == "channel":
            return [Line(alert.name, "What"), Line("It takes alerts again, and is sent what it missed.")]
        if incident.kind == "storm":
            return [Line(f"All of it is over: {names(incident.devices)}.")]
        over = Line(names(incident.devices), "All are back") if incident.kind == "leftover" else _what(alert)
        lines = [over, _where(alert, self.city), *_flapped(incident, self.city)]
        if end:
            lines += [_lasted(alert, end, self.city), *_measured(end)]
        if incident.kind == "alert":
            lines += _folded(incident)
        if incident.members:
            still = things(dict(map(named, incident.members.values())))
            lines.append(Line(f"{still}; what stays down is sent by itself.", "Not back yet"))
        return [*lines, *self._runbook()]

    def _runbook(self) -> list[Line]:
        return [Line(self.rule.runbook, "Runbook")] if self.rule else []


def marked(incident: Incident, title: str) -> str:
    """A title by which nobody takes a drill for an incident."""
    return f"DRILL · {title}" if incident.lead.is_drill else title


def title_of(incident: Incident, city: City) -> str:
    """What is said of its beginning."""
    what = _subject(incident, city)
    if incident.is_flapping:
        return f"Flapping: {what}"
    return _headline(incident, city) if incident.kind == "alert" else what[0].upper() + what[1:]


def _headline(incident: Incident, city: City) -> str:
    """An alert, with how many devices and rooms it is about."""
    return f"{_rule(incident.lead).capitalize()}: {_named(incident.lead, city, _size(incident))}"


def _size(incident: Incident) -> str:
    """How much is affected. Of an outage it is what was measured: its devices have alerts of their own minutes later, and until
    then a count of them would say that it is small.
    """
    if incident.lead.signal == _OF_A_PLACE:
        return f" ({_reading(incident.lead)})"
    return f" ({things(incident.folded)})" if incident.folded else ""


def _named(alert: Alert, city: City, size: str = "") -> str:
    """What an alert is about and its city, whose name is not said twice."""
    return f"{alert.name}{size}" if alert.name == city.name else f"{alert.name}{size}, {city.name}"


def _subject(incident: Incident, city: City) -> str:
    alert = incident.lead
    if incident.kind == "leftover":
        return f"still down after the outage, {things(incident.folded)}, {_place(alert, city)}"
    if incident.kind == "storm":
        return f"and {counted(len(incident.folded), 'more alert')}, {city.name}"
    what = "channel broken" if incident.kind == "channel" else _rule(alert)
    return f"{what}, {_named(alert, city)}"


def _rule(alert: Alert) -> str:
    return alert.rule_id.replace("-", " ")


def _missed(missed: Sequence[Incident], city: City, *, daily: bool) -> list[Line]:
    rest = len(missed) - NAMES_SHOWN
    lines = [Line(f"{title_of(one, city)}, {_when(one, city)}") for one in missed[:NAMES_SHOWN]]
    more = [Line(f"And {rest} more, which are on the page.")] if rest > 0 else []
    over = "Nobody was notified of these, since they were over before your hours began:"
    return [Line("You are notified of these once a day:" if daily else over), *lines, *more]


def _when(incident: Incident, city: City) -> str:
    begins = incident.begun[0] if incident.begun else incident.lead.started_at
    if incident.open:
        return f"since {moment(begins, city.time_zone)} ({city.time_zone}), and still so"
    ends = incident.end.observed_at if incident.end else incident.ended_at or begins
    return span(begins, ends, city.time_zone)


def _flapping(incident: Incident, city: City) -> list[Line]:
    if not incident.is_flapping:
        return []
    since = moment(incident.begun[0], city.time_zone)
    quiet = f"its end is sent when it has been quiet for {duration(FLAPPING)}"
    return [Line(f"It comes and goes: {len(incident.begun)} times since {since} ({city.time_zone}); {quiet}.")]


def _flapped(incident: Incident, city: City) -> list[Line]:
    if not incident.is_flapping:
        return []
    text = f"it began {len(incident.begun)} times, {_when(incident, city)}, and has been quiet for {duration(FLAPPING)}"
    return [Line(text, "Flapped")]


def _severity(alert: Alert) -> Line:
    return Line(f"{SEVERITY_NAMES[alert.severity]} ({alert.severity} of {len(SEVERITY_NAMES)}, 1 is worst)", "Severity")


def _what(alert: Alert) -> Line:
    product = f" ({alert.product})" if alert.product and alert.product != alert.name else ""
    return Line(f"{kind_of(alert.entity)} {alert.name}{product}", "What")


def _fault(alert: Alert) -> list[Line]:
    """What is wrong, by the names of a device's issues; a code without one is shown as Webex gives it."""
    called = dict.fromkeys(OF_CODE[code].name if code in OF_CODE else code for code in codes_of(alert.signal, alert.text))
    return [Line(names(list(called)), "Fault")] if called else _which(alert)


def _which(alert: Alert) -> list[Line]:
    """What a text says that names no issues: which floor, which devices."""
    return [Line(alert.text, "Which")] if alert.text else []


def _steps(alert: Alert) -> list[Line]:
    """What to do first about its worst issues."""
    codes = codes_of(alert.signal, alert.text)
    known = sorted((OF_CODE[code] for code in codes if code in OF_CODE), key=lambda issue: GRADES.index(issue.grade))
    steps = dict.fromkeys(issue.step for issue in known if issue.step)
    return [Line(step, "Do") for step in list(steps)[:STEPS_SHOWN]]


def _folded(incident: Incident) -> list[Line]:
    """What is folded in, by number and name."""
    return [Line(f"{things(incident.folded)}: {names(incident.devices)}", "Affected")] if incident.folded else []


def _measured(alert: Alert) -> list[Line]:
    """What was measured, as part of a sentence."""
    if alert.signal == _SAYS_NOTHING:
        return []
    signal = signal_of(alert.signal)
    threshold = signal.said(alert.threshold) if signal else f"{alert.threshold:g}"
    return [Line(f"{_reading(alert)}, threshold {threshold}", "Measured")]


def _reading(alert: Alert) -> str:
    signal = signal_of(alert.signal)
    return signal.in_words(alert.value) if signal else f"{alert.signal} {alert.value:g}"


def _place(alert: Alert, city: City) -> str:
    return ", ".join(dict.fromkeys(place for place in (alert.location_name, city.name) if place))


def _where(alert: Alert, city: City) -> Line:
    places = [alert.workspace_name, (alert.details or {}).get("floor"), alert.location_name, city.name]
    return Line(", ".join(dict.fromkeys(place for place in places if place and place != alert.name)) or city.name, "Where")


def _since(alert: Alert, city: City) -> Line:
    since, age = moment(alert.started_at, city.time_zone), lasting(alert.started_at, alert.observed_at)
    return Line(f"{since} ({city.time_zone})" + (f", {age} before this alert" if age else ""), "Since")


def _lasted(alert: Alert, end: Alert, city: City) -> Line:
    age = lasting(alert.started_at, end.observed_at)
    return Line(", ".join(filter(None, (age, span(alert.started_at, end.observed_at, city.time_zone)))), "Lasted")
