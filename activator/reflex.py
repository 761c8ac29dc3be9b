"""Alert rules as Data Activator takes them (Reflex): for people who live in Fabric, a message for an alert, and one for its end.

The stream query alone decides what an alert is, with a city's own thresholds; Activator watches table Alerts for it, so that the
two can't disagree. The query of a rule names all that the rule says: entity, signal, comparison, threshold, duration. What
Activator can't say is refused, not approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from activator.reflex_objects import device_objects
from activator.reflex_parts import (
    CLOCK,
    WINDOW,
    JSONObject,
    array,
    field,
    identity,
    kql_source,
    named_field,
    one_line,
    reference,
    row,
    source_event,
    step,
    text,
    view,
)
from activator.rules import OUTSIDE_OFFICE_HOURS, PLANNED_MAINTENANCE, Rule
from activator.signals import KNOW_MAINTENANCE
from processors.contracts.signals import signal_of

WORKSPACE_PAGE = "https://app.fabric.microsoft.com/groups/{}/list"
"""Where the reports and the dashboard of a workspace are listed, by its id."""
CAUSE_DAYS = 2
"""How long ago what explains an alert may have fired for the alert's end to stay unsent, as its beginning did."""

State = Literal["fired", "resolved"]
"""What people are notified of: each is a source, an event, and a trigger for each action."""
Action = Literal["email", "teams"]
"""How people are notified, as Activator calls it."""


class ReflexError(Exception):
    """Data Activator can't say what a rule says. The text names the rule, what is beyond it and who notifies instead."""


def reflex_entities(
    city: str, rules: Sequence[tuple[Rule, Sequence[str]]], actions: Sequence[Action], *, workspace_id: str, database_id: str
) -> list[JSONObject]:
    """The entities of a city's Reflex item: an object per device, and every rule as it holds there, with its recipients.

    Recipients are people, by their addresses of mail, which Teams knows them by too. A rule's runbook is an address, where the
    runbooks have one.

    Raises ReflexError for a rule that can't be expressed; `why_not` says so beforehand.
    """
    entities = [
        {
            "uniqueIdentifier": identity(city, "container"),
            "payload": {"name": f"Alerts {city}", "type": "kqlQueries"},
            "type": "container-v1",
        },
        *device_objects(city, workspace_id=workspace_id, database_id=database_id),
    ]
    for rule, recipients in rules:
        if reason := why_not(rule, recipients):
            raise ReflexError(f"{city}, {rule.id}: {reason}")
        for state in ("fired", "resolved"):
            query = alert_query(city, rule, state)
            owner, page = (rule.id, state), WORKSPACE_PAGE.format(workspace_id)
            source = kql_source(city, owner, " ".join(owner), query, workspace_id=workspace_id, database_id=database_id)
            triggers = [_trigger(city, rule, state, action, recipients, page) for action in actions]
            entities += [source, source_event(city, owner, f"{rule.title} {state}"), *triggers]
    return entities


def why_not(rule: Rule, recipients: Sequence[str]) -> str | None:
    """Why Data Activator can't say what this rule says; None when it can."""
    if rule.by_platform:
        return "is evaluated beside the query, since nothing reaches the live store when it holds; Azure Monitor notifies"
    if not recipients:
        return "has no recipient by e-mail at every hour; the fan-out notifies the others"
    if OUTSIDE_OFFICE_HOURS in rule.suppress_when:
        return "is silent outside office hours, which Activator doesn't know; the fan-out notifies"
    if PLANNED_MAINTENANCE in rule.suppress_when and rule.signal not in KNOW_MAINTENANCE:
        return f"is silent in planned maintenance, which signal {rule.signal} doesn't know; the fan-out notifies"
    return None


def alert_query(city: str, rule: Rule, state: State) -> str:
    """The KQL that yields what fired or resolved of a rule in a city, taken in between startTime (exclusive) and endTime."""
    lines = [
        *WINDOW,
        f"| where cityId == '{city}' and state == '{state}'",
        f"| where ruleId == '{rule.id}' and entity == '{rule.entity}' and signal == '{rule.signal}'",
        *_condition(rule, state),
        *_unexplained(city, rule, state),
    ]
    lines.append(one_line("name", "workspaceName", "locationName"))
    lines.append(f"| extend reading = {_reading(rule)}, lasted = strcat(toint((observedAt - startedAt) / 1m), ' min')")
    lines.append("| extend importance = case(severity == 1, 'Critical', severity == 2, 'Major', severity == 3, 'Minor', 'Info')")
    lines += [
        f"| project {CLOCK}, name, workspaceName, locationName, reading, importance, startedAt, observedAt, lasted,",
        "    notified = 1.0",
    ]
    return "\n".join(lines)


def _condition(rule: Rule, state: State) -> list[str]:
    """A drill is an alert that fires without the rule's condition; the end of one has a value of its own."""
    if state == "resolved":
        return ["| where not(entityId startswith 'drill-')"]
    return [f"| where value {rule.op} {rule.threshold!r} and observedAt - startedAt >= {rule.for_seconds}s"]


