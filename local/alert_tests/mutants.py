"""Wrong versions of a rule, each of which a case of the rule must notice. One that no case notices is a hole in the cases.

Where a rule is wrong by a step, the step is one for what is counted, a tenth for a ratio, a twentieth for what is measured, and
for a time the shortest time between two polls of the rule's cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from activator.rules import PLANNED_MAINTENANCE, Rule
from asa_engine.job_folder import JobFolder
from local.alert_tests.runner import alert_rows, result_of, worlds_of
from local.alert_tests.worlds import KINDS, World
from processors.contracts.signals import OF_ENTITY

_LEAST = 1e-6
"""Enough to make "at least" out of "more than", and less than any case looks at."""


@dataclass(frozen=True)
class Mutant:
    """A rule with one thing wrong, known by `name`; `world` is what is wrong around the rule (see World)."""

    name: str
    rule: Rule
    world: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Score:
    """The mutants of a rule, and those that no case noticed."""

    rule_id: str
    mutants: tuple[str, ...]
    survivors: tuple[str, ...]

    @property
    def killed(self) -> int:
        """How many a case noticed."""
        return len(self.mutants) - len(self.survivors)


def scores(rules: Sequence[Rule], chosen: Sequence[Rule], job: JobFolder) -> list[Score]:
    """Every chosen rule's mutants under its cases, all in one run of the query. Once a case has noticed a mutant, nobody is
    notified in its other cases.
    """
    worlds: list[World] = []
    owners: list[tuple[str, str]] = []
    for rule in chosen:
        for mutant in mutants(rule):
            for world in worlds_of(rules, [mutant.rule]):
                worlds.append(replace(world, number=len(worlds), **dict(mutant.world)))
                owners.append((rule.id, mutant.name))
    rows = alert_rows(worlds, job)
    noticed: set[tuple[str, str]] = set()
    for owner, world in zip(owners, worlds, strict=True):
        if owner not in noticed and not result_of(world, rows).passed:
            noticed.add(owner)
    found = []
    for rule in chosen:
        names = tuple(dict.fromkeys(name for id_, name in owners if id_ == rule.id))
        found.append(Score(rule.id, names, tuple(name for name in names if (rule.id, name) not in noticed)))
    return found


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Every wrong version of a rule."""
    yield from _numbers(rule)
    yield from _fewest(rule)
    yield from _severities(rule)
    if rule.by_platform:
        other = "keep" if rule.no_data == "fire" else "fire"
        yield Mutant(f"without data: {other}", replace(rule, no_data=other))
        return
    yield from _channels(rule)
    yield from _suppression(rule)
    yield Mutant("another city's people are notified", rule, (("notified_elsewhere", True),))
    yield Mutant("a city's override holds everywhere", rule, (("overridden_everywhere", True),))
    yield Mutant("no city's override holds", rule, (("overrides_ignored", True),))


def _numbers(rule: Rule) -> Iterator[Mutant]:
    for name, step in (("up", threshold_step(rule)), ("down", -threshold_step(rule))):
        threshold = rule.threshold + step
        yield Mutant(f"threshold {name}: {threshold:g}", replace(rule, threshold=threshold))
    strict = rule.threshold + (_LEAST if rule.op == ">=" else -_LEAST)
    yield Mutant(f"comparison strict: {rule.op[0]} {rule.threshold:g}", replace(rule, threshold=strict))
    other = "<=" if rule.op == ">=" else ">="
    yield Mutant(f"comparison reversed: {other} {rule.threshold:g}", replace(rule, op=other))
    step = min(case.step for case in rule.tests)
    for name, seconds in (("longer", rule.for_seconds + step), ("shorter", rule.for_seconds - step)):
        if seconds >= 0:
            yield Mutant(f"for {name}: {seconds} s", replace(rule, for_seconds=seconds))


def _fewest(rule: Rule) -> Iterator[Mutant]:
    for fewest in (rule.fewest_devices - 1, rule.fewest_devices + 1) if rule.fewest_devices else ():
        yield Mutant(f"fewest devices: {fewest}", replace(rule, fewest_devices=fewest))


def threshold_step(rule: Rule) -> float:
    """By how much a threshold is wrong."""
    return OF_ENTITY[rule.entity][rule.signal].step_from(rule.threshold)


def _severities(rule: Rule) -> Iterator[Mutant]:
    for severity in (rule.severity - 1, rule.severity + 1):
        if 1 <= severity <= 4:
            yield Mutant(f"severity {severity}", replace(rule, severity=severity))
    if rule.severity_outside is not None:
        yield Mutant("the same severity at all hours", replace(rule, severity_outside=None))
        for severity in {rule.severity_outside - 1, rule.severity_outside + 1} & set(range(rule.severity + 1, 5)):
            yield Mutant(f"severity {severity} outside office hours", replace(rule, severity_outside=severity))


def _channels(rule: Rule) -> Iterator[Mutant]:
    """Each kind of contact notified when it should not be, or not notified when it should."""
    for kind in KINDS:
        severities = set(rule.channels[kind]) ^ {rule.severity}
        wrong = "is notified" if rule.severity in severities else "is not notified"
        yield Mutant(f"{kind} {wrong}", replace(rule, channels={**rule.channels, kind: tuple(sorted(severities))}))


def _suppression(rule: Rule) -> Iterator[Mutant]:
    for condition in rule.suppress_when:
        if condition == PLANNED_MAINTENANCE:
            yield Mutant("planned maintenance counts", rule, (("blind_to_maintenance", True),))
        else:
            rest = tuple(other for other in rule.suppress_when if other != condition)
            yield Mutant(f"{condition} does not suppress", replace(rule, suppress_when=rest))
