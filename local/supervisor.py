"""Starts the parts of a local run in their order, listens to what they say, restarts what dies, stops everything.

Every part is a process of its own (see `local/part.py`), so any of them can be killed without taking the others along.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from local.run_settings import RunSettings

START_SECONDS = 30.0
"""How long a part may take until it is ready."""
STOP_SECONDS = 1.6
"""How long parts may take to stop by themselves; Ctrl-C promises an end within 2 s."""
DEATHS_PER_MINUTE = 5
"""A part that dies more often than this is not restarted again: its fault does not heal."""


@dataclass(frozen=True)
class PartSpec:
    """A part: the name people see, its module, and the start phase (parts of one phase start together, phases in order)."""

    name: str
    module: str
    title: str
    phase: int


PARTS = (
    PartSpec("webex", "local.webex", "Webex simulator", 0),
    PartSpec("event_hubs", "local.event_hubs", "Event Hubs", 0),
    PartSpec("stream_job", "local.stream_job", "Stream query", 1),
    PartSpec("lake", "local.lake", "Lake", 1),
    PartSpec("dashboard", "local.dashboard", "Page", 1),
    PartSpec("functions", "local.functions", "Ingest and alerts", 1),
)


class RunError(Exception):
    """The run can't start or can't go on. The text names the part at fault and the next step."""


@dataclass
class PartState:
    """What is known of one part while it runs."""

    spec: PartSpec
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""
    detail: str = ""
    failure: str = ""
    warning: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    restarts: int = 0
    deaths: deque[float] = field(default_factory=deque)


Listener = Callable[[str, PartState], None]


class Supervisor:
    """Runs the parts of one local run. `listener(event, part)` hears ready, warning, recovered, died and restarted."""

    def __init__(self, settings: RunSettings, run_file: Path, listener: Listener, parts: tuple[PartSpec, ...] = PARTS) -> None:
        self.settings = settings
        self.run_file = run_file
        self.listener = listener
        self.parts = {spec.name: PartState(spec) for spec in parts}
        self.stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Start all parts, phase by phase; raises RunError when one can't start (what has started is stopped by `stop`)."""
        for phase in sorted({part.spec.phase for part in self.parts.values()}):
            starting = [part for part in self.parts.values() if part.spec.phase == phase]
            for part in starting:
                await self._spawn(part)
            await asyncio.gather(*(self._until_ready(part) for part in starting))

    async def broken(self) -> None:
        """Wait until a part is beyond repair; raises RunError saying which and why."""
        await asyncio.shield(self._broken)

    async def stop(self) -> list[str]:
        """Stop every part and wait for its end; gives the names of parts that had to be killed."""
        self.stopping = True
        running = [part for part in self.parts.values() if part.process is not None and part.process.returncode is None]
        for part in running:
            _signal(part, signal.SIGTERM)
        waits = [asyncio.create_task(part.process.wait()) for part in running if part.process is not None]
        if waits:
            await asyncio.wait(waits, timeout=STOP_SECONDS)
        killed = [part for part in running if part.process is not None and part.process.returncode is None]
        for part in killed:
            _signal(part, signal.SIGKILL)
        if waits:
            await asyncio.wait(waits)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._broken.done():
            self._broken.exception()
        return [part.spec.title for part in killed]

    async def _spawn(self, part: PartState) -> None:
        part.ready.clear()
        part.failure = ""
        part.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", part.spec.module, "--run", str(self.run_file),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=self._log_file(part),
            cwd=Path(__file__).parents[1], env=_environment(), start_new_session=True, limit=1 << 20,
        )  # fmt: skip
        task = asyncio.create_task(self._watch(part, part.process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _log_file(self, part: PartState) -> IO[bytes]:
        self.settings.logs_dir.mkdir(parents=True, exist_ok=True)
        return self.log_path(part).open("ab")

    def log_path(self, part: PartState) -> Path:
        """The log of a part: JSON lines, appended over restarts."""
        return self.settings.logs_dir / f"{part.spec.name}.log"

    async def _until_ready(self, part: PartState) -> None:
        process = part.process
        assert process is not None
        ready = asyncio.create_task(part.ready.wait())
        ended = asyncio.create_task(process.wait())
        done, pending = await asyncio.wait({ready, ended}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if ready in done:
            return
        if not done:
            raise RunError(f"{part.spec.title} was not ready within {START_SECONDS:.0f} s: see {self.log_path(part)}")
        raise RunError(self._why_it_ended(part, process.returncode or 0))

    def _why_it_ended(self, part: PartState, code: int) -> str:
        if part.failure:
            return f"{part.spec.title}: {part.failure}"
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"{part.spec.title} {how}: see {self.log_path(part)}"

    async def _watch(self, part: PartState, process: asyncio.subprocess.Process) -> None:
        """Hear a part's lines until its output ends; then restart it, unless it never was ready or we are stopping."""
        assert process.stdout is not None
        async for line in process.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # a stray print of a library is no message
                self._hear(part, json.loads(line))
        code = await process.wait()
        if self.stopping or not part.ready.is_set():
            return
        await self._restart(part, code)

    def _hear(self, part: PartState, message: dict[str, Any]) -> None:
        event = message.get("event")
        if event == "ready":
            part.address, part.detail, part.warning = message["address"], message["detail"], ""
            part.ready.set()
            self.listener("ready", part)
        elif event == "status":
            part.figures.update({key: value for key, value in message.items() if key not in ("event", "part")})
        elif event == "failed":
            part.failure = message["text"]
        elif event == "warning" and message["text"] != part.warning:
            part.warning = message["text"]
            self.listener("warning", part)
        elif event == "recovered":
            part.warning = ""
            self.listener("recovered", part)

    async def _restart(self, part: PartState, code: int) -> None:
        reason = self._why_it_ended(part, code)
        now = time.monotonic()
        part.deaths.append(now)
        while part.deaths and now - part.deaths[0] > 60:
            part.deaths.popleft()
        if part.failure or len(part.deaths) > DEATHS_PER_MINUTE:
            self._break(reason)
            return
        part.warning = reason
        part.restarts += 1
        self.listener("died", part)
        await asyncio.sleep(min(4.0, 0.25 * 2 ** (len(part.deaths) - 1)))
        if self.stopping:
            return
        await self._spawn(part)
        try:
            await self._until_ready(part)
        except RunError as fault:
            if not self.stopping:
                self._break(str(fault))
            return
        part.warning = ""
        self.listener("restarted", part)

    def _break(self, reason: str) -> None:
        if not self._broken.done():
            self._broken.set_exception(RunError(reason))


def _signal(part: PartState, number: int) -> None:
    if part.process is not None:
        with contextlib.suppress(ProcessLookupError):
            part.process.send_signal(number)


def _environment() -> dict[str, str]:
    """The parts' environment: ours, without the settings of a proxy (everything is on loopback)."""
    return {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")} | {"PYTHONUNBUFFERED": "1"}
