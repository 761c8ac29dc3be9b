"""A review as data: what is covered, what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from activator.history import History
from activator.rules import Rule
from infra.review.coverage import Cell, Recipient, change, coverage, declared_findings
from infra.review.deployed import DeclaredAlerting, DeployedAlerting, deployed_findings
from infra.review.findings import Finding, worst_first
from infra.review.past import has_data, past_findings
from infra.settings.stack import StackSettings


@dataclass(frozen=True)
class Review:
    """Everything a reader needs. `findings` are ordered, worst first; their numbers in the table count from 1.

    `platform` are the rules about RoomPulse itself, of which `operations` (e-mail addresses) are notified; `runbooks` says where
    each rule's runbook is.
    """

    stack: str
    today: str
    sources: tuple[str, ...]
    rules: tuple[Rule, ...]
    cells: tuple[Cell, ...]
    findings: tuple[Finding, ...]
    history: History | None
    now: datetime
    platform: tuple[Rule, ...] = ()
    operations: tuple[str, ...] = ()
    runbooks: Mapping[str, str] = field(default_factory=dict)

    @property
    def cities(self) -> tuple[str, ...]:
        """Slugs in the order of the stack file."""
        return tuple(dict.fromkeys(cell.city for cell in self.cells))

    @property
    def passes(self) -> bool:
        """Whether there is nothing to change: notes may remain."""
        return all(finding.level == "note" for finding in self.findings)

    def cell(self, city: str, rule: str) -> Cell:
        """One rule in one city."""
        return next(cell for cell in self.cells if (cell.city, cell.declared.id) == (city, rule))

    def people(self, city: str) -> list[Recipient]:
        """Everybody who is notified something about a city, once, by kind and name."""
        people = {recipient for cell in self.cells if cell.city == city for recipient in cell.recipients}
        return sorted(people, key=lambda recipient: (recipient.kind, recipient.label))

    def mark(self, city: str, rule: str) -> str:
        """What the table shows: `hole`, `muted`, `blind` (no data), `changed` (an override holds) or `covered`."""
        kinds = {finding.kind for finding in self.findings if (city, rule) in finding.cells and finding.level == "error"}
        cell = self.cell(city, rule)
        if kinds:
            return "hole"
        if cell.rule is None:
            return "muted"
        signals = self.history.signals if self.history else None
        if signals is not None and not has_data(signals, city, cell.declared.signal, self.now):
            return "blind"
        return "changed" if cell.rule != cell.declared else "covered"

    def numbers(self, city: str, rule: str) -> tuple[int, ...]:
        """The numbers of the findings about a cell."""
        return tuple(number for number, finding in enumerate(self.findings, 1) if (city, rule) in finding.cells)

    def as_json(self) -> dict[str, Any]:
        """For programs: coverage and findings."""
        return {
            "stack": self.stack,
            "today": self.today,
            "sources": list(self.sources),
            "passes": self.passes,
            "findings": [
                {"number": number, "level": f.level, "kind": f.kind, "where": f.where, "text": f.text, "fix": f.fix}
                for number, f in enumerate(self.findings, 1)
            ],
            "platform": [
                {"rule": rule.id, "severity": rule.severity, "runbook": self.runbooks[rule.id], "recipients": self._operators()}
                for rule in self.platform
            ],
            "coverage": [self._cell_as_json(cell) for cell in self.cells],
        }

    def _operators(self) -> list[dict[str, str]]:
        return [{"kind": "email", "to": address, "terms": ""} for address in self.operations]

    def _cell_as_json(self, cell: Cell) -> dict[str, Any]:
        firings = self.history.firings.get((cell.city, cell.declared.id)) if self.history else None
        rule = cell.rule or cell.declared
        return {
            "city": cell.city,
            "rule": cell.declared.id,
            "state": self.mark(cell.city, cell.declared.id),
            "severity": rule.severity,
            "op": rule.op,
            "threshold": rule.threshold,
            "forSeconds": rule.for_seconds,
            "override": change(cell.override, cell.declared) if cell.override else None,
            "because": cell.override.because if cell.override else None,
            "until": cell.override.until if cell.override else None,
            "recipients": [{"kind": r.kind, "to": r.label, "terms": r.terms} for r in cell.recipients],
            "fired": firings.count if firings else 0 if self.history else None,
            "lastFired": firings.last if firings else None,
            "runbook": self.runbooks[cell.declared.id],
        }


def review(
    stack: StackSettings,
    rules: Sequence[Rule],
    now: datetime,
    *,
    declared: DeclaredAlerting | None = None,
    deployed: DeployedAlerting | None = None,
    history: History | None = None,
) -> Review:
    """Review a stack's alerts. `declared` and `deployed` are compared when both are given; `history` adds what the past shows."""
    today = now.date().isoformat()
    cells = coverage(stack, rules, today)
    found = list(declared_findings(stack, rules, today))
    sources = [f"Pulumi.{stack.stack}.yaml and activator/rules"]
    if declared is not None and deployed is not None:
        found += deployed_findings(declared, deployed)
        sources.append(deployed.source)
    if history is not None:
        found += past_findings(cells, history, now)
        sources.append(history.source)
    findings = worst_first([replace(finding, fix=finding.fix.replace("<stack>", stack.stack)) for finding in found])
    of_cities = tuple(rule for rule in rules if not rule.by_platform)
    return Review(
        stack.stack,
        today,
        tuple(sources),
        of_cities,
        cells,
        findings,
        history,
        now,
        platform=tuple(rule for rule in rules if rule.by_platform and (stack.control_hub_secrets or not rule.by_fan_out)),
        operations=stack.azure.operations_email if stack.azure else (),
        runbooks={rule.id: stack.runbook_of(rule) for rule in rules},
    )
