"""Alert rules as Data Activator takes them (Reflex): for people who live in Fabric, an e-mail for every alert that fires.

The stream query alone decides what an alert is, with a city's own thresholds; Activator watches table Alerts for it, so that the
two can't disagree. The query of a rule names all that the rule says: entity, signal, comparison, threshold, duration. What
Activator can't say is refused, not approximated.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from activator.rules import OUTSIDE_OFFICE_HOURS, PLANNED_MAINTENANCE, Rule
from activator.signals import KNOW_MAINTENANCE

INTERVAL_SECONDS = 300
INGESTION_DELAY_SECONDS = 300
"""How late a row may be seen: the window of each run ends this long ago. A database shortcut lags by up to minutes,
and windows don't overlap: what is seen later than this is told by nobody here."""
CLOCK = "ingestedAt"
"""What the windows go by: when the live store took a row in. By event time, the way there would be lost as well."""
TEMPLATE_VERSION = "1.2.3"
_LINE_BREAKS = r"[\p{Cc}\p{Zl}\p{Zp}]+"
"""What a name may not have in a mail's subject, as Kusto's regular expressions (RE2) call it."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://roompulse/activator")

JSONObject = dict[str, Any]


class ReflexError(Exception):
    """Data Activator can't say what a rule says. The text names the rule, what is beyond it and who tells instead."""


def reflex_entities(
    city: str, rules: Sequence[tuple[Rule, Sequence[str]]], *, workspace_id: str, database_id: str
) -> list[JSONObject]:
    """The entities of a city's Reflex item: for every rule, as it holds there, with its recipients (e-mail addresses).

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
        entities += [
            _source(city, rule, workspace_id, database_id),
            _event(city, rule),
            _trigger(city, rule, recipients),
        ]
    return entities


def why_not(rule: Rule, recipients: Sequence[str]) -> str | None:
    """Why Data Activator can't say what this rule says; None when it can."""
    if rule.by_platform:
        return "is evaluated by the platform, since nothing reaches the live store when it holds; Azure Monitor tells"
    if not recipients:
        return "has no recipient by e-mail at every hour; the fan-out tells the others"
    if OUTSIDE_OFFICE_HOURS in rule.suppress_when:
        return "is silent outside office hours, which Activator doesn't know; the fan-out tells"
    if PLANNED_MAINTENANCE in rule.suppress_when and rule.signal not in KNOW_MAINTENANCE:
        return f"is silent in planned maintenance, which signal {rule.signal} doesn't know; the fan-out tells"
    return None


def alert_query(city: str, rule: Rule) -> str:
    """The KQL that yields what fired of a rule in a city, taken in between startTime (exclusive) and endTime."""
    others = [other for other in rule.suppress_when if other != PLANNED_MAINTENANCE]
    lines = [
        "declare query_parameters(startTime: datetime, endTime: datetime);",
        "Alerts",
        f"| extend {CLOCK} = ingestion_time()",
        f"| where {CLOCK} > startTime and {CLOCK} <= endTime and cityId == '{city}' and state == 'fired'",
        f"| where ruleId == '{rule.id}' and entity == '{rule.entity}' and signal == '{rule.signal}'",
        f"| where value {rule.op} {rule.threshold!r} and observedAt - startedAt >= {rule.for_seconds}s",
    ]
    if others:
        named = ", ".join(f"'{other}'" for other in others)
        lines += [
            "| join kind = leftanti (",
            f"    LatestAlert | where state == 'fired' and cityId == '{city}' and ruleId in ({named}) | project locationId",
            ") on locationId",
        ]
    names = ("name", "workspaceName", "locationName")
    lines.append("| extend " + ", ".join(f"{name} = replace_regex({name}, @'{_LINE_BREAKS}', ' ')" for name in names))
    lines.append(
        f"| project {CLOCK}, observedAt, name, workspaceName, locationName, value, threshold, severity, startedAt, fired = 1.0"
    )
    return "\n".join(lines)


