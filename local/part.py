"""A part of the local pipeline as a process of its own: how it starts, reports, stops and fails.

Each part is `python -m local.<part> --run <run.json>`. It writes JSON lines to standard output for the supervisor
(`ready` once, `status` about once a second, `failed` when it can't start), and its log, JSON lines too, to standard error.
It stops cleanly on SIGTERM, on Ctrl-C, and when its standard input closes: that is how it notices that the supervisor died.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from activator.faults import DeclarationError
from local.run_settings import RunSettings

GRACE_SECONDS = 4.0
"""A process that was asked to stop and hasn't after this ends itself: a client that waits for a broker that is gone would hold
it.

That is safe, because everything here survives being killed at any moment.
"""
EXIT_TOO_SLOW = 3


class PartError(Exception):
    """A part can't start or go on. The text names the thing at fault and the next step."""


class JsonLogFormatter(logging.Formatter):
    """One JSON object a line; ids travel in `extra={"ids": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record with its time (UTC), level, logger, message, ids and, if any, the exception."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update(getattr(record, "ids", {}))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class Part:
    """What a running part reports to its supervisor, and how it learns that it should stop."""

    def __init__(self, name: str, settings: RunSettings) -> None:
        self.name = name
        self.settings = settings
        self.stopping = asyncio.Event()
        self.log = logging.getLogger(f"roompulse.{name}")

    def ready(self, address: str, detail: str = "") -> None:
        """Say that the part serves, at which address, with a few words of detail for the start screen."""
        self._report({"event": "ready", "part": self.name, "address": address, "detail": detail})

    def status(self, **figures: Any) -> None:
        """Report figures for the status line (JSON-serialisable; a later report replaces an earlier one key by key)."""
        self._report({"event": "status", "part": self.name, **figures})

    def warning(self, text: str) -> None:
        """Report a fault that may heal by itself: the supervisor shows it while the part goes on."""
        self.log.warning(text)
        self._report({"event": "warning", "part": self.name, "text": text})

    def recovered(self, text: str) -> None:
        """Report that the fault of the last `warning` is over."""
        self.log.info(text)
        self._report({"event": "recovered", "part": self.name, "text": text})

    def failed(self, text: str) -> None:
        """Report a fault that a person has to fix, as the last words of the process."""
        self._report({"event": "failed", "part": self.name, "text": text})

    def _report(self, record: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the supervisor is gone: standard input shows us as well
            sys.stdout.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")
            sys.stdout.flush()


Serve = Callable[[Part], Awaitable[None]]


def run_part(name: str, serve: Serve) -> None:
    """Run `serve(part)` as a process until it returns, fails, or is asked to stop. Exits the process.

    `serve` returns soon after `part.stopping` is set, with everything durable flushed. It raises PartError for a fault that
    a person has to fix; the process then exits with code 1 after a report to the supervisor why.
    """
    run_parts(name, {name: serve})


def run_parts(module: str, serves: Mapping[str, Serve]) -> None:
    """Run several parts in one process, as `run_part` does one. When one of them ends or fails, all of them stop."""
    parser = argparse.ArgumentParser(prog=f"python -m local.{module}", description=f"RoomPulse local part: {module}")
    parser.add_argument("--run", type=Path, required=True, help="settings of this run, written by `roompulse run`")
    arguments = parser.parse_args()
    settings = RunSettings.read(arguments.run)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLogFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("azure", "uamqp", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    sys.exit(asyncio.run(_serve_until_stopped({Part(name, settings): serve for name, serve in serves.items()})))


async def _serve_until_stopped(serves: Mapping[Part, Serve]) -> int:
    def stop() -> None:
        for part in serves:
            part.stopping.set()
        last_resort = threading.Timer(GRACE_SECONDS, os._exit, (EXIT_TOO_SLOW,))
        last_resort.daemon = True
        last_resort.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    watcher = asyncio.create_task(_when_input_closes(stop))
    try:
        codes = await asyncio.gather(*(_serve(part, serve, stop) for part, serve in serves.items()))
    finally:
        watcher.cancel()
    return max(codes)


async def _serve(part: Part, serve: Serve, stop: Callable[[], None]) -> int:
    """Run one part; its end is the end of all. Gives the process's exit code."""
    try:
        await serve(part)
    except (PartError, DeclarationError, OSError) as fault:
        part.log.exception("the part failed")
        part.failed(str(fault))
        return 1
    finally:
        stop()
    return 0


async def _when_input_closes(stop: Callable[[], None]) -> None:
    """Call `stop` when standard input ends (a terminal or /dev/null never does within a run: then nothing happens)."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty() or not _is_pipe(sys.stdin.fileno()):
        return
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4096):
        pass
    stop()


def _is_pipe(descriptor: int) -> bool:
    import stat

    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
