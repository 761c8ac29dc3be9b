"""What is declared: which rule watches which city with which threshold, whom it notifies, and where that has holes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from activator.rules import Override, Rule, rules_of_city
from infra.review.findings import Finding, listed
from infra.settings.contacts import LOUD, Contact, When, overlap, receivers, unheard_hours
from infra.settings.stack import City, StackSettings

ENDS_SOON = timedelta(days=14)
LONG_MUTE = timedelta(days=90)
URGENT = 2
"""Severities up to this one must reach somebody at every hour."""
_SEVERITY_OF_SMS = 2
"""Text messages for less than this severity wake people for what can wait, and Azure sends one per number in five minutes."""


@dataclass(frozen=True)
class Recipient:
    """Somebody who is notified, and the terms (severities, hours)."""

    kind: str
    label: str
    terms: str


@dataclass(frozen=True)
class Cell:
    """One rule in one city as it holds on the day of the review; `rule` is None where it is muted."""

    city: str
    declared: Rule
    rule: Rule | None
    override: Override | None
    recipients: tuple[Recipient, ...]


def coverage(stack: StackSettings, rules: Sequence[Rule], today: str) -> tuple[Cell, ...]:
    """Every city with every rule that cities have, in the order of the stack file and of the rules' ids."""
    return tuple(cell for city in stack.cities for cell in _cells(city, rules, today))


def _cells(city: City, rules: Sequence[Rule], today: str) -> Iterator[Cell]:
    holding = {rule.id: rule for rule in rules_of_city(rules, city.overrides, today)}
    overrides = {override.rule_id: override for override in city.overrides}
    for declared in rules:
        if declared.by_platform:
            continue
        rule = holding.get(declared.id)
        severity = (rule or declared).severity
        heard_by = receivers(city.contacts, declared, severity)
        recipients = tuple(Recipient(contact.kind, contact.label, contact.terms) for contact in heard_by)
        yield Cell(city.slug, declared, rule, overrides.get(declared.id), recipients)


def declared_findings(stack: StackSettings, rules: Sequence[Rule], today: str) -> Iterator[Finding]:
    """Holes and doubts in what the stack file and the rules say."""
    day = date.fromisoformat(today)
    cells = coverage(stack, rules, today)
    for city in stack.cities:
        own = [cell for cell in cells if cell.city == city.slug]
        yield from _unheard(city, own)
        yield from _loud_for_little(city, own)
        yield from _contact_doubts(city)
        for override in city.overrides:
            yield from _override_doubts(city, override, rules, day)
    yield from _asleep(stack)
    yield from _unwatched(cells)


def _unheard(city: City, cells: Sequence[Cell]) -> Iterator[Finding]:
    """Rules whose severity reaches nobody at some hour."""
    by_gap: dict[tuple[int, str], list[str]] = {}
    for cell in cells:
        if cell.rule is not None and (gap := _gap(city, cell.rule)):
            by_gap.setdefault((cell.rule.severity, str(gap)), []).append(cell.rule.id)
    hours = f"{city.office_hours.opens} to {city.office_hours.closes}"
    words = {
        "always": "at any hour",
        "office-hours": f"in office hours ({hours})",
        "off-hours": f"outside office hours ({hours})",
    }
    for (severity, when), names in by_gap.items():
        if severity > URGENT and when != "always":
            continue  # what can wait until people are at work may wait
        yield Finding(
            "error" if severity <= URGENT else "warning",
            "nobody-notified",
            f"{city.slug} · {listed(names)}",
            f"nobody is notified of severity {severity} {words[when]}",
            f"Pulumi.<stack>.yaml, cities/{city.slug}/contacts: add a contact with severities: [{severity}] that holds then.",
            tuple((city.slug, name) for name in names),
        )


def _contact_doubts(city: City) -> Iterator[Finding]:
    receivers: dict[tuple[str, str], list[Contact]] = {}
    for contact in city.contacts:
        receivers.setdefault((contact.kind, contact.label), []).append(contact)
    for (kind, label), contacts in receivers.items():
        if any(overlap(first, second) for number, first in enumerate(contacts) for second in contacts[number + 1 :]):
            yield Finding(
                "warning",
                "notified-twice",
                city.slug,
                f"{kind} {label} is listed twice for the same severities and hours: one alert, two messages",
                f"Pulumi.<stack>.yaml, cities/{city.slug}/contacts/{kind}: keep one of the entries.",
            )


