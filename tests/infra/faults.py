"""Mistakes to put into a recorded deployment: each changes, drops or doubles a resource."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from infra.offline import Registration

Fault = Callable[[list[Registration]], list[Registration]]
GONE = object()


def setting(name: str, path: str, value: Any) -> Fault:
    """Another value (or GONE) at a path of the inputs of the resource `name`; steps that are numbers index lists."""

    def fault(resources: list[Registration]) -> list[Registration]:
        return [changed(resource, path.split("/"), value) if resource.name == name else resource for resource in resources]

    return fault


def changed(resource: Registration, path: list[str], value: Any) -> Registration:
    inputs = copy.deepcopy(resource.inputs)
    *way, last = path
    place: Any = inputs
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if value is GONE:
        assert last in place
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return replace(resource, inputs=inputs)


def without(name: str) -> Fault:
    """The resource is not there."""
    return lambda resources: [resource for resource in resources if resource.name != name]


def twice(name: str) -> Fault:
    """The resource is registered twice."""
    return lambda resources: resources + [resource for resource in resources if resource.name == name]


def another(name: str, /, **inputs: Any) -> Fault:
    """One more resource like `name`, with some inputs of its own."""

    def fault(resources: list[Registration]) -> list[Registration]:
        like = next(resource for resource in resources if resource.name == name)
        one = replace(like, urn=f"{like.urn}-2", name=f"{name}-2", inputs={**like.inputs, **inputs})
        return [*resources, one]

    return fault


def many(name: str, count: int) -> Fault:
    """So many more resources like `name`."""

    def fault(resources: list[Registration]) -> list[Registration]:
        like = next(resource for resource in resources if resource.name == name)
        return [*resources, *(replace(like, urn=f"{like.urn}-{n}", name=f"{name}-{n}") for n in range(count))]

    return fault


def at_the_same_address(name: str, other: str) -> Fault:
    """Another logical resource with the Azure name of `name`."""

    def fault(resources: list[Registration]) -> list[Registration]:
        inputs = next(resource.inputs for resource in resources if resource.name == name)
        return [replace(resource, inputs=inputs) if resource.name == other else resource for resource in resources]

    return fault


def waiting_for_nothing(name: str) -> Fault:
    """The resource depends on nothing."""
    return lambda resources: [replace(r, depends_on=()) if r.name == name else r for r in resources]


def but(name: str, /, **changes: Any) -> Fault:
    """The resource is registered otherwise."""
    return lambda resources: [replace(r, **changes) if r.name == name else r for r in resources]


def in_plain(name: str) -> Fault:
    """What was secret no longer is."""
    return lambda resources: [replace(r, secrets=frozenset()) if r.name == name else r for r in resources]


def app_setting(name: str, key: str, value: Any) -> Fault:
    """Another value (or GONE, or one more) of an app's setting."""

    def fault(resources: list[Registration]) -> list[Registration]:
        return [_with_setting(resource, key, value) if resource.name == name else resource for resource in resources]

    return fault


def _with_setting(app: Registration, key: str, value: Any) -> Registration:
    kept = [one for one in app.inputs["siteConfig"]["appSettings"] if one["name"] != key]
    settings = kept if value is GONE else [*kept, {"name": key, "value": value}]
    return replace(app, inputs={**app.inputs, "siteConfig": {**app.inputs["siteConfig"], "appSettings": settings}})
