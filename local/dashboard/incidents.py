"""Open alerts as incidents: one line for a dead site, not one for each of its devices.

A rule says which rules make its alerts say nothing new (`suppress_when`). While an alert of one of those is open for the same
place, such an alert is counted into it, as the fan-out does when it notifies people (processors/alert_fanout/incidents.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypedDict

from processors.alert_fanout.details import kept_of
from processors.alert_fanout.routing import severity_outside
from processors.contracts.issues import codes_of

Alert = Mapping[str, Any]
OUTAGE = "offlineRatio"
"""The signal of an outage."""
Causes = Mapping[str, Sequence[str]]
"""By rule: the rules whose open alerts make its own say nothing new."""


class Incident(TypedDict):
    """An open alert with the columns of `alerts` (docs/contracts.md), how many other alerts it stands for, and of how many
    devices and rooms these are. `severity` is that of the moment; `devicesDown`, of an outage, how many are down now. `issues`:
    the issue codes it is about; `details`: what of them is kept for people (kept_of). Both are as of `observedAt`, when it fired.
    """

    alertId: str
    ruleId: str
    severity: int
    cityId: str
    locationName: str | None
    workspaceName: str | None
    entity: str
    entityId: str
    name: str | None
    signal: str
    value: float | None
    startedAt: str
    observedAt: str
    product: str | None
    issues: list[str]
    details: dict[str, Any] | None
    folded: int
    devicesFolded: int
    roomsFolded: int
    devicesDown: int | None


def open_incidents(open_alerts: Iterable[Alert], causes: Causes) -> list[Incident]:
    """Incidents in the order of the alerts that lead them (the tile gives the worst and longest first)."""
    alerts = list(open_alerts)
    opened: dict[tuple[str, str, str], Alert] = {}
    for alert in alerts:
        opened.setdefault((alert["ruleId"], alert["entity"], alert["entityId"]), alert)
    explained = {alert["alertId"]: _explanations(alert, opened, causes) for alert in alerts}
    leading: list[Alert] = []
    folded: dict[str, list[Alert]] = {}
    for alert in alerts:
        lead = next((cause for cause in explained[alert["alertId"]] if not explained[cause["alertId"]]), None)
        if lead:
            folded.setdefault(lead["alertId"], []).append(alert)
        else:
            leading.append(alert)
    return [_incident(alert, folded.get(alert["alertId"], [])) for alert in leading]


def as_they_are_now(
    incidents: Iterable[Incident], down: Mapping[str, int], closed: Collection[str], outside_severities: Mapping[str, int]
) -> list[Incident]:
    """Incidents with the severity of the moment, the worst first, and how large an outage is. `down`: by location, how many of
    its devices are; `closed`: the cities in which it is not office hours.
    """
    known = [one | {"devicesDown": down.get(one["entityId"])} if one["signal"] == OUTAGE else one for one in incidents]
    found = [one | {"severity": severity_now(one, closed, outside_severities)} for one in known]
    return sorted(found, key=lambda one: one["severity"])


def severity_now(alert: Alert, closed: Collection[str], outside_severities: Mapping[str, int]) -> int:
    """The severity of an open alert at this moment. `closed`: the cities in which it is not office hours."""
    own: int = alert["severity"]
    return severity_outside(own, outside_severities.get(alert["ruleId"])) if alert["cityId"] in closed else own


def dark_locations(open_alerts: Iterable[Alert]) -> set[str]:
    """Ids of the locations of which an outage is open."""
    return {alert["locationId"] for alert in open_alerts if alert["signal"] == OUTAGE and alert["locationId"]}


def _explanations(alert: Alert, opened: Mapping[tuple[str, str, str], Alert], causes: Causes) -> list[Alert]:
    """The open alerts that make this one say nothing new: about its device, room, location or city, and no less severe."""
    places = [
        ("location", alert["locationId"]),
        ("workspace", alert["workspaceId"]),
        ("city", alert["cityId"]),
        ("device", alert["entityId"]),
    ]
    found = (opened.get((rule, *place)) for rule in causes.get(alert["ruleId"], ()) for place in places)
    return [cause for cause in found if cause and cause is not alert and cause["severity"] <= alert["severity"]]


def _incident(alert: Alert, folded: Sequence[Alert]) -> Incident:
    about = Counter(entity for entity, _ in {(one["entity"], one["entityId"]) for one in folded})
    return {
        "alertId": alert["alertId"],
        "ruleId": alert["ruleId"],
        "severity": alert["severity"],
        "cityId": alert["cityId"],
        "locationName": alert["locationName"],
        "workspaceName": alert["workspaceName"],
        "entity": alert["entity"],
        "entityId": alert["entityId"],
        "name": alert["name"],
        "signal": alert["signal"],
        "value": alert["value"],
        "startedAt": alert["startedAt"],
        "observedAt": alert["observedAt"],
        "product": alert.get("product"),
        "issues": codes_of(alert["signal"], alert.get("text")),
        "details": kept_of(alert.get("details")),
        "folded": len(folded),
        "devicesFolded": about["device"],
        "roomsFolded": about["workspace"],
        "devicesDown": None,
    }
