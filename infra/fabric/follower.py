"""Route azure: live store and lake as Fabric sees them, without a copy.

A database that follows Azure Data Explorer, and a lakehouse whose tables are shortcuts to the Delta files.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
from pulumi import Input, Output, ResourceOptions

from infra.azure.lake import CONTAINER, Lake
from infra.azure.live_store import DATABASE, LiveStore
from infra.azure.resource_group import ResourceGroup
from infra.fabric.workspace import FabricWorkspace
from infra.parts import Part
from infra.providers.fabric.connection import Connection
from infra.settings.fabric import EVENTHOUSES
from powerbi.items import FabricItem

EVENTHOUSE = EVENTHOUSES["azure"]
LAKEHOUSE = "roompulse"
READINGS = "readings"
"""The Delta table of asa-queries/roompulse/Outputs/lake.json, which the query makes with its first row."""


class FabricLiveStore(Part):
    """An eventhouse with a database that follows the one in Data Explorer. `uri` is where it is queried."""

    title = "Fabric live store"

    def __init__(self, workspace: FabricWorkspace, live_store: LiveStore) -> None:
        super().__init__("fabric-live-store")
        reader = live_store.allow_reading("fabric", workspace.identity_application_id, "App")
        eventhouse = workspace.add(FabricItem("Eventhouse", EVENTHOUSE, {"EventhouseProperties.json": "{}"}), self)
        source = {
            "databaseType": "Shortcut",
            "parentEventhouseItemId": eventhouse.id,
            "sourceClusterUri": live_store.uri,
            "sourceDatabaseName": DATABASE,
        }
        database = FabricItem("KQLDatabase", DATABASE, {})
        self.database = workspace.add(database, self, creation=source, depends_on=[*live_store.ready, reader])
        workspace.queried_at(DATABASE, eventhouse.queryServiceUri)
        self.uri: Output[str] = eventhouse.queryServiceUri
        self.register_outputs({})


class FabricLake(Part):
    """A lakehouse whose tables are the lake's; its SQL endpoint answers questions about history."""

    title = "Fabric lakehouse"

    def __init__(
        self, group: ResourceGroup, workspace: FabricWorkspace, lake: Lake, waits_for: Sequence[pulumi.Resource]
    ) -> None:
        """`waits_for` is what brings the first row: the table of readings exists from then on, the others before."""
        super().__init__("fabric-lake")
        reader = lake.let_read("fabric-lake", workspace.identity_principal_id, parent=self)
        address = Output.concat("https://", lake.account, ".dfs.core.windows.net")
        connection = Connection(
            "lake-connection",
            name=group.names.plain("con", "lake"),
            type_="AzureDataLakeStorage",
            creation_method="AzureDataLakeStorage",
            parameters={"server": address, "path": CONTAINER},
            opts=ResourceOptions(parent=self),
        )
        lakehouse = workspace.add(FabricItem("Lakehouse", LAKEHOUSE, {}), self)
        for table, ready in {READINGS: waits_for, **{name: [made] for name, made in lake.tables.items()}}.items():
            path = f"/{CONTAINER}/{table}"
            place: dict[str, Input[str]] = {"location": address, "subpath": path, "connectionId": connection.id}
            workspace.show_table(lakehouse, table, {"adlsGen2": place}, depends_on=[reader, *ready])
        self.register_outputs({})
