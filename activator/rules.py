"""Alert rules as data: read from `activator/rules/*.yaml`, checked, and resolved for a city."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from activator.declarations import DeclarationError, Fault, read_yaml, schema_faults

RULES_FOLDER = Path(__file__).parent / "rules"
_SCHEMA = json.loads((Path(__file__).parent / "rule.schema.json").read_text(encoding="utf-8"))
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Rule:
    """An alert rule: `signal` of `entity` compared with `threshold` by `op` (">=" or "<="), lasting `for_seconds`."""

    id: str
    meaning: str
    evidence: str
    entity: str
    signal: str
    op: str
    threshold: float
    for_seconds: int
    severity: int
    no_data: str
    runbook: str


@dataclass(frozen=True)
class Override:
    """What one city changes in a rule, with the reason and the last day (ISO date) on which it holds."""

    rule_id: str
    because: str
    until: str
    threshold: float | None = None
    for_seconds: int | None = None
    severity: int | None = None
    mute: bool = False


def load_rules(folder: Path = RULES_FOLDER) -> tuple[Rule, ...]:
    """All rules of a folder, ordered by id; raises DeclarationError naming every fault of every file."""
    faults: list[Fault] = []
    rules: list[Rule] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            document = read_yaml(path, "an alert rule")
        except DeclarationError as error:
            faults += [Fault(f"{path.name}/{fault.path}", fault.message) for fault in error.faults]
            continue
        found = [*schema_faults(document, _SCHEMA), *_meaning_faults(path, document)]
        faults += [Fault(f"{path.name}/{fault.path}", fault.message) for fault in found]
        if not found:
            rules.append(_rule(document))
    if not rules and not faults:
        faults.append(Fault(str(folder), "holds no rule: at least one *.yaml is wanted"))
    if faults:
        raise DeclarationError("The alert rules can't be used", faults)
    return tuple(rules)


def rules_of_city(rules: Sequence[Rule], overrides: Sequence[Override], today: str) -> tuple[Rule, ...]:
    """The rules as they hold in one city on a day (ISO date): overrides applied until their end, muted rules left out."""
    in_force = {override.rule_id: override for override in overrides if override.until >= today}
    resolved = [_overridden(rule, in_force.get(rule.id)) for rule in rules]
    return tuple(rule for rule in resolved if rule is not None)


def _overridden(rule: Rule, override: Override | None) -> Rule | None:
    if override is None:
        return rule
    if override.mute:
        return None
    changes: dict[str, Any] = {
        name: value
        for name, value in (
            ("threshold", override.threshold),
            ("for_seconds", override.for_seconds),
            ("severity", override.severity),
        )
        if value is not None
    }
    return replace(rule, **changes)


def _meaning_faults(path: Path, document: Any) -> list[Fault]:
    """What a schema can't say: the id is the file's name, and the runbook exists."""
    if not isinstance(document, Mapping):
        return []
    faults = []
    if document.get("id") not in (None, path.stem):
        faults.append(Fault("id", f'"{document["id"]}" differs from the file\'s name: rename one of them to match.'))
    runbook = document.get("runbook")
    if isinstance(runbook, str) and not (Path(__file__).parents[1] / runbook).is_file():
        faults.append(
            Fault("runbook", f"{runbook} does not exist: write it, an alert without a runbook wakes people for nothing.")
        )
    return faults


def _rule(document: Mapping[str, Any]) -> Rule:
    when = document["when"]
    op, threshold = (">=", when["at_least"]) if "at_least" in when else ("<=", when["at_most"])
    return Rule(
        id=document["id"],
        meaning=document["meaning"],
        evidence=document["evidence"],
        entity=document["entity"],
        signal=document["signal"],
        op=op,
        threshold=float(threshold),
        for_seconds=_seconds(when["for"]),
        severity=document["severity"]["default"],
        no_data=document["no_data"],
        runbook=document["runbook"],
    )


def _seconds(text: str) -> int:
    return int(text[:-1]) * _SECONDS[text[-1]]
