"""Reads what a review needs from Azure: alerting from Resource Manager, the past from Azure Data Explorer or Log Analytics.

Plain HTTP with an Entra token, reading only: Reader on the resource group, and Viewer on the database or Log Analytics Reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from activator.history import WATCHED_DAYS, History, firings_of, history_from
from infra.azure.live_store import DATABASE
from infra.azure_rest import MANAGEMENT, AzureRest, Token, Unanswered
from infra.offline import Recording
from infra.review.deployed import AlertResource, DeployedAlerting, Kind, alert_resource, by_key

LOG_ANALYTICS = "https://api.loganalytics.azure.com"
LISTS: tuple[tuple[Kind, str, str], ...] = (
    ("log alert", "Microsoft.Insights/scheduledQueryRules", "2023-12-01"),
    ("metric alert", "Microsoft.Insights/metricAlerts", "2018-03-01"),
    ("action group", "Microsoft.Insights/actionGroups", "2023-01-01"),
    ("alert route", "Microsoft.AlertsManagement/actionRules", "2021-08-08"),
)
"""What is listed in the resource group, with the version of its API."""

FIRED_IN_LOGS = f"""RoomAlerts_CL
| where not(AlertId contains '|drill-')
| summarize arg_max(ObservedAt, State), firedAt = maxif(ObservedAt, State == 'fired')
    by cityId = CityId, ruleId = RuleId, AlertId, StartedAt
| where State == 'fired' or ObservedAt > ago({WATCHED_DAYS}d)
| summarize fired = countif(firedAt > ago({WATCHED_DAYS}d)), lastFired = max(firedAt),
    openSince = minif(StartedAt, State == 'fired') by cityId, ruleId"""
"""What powerbi/kusto/review/fired.kql asks the live store, asked of Log Analytics."""


class AzureReadError(Exception):
    """Azure can't be read. The text says what was asked, what came back, and the next step."""


@dataclass(frozen=True)
class Place:
    """Where a stack is deployed: subscription, resource group, and the live store's address and database where there is one."""

    subscription: str
    resource_group: str
    workspace: str
    live_store: str | None = None
    database: str | None = None


def place_of(recording: Recording, subscription: str) -> Place:
    """Where the program puts what a review reads."""
    outputs = recording.outputs
    live_store = outputs.get("liveStore")
    return Place(subscription, outputs["resourceGroup"], outputs["logs"], live_store, DATABASE if live_store else None)


class AzureReader:
    """Reads one deployment. `management` and `logs` are other addresses for other clouds and for tests."""

    def __init__(self, place: Place, token: Token, management: str = MANAGEMENT, logs: str = LOG_ANALYTICS) -> None:
        self._place, self._rest = place, AzureRest(token)
        self._management, self._logs = management, logs

    def deployed(self) -> DeployedAlerting:
        """All alerting of the resource group; raises AzureReadError."""
        resources = [resource for kind, path, version in LISTS for resource in self._list(kind, path, version)]
        return DeployedAlerting(f"Azure resource group {self._place.resource_group}", by_key(resources))

    def history(self, now: datetime) -> History:
        """The past, from the live store where there is one, otherwise from Log Analytics (which knows no signals)."""
        if self._place.live_store:
            return history_from("Azure Data Explorer", self._kusto, now)
        since = (now - timedelta(days=WATCHED_DAYS)).isoformat()
        return History("Log Analytics", since, firings_of(self._log_analytics(FIRED_IN_LOGS)))

    # ---- Resource Manager

    def _list(self, kind: Kind, path: str, version: str) -> Iterator[AlertResource]:
        place = f"/subscriptions/{self._place.subscription}/resourceGroups/{self._place.resource_group}"
        address = f"{self._management}{place}/providers/{path}?api-version={version}"
        try:
            for item in self._rest.items(address, MANAGEMENT):
                changed = str((item.get("systemData") or {}).get("lastModifiedAt", ""))
                yield alert_resource(kind, str(item["name"]), item.get("properties") or {}, changed_at=changed)
        except Unanswered as fault:
            raise self._unread(fault, address) from fault

    # ---- Kusto and Log Analytics

    def _kusto(self, query: str) -> list[dict[str, Any]]:
        address = f"{self._place.live_store}/v1/rest/query"
        answer = self._ask("POST", address, str(self._place.live_store), {"db": self._place.database, "csl": query})
        table = answer["Tables"][0]
        names = [column["ColumnName"] for column in table["Columns"]]
        return [dict(zip(names, row, strict=True)) for row in table["Rows"]]

    def _log_analytics(self, query: str) -> list[dict[str, Any]]:
        workspace = self._ask("GET", f"{self._management}{self._workspace_path()}?api-version=2023-09-01", MANAGEMENT)
        customer = workspace["properties"]["customerId"]
        answer = self._ask("POST", f"{self._logs}/v1/workspaces/{customer}/query", LOG_ANALYTICS, {"query": query})
        table = answer["tables"][0]
        names = [column["name"] for column in table["columns"]]
        return [dict(zip(names, row, strict=True)) for row in table["rows"]]

    def _workspace_path(self) -> str:
        place = self._place
        return (
            f"/subscriptions/{place.subscription}/resourceGroups/{place.resource_group}"
            f"/providers/Microsoft.OperationalInsights/workspaces/{place.workspace}"
        )

    def _ask(self, method: str, address: str, audience: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            return self._rest.ask(method, address, audience, body)
        except Unanswered as fault:
            raise self._unread(fault, address) from fault

    def _unread(self, fault: Unanswered, address: str) -> AzureReadError:
        asked = urlsplit(address)
        if fault.status in (401, 403):
            return AzureReadError(
                f"{asked.hostname} refuses ({fault.status}). Needed: Reader on resource group {self._place.resource_group}, "
                "Viewer on the live store's database or Log Analytics Reader. Sign in with az login."
            )
        if fault.status == 404:
            return AzureReadError(f"{asked.hostname} knows no {asked.path}: is the stack deployed in this subscription?")
        return AzureReadError(f"{fault} Try again.")
