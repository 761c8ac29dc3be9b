"""How one plan differs from another: cities, resources and settings that came, went or changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infra.azure.limits import FIXED
from infra.plan import TEXT, Plan, PlannedCity, PlannedResource

HASH_LENGTH = 64
"""A SHA-256 in hexadecimal digits, of which the first twelve are enough to distinguish two."""


@dataclass(frozen=True)
class Change:
    """A property of a resource that is not the same: None where a plan does not have it."""

    resource: str
    path: str
    now: Any
    against: Any


@dataclass(frozen=True)
class Difference:
    """What `plan` has and `against` has not (added), the other way round (removed), and what both have differently."""

    plan: str
    against: str
    cities_added: tuple[str, ...]
    cities_removed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[Change, ...]
    refused: tuple[str, ...] = ()
    """What can't be deployed over what is there, and the way out; only between two plans of one stack."""

    @property
    def is_empty(self) -> bool:
        """Whether the plans say the same."""
        return not (self.added or self.removed or self.changed)


def compare(plan: Plan, against: Plan, *, label: str | None = None) -> Difference:
    """How `plan` differs from `against`, which `label` may call something else than its stack (a revision)."""
    now, then = _resources(plan), _resources(against)
    our_cities, their_cities = ({city.slug: city for city in side.cities} for side in (plan, against))
    of_cities = _of_cities(plan) | _of_cities(against)
    return Difference(
        plan=plan.stack,
        against=label or against.stack,
        cities_added=tuple(sorted(our_cities.keys() - their_cities.keys())),
        cities_removed=tuple(sorted(their_cities.keys() - our_cities.keys())),
        added=tuple(sorted(now.keys() - then.keys() - of_cities)),
        removed=tuple(sorted(then.keys() - now.keys() - of_cities)),
        changed=(*_city_changes(our_cities, their_cities), *_changes(now, then)),
        refused=tuple(_refused(plan, against)) if plan.stack == against.stack else (),
    )


def _refused(plan: Plan, against: Plan) -> Iterator[str]:
    """What Azure, or Pulumi for what holds data, would refuse in the middle of `pulumi up`."""
    anew = "deploy a new stack beside it, and destroy this one when it is no longer wanted"
    for name in ("location", "route", "organisation"):
        mine, other = getattr(plan, name), getattr(against, name)
        if mine != other and other:
            yield f"azure.{name} {other} → {mine}: everything would be made anew, and its data lost. Set it back, or {anew}."
    now, then = _resources(plan), _resources(against)
    for change in _changes(now, then):
        way_back = FIXED.get((now[change.resource].type, change.path))
        if way_back:
            moved = f"{change.resource}: {change.path} {_value(change.against)} → {_value(change.now)}"
            yield f"{moved} can't be changed once it is made: {way_back}, or {anew}."
    for name in sorted(then.keys() - now.keys()):
        if then[name].protected:
            yield f"{name} is protected and would be deleted: set azure.protect: false and run pulumi up before, or put it back."


def render_difference(difference: Difference) -> str:
    """The difference as lines with +, ~ and -; the first says how much there is."""
    added = [f"city {city}" for city in difference.cities_added] + list(difference.added)
    removed = [f"city {city}" for city in difference.cities_removed] + list(difference.removed)
    together: dict[str, list[str]] = {}
    for change in difference.changed:
        what = f"{change.path}: {_moved(change)}"
        together.setdefault(what, []).append(change.resource.rsplit(" ", 1)[-1])
    lines = [f"against {difference.against}:  + {len(added)}   ~ {len(together)}   - {len(removed)}"]
    lines += [f"  + {name}" for name in added] + [f"  - {name}" for name in removed]
    lines += [f"  ~ {what}  ({', '.join(resources)})" for what, resources in together.items()]
    lines += [f"  ! {refusal}" for refusal in difference.refused]
    return "\n".join(lines)


def _moved(change: Change) -> str:
    """From what to what; texts that aren't shown are just others, so that those of all cities stand together."""
    hashed = all(TEXT.fullmatch(str(value)) for value in (change.against, change.now))
    return "another text" if hashed else f"{_value(change.against)} → {_value(change.now)}"


def _resources(plan: Plan) -> dict[str, PlannedResource]:
    return {f"{resource.type} {resource.name}": resource for service in plan.services for resource in service.resources}


def _of_cities(plan: Plan) -> set[str]:
    """The resources that a city brings: they come and go with it, and are not reported one by one."""
    return {f"{resource.type} {resource.name}" for service in plan.services if service.city for resource in service.resources}


def _city_changes(now: Mapping[str, PlannedCity], then: Mapping[str, PlannedCity]) -> Iterator[Change]:
    for slug in sorted(now.keys() & then.keys()):
        for name, mine in asdict(now[slug]).items():
            other = getattr(then[slug], name)
            if mine != other:
                yield Change(slug, name, _listed(mine), _listed(other))


def _listed(value: Any) -> Any:
    return ", ".join(value) or None if isinstance(value, tuple) else value


def _changes(now: Mapping[str, PlannedResource], then: Mapping[str, PlannedResource]) -> Iterator[Change]:
    for name in sorted(now.keys() & then.keys()):
        ours, theirs = now[name], then[name]
        if ours.protected != theirs.protected:
            yield Change(name, "protected", ours.protected, theirs.protected)
        for path in sorted(ours.properties.keys() | theirs.properties.keys()):
            mine, other = ours.properties.get(path), theirs.properties.get(path)
            if mine != other:
                yield Change(name, path, mine, other)


def _value(value: Any) -> str:
    if isinstance(value, str) and len(value) == HASH_LENGTH and value.isalnum():
        return value[:12]
    return "none" if value is None else str(value)
