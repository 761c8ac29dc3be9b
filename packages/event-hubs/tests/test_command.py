"""The command `event-hubs-local`: how it starts, fails, stops, and loses nothing when it is killed."""

from __future__ import annotations

import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError
from event_hubs_clients import free_port

from event_hubs_local.command import main
from event_hubs_local.log import read_bodies


class Running:
    """`python -m event_hubs_local` with some words, in a folder of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        command = [sys.executable, "-m", "event_hubs_local", *words]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def says(self) -> str:
        """Its next line, empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ended(self) -> tuple[int, str]:
        """Its exit code and what it wrote to standard error."""
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(*words: str) -> Running:
        started.append(Running(tmp_path, *words))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.kill()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """One hub of two partitions."""
    namespace = {"Type": "EventHub", "Name": "emulatorNs1", "Entities": [{"Name": "rooms", "PartitionCount": "2"}]}
    path = tmp_path / "Config.json"
    path.write_text(json.dumps({"UserConfig": {"NamespaceConfig": [namespace]}}))
    return path


def test_it_says_what_it_serves_and_how_to_connect(start: Callable[..., Running], config: Path, tmp_path: Path) -> None:
    running = start(str(config), "--folder", "events", "--port", "0")
    assert re.fullmatch(r"rooms at sb://127\.0\.0\.1:\d+", running.says())
    with EventHubProducerClient.from_connection_string(running.says(), eventhub_name="rooms") as client:
        client.send_batch([EventData("hello")])
    running.process.send_signal(signal.SIGTERM)
    assert running.ended() == (0, "")
    assert list(read_bodies(tmp_path / "events", "rooms")) == [b"hello"]


def test_nothing_acknowledged_is_lost_when_it_is_killed_while_it_writes(
    start: Callable[..., Running], config: Path, tmp_path: Path
) -> None:
    chance, port = random.Random(7), free_port()
    words = (str(config), "--folder", "events", "--port", str(port))
    running = start(*words)
    running.says()
    acknowledged: list[str] = []
    done = threading.Event()
    sender = threading.Thread(target=send_until, args=(running.says(), acknowledged, done))
    sender.start()
    for _ in range(2):
        wait_for_more(acknowledged)
        time.sleep(chance.uniform(0.0, 0.3))
        running.kill()
        running = start(*words)
        assert running.says()
    wait_for_more(acknowledged)
    done.set()
    sender.join()
    running.kill()
    assert set(acknowledged) <= {body.decode() for body in read_bodies(tmp_path / "events", "rooms")}


def wait_for_more(acknowledged: list[str]) -> None:
    before = len(acknowledged)
    while len(acknowledged) <= before:
        time.sleep(0.01)


def send_until(connection_string: str, acknowledged: list[str], done: threading.Event) -> None:
    number = 0
    with EventHubProducerClient.from_connection_string(connection_string, eventhub_name="rooms", retry_total=0) as client:
        while not done.is_set():
            bodies = [f"{number + index}" for index in range(50)]
            try:
                client.send_batch([EventData(body) for body in bodies])
            except EventHubError:
                continue  # not acknowledged: sent again
            acknowledged += bodies
            number += 50


def test_a_port_in_use_is_named_with_the_option_that_changes_it(config: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            SystemExit, match=rf"^Port {port} can't be used \(.*[Aa]ddress already in use.*\): .* another with --port\.$"
        ):
            main([str(config), "--folder", str(tmp_path / "events"), "--port", str(port)])


def test_a_fault_in_the_configuration_is_told_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"none\.json can't be read: No such file"):
        main([str(tmp_path / "none.json")])


def test_a_folder_that_can_not_be_used_is_named(config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="Choose another data folder"):
        main([str(config), "--folder", str(tmp_path / "file" / "events"), "--port", "0"])


@pytest.mark.parametrize("port", ["65536", "-1"])
def test_a_port_out_of_range_is_told_the_range(config: Path, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(config), "--port", port])
    assert f"{port} must be from 0 to 65535" in capsys.readouterr().err


def test_it_has_help_and_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    for word, says in (("--help", "usage: event-hubs-local"), ("--version", f"event-hubs-local {version('event-hubs-local')}\n")):
        with pytest.raises(SystemExit, match=r"^0$"):
            main([word])
        assert capsys.readouterr().out.startswith(says)


def test_the_example_of_the_readme_runs() -> None:
    readme = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60)
    assert (ran.stderr, ran.stdout) == ("", "['hello']\n")
