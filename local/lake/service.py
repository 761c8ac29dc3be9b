"""The part that fills the lake: reads the hubs of the live store and keeps a sink for each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.exceptions import EventHubError

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
"""How often the client itself tries again before a fault is told; what fails is then taken up again and again from here."""
STATUS_SECONDS = 1.0
RETRY_SECONDS = 1.0


async def serve(part: Part) -> None:
    """Store what the hubs bring until the part stops. Raises PartError when a table of the lake can't be used."""
    layouts = live_tables()
    writers = {name: layout.writer(part.settings.lake_dir) for name, layout in layouts.items()}
    tables = Tables(read_tables(), layouts, writers)
    resumed = sum(writer.rows() for writer in writers.values())
    with (
        duckdb.connect(config={"threads": 1, "memory_limit": MEMORY_LIMIT, "temp_directory": ""}) as database,
        ThreadPoolExecutor(max_workers=2, thread_name_prefix="lake") as executor,
    ):
        sinks = [HubSink(hub, tables, database, part.settings.clock.now, executor) for hub in HUBS]
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
    client = EventHubConsumerClient.from_connection_string(
        part.settings.event_hubs_connection_string,
        CONSUMER_GROUP,
        eventhub_name=sink.hub.name,
        load_balancing_interval=REBALANCE_SECONDS,
        retry_total=CLIENT_RETRIES,
    )
    failing = False

    async def on_events(context: Any, events: Sequence[Any]) -> None:
        nonlocal failing
        if failing:
            failing = False
            part.recovered(f"hub {sink.hub.name} is read again")
        await sink.take(context.partition_id, events)
        if events:
            await context.update_checkpoint(events[-1])  # in memory: where the client goes on after an error of its own

    async def on_error(context: Any, fault: Exception) -> None:
        nonlocal failing
        if not failing:
            part.warning(f"hub {sink.hub.name} can't be read ({fault}): trying again until it can")
        failing = True

    async with client:
        positions = await _starting_positions(part, client, sink, on_error)
        await client.receive_batch(on_events, on_error=on_error, starting_position=positions, prefetch=PREFETCH)


async def _starting_positions(part: Part, client: Any, sink: HubSink, on_error: Any) -> dict[str, Any]:
    while True:
        try:
            partitions = await client.get_partition_ids()
            positions = await asyncio.gather(*(_starting_position(part, client, sink, partition) for partition in partitions))
            return dict(zip(partitions, positions, strict=True))
        except (EventHubError, OSError) as fault:
            await on_error(None, fault)
            await asyncio.sleep(RETRY_SECONDS)


async def _starting_position(part: Part, client: Any, sink: HubSink, partition: str) -> Any:
    """The sequence number after which to receive, or the beginning where nothing of this hub's log is stored."""
    stored = sink.stored_position(partition)
    if stored is not None:
        newest = (await client.get_partition_properties(partition))["last_enqueued_sequence_number"]
        if newest < stored:
            part.log.warning(
                "the hub's log is younger than the lake: reading it from its beginning",
                extra={"ids": {"hub": sink.hub.name, "partition": partition, "stored": stored, "newest": newest}},
            )
            stored = None
    sink.resume(partition, stored)
    return "-1" if stored is None else stored


async def _report(part: Part, sinks: Sequence[HubSink], resumed: int) -> None:
    while not part.stopping.is_set():
        part.status(rows=resumed + sum(sink.rows for sink in sinks), unreadable=sum(sink.unreadable for sink in sinks))
        try:
            await asyncio.wait_for(part.stopping.wait(), STATUS_SECONDS)
        except TimeoutError:
            continue
