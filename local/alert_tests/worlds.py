"""The world of a case: its cities as a stack would have them, with names of their own, so that many cases fit into one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from activator.declarations import Fault
from activator.rule_tests import RuleTest
from activator.rules import Rule
from infra.settings.contacts import Contact, contacts_of, office_hours_of
from infra.settings.stack import City, Poll, StackSettings, override_of
from processors.alert_fanout.channel_kinds import CONTACT_KINDS
from processors.contracts.facts import WEEKDAYS

MONDAY = datetime(2026, 3, 2)  # noqa: DTZ001 - a city says in which time zone
"""Every case begins in the week of this day, of which nothing is special: no change of the clocks, no holiday."""
KINDS = tuple(CONTACT_KINDS)
SHORT = {"everybody": KINDS, "chat": tuple(name for name, kind in CONTACT_KINDS.items() if kind.chat)}
"""What a case may write for several kinds of contacts."""
TODAY = "2026-03-02"
_POLL = Poll(60, 15, 60, (), 4, 2, 300, 60, 1440, (), False, 72, False)


@dataclass(frozen=True)
class World:
    """A case of a rule, under rules that hold in it (the rule itself, perhaps changed by a mutant, and `with` others).

    `number` distinguishes cases of one run. `blind_to_maintenance` and `notified_elsewhere` are what mutants do to it.
    """

    number: int
    rule: Rule
    case: RuleTest
    rules: tuple[Rule, ...]
    overridden_everywhere: bool = False
    overrides_ignored: bool = False
    blind_to_maintenance: bool = False
    notified_elsewhere: bool = False

    @cached_property
    def cities(self) -> dict[str, City]:
        """The cities of the case by the name the case gives them. Their slugs are of this case alone."""
        names = dict.fromkeys(key.split("/")[0] for key in self.case.series)
        found = {name: self._city(name) for name in names}
        if self.overrides_ignored:
            return {name: replace(city, overrides=()) for name, city in found.items()}
        if self.overridden_everywhere:
            overrides = next((city.overrides for city in found.values() if city.overrides), ())
            return {name: replace(city, overrides=overrides) for name, city in found.items()}
        return found

    @cached_property
    def stack(self) -> StackSettings:
        """The stack that has these cities."""
        return StackSettings("test", tuple(self.cities.values()), _POLL, None)

    @property
    def start(self) -> datetime:
        """When the first poll is, in UTC."""
        day, time = self.case.start.split()
        hours, minutes = map(int, time.split(":"))
        local = MONDAY + timedelta(days=WEEKDAYS.index(day), hours=hours, minutes=minutes)
        return local.replace(tzinfo=ZoneInfo(next(iter(self.cities.values())).time_zone)).astimezone(UTC)

    def slug(self, name: str) -> str:
        """The slug of a city of the case."""
        return f"c{self.number}-{name}"

    def name_of(self, slug: str) -> str:
        """The name the case gives to the city with this slug."""
        return slug.removeprefix(f"c{self.number}-")

    def addresses(self, city: str, named: Sequence[str], state: str) -> frozenset[str]:
        """Everybody whom a list of kinds and addresses means, by `kind address`. Of a kind, whoever can be notified of this
        state: the first, or those to whom it escalates.
        """
        late = {"fired": (False,), "escalated": (True,)}.get(state, (False, True))
        contacts = [contact for contact in self.cities[city].contacts if bool(contact.after) in late]
        found: set[str] = set()
        for entry in named:
            kinds = SHORT.get(entry, (entry,))
            meant = [contact for contact in contacts if contact.kind in kinds or entry in (contact.to, contact.address_secret)]
            found |= {address_of(contact) for contact in meant} or {entry}
        return frozenset(found)

    def _city(self, name: str) -> City:
        written: Mapping[str, Any] = (self.case.cities or {}).get(name, {})
        overrides = written.get("alerts", {})
        return City(
            slug=self.slug(name),
            name=name.replace("-", " ").title(),
            time_zone=written.get("timeZone", "UTC"),
            webex_locations=(name,),
            devices=10,
            contacts=contacts_of(written.get("contacts", _contacts(name))),
            overrides=tuple(override_of(rule_id, override) for rule_id, override in overrides.items()),
            office_hours=office_hours_of(written.get("officeHours", {})),
        )


def address_of(contact: Contact) -> str:
    """A contact as results name it."""
    return f"{contact.kind} {contact.to or contact.address_secret}"


def world_faults(rule: Rule, rules: Sequence[Rule]) -> list[Fault]:
    """What is wrong with the cities of a rule's cases: overrides and settings as a stack file would refuse them."""
    from infra.settings.stack import city_faults

    faults = []
    known = {one.id: one for one in rules}
    for index, case in enumerate(rule.tests):
        for name, written in (case.cities or {}).items():
            whole = {
                "name": name,
                "timeZone": "UTC",
                "webexLocations": [name],
                "contacts": _contacts(name),
                **written,
            }
            for fault in city_faults({name: whole}, known):
                where = fault.path.removeprefix("cities/")
                faults.append(Fault(f"{rule.id}.yaml/tests/{index}/cities/{where}", fault.message))
    return faults


def _contacts(name: str) -> dict[str, Any]:
    """One contact of every kind, notified of everything at every hour."""
    return {kind: [contact.examples(name)] for kind, contact in CONTACT_KINDS.items()}
