"""Which steps of a query can run beside each other: those that only one output needs."""

from __future__ import annotations

from dataclasses import dataclass

from asa_engine.plan import OutputPlan, Plan
from asa_engine.steps import Step


@dataclass(frozen=True)
class Schedule:
    """`shared`: the steps several outputs need, in order, each with the outputs that can begin after it (without a step: at
    once), the one with most steps first; `own`: the steps only one output needs, by its name."""

    shared: list[tuple[Step | None, list[OutputPlan]]]
    own: dict[str, list[Step]]


def schedule_of(plan: Plan) -> Schedule:
    """Sort the steps of a plan by who needs them."""
    needed_by: dict[int, list[OutputPlan]] = {id(step): [] for step in plan.steps}
    for output in plan.outputs:
        for step in _steps_below(output.step):
            needed_by[id(step)].append(output)
    own = {output.name: [step for step in plan.steps if needed_by[id(step)] == [output]] for output in plan.outputs}
    shared: list[tuple[Step | None, list[OutputPlan]]] = [(None, [])]
    begins: dict[str, int] = {output.name: 0 for output in plan.outputs}
    for step in plan.steps:
        if len(needed_by[id(step)]) > 1:
            begins |= {output.name: len(shared) for output in needed_by[id(step)]}
            shared.append((step, []))
    for output in sorted(plan.outputs, key=lambda output: -len(own[output.name])):
        shared[begins[output.name]][1].append(output)
    return Schedule(shared, own)


def _steps_below(step: Step) -> list[Step]:
    found = {id(step): step}
    for source in step.sources:
        found |= {id(below): below for below in _steps_below(source)}
    return list(found.values())
