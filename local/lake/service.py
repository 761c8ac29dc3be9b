"""The part that fills the lake: reads the hubs of the live store and keeps a sink for each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import EventHubError

from local.event_hubs.unencrypted import context_for
from local.lake.arrivals import Arrivals
from local.lake.hub_sink import HUBS, HubSink, Tables
from local.lake.tables import live_tables
from local.part import Part
from powerbi.kusto_schema import read_tables

CONSUMER_GROUP = "livestore"
MEMORY_LIMIT = "128MB"
PREFETCH = 3000
"""Credit is renewed only when it is used up: with little of it, receiving is stop and go."""
REBALANCE_SECONDS = 2
"""How soon the client takes up a partition again whose receiver has failed."""
CLIENT_RETRIES = 1
"""How often the client itself tries again before a fault is reported; what fails is then taken up again and again from here."""
STATUS_SECONDS = 1.0
RETRY_SECONDS = 1.0


async def serve(part: Part, arrivals: Arrivals | None = None) -> None:
    """Store what the hubs bring until the part stops, and hand it to a live store of this process through `arrivals`.

    Raises PartError when a table of the lake can't be used.
    """
    layouts = live_tables()
    writers = {name: layout.writer(part.settings.lake_dir) for name, layout in layouts.items()}
    tables = Tables(read_tables(), layouts, writers)
    resumed = sum(writer.rows() for writer in writers.values())
    with (
        duckdb.connect(config={"threads": 1, "memory_limit": MEMORY_LIMIT, "temp_directory": ""}) as database,
        ThreadPoolExecutor(max_workers=2, thread_name_prefix="lake") as executor,
    ):
        sinks = [HubSink(hub, tables, database, part.settings.clock.now, executor, part.warning, arrivals) for hub in HUBS]
        part.ready(str(part.settings.lake_dir), f"resumed: {resumed:,} rows" if resumed else "new")
        receiving = [asyncio.create_task(_receive(part, sink)) for sink in sinks]
        storing = [asyncio.create_task(sink.run(part)) for sink in sinks]
        reporting = asyncio.create_task(_report(part, sinks, resumed))
        stopping = asyncio.create_task(part.stopping.wait())
        await asyncio.wait([*receiving, *storing, reporting, stopping], return_when=asyncio.FIRST_COMPLETED)
        part.stopping.set()
        for task in receiving:
            task.cancel()
        ended = await asyncio.gather(*storing, *receiving, reporting, return_exceptions=True)
        for writer in writers.values():
            writer.close()
    for result in ended:
        if isinstance(result, Exception):
            raise result


async def _receive(part: Part, sink: HubSink) -> None:
    """Hand the sink every event of its hub from where it left off; while Event Hubs can't be reached, keep trying."""
    connection = part.settings.event_hubs_connection_string
    client = EventHubConsumerClient.from_connection_string(
        connection,
        CONSUMER_GROUP,
        eventhub_name=sink.hub.name,
        load_balancing_interval=REBALANCE_SECONDS,
        retry_total=CLIENT_RETRIES,
        ssl_context=context_for(connection),
    )
    failing = False

    async def on_events(context: Any, events: Sequence[Any]) -> None:
        nonlocal failing
        if failing:
            failing = False
            part.recovered(f"hub {sink.hub.name} is read again")
        await sink.take(context.partition_id, events)

    async def on_error(context: Any, fault: Exception) -> None:
        nonlocal failing
        if context is not None and sink.bookmarks.refused(context.partition_id, fault):
            return
        if not failing:
            part.warning(f"hub {sink.hub.name} can't be read ({fault}): trying again until it can")
        failing = True

    async with client:
        for partition in await _partitions(client, on_error):
            sink.bookmarks.put(partition, sink.stored_position(partition))
        await client.receive_batch(on_events, on_error=on_error, starting_position=sink.bookmarks, prefetch=PREFETCH)


async def _partitions(client: Any, on_error: Any) -> list[str]:
    while True:
        try:
            found: list[str] = await client.get_partition_ids()
            return found
        except (EventHubError, OSError) as fault:
            await on_error(None, fault)
            await asyncio.sleep(RETRY_SECONDS)


async def _report(part: Part, sinks: Sequence[HubSink], resumed: int) -> None:
    while not part.stopping.is_set():
        part.status(rows=resumed + sum(sink.rows for sink in sinks), unreadable=sum(sink.unreadable for sink in sinks))
        try:
            await asyncio.wait_for(part.stopping.wait(), STATUS_SECONDS)
        except TimeoutError:
            continue
