"""A fake of the parts of Resource Manager that a pre-flight asks, in the shapes Microsoft publishes.

Sources: azure-rest-api-specs (StreamAnalytics 2021-10-01-preview: SubscriptionsOperations_CompileQuery and _ListQuotas;
CheckNameAvailability of Storage, KeyVault, EventHub, Kusto, Web, Fabric; Kusto and Storage skus; Resources 2021-04-01 providers,
2022-12-01 subscriptions and locations; Authorization 2022-04-01 permissions); geoRegions as the AVM module of server farms and
VS Code's extension read it; usages of Fabric as its public users do.
"""

from __future__ import annotations

import copy
from typing import Any

from tests.infra.providers.fake_service import Answer, FakeService, Request, arm_error

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
PLACE = f"/subscriptions/{SUBSCRIPTION}"
REGION = "West Europe"
QUERY_NAMES = {
    "inputs": ["incidents", "observations"],
    "outputs": ["alerts", "cityminute", "lake", "lakealerts", "lakecityminute", "lakesteps", "processed"],
    "functions": [],
}

TYPES = {
    "Microsoft.AlertsManagement": ["actionRules"],
    "Microsoft.App": ["managedEnvironments"],
    "Microsoft.EventHub": ["namespaces"],
    "Microsoft.Fabric": ["capacities"],
    "Microsoft.Insights": ["components", "dataCollectionEndpoints", "dataCollectionRules", "scheduledQueryRules"],
    "Microsoft.KeyVault": ["vaults"],
    "Microsoft.Kusto": ["clusters"],
    "Microsoft.ManagedIdentity": ["userAssignedIdentities"],
    "Microsoft.Network": ["privateEndpoints", "virtualNetworks"],
    "Microsoft.OperationalInsights": ["workspaces"],
    "Microsoft.Storage": ["storageAccounts"],
    "Microsoft.StreamAnalytics": ["streamingjobs"],
    "Microsoft.Web": ["sites", "serverFarms"],
}

CONTRIBUTOR = {
    "actions": ["*"],
    "notActions": [
        "Microsoft.Authorization/*/Delete",
        "Microsoft.Authorization/*/Write",
        "Microsoft.Authorization/elevateAccess/Action",
    ],
    "dataActions": [],
    "notDataActions": [],
}
ADMINISTRATOR = {
    "actions": ["Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete", "*/read"],
    "notActions": [],
    "dataActions": [],
    "notDataActions": [],
}
BLOBS = {
    "actions": ["Microsoft.Storage/storageAccounts/blobServices/containers/*"],
    "notActions": [],
    "dataActions": ["Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"],
    "notDataActions": [],
}


def _provider(namespace: str, types: list[str]) -> dict[str, Any]:
    listed = [{"resourceType": name, "locations": ["East US", REGION], "apiVersions": ["2024-01-01"]} for name in types]
    return {
        "id": f"{PLACE}/providers/{namespace}",
        "namespace": namespace,
        "registrationState": "Registered",
        "resourceTypes": listed,
    }


def _sku(kind: str, name: str) -> dict[str, Any]:
    return {"resourceType": kind, "name": name, "tier": "Standard", "locations": [REGION], "restrictions": []}


def _good() -> dict[str, Any]:
    """What a subscription answers in which everything is ready: by path within it, queries left out."""
    quota = {
        "name": "StreamingUnits",
        "type": "Microsoft.StreamAnalytics/quotas",
        "properties": {"maxCount": 200, "currentCount": 0},
    }
    zones = [{"logicalZone": str(n), "physicalZone": f"westeurope-az{n}"} for n in (1, 2, 3)]
    flex = {"name": REGION, "properties": {"name": REGION, "orgDomain": "PUBLIC;FLEXCONSUMPTION;FCZONEREDUNDANCY"}}
    machines = ["Standard_E2ads_v5", "Dev(No SLA)_Standard_E2a_v4"]
    accounts = [_sku("storageAccounts", name) for name in ("Standard_LRS", "Standard_ZRS")]
    return {
        "": {"id": PLACE, "subscriptionId": SUBSCRIPTION, "displayName": "Rooms", "state": "Enabled"},
        "/locations": {"value": [{"name": "westeurope", "displayName": REGION, "availabilityZoneMappings": zones}]},
        "/providers/Microsoft.Authorization/permissions": {"value": [CONTRIBUTOR, ADMINISTRATOR, BLOBS]},
        "/providers/Microsoft.Kusto/skus": {"value": [_sku("clusters", name) for name in machines]},
        "/providers/Microsoft.Storage/skus": {"value": accounts},
        "/providers/Microsoft.Fabric/skus": {"value": [_sku("capacities", "F2")]},
        "/providers/Microsoft.Web/geoRegions": {"value": [flex]},
        "/providers/Microsoft.StreamAnalytics/locations/westeurope/quotas": {"value": [quota]},
        "/providers/Microsoft.Fabric/locations/westeurope/usages": {
            "value": [{"name": {"value": "CapacityQuota", "localizedValue": "Capacity quota"}, "limit": 8, "currentValue": 0}]
        },
        "/providers/Microsoft.StreamAnalytics/locations/westeurope/compileQuery": {"errors": [], "warnings": [], **QUERY_NAMES},
        **{f"/providers/{namespace}": _provider(namespace, types) for namespace, types in TYPES.items()},
    }


class FakeSubscription(FakeService):
    """Answers with `bodies`, names in `taken` as not available, the group's resources with `deployed` (None: no group).

    `reset` makes it the good one again, so that one server does for many tests.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """A subscription in which everything is ready, and which was asked nothing."""
        self.bodies: dict[str, Any] = copy.deepcopy(_good())
        self.taken: dict[str, dict[str, Any]] = {}
        self.deployed: list[str] | None = None
        self.requests.clear()
        self.faults.clear()

    def asked(self, ending: str) -> list[Request]:
        """What was asked at paths that end so."""
        return [request for request in self.requests if request.path.endswith(ending)]

    def handle(self, request: Request) -> Answer:
        assert request.headers["Authorization"].startswith("Bearer "), "no question without a token"
        assert request.query["api-version"], "no question without the version of its API"
        path = request.path.removeprefix(PLACE)
        if path.lower().endswith("/checknameavailability"):
            free = {"nameAvailable": True, "reason": "None", "message": ""}
            return Answer(200, self.taken.get(request.json["name"], free))
        if path.startswith("/resourceGroups/"):
            return self._group()
        return Answer(200, self.bodies[path]) if path in self.bodies else arm_error(404, "NotFound", f"no {path}")

    def _group(self) -> Answer:
        if self.deployed is None:
            return arm_error(404, "ResourceGroupNotFound", "Resource group 'rg' could not be found.")
        return Answer(200, {"value": [{"id": f"{PLACE}/x/{name}", "name": name, "type": "x"} for name in self.deployed]})