def _source(city: str, rule: Rule, workspace_id: str, database_id: str) -> JSONObject:
    payload = {
        "name": rule.id,
        "runSettings": {"executionIntervalInSeconds": INTERVAL_SECONDS},
        "query": {"queryString": alert_query(city, rule)},
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
    return {"uniqueIdentifier": _id(city, rule.id, "source"), "payload": payload, "type": "kqlSource-v1"}


def _event(city: str, rule: Rule) -> JSONObject:
    source = [_text("entityId", _id(city, rule.id, "source"))]
    steps = [_step(city, rule, "SourceEventStep", _row("SourceSelector", "SourceReference", source))]
    return _view(city, rule, "event", f"{rule.title} fired", {"type": "Event"}, "SourceEvent", steps)


def _trigger(city: str, rule: Rule, recipients: Sequence[str]) -> JSONObject:
    event: JSONObject = {
        "name": "event",
        "type": "complex",
        "kind": "EventReference",
        "arguments": [_text("entityId", _id(city, rule.id, "event"))],
    }
    fired = [_text("op", "IsGreaterThan"), {"name": "threshold", "type": "number", "value": 0}]
    steps = [
        _step(city, rule, "FieldsDefaultsStep", _row("EventSelector", "Event", [event])),
        _step(
            city,
            rule,
            "EventDetectStep",
            _row("EventFieldSelector", "EventField", [_text("fieldName", "fired")]),
            _row("NumberValueCondition", "NumberValueCondition", fired),
        ),
        _step(city, rule, "ActStep", _row("EmailBinding", "EmailMessage", _mail(rule, recipients))),
    ]
    definition = {"type": "Rule", "settings": {"shouldRun": True, "shouldApplyRuleOnUpdate": False}}
    return _view(city, rule, "trigger", rule.title, definition, "EventTrigger", steps)


def _mail(rule: Rule, recipients: Sequence[str]) -> list[JSONObject]:
    subject = [_text("string", f"{rule.title}: "), _field("name"), _text("string", ", "), _field("locationName")]
    reading = [_text("string", f"{rule.condition}, it is "), _field("value")]
    shown = ("workspaceName", "locationName", "value", "threshold", "severity", "startedAt")
    return [
        _text("messageLocale", "en-us"),
        _array("sentTo", [_text("string", recipient) for recipient in recipients]),
        _array("copyTo", []),
        _array("bCCTo", []),
        _array("subject", subject),
        _array("headline", reading),
        _array("optionalMessage", [_text("string", f"{rule.meaning} What to do: {rule.runbook}")]),
        _array("additionalInformation", [_named_field(name) for name in shown]),
    ]


def _view(
    city: str, rule: Rule, part: str, name: str, definition: JSONObject, template: str, steps: Sequence[JSONObject]
) -> JSONObject:
    instance = {"templateId": template, "templateVersion": TEMPLATE_VERSION, "steps": list(steps)}
    payload = {
        "name": name,
        "parentContainer": {"targetUniqueIdentifier": _id(city, "container")},
        "definition": {**definition, "instance": json.dumps(instance, ensure_ascii=False)},
    }
    return {"uniqueIdentifier": _id(city, rule.id, part), "payload": payload, "type": "timeSeriesView-v1"}


def _step(city: str, rule: Rule, name: str, *rows: JSONObject) -> JSONObject:
    return {"name": name, "id": _id(city, rule.id, name), "rows": list(rows)}


def _row(name: str, kind: str, arguments: Sequence[JSONObject]) -> JSONObject:
    return {"name": name, "kind": kind, "arguments": list(arguments)}


def _text(name: str, value: str) -> JSONObject:
    return {"name": name, "type": "string", "value": value}


def _array(name: str, values: Sequence[JSONObject]) -> JSONObject:
    return {"name": name, "type": "array", "values": list(values)}


def _field(name: str) -> JSONObject:
    return {"kind": "EventFieldReference", "type": "complex", "arguments": [_text("fieldName", name)]}


def _named_field(name: str) -> JSONObject:
    reference = {**_field(name), "name": "reference", "type": "complexReference"}
    return {"kind": "NameReferencePair", "type": "complex", "arguments": [_text("name", name), reference]}


def _id(*names: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "/".join(names)))
