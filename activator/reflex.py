"""Alert rules as Data Activator takes them (Reflex): for people who live in Fabric, an e-mail for an alert, and one for its end.

The stream query alone decides what an alert is, with a city's own thresholds; Activator watches table Alerts for it, so that the
two can't disagree. The query of a rule names all that the rule says: entity, signal, comparison, threshold, duration. What
Activator can't say is refused, not approximated.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any, Literal

from activator.rules import OUTSIDE_OFFICE_HOURS, PLANNED_MAINTENANCE, Rule
from activator.signals import KNOW_MAINTENANCE
from processors.contracts.signals import signal_of

INTERVAL_SECONDS = 300
INGESTION_DELAY_SECONDS = 300
"""How late a row may be seen: the window of each run ends this long ago. A database shortcut lags by up to minutes,
and windows don't overlap: what is seen later than this sends nothing here."""
CLOCK = "ingestedAt"
"""What the windows go by: when the live store took a row in. By event time, the way there would be lost as well."""
TEMPLATE_VERSION = "1.2.3"
_LINE_BREAKS = r"[\p{Cc}\p{Zl}\p{Zp}]+"
"""What a name may not have in a mail's subject, as Kusto's regular expressions (RE2) call it."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://roompulse/activator")

WORKSPACE_PAGE = "https://app.fabric.microsoft.com/groups/{}/list"
"""Where the reports and the dashboard of a workspace are listed, by its id."""
CAUSE_DAYS = 2
"""How long ago what explains an alert may have fired for the alert's end to stay unsent, as its beginning did."""

JSONObject = dict[str, Any]
State = Literal["fired", "resolved"]
"""What people are notified of: each is a source, an event and a trigger of its own."""


class ReflexError(Exception):
    """Data Activator can't say what a rule says. The text names the rule, what is beyond it and who notifies instead."""


def reflex_entities(
    city: str, rules: Sequence[tuple[Rule, Sequence[str]]], *, workspace_id: str, database_id: str
) -> list[JSONObject]:
    """The entities of a city's Reflex item: for every rule, as it holds there, with its recipients (e-mail addresses).

    A rule's runbook is an address, where the runbooks have one.

    Raises ReflexError for a rule that can't be expressed; `why_not` says so beforehand.
    """
    entities = [
        {
            "uniqueIdentifier": _id(city, "container"),
            "payload": {"name": f"Alerts {city}", "type": "kqlQueries"},
            "type": "container-v1",
        }
    ]
    for rule, recipients in rules:
        if reason := why_not(rule, recipients):
            raise ReflexError(f"{city}, {rule.id}: {reason}")
        for state in ("fired", "resolved"):
            entities += [
                _source(city, rule, state, workspace_id, database_id),
                _event(city, rule, state),
                _trigger(city, rule, state, recipients, WORKSPACE_PAGE.format(workspace_id)),
            ]
    return entities


def why_not(rule: Rule, recipients: Sequence[str]) -> str | None:
    """Why Data Activator can't say what this rule says; None when it can."""
    if rule.by_platform:
        return "is evaluated by the platform, since nothing reaches the live store when it holds; Azure Monitor notifies"
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
        "declare query_parameters(startTime: datetime, endTime: datetime);",
        "Alerts",
        f"| extend {CLOCK} = ingestion_time()",
        f"| where {CLOCK} > startTime and {CLOCK} <= endTime and cityId == '{city}' and state == '{state}'",
        f"| where ruleId == '{rule.id}' and entity == '{rule.entity}' and signal == '{rule.signal}'",
        *_condition(rule, state),
        *_unexplained(city, rule, state),
    ]
    names = ("name", "workspaceName", "locationName")
    lines.append("| extend " + ", ".join(f"{name} = replace_regex({name}, @'{_LINE_BREAKS}', ' ')" for name in names))
    lines.append(f"| extend reading = {_reading(rule)}, lasted = strcat(toint((observedAt - startedAt) / 1m), ' min')")
    lines.append("| extend importance = case(severity == 1, 'Critical', severity == 2, 'Major', severity == 3, 'Minor', 'Info')")
    lines.append(
        f"| project {CLOCK}, name, workspaceName, locationName, reading, importance, startedAt, observedAt, lasted, told = 1.0"
    )
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


def _source(city: str, rule: Rule, state: State, workspace_id: str, database_id: str) -> JSONObject:
    payload = {
        "name": f"{rule.id} {state}",
        "runSettings": {"executionIntervalInSeconds": INTERVAL_SECONDS},
        "query": {"queryString": alert_query(city, rule, state)},
        "eventhouseItem": {"itemId": database_id, "workspaceId": workspace_id, "itemType": "KustoDatabase"},
        "queryParameters": [
            {"name": "startTime", "type": "DURATION_START", "value": ""},
            {"name": "endTime", "type": "DURATION_END", "value": ""},
        ],
        "eventTimeSettings": {
            "timeFieldName": CLOCK,
            "ingestionDelayInSeconds": INGESTION_DELAY_SECONDS,
            "timeZone": "UTC",
        },
        "metadata": {"workspaceId": workspace_id, "measureName": "", "querySetId": "", "queryId": ""},
        "parentContainer": {"targetUniqueIdentifier": _id(city, "container")},
    }
    return {"uniqueIdentifier": _id(city, rule.id, state, "source"), "payload": payload, "type": "kqlSource-v1"}


