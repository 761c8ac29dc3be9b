"""Reads what is in a hub of the Event Hubs stand-in, with the real client."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from azure.eventhub.aio import EventHubConsumerClient

from local.event_hubs.unencrypted import context_for


@dataclass(frozen=True)
class ReadEvent:
    """An event with the partition it was in."""

    partition: str
    body: bytes


def events_in(connection_string: str, hub: str, count: int, seconds: float = 20) -> list[ReadEvent]:
    """The first `count` events of a hub, each partition in order; raises TimeoutError when there are fewer."""
    return asyncio.run(_read(connection_string, hub, count, seconds))


async def _read(connection_string: str, hub: str, count: int, seconds: float) -> list[ReadEvent]:
    read: list[ReadEvent] = []
    enough = asyncio.Event()

    async def keep(context: object, events: list[object]) -> None:
        read.extend(ReadEvent(context.partition_id, b"".join(event.body)) for event in events)  # type: ignore[attr-defined]
        if len(read) >= count:
            enough.set()

    client = EventHubConsumerClient.from_connection_string(
        connection_string, "$Default", eventhub_name=hub, ssl_context=context_for(connection_string)
    )
    async with client:
        receiving = asyncio.create_task(client.receive_batch(keep, starting_position="-1", max_wait_time=0.1))
        try:
            await asyncio.wait_for(enough.wait(), seconds)
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
    return read
