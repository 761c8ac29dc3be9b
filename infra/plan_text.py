"""How a plan reads: one screen for an operator, or every property for a reviewer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from infra.parts import kind_of
from infra.plan import TEXT, Plan, PlannedResource, Service
from infra.settings.sizing import Need, figure

SAME = re.compile(r"tags\.|(content|sha256|contentHash|modelHash|definitionHash|forceUpdateTag|resourceGroupName|location)$")
"""Properties that are the same everywhere, or another with every change of the code: no help in a review."""


def render(plan: Plan) -> str:
    """The plan on one screen: what it carries and why that is enough, what is open, who may do what, what there is."""
    parts = (_head, _sizing, _pages, _resources, _cities, _identities)
    blocks = ("\n".join(line.rstrip() for line in part(plan)) for part in parts)
    return "\n\n".join(block for block in blocks if block)


def render_details(plan: Plan) -> str:
    """The plan with every resource and every property, for a review."""
    lines = [render(plan), ""]
    for service in plan.services:
        lines += ["", service.title]
        for resource in service.resources:
            lines.append(f"  {resource.name}  [{resource.type}]{'  protected' if resource.protected else ''}")
            lines += [f"    {path}: {_line(value)}" for path, value in resource.properties.items() if not SAME.match(path)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(plan: Plan) -> Iterator[str]:
    cities = f"{len(plan.cities)} {_counted('city', len(plan.cities))}"
    yield f"{plan.stack} · {plan.location} · route {plan.route} · {cities}, {plan.devices:,} devices, poll {plan.poll_seconds} s"
    yield (
        f"  carries      {figure(plan.observations_per_second, 0)} obs/s steady, {figure(plan.snapshot_per_second, 0)} obs/s "
        f"in a full snapshot, {plan.webex_requests} Webex requests a poll"
    )
    yield from _labelled("public", plan.public)
    yield from _labelled("keys", plan.keys or ("none",))


def _labelled(label: str, entries: tuple[str, ...]) -> Iterator[str]:
    for index, entry in enumerate(entries):
        yield f"  {label if index == 0 else '':<12} {entry}"


def _sizing(plan: Plan) -> Iterator[str]:
    yield "  needs and has"
    for need in plan.needs:
        yield f"    {need.what:<38} {figure(need.needed):>7} of {figure(need.declared):<7} {_why(need)}"


def _pages(plan: Plan) -> Iterator[str]:
    """What each page of a report makes the live store read: nobody sees it otherwise before it is slow."""
    if not plan.pages:
        return
    yield "  reports, for each person who looks (an estimate of rows read in a minute)"
    for page in sorted(plan.pages, key=lambda one: (one.report, -one.rows)):
        yield f"    {f'{page.report}: {page.page}':<38} {page.rows:>13,} rows for {page.visuals} visuals"


def _why(need: Need) -> str:
    return need.because[0].upper() + need.because[1:] if need.because[0].isalpha() else need.because


def _resources(plan: Plan) -> Iterator[str]:
    total = sum(len(service.resources) for service in plan.services)
    yield f"  {total} resources"
    for service in plan.services:
        if not service.city:
            yield f"    {service.title:<20} {_summary(service)}"


def _cities(plan: Plan) -> Iterator[str]:
    """A line per city: what it brings, whom it notifies, and below it what it has changed."""
    brought = {service.city: _summary(service) for service in plan.services if service.city}
    width = max((len(text) for text in brought.values()), default=0)
    yield "  cities"
    for city in plan.cities:
        yield f"    {city.slug:<20} {city.devices:>6,} devices   {brought[city.slug]:<{width}}  {', '.join(city.people)}"
        for override in city.overrides:
            yield f"    {'':<20} {override}"


def _summary(service: Service) -> str:
    counts = Counter(_word(resource) for resource in service.resources)
    return ", ".join(word if count == 1 else f"{count} {_counted(word, count)}" for word, count in counts.items())


def _word(resource: PlannedResource) -> str:
    return kind_of(resource.type).called(resource.name, resource.properties)


def _counted(word: str, count: int) -> str:
    if count == 1:
        return word
    return f"{word[:-1]}ies" if word.endswith(("ty", "cy")) else f"{word}s"


def _identities(plan: Plan) -> Iterator[str]:
    yield "  identities and what each may do"
    last = ""
    for grant in plan.grants:
        yield f"    {grant.identity if grant.identity != last else '':<12} {grant.role} on {grant.on}"
        last = grant.identity


def _line(value: object) -> str:
    return TEXT.sub("<text>", str(value).replace("\n", "\\n"))
