"""Starts the processes of a local run in their order, listens to what their parts say, restarts what dies, stops everything.

Stages that talk through the broker live in processes of their own (see `local/part.py`), so any of them can be killed alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import psutil

from local.run_settings import RunSettings
from local.silence import Silence

SLOW_SECONDS = 30.0
"""A process that takes longer until all its parts are ready is reported. It is waited for: a slow machine is not a fault."""
QUIET_SECONDS = 15.0
"""A part that reports its figures about once a second and says nothing for so long is reported, with what it does meanwhile."""
LONGEST_LOOK = 2.0
"""As much of the time between two looks counts as silence: who looks later was held up itself, and has not listened."""
LONGEST_LOG = 20_000_000
"""Bytes of a log, about a day of ordinary work, after which it is put aside as `.1` in the place of the one before."""
STOP_SECONDS = 1.8
"""How long processes may take to stop by themselves; Ctrl-C promises an end within 2 s."""
DRAIN_SECONDS = 2.5
"""How long observations take from Event Hubs to the lake, with a second to spare; a run that ends by its clock waits so long."""
DEATHS_PER_MINUTE = 5
"""A process that dies more often than this is not restarted again: its fault does not heal."""


@dataclass(frozen=True)
class PartSpec:
    """A part: the name it reports under, and the title people see."""

    name: str
    title: str


@dataclass(frozen=True)
class ProcessSpec:
    """A process, the parts that live in it, and its start phase (processes of one phase start together, phases in order)."""

    module: str
    phase: int
    parts: tuple[PartSpec, ...]


PROCESSES = (
    ProcessSpec("local.webex", 0, (PartSpec("webex", "Webex simulator"),)),
    ProcessSpec("local.event_hubs", 0, (PartSpec("event_hubs", "Event Hubs"),)),
    # two: in one they share an interpreter, and at 20,000 rooms either waits for the other's turn (docs/decisions/0327)
    ProcessSpec("local.stream_job", 1, (PartSpec("stream_job", "Stream query"),)),
    ProcessSpec("local.store", 1, (PartSpec("lake", "Lake"), PartSpec("dashboard", "Page"))),
    # last: the first poll is a full snapshot, and everything that takes it should be there
    ProcessSpec("local.functions", 2, (PartSpec("functions", "Ingest and alerts"),)),
)


class RunError(Exception):
    """The run can't start or can't go on. The text names the part at fault and the next step."""


@dataclass
class PartState:
    """What a part has said."""

    spec: PartSpec
    ready: bool = False
    address: str = ""
    detail: str = ""
    warning: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    silence: Silence | None = None
    is_quiet: bool = False


@dataclass
class ProcessState:
    """What is known of a process while it runs. `trouble` says why it died last, until it serves again."""

    spec: ProcessSpec
    parts: tuple[PartState, ...]
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    heard_out: asyncio.Event = field(default_factory=asyncio.Event)
    failure: str = ""
    trouble: str = ""
    restarts: int = 0
    deaths: deque[float] = field(default_factory=deque)

    @property
    def title(self) -> str:
        """The titles of its parts, as people see them."""
        return ", ".join(part.spec.title for part in self.parts)

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.returncode is None


class Listener(Protocol):
    """Hears what happens in a run."""

    def said(self, event: str, part: PartState) -> None:
        """A part is `ready`, or reported a `warning` or that it has `recovered`."""

    def happened(self, event: str, process: ProcessState) -> None:
        """A process is `slow` to start, has `died` and is started again, or was `restarted` and serves again."""


class Supervisor:
    """Runs the processes of one local run and reports to the `listener` what happens."""

    def __init__(
        self, settings: RunSettings, run_file: Path, listener: Listener, processes: tuple[ProcessSpec, ...] = PROCESSES
    ) -> None:
        self.settings = settings
        self.run_file = run_file
        self.listener = listener
        self.processes = [ProcessState(spec, tuple(PartState(part) for part in spec.parts)) for spec in processes]
        self.parts = {part.spec.name: part for process in self.processes for part in process.parts}
        self.stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._looked_at = time.monotonic()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Start everything, phase by phase; raises RunError when a part can't start (what has started is stopped by `stop`)."""
        for phase in sorted({process.spec.phase for process in self.processes}):
            starting = [process for process in self.processes if process.spec.phase == phase]
            for process in starting:
                await self._spawn(process)
            await self._all_ready(starting)

    async def _all_ready(self, starting: list[ProcessState]) -> None:
        """Wait until all are ready; when one can't start, nobody waits for the others (and starts them again) any more."""
        waits = [asyncio.create_task(self._until_ready(process)) for process in starting]
        try:
            await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def broken(self) -> None:
        """Wait until a part is beyond repair; raises RunError saying which and why."""
        await asyncio.shield(self._broken)

    async def drain(self) -> None:
        """Stop what brings observations in (it was started last), and let the others store what is on its way."""
        self.stopping = True
        last = max(state.spec.phase for state in self.processes)
        await _asked_to_end([state for state in self.processes if state.spec.phase == last and state.runs])
        await asyncio.sleep(DRAIN_SECONDS)

    async def stop(self) -> list[str]:
        """Stop every process and wait for its end; gives the titles of those that were ready and had to be killed."""
        self.stopping = True
        running = [state for state in self.processes if state.runs]
        for state in running:
            if not state.ready.is_set():  # it still loads, hears nothing, and has nothing to put in order
                _signal(state, signal.SIGKILL)
        waits = await _asked_to_end(running)
        killed = [state for state in running if state.runs]
        for state in killed:
            _signal(state, signal.SIGKILL)
        if waits:
            await asyncio.wait(waits)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._broken.done():
            self._broken.exception()
        return [state.title for state in killed]

    def log_path(self, state: ProcessState) -> Path:
        """The log of a process: JSON lines, appended over restarts."""
        return self.settings.logs_dir / f"{state.spec.module.rsplit('.', 1)[-1]}.log"

    def look_after(self) -> None:
        """Report of parts that have fallen silent, and keep logs short; called about once a second. Raises OSError for a log."""
        now = time.monotonic()
        passed, self._looked_at = min(LONGEST_LOOK, now - self._looked_at), now
        for state in self.processes:
            if state.process is not None and state.runs and state.ready.is_set():
                self._notice_silence(state, state.process.pid, passed)
            _keep_short(self.log_path(state))

    def _notice_silence(self, state: ProcessState, pid: int, passed: float) -> None:
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:  # whoever waits for it hears that
            return
        for part in state.parts:
            if part.silence is None:
                continue
            part.silence.goes_on(process, passed)
            if part.silence.seconds > QUIET_SECONDS and (part.is_quiet or not part.warning):
                is_new, part.is_quiet, part.warning = not part.is_quiet, True, part.silence.described(pid)
                if is_new:
                    self.listener.said("warning", part)

    async def _spawn(self, state: ProcessState) -> None:
        state.ready.clear()
        state.heard_out.clear()
        state.failure = ""
        for part in state.parts:
            part.ready, part.silence, part.is_quiet = False, None, False
        with self._log_file(state) as log_file:
            state.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", state.spec.module, "--run", str(self.run_file),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log_file,
                cwd=Path(__file__).parents[1], env=_environment(), start_new_session=True, limit=1 << 20,
            )  # fmt: skip
        task = asyncio.create_task(self._watch(state, state.process))
        self._tasks.add(task)
        task.add_done_callback(self._watched)

    def _watched(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            self._break(f"a part can't be started again: {fault}")

    def _log_file(self, state: ProcessState) -> IO[bytes]:
        self.settings.logs_dir.mkdir(parents=True, exist_ok=True)
        return self.log_path(state).open("ab")

    async def _until_ready(self, state: ProcessState) -> None:
        """Wait until all parts of a process are ready, starting it again when it is killed meanwhile; raises RunError."""
        while not await self._is_ready(state):
            code = state.process.returncode if state.process else 0
            if self.stopping or code is None or code >= 0 or state.failure or self._dies_too_often(state):
                raise RunError(self._why_it_ended(state, code or 0))
            await self._spawn(state)

    async def _is_ready(self, state: ProcessState) -> bool:
        """Wait until a process is ready (True) or has ended (False), and report it when that takes long."""
        process = state.process
        assert process is not None
        ready = asyncio.create_task(state.ready.wait())
        ended = asyncio.create_task(process.wait())
        try:
            done, _ = await asyncio.wait({ready, ended}, timeout=SLOW_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                self.listener.happened("slow", state)
                done, _ = await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            ended.cancel()
        if ready not in done:
            await state.heard_out.wait()
        return ready in done

    def _dies_too_often(self, state: ProcessState) -> bool:
        """Count a death; whether there were too many within a minute."""
        now = time.monotonic()
        state.deaths.append(now)
        while now - state.deaths[0] > 60:
            state.deaths.popleft()
        return len(state.deaths) > DEATHS_PER_MINUTE

    def _why_it_ended(self, state: ProcessState, code: int) -> str:
        if state.failure:
            return state.failure
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"{state.title} {how}: see {self.log_path(state)}"

    async def _watch(self, state: ProcessState, process: asyncio.subprocess.Process) -> None:
        """Hear a process's lines until its output ends; then restart it, unless it never was ready or we are stopping."""
        assert process.stdout is not None
        async for line in process.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # a stray print of a library is not a message
                self._hear(state, json.loads(line))
        state.heard_out.set()
        code = await process.wait()
        if not self.stopping and state.ready.is_set():
            await self._restart(state, code)

    def _hear(self, state: ProcessState, message: dict[str, Any]) -> None:
        part, event = self.parts[message["part"]], message["event"]
        if event == "status":
            part.figures.update({key: value for key, value in message.items() if key not in ("event", "part")})
            part.silence = Silence()
            if part.is_quiet:
                part.is_quiet, part.warning = False, ""
                self.listener.said("recovered", part)
        elif event == "failed":
            state.failure = state.failure or f"{part.spec.title}: {message['text']}"
        elif event == "ready":
            part.ready, part.address, part.detail, part.warning = True, message["address"], message["detail"], ""
            self.listener.said("ready", part)
            if all(each.ready for each in state.parts):
                state.ready.set()
        elif event == "warning" and message["text"] != part.warning:
            part.warning = message["text"]
            self.listener.said("warning", part)
        elif event == "recovered":
            part.warning = ""
            self.listener.said("recovered", part)

    async def _restart(self, state: ProcessState, code: int) -> None:
        state.trouble = self._why_it_ended(state, code)
        if state.failure or self._dies_too_often(state):
            self._break(state.trouble)
            return
        state.restarts += 1
        self.listener.happened("died", state)
        await asyncio.sleep(min(4.0, 0.25 * 2 ** (len(state.deaths) - 1)))
        if self.stopping:
            return
        await self._spawn(state)
        try:
            await self._until_ready(state)
        except RunError as fault:
            self._break(str(fault))
            return
        state.trouble = ""
        self.listener.happened("restarted", state)

    def _break(self, reason: str) -> None:
        if not self.stopping and not self._broken.done():
            self._broken.set_exception(RunError(reason))


def _keep_short(path: Path) -> None:
    """Put a log aside that has become long. The process goes on writing to the file it has opened, so that one is emptied; a line
    written in between may be lost.
    """
    if path.is_file() and path.stat().st_size > LONGEST_LOG:
        shutil.copyfile(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)


def _signal(state: ProcessState, number: int) -> None:
    if state.process is not None:
        with contextlib.suppress(ProcessLookupError):
            state.process.send_signal(number)


async def _asked_to_end(running: list[ProcessState]) -> list[asyncio.Task[int]]:
    """Ask processes to end and give them STOP_SECONDS for it; returns what waits for the end of each."""
    for state in running:
        _signal(state, signal.SIGTERM)
    waits = [asyncio.create_task(state.process.wait()) for state in running if state.process is not None]
    if waits:
        await asyncio.wait(waits, timeout=STOP_SECONDS)
    return waits


def _environment() -> dict[str, str]:
    """The processes' environment: ours, without a proxy (everything is on loopback), and frugal.

    glibc gives every thread an arena of its own and keeps what was freed in it: with the many threads of DuckDB and delta-rs that
    costs tens of megabytes per process. DuckDB and delta-rs bring an allocator each (jemalloc) that keeps what was freed for
    seconds, delta-rs in four arenas for each processor: 25 to 50 MB after some hundred commits. The Event Hubs client loads all
    certificate authorities for every connection, even for one without TLS: 1.5 MB and 20 ms each. (requests brings its own
    authorities, so webhooks are not concerned.)
    """
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    at_once = "dirty_decay_ms:0,muzzy_decay_ms:0"
    give_back = {"MALLOC_ARENA_MAX": "2", "DUCKDB_JE_MALLOC_CONF": at_once, "_RJEM_MALLOC_CONF": f"narenas:1,{at_once}"}
    frugal = give_back | {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
    return kept | frugal | {"PYTHONUNBUFFERED": "1"}
