"""The Event Hubs stand-in: how fast the real client sends and receives, and what the broker costs meanwhile.

The broker is a process of its own; producer and consumer are the unmodified azure-eventhub client, which is the slower side.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.aio import EventHubConsumerClient

from benchmarks.report import Table
from local.run_settings import RunSettings

HUB = "observations"
EVENT_BYTES = 500
SENT = {1: 2_000, 10: 20_000, 100: 50_000, 500: 100_000}
"""Events to send by the size of the batch."""
PREFETCH = 3000
REPOSITORY = Path(__file__).resolve().parents[1]


def tables() -> list[Table]:
    """Measure sending in batches, receiving, and the broker's processor time and memory."""
    with tempfile.TemporaryDirectory() as folder, _broker(Path(folder)) as (broker, connection):
        rows: list[list[object]] = [["broker before any event, resident memory (MB)", _megabytes(broker)]]
        rows += [[f"send, batches of {size} (events/s)", _send(connection, size, count)] for size, count in SENT.items()]
        events = sum(SENT.values())
        rows.append([f"receive, prefetch {PREFETCH:,} (events/s)", asyncio.run(_receive(connection, events))])
        processor = broker.cpu_times()
        rows.append([f"broker, processor time for {events:,} events in and out (s)", processor.user + processor.system])
        rows.append([f"broker with {events:,} events kept, resident memory (MB)", _megabytes(broker)])
    note = f"Events of {EVENT_BYTES} bytes, one partition, loopback, log on disk; one client at a time."
    return [Table("Event Hubs stand-in", ("what", "measured"), rows, note)]


@contextmanager
def _broker(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    """The part as a run starts it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = RunSettings(data_dir=folder, stack="bench", cities=(), event_hubs_port=port)
    settings.write(folder / "run.json")
    command = [sys.executable, "-m", "local.event_hubs", "--run", str(folder / "run.json")]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield psutil.Process(process.pid), settings.event_hubs_connection_string
    finally:
        process.kill()
        process.communicate()


def _send(connection: str, size: int, count: int) -> float:
    body = "x" * EVENT_BYTES
    with EventHubProducerClient.from_connection_string(connection, eventhub_name=HUB) as client:
        client.get_partition_ids()  # connects
        started = time.perf_counter()
        for _ in range(count // size):
            batch = client.create_batch(partition_id="0")
            for _ in range(size):
                batch.add(EventData(body))
            client.send_batch(batch)
        return count / (time.perf_counter() - started)


async def _receive(connection: str, count: int) -> float:
    received = 0
    began = 0.0
    done = asyncio.Event()

    async def on_batch(_: object, events: list[EventData]) -> None:
        nonlocal received, began
        began = began or time.perf_counter()
        received += len(events)
        if received >= count:
            done.set()

    client = EventHubConsumerClient.from_connection_string(connection, "$Default", eventhub_name=HUB)
    receiving = client.receive_batch(on_batch, partition_id="0", starting_position="-1", prefetch=PREFETCH, max_batch_size=1000)
    task = asyncio.create_task(receiving)
    await done.wait()
    elapsed = time.perf_counter() - began
    task.cancel()
    return received / elapsed


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 1e6)
