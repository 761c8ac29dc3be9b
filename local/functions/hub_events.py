"""The Event Hubs trigger: a function gets each batch of events of its hub; the checkpoint moves when it has returned.

When the function raises, Azure moves the checkpoint all the same and the batch is gone. Here the batch is given again, with
growing pauses, until the function takes it: on one machine nothing acknowledged is lost. So a function must still handle its own
failures to work on Azure.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import azure.functions as func
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from event_hubs_local.bookmarks import START, Bookmarks
from event_hubs_local.checkpoints import Place, SqliteCheckpointStore
from local.event_hubs.unencrypted import context_for
from local.functions.app import EventHubTrigger
from local.functions.invocations import Invoker

BATCH_EVENTS = 100
"""Most events a function gets at once: `maxEventBatchSize` of host.json, by default."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a batch that failed is given again; each further pause is twice as long."""
BALANCING_SECONDS = 2.0
OWNERSHIP_SECONDS = 10.0
RETRIES, RETRY_SECONDS = 3, 0.2
"""A broker that restarts is back within a second; by default the client waits for many."""
LEAVING_SECONDS = 0.3
"""How long the partitions get to close."""
log = logging.getLogger("roompulse.functions")


class HubLoop:
    """Feeds one function from its hub, all partitions at the same time, each in order."""

    def __init__(
        self, invoker: Invoker, trigger: EventHubTrigger, checkpoints: SqliteCheckpointStore, stopping: asyncio.Event
    ) -> None:
        self._invoker = invoker
        self._checkpoints = checkpoints
        self._bookmarks = Bookmarks(trigger.hub, invoker.part.warning)
        self._stopping = stopping
        self._trigger = trigger
        self._unreadable = False
        self._receiving: asyncio.Task[None]
        self._client = EventHubConsumerClient.from_connection_string(
            trigger.connection_string,
            trigger.consumer_group,
            eventhub_name=trigger.hub,
            checkpoint_store=checkpoints,
            load_balancing_interval=BALANCING_SECONDS,
            partition_ownership_expiration_interval=OWNERSHIP_SECONDS,
            retry_total=RETRIES,
            retry_backoff_factor=RETRY_SECONDS,
            ssl_context=context_for(trigger.connection_string),
        )

    async def run(self) -> None:
        """Receive until stopped."""
        self._receiving = asyncio.create_task(
            self._client.receive_batch(
                self._on_batch,
                on_error=self._on_error,
                on_partition_initialize=self._on_partition,
                starting_position=START,
                max_batch_size=BATCH_EVENTS,
            )
        )
        await self._receiving

    async def stop(self) -> None:
        """Wait for the function if it runs, then leave the hub. What is slow to close is closed by the end of the process: by
        itself the client would take a second or two.
        """
        await self._invoker.idle.wait()
        self._receiving.cancel()
        await asyncio.wait([self._receiving], timeout=LEAVING_SECONDS)

    async def _on_batch(self, context: PartitionContext, events: list[EventData]) -> None:
        events = [event for event in events if self._bookmarks.passes(context.partition_id, event)]
        if not events:
            return
        pause = FIRST_PAUSE
        while not await self._given([_as_function_sees(event) for event in events]):
            log.warning(
                "events are given again in %.1f s",
                pause,
                extra={"ids": {"partition": context.partition_id, "first": events[0].sequence_number, "events": len(events)}},
            )
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
        await context.update_checkpoint(events[-1])

    async def _given(self, events: list[func.EventHubEvent]) -> bool:
        """Give events to the function; a stopping host begins nothing new and waits for its end."""
        if self._stopping.is_set():
            await asyncio.Event().wait()
        return await self._invoker.invoke(events)

    async def _on_error(self, context: PartitionContext | None, fault: Exception) -> None:
        if context is not None and self._bookmarks.refused(context.partition_id, fault):
            self._checkpoints.forget(_place(context))
            return
        self._unreadable = True
        where = f"hub {self._trigger.hub}" + (f", partition {context.partition_id}" if context is not None else "")
        self._invoker.part.warning(f"{where} can't be read: {str(fault).splitlines()[0]}; it is tried again")

    async def _on_partition(self, context: PartitionContext) -> None:
        self._bookmarks.put(context.partition_id, self._checkpoints.position(_place(context)))
        if self._unreadable:
            self._unreadable = False
            self._invoker.part.recovered(f"hub {self._trigger.hub} is read again")


def _place(context: PartitionContext) -> Place:
    return context.fully_qualified_namespace, context.eventhub_name, context.consumer_group, context.partition_id


def _as_function_sees(event: EventData) -> func.EventHubEvent:
    body: Any = event.body
    return func.EventHubEvent(
        body=body if isinstance(body, bytes) else b"".join(body),
        enqueued_time=event.enqueued_time,
        partition_key=event.partition_key.decode() if event.partition_key else None,
        sequence_number=event.sequence_number,
        offset=event.offset,
    )