def _loud_for_little(city: City, cells: Sequence[Cell]) -> Iterator[Finding]:
    """Rules whose text messages wake people for what can wait."""
    noisy = [cell for cell in cells if cell.rule and cell.rule.severity > _SEVERITY_OF_SMS and _by_text_message(cell)]
    if noisy:
        numbers = {recipient.label for cell in noisy for recipient in cell.recipients if recipient.kind == "sms"}
        yield Finding(
            "warning",
            "text-messages-for-little",
            f"{city.slug} · {listed([cell.declared.id for cell in noisy])}",
            f"text messages to {listed(sorted(numbers))} for severities above {_SEVERITY_OF_SMS} wake people for what can wait",
            f"Pulumi.<stack>.yaml, cities/{city.slug}/contacts/sms: {{ to: ..., severities: [1, 2] }}; or the rule's channels.",
            tuple((city.slug, cell.declared.id) for cell in noisy),
        )


def _by_text_message(cell: Cell) -> bool:
    return any(recipient.kind == "sms" for recipient in cell.recipients)


def _override_doubts(city: City, override: Override, rules: Sequence[Rule], day: date) -> Iterator[Finding]:
    rule = next((rule for rule in rules if rule.id == override.rule_id), None)
    if rule is None:
        return  # the stack file refuses it
    where, cells = f"{city.slug} · {rule.id}", ((city.slug, rule.id),)
    until = date.fromisoformat(override.until)
    remove = f"Pulumi.<stack>.yaml, cities/{city.slug}/alerts/{rule.id}"
    what = change(override, rule)
    if until < day:
        text = f'{what}, "{override.because}", ended {override.until}: the default holds again'
        yield Finding("error", "override-ended", where, text, f"{remove}: take it out, or give a new reason and end.", cells)
        return
    if until - day <= ENDS_SOON:
        days = (until - day).days
        text = f'{what}, "{override.because}", ends {"today" if days == 0 else f"in {days} days"} ({override.until})'
        yield Finding("note", "override-ends-soon", where, text, f"{remove}: renew it with a reason, or let it end.", cells)
    if override.mute and until - day > LONG_MUTE:
        text = f'muted until {override.until} ("{override.because}"): a hole of {(until - day).days} days'
        yield Finding("warning", "long-mute", where, text, f"{remove}: shorten it, or raise the threshold instead.", cells)
    if override.mute and rule.severity == 1:
        text = f'severity 1 is muted until {override.until} ("{override.because}")'
        yield Finding(
            "warning", "urgent-muted", where, text, f"{remove}: raise forMinutes instead, so that it still fires.", cells
        )
    if override.severity is not None and override.severity > URGENT >= rule.severity:
        text = f'lowered from severity {rule.severity} to {override.severity} until {override.until} ("{override.because}")'
        yield Finding("warning", "severity-lowered", where, text, f"{remove}: is somebody still notified in time?", cells)


def change(override: Override, rule: Rule) -> str:
    """What an override changes, with the default beside it."""
    if override.mute:
        return "muted"
    parts = []
    if override.threshold is not None:
        parts.append(f"threshold {override.threshold:g} (default {rule.threshold:g})")
    if override.for_seconds is not None:
        parts.append(f"after {override.for_seconds / 60:g} min (default {rule.for_seconds / 60:g})")
    if override.severity is not None:
        parts.append(f"severity {override.severity} (default {rule.severity})")
    return ", ".join(parts)


def _asleep(stack: StackSettings) -> Iterator[Finding]:
    """Cities where the worst alert only lies in a mailbox until the morning."""
    quiet = [city.slug for city in stack.cities if not any(_is_loud(contact) for contact in city.contacts)]
    if quiet:
        yield Finding(
            "note",
            "mail-only",
            listed(quiet),
            f"severity 1 reaches {len(quiet)} of {len(stack.cities)} cities by e-mail only: nobody is woken at night",
            f"Add {', '.join(LOUD)} or a PagerDuty webhook with severities: [1], or accept that it waits for the morning.",
        )


def _gap(city: City, rule: Rule) -> When | None:
    return unheard_hours(receivers(city.contacts, rule, rule.severity), rule.severity)


def _is_loud(contact: Contact) -> bool:
    return 1 in contact.severities and contact.is_loud


def _unwatched(cells: Sequence[Cell]) -> Iterator[Finding]:
    """Rules that no city has left."""
    for rule in dict.fromkeys(cell.declared for cell in cells):
        if all(cell.rule is None for cell in cells if cell.declared.id == rule.id):
            cities = tuple((cell.city, rule.id) for cell in cells if cell.declared.id == rule.id)
            text = "is muted in every city: the rule can't fire at all"
            yield Finding("error", "muted-everywhere", rule.id, text, "Unmute it somewhere, or delete the rule.", cities)
