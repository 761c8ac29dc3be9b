"""Open alerts as incidents: one line for a dead site, not one for each of its devices.

While a location's outage is open, the offline alerts of the devices there say nothing new; they are counted into the outage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict


class Incident(TypedDict):
    """An open alert with the columns of `alerts` (docs/contracts.md) and how many alerts of its devices it stands for."""

    alertId: str
    ruleId: str
    severity: int
    cityId: str
    locationName: str | None
    workspaceName: str | None
    entity: str
    name: str | None
    signal: str
    value: float | None
    startedAt: str
    folded: int


def open_incidents(open_alerts: Iterable[Mapping[str, Any]]) -> list[Incident]:
    """Incidents in the order of the alerts that lead them (the tile gives the worst and longest first)."""
    alerts = list(open_alerts)
    dark = dark_locations(alerts)
    leading, folded = [], Counter[str]()
    for alert in alerts:
        if alert["signal"] == "offline" and alert["locationId"] in dark:
            folded[alert["locationId"]] += 1
        else:
            leading.append(alert)
    return [_incident(alert, folded) for alert in leading]


def dark_locations(open_alerts: Iterable[Mapping[str, Any]]) -> set[str]:
    """Ids of the locations of which an outage is open."""
    return {alert["locationId"] for alert in open_alerts if alert["signal"] == "offlineRatio" and alert["locationId"]}


def _incident(alert: Mapping[str, Any], folded: Mapping[str, int]) -> Incident:
    return {
        "alertId": alert["alertId"],
        "ruleId": alert["ruleId"],
        "severity": alert["severity"],
        "cityId": alert["cityId"],
        "locationName": alert["locationName"],
        "workspaceName": alert["workspaceName"],
        "entity": alert["entity"],
        "name": alert["name"],
        "signal": alert["signal"],
        "value": alert["value"],
        "startedAt": alert["startedAt"],
        "folded": folded.get(alert["locationId"], 0) if alert["signal"] == "offlineRatio" else 0,
    }
