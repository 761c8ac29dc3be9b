"""The optional Fabric capacity: what a workspace of Microsoft Fabric runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pulumi import Output
from pulumi_azure_native import fabric

from infra.azure.resource_group import ResourceGroup
from infra.meters import HOURS, Meter, Purchase
from infra.parts import Kind, Part
from infra.settings.deployment import FabricCapacitySettings


def _units(_name: str, properties: Mapping[str, Any]) -> Iterator[Purchase]:
    units = int(properties["sku.name"].removeprefix("F"))
    meter = Meter("Microsoft Fabric", "Compute Pool Capacity Usage CU", "1 Hour", "Fabric Capacity")
    yield Purchase("Fabric capacity, never paused", meter, units * HOURS, f"{units} capacity units x {HOURS} h")


class FabricCapacity(Part):
    """The capacity; it costs by the hour until somebody pauses it, used or not. `name` is what a workspace is assigned to."""

    title = "Fabric capacity"
    resources: ClassVar = {"fabric:FabricCapacity": Kind("capacity", _units, named="capacityName", diagnosed=False)}

    def __init__(self, group: ResourceGroup, settings: FabricCapacitySettings) -> None:
        super().__init__("fabric")
        capacity = fabric.FabricCapacity(
            "fabric-capacity",
            capacity_name=group.names.compact("fabric"),
            sku={"name": settings.sku, "tier": fabric.RpSkuTier.FABRIC},
            administration={"members": list(settings.admins)},
            **group.placed,
            opts=group.guarded(self),
        )
        self.name: Output[str] = capacity.name
        self.register_outputs({})
