"""Rules that the platform evaluates: no row for so long, reckoned as the query reckons `for`."""

from __future__ import annotations

from local.alert_tests.notifications import Notification
from local.alert_tests.worlds import World

OPERATIONS = "operations"
"""Who is notified about the pipeline itself: the people of `azure.operations`."""


def notified_by_platform(world: World) -> list[Notification]:
    """What the people who run the pipeline are notified of in a case."""
    rule = world.rule
    found: list[Notification] = []
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
                    found.append(_notification(world, at, "resolved", key))
                began, is_open = None, False
                continue
            began = at if began is None else began
            if not is_open and at - began >= rule.for_seconds:
                is_open = True
                found.append(_notification(world, at, "fired", key))
    return found


def _notification(world: World, at: int, state: str, key: str) -> Notification:
    rule = world.rule
    return Notification(at, state, key, rule.id, rule.severity, rule.title, rule.meaning, frozenset({OPERATIONS}))