def _unexplained(city: str, rule: Rule, state: State) -> list[str]:
    """Without what another alert of the place explains: one that is open, or, when it is over, one that was lately."""
    others = [other for other in rule.suppress_when if other != PLANNED_MAINTENANCE]
    if not others:
        return []
    named = ", ".join(f"'{other}'" for other in others)
    causes = "LatestAlert | where state == 'fired'" if state == "fired" else f"Alerts | where observedAt > ago({CAUSE_DAYS}d)"
    return [
        "| join kind = leftanti (",
        f"    {causes} and cityId == '{city}' and ruleId in ({named}) | project locationId",
        ") on locationId",
    ]


def _reading(rule: Rule) -> str:
    """The KQL of what was read, in words; nothing where the rule's meaning says it all."""
    signal = signal_of(rule.signal)
    if signal is None or signal.unit == "0 or 1":
        return "''"
    factor, suffix = (100, "%") if signal.unit == "share" else (1, signal.suffix)
    label = signal.label[0].upper() + signal.label[1:]
    return f"strcat('{label}: ', round(value * {factor}, 1), ' {suffix}')"


def _trigger(city: str, rule: Rule, state: State, action: Action, recipients: Sequence[str], page: str) -> JSONObject:
    part = "trigger" if action == "email" else f"trigger {action}"
    event = reference("EventReference", "event", identity(city, rule.id, state, "event"))
    fires = [text("op", "IsGreaterThan"), {"name": "threshold", "type": "number", "value": 0}]
    selected = row("EventFieldSelector", "EventField", [text("fieldName", "notified")])
    steps = [
        step(city, (rule.id, state, part, "FieldsDefaultsStep"), row("EventSelector", "Event", [event])),
        step(
            city, (rule.id, state, part, "EventDetectStep"), selected, row("NumberValueCondition", "NumberValueCondition", fires)
        ),
        step(city, (rule.id, state, part, "ActStep"), _ACTIONS[action](rule, state, recipients, page)),
    ]
    definition = {"type": "Rule", "settings": {"shouldRun": True, "shouldApplyRuleOnUpdate": False}}
    name = rule.title if state == "fired" else f"{rule.title}: over"
    return view(city, (rule.id, state, part), name if action == "email" else f"{name} (Teams)", definition, "EventTrigger", steps)


def _mail(rule: Rule, state: State, recipients: Sequence[str], page: str) -> JSONObject:
    arguments = [
        text("messageLocale", "en-us"),
        array("sentTo", [text("string", recipient) for recipient in recipients]),
        array("copyTo", []),
        array("bCCTo", []),
        array(
            "subject", [text("string", f"{_title(rule, state)}: "), field("name"), text("string", ", "), field("locationName")]
        ),
        array("headline", _headline(rule, state)),
        *_body(rule, state, page, _SHOWN),
    ]
    return row("EmailBinding", "EmailMessage", arguments)


def _teams(rule: Rule, state: State, recipients: Sequence[str], page: str) -> JSONObject:
    """A message has no subject. Names stand below it alone: whether Teams reads them as markup in a text, nobody says."""
    arguments = [
        text("messageLocale", "en-us"),
        array("recipients", [text("string", recipient) for recipient in recipients]),
        array("headline", [text("string", f"{_title(rule, state)}. "), *_headline(rule, state)]),
        *_body(rule, state, page, {"About": "name", **_SHOWN}),
    ]
    return row("TeamsBinding", "TeamsMessage", arguments)


_ACTIONS: Mapping[Action, Callable[[Rule, State, Sequence[str], str], JSONObject]] = {"email": _mail, "teams": _teams}


def _title(rule: Rule, state: State) -> str:
    return rule.title if state == "fired" else f"Over: {rule.title.lower()}"


def _body(rule: Rule, state: State, page: str, shown: Mapping[str, str]) -> list[JSONObject]:
    return [
        array("optionalMessage", [text("string", f"{_advice(rule, state)} Reports and dashboard: {page}")]),
        array("additionalInformation", [named_field(label, name) for label, name in shown.items()]),
    ]


_SHOWN = {
    "Room": "workspaceName",
    "Location": "locationName",
    "Severity": "importance",
    "Began (UTC)": "startedAt",
    "Seen (UTC)": "observedAt",
    "Lasted": "lasted",
}
"""What stands below a message, by its name for people."""


def _headline(rule: Rule, state: State) -> list[JSONObject]:
    if state == "resolved":
        return [text("string", "It is over after "), field("lasted"), text("string", ".")]
    return [text("string", f"{rule.meaning} "), field("reading")]


def _advice(rule: Rule, state: State) -> str:
    if state == "resolved":
        return "Nothing is left to do."
    where = "" if rule.runbook.startswith("https://") else " in RoomPulse's repository"
    return f"Fires from {_threshold(rule)} on. What to do: {rule.runbook}{where}."


def _threshold(rule: Rule) -> str:
    """The rule's condition in words: `at least 5 % for 5 min`."""
    signal = signal_of(rule.signal)
    lasting = rule.condition.partition(" for ")[2]
    if signal is None or signal.unit == "0 or 1":
        return lasting or "the first observation"
    limit = f"{'at least' if rule.op == '>=' else 'at most'} {signal.said(rule.threshold)}"
    return f"{limit} for {lasting}" if lasting else limit
