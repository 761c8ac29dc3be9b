"""The Event Hubs stand-in as a part of a local run."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from pathlib import Path

from event_hubs_local.config import ConfigError, read_config
from event_hubs_local.hubs import HubsFolderError
from event_hubs_local.log import LogError
from event_hubs_local.server import HOST, EventHubsServer
from local.part import Part, PartError

CONFIG = Path(__file__).with_name("Config.json")
"""The hubs of RoomPulse, in the official emulator's own format."""


async def serve(part: Part) -> None:
    """Serve the hubs of Config.json until the part is asked to stop."""
    server = await _started(part)
    hubs = server.namespace.hubs.values()
    partitions = "/".join(sorted({str(len(hub.partitions)) for hub in hubs}))
    part.ready(f"sb://{HOST}:{server.port}", f"{len(hubs)} hubs, {partitions} partitions")
    try:
        while not part.stopping.is_set():
            part.status(
                events_in=server.namespace.events_in,
                events_out=server.namespace.events_out,
                connections=len(server.connections),
                retained_bytes=server.namespace.retained_bytes(),
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(part.stopping.wait(), 1.0)
    finally:
        await server.stop()


async def _started(part: Part) -> EventHubsServer:
    settings = part.settings
    try:
        server = EventHubsServer(
            settings.hubs_dir,
            read_config(CONFIG),
            port=settings.event_hubs_port,
            clock=lambda: int(settings.clock.seconds() * 1000),
            reporter=part,
        )
        await server.start()
    except (ConfigError, HubsFolderError, LogError) as fault:
        raise PartError(str(fault)) from fault
    except OSError as fault:
        if fault.errno != errno.EADDRINUSE:
            raise
        raise PartError(
            f"Port {settings.event_hubs_port} is in use: stop what uses it (ss -ltnp), "
            "or choose another port with --event-hubs-port."
        ) from fault
    return server
