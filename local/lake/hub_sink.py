"""Moves what one hub brings into Delta tables: micro-batches, every event stored once, whatever is killed or restarted.

How far a partition is stored stands in the Delta tables themselves, written in the same commit as the rows; there is no
checkpoint store that could disagree with them. A batch may touch several tables; only its last commit notes the position. So a
crash in between repeats the batch, and the tables drop what they have.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from asa_engine.statements import execute
from event_hubs_local.bookmarks import Bookmarks, Position
from local.lake.arrivals import Arrivals
from local.lake.delta_table import DeltaTableWriter, LakeFullError
from local.lake.json_lines import quarantined, rows_of
from local.lake.tables import LakeTable
from local.part import Part
from powerbi.kusto_schema import KustoTable

PENDING_BYTES = 2_000_000
"""So much is committed at once, however short it has been gathered; until it is, the hub's receivers wait."""
RETRY_SECONDS = 2.0
FULL_SECONDS = 0.05
"""How soon it is seen again whether the live store has room."""
GATHERING_SHARE, LONGEST_GATHERING_SECONDS = 2.0, 2.0
"""Events are gathered so many times as long as the last took to be stored, at most so long: under load commits become larger."""

log = logging.getLogger("roompulse.lake")


@dataclass(frozen=True)
class Hub:
    """A hub, the tables its events go to, and how long (s) events are gathered at least before they are stored. The live store of
    the same process does not wait for that (arrivals.py).
    """

    name: str
    tables: tuple[str, ...]
    gather_seconds: float


HUBS = (
    Hub("processed", ("Processed", "CityMinute"), 5.0),
    Hub("alerts", ("Alerts",), 0.05),
    Hub("incidents", ("IncidentSteps",), 1.0),
    Hub("deadletter", ("DeadLetter",), 1.0),
)
"""The event property Table decides where a hub serves several tables (docs/contracts.md)."""


@dataclass(frozen=True)
class Tables:
    """The live tables of a lake with their writers, by name."""

    declared: Mapping[str, KustoTable]
    layouts: Mapping[str, LakeTable]
    writers: Mapping[str, DeltaTableWriter]


@dataclass
class Batch:
    """Events that wait for their commit: bodies by table, texts without a table with the reason, positions by partition."""

    bodies: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    homeless: list[tuple[str, str]] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    bytes: int = 0


