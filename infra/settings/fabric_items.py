"""What a stack shows and whom it notifies in Fabric, as items: the shared ones, and a report and alerts per city.

No shared item knows a city: a new one brings its own items and its own view in the live store, and changes nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from activator.declarations import DeclarationError, Fault
from activator.reflex import Action, reflex_entities, why_not
from activator.rules import Rule, rules_of_city
from infra.settings.contacts import receivers
from infra.settings.fabric import ACTIONS, EVENTHOUSES
from infra.settings.stack import City, StackSettings
from powerbi.city_view import city_view
from powerbi.items import WORKSPACE_ID, FabricItem, Reference
from powerbi.platform_file import as_json, platform_file
from powerbi.real_time_dashboard import DASHBOARD, dashboard
from powerbi.report import CONSOLIDATED, city_report, consolidated_report
from powerbi.semantic_model import DATABASE, semantic_model
from processors.contracts.facts import normalised

FORBIDDEN = frozenset('"/:<>\\*?|')
"""What neither an item's name nor a folder's may hold."""


@dataclass(frozen=True)
class Refusal:
    """A rule that Data Activator doesn't cover in a city, and why."""

    city: str
    rule_id: str
    reason: str


@dataclass(frozen=True)
class FabricItems:
    """Rendered items: `shared` in the order they refer to each other, `cities` by slug; what Activator does not cover.

    `eventhouse` is the one whose database they ask.
    """

    shared: tuple[FabricItem, ...]
    cities: Mapping[str, tuple[FabricItem, ...]]
    refusals: tuple[Refusal, ...]
    eventhouse: str


def fabric_items(stack: StackSettings, rules: Sequence[Rule], today: str) -> FabricItems:
    """All items of a stack as of a day (ISO date). Raises DeclarationError for cities whose names can't be items' names."""
    if faults := _name_faults(stack.cities):
        raise DeclarationError(f"The reports of stack {stack.stack} can't be named", faults)
    cities: dict[str, tuple[FabricItem, ...]] = {}
    refusals: list[Refusal] = []
    fabric = stack.azure.fabric if stack.azure else None
    actions = fabric.activator_actions if fabric else ACTIONS
    leading = [replace(rule, runbook=stack.runbook_of(rule)) for rule in rules]
    for city in stack.cities:
        alerts, refused = _city_alerts(city, leading, actions, today)
        cities[city.slug] = (city_report(city.slug, city.name, city.time_zone), *alerts)
        refusals += refused
    route = stack.azure.route if stack.azure else "azure"
    return FabricItems((semantic_model(), consolidated_report(), dashboard()), cities, tuple(refusals), EVENTHOUSES[route])


def view_of(city: City) -> str:
    """The Kusto command for a city's view."""
    hours = city.office_hours
    return city_view(city.slug, city.name, city.time_zone, hours.days, hours.opens, hours.closes, city.readers)


def _city_alerts(
    city: City, rules: Sequence[Rule], actions: Sequence[Action], today: str
) -> tuple[tuple[FabricItem, ...], list[Refusal]]:
    expressed: list[tuple[Rule, tuple[str, ...]]] = []
    refused = [Refusal(city.slug, rule.id, str(why_not(rule, ()))) for rule in rules if rule.by_platform]
    for rule in rules_of_city(rules, city.overrides, today):
        recipients = _recipients(city, rule)
        reason = why_not(rule, recipients)
        if reason is None:
            expressed.append((rule, recipients))
        else:
            refused.append(Refusal(city.slug, rule.id, reason))
    if not expressed:
        return (), refused
    name = f"Alerts {city.name}"
    entities = reflex_entities(
        city.slug,
        expressed,
        actions,
        workspace_id=WORKSPACE_ID.placeholder,
        database_id=Reference("KQLDatabase", DATABASE, "id").placeholder,
    )
    parts = {".platform": platform_file("Reflex", name), "ReflexEntities.json": as_json(entities)}
    return (FabricItem("Reflex", name, parts),), refused


def _recipients(city: City, rule: Rule) -> tuple[str, ...]:
    """E-mail addresses notified of this rule at every hour, at once."""
    at_once = (one for one in receivers(city.contacts, rule, rule.severity) if one.when == "always" and not one.after)
    return tuple(contact.to for contact in at_once if contact.kind == "email" and contact.to)


def _name_faults(cities: Sequence[City]) -> list[Fault]:
    counted = Counter(normalised(city.name) for city in cities)
    taken = {normalised(CONSOLIDATED), normalised(DASHBOARD)}
    faults = []
    for city in cities:
        path = f"cities/{city.slug}/name"
        if city.slug == CONSOLIDATED.lower().replace(" ", "-"):  # Pulumi's name of the report (infra/fabric/workspace.py)
            faults.append(Fault(f"cities/{city.slug}", "is what the report of all cities is called: take another slug."))
        if counted[normalised(city.name)] > 1 or normalised(city.name) in taken:
            faults.append(Fault(path, f'"{city.name}" is the name of another report (case does not count, nor how it is typed).'))
        if FORBIDDEN & set(city.name) or city.name != city.name.strip(" ."):
            text = f"leave out {' '.join(sorted(FORBIDDEN))}, and spaces and full stops at its ends."
            faults.append(Fault(path, f"\"{city.name}\" can't be a file's name: {text}"))
    return faults
