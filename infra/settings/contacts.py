"""Who is notified about a city's alerts, for which severities and when: the parts `contacts` and `officeHours` of a city, typed.

What is secret (a bot's token, a signing key, an address that is itself a password) is only named here; the value is in Key Vault,
locally in the environment or in a file (docs/configuration.md).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from activator.declarations import Fault, did_you_mean
from activator.rule_tests import seconds
from activator.rules import Rule
from infra.azure.limits import EMAIL_ADDRESS, EMAILS_PER_ACTION_GROUP, SMS_COUNTRIES, SMS_PER_ACTION_GROUP
from processors.alert_fanout.channel_kind import Address, ContactKind, Terms, span_of
from processors.alert_fanout.channel_kinds import CONTACT_KINDS
from processors.contracts.facts import SEVERITIES, WEEKDAYS, OfficeHours
from processors.contracts.validation import is_this_machine

_PLAIN = Address(template="roompulse")
PEOPLE = tuple(name for name, kind in CONTACT_KINDS.items() if kind.reaches_people(_PLAIN))
"""Kinds of contacts whom an alert reaches whatever else is written of them."""
LOUD = tuple(name for name, kind in CONTACT_KINDS.items() if kind.loud(_PLAIN))
"""Those that are heard at night."""
When = Literal["always", "office-hours", "off-hours", "daily"]
SOONEST_AFTER, LATEST_AFTER = 60, 86_400
"""How soon, and how late at most, an alert escalates, in seconds."""
SHORTEST_REPEAT, LONGEST_REPEAT = 600, 604_800
"""How often at most, and at least, somebody is reminded, in seconds."""
MOST_NOTIFIED_TOGETHER = {"email": EMAILS_PER_ACTION_GROUP, "sms": SMS_PER_ACTION_GROUP}
_HOURS = {"always": "", "office-hours": "in office hours", "off-hours": "outside office hours", "daily": "in a daily digest"}
_SPAN = re.compile(r"[1-9][0-9]*[mh]")
_ONE_DIGIT = "17"
_TWO_DIGITS = re.compile(r"2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]")
"""ITU country codes of two digits; all that start otherwise have three."""


@dataclass(frozen=True)
class Contact:
    """One way to somebody.

    `to` is an e-mail address, a telephone number (E.164), a webhook's address, a Webex room's id or a person's e-mail address.
    Where the address is itself a secret, `to` is None and `address_secret` names it. `secret` names the signing key, routing key,
    password or bot token, whatever the kind needs, `back_secret` the one by which what a service sends back is known. `rules` are
    those it is notified of (none: all); `after` the seconds in which nobody has acknowledged, at which it is notified; `repeat`
    the seconds after which it is notified once more.
    """

    kind: str
    to: str | None
    address_secret: str | None = None
    secret: str | None = None
    template: str | None = None
    back_secret: str | None = None
    severities: tuple[int, ...] = SEVERITIES
    when: When = "always"
    rules: tuple[str, ...] = ()
    after: int = 0
    repeat: int = 0

    @property
    def label(self) -> str:
        """What people know the contact by; it gives no secret away, and of an address only the host."""
        return self._kind.label(self.address)

    @property
    def address(self) -> Address:
        """Where it is, as its kind knows it."""
        return Address(self.to, self.address_secret, self.secret, self.template, self.back_secret)

    @property
    def terms(self) -> str:
        """For what and when, such as `severity 1, 2 in office hours, after 15m without acknowledgement`; empty for everything at
        every hour.
        """
        what = "" if self.severities == SEVERITIES else f"severity {', '.join(map(str, self.severities))}"
        parts = (
            " ".join(filter(None, (what, _HOURS[self.when]))),
            f"only {', '.join(self.rules)}" if self.rules else "",
            f"after {span_of(self.after)} without acknowledgement" if self.after else "",
            f"again every {span_of(self.repeat)}" if self.repeat else "",
        )
        return ", ".join(filter(None, parts))

    @property
    def channel_terms(self) -> Terms:
        """The terms by which it is notified."""
        return Terms(self.severities, self.when, self.rules, self.after, self.repeat)

    @property
    def is_notified_first(self) -> bool:
        """Whether it is notified of whatever has its severities, as soon as its hours let it: not of some rules only, not when
        somebody else has not acknowledged, not once a day.
        """
        return not self.rules and not self.after and self.when != "daily"

    @property
    def reaches_people(self) -> bool:
        """Whether somebody hears it: a plain webhook's receiver is a program, and nobody knows whether it notifies anyone."""
        return self._kind.reaches_people(self.address)

    @property
    def is_loud(self) -> bool:
        """Whether it is heard at night; e-mail waits for the morning."""
        return self._kind.loud(self.address)

    @property
    def is_on_this_machine(self) -> bool:
        """Whether its address is a loopback one, as far as the stack file says it: nobody is notified there."""
        try:
            return is_this_machine(urlsplit(self.to or "").hostname or "")
        except ValueError:
            return False

    @property
    def channel(self) -> dict[str, Any] | None:
        """The channel of the fan-out that notifies it, without its terms; None where Azure Monitor does."""
        return self._kind.channel(self.address) if self._kind.channel else None

    @property
    def _kind(self) -> ContactKind:
        return CONTACT_KINDS[self.kind]


