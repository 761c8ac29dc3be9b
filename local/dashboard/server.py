"""The live page as a part of the local pipeline: a port, the feed behind it, and both ended together."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn

from local.dashboard.feed import Feed, Source
from local.dashboard.web import create_app
from local.lake.live_store import LiveStore
from local.part import Part, PartError

HOST = "127.0.0.1"


class PageServer(uvicorn.Server):  # type: ignore[misc]  # uvicorn's types are not followed
    """A web server that leaves signals to the part it belongs to."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(part: Part) -> None:
    """Serve the page over the lake of this run until the part stops. Raises PartError when the port can't be used."""
    with listen(part.settings.page_port) as listener:
        store = LiveStore(part.settings.lake_dir, part.settings.clock)
        try:
            await serve_source(part, store, listener)
        finally:
            store.close()


async def serve_source(part: Part, source: Source, listener: socket.socket) -> None:
    """Serve the page over any source of tiles on a listening socket until the part stops."""
    feed = Feed(part, source)
    config = uvicorn.Config(create_app(feed), lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = PageServer(config)
    working = [asyncio.create_task(server.serve([listener])), asyncio.create_task(feed.run())]
    stopping = asyncio.create_task(part.stopping.wait())
    part.ready(f"http://{HOST}:{listener.getsockname()[1]}")
    await asyncio.wait([*working, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    feed.close()
    server.should_exit = True
    await asyncio.gather(*working)


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 lets the system choose. Raises PartError when the port is in use."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as fault:
        listener.close()
        if fault.errno != errno.EADDRINUSE:
            raise PartError(f"port {port} can't be used ({fault.strerror}): choose another with --port") from fault
        raise PartError(f"port {port} is in use: stop what listens there or choose another with --port") from fault
    return listener
