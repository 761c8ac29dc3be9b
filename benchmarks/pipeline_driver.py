"""Drives `roompulse run` as a person would, from outside: for the benchmarks and for the tests of the whole pipeline."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import requests

from local.run_settings import RunSettings
from webex_simulator.scenarios import ScenarioClient

REPOSITORY = Path(__file__).resolve().parents[1]


class PipelineError(Exception):
    """The pipeline did not do within its time what was waited for; the text holds the end of its output."""


class Pipeline:
    """One `roompulse run` in a folder of its own, on free ports. It can be stopped, killed and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.ports = free_ports(3)
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def data(self) -> Path:
        """The run's data folder."""
        return self.folder / "data"

    @property
    def settings(self) -> RunSettings:
        """The settings of the current run."""
        return RunSettings.read(self.data / "run.json")

    @property
    def scenario(self) -> ScenarioClient:
        """Control of the simulated estate."""
        return ScenarioClient(self.settings.control_url)

    def start(self, within: float = 60) -> float:
        """Start the run and wait until the page has data, which takes so many seconds at most; gives those that it took."""
        began = time.monotonic()
        webex, event_hubs, page = self.ports
        command = [
            sys.executable, "-m", "cli", "run", "--data", str(self.data), "--no-browser",
            "--webex-port", str(webex), "--event-hubs-port", str(event_hubs), "--port", str(page), *self.options,
        ]  # fmt: skip
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.wait_until(self.has_data, "the page has data", within)
        return time.monotonic() - began

    def has_data(self) -> bool:
        """Whether the page shows every city with a poll."""
        cities = self.snapshot().get("cities", [])
        return bool(cities) and all(city.get("lastPoll") for city in cities)

    def snapshot(self) -> dict[str, Any]:
        """What the page shows, as JSON; empty while there is no page."""
        try:
            return dict(requests.get(f"http://127.0.0.1:{self.ports[2]}/api/snapshot", timeout=5).json())
        except (requests.RequestException, ValueError):
            return {}

    def inbox(self) -> list[dict[str, Any]]:
        """The alerts as people got them."""
        path = self.data / "inbox.sqlite"
        if not path.is_file():
            return []
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in database.execute("select * from inbox")]
            except sqlite3.OperationalError:  # the table comes with the first alert
                return []

    def parts(self) -> dict[str, psutil.Process]:
        """The running parts by module name."""
        if self.process is None or self.process.poll() is not None:
            return {}
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                command = child.cmdline()
                if "-m" in command:
                    found[command[command.index("-m") + 1]] = child
        return found

    def interrupt(self) -> float:
        """Press Ctrl-C and wait for the end; gives the seconds that took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        return time.monotonic() - began

    def kill(self) -> None:
        """Kill the supervisor itself and wait until its parts have noticed."""
        assert self.process is not None
        parts = list(self.parts().values())
        self.process.kill()
        self.process.wait(10)
        _, alive = psutil.wait_procs(parts, timeout=10)
        if alive:
            raise PipelineError(f"parts outlived the run: {alive}")

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float) -> float:
        """Wait until a condition holds; gives the seconds that took, raises PipelineError with the run's last words."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.process is not None and self.process.poll() is not None:
                raise PipelineError(f"the run ended with code {self.process.returncode}:\n{self.output()[-3000:]}")
            if condition():
                return time.monotonic() - began
            time.sleep(0.05)
        raise PipelineError(f"not within {seconds} s: {what}\n{self.output()[-3000:]}")

    def output(self) -> str:
        """Everything the run has printed so far."""
        return (self.folder / "output.txt").read_text(encoding="utf-8", errors="replace")

    def verify(self) -> dict[str, Any]:
        """Counts of rows and distinct keys per Delta table, from the files on disk."""
        command = [sys.executable, "-m", "local.lake.verify", "--run", str(self.data / "run.json")]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120)
        return dict(json.loads(done.stdout))


@contextlib.contextmanager
def pipeline(folder: Path, *options: str) -> Iterator[Pipeline]:
    """A pipeline that is not running yet and is certainly not running afterwards."""
    run = Pipeline(folder, *options)
    try:
        yield run
    finally:
        if run.process is not None and run.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.interrupt()
            if run.process.poll() is None:
                os.killpg(run.process.pid, signal.SIGKILL)
                run.process.wait(10)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(each.getsockname()[1] for each in sockets)