@dataclass(frozen=True)
class Audience:
    """Contacts of one kind and the same terms: Azure Monitor notifies them together. `name` is unique within its city."""

    kind: str
    terms: Terms
    contacts: tuple[Contact, ...]

    @property
    def name(self) -> str:
        """Such as `email`, `sms-12` (severities 1 and 2), `sms-1_off-hours` or `sms_after-15m`.

        A slug may follow it after a hyphen (`email-paris`): no slug begins with a digit or has an underscore, so that never two
        audiences of two cities have one name.
        """
        first, *more = self.terms.label.split(":")
        return "_".join([f"{self.kind}-{first}" if first.isdigit() else "_".join(filter(None, (self.kind, first))), *more])

    @property
    def addresses(self) -> tuple[str, ...]:
        """E-mail addresses or telephone numbers."""
        return tuple(contact.to for contact in self.contacts if contact.to)


def audiences(contacts: Iterable[Contact], kind: str) -> tuple[Audience, ...]:
    """The audiences of one kind, in the order of their first contacts."""
    grouped: dict[Terms, list[Contact]] = {}
    for contact in contacts:
        if contact.kind == kind:
            grouped.setdefault(contact.channel_terms, []).append(contact)
    return tuple(Audience(kind, terms, tuple(found)) for terms, found in grouped.items())


def receivers(contacts: Iterable[Contact], rule: Rule, severity: int) -> tuple[Contact, ...]:
    """Who of some contacts hears of an alert of this severity: the contact wants it, and the rule notifies its kind."""
    wanted = (one for one in contacts if severity in one.severities and (not one.rules or rule.id in one.rules))
    return tuple(one for one in wanted if severity in rule.channels[one.kind])


def secret_names(contacts: Iterable[Contact]) -> tuple[str, ...]:
    """The secrets these contacts need, by name, in alphabetical order."""
    named = {name for contact in contacts for name in (contact.secret, contact.address_secret, contact.back_secret) if name}
    return tuple(sorted(named))


def unheard_hours(contacts: Iterable[Contact], severity: int) -> When | None:
    """When nobody hears of an alert of this severity: never (None), always, in office hours or outside them."""
    first = (contact for contact in contacts if severity in contact.severities and contact.is_notified_first)
    heard = {contact.when for contact in first if contact.reaches_people}
    if "always" in heard or heard >= {"office-hours", "off-hours"}:
        return None
    if not heard:
        return "always"
    return "office-hours" if heard == {"off-hours"} else "off-hours"


def country_and_number(e164: str) -> tuple[str, str]:
    """`+33155550101` as Azure wants it: ("33", "155550101")."""
    digits = e164.removeprefix("+")
    length = 1 if digits[0] in _ONE_DIGIT else 2 if _TWO_DIGITS.match(digits) else 3
    return digits[:length], digits[length:]


def contacts_of(contacts: Mapping[str, Any]) -> tuple[Contact, ...]:
    """The contacts of a part `contacts` that has no faults."""
    return tuple(_contact(kind, written) for kind in CONTACT_KINDS for written in contacts.get(kind, ()))


