"""The Delta tables of the local lake: what identifies a row, the column types, and how a table is laid out on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.lake.delta_table import DeltaTableWriter
from powerbi.kusto_schema import read_tables

COLUMN_TYPES = {
    "string": "VARCHAR",
    "datetime": "TIMESTAMPTZ",
    "long": "BIGINT",
    "real": "DOUBLE",
    "bool": "BOOLEAN",
    "dynamic": "VARCHAR",
}
"""DuckDB type of a lake column by its Kusto type: dynamic values are JSON text."""


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

_LIVE_TABLE_KEYS = {
    "Processed": ("id",),
    "CityMinute": ("cityId", "signal", "windowEnd"),
    "Alerts": ("alertId", "state"),
    "IncidentSteps": ("id",),
    "DeadLetter": ("id",),
}
_LIVE_TABLE_TIMES = {"Processed": "observedAt", "CityMinute": "windowEnd", "Alerts": "observedAt", "IncidentSteps": "observedAt"}


def live_tables() -> dict[str, LakeTable]:
    """The tables of the live store by name: the columns come from powerbi/kusto/tables.kql, the keys from docs/contracts.md."""
    return {
        name: LakeTable(
            name=name,
            key=_LIVE_TABLE_KEYS[name],
            columns={column: COLUMN_TYPES[kind] for column, kind in table.types.items()},
            time_column=_LIVE_TABLE_TIMES.get(name),
        )
        for name, table in read_tables().items()
    }
