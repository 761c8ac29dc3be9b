"""Reads what a review needs from Azure: alerting from Resource Manager, the past from Azure Data Explorer or Log Analytics.

Plain HTTP with an Entra token, reading only: Reader on the resource group, and Viewer on the database or Log Analytics Reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests

from activator.history import WATCHED_DAYS, History, firings_of, history_from
from infra.azure.live_store import DATABASE
from infra.offline import Recording
from infra.review.deployed import AlertResource, DeployedAlerting, Kind, alert_resource, by_key
from processors.contracts.http_session import Session

MANAGEMENT = "https://management.azure.com"
LOG_ANALYTICS = "https://api.loganalytics.azure.com"
LISTS: tuple[tuple[Kind, str, str], ...] = (
    ("log alert", "Microsoft.Insights/scheduledQueryRules", "2023-12-01"),
    ("metric alert", "Microsoft.Insights/metricAlerts", "2018-03-01"),
    ("action group", "Microsoft.Insights/actionGroups", "2023-01-01"),
    ("alert route", "Microsoft.AlertsManagement/actionRules", "2021-08-08"),
)
"""What is listed in the resource group, with the version of its API."""
PAGES = 50
TIMEOUT_SECONDS = 30

FIRED_IN_LOGS = f"""RoomAlerts_CL
| where not(AlertId contains '|drill-')
| summarize arg_max(ObservedAt, State), firedAt = maxif(ObservedAt, State == 'fired')
    by cityId = CityId, ruleId = RuleId, AlertId, StartedAt
| where State == 'fired' or ObservedAt > ago({WATCHED_DAYS}d)
| summarize fired = countif(firedAt > ago({WATCHED_DAYS}d)), lastFired = max(firedAt),
    openSince = minif(StartedAt, State == 'fired') by cityId, ruleId"""
"""What powerbi/kusto/review/fired.kql asks the live store, asked of Log Analytics."""

Token = Callable[[str], str]
"""Gives an Entra token for a scope."""


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
        self._place, self._token = place, token
        self._management, self._logs = management, logs
        self._session = Session()

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
        address: str | None = f"{self._management}{place}/providers/{path}?api-version={version}"
        for _ in range(PAGES):
            page = self._ask("GET", str(address), MANAGEMENT)
            for item in page.get("value", ()):
                changed = str((item.get("systemData") or {}).get("lastModifiedAt", ""))
                yield alert_resource(kind, str(item["name"]), item.get("properties") or {}, changed_at=changed)
            address = page.get("nextLink")
            if not address:
                return
            if urlsplit(address).hostname != urlsplit(self._management).hostname:
                raise AzureReadError(f"The list of {path} continues at another host ({address}): not followed.")
        raise AzureReadError(f"The list of {path} has no end: more than {PAGES} pages.")

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
        host = urlsplit(address).hostname
        headers = {"Authorization": f"Bearer {self._token(f'{audience}/.default')}"}
        try:
            response = self._session.request(method, address, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as fault:
            raise AzureReadError(
                f"{host} can't be reached ({type(fault).__name__}): are you online, and is it public?"
            ) from fault
        if response.status_code in (401, 403):
            raise AzureReadError(
                f"{host} refuses ({response.status_code}). Needed: Reader on resource group {self._place.resource_group}, Viewer "
                "on the live store's database or Log Analytics Reader. Sign in with az login."
            )
        if response.status_code == 404:
            raise AzureReadError(f"{host} knows no {urlsplit(address).path}: is the stack deployed in this subscription?")
        if not response.ok:
            raise AzureReadError(f"{host} answered {response.status_code}: {response.text[:200]}. Try again.")
        try:
            answer = response.json()
        except requests.exceptions.JSONDecodeError as fault:
            raise AzureReadError(f"{host} answered with something that is no JSON: is a proxy in the way?") from fault
        if not isinstance(answer, dict):
            raise AzureReadError(f"{host} answered with something that is no JSON object.")
        return answer