def quiet_hours_of(hours: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """From when to when (HH:MM) nobody is notified of what is not urgent; of a part `quietHours` that has no faults."""
    return (hours["from"], hours["to"]) if hours else None


def office_hours_of(hours: Mapping[str, Any]) -> OfficeHours:
    """The hours of a part `officeHours` that has no faults."""
    standard = OfficeHours()
    days = tuple(day for day in WEEKDAYS if day in hours.get("days", standard.days))
    return OfficeHours(days, hours.get("from", standard.opens), hours.get("to", standard.closes))


def contact_faults(path: str, city: Mapping[str, Any], rules: Collection[str]) -> list[Fault]:
    """What a schema can't say about a city's contacts and hours; `path` is the city's, `rules` the ids of the alert rules."""
    contacts = city.get("contacts")
    return [
        *_hours_faults(path, city.get("officeHours")),
        *_quiet_faults(path, city.get("quietHours")),
        *_term_faults(f"{path}/contacts", contacts, rules),
        *_address_faults(f"{path}/contacts", contacts),
        *_repeated_faults(f"{path}/contacts", contacts),
    ]


def unheard_faults(path: str, contacts: Any) -> list[Fault]:
    """A deployed city where at some hour nobody hears of severity 1. Silent while the part has other faults."""
    hours = unheard_hours(contacts_of(contacts), 1) if _is_readable(contacts) else None
    gap = {"always": "", "office-hours": " in office hours", "off-hours": " outside office hours"}
    if hours is None:
        return []
    return [
        Fault(
            path,
            f"nobody is notified when it matters: a deployed city needs a contact for severity 1{gap[hours]} whom an alert "
            f"reaches ({', '.join(PEOPLE)}, or a webhook with a template).",
        )
    ]


def action_group_faults(path: str, contacts: Any) -> list[Fault]:
    """What Azure Monitor refuses of a deployed city's people (infra/azure/limits.py). Silent while the part has other faults."""
    if not _is_readable(contacts):
        return []
    receivers = contacts_of(contacts)
    addresses = [contact.to or "" for contact in receivers if contact.kind == "email"]
    return (
        _country_faults(path, receivers)
        + too_long_faults(f"{path}/email", addresses)
        + [
            Fault(
                f"{path}/{audience.kind}",
                f"{len(audience.contacts)} contacts want the same severities at the same hours, and Azure notifies {most} of "
                f"them together: give some other severities or hours, or notify them by webex, teams or webhook.",
            )
            for kind, most in MOST_NOTIFIED_TOGETHER.items()
            for audience in audiences(receivers, kind)
            if len(audience.contacts) > most
        ]
    )


def too_long_faults(path: str, addresses: Sequence[str]) -> list[Fault]:
    """E-mail addresses of more characters than an action group takes."""
    return [
        Fault(
            f"{path}/{index}",
            f"has {len(address)} characters, and Azure mails to addresses of {EMAIL_ADDRESS} at most: take a shorter alias.",
        )
        for index, address in enumerate(addresses)
        if len(address) > EMAIL_ADDRESS
    ]


def _country_faults(path: str, contacts: Iterable[Contact]) -> list[Fault]:
    numbers = [contact.to or "" for contact in contacts if contact.kind == "sms"]
    codes = [country_and_number(number)[0] if number.startswith("+") and number[1:] else "" for number in numbers]
    return [
        Fault(
            f"{path}/sms/{index}",
            f"+{code} is not a country that Azure sends text messages to: notify this person by email, webex, teams or webhook.",
        )
        for index, code in enumerate(codes)
        if code.isdigit() and int(code) not in SMS_COUNTRIES
    ]


def _repeated_faults(path: str, contacts: Any) -> list[Fault]:
    """A contact that would be notified of the same alert twice."""
    faults: list[Fault] = []
    if not _is_readable(contacts):
        return faults
    receivers = contacts_of(contacts)
    for kind in CONTACT_KINDS:
        of_kind = [contact for contact in receivers if contact.kind == kind]
        for index, contact in enumerate(of_kind):
            first = next((place for place, other in enumerate(of_kind[:index]) if _repeats(contact, other)), None)
            if first is not None:
                text = f"is notified already by {kind}/{first}: take one out, or give them other severities, hours or rules."
                faults.append(Fault(f"{path}/{kind}/{index}", text))
    return faults


def overlap(one: Contact, other: Contact) -> bool:
    """Whether both are notified of the same severity of the same rule at the same hour."""
    hours = "always" in (one.when, other.when) or one.when == other.when
    rules = not one.rules or not other.rules or bool(set(one.rules) & set(other.rules))
    return hours and rules and bool(set(one.severities) & set(other.severities))


def _repeats(one: Contact, other: Contact) -> bool:
    """Whether both are one address, which would be notified twice."""
    return _place(one) == _place(other) and overlap(one, other)


def _place(contact: Contact) -> Address:
    """Where a contact is, whatever the case of its letters."""
    return contact.address._replace(to=contact.to and contact.to.casefold())


def _is_readable(contacts: Any) -> bool:
    """Whether a part `contacts` has the form that its schema wants; what is wrong with it, the schema says better."""
    if not isinstance(contacts, Mapping) or not all(isinstance(contacts.get(kind, []), list) for kind in CONTACT_KINDS):
        return False  # a text would be read as its letters
    try:
        found = contacts_of(contacts)
    except (KeyError, TypeError, AttributeError, ValueError):
        return False
    addressed = all(isinstance(contact.to, str | None) and isinstance(contact.when, str) for contact in found)
    return addressed and all(severity in SEVERITIES for contact in found for severity in contact.severities)


def _contact(kind: str, written: Any) -> Contact:
    """A contact as written: plain text, or a mapping."""
    entry = _entry(CONTACT_KINDS[kind], written)
    terms = Terms(
        tuple(sorted(entry.get("severities", SEVERITIES))),
        entry.get("when", "always"),
        tuple(sorted(entry.get("rules", ()))),
        seconds(entry["after"]) if "after" in entry else 0,
        seconds(entry["repeat"]) if "repeat" in entry else 0,
    )
    return Contact(kind, *CONTACT_KINDS[kind].read(entry), *terms)  # type: ignore[arg-type] # the schema knows the words of `when`


def _entry(kind: ContactKind, written: Any) -> Mapping[str, Any]:
    return written if isinstance(written, Mapping) else {kind.plain: written}


def _hours_faults(path: str, hours: Any) -> list[Fault]:
    if not isinstance(hours, Mapping):
        return []
    standard = OfficeHours()
    opens, closes = hours.get("from", standard.opens), hours.get("to", standard.closes)
    if not all(isinstance(time, str) and re.fullmatch(r"[0-2][0-9]:[0-5][0-9]", time) for time in (opens, closes)):
        return []
    if opens < closes:
        return []
    order = "when" if opens == closes else "before"
    text = f'closes ({closes}) {order} it opens ({opens}): hours within one day are wanted, such as from: "08:00", to: "18:00".'
    return [Fault(f"{path}/officeHours", text)]


def _quiet_faults(path: str, hours: Any) -> list[Fault]:
    if not isinstance(hours, Mapping) or hours.get("from") != hours.get("to"):
        return []
    return [Fault(f"{path}/quietHours", 'begin when they end: give from and to, such as from: "22:00", to: "07:00".')]


def _term_faults(path: str, contacts: Any, rules: Collection[str]) -> list[Fault]:
    """Rules that are not there, times nobody would want, and reminders by what notifies once."""
    faults: list[Fault] = []
    for name, kind in CONTACT_KINDS.items():
        for index, written in enumerate(_entries(contacts, name)):
            if isinstance(written, Mapping):
                faults += _faults_of_terms(f"{path}/{name}/{index}", kind, written, rules)
    return faults


def _faults_of_terms(path: str, kind: ContactKind, written: Mapping[str, Any], rules: Collection[str]) -> Iterator[Fault]:
    for index, rule in enumerate(_sequence(written.get("rules"))):
        if isinstance(rule, str) and rule not in rules:
            yield Fault(f"{path}/rules/{index}", f'"{rule}" is not an alert rule.{did_you_mean(rule, rules)}')
    yield from _span_faults(path, "after", written, SOONEST_AFTER, LATEST_AFTER)
    yield from _span_faults(path, "repeat", written, SHORTEST_REPEAT, LONGEST_REPEAT)
    asked = [term for term in ("repeat",) if term in written] + ["when: daily"] * (written.get("when") == "daily")
    if asked and not _can_be_reminded(kind, written):
        text = "can't be kept: an alert is sent here once. Take webex, teams, slack or a webhook of your own."
        yield Fault(path, f"{' and '.join(asked)} {text}")
    if written.get("when") == "daily" and {"after", "repeat"} & set(written):
        yield Fault(path, "is notified once a day: after and repeat are for contacts that are notified of each alert.")


def _span_faults(path: str, term: str, written: Mapping[str, Any], least: int, most: int) -> Iterator[Fault]:
    text = written.get(term)
    if isinstance(text, str) and _SPAN.fullmatch(text) and not least <= seconds(text) <= most:
        yield Fault(f"{path}/{term}", f"{text} is not between {span_of(least)} and {span_of(most)}.")


def _can_be_reminded(kind: ContactKind, written: Mapping[str, Any]) -> bool:
    try:
        return kind.reminds(kind.read(written))
    except (KeyError, TypeError, AttributeError):
        return True  # of the wrong form, which the schema says better


def _address_faults(path: str, contacts: Any) -> list[Fault]:
    faults: list[Fault] = []
    for name, kind in CONTACT_KINDS.items():
        for index, written in enumerate(_entries(contacts, name)):
            where = f"{path}/{name}/{index}"
            for at, text in kind.faults(_entry(kind, written)):
                faults.append(Fault(f"{where}/{at}" if at and isinstance(written, Mapping) else where, text))
    return faults


def _entries(contacts: Any, kind: str) -> Sequence[Any]:
    """What is listed of a kind, as far as that is a list."""
    return _sequence(contacts.get(kind)) if isinstance(contacts, Mapping) else ()


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
