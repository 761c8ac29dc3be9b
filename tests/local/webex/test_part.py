"""The simulator as a process: how it starts, reports, fails, dies and comes back."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
import requests

from local.clock import SimulatedClock
from local.run_settings import LocalCity, RunSettings
from tests.support.shared_data import REPOSITORY
from webex_simulator.scenarios import ScenarioClient

CITIES = (
    LocalCity("lyon", "Lyon", "Europe/Paris", ("Lyon Part-Dieu", "Lyon Confluence")),
    LocalCity("toronto", "Toronto", "America/Toronto", ("Toronto Front Street",)),
    LocalCity("singapore", "Singapore", "Asia/Singapore", ("Singapore Marina One",)),
)


class Process:
    """`python -m local.webex` with its standard input held open, as the supervisor does."""

    def __init__(self, run_file: Path) -> None:
        command = [sys.executable, "-m", "local.webex", "--run", str(run_file)]
        pipe = subprocess.PIPE
        self.running = subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def hear(self, event: str) -> dict[str, Any]:
        """The next message of a kind."""
        assert self.running.stdout is not None
        for line in self.running.stdout:
            message = json.loads(line)
            if message["event"] == event:
                return dict(message)
        raise AssertionError(f"no {event}: {_text(self.running.stderr)}")

    def close(self) -> None:
        self.running.kill()
        self.running.wait()
        for stream in (self.running.stdin, self.running.stdout, self.running.stderr):
            assert stream is not None
            stream.close()


def _text(stream: IO[str] | None) -> str:
    return stream.read() if stream else ""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    processes = []

    def run(**changes: Any) -> Process:
        settings = RunSettings(tmp_path, "test", CITIES, devices=200, webex_port=0, clock=SimulatedClock(0, 0, 1))
        replace(settings, **changes).write(tmp_path / "run.json")
        processes.append(Process(tmp_path / "run.json"))
        return processes[-1]

    yield run
    for process in processes:
        process.close()


def test_it_says_when_it_is_ready_and_counts_requests(start: Callable[..., Process]) -> None:
    process = start()
    ready = process.hear("ready")
    assert ready["detail"] == "200 devices, 3 cities, seed 7"
    assert requests.get(f"{ready['address']}/devices", timeout=10).status_code == 401
    while (status := process.hear("status"))["requests"] == 0:
        pass
    assert status == {"event": "status", "part": "webex", "requests": 1, "requestsByStatus": {"401": 1}}


@pytest.mark.parametrize("ending", ["signal", "closed input"])
def test_it_ends_cleanly_when_told_to(start: Callable[..., Process], ending: str) -> None:
    process = start()
    process.hear("ready")
    if ending == "signal":
        process.running.send_signal(signal.SIGTERM)
    else:
        assert process.running.stdin is not None
        process.running.stdin.close()
    assert process.running.wait(60) == 0


def test_a_port_in_use_is_named_with_the_option_that_changes_it(start: Callable[..., Process]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(webex_port=port)
        text = process.hear("failed")["text"]
    assert text == f"port {port} is in use: stop what listens there, or choose another with --webex-port"
    assert process.running.wait(60) == 1


def test_too_many_devices_are_refused_with_the_range(start: Callable[..., Process]) -> None:
    assert "100 to 100000 devices" in start(devices=100_001).hear("failed")["text"]


def test_killed_it_comes_back_with_the_outage_still_on(start: Callable[..., Process]) -> None:
    first = start()
    address = first.hear("ready")["address"]
    control = ScenarioClient(address.removesuffix("/v1") + "/_control")
    control.outage(city="lyon")
    effects = control.list()
    first.running.kill()
    first.running.wait(60)
    address = start().hear("ready")["address"]
    assert ScenarioClient(address.removesuffix("/v1") + "/_control").list() == effects
    token = {"Authorization": "Bearer simulated-access-token"}
    devices = requests.get(f"{address}/devices", params={"connectionStatus": "disconnected"}, headers=token, timeout=10)
    assert len(devices.json()["items"]) > 30
