"""Alert rules as data: read from `activator/rules/*.yaml`, checked, and resolved for a city."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

from activator.declarations import DeclarationError, Fault, did_you_mean, placed, read_yaml, schema_faults
from activator.rule_tests import RuleTest, seconds, test_faults, tests_of
from activator.signals import KNOW_MAINTENANCE, useless
from processors.alert_fanout.channel_kinds import CONTACT_KINDS
from processors.contracts.signals import OF_ENTITY

RULES_FOLDER = Path(__file__).parent / "rules"
CHANNELS = {name: kind.severities for name, kind in CONTACT_KINDS.items()}
"""At which severities a kind of contact is notified unless a rule says otherwise: nobody's telephone rings for a warm room."""
PLANNED_MAINTENANCE = "planned-maintenance"
OUTSIDE_OFFICE_HOURS = "outside-office-hours"
LONGEST_FOR = 5 * 24 * 3600
"""The query remembers seven days and begins a breach anew after six (roompulse.asaql, steps 5 and 6)."""
_SCHEMA = json.loads((Path(__file__).parent / "rule.schema.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Rule:
    """An alert rule: `signal` of `entity` compared with `threshold` by `op` (">=" or "<="), lasting `for_seconds`.

    `channels`: the severities at which each kind of contact is notified. `suppress_when`: ids of rules whose open alerts make
    this one's say nothing new, and the two conditions above. `severity_outside`: what its alerts have outside office hours, where
    that is less. `fewest_devices`: a place with fewer of them never has such an alert. `tests` are its own cases.
    """

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
    severity_outside: int | None = None
    fewest_devices: int = 0
    channels: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: CHANNELS, hash=False)
    suppress_when: tuple[str, ...] = ()
    tests: tuple[RuleTest, ...] = field(default=(), hash=False)

    @property
    def by_platform(self) -> bool:
        """Whether it is evaluated beside the query, which sees nothing when nothing flows: by Azure Monitor, or the fan-out."""
        return self.entity == "pipeline"

    @property
    def by_fan_out(self) -> bool:
        """Whether the fan-out evaluates it, so that its alerts are rows as those of the query are."""
        return self.signal == "controlHubUnmatched"

    @property
    def title(self) -> str:
        """The id in words people use, such as `Room too warm`."""
        return self.id.replace("-", " ").capitalize()

    @property
    def condition(self) -> str:
        """The rule in one line, such as `temperature >= 28 for 10 min`."""
        lasting = f" for {_words(self.for_seconds)}" if self.for_seconds else ""
        return f"{self.signal} {self.op} {self.threshold:g}{lasting}"


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
    known = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    for path in known.values():
        try:
            document = read_yaml(path, "an alert rule")
        except DeclarationError as error:
            faults += [Fault(f"{path.name}/{fault.path}", fault.message) for fault in error.faults]
            continue
        found = placed([*schema_faults(document, _SCHEMA), *_meaning_faults(path, document, set(known))], path)
        faults += [replace(fault, path=f"{path.name}/{fault.path}") for fault in found]
        if not found:
            rules.append(_rule(document))
    if not rules and not faults:
        faults.append(Fault(os.path.relpath(folder), "holds no rule: at least one *.yaml is wanted"))
    if faults:
        raise DeclarationError("The alert rules can't be used", faults)
    return tuple(rules)


def rules_of_city(rules: Sequence[Rule], overrides: Sequence[Override], today: str) -> tuple[Rule, ...]:
    """The rules as they hold in one city on a day (ISO date): overrides applied until their end; without the muted ones and those
    the platform evaluates.
    """
    in_force = {override.rule_id: override for override in overrides if override.until >= today}
    resolved = [_overridden(rule, in_force.get(rule.id)) for rule in rules if not rule.by_platform]
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


def _meaning_faults(path: Path, document: Any, known: set[str]) -> list[Fault]:
    """What a schema can't say: the names fit, the signal exists, the runbook is there, the cases cover the rule."""
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
    return (
        faults
        + _severity_faults(document)
        + _signal_faults(document)
        + _fewest_faults(document)
        + _suppression_faults(path, document, known)
        + test_faults(document, known)
    )


def _fewest_faults(document: Mapping[str, Any]) -> list[Fault]:
    if "fewest_devices" not in document or document.get("signal") == "offlineRatio":
        return []
    return [Fault("fewest_devices", "is for a share of devices (offlineRatio): take it out, or another signal.")]


def _severity_faults(document: Mapping[str, Any]) -> list[Fault]:
    severity = document.get("severity")
    if not isinstance(severity, Mapping):
        return []
    default, outside = severity.get("default"), severity.get("outside_office_hours")
    if not (isinstance(default, int) and isinstance(outside, int)) or outside > default:
        return []
    return [Fault("severity/outside_office_hours", f"{outside} is not less urgent than {default}: write more, or take it out.")]


def override_faults(path: str, rule: Rule, override: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with a city's override (as in a stack file) of this rule, besides its form."""
    if rule.by_platform:
        return [Fault(path, "is about RoomPulse itself, which no city can change: take it out.")]
    faults = []
    threshold, minutes = override.get("threshold"), override.get("forMinutes")
    if _is_number(threshold) and (why := useless(rule.signal, rule.op, threshold)):
        faults.append(Fault(f"{path}/threshold", f"{why} The rule's own is {rule.threshold:g}; mute: true silences it."))
    if _is_number(minutes) and minutes * 60 > LONGEST_FOR:
        faults.append(
            Fault(f"{path}/forMinutes", f"{minutes:g} is longer than the query remembers: {LONGEST_FOR // 60} at most.")
        )
    return faults


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _signal_faults(document: Mapping[str, Any]) -> list[Fault]:
    entity, signal = document.get("entity"), document.get("signal")
    faults = []
    if isinstance(signal, str) and isinstance(entity, str) and entity in OF_ENTITY and signal not in OF_ENTITY[entity]:
        known = ", ".join(sorted(OF_ENTITY[entity]))
        hint = did_you_mean(signal, OF_ENTITY[entity])
        faults.append(Fault("signal", f'"{signal}" is not a signal of a {entity}.{hint} Known: {known}.'))
    when = document.get("when")
    for key, op in (("at_least", ">="), ("at_most", "<=")):
        threshold = when.get(key) if isinstance(when, Mapping) else None
        if isinstance(signal, str) and _is_number(threshold) and (why := useless(signal, op, threshold)):
            faults.append(Fault(f"when/{key}", why))
    if document.get("no_data") == "fire" and isinstance(entity, str) and entity in OF_ENTITY and entity != "pipeline":
        faults.append(
            Fault("no_data", "fire needs entity pipeline: the query can't see what does not come. Write keep: see city-silent.")
        )
    return faults


def _suppression_faults(path: Path, document: Mapping[str, Any], known: set[str]) -> list[Fault]:
    conditions = document.get("suppress_when")
    faults = []
    for index, condition in enumerate(conditions if isinstance(conditions, list) else []):
        where = f"suppress_when/{index}"
        possible = {*known, PLANNED_MAINTENANCE, OUTSIDE_OFFICE_HOURS} - {path.stem}
        if condition == path.stem:
            faults.append(Fault(where, "is this rule itself: nobody would ever be notified."))
        elif isinstance(condition, str) and condition not in possible:
            hint = did_you_mean(condition, possible)
            faults.append(
                Fault(where, f'"{condition}" is neither a rule nor a condition.{hint} Known: {", ".join(sorted(possible))}.')
            )
        elif condition == PLANNED_MAINTENANCE and document.get("signal") not in KNOW_MAINTENANCE:
            aware = ", ".join(sorted(KNOW_MAINTENANCE))
            faults.append(Fault(where, f"only these signals know planned maintenance: {aware}. Take it out, or another signal."))
    return faults


def _rule(document: Mapping[str, Any]) -> Rule:
    when = document["when"]
    op, threshold = (">=", when["at_least"]) if "at_least" in when else ("<=", when["at_most"])
    channels = {kind: tuple(sorted(severities)) for kind, severities in document.get("channels", {}).items()}
    return Rule(
        id=document["id"],
        meaning=document["meaning"],
        evidence=document["evidence"],
        entity=document["entity"],
        signal=document["signal"],
        op=op,
        threshold=float(threshold),
        for_seconds=seconds(when["for"]),
        severity=document["severity"]["default"],
        no_data=document["no_data"],
        runbook=document["runbook"],
        severity_outside=document["severity"].get("outside_office_hours"),
        fewest_devices=document.get("fewest_devices", 0),
        channels=CHANNELS | channels,
        suppress_when=tuple(document.get("suppress_when", ())),
        tests=tests_of(document),
    )


def _words(duration: int) -> str:
    for unit, name in ((3600, "h"), (60, "min")):
        if duration % unit == 0:
            return f"{duration // unit} {name}"
    return f"{duration} s"
