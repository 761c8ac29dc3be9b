"""What a check asks: one subscription by Azure Resource Manager, and the stack that would be deployed into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.azure_rest import MANAGEMENT, AzureRest, Token, Unanswered
from infra.offline import Recording, Registration
from infra.providers.stream_analytics_model import normal_region

AZURE = "azure-native:"
JOB = "pulumi-python:dynamic/roompulse:StreamAnalyticsJob"
RESOURCES = "2021-04-01"
"""Version of the API of subscriptions, providers and resource groups."""


class Subscription:
    """Questions within one subscription; `address` is Resource Manager's, another one for other clouds and for tests."""

    def __init__(self, identifier: str, token: Token, address: str = MANAGEMENT) -> None:
        self._rest = AzureRest(token)
        self._place = f"{address.rstrip('/')}/subscriptions/{identifier}"

    def get(self, path: str, version: str) -> dict[str, Any]:
        """The object at `path` of the subscription; raises Unanswered."""
        return self._rest.ask("GET", self._at(path, version), MANAGEMENT)

    def post(self, path: str, version: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What an action answers; raises Unanswered. Only actions that change nothing are asked for."""
        return self._rest.ask("POST", self._at(path, version), MANAGEMENT, body)

    def items(self, path: str, version: str) -> list[dict[str, Any]]:
        """The whole list at `path`; raises Unanswered."""
        return list(self._rest.items(self._at(path, version), MANAGEMENT))

    def _at(self, path: str, version: str) -> str:
        path, _, query = path.partition("?")
        return f"{self._place}{'/' if path else ''}{path}?api-version={version}{f'&{query}' if query else ''}"


@dataclass
class Stack:
    """What would be deployed: a region, a resource group and the program's resources."""

    location: str
    recording: Recording

    def of_type(self, token: str) -> list[Registration]:
        """The resources of an azure-native type (`kusto:Cluster`)."""
        return [resource for resource in self.recording.resources if resource.type == AZURE + token]

    @cached_property
    def jobs(self) -> list[Registration]:
        """The Stream Analytics jobs: one, or none where the data goes through Fabric."""
        return [resource for resource in self.recording.resources if resource.type == JOB]

    @property
    def resource_group(self) -> str:
        """Its name."""
        return str(self.recording.outputs["resourceGroup"])

    @property
    def zoned(self) -> bool:
        """Whether anything of it spans availability zones."""
        return any(plan.inputs.get("zoneRedundant") for plan in self.of_type("web:AppServicePlan"))


def deployed_already(azure: Subscription, stack: Stack) -> frozenset[str] | None:
    """The lower-case names of what the resource group holds; nothing where there is no group; None where Azure won't say."""
    try:
        return frozenset(
            str(item["name"]).lower() for item in azure.items(f"resourceGroups/{stack.resource_group}/resources", RESOURCES)
        )
    except Unanswered as fault:
        return frozenset() if fault.code == "ResourceGroupNotFound" else None


def offered(locations: Any, location: str) -> bool:
    """Whether a list of regions, as Azure writes them (`West Europe`), has this one."""
    return normal_region(location) in {normal_region(str(one)) for one in locations or ()}
