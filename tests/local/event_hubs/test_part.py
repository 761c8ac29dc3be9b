"""The Event Hubs stand-in as a part of a run: which hubs it serves, how it starts, fails and is killed."""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from event_hubs_clients import free_port

from event_hubs_local.config import read_config
from local.event_hubs.part import CONFIG
from local.run_settings import RunSettings
from tests.support.shared_data import REPOSITORY


def test_the_hubs_of_roompulse_are_those_of_the_contracts() -> None:
    contracts = (REPOSITORY / "docs/contracts.md").read_text(encoding="utf-8")
    section = contracts.split("## Hubs")[1].split("##")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", section, re.MULTILINE)
    expected = {name: set(re.findall(r"`(\w+)`", groups)) for name, groups in rows}
    hubs = read_config(CONFIG)
    assert {hub.name: set(hub.consumer_groups) for hub in hubs} == expected
    assert {hub.partitions for hub in hubs} == {4}


class BrokerProcess:
    """The part as `roompulse run` starts it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.settings = RunSettings(data_dir=folder, stack="test", cities=(), event_hubs_port=port)
        self.run_file = folder / "run.json"
        self.settings.write(self.run_file)

    def start(self) -> dict[str, str]:
        """Start and give the first thing it says."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local.event_hubs", "--run", str(self.run_file)],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 20)[0], "the broker says nothing"
        said: dict[str, str] = json.loads(self.process.stdout.readline())
        return said

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    broker = BrokerProcess(tmp_path, free_port())
    yield broker
    if broker.process.poll() is None:
        broker.kill()


class TestStarting:
    def test_a_port_in_use_is_named_with_the_option_that_changes_it(self, broker: BrokerProcess) -> None:
        with socket.create_server(("127.0.0.1", broker.settings.event_hubs_port)):
            said = broker.start()
        assert said["event"] == "failed"
        assert f"Port {broker.settings.event_hubs_port} is in use" in said["text"]
        assert "--event-hubs-port" in said["text"]

    def test_the_part_says_where_it_serves_and_stops_when_told(self, broker: BrokerProcess) -> None:
        said = broker.start()
        assert said["address"] == f"sb://127.0.0.1:{broker.settings.event_hubs_port}"
        assert said["detail"] == "5 hubs, 4 partitions"
        broker.process.terminate()
        assert broker.process.wait(60) == 0
