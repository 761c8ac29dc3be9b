"""What alerting Azure has, beside what the program declares: missing, undeclared, changed, disabled, reaching nobody.

Both sides are reduced to the same few facts a person would compare. They are read off the same shapes: what the program gives
Azure and what Azure's API gives back name their properties alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from infra.offline import Recording
from infra.review.findings import Finding, listed

Kind = Literal["log alert", "metric alert", "action group", "alert route"]
TYPES: dict[str, tuple[Kind, str]] = {
    "azure-native:monitor:ScheduledQueryRule": ("log alert", "ruleName"),
    "azure-native:monitor:MetricAlert": ("metric alert", "ruleName"),
    "azure-native:monitor:ActionGroup": ("action group", "actionGroupName"),
    "azure-native:alertsmanagement:AlertProcessingRuleByName": ("alert route", "alertProcessingRuleName"),
}
"""Pulumi's types that make alerting, what people call them, and the input that holds the name."""


@dataclass(frozen=True)
class AlertResource:
    """A rule, action group or route by its name in Azure, with the facts that are compared and when it was last changed.

    `receivers` are the people of an action group with the state Azure gives them (Enabled, Disabled, NotSpecified; empty where it
    is only declared). `groups` are the action groups that a route adds; `silences` says that a route takes them away instead.
    """

    kind: Kind
    name: str
    enabled: bool
    facts: Mapping[str, str]
    receivers: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    silences: bool = False
    changed_at: str = ""


@dataclass(frozen=True)
class DeclaredAlerting:
    """What the program makes of a stack, by kind and name."""

    resources: Mapping[tuple[Kind, str], AlertResource]


@dataclass(frozen=True)
class DeployedAlerting:
    """What Azure has; `source` says where it was read, for people."""

    source: str
    resources: Mapping[tuple[Kind, str], AlertResource]


def declared_alerting(recording: Recording) -> DeclaredAlerting:
    """The alerting part of what the program registers."""
    own_names = {
        registration.name: str(registration.inputs[TYPES[registration.type][1]])
        for registration in recording.resources
        if registration.type in TYPES
    }
    found = []
    for registration in recording.resources:
        if registration.type in TYPES:
            kind, name = TYPES[registration.type]
            inputs = registration.inputs
            properties = inputs["properties"] if kind == "alert route" else inputs
            found.append(alert_resource(kind, str(inputs[name]), properties, group_names=own_names))
    return DeclaredAlerting(by_key(found))


def by_key(resources: Iterable[AlertResource]) -> dict[tuple[Kind, str], AlertResource]:
    """Resources by kind and name; Azure's names are compared without case."""
    return {(resource.kind, resource.name.lower()): resource for resource in resources}


def alert_resource(
    kind: Kind,
    name: str,
    properties: Mapping[str, Any],
    *,
    group_names: Mapping[str, str] | None = None,
    changed_at: str = "",
) -> AlertResource:
    """A resource by its properties, as declared or as Azure's API gives them.

    `group_names` gives the names in Azure of action groups whose ids end with something else.
    """
    enabled = properties.get("enabled", True) is True
    if kind == "action group":
        receivers = _receivers(properties)
        return AlertResource(kind, name, enabled, {"receivers": ", ".join(sorted(receivers))}, receivers, changed_at=changed_at)
    if kind == "alert route":
        names = group_names or {}
        actions = properties.get("actions", [])
        ids = [str(id_) for action in actions for id_ in action.get("actionGroupIds", ())]
        groups = tuple(sorted(names.get(id_.rsplit("/", 1)[-1], id_.rsplit("/", 1)[-1]).lower() for id_ in ids))
        silences = any(action.get("actionType") == "RemoveAllActionGroups" for action in actions)
        facts = {"notifies": ", ".join(groups), "matches": ", ".join(sorted(_matches(properties)))}
        return AlertResource(kind, name, enabled, facts, groups=groups, silences=silences, changed_at=changed_at)
    return AlertResource(kind, name, enabled, _rule_facts(properties), changed_at=changed_at)


