"""Runs worlds: all their observations through one engine with the deployed query, each world's alerts through its own fan-out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge

from activator.declarations import DeclarationError
from activator.rule_tests import Expected, RuleTest
from activator.rules import Rule
from asa_engine.engine import StreamEngine
from asa_engine.job_folder import JobFolder
from local.alert_tests.estate import Sent, observations, word_faults
from local.alert_tests.notifications import Notification, Row, notified
from local.alert_tests.platform import notified_by_platform
from local.alert_tests.worlds import World, world_faults


@dataclass(frozen=True)
class CaseResult:
    """What came of a case: what was expected and not sent, what was sent and not expected, and everything that was sent."""

    rule_id: str
    case: RuleTest
    missing: tuple[Expected, ...]
    unexpected: tuple[Notification, ...]
    notified: tuple[Notification, ...]

    @property
    def passed(self) -> bool:
        """Whether exactly the expected was sent."""
        return not self.missing and not self.unexpected


def check(rules: Sequence[Rule]) -> None:
    """Raise DeclarationError with everything in the rules' cases that can't be run."""
    faults = [fault for rule in rules for fault in (*word_faults(rule), *world_faults(rule, rules))]
    if faults:
        raise DeclarationError("The alert rules can't be tested", faults)


def worlds_of(rules: Sequence[Rule], chosen: Iterable[Rule]) -> list[World]:
    """The worlds of all cases of the chosen rules, numbered from 0."""
    known = {rule.id: rule for rule in rules}
    found: list[World] = []
    for rule in chosen:
        for case in rule.tests:
            others = tuple(known[other] for other in case.others)
            found.append(World(len(found), rule, case, (rule, *others)))
    return found


def run(worlds: Sequence[World], job: JobFolder) -> list[CaseResult]:
    """The results of worlds, in their order."""
    rows = alert_rows(worlds, job)
    return [result_of(world, rows) for world in worlds]


def result_of(world: World, rows: Mapping[int, Sequence[Row]]) -> CaseResult:
    """What comes of a world, given the alert rows of all worlds (see alert_rows)."""
    return compared(world, notified_by_platform(world) if world.rule.by_platform else notified(world, rows.get(world.number, ())))


def compared(world: World, found: Sequence[Notification]) -> CaseResult:
    """Held against what the case expects."""
    left = list(found)
    missing = []
    for expected in world.case.expected:
        fitting = next((one for one in left if one.fits(expected, world)), None)
        if fitting is None:
            missing.append(expected)
        else:
            left.remove(fitting)
    return CaseResult(world.rule.id, world.case, tuple(missing), tuple(left), tuple(found))


def alert_rows(worlds: Sequence[World], job: JobFolder) -> dict[int, list[Row]]:
    """The alert rows of the query by the number of their world, all in one run; what the platform watches has none."""
    queried = (world for world in worlds if not world.rule.by_platform)
    sent: list[Sent] = list(merge(*map(observations, queried), key=lambda one: one.time))
    rows: dict[int, list[Row]] = {}
    if not sent:
        return rows
    engine = StreamEngine(job.query, job.schemas, policy=job.policy)
    try:
        rejected = engine.feed("observations", [one.event.body.decode() for one in sent])
        assert not rejected, f"the query takes what the ingest sends: {rejected[0]}"
        for output in engine.finish():
            if output.name == "alerts":
                for row in output.rows():
                    rows.setdefault(_number(row), []).append(row)
    finally:
        engine.close()
    return rows


def _number(row: Row) -> int:
    """The world an alert is of: entities and cities carry its number."""
    return int(str(row["cityId"]).split("-", 1)[0].removeprefix("c"))
