"""Reads the input hub: every partition from where the state left off, each event once, until asked to stop.

An event's arrival is the time the hub enqueued it. A partition that brings nothing for a moment is caught up: nothing enqueued
before that moment is still to come, and so time can go on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import EventHubError

from event_hubs_local.bookmarks import Bookmarks, Position
from local.event_hubs.unencrypted import context_for
from local.part import Part

QUIET_SECONDS = 0.1
"""A partition that brings nothing for so long is caught up."""
IN_FLIGHT_SECONDS = 0.05
"""What was enqueued so shortly ago may still be on its way."""
PREFETCH = 1000
BATCH = 250
WAITING_BYTES = 8_000_000
"""As much may wait to be processed, some 7,000 observations; then the receivers wait too. All that waits is one tick: so this
bounds the memory of the query. A quarter of it saves 30 MB, and a job that is behind would take twice as long to catch up."""
RETRY_SECONDS = 1.0
RESUME_SECONDS = 1.0
"""How soon the client takes up a partition again whose receiver has failed; its own default, 30 s, holds back time itself."""
CLIENT_RETRIES = 1
"""How often the client tries again by itself before it reports a fault; the pauses between its tries grow."""


@dataclass
class Arrived:
    """Events that wait to be processed, in order of arrival: texts, arrival times (microseconds), partitions.

    `size`: of the texts in bytes; `positions`: the last events taken; `heard`: up to when (microseconds) a partition is known to
    be complete.
    """

    bodies: list[str] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    partitions: list[int] = field(default_factory=list)
    size: int = 0
    positions: dict[int, Position] = field(default_factory=dict)
    heard: dict[int, int] = field(default_factory=dict)

    def arrivals(self) -> np.ndarray:
        """Arrival times for the engine."""
        return np.asarray(self.times, dtype=np.int64)

    def origins(self) -> np.ndarray:
        """Partitions for the engine."""
        return np.asarray(self.partitions, dtype=np.int64)


class HubReader:
    """The receivers of one hub."""

    def __init__(self, part: Part, hub: str, consumer_group: str) -> None:
        self.part = part
        self.hub = hub
        connection = part.settings.event_hubs_connection_string
        self.client = EventHubConsumerClient.from_connection_string(
            connection,
            consumer_group,
            eventhub_name=hub,
            load_balancing_interval=RESUME_SECONDS,
            retry_total=CLIENT_RETRIES,
            ssl_context=context_for(connection),
        )
        self.something = asyncio.Event()
        self._room = asyncio.Event()
        self._arrived = Arrived()
        self._bookmarks = Bookmarks(hub, part.warning)
        self._failing: set[int] = set()

    async def partitions(self) -> list[int]:
        """The partitions of the hub; waits until Event Hubs can be reached, or the part stops (then none)."""
        warned = False
        while not self.part.stopping.is_set():
            try:
                found = sorted(int(partition) for partition in await self.client.get_partition_ids())
            except (EventHubError, OSError) as fault:
                if not warned:
                    self.part.warning(f"hub {self.hub} can't be reached ({fault}): trying again until it can")
                warned = True
                await _pause(self.part, RETRY_SECONDS)
                continue
            if warned:
                self.part.recovered(f"hub {self.hub} is reached again")
            return found
        return []

    async def newest(self, partition: int) -> int:
        """The sequence number of the newest event of a partition, -1 when it has none. Raises EventHubError."""
        properties = await self.client.get_partition_properties(str(partition))
        return int(properties["last_enqueued_sequence_number"])

    async def receive(self, positions: Mapping[int, Position], partitions: Sequence[int]) -> None:
        """Receive from all partitions until cancelled; `positions`: the last event already processed, by partition."""
        for partition in partitions:
            self._bookmarks.put(str(partition), positions.get(partition))
        await asyncio.gather(*(self._receive_patiently(partition) for partition in partitions))

    def take(self) -> Arrived:
        """What has arrived since the last call."""
        arrived, self._arrived = self._arrived, Arrived()
        self.something.clear()
        self._room.set()
        return arrived

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    async def _receive_patiently(self, partition: int) -> None:
        while True:
            try:
                await self.client.receive_batch(
                    self._on_events,
                    partition_id=str(partition),
                    on_error=self._on_error,
                    starting_position=self._bookmarks,
                    max_batch_size=BATCH,
                    max_wait_time=QUIET_SECONDS,
                    prefetch=PREFETCH,
                )
            except (EventHubError, OSError) as fault:
                self._warn(partition, fault)
            await asyncio.sleep(RETRY_SECONDS)

    async def _on_events(self, context: Any, events: Sequence[Any]) -> None:
        partition = int(context.partition_id)
        self._recovered(partition)
        arrived = self._arrived
        for event in events:
            if not self._bookmarks.passes(context.partition_id, event):
                continue
            body = b"".join(event.body)
            arrived.bodies.append(body.decode("utf-8", errors="backslashreplace"))
            arrived.size += len(body)
            arrived.times.append(round(event.enqueued_time.timestamp() * 1_000_000))
            arrived.partitions.append(partition)
            arrived.positions[partition] = Position(event.sequence_number, int(event.offset))
        if events:
            self.something.set()
            while self._arrived.size >= WAITING_BYTES:
                self._room.clear()
                await self._room.wait()
        else:
            clock = self.part.settings.clock
            arrived.heard[partition] = round((clock.seconds() - IN_FLIGHT_SECONDS * clock.speed) * 1_000_000)

    async def _on_error(self, context: Any, fault: Exception) -> None:
        if context is None or not self._bookmarks.refused(context.partition_id, fault):
            self._warn(int(context.partition_id) if context else -1, fault)

    def _warn(self, partition: int, fault: Exception) -> None:
        if not self._failing:
            self.part.warning(f"hub {self.hub} can't be read ({fault}): trying again until it can")
        self._failing.add(partition)

    def _recovered(self, partition: int) -> None:
        if not self._failing:
            return
        self._failing -= {partition, -1}
        if not self._failing:
            self.part.recovered(f"hub {self.hub} is read again")


async def _pause(part: Part, seconds: float) -> None:
    try:
        await asyncio.wait_for(part.stopping.wait(), seconds)
    except TimeoutError:
        return
