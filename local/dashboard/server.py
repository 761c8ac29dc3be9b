"""The live page as a part of the local pipeline: a port, the feed behind it, and both ended together."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from dataclasses import replace

import uvicorn

from local.dashboard.feed import Feed, Source
from local.dashboard.incident_pages import incident_routes
from local.dashboard.lake_source import LakeSource
from local.dashboard.sign_in import SignIn, TokenError, is_loopback, token_in
from local.dashboard.web import create_app
from local.lake.arrivals import Arrivals
from local.lake.live_store import LiveStore
from local.part import Part, PartError
from local.run_settings import RunSettings


class PageServer(uvicorn.Server):  # type: ignore[misc]  # uvicorn's types are not followed
    """A web server that leaves signals to the part it belongs to."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(part: Part, arrivals: Arrivals | None = None) -> None:
    """Serve the page over the lake of this run until the part stops; `arrivals`: what this process brings into the lake.

    Raises PartError when host, port or token can't be used.
    """
    with listen(part.settings.page_port, part.settings.page_host) as listener:
        store = LiveStore(part.settings.lake_dir, part.settings.clock, arrivals=arrivals)
        try:
            await serve_source(part, LakeSource(store), listener)
        finally:
            store.close()


async def serve_source(part: Part, source: Source, listener: socket.socket) -> None:
    """Serve the page over any source of tiles on a listening socket, and the pages of incidents, until the part stops."""
    feed = Feed(part, source)
    app = create_app(feed, sign_in_of(part.settings), incident_routes(part.settings))
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=1
    )
    server = PageServer(config)
    working = [asyncio.create_task(server.serve([listener])), asyncio.create_task(feed.run())]
    stopping = asyncio.create_task(part.stopping.wait())
    part.ready(replace(part.settings, page_port=listener.getsockname()[1]).page_url)
    await asyncio.wait([*working, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    feed.close()
    server.should_exit = True
    await asyncio.gather(*working)


def sign_in_of(settings: RunSettings) -> SignIn | None:
    """The sign-in of a page that other machines reach; None on loopback. Raises PartError when its token can't be used."""
    if is_loopback(settings.page_host):
        return None
    try:
        return SignIn(token_in(settings.page_token_path)[0])
    except TokenError as fault:
        raise PartError(str(fault)) from fault


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A listening socket; port 0 lets the system choose. Raises PartError when the host or the port can't be used."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as fault:
        raise PartError(f"host {host} can't be found ({fault.strerror}): choose one of this machine with --host") from fault
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as fault:
        listener.close()
        raise PartError(_unusable(host, port, fault)) from fault
    return listener


def _unusable(host: str, port: int, fault: OSError) -> str:
    if fault.errno == errno.EADDRINUSE:
        return f"port {port} is in use: stop what listens there or choose another with --port"
    if fault.errno == errno.EADDRNOTAVAIL:
        return f"host {host} is not an address of this machine: choose one of its own with --host (0.0.0.0 for all of them)"
    return f"port {port} can't be used ({fault.strerror}): choose another with --port"