def _event(city: str, rule: Rule, state: State) -> JSONObject:
    source = [_text("entityId", _id(city, rule.id, state, "source"))]
    steps = [_step(city, rule, state, "SourceEventStep", _row("SourceSelector", "SourceReference", source))]
    return _view(city, rule, state, "event", f"{rule.title} {state}", {"type": "Event"}, "SourceEvent", steps)


def _trigger(city: str, rule: Rule, state: State, recipients: Sequence[str], page: str) -> JSONObject:
    event: JSONObject = {
        "name": "event",
        "type": "complex",
        "kind": "EventReference",
        "arguments": [_text("entityId", _id(city, rule.id, state, "event"))],
    }
    told = [_text("op", "IsGreaterThan"), {"name": "threshold", "type": "number", "value": 0}]
    steps = [
        _step(city, rule, state, "FieldsDefaultsStep", _row("EventSelector", "Event", [event])),
        _step(
            city,
            rule,
            state,
            "EventDetectStep",
            _row("EventFieldSelector", "EventField", [_text("fieldName", "told")]),
            _row("NumberValueCondition", "NumberValueCondition", told),
        ),
        _step(city, rule, state, "ActStep", _row("EmailBinding", "EmailMessage", _mail(rule, state, recipients, page))),
    ]
    definition = {"type": "Rule", "settings": {"shouldRun": True, "shouldApplyRuleOnUpdate": False}}
    name = rule.title if state == "fired" else f"{rule.title}: over"
    return _view(city, rule, state, "trigger", name, definition, "EventTrigger", steps)


def _mail(rule: Rule, state: State, recipients: Sequence[str], page: str) -> list[JSONObject]:
    what = rule.title if state == "fired" else f"Over: {rule.title.lower()}"
    subject = [_text("string", f"{what}: "), _field("name"), _text("string", ", "), _field("locationName")]
    return [
        _text("messageLocale", "en-us"),
        _array("sentTo", [_text("string", recipient) for recipient in recipients]),
        _array("copyTo", []),
        _array("bCCTo", []),
        _array("subject", subject),
        _array("headline", _headline(rule, state)),
        _array("optionalMessage", [_text("string", f"{_advice(rule, state)} Reports and dashboard: {page}")]),
        _array("additionalInformation", [_named_field(label, name) for label, name in _SHOWN.items()]),
    ]


_SHOWN = {
    "Room": "workspaceName",
    "Location": "locationName",
    "Severity": "importance",
    "Began (UTC)": "startedAt",
    "Seen (UTC)": "observedAt",
    "Lasted": "lasted",
}
"""What stands below a mail, by its name for people."""


def _headline(rule: Rule, state: State) -> list[JSONObject]:
    if state == "resolved":
        return [_text("string", "It is over after "), _field("lasted"), _text("string", ".")]
    return [_text("string", f"{rule.meaning} "), _field("reading")]


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


def _view(
    city: str, rule: Rule, state: State, part: str, name: str, definition: JSONObject, template: str, steps: Sequence[JSONObject]
) -> JSONObject:
    instance = {"templateId": template, "templateVersion": TEMPLATE_VERSION, "steps": list(steps)}
    payload = {
        "name": name,
        "parentContainer": {"targetUniqueIdentifier": _id(city, "container")},
        "definition": {**definition, "instance": json.dumps(instance, ensure_ascii=False)},
    }
    return {"uniqueIdentifier": _id(city, rule.id, state, part), "payload": payload, "type": "timeSeriesView-v1"}


def _step(city: str, rule: Rule, state: State, name: str, *rows: JSONObject) -> JSONObject:
    return {"name": name, "id": _id(city, rule.id, state, name), "rows": list(rows)}


def _row(name: str, kind: str, arguments: Sequence[JSONObject]) -> JSONObject:
    return {"name": name, "kind": kind, "arguments": list(arguments)}


def _text(name: str, value: str) -> JSONObject:
    return {"name": name, "type": "string", "value": value}


def _array(name: str, values: Sequence[JSONObject]) -> JSONObject:
    return {"name": name, "type": "array", "values": list(values)}


def _field(name: str) -> JSONObject:
    return {"kind": "EventFieldReference", "type": "complex", "arguments": [_text("fieldName", name)]}


def _named_field(label: str, name: str) -> JSONObject:
    reference = {**_field(name), "name": "reference", "type": "complexReference"}
    return {"kind": "NameReferencePair", "type": "complex", "arguments": [_text("name", label), reference]}


def _id(*names: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "/".join(names)))
