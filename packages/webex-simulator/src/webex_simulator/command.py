"""`webex-simulator`: serve a simulated Webex organisation until asked to stop."""

from __future__ import annotations

import argparse
import errno
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from webex_simulator.cities import SAMPLE, CitiesError, read_cities
from webex_simulator.clock import Clock
from webex_simulator.server import DEVICES, SEED, SimulatorError, WebexSimulator
from webex_simulator.tokens import ACCESS_TOKEN

PORT = 8081


def main(words: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C. What a person has to fix ends it with code 1 and one text on standard error."""
    options = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        _serve(_simulator(options))
    except (SimulatorError, CitiesError) as fault:
        sys.exit(str(fault))
    except OSError as fault:
        if fault.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        way_out = "stop what uses it (ss -ltnp), or choose another with --port."
        sys.exit(f"Port {options.port} can't be used ({fault.strerror}): {way_out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="webex-simulator",
        description="A Webex organisation on this machine only. Prints its addresses and token, and serves until Ctrl-C.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--cities", type=Path, help="JSON file with the cities; without, three of them")
    parser.add_argument("--devices", type=int, default=DEVICES, help="how many devices there are")
    parser.add_argument("--seed", type=int, default=SEED, help="the same seed gives the same organisation")
    parser.add_argument("--speed", type=speed_factor, default=1.0, help="how many times as fast as real time the time passes")
    parser.add_argument(
        "--state", type=Path, default=Path("webex-simulator.json"), help="file that keeps what is broken on purpose"
    )
    parser.add_argument("--port", type=port_number, default=PORT, help="port on loopback; 0 lets the system choose")
    parser.add_argument("--version", action="version", version=f"webex-simulator {version('webex-simulator')}")
    return parser


def port_number(text: str) -> int:
    """A port of 0 to 65535. Raises ArgumentTypeError, as argparse wants it."""
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} must be from 0 to 65535")
    return port


def speed_factor(text: str) -> float:
    """A speed of the clock, at most 10000. Raises ArgumentTypeError, as argparse wants it."""
    speed = float(text)
    if not 0 < speed <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} must be more than 0 and at most 10000")
    return speed


def _simulator(options: argparse.Namespace) -> WebexSimulator:
    return WebexSimulator(
        read_cities(options.cities) if options.cities else SAMPLE,
        options.state,
        devices=options.devices,
        seed=options.seed,
        port=options.port,
        clock=Clock.from_now(options.speed),
    )


def _serve(simulator: WebexSimulator) -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    simulator.start()
    print(f"API {simulator.url}", f"control {simulator.control_url}", f"token {ACCESS_TOKEN}", sep="\n", flush=True)
    try:
        stopping.wait()
    finally:
        simulator.stop()
