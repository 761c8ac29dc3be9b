"""Delivers the query's rows: to hubs as JSON lines, to the lake as rows of a Delta table. What isn't delivered is tried again.

Rows have keys made from their content (docs/contracts.md), so delivering a row again after a crash shows nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.exceptions import EventHubError

from asa_engine.engine import OutputRows
from asa_engine.job_folder import JobOutput
from asa_engine.parallel import PARTITION
from asa_engine.statements import execute
from asa_engine.types import quoted
from local.event_hubs.unencrypted import context_for
from local.lake.delta_table import DeltaTableWriter, LakeFullError
from local.part import Part

EVENT_BYTES = 200_000
"""Rows are packed into events of about this size."""
RECORD_CHARACTERS = 8192
PORTION_ROWS = 500
GATHERED = "gathered_for_the_lake"
GATHERED_ROWS, GATHERED_SECONDS = 40_000, 5.0
"""History is appended when so many rows are gathered, or the first has waited so long. An append looks its rows up among all
of the same minutes, so a few large ones are best for a snapshot."""
RETRY_SECONDS = 1.0

Properties = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Message:
    """An event to send: the number that is its partition key, its properties and its body."""

    partition: int
    properties: Properties
    body: str


class GaveUp(Exception):
    """The part was asked to stop while something could not be delivered; the state isn't saved, so it is delivered next time."""


class HubSender:
    """Sends to one hub, until it is acknowledged or the part stops."""

    def __init__(self, part: Part, hub: str) -> None:
        self.part = part
        self.hub = hub
        self._client: EventHubProducerClient | None = None
        self._partitions: list[str] = []

    async def partition_count(self) -> int:
        """How many partitions the hub has."""
        if not self._partitions:
            await self._patiently(self._find_partitions)
        return len(self._partitions)

    async def send(self, messages: Sequence[Message]) -> None:
        """Send messages, per partition in their order. Raises GaveUp when asked to stop before they are acknowledged."""
        await self.partition_count()
        by_partition: dict[int, list[Message]] = {}
        for message in messages:
            by_partition.setdefault(message.partition, []).append(message)
        for partition, own in by_partition.items():
            await self._patiently(lambda partition=partition, own=own: self._send_to(partition, own))  # type: ignore[misc]

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def connect(self) -> None:
        """Open the link to the hub, so that the first alert doesn't wait for it. Raises GaveUp."""
        await self._patiently(self._open_link)

    async def _open_link(self) -> None:
        await asyncio.gather(self._find_partitions(), self._connected().create_batch())

    async def _find_partitions(self) -> None:
        self._partitions = sorted(await self._connected().get_partition_ids())

    def _connected(self) -> EventHubProducerClient:
        if self._client is None:
            connection = self.part.settings.event_hubs_connection_string
            self._client = EventHubProducerClient.from_connection_string(
                connection, eventhub_name=self.hub, ssl_context=context_for(connection)
            )
        return self._client

    async def _send_to(self, partition: int, messages: list[Message]) -> None:
        # by key, not by partition: opening a link for every partition takes half a second each, one link serves all keys
        client, key = self._connected(), str(partition)
        batch = await client.create_batch(partition_key=key)
        for message in messages:
            event = EventData(message.body)
            event.properties = dict(message.properties)
            try:
                batch.add(event)
            except ValueError:  # the batch is full
                if len(batch):
                    await client.send_batch(batch)
                    batch = await client.create_batch(partition_key=key)
                batch.add(event)
            # a partially sent list is sent again as a whole after a fault: consumers drop the repeats by key
        if len(batch):
            await client.send_batch(batch)

    async def _patiently(self, attempt: Callable[[], Awaitable[None]]) -> None:
        failed = False
        while True:
            try:
                await attempt()
                break
            except (EventHubError, OSError) as fault:
                if not failed:
                    self.part.warning(f"hub {self.hub} takes no events ({fault}): trying again until it does")
                failed = True
                await self.close()
                await _pause_or_give_up(self.part)
        if failed:
            self.part.recovered(f"hub {self.hub} takes events again")


