"""The Event Hubs stand-in as a server: in a running event loop, or in a thread of its own for tests and benchmarks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from event_hubs_local.attaching import attach
from event_hubs_local.config import HubConfig
from event_hubs_local.connection import Connection
from event_hubs_local.hubs import LogReporter, Milliseconds, Namespace, Reporter
from event_hubs_local.log import RETAINED_BYTES, SEGMENT_BYTES
from event_hubs_local.performatives import IDLE_SECONDS

HOST = "127.0.0.1"


def real_milliseconds() -> int:
    """The real time, milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


class EventHubsServer:
    """Hubs served on loopback. `port` 0 lets the system choose; after `start` it is the real one.

    `start` raises OSError when the port is in use, HubsFolderError and LogError when the folder can't be used.
    """

    def __init__(
        self,
        folder: Path,
        hubs: Sequence[HubConfig],
        *,
        port: int = 0,
        clock: Milliseconds = real_milliseconds,
        reporter: Reporter | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        retained_bytes: int = RETAINED_BYTES,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.port = port
        self.connections: set[Connection] = set()
        self._folder = folder
        self._hubs = hubs
        self._clock = clock
        self._reporter = reporter or LogReporter()
        self._segment_bytes = segment_bytes
        self._retained_bytes = retained_bytes
        self._idle_seconds = idle_seconds
        self._server: asyncio.Server
        self.namespace: Namespace

    @property
    def connection_string(self) -> str:
        """What azure-eventhub needs; the form is that of the official emulator."""
        return (
            f"Endpoint=sb://{HOST}:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
        )

    async def start(self) -> None:
        """Open the logs and listen."""
        self.namespace = Namespace(
            self._folder,
            self._hubs,
            self._clock,
            self._reporter,
            segment_bytes=self._segment_bytes,
            retained_bytes=self._retained_bytes,
        )
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Connection(self.namespace, self.connections, attach, self._idle_seconds), HOST, self.port
            )
        except OSError:
            self.namespace.close()
            raise
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut every connection and close the logs; clients connect again when there is a server again."""
        self._server.close()
        for connection in tuple(self.connections):
            connection.abort()
        await asyncio.sleep(0)  # lets the transports report their connections
        self.namespace.close()


@contextlib.contextmanager
def serving_in_thread(server: EventHubsServer) -> Iterator[EventHubsServer]:
    """Run a server in a thread until the block ends; what `start` raises is raised here."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True, name="event-hubs")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
