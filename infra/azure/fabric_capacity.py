"""The optional Fabric capacity: what a workspace of Microsoft Fabric runs on."""

from __future__ import annotations

import pulumi
from pulumi import Output
from pulumi_azure_native import fabric

from infra.azure.resource_group import ResourceGroup
from infra.settings.deployment import FabricCapacitySettings


class FabricCapacity(pulumi.ComponentResource):
    """The capacity; it costs by the hour until somebody pauses it, used or not. `name` is what a workspace is assigned to."""

    def __init__(self, group: ResourceGroup, settings: FabricCapacitySettings) -> None:
        super().__init__("roompulse:azure:FabricCapacity", "fabric")
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