def messages_of(rows: OutputRows, output: JobOutput, partitions: int) -> list[Message]:
    """The rows of a hub output as messages: a row per line, packed by key and properties; one row each for alerts.

    `partitions`: as many keys are used as the hub has partitions. The partition an event came from chooses one where the output
    is keyed by it, as on Azure, else the CRC-32 of the output's key column; either way what concerns one key stays in order.
    """
    names = [column.name for column in rows.plan.columns]
    body = rows.json_sql([name for name in names if name not in output.property_columns])
    key = f"CAST({quoted(output.partition_key)} AS VARCHAR)" if output.partition_key else "''"
    properties = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in output.property_columns)
    selected = f"SELECT {body}, {key}{', ' + properties if properties else ''} FROM ({rows.sql()}) ORDER BY {rows.order}"
    packed: dict[tuple[int, Properties], list[str]] = {}
    sizes: dict[tuple[int, Properties], int] = {}
    messages: list[Message] = []
    limit = EVENT_BYTES if output.name != "alerts" else 0
    for line, owner, *values in _portions(execute(rows.connection, selected)):
        chosen = int(owner) if output.partition_key == PARTITION else zlib.crc32((owner or "").encode())
        target = (chosen % partitions, tuple(zip(output.property_columns, values, strict=True)))
        if sizes.get(target, 0) + len(line) > limit and packed.get(target):
            messages.append(Message(*target, "\n".join(packed.pop(target))))
            sizes[target] = 0
        packed.setdefault(target, []).append(line)
        sizes[target] = sizes.get(target, 0) + len(line) + 1
    messages += [Message(*target, "\n".join(lines)) for target, lines in packed.items()]
    return messages


def _portions(result: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of a result, held in portions: a snapshot's rows all at once would need tens of megabytes."""
    while portion := result.fetchmany(PORTION_ROWS):
        yield from portion


def quarantined(record: str, reason: str, arrival: int, subject: str, partitions: int) -> Message:
    """The event for an observation that couldn't be understood; the same record has the same id whenever it is read again."""
    data = {"reason": reason, "stage": "query", "record": record[:RECORD_CHARACTERS]}
    moment = datetime.fromtimestamp(arrival / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    content = json.dumps(["roompulse.quarantined.v1", moment, data], sort_keys=True)
    event = {
        "specversion": "1.0",
        "id": hashlib.sha256(content.encode()).hexdigest()[:32],
        "source": "/roompulse/query",
        "type": "roompulse.quarantined.v1",
        "subject": subject,
        "time": moment,
        "datacontenttype": "application/json",
        "data": data,
    }
    return Message(zlib.crc32(subject.encode()) % partitions, (("Table", "DeadLetter"),), json.dumps(event, ensure_ascii=False))


class LakeOutput:
    """Gathers an output's rows for its Delta table, and appends them together: nobody waits for history, and every append costs a
    commit, however few its rows are. What is gathered is appended before a checkpoint says that it was delivered.
    """

    def __init__(self, part: Part, writer: DeltaTableWriter) -> None:
        self.part = part
        self.writer = writer
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._count = 0
        self._since = 0.0

    @property
    def is_due(self) -> bool:
        """Whether what is gathered has waited long enough, or is much."""
        return self._count >= GATHERED_ROWS or (self._count > 0 and time.monotonic() - self._since >= GATHERED_SECONDS)

    def take(self, rows: OutputRows) -> None:
        """Gather rows."""
        columns = ", ".join(
            f"CAST({quoted(c.name)} AS TIMESTAMPTZ) AS {quoted(c.name)}" if c.type.kind == "datetime" else quoted(c.name)
            for c in rows.plan.columns
        )
        selected = f"SELECT {columns} FROM ({rows.sql()})"
        if self._count == 0:
            self._since = time.monotonic()
            self._connection = rows.connection
            execute(rows.connection, f"CREATE OR REPLACE TEMP TABLE {GATHERED} AS {selected}")
        else:
            execute(rows.connection, f"INSERT INTO {GATHERED} {selected}")
        self._count = rows.connection.table(GATHERED).count("*").fetchall()[0][0]

    async def flush(self) -> int:
        """Store what is gathered; returns how many rows were new. Waits while the disk is full. Raises GaveUp when asked to stop
        meanwhile.
        """
        if self._connection is None or self._count == 0:
            return 0
        failed = False
        while True:
            try:
                stored = await asyncio.to_thread(self.writer.append, self._connection, f"from {GATHERED}")
                break
            except LakeFullError as fault:
                if not failed:
                    self.part.warning(str(fault))
                failed = True
                await _pause_or_give_up(self.part)
        if failed:
            self.part.recovered("the lake has room again")
        self._count = 0
        return stored

    def close(self) -> None:
        """Let another writer have the table."""
        self.writer.close()


async def _pause_or_give_up(part: Part) -> None:
    try:
        await asyncio.wait_for(part.stopping.wait(), RETRY_SECONDS)
    except TimeoutError:
        return
    raise GaveUp
