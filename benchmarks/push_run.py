"""A local run whose clock stands at noon of a working day in every city, part by part, for the measurements of push."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.pipeline_driver import free_ports
from benchmarks.processes import REPOSITORY
from local.clock import SimulatedClock
from local.run import pushed, read_declarations, run_settings
from local.run_settings import RunSettings
from processors import clock

if TYPE_CHECKING:
    from activator.rules import Rule
    from infra.settings.stack import StackSettings
    from processors.ingest.poll import Poller
    from processors.ingest.sinks import Sink
    from processors.ingest.token_bucket import RequestRates

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC).timestamp()
NOON_IN = "Europe/Paris"
METRICS = ("temperature", "humidity", "tvoc", "ambientNoise", "soundLevel", "peopleCount")
START_SECONDS = 120.0


def noon_run(folder: Path, devices: int) -> RunSettings:
    """The settings of a run whose clock stands at noon now, written where its parts read them."""
    stack, rules = _declared()
    ports = free_ports(3)
    settings = run_settings(
        stack, rules, data_dir=folder, devices=devices, seed=7, speed=1, poll_seconds=60, ports=(ports[0], ports[1], ports[2])
    )
    settings = replace(settings, clock=SimulatedClock(time.time(), NOON))
    settings.write(folder / "run.json")
    return settings


def run_in(folder: Path) -> RunSettings:
    """The settings of the run in a folder; this process goes by its clock from now on."""
    settings = RunSettings.read(folder / "run.json")
    clock.use(settings.clock.now)
    return settings


@contextlib.contextmanager
def part(module: str, settings: RunSettings, parts: int = 1) -> Iterator[int]:
    """A process of a run once all its parts are ready: its id."""
    said = settings.data_dir / f"{module}.out"
    with said.open("w") as out, said.with_suffix(".log").open("w") as log:
        line = [sys.executable, "-m", module, "--run", str(settings.data_dir / "run.json")]
        process = subprocess.Popen(line, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=out, stderr=log)
        try:
            _wait_until_ready(process, said, parts)
            yield process.pid
        finally:
            process.kill()
            process.wait()


def poller_of(
    settings: RunSettings, sink: Sink, *, push: bool, rates: RequestRates, poll_seconds: float, requests: int
) -> Poller:
    """The ingest of a run: with the rules of its stack, and the integration that the run's Webex has activated."""
    from infra.settings.processor_settings import ingest_settings
    from processors.ingest.environment import EnvironmentToken
    from processors.ingest.poll import Poller
    from processors.ingest.push.coverage import Coverage
    from processors.ingest.push.home import FolderHome
    from processors.ingest.push.listener import Listener
    from processors.ingest.push.trust import Trust
    from processors.ingest.settings import ingest_settings_of
    from processors.ingest.sqlite_state import SqliteState
    from processors.ingest.webex_client import WebexClient

    declared = ingest_settings_of(ingest_settings(*_declared(), settings.clock.now().date().isoformat()))
    cities = tuple(replace(city, push=push) for city in declared.cities)
    asked = replace(
        declared, cities=cities, poll_seconds=poll_seconds, metric_requests_per_poll=requests, metrics=METRICS, rates=rates
    )
    client = WebexClient(settings.webex_url, EnvironmentToken({"WEBEX_ACCESS_TOKEN": "simulated-access-token"}), rates)
    trust = Trust(settings.webex_url)
    listener = Listener(FolderHome(settings.integration_dir, trust), trust, Coverage()) if push else None
    return Poller(asked, client, sink, SqliteState(settings.data_dir / f"state-{push}" / "ingest.sqlite"), listener=listener)


def told_of_room(body: bytes) -> tuple[str, str] | None:
    """Id and time of an observation as it is sent; None where it is not about a room."""
    return (_after(b'"id":"', body), _after(b'"time":"', body)) if b'"entity":"workspace"' in body else None


def seconds(text: str) -> float:
    """A time in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def _after(name: bytes, body: bytes) -> str:
    start = body.index(name) + len(name)
    return body[start : body.index(b'"', start)].decode()


def _declared() -> tuple[StackSettings, tuple[Rule, ...]]:
    stack, rules = read_declarations("dev")
    stack = pushed(stack)
    return replace(stack, cities=tuple(replace(city, time_zone=NOON_IN) for city in stack.cities)), rules


def _wait_until_ready(process: subprocess.Popen[bytes], said: Path, parts: int) -> None:
    began = time.monotonic()
    while said.read_text(encoding="utf-8").count('"event": "ready"') < parts:
        if process.poll() is not None or time.monotonic() - began > START_SECONDS:
            raise RuntimeError(f"{said.name}: not ready: {said.read_text(encoding='utf-8')[-1000:]}")
        time.sleep(0.05)
