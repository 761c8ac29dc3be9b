"""A listener that is killed again and again, and what the hub lacks then: the second measurement of bench_push."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from benchmarks.processes import REPOSITORY
from benchmarks.push_run import METRICS, noon_run, part, poller_of, run_in, seconds
from benchmarks.report import Table
from local.run_settings import RunSettings
from processors import clock
from processors.contracts.signals import METRICS as CAPABILITY_OF
from processors.ingest import slow_tiers
from processors.ingest.push.activation import activation_from
from processors.ingest.push.app import App
from processors.ingest.push.home import FolderHome
from processors.ingest.push.listener import ERROR_SECONDS
from processors.ingest.push.manifest import manifest
from processors.ingest.push.messages import StatusMessage, read_message
from processors.ingest.push.rooms import read_paths
from processors.ingest.push.trust import Trust
from processors.ingest.sinks import JsonLinesSink
from processors.ingest.status_tree import number
from processors.ingest.token_bucket import RequestRates
from processors.ingest.tokens import INTEGRATION, ServiceAppToken
from processors.ingest.webex_client import WebexError
from webex_simulator.scenarios import ScenarioClient

DEVICES = 400
KILLS = 5
MODULE = "benchmarks.push_killed"


def killed_table() -> Table:
    """What is lost when the listener is killed again and again, beside one that nothing happens to."""
    draw = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        settings = noon_run(Path(folder), DEVICES)
        with part("local.webex", settings):
            scenario = ScenarioClient(settings.control_url)
            with _reference(settings, Path(folder) / "reference") as expected:
                scenario.push_duplicates(20)
                for number in range(KILLS):
                    with _listening(settings):
                        time.sleep(draw.uniform(4, 12))
                        if number == 1:
                            scenario.drop_queue()
                            time.sleep(3)
                        if number == 2:
                            scenario.expire_token()
                            time.sleep(3)
                scenario.clear()
                with _listening(settings):
                    time.sleep(90)
                ended = settings.clock.seconds() - 5
            set_up = _set_up(settings.webex_url)
        lines = (Path(folder) / "observations.jsonl").read_text(encoding="utf-8").splitlines()
    readings = [one for one in expected if one[3] <= ended and one[:2] in set_up]
    return _counted(list(map(json.loads, lines)), readings)


Reading = tuple[str, str, float, float]
"""Workspace, signal, value, seconds."""


def _counted(events: list[dict[str, Any]], expected: Sequence[Reading]) -> Table:
    by_id = {event["id"]: event for event in events}
    had = [reading for event in by_id.values() for reading in _readings_of(event)]
    missing = set(expected) - set(had)
    last: dict[tuple[str, str], tuple[float, float]] = {}
    for workspace, name, value, at in sorted(had, key=lambda one: one[3]):
        last[workspace, name] = at, value
    newest: dict[tuple[str, str], tuple[float, float]] = {}
    for workspace, name, value, at in sorted(expected, key=lambda one: one[3]):
        newest[workspace, name] = at, value
    stale = [
        key for key, (at, value) in newest.items() if last.get(key, (0.0, None))[1] != value and last.get(key, (0.0,))[0] <= at
    ]
    rows: list[list[object]] = [
        ["readings that a listener without trouble was told", len(set(expected)), ""],
        ["of them never at the hub", len(missing), 0],
        ["sensors whose last value at the hub is another", len(stale), 0],
        ["readings at the hub", len(set(had)), ""],
        ["of them under two ids", len(had) - len(set(had)), 0],
        ["sent again under the same id", len(events) - len(by_id), ""],
    ]
    note = (
        f"{DEVICES} devices; the ingest is killed (SIGKILL) {KILLS} times after 4 to 12 s, the queue is dropped once, "
        "tokens expire once, a fifth of all messages come twice. Then it runs on for 90 s. It polls every 5 s, "
        "and closes gaps with the next poll instead of within a day. "
        "Compared are readings of sensors that are set up; people and use are not, of which workspaceMetrics keeps no history "
        "between its steps."
    )
    return Table("Push: a listener that is killed", ("what", "measured", "bar"), rows, note)


def _set_up(url: str) -> set[tuple[str, str]]:
    """The sensors that are set up, so that they can be polled, by workspace and metric."""
    headers = {"Authorization": "Bearer simulated-access-token"}
    answer = requests.get(f"{url}/workspaces?includeCapabilities=true&max=1000", headers=headers, timeout=30).json()
    return {
        (room["id"], metric)
        for room in answer["items"]
        for metric, capability in CAPABILITY_OF.items()
        if room.get("capabilities", {}).get(capability, {}).get("configured")
    }


def _readings_of(event: dict[str, Any]) -> Iterator[Reading]:
    data = event["data"]
    if data.get("entity") != "workspace":
        return
    for one in data["signals"]:
        if one["name"] in METRICS and one["name"] != "peopleCount":
            yield data["entityId"], one["name"], float(one["value"]), seconds(event["time"])


def _second_app(settings: RunSettings, folder: Path) -> App:
    """An integration beside that of the run."""
    trust = Trust(settings.webex_url)
    home = FolderHome(folder, trust)
    given = ScenarioClient(settings.control_url).integrate(manifest())
    home.keep(activation_from(given["activationCode"], given["clientId"], trust), given["clientSecret"])
    known = home.integration()
    assert known is not None
    return App(known, ServiceAppToken(home.store, known.oauth_url, INTEGRATION), trust)


@contextlib.contextmanager
def _reference(settings: RunSettings, folder: Path) -> Iterator[list[Reading]]:
    """What an integration beside is told, which nothing happens to but a dropped queue: it enables it at once."""
    clock.use(settings.clock.now)
    app = _second_app(settings, folder)
    found: list[Reading] = []
    stopping = threading.Event()

    def listen() -> None:
        poll_url = None
        while not stopping.is_set():
            try:
                poll_url = poll_url or app.listening()
                messages = app.poll(poll_url).messages
            except WebexError:
                poll_url = None
                stopping.wait(ERROR_SECONDS / 50)
                continue
            for item in messages:
                message = read_message(item, settings.clock.now() + timedelta(seconds=60))
                if isinstance(message, StatusMessage) and message.workspace_id and not message.is_full:
                    at = message.time.timestamp()
                    for name, path in read_paths(message.updated):
                        found.append((message.workspace_id, name, number(message.updated[path]) or 0.0, at))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield found
    stopping.set()
    thread.join(5)


@contextlib.contextmanager
def _listening(settings: RunSettings) -> Iterator[None]:
    """An ingest that writes into a file, killed in the end."""
    line = [sys.executable, "-m", MODULE, str(settings.data_dir)]
    with subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.send_signal(signal.SIGKILL)


def _killed(folder: Path) -> None:
    """An ingest that is going to be killed: it polls every 5 s and listens."""
    slow_tiers.GAPS_CLOSED_WITHIN = timedelta(seconds=5)  # a day takes longer than the measurement
    settings = run_in(folder)
    sink = JsonLinesSink(folder / "observations.jsonl")
    rates = RequestRates(1e6, 1e6, 1e6, 5)
    poller = poller_of(settings, sink, push=True, rates=rates, poll_seconds=5, requests=2000)
    poller.poll()
    print("listens", flush=True)
    while True:
        time.sleep(5 - settings.clock.seconds() % 5)
        poller.poll(followed=True)


if __name__ == "__main__":
    _killed(Path(sys.argv[1]))
