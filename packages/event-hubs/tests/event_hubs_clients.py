"""Event Hubs for tests: the stand-in in a thread on a free port, and the unmodified azure-eventhub clients on it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from event_hubs_local.amqp import binary, described
from event_hubs_local.config import HubConfig
from event_hubs_local.hubs import LogReporter, Namespace
from event_hubs_local.message import DATA
from event_hubs_local.server import EventHubsServer, real_milliseconds, serving_in_thread

GROUP = "readers"


def free_port() -> int:
    """A port that nobody listens on, for a server that comes back on the same one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def event_hubs(folder: Path, *, partitions: int = 1, **options: Any) -> Iterator[EventHubsServer]:
    """A server with one hub named `hub`."""
    hubs = [HubConfig("hub", partitions, (GROUP,))]
    with serving_in_thread(EventHubsServer(folder, hubs, **options)) as server:
        yield server


def store(folder: Path, *bodies: str, **options: Any) -> None:
    """Put events into partition 0 of hub `hub` before a server serves them: quicker than a producer."""
    namespace = Namespace(folder, [HubConfig("hub", 1)], real_milliseconds, LogReporter(), **options)
    for body in bodies:
        namespace.store(namespace.find("hub"), described(DATA, binary(body.encode())), None)
    namespace.close()


@contextlib.contextmanager
def producer(server: EventHubsServer, **options: Any) -> Iterator[EventHubProducerClient]:
    """A producer for hub `hub`."""
    with EventHubProducerClient.from_connection_string(server.connection_string, eventhub_name="hub", **options) as client:
        yield client


def send(server: EventHubsServer, *bodies: str) -> None:
    """Send events in one batch."""
    with producer(server) as client:
        client.send_batch([EventData(body) for body in bodies])


class Reader:
    """Collects what a consumer receives until a condition holds."""

    def __init__(self) -> None:
        self.events: list[tuple[str, EventData]] = []
        self.errors: list[Exception] = []

    @property
    def bodies(self) -> list[str]:
        """Bodies, in the order received."""
        return [event.body_as_str() for _, event in self.events]

    async def on_batch(self, context: PartitionContext, events: list[EventData]) -> None:
        """Take a batch."""
        self.events += [(context.partition_id, event) for event in events]

    async def on_error(self, context: PartitionContext | None, fault: Exception) -> None:
        """Take an error."""
        self.errors.append(fault)


async def receive(
    connection_string: str,
    until: Callable[[Reader], bool],
    *,
    group: str = GROUP,
    seconds: float = 20,
    retries: int = 0,
    **options: Any,
) -> Reader:
    """Receive from the start (unless told otherwise) until a condition holds; raises TimeoutError."""
    reader = Reader()
    client = EventHubConsumerClient.from_connection_string(connection_string, group, eventhub_name="hub", retry_total=retries)
    options = {"starting_position": "-1", "max_wait_time": 0.2, **options}
    task = asyncio.create_task(client.receive_batch(reader.on_batch, on_error=reader.on_error, **options))
    try:
        async with asyncio.timeout(seconds):
            while not until(reader):
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=0.05)  # closing takes the client a second; the end of the loop ends it sooner
    return reader


def read(server: EventHubsServer, count: int, **options: Any) -> Reader:
    """Receive at least `count` events from hub `hub`."""
    return asyncio.run(receive(server.connection_string, lambda reader: len(reader.events) >= count, **options))
