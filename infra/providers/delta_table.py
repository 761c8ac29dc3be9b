"""An empty Delta table as a resource: its first version is written once, and what has become of the table since is left alone.

Whoever shows a table (a shortcut of a lakehouse) needs it to be there, and a stream query that makes it would wait for its first
row, and take the types of that row for those of the table. Forms: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import ConfigureRequest, CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from infra.providers.base import changed_properties, log, log_to_standard_error, replacing
from infra.providers.blob_file import BlobStorage

FIRST_VERSION = "_delta_log/00000000000000000000.json"
PROTOCOL = {"minReaderVersion": 1, "minWriterVersion": 2}
"""What Stream Analytics makes and takes: no table features, no deletion vectors."""
TYPES = frozenset({"string", "timestamp", "long", "double"})


def first_version(table: str, columns: Mapping[str, str]) -> str:
    """The log entry that makes a table with these columns (Delta type by name), all of which may be null."""
    assert set(columns.values()) <= TYPES, "nothing here writes columns of another type"
    fields = [{"name": name, "type": kind, "nullable": True, "metadata": {}} for name, kind in columns.items()]
    metadata = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"roompulse/{table}")),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": [],
        "configuration": {},
        "createdTime": 0,
    }
    return "".join(json.dumps(action) + "\n" for action in ({"protocol": PROTOCOL}, {"metaData": metadata}))


class DeltaTableProvider(ResourceProvider):
    """Makes tables. Holds nothing."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Called once in the provider's process."""
        log_to_standard_error()

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Other columns are an update, which says what to do; another place is another table."""
        changed = changed_properties(_olds, _news, ("containerUrl", "table", "columns"))
        return DiffResult(changes=bool(changed), replaces=replacing(changed, _news, ("containerUrl", "table")))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the table, unless it is there."""
        table, columns = props["table"], props["columns"]
        name = f"{table}/{FIRST_VERSION}"
        if not BlobStorage(props["containerUrl"]).write_new(name, first_version(table, columns)):
            log.info("table %s is there already and stays as it is", table)
        return CreateResult(f"{props['containerUrl'].rstrip('/')}/{table}", dict(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Say how the columns get into the table: who writes to it while the job does would have to take turns with it."""
        added = {name: kind for name, kind in _news["columns"].items() if name not in _olds["columns"]}
        if added:
            listed = ", ".join(f"{name} {kind.upper()}" for name, kind in added.items())
            log.warning(
                "table %s lacks columns that the query writes, and Stream Analytics leaves them out. "
                "Next, from any Delta engine: ALTER TABLE delta.`%s` ADD COLUMNS (%s)", _news["table"], _id, listed,
            )  # fmt: skip
        return UpdateResult(dict(_news))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Leave the table: history goes with its container, or by hand."""


class DeltaTable(Resource, module="roompulse", name="DeltaTable"):
    """A Delta table in a container of a storage account."""

    def __init__(
        self,
        resource_name: str,
        container_url: pulumi.Input[str],
        table: str,
        columns: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`container_url` is https://ACCOUNT.blob.core.windows.net/CONTAINER; `columns` are Delta types by name."""
        inputs = {"containerUrl": container_url, "table": table, "columns": dict(columns)}
        super().__init__(DeltaTableProvider(), resource_name, inputs, opts)
