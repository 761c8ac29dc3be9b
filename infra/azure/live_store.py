"""The live store: Azure Data Explorer with the tables of powerbi/kusto, fed by data connections, which can replay."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pulumi
from pulumi import Output
from pulumi_azure_native import kusto

from activator.declarations import read_text
from infra.azure.event_hubs import EventHubs
from infra.azure.network import Network, data_explorer_zones, public_access
from infra.azure.observability import Observability
from infra.azure.resource_group import ResourceGroup, unguarded
from infra.azure.roles import Identity
from infra.meters import HOURS, ByUse, Meter, Purchase, free
from infra.parts import Kind, Part
from infra.settings.deployment import Kusto
from powerbi.kusto_schema import FOLDER, SCRIPTS

DATABASE = "roompulse"
TABLE_OF_HUB = {"processed": None, "alerts": "Alerts", "incidents": "IncidentSteps", "deadletter": "DeadLetter"}
"""Hub `processed` holds rows of two tables: the event property Table names the table, and columns are found by their names."""


def schema_script() -> str:
    """The commands of powerbi/kusto as Kusto wants a script: a blank line between commands, none within, no comments."""
    files = (read_text(FOLDER / name, "what the Kusto database gets") for name in SCRIPTS)
    lines = [line for file in files for line in [*file.splitlines(), ""] if not line.lstrip().startswith("//")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _machines(_name: str, properties: Mapping[str, Any]) -> Iterator[Purchase]:
    """The machines of a cluster; Azure's markup is by the core and is not charged for the machine without a service level."""
    sku, instances = properties["sku.name"], properties["sku.capacity"]
    machine = sku.removeprefix("Dev(No SLA)_")
    because = f"{instances} x {machine} x {HOURS} h"
    yield Purchase("Data Explorer machines", Meter("Virtual Machines", None, "1 Hour", None, machine), instances * HOURS, because)
    if machine == sku:
        cores = instances * int("".join(character for character in machine.split("_")[1] if character.isdigit()))
        meter = Meter("Azure Data Explorer", "Standard Engine Cluster Markup", "1 Hour")
        yield Purchase("Data Explorer markup", meter, cores * HOURS, f"{cores} cores x {HOURS} h")


class LiveStore(Part):
    """The cluster, its database and the connections. `uri` is where queries go."""

    title = "Live store"
    resources: ClassVar = {
        "kusto:Cluster": Kind(
            "cluster",
            _machines,
            ByUse("Data Explorer's management nodes, disks", "Azure chooses and scales them by itself"),
            named="clusterName",
        ),
        "kusto:ReadWriteDatabase": Kind("database", free, named="clusterName/databaseName"),
        "kusto:Script": Kind(
            lambda name, _: "schema" if name == "schema" else "views of cities", free, named="clusterName/databaseName/scriptName"
        ),
        "kusto:EventHubDataConnection": Kind("data connection", free, named="clusterName/databaseName/dataConnectionName"),
        "kusto:DatabasePrincipalAssignment": Kind("reader", free, named="clusterName/databaseName/principalAssignmentName"),
    }

    def __init__(
        self, group: ResourceGroup, settings: Kusto, observability: Observability, network: Network | None, hubs: EventHubs
    ) -> None:
        super().__init__("live-store")
        self._group = group
        self._identity = Identity("livestore", group, self)
        hubs.let_receive(self._identity, *TABLE_OF_HUB)
        self._cluster = kusto.Cluster(
            "cluster",
            cluster_name=group.names.compact("adx"),
            sku={
                "name": settings.sku,
                "tier": "Basic" if settings.is_development else "Standard",
                "capacity": settings.instances,
            },
            identity={"type": "UserAssigned", "user_assigned_identities": [self._identity.id]},
            zones=["1", "2", "3"] if group.azure.zones else None,
            enable_auto_stop=False,
            enable_disk_encryption=True,
            enable_streaming_ingest=True,
            public_network_access=public_access(network),
            **group.placed,
            opts=group.guarded(self),
        )
        self._database = kusto.ReadWriteDatabase(
            "database",
            database_name=DATABASE,
            kind="ReadWrite",
            cluster_name=self._cluster.name,
            location=group.azure.location,
            hot_cache_period=f"P{settings.hot_days}D",
            soft_delete_period=f"P{settings.keep_days}D",
            **group.within,
            opts=group.guarded(self._cluster),
        )
        schema = self._script("schema", schema_script())
        self.ready: list[pulumi.Resource] = [schema]
        """What has to exist before anybody asks or follows the database."""
        for hub, table in TABLE_OF_HUB.items():
            self._connect(hub, table, hubs, schema)
        for reader in settings.readers:
            self.allow_reading(reader, reader, "Group")
        if network:
            zones = data_explorer_zones(group.azure.location)
            network.connect("live-store", self._cluster.id, "cluster", zones, self._cluster)
        observability.diagnose("live-store", self._cluster.id, self._cluster)
        self.cluster_id: Output[str] = self._cluster.id
        self.uri: Output[str] = self._cluster.uri
        self.register_outputs({})

    def allow_reading(self, name: str, principal_id: pulumi.Input[str], kind: str) -> pulumi.Resource:
        """Let a principal query the database; `kind` is Group (an object id) or App (a client id)."""
        assignment: pulumi.Resource = kusto.DatabasePrincipalAssignment(
            f"reader-{name}",
            principal_assignment_name=f"reader-{name}",
            cluster_name=self._cluster.name,
            database_name=self._database.name,
            principal_id=principal_id,
            principal_type=kind,
            role="Viewer",
            tenant_id=self._group.tenant_id,
            **self._group.within,
            opts=unguarded(self._database),
        )
        return assignment

    def add_views(self, views: Mapping[str, str], _cities: Mapping[str, pulumi.Resource]) -> None:
        """The stored views of all cities beside the schema's, by slug: commands that may run again, in one script.

        A cluster has 50 scripts at most, and two can't be made or removed at once (infra/azure/limits.py).
        """
        if views:
            self._script("views", "\n".join(views[slug] for slug in sorted(views)), after=[*self.ready])

    def _script(self, name: str, text: str, after: Sequence[pulumi.Resource] = ()) -> kusto.Script:
        """Commands that may run again at any time, and do when their text changes."""
        return kusto.Script(
            name,
            script_name=name,
            cluster_name=self._cluster.name,
            database_name=self._database.name,
            script_content=text,
            continue_on_errors=False,
            force_update_tag=hashlib.sha256(text.encode()).hexdigest()[:16],
            **self._group.within,
            opts=unguarded(self._database, after),
        )

    def _connect(self, hub: str, table: str | None, hubs: EventHubs, schema: kusto.Script) -> None:
        kusto.EventHubDataConnection(
            f"connection-{hub}",
            data_connection_name=hub,
            kind="EventHub",
            cluster_name=self._cluster.name,
            database_name=self._database.name,
            location=self._group.azure.location,
            event_hub_resource_id=hubs.hubs[hub],
            consumer_group="livestore",
            managed_identity_resource_id=self._identity.id,
            table_name=table,
            mapping_rule_name=table,
            data_format="MULTIJSON",
            compression="None",
            database_routing="Single",
            **self._group.within,
            opts=unguarded(self._database, [schema, *hubs.ready, *self._identity.roles]),
        )
