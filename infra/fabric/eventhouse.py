"""Route fabric: what the KQL database has beside the tables and views of powerbi/kusto.

An eventstream puts rows into a table whose columns are exactly those of its output, times as text and the column `Table` among
them. So rows land in tables of their own, and an update policy brings them, typed, into the tables that people ask.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from infra.azure.live_store import schema_script
from powerbi.kusto_schema import KustoTable, read_tables

DATABASE = "roompulse"
ARRIVALS = "Arrivals"
"""Everything the ingest sends, as it comes: what could not be understood is picked from it, and a day can be replayed."""
ARRIVAL_COLUMNS = {
    "specversion": "string", "id": "string", "source": "string", "type": "string", "subject": "string", "time": "string",
    "datacontenttype": "string", "data": "dynamic",
}  # fmt: skip
"""A CloudEvent as the ingest seals it (processors/ingest/cloud_events.py)."""
OUTPUTS = ("Processed", "CityMinute", "Alerts")
"""Tables the query has an output for; DeadLetter comes from what it does not read."""
SENT = ("IncidentSteps",)
"""Tables whose rows an app sends as they are, to an endpoint of their own."""
ENTITY = {"Processed": "entityId", "CityMinute": "cityId", "Alerts": "alertId", "IncidentSteps": "incidentId"}
"""What a row of ours has. The query also sees what could not be understood, and gives rows without it."""
PARTITION = "PartitionId"
"""What Stream Analytics calls the partition an event came from."""
BY_PARTITION = ("Processed", "Alerts")
"""Outputs with the number of the partition in each row, for the hubs of the other route; no table of ours keeps it."""
TIME_OF_THE_SERVICE = "windowEnd"
"""The one time the query makes itself; every other one is text."""
BATCHING = {"MaximumBatchingTimeSpan": "00:00:10", "MaximumNumberOfItems": 10_000, "MaximumRawDataSizeMB": 256}
LANDING_RETENTION = {"SoftDeletePeriod": "1.00:00:00", "Recoverability": "Disabled"}
AVAILABLE = ("Processed", "CityMinute", "Alerts", "IncidentSteps", "DeadLetter")
"""Tables that OneLake shows as Delta, some minutes old."""


def landing_of(table: str) -> str:
    """The table in which the rows for `table` land."""
    return f"{table}Landing"


def landing_columns() -> dict[str, dict[str, str]]:
    """Kusto type by column, of every table that an eventstream writes."""
    tables = read_tables()
    return {ARRIVALS: ARRIVAL_COLUMNS} | {landing_of(name): _landing(tables[name]) for name in (*OUTPUTS, *SENT)}


def eventhouse_script() -> str:
    """Everything the database has: tables and views, landing tables, the policies between them, what OneLake shows."""
    return "\n\n".join([schema_script().strip(), *_landing_commands(), *_update_commands(), *_availability()]) + "\n"


def _landing(table: KustoTable) -> dict[str, str]:
    text = {"datetime": "string"}
    types = {name: kind if name == TIME_OF_THE_SERVICE else text.get(kind, kind) for name, kind in table.types.items()}
    if table.name in SENT:
        return types
    partition = {PARTITION: "long"} if table.name in BY_PARTITION else {}
    return types | partition | {"Table": "string"}


def _landing_commands() -> Iterator[str]:
    for name, columns in landing_columns().items():
        listed = ", ".join(f"['{column}']: {kind}" for column, kind in columns.items())
        yield f'.create-merge table {name} ({listed}) with (folder = "landing")'
        yield f".alter table {name} policy streamingingestion enable"
        yield f".alter table {name} policy ingestionbatching\n```\n{json.dumps(BATCHING)}\n```"
        yield f".alter table {name} policy retention\n```\n{json.dumps(LANDING_RETENTION)}\n```"


def _update_commands() -> Iterator[str]:
    tables = read_tables()
    for name in (*OUTPUTS, *SENT):
        columns = ", ".join(_typed(name_, kind) for name_, kind in tables[name].types.items())
        yield from _update(name, landing_of(name), f"{landing_of(name)} | where isnotempty({ENTITY[name]}) | project {columns}")
    columns = ", ".join(_picked(column.name, column.type, column.path) for column in tables["DeadLetter"].columns)
    quarantined = f"{ARRIVALS} | where ['type'] == 'roompulse.quarantined.v1' | project {columns}"
    yield from _update("DeadLetter", ARRIVALS, quarantined)


def _update(table: str, source: str, query: str) -> Iterator[str]:
    function = f"{table}From{source}"
    yield f'.create-or-alter function with (folder = "landing") {function}()\n{{\n    {query}\n}}'
    policy = [{"IsEnabled": True, "Source": source, "Query": f"{function}()", "IsTransactional": True}]
    yield f".alter table {table} policy update\n```\n{json.dumps(policy)}\n```"


def _typed(column: str, kind: str) -> str:
    return f"{column} = todatetime({column})" if kind == "datetime" and column != TIME_OF_THE_SERVICE else column


def _picked(column: str, kind: str, path: str) -> str:
    first, *rest = path.removeprefix("$.").split(".")
    value = ".".join([f"['{first}']", *rest])  # `time` is a word of KQL
    return f"{column} = {'todatetime' if kind == 'datetime' else 'tostring'}({value})"


def _availability() -> Iterator[str]:
    for table in AVAILABLE:
        options = "IsEnabled=true, TargetLatencyInMinutes=5"
        yield f".alter-merge table {table} policy mirroring dataformat=parquet with ({options})"