class HubSink:
    """Gathers the events of a hub and stores them; `now` says when an unreadable line was found, `report` gets what is lost.

    `arrivals`: where a live store of this process takes the lines from, before they are stored.
    """

    def __init__(
        self,
        hub: Hub,
        tables: Tables,
        database: duckdb.DuckDBPyConnection,
        now: Callable[[], datetime],
        executor: Executor,
        report: Callable[[str], None] = log.warning,
        arrivals: Arrivals | None = None,
    ) -> None:
        self.hub = hub
        self.bookmarks = Bookmarks(hub.name, report)
        self.rows = 0
        self.unreadable = 0
        self._tables = tables
        self._connection = database.cursor()
        self._connection.execute("set TimeZone = 'UTC'")
        self._now = now
        self._executor = executor
        self._arrivals = arrivals
        self._batch = Batch()
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Event()

    def stored_position(self, partition: str) -> Position | None:
        """The event up to which a partition is stored; None when nothing of it is, or when a table of the hub is missing.

        A missing table is one that got no row yet, or was moved away because it was damaged: only the hub can fill it. Of several
        tables the greatest offset counts: sequence numbers begin again with a new log.
        """
        writers = [self._tables.writers[name] for name in self.hub.tables]
        if not all(writer.exists for writer in writers):
            return None
        applications = self._applications(partition)
        found = [tuple(writer.position(application) for application in applications) for writer in writers]
        stored = [Position(sequence, offset) for sequence, offset in found if sequence is not None and offset is not None]
        return max(stored, key=lambda position: position.offset, default=None)

    async def take(self, partition: str, events: Sequence[Any]) -> None:
        """Gather events in their order; those that were taken already are passed over. Waits while too much is waiting."""
        for event in events:
            if self.bookmarks.passes(partition, event):
                self._gather(partition, event)
                self._arrived.set()
                await self._until_there_is_room()

    async def run(self, part: Part) -> None:
        """Store what arrives until the part stops, and then what is left. Raises PartError when the lake is damaged."""
        gather_seconds = self.hub.gather_seconds
        while not part.stopping.is_set():
            earliest = time.monotonic() + gather_seconds
            await _first_of(self._arrived, part.stopping)
            await _first_of(self._full, part.stopping, timeout=max(0.0, earliest - time.monotonic()))
            began = time.monotonic()
            await self._store_patiently(part)
            gather_seconds = gathering_seconds(self.hub, time.monotonic() - began)

    async def _until_there_is_room(self) -> None:
        while self._batch.bytes >= PENDING_BYTES:
            self._full.set()
            self._room.clear()
            await self._room.wait()
        while self._arrivals is not None and self._arrivals.is_full:  # noqa: ASYNC110 (room is made in another thread)
            await asyncio.sleep(FULL_SECONDS)

    async def _store_patiently(self, part: Part) -> None:
        """Store the gathered batch; while the disk is full try again, unless the part stops: the hub still has the events."""
        batch, self._batch = self._batch, Batch()
        self._arrived.clear()
        self._full.clear()
        self._room.set()
        if not batch.positions:
            return
        failed = False
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(self._executor, self._store, batch)
                break
            except LakeFullError as fault:
                if not failed:
                    part.warning(str(fault))
                failed = True
                await _first_of(part.stopping, timeout=RETRY_SECONDS)
                if part.stopping.is_set():
                    return
        if failed:
            part.recovered("the lake has room again: everything that waited is stored")

    def _gather(self, partition: str, event: Any) -> None:
        body = b"".join(event.body).decode("utf-8", errors="backslashreplace")
        table = _table_of(event, self.hub)
        if table is None:
            self._batch.homeless.append((body, f"no table {_property(event)!r} in hub {self.hub.name}"))
        else:
            self._batch.bodies[table].append(body)
            if self._arrivals is not None:
                self._arrivals.put(table, body)
        self._batch.positions |= zip(self._applications(partition), (event.sequence_number, int(event.offset)), strict=True)
        self._batch.bytes += len(body)

    def _applications(self, partition: str) -> tuple[str, str]:
        """The names under which the tables keep sequence number and offset."""
        name = f"{self.hub.name}/{partition}"
        return name, f"{name}/offset"

    def _store(self, batch: Batch) -> None:
        """Store a batch, one commit per table; the last one also notes how far the partitions are stored."""
        moment = self._now().isoformat()
        appends: list[tuple[str, str]] = []
        for name, bodies in batch.bodies.items():
            good, bad = rows_of(self._connection, "\n".join(bodies), self._tables.declared[name], self._tables.layouts[name])
            if self._any(bad):
                self._store_faults(bad, name, moment)
            if self._any(good):
                appends.append((name, good))
        if batch.homeless:
            self._store_faults(self._homeless(batch.homeless), self.hub.name, moment)
        for at, (name, rows) in enumerate(appends, start=1):
            positions = batch.positions if at == len(appends) else None
            self.rows += self._tables.writers[name].append(self._connection, rows, positions=positions)

    def _any(self, rows: str) -> bool:
        return bool(execute(self._connection, f"from ({rows}) limit 1").fetchall())

    def _store_faults(self, faults: str, origin: str, moment: str) -> None:
        rows = quarantined(self._connection, faults, origin, moment)
        count = self._tables.writers["DeadLetter"].append(self._connection, rows)
        if count:
            self.unreadable += count
            log.warning("quarantined lines that can't be read", extra={"ids": {"hub": self.hub.name, "lines": count}})

    def _homeless(self, homeless: Sequence[tuple[str, str]]) -> str:
        records, reasons = zip(*homeless, strict=True)
        execute(
            self._connection,
            """create or replace temp table homeless as
               select unnest($records::varchar[]) as record, unnest($reasons::varchar[]) as reason""",
            {"records": list(records), "reasons": list(reasons)},
        )
        return "from homeless"


def gathering_seconds(hub: Hub, storing: float) -> float:
    """How long events of a hub are gathered after it took `storing` seconds to store the last ones."""
    return max(hub.gather_seconds, min(LONGEST_GATHERING_SECONDS, GATHERING_SHARE * storing))


def _table_of(event: Any, hub: Hub) -> str | None:
    if len(hub.tables) == 1:
        return hub.tables[0]
    name = _property(event)
    return name if name in hub.tables else None


def _property(event: Any) -> str:
    """The event property Table; the SDK hands over names and values as bytes or as text, as they came."""
    properties = {_text(name): value for name, value in (event.properties or {}).items()}
    return _text(properties.get("Table", ""))


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


async def _first_of(*events: asyncio.Event, timeout: float | None = None) -> None:
    """Wait until one of the events is set, or for so many seconds."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