def _receivers(properties: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for receiver in properties.get("emailReceivers") or ():
        found[str(receiver["emailAddress"])] = str(receiver.get("status", ""))
    for receiver in properties.get("smsReceivers") or ():
        found[f"+{receiver['countryCode']}{receiver['phoneNumber']}"] = str(receiver.get("status", ""))
    return found


def _matches(properties: Mapping[str, Any]) -> Iterator[str]:
    for condition in properties.get("conditions") or ():
        yield from (f"{condition.get('field')} {condition.get('operator')} {value}" for value in condition.get("values", ()))


def _rule_facts(properties: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        "severity": _number(properties.get("severity")),
        "every": str(properties.get("evaluationFrequency", "")),
        "window": str(properties.get("windowSize", "")),
    }
    for criterion in (properties.get("criteria") or {}).get("allOf", ()):
        facts |= {
            "condition": f"{criterion.get('operator')} {_number(criterion.get('threshold'))}",
            "measure": f"{criterion.get('timeAggregation')} of {criterion.get('metricName') or 'rows'}",
            "query": " ".join(str(criterion.get("query", "")).split()),
            "split by": ", ".join(sorted(str(dimension.get("name")) for dimension in criterion.get("dimensions") or ())),
        }
    return facts


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def deployed_findings(declared: DeclaredAlerting, deployed: DeployedAlerting) -> Iterator[Finding]:
    """Where Azure differs from the program, and what in Azure notifies nobody."""
    for key, wanted in declared.resources.items():
        there = deployed.resources.get(key)
        if there is None:
            yield _missing(wanted)
            continue
        yield from _differences(wanted, there)
        yield from _unreachable(there)
    for key, there in deployed.resources.items():
        if key not in declared.resources:
            yield _undeclared(there)
    yield from _dangling(deployed)


def _missing(wanted: AlertResource) -> Finding:
    text = f"{wanted.kind} is declared and not deployed"
    return Finding(
        "error", "missing", wanted.name, text, "pulumi up --stack <stack>; if it was deleted by hand: pulumi refresh first."
    )


def _undeclared(there: AlertResource) -> Finding:
    when = f" (last changed {there.changed_at[:10]})" if there.changed_at else ""
    if there.silences and there.enabled:
        text = f"an undeclared rule takes the action groups away from alerts{when}: they fire, and nobody is notified"
        return Finding(
            "error",
            "undeclared-silence",
            there.name,
            text,
            "Delete it in Azure, or mute in the stack file with a reason and an end.",
        )
    text = f"{there.kind} is deployed and not declared{when}"
    return Finding(
        "error", "undeclared", there.name, text, "Delete it in Azure, or declare it: what isn't in the repository nobody reviews."
    )


def _differences(wanted: AlertResource, there: AlertResource) -> Iterator[Finding]:
    if not there.enabled and wanted.enabled:
        when = f" since {there.changed_at[:10]} or earlier" if there.changed_at else ""
        text = f"{there.kind} is switched off{when}"
        yield Finding(
            "error", "disabled", there.name, text, "pulumi up switches it on again; to pause a rule, mute it with a reason."
        )
    changed = [
        f"{name} {_shown(there.facts.get(name, ''))} (declared {_shown(value)})"
        for name, value in wanted.facts.items()
        if there.facts.get(name, "").lower() != value.lower()
    ]
    if changed:
        text = f"{there.kind} was changed: {'; '.join(changed)}"
        fix = "pulumi up restores what is declared; or change the declaration, so that it is reviewed."
        yield Finding("error", "changed", there.name, text, fix)


def _shown(value: str) -> str:
    return (value if len(value) <= 60 else f"{value[:57]}...") or "nothing"


def _unreachable(group: AlertResource) -> Iterator[Finding]:
    if group.kind != "action group":
        return
    if not group.receivers:
        yield Finding(
            "error",
            "dead-group",
            group.name,
            "action group has no receiver: it notifies nobody",
            "pulumi up restores its receivers.",
        )
    off = [name for name, status in group.receivers.items() if status == "Disabled"]
    unverified = [name for name, status in group.receivers.items() if status == "NotSpecified"]
    if off:
        text = f"{listed(off)} unsubscribed: Azure sends nothing there any more"
        yield Finding(
            "error",
            "unsubscribed",
            group.name,
            text,
            "Ask them to subscribe again (the link is in their last message), or replace them.",
        )
    if unverified:
        text = f"{listed(unverified)} not verified: a new address is sent nothing before its one-time passcode was entered"
        fix = "Save the action group once more in the portal and have the passcode entered within 30 minutes."
        yield Finding("error", "unverified", group.name, text, fix)


def _dangling(deployed: DeployedAlerting) -> Iterator[Finding]:
    """Routes to action groups that are not there, and groups no route leads to."""
    groups = {name for kind, name in deployed.resources if kind == "action group"}
    for resource in deployed.resources.values():
        gone = [name for name in resource.groups if name not in groups]
        if gone:
            text = f"leads to {listed(gone)}, which does not exist"
            yield Finding("error", "dangling-route", resource.name, text, "pulumi up restores the action group.")
