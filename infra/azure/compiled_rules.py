"""What an alert rule (activator/rules) says in Azure Monitor's words. Imports no Pulumi: the resources are made elsewhere.

The query has judged threshold and time by the time an alert is a row of the table, with each city's overrides. So a rule's log
alert only looks for its open alerts; numbers and reasons stand in its description, where operators read them. What the platform
judges itself (`pipeline-stale`) becomes metric alerts with the rule's own numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from pulumi import Input

from activator.declarations import DeclarationError, Fault
from activator.rules import Rule
from infra.azure.limits import ALERT_DESCRIPTION

TABLE = "RoomAlerts_CL"
DIMENSIONS = ("Route", "CityId", "Name", "LocationName", "Severity", "AlertId")
"""One alert each: who is notified, which city, which entity. Azure takes six at most."""
WINDOWS = {60: "PT1M", 300: "PT5M", 900: "PT15M", 1800: "PT30M", 3600: "PT1H", 21600: "PT6H", 43200: "PT12H", 86400: "P1D"}
"""The windows a metric alert may have, by seconds."""


def open_alerts(rule: Rule) -> str:
    """The query that gives a rule's open alerts, once per audience."""
    return (
        f"{TABLE} | where RuleId == '{rule.id}' | summarize arg_max(ObservedAt, *) by AlertId, Audience | where State == 'fired' "
        f"| project AlertId, CityId, Name, LocationName, Text, Severity = tostring(Severity), Route = {route_kql('Audience')}"
    )


def description(rule: Rule) -> str:
    """What operators read in the portal and in the mail; raises DeclarationError for a meaning that Azure has no room for."""
    unless = "" if rule.by_platform else ", where a city says nothing else"
    text = f"{rule.meaning} Fires at {rule.condition}{unless}. {_severity_at_night(rule)}What to do: {rule.runbook}"
    if len(text) > ALERT_DESCRIPTION:
        over = len(text) - ALERT_DESCRIPTION
        why = f"is {over} characters too long for an alert rule of Azure: shorten it, the runbook has room."
        raise DeclarationError("An alert rule can't be deployed", [Fault(f"{rule.id}.yaml/meaning", why)])
    return text


def _severity_at_night(rule: Rule) -> str:
    """What Azure's own severity, which a rule has at all hours, does not say."""
    if rule.severity_outside is None:
        return ""
    return f"Outside the city's office hours it is severity {rule.severity_outside}, as its dimension Severity says. "


def rows_found(query: Input[str], per: Sequence[str] = ()) -> dict[str, object]:
    """The criteria of a log alert that fires when a query finds a row, for each value of the columns `per`."""
    return {
        "all_of": [
            {
                "query": query,
                "time_aggregation": "Count",
                "operator": "GreaterThan",
                "threshold": 0,
                "dimensions": [{"name": column, "operator": "Include", "values": ["*"]} for column in per],
                "failing_periods": {"number_of_evaluation_periods": 1, "min_failing_periods_to_alert": 1},
            }
        ]
    }


def properties(rule: Rule) -> dict[str, str]:
    """What every alert of the rule carries for programs."""
    return {"ruleId": rule.id, "runbook": rule.runbook, "condition": rule.condition}


def window(rule: Rule) -> str:
    """The time of a rule as a metric alert's window; raises DeclarationError for one that Azure doesn't have."""
    if rule.for_seconds not in WINDOWS:
        possible = ", ".join(f"{seconds // 60}m" for seconds in WINDOWS)
        fault = Fault(
            f"{rule.id}.yaml/when/for", f"{rule.for_seconds} s is not a window of a metric alert: take one of {possible}."
        )
        raise DeclarationError("An alert rule can't be deployed", [fault])
    return WINDOWS[rule.for_seconds]


def metric_operator(rule: Rule) -> str:
    """The rule's comparison in Azure's word."""
    return {">=": "GreaterThanOrEqual", "<=": "LessThanOrEqual"}[rule.op]


def route_to(audience: str) -> str:
    """What an alert's context holds when it is addressed to an audience. The marks keep york from matching new-york."""
    return f"to={audience};"


def route_kql(audience_column: str) -> str:
    """The route of a row, in KQL."""
    return f"strcat('to=', {audience_column}, ';')"
