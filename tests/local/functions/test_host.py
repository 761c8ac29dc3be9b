"""The Functions host as a process, with a small app, on the real broker."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.eventhub import EventData, EventHubProducerClient

from event_hubs_local.config import read_config
from event_hubs_local.server import EventHubsServer, serving_in_thread
from local.clock import SimulatedClock
from local.event_hubs.part import CONFIG
from local.run_settings import RunSettings
from tests.support.shared_data import REPOSITORY


class Host:
    """A host process, what it says, and what its app has written down."""

    def __init__(self, folder: Path, port: int) -> None:
        clock = SimulatedClock(time.time(), time.time(), speed=5.0)
        self.settings = RunSettings(data_dir=folder, stack="test", cities=(), poll_seconds=5, event_hubs_port=port, clock=clock)
        self.settings.state_dir.mkdir(exist_ok=True)
        self.settings.write(folder / "run.json")
        self.said: list[dict[str, Any]] = []

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.local.functions.apps.host_process", "--run", str(self.settings.data_dir / "run.json")],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=(self.settings.data_dir / "host.log").open("a"),
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.said.append(json.loads(line))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, f"no {what}; said {self.said[-5:]}\n{self.log()}"
            time.sleep(0.02)

    def until_said(self, event: str, text: str = "") -> None:
        def heard() -> bool:
            return any(record["event"] == event and text in record.get("text", "") for record in self.said)

        self.until(heard, f"{event} {text}")

    def log(self) -> str:
        return (self.settings.data_dir / "host.log").read_text()[-2000:]

    def written(self, name: str) -> list[dict[str, Any]]:
        path = self.settings.state_dir / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def delivered(self) -> list[str]:
        return [entry["body"] for entry in self.written("delivered")]

    def until_delivered(self, *bodies: str) -> None:
        self.until(lambda: set(bodies) <= set(self.delivered()), f"delivery of {bodies}")

    def tell(self, name: str, content: str = "") -> None:
        (self.settings.state_dir / name).write_text(content)

    def untell(self, name: str) -> None:
        (self.settings.state_dir / name).unlink()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def hubs(folder: Path, port: int = 0) -> Iterator[EventHubsServer]:
    with serving_in_thread(EventHubsServer(folder / "hubs", read_config(CONFIG), port=port)) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EventHubsServer]:
    with hubs(tmp_path) as server:
        yield server


@pytest.fixture
def host(tmp_path: Path, server: EventHubsServer) -> Iterator[Host]:
    host = Host(tmp_path, server.port)
    yield host
    if host.process.poll() is None:
        host.kill()


def send(server: EventHubsServer, *bodies: str) -> None:
    """One event after another into partition 0 of hub `alerts`, of one room."""
    client = EventHubProducerClient.from_connection_string(server.connection_string, eventhub_name="alerts")
    with client:
        client.send_batch([EventData(body) for body in bodies], partition_key="room")


def test_polls_and_deliveries_run_are_counted_and_end_when_told(host: Host, server: EventHubsServer) -> None:
    host.start()
    host.until_said("ready")
    send(server, "one", "two")
    host.until_delivered("one", "two")
    host.until(lambda: len(host.written("polls-done")) >= 3, "three polls")
    entries = host.written("delivered")
    assert [(entry["body"], entry["sequence"], entry["key"]) for entry in entries] == [("one", 0, "room"), ("two", 1, "room")]
    assert int(entries[0]["offset"]) < int(entries[1]["offset"])
    simulated = [entry["began"] for entry in host.written("polls")]
    assert len({moment // 5 for moment in simulated[1:]}) == len(simulated) - 1, "a poll for each slot of simulated time"

    def figures() -> dict[str, Any]:
        return next(record for record in reversed(host.said) if record["event"] == "status")

    host.until(lambda: figures().get("deliver_invocations", 0) >= 1 and figures()["poll_invocations"] >= 3, "counts")
    assert (figures()["polls"], figures()["observations"], figures()["poll_failures"]) == (7, 42, 0)
    assert host.stop() == 0


def test_a_failing_poll_shows_and_heals_and_ends_nothing(host: Host) -> None:
    host.settings.state_dir.joinpath("poll-fails").touch()
    host.start()
    host.until_said("warning", "poll failed: poll was told to fail")
    host.untell("poll-fails")
    host.until_said("recovered", "poll works again")
    assert "with details" in host.log(), "the log has the whole exception"


def test_events_a_function_did_not_take_are_given_again_until_it_does(host: Host, server: EventHubsServer) -> None:
    host.tell("deliver-fails")
    host.start()
    send(server, "one", "two")
    host.until(lambda: len(host.written("tries")) >= 2, "a second try")
    send(server, "three")
    assert host.delivered() == []
    host.untell("deliver-fails")
    host.until_delivered("one", "two", "three")
    assert host.delivered() == ["one", "two", "three"]
    host.until_said("recovered", "deliver works again")


def test_what_was_taken_does_not_come_again_after_a_restart(host: Host, server: EventHubsServer) -> None:
    host.start()
    send(server, "one")
    host.until_delivered("one")
    assert host.stop() == 0
    send(server, "two")
    host.start()
    host.until_delivered("two")
    assert host.delivered() == ["one", "two"]


def test_what_was_not_taken_when_the_host_was_killed_comes_again(host: Host, server: EventHubsServer) -> None:
    host.tell("deliver-takes", "60")
    host.start()
    send(server, "one")
    host.until(lambda: bool(host.written("tries")), "a delivery that takes long")
    host.kill()
    host.untell("deliver-takes")
    host.start()
    host.until_delivered("one")
    assert host.delivered() == ["one"]


def test_a_stop_lets_a_short_poll_finish_and_abandons_a_long_one(host: Host) -> None:
    host.tell("poll-takes", "0.4")
    host.start()
    host.until(lambda: bool(host.written("polls")), "a poll")
    begun = len(host.written("polls"))
    assert host.stop() == 0
    assert len(host.written("polls-done")) >= begun
    done = len(host.written("polls-done"))
    host.tell("poll-takes", "60")
    host.start()
    host.until(lambda: len(host.written("polls")) > done, "a long poll")
    assert host.stop() == 0
    assert len(host.written("polls-done")) == done
    assert "poll is abandoned" in host.log()


def test_the_end_of_its_input_stops_it(host: Host) -> None:
    host.start()
    host.until_said("ready")
    assert host.process.stdin is not None
    host.process.stdin.close()
    assert host.process.wait(60) == 0


def test_a_broker_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    host = Host(tmp_path, port)
    host.start()
    try:
        host.until_said("warning", "hub alerts can't be read")
        with hubs(tmp_path, port) as server:
            send(server, "one")
            host.until_delivered("one")
            host.until_said("recovered", "hub alerts is read again")
    finally:
        host.kill()


def test_a_damaged_checkpoint_file_is_named_with_the_way_out(host: Host) -> None:
    host.tell("checkpoints.sqlite", "no database at all, for sure, " * 50)
    host.start()
    host.until_said("failed", "checkpoints.sqlite is damaged")
    assert host.process.wait(60) == 1
