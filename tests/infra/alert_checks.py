"""Checks of alert rules and receivers: numbers in the metric's unit, conditions that Azure knows, people it can reach."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from infra.offline import Recording
from infra.policies.rules import at
from tests.infra.published_checks import criteria, published
from tests.infra.recorded import ids, of_type

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
MOST_PERIODS = 6
"""Evaluations that a log alert may look back on: learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule."""
DAY_SECONDS = 86_400
RANGES = {"Percent": (1, 100), "Seconds": (1, DAY_SECONDS), "Count": (0, 10_000_000), "Availability": (0.01, 1)}
"""Thresholds that mean something, by unit: a percentage as a fraction never ends, seconds as milliseconds never begin."""


def check_thresholds_are_in_the_unit(recording: Recording) -> Iterator[str]:
    """A threshold lies where values of its metric can lie."""
    listed = published("metrics")["metrics"]
    for alert, criterion in criteria(recording):
        unit = listed.get(criterion["metricNamespace"], {}).get(criterion["metricName"], {}).get("unit", "Count")
        least, most = RANGES[unit]
        if not least <= criterion["threshold"] <= most:
            yield f"{alert.name}: {criterion['threshold']:g} is not a threshold in {unit}: {least:g} to {most:g}"


def check_activity_alerts_can_fire(recording: Recording) -> Iterator[str]:
    """Category, fields and operation are of Azure's lists, and health of the service is told of a whole subscription."""
    listed = published("activity_log")
    for alert in of_type(recording, "monitor:ActivityLogAlert"):
        conditions = {one["field"]: one["equals"] for one in _leaves(at(alert.inputs, "condition.allOf"))}
        for field in sorted(conditions.keys() - set(listed["fields"])):
            yield f"{alert.name}: there is no field {field} in the activity log"
        category = conditions.get("category")
        if category not in listed["categories"]:
            yield f"{alert.name}: there is no category {category} in the activity log"
        if category == "Administrative" and conditions.get("operationName") not in listed["operations"]:
            yield f"{alert.name}: there is no operation {conditions.get('operationName')}"
        if category == "Administrative" and conditions.get("status") != "Succeeded":
            yield f"{alert.name}: fires on status {conditions.get('status')}, and what was begun may be refused"
        for scope in alert.inputs["scopes"]:
            is_subscription = bool(re.fullmatch(r"/subscriptions/[0-9a-f-]+", str(scope)))
            if category == "ServiceHealth" and not is_subscription:
                yield f"{alert.name}: service health is of a subscription, not of {scope}"
            if category != "ServiceHealth" and is_subscription:
                yield f"{alert.name}: looks at resources of others too, in all of {scope}"


def check_log_alerts_can_fire(recording: Recording) -> Iterator[str]:
    """Azure refuses more failing periods than there are, a pause beside resolving, and adx() without an identity."""
    for rule in of_type(recording, "monitor:ScheduledQueryRule"):
        (criterion,) = at(rule.inputs, "criteria.allOf")
        query, periods = str(criterion["query"]), criterion["failingPeriods"]
        failing, looked_at = periods["minFailingPeriodsToAlert"], periods["numberOfEvaluationPeriods"]
        if not 1 <= failing <= looked_at <= MOST_PERIODS:
            yield f"{rule.name}: {failing} failing of {looked_at} periods; Azure looks back on {MOST_PERIODS} at most"
        if rule.inputs.get("muteActionsDuration") and rule.inputs.get("autoMitigate"):
            yield f"{rule.name}: pauses and resolves by itself; Azure takes one of the two"
        if rule.inputs.get("kind") != "LogAlert":
            yield f"{rule.name}: is a {rule.inputs.get('kind')}, which notifies nobody"
        if "adx(" in query and not rule.inputs.get("identity"):
            yield f"{rule.name}: asks a cluster as nobody"
        for dimension in criterion.get("dimensions") or ():
            if not re.search(rf"\b{re.escape(dimension['name'])}\b", query):
                yield f"{rule.name}: is split by {dimension['name']}, a column that its query does not have"


def check_receivers_can_be_reached(recording: Recording) -> Iterator[str]:
    """Addresses are addresses, nobody is named twice, and what is sent is in the one schema that pages link to."""
    for group in of_type(recording, "monitor:ActionGroup"):
        emails = group.inputs.get("emailReceivers") or []
        named = [one["emailAddress"].casefold() for one in emails]
        named += [f"{one['countryCode']} {one['phoneNumber']}" for one in group.inputs.get("smsReceivers") or []]
        for address in sorted({one for one in named if named.count(one) > 1}):
            yield f"{group.name}: notifies {address} twice"
        for one in emails:
            if not EMAIL.fullmatch(one["emailAddress"]):
                yield f"{group.name}: {one['emailAddress']} is not an address"
            if not one.get("useCommonAlertSchema"):
                yield f"{group.name}: {one['name']} does not get the common alert schema"


def check_routes_look_at_the_workspace(recording: Recording) -> Iterator[str]:
    """A route is of the alerts of our workspace, and its mark names its own audience."""
    known = ids(recording, "operationalinsights:Workspace")
    for route in of_type(recording, "alertsmanagement:AlertProcessingRuleByName"):
        properties = route.inputs["properties"]
        if not set(properties["scopes"]) <= known:
            yield f"{route.name}: looks at {', '.join(properties['scopes'])}, not at the workspace"
        marks = [str(value) for condition in properties.get("conditions") or () for value in condition["values"]]
        if not all(route.name == _route_of(mark) for mark in marks):
            yield f"{route.name}: its mark is {', '.join(marks)}"


def _route_of(mark: str) -> str:
    """The name of the route with this mark: `to=lyon/email;` or `to=unassigned;`."""
    city, _, audience = mark.removeprefix("to=").removesuffix(";").partition("/")
    return f"apr-{audience}-{city}" if audience else f"apr-{city}"


def _leaves(conditions: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in conditions:
        yield from _leaves(one["anyOf"]) if one.get("anyOf") else (one,)


ALERT_CHECKS: tuple[Callable[[Recording], Iterator[str]], ...] = (
    check_thresholds_are_in_the_unit,
    check_activity_alerts_can_fire,
    check_log_alerts_can_fire,
    check_receivers_can_be_reached,
    check_routes_look_at_the_workspace,
)
