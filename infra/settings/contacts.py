"""Who is told about a city's alerts, for which severities and when: the parts `contacts` and `officeHours` of a city, typed.

What is secret (a bot's token, a signing key, an address that is itself a password) is only named here; the value is in Key Vault,
locally in the environment or in a file (docs/configuration.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from activator.declarations import Fault
from activator.rules import Rule
from processors.alert_fanout.channel_kind import Address, ContactKind
from processors.alert_fanout.channel_kinds import CONTACT_KINDS
from processors.contracts.facts import SEVERITIES, WEEKDAYS, OfficeHours
from processors.contracts.validation import is_this_machine

_PLAIN = Address(template="roompulse")
PEOPLE = tuple(name for name, kind in CONTACT_KINDS.items() if kind.reaches_people(_PLAIN))
"""Kinds of contacts whom an alert reaches whatever else is written of them."""
LOUD = tuple(name for name, kind in CONTACT_KINDS.items() if kind.loud(_PLAIN))
"""Those that are heard at night."""
When = Literal["always", "office-hours", "off-hours"]


@dataclass(frozen=True)
class Contact:
    """One way to somebody.

    `to` is an e-mail address, a telephone number (E.164), a webhook's address, a Webex room's id or a person's e-mail address.
    Where the address is itself a secret, `to` is None and `address_secret` names it. `secret` names the signing key, routing key,
    password or bot token, whatever the kind needs.
    """

    kind: str
    to: str | None
    address_secret: str | None = None
    secret: str | None = None
    template: str | None = None
    severities: tuple[int, ...] = SEVERITIES
    when: When = "always"

    @property
    def label(self) -> str:
        """What people know the contact by; it gives no secret away, and of an address only the host."""
        return self._kind.label(self.address)

    @property
    def address(self) -> Address:
        """Where it is, as its kind knows it."""
        return Address(self.to, self.address_secret, self.secret, self.template)

    @property
    def terms(self) -> str:
        """For what and when, such as `severity 1, 2 in office hours`; empty for everything at every hour."""
        what = "" if self.severities == SEVERITIES else f"severity {', '.join(map(str, self.severities))}"
        hours = {"always": "", "office-hours": "in office hours", "off-hours": "outside office hours"}[self.when]
        return " ".join(part for part in (what, hours) if part)

    @property
    def reaches_people(self) -> bool:
        """Whether somebody hears it: a plain webhook's receiver is a program, of which nobody knows whether it tells anyone."""
        return self._kind.reaches_people(self.address)

    @property
    def is_loud(self) -> bool:
        """Whether it is heard at night; e-mail waits for the morning."""
        return self._kind.loud(self.address)

    @property
    def is_on_this_machine(self) -> bool:
        """Whether its address is a loopback one, as far as the stack file says it: nobody is told there."""
        try:
            return is_this_machine(urlsplit(self.to or "").hostname or "")
        except ValueError:
            return False

    @property
    def channel(self) -> dict[str, Any] | None:
        """The channel of the fan-out that tells it, without its terms; None where Azure Monitor does."""
        return self._kind.channel(self.address) if self._kind.channel else None

    @property
    def _kind(self) -> ContactKind:
        return CONTACT_KINDS[self.kind]


@dataclass(frozen=True)
class Audience:
    """Contacts of one kind and the same terms: Azure Monitor tells them together. `name` is unique within its city."""

    kind: str
    severities: tuple[int, ...]
    when: When
    contacts: tuple[Contact, ...]

    @property
    def name(self) -> str:
        """Such as `email`, `sms-12` (severities 1 and 2) or `sms-1-off-hours`."""
        severities = "" if self.severities == SEVERITIES else "".join(map(str, self.severities))
        return "-".join(part for part in (self.kind, severities, "" if self.when == "always" else self.when) if part)

    @property
    def addresses(self) -> tuple[str, ...]:
        """E-mail addresses or telephone numbers."""
        return tuple(contact.to for contact in self.contacts if contact.to)


