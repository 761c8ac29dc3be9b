"""Rules that the platform evaluates: no row for so long, reckoned as the query reckons `for`."""

from __future__ import annotations

from local.alert_tests.telling import Told
from local.alert_tests.worlds import World

OPERATIONS = "operations"
"""Who is told about the pipeline itself: the people of `azure.operations`."""


def told_by_platform(world: World) -> list[Told]:
    """What the people who run the pipeline are told in a case."""
    rule = world.rule
    found: list[Told] = []
    for key, values in world.case.series.items():
        began: int | None = None
        is_open = False
        for number, value in enumerate(values):
            at = number * world.case.step
            if value is None and rule.no_data == "keep":
                continue
            counted = 0.0 if value is None else float(value)
            if not (counted <= rule.threshold if rule.op == "<=" else counted >= rule.threshold):
                if is_open:
                    found.append(_told(world, at, "resolved", key))
                began, is_open = None, False
                continue
            began = at if began is None else began
            if not is_open and at - began >= rule.for_seconds:
                is_open = True
                found.append(_told(world, at, "fired", key))
    return found


def _told(world: World, at: int, state: str, key: str) -> Told:
    rule = world.rule
    return Told(at, state, key, rule.id, rule.severity, rule.title, rule.meaning, frozenset({OPERATIONS}))
