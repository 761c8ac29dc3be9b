"""The lake: ADLS Gen2 with the Delta tables, without shared keys or public blobs.

Old files move to the cool tier and are never deleted by age: a Delta table's log still refers to them, and readers would fail.
Rows are removed with DELETE and VACUUM (docs/stages/deploy.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_azure_native import storage

from infra.azure.network import BLOB, DATA_LAKE, Network, storage_access
from infra.azure.observability import Observability
from infra.azure.resource_group import ResourceGroup, unguarded
from infra.azure.roles import Identity, Role, assign
from infra.meters import ByUse, free
from infra.parts import Kind, Part
from infra.providers.delta_table import DeltaTable
from powerbi.kusto_schema import read_tables

CONTAINER = "lake"
HISTORY = ("Alerts", "CityMinute", "IncidentSteps")
"""Tables of the live store (powerbi/kusto/tables.kql) whose rows are kept here as well (asa-queries/history)."""
DELTA_TYPES = {"string": "string", "datetime": "timestamp", "long": "long", "real": "double"}
"""Delta's types by Kusto's. Without `dynamic`: what has no shape is not a column of a table."""
SOFT_DELETE_DAYS = 7
"""How long a deleted file or container can be had back; it is billed as long."""
CONTRIBUTOR = Role("Storage Blob Data Contributor", "ba92f5b4-2d11-453d-a403-e96b0029c9fe")
READER = Role("Storage Blob Data Reader", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1")


class Lake(Part):
    """The storage account and its container."""

    title = "Lake"
    resources: ClassVar = {
        "storage:StorageAccount": Kind(
            "storage account",
            free,
            ByUse("Storage of the lake and the apps", "by what is stored and how often it is asked"),
            named="accountName",
            diagnosed=False,
        ),
        "storage:BlobContainer": Kind("container", free, named="accountName/containerName"),
        "storage:BlobServiceProperties": Kind("soft delete", free, named="accountName/blobServicesName"),
        "storage:ManagementPolicy": Kind("lifecycle policy", free, named="accountName/managementPolicyName"),
        "DeltaTable": Kind(lambda name, _: f"table {name.removeprefix('table-')}", free),
    }

    def __init__(self, group: ResourceGroup, observability: Observability, network: Network | None) -> None:
        super().__init__("lake")
        account = storage.StorageAccount(
            "lake-account",
            account_name=group.names.compact("st", "lake"),
            kind="StorageV2",
            sku={"name": "Standard_ZRS" if group.azure.zones else "Standard_LRS"},
            is_hns_enabled=True,
            allow_blob_public_access=False,
            allow_shared_key_access=False,
            allow_cross_tenant_replication=False,
            minimum_tls_version="TLS1_2",
            enable_https_traffic_only=True,
            **storage_access(network, trusted=True, addresses=group.azure.deploy_from),
            **group.placed,
            opts=group.guarded(self),
        )
        container = storage.BlobContainer(
            "lake-container",
            account_name=account.name,
            container_name=CONTAINER,
            public_access="None",
            **group.within,
            opts=group.guarded(account),
        )
        # One command would lose the history otherwise. Versions are not for accounts with a hierarchical namespace.
        storage.BlobServiceProperties(
            "lake-protection",
            account_name=account.name,
            blob_services_name="default",
            delete_retention_policy={"enabled": True, "days": SOFT_DELETE_DAYS},
            container_delete_retention_policy={"enabled": True, "days": SOFT_DELETE_DAYS},
            **group.within,
            opts=unguarded(account),
        )
        storage.ManagementPolicy(
            "lake-lifecycle",
            account_name=account.name,
            management_policy_name="default",
            policy={"rules": [_cool_rule(group.azure.lake_cool_after_days)]},
            **group.within,
            opts=unguarded(account),
        )
        doors: list[pulumi.Resource] = []
        if network:
            doors = [
                network.connect("lake-blob", account.id, "blob", [BLOB], account),
                network.connect("lake-dfs", account.id, "dfs", [DATA_LAKE], account),
            ]
        url = Output.concat(account.primary_endpoints.blob, container.name)
        self.tables: Mapping[str, pulumi.Resource] = {
            name: DeltaTable(f"table-{name}", url, name, columns, ResourceOptions(parent=container, depends_on=doors))
            for name, columns in history_tables().items()
        }
        """The tables that are there before their first row, by name."""
        self.blob_service: Output[str] = Output.concat(account.id, "/blobServices/default")
        observability.diagnose("lake", self.blob_service, account, metrics=("Capacity", "Transaction"))
        self._group = group
        self.account: Output[str] = account.name
        self._container_id: Output[str] = container.id
        self.address: Output[str] = Output.concat("abfss://", CONTAINER, "@", account.name, ".dfs.core.windows.net/")
        self.register_outputs({})

    def let_write(self, identity: Identity) -> None:
        """Let an identity write the tables."""
        identity.may(CONTRIBUTOR, "lake", self._container_id)

    def let_read(self, name: str, principal_id: Input[str], parent: pulumi.Resource) -> pulumi.Resource:
        """Let a service principal (an object id) read the tables; `name` says who it is."""
        return assign(self._group, READER, name, self._container_id, principal_id, parent=parent)


def history_tables() -> dict[str, dict[str, str]]:
    """Delta type by column, of every table of HISTORY."""
    types = {name: read_tables()[name].types for name in HISTORY}
    return {name: {one: DELTA_TYPES[kind] for one, kind in of.items() if kind in DELTA_TYPES} for name, of in types.items()}


def _cool_rule(days: int) -> storage.ManagementPolicyRuleArgsDict:
    return {
        "name": "cool-old-files",
        "type": "Lifecycle",
        "enabled": True,
        "definition": {
            "filters": {"blob_types": ["blockBlob"], "prefix_match": [f"{CONTAINER}/"]},
            "actions": {"base_blob": {"tier_to_cool": {"days_after_modification_greater_than": days}}},
        },
    }