def audiences(contacts: Iterable[Contact], kind: str) -> tuple[Audience, ...]:
    """The audiences of one kind, in the order of their first contacts."""
    grouped: dict[tuple[tuple[int, ...], When], list[Contact]] = {}
    for contact in contacts:
        if contact.kind == kind:
            grouped.setdefault((contact.severities, contact.when), []).append(contact)
    return tuple(Audience(kind, severities, when, tuple(found)) for (severities, when), found in grouped.items())


def told(contacts: Iterable[Contact], rule: Rule, severity: int) -> tuple[Contact, ...]:
    """Who of some contacts hears of an alert of this severity: the contact wants it, and the rule tells its kind."""
    return tuple(one for one in contacts if severity in one.severities and severity in rule.channels[one.kind])


def secret_names(contacts: Iterable[Contact]) -> tuple[str, ...]:
    """The secrets these contacts need, by name, in alphabetical order."""
    named = {name for contact in contacts for name in (contact.secret, contact.address_secret) if name}
    return tuple(sorted(named))


def unheard_hours(contacts: Iterable[Contact], severity: int) -> When | None:
    """When nobody hears of an alert of this severity: never (None), always, in office hours or outside them."""
    heard = {contact.when for contact in contacts if severity in contact.severities and contact.reaches_people}
    if "always" in heard or heard >= {"office-hours", "off-hours"}:
        return None
    if not heard:
        return "always"
    return "office-hours" if heard == {"off-hours"} else "off-hours"


def contacts_of(contacts: Mapping[str, Any]) -> tuple[Contact, ...]:
    """The contacts of a part `contacts` that has no faults."""
    return tuple(_contact(kind, written) for kind in CONTACT_KINDS for written in contacts.get(kind, ()))


def office_hours_of(hours: Mapping[str, Any]) -> OfficeHours:
    """The hours of a part `officeHours` that has no faults."""
    standard = OfficeHours()
    days = tuple(day for day in WEEKDAYS if day in hours.get("days", standard.days))
    return OfficeHours(days, hours.get("from", standard.opens), hours.get("to", standard.closes))


def contact_faults(path: str, city: Mapping[str, Any]) -> list[Fault]:
    """What a schema can't say about a city's contacts and hours; `path` is the city's."""
    return _hours_faults(path, city.get("officeHours")) + _address_faults(f"{path}/contacts", city.get("contacts"))


def unheard_faults(path: str, contacts: Any) -> list[Fault]:
    """A deployed city where at some hour nobody hears of severity 1. Silent while the part has other faults."""
    try:
        hours = unheard_hours(contacts_of(contacts), 1)
    except (KeyError, TypeError, AttributeError, ValueError):
        return []  # of the wrong form, which the schema says better
    gap = {"always": "", "office-hours": " in office hours", "off-hours": " outside office hours"}
    if hours is None:
        return []
    return [
        Fault(
            path,
            f"nobody is told when it matters: a deployed city needs a contact for severity 1{gap[hours]} whom an alert reaches "
            f"({', '.join(PEOPLE)}, or a webhook with a template).",
        )
    ]


def _contact(kind: str, written: Any) -> Contact:
    """A contact as written: plain text, or a mapping."""
    entry = _entry(CONTACT_KINDS[kind], written)
    terms = tuple(sorted(entry.get("severities", SEVERITIES))), entry.get("when", "always")
    return Contact(kind, *CONTACT_KINDS[kind].read(entry), *terms)


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


def _address_faults(path: str, contacts: Any) -> list[Fault]:
    faults: list[Fault] = []
    for name, kind in CONTACT_KINDS.items():
        listed = contacts.get(name) if isinstance(contacts, Mapping) else None
        for index, written in enumerate(listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ()):
            where = f"{path}/{name}/{index}"
            for at, text in kind.faults(_entry(kind, written)):
                faults.append(Fault(f"{where}/{at}" if at and isinstance(written, Mapping) else where, text))
    return faults
