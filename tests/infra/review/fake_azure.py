"""A fake of what a review reads: Resource Manager's lists, the live store's query API, Log Analytics. Holds what was deployed."""

from __future__ import annotations

import copy
from typing import Any

from infra.offline import Recording
from infra.review.azure_reader import LISTS
from tests.infra.arm_bodies import AZURE, arm_body, arm_name, types_file
from tests.infra.providers.fake_service import Answer, FakeService, Request
from tests.support.shared_data import shared_data

LIST_OF = {
    "azure-native:monitor:ScheduledQueryRule": "scheduledQueryRules",
    "azure-native:monitor:MetricAlert": "metricAlerts",
    "azure-native:monitor:ActionGroup": "actionGroups",
    "azure-native:alertsmanagement:AlertProcessingRuleByName": "actionRules",
}
Item = dict[str, Any]


def deployed_items(recording: Recording) -> dict[str, list[Item]]:
    """What Resource Manager would list after a deployment, by the last part of its path."""
    items: dict[str, list[Item]] = {name: [] for name in LIST_OF.values()}
    for registration in recording.resources:
        if registration.type not in LIST_OF:
            continue
        file = types_file(shared_data("arm-types"), registration.type.removeprefix(AZURE))
        assert file is not None
        properties = copy.deepcopy(arm_body(registration, file)["properties"])
        for receiver in properties.get("emailReceivers", []) + properties.get("smsReceivers", []):
            receiver["status"] = "Enabled"
        for action in properties.get("actions") or [] if "actionRules" in LIST_OF[registration.type] else []:
            group = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Insights/actionGroups/"
            action["actionGroupIds"] = [group + id_.rsplit("/", 1)[-1] for id_ in action["actionGroupIds"]]
        changed = {"lastModifiedAt": "2026-10-02T09:00:00Z"}
        items[LIST_OF[registration.type]].append(
            {"name": arm_name(registration), "properties": properties, "systemData": changed}
        )
    return items


class FakeAzure(FakeService):
    """Lists `items`, two a page; answers queries with `tables`, rows by the first table a query names."""

    def __init__(self, items: dict[str, list[Item]]) -> None:
        super().__init__()
        self.items = items
        self.tables: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]] = {}
        self.queries: list[str] = []

    def handle(self, request: Request) -> Answer:
        if request.headers.get("Authorization") is None:
            return Answer(401, {"error": {"code": "AuthenticationFailed"}})
        last = request.path.rsplit("/", 1)[-1]
        if any(path.rsplit("/", 1)[-1] == last for _, path, _ in LISTS):
            return self._list(request, last)
        if last == "query":
            return self._query(request)
        if "/workspaces/" in request.path:
            return Answer(200, {"properties": {"customerId": "11111111-2222-3333-4444-555555555555"}})
        return Answer(404, {"error": {"code": "ResourceNotFound"}})

    def _list(self, request: Request, name: str) -> Answer:
        skip = int(request.query.get("$skiptoken", 0))
        page: dict[str, Any] = {"value": self.items[name][skip : skip + 2]}
        if skip + 2 < len(self.items[name]):
            page["nextLink"] = f"{self.url}{request.path}?api-version={request.query['api-version']}&$skiptoken={skip + 2}"
        return Answer(200, page)

    def _query(self, request: Request) -> Answer:
        query = request.json.get("csl") or request.json["query"]
        self.queries.append(query)
        asked = next(line for line in query.splitlines() if line and not line.startswith("//"))
        columns, rows = self.tables.get(f"{asked.strip()} since" if "since = " in query else asked.strip(), ((), []))
        if "csl" in request.json:
            table = {"Columns": [{"ColumnName": column} for column in columns], "Rows": [list(row) for row in rows]}
            return Answer(200, {"Tables": [table]})
        table = {"columns": [{"name": column} for column in columns], "rows": [list(row) for row in rows]}
        return Answer(200, {"tables": [table]})
