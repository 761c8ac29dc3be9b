"""The Delta tables of the local lake: what identifies a row, the column types, and how a table is laid out on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.lake.delta_table import DeltaTableWriter


@dataclass(frozen=True)
class LakeTable:
    """A Delta table. Field meanings: see DeltaTableWriter."""

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    partition_by: str | None = None
    time_column: str | None = None

    def writer(self, lake_dir: Path) -> DeltaTableWriter:
        """The writer of this table in the lake at `lake_dir`; there is one at a time."""
        return DeltaTableWriter(lake_dir / self.name, self.key, self.columns, self.partition_by, self.time_column)


READINGS = LakeTable(
    name="readings",
    key=("id", "signal"),
    columns={
        "id": "VARCHAR",
        "observedAt": "TIMESTAMPTZ",
        "date": "VARCHAR",
        "cityId": "VARCHAR",
        "locationId": "VARCHAR",
        "workspaceId": "VARCHAR",
        "entity": "VARCHAR",
        "entityId": "VARCHAR",
        "name": "VARCHAR",
        "reason": "VARCHAR",
        "connectionStatus": "VARCHAR",
        "signal": "VARCHAR",
        "value": "DOUBLE",
        "text": "VARCHAR",
        "since": "TIMESTAMPTZ",
        "pollId": "VARCHAR",
    },
    partition_by="date",
    time_column="observedAt",
)
"""History: one row per observation and signal (output `lake` of the stream query)."""
