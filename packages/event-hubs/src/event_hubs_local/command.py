"""`event-hubs-local`: serve the hubs of a Config.json until asked to stop."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from event_hubs_local.config import ConfigError, read_config
from event_hubs_local.hubs import HubsFolderError
from event_hubs_local.log import LogError
from event_hubs_local.server import HOST, EventHubsServer

PORT = 5672


def main(words: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C. What a person has to fix ends it with code 1 and one text on standard error."""
    options = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(_serve(EventHubsServer(options.folder, read_config(options.config), port=options.port)))
    except (ConfigError, HubsFolderError, LogError) as fault:
        sys.exit(str(fault))
    except OSError as fault:
        if fault.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        way_out = "stop what uses it (ss -ltnp), or choose another with --port."
        sys.exit(f"Port {options.port} can't be used ({fault.strerror}): {way_out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="event-hubs-local",
        description="Azure Event Hubs on this machine. Prints its connection string, and serves until Ctrl-C.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("config", type=Path, help="the hubs, in the format of Microsoft's emulator (Config.json)")
    parser.add_argument("--folder", type=Path, default=Path("event-hubs"), help="where the events are kept")
    parser.add_argument("--port", type=port_number, default=PORT, help="port on loopback; 0 lets the system choose")
    parser.add_argument("--version", action="version", version=f"event-hubs-local {version('event-hubs-local')}")
    return parser


def port_number(text: str) -> int:
    """A port of 0 to 65535. Raises ArgumentTypeError, as argparse wants it."""
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} must be from 0 to 65535")
    return port


async def _serve(server: EventHubsServer) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await server.start()
    print(f"{', '.join(server.namespace.hubs)} at sb://{HOST}:{server.port}", server.connection_string, sep="\n", flush=True)
    try:
        await stopping.wait()
    finally:
        await server.stop()
