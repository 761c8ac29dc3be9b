"""The stream job on a real broker: what goes in comes out once, whatever fails in between."""

from __future__ import annotations

import asyncio
import json
import os
import signal as signals
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

from asa_engine.engine import StreamEngine
from event_hubs_local.config import read_config
from event_hubs_local.server import EventHubsServer
from local.clock import SimulatedClock
from local.event_hubs.part import CONFIG
from local.event_hubs.unencrypted import context_for
from local.part import Part, PartError
from local.run_settings import RunSettings
from local.stream_job import part as part_module
from local.stream_job.checkpoint import FILE
from local.stream_job.part import serve, unsaved_seconds
from tests.support.observations import Observation, observation, rule, signal
from tests.support.shared_data import REPOSITORY


def now(ago: float = 0) -> str:
    """The present as ISO 8601, or some seconds ago."""
    return (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def device(down: bool, name: str = "room-bar-1", for_seconds: int = 0) -> Observation:
    """An observation of the present."""
    return observation(now(), [signal(int(down), [rule(for_seconds=for_seconds)])], name)


@dataclass
class Bench:
    """A broker on loopback, a data folder, and what the outputs have brought so far (with every repeat)."""

    folder: Path
    broker: EventHubsServer
    settings: RunSettings
    got: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    async def send(self, *bodies: Observation | str) -> None:
        """Send observations to hub observations, by entity."""
        connection = self.settings.event_hubs_connection_string
        client = EventHubProducerClient.from_connection_string(
            connection, eventhub_name="observations", ssl_context=context_for(connection)
        )
        async with client:
            for body in bodies:
                key = body["subject"] if isinstance(body, dict) else "broken"
                batch = await client.create_batch(partition_key=key)
                batch.add(EventData(body if isinstance(body, str) else json.dumps(body)))
                await client.send_batch(batch)

    async def until(self, met: Callable[[], bool], what: str, seconds: float = 40) -> None:
        """Wait for something to become true."""
        limit = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < limit, f"waited in vain for {what}; got {self.got}"
            await asyncio.sleep(0.05)

    def alerts(self) -> list[tuple[str, str, str]]:
        """(state, entity, id) of the alert rows received, repeats included."""
        return [(row["state"], row["entityId"], row["alertId"]) for row in self.got.get("Alerts", [])]

    def lake(self) -> list[tuple[str, str]]:
        """(id, signal) of every row of the Delta table."""
        table = self.settings.lake_dir / "readings"
        if not (table / "_delta_log").exists():
            return []
        from deltalake import DeltaTable

        files = DeltaTable(str(table)).file_uris()
        return duckdb.sql(f"SELECT id, signal FROM read_parquet({files})").fetchall() if files else []


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    broker = EventHubsServer(tmp_path / "hubs", read_config(CONFIG), port=0)
    await broker.start()
    clock = SimulatedClock(0.0, 0.0, 1.0)
    settings = RunSettings(data_dir=tmp_path, stack="test", cities=(), event_hubs_port=broker.port, clock=clock)
    made = Bench(tmp_path, broker, settings)
    listening = [asyncio.create_task(listen(made, hub)) for hub in ("alerts", "processed", "deadletter")]
    yield made
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    await made.broker.stop()


async def listen(bench: Bench, hub: str) -> None:
    """Collect every row of a hub, by the table its event names."""

    async def on_events(context: Any, events: Sequence[Any]) -> None:
        for event in events:
            table = next(v.decode() if isinstance(v, bytes) else v for v in event.properties.values())
            for line in b"".join(event.body).decode().splitlines():
                bench.got.setdefault(table, []).append(json.loads(line))

    connection = bench.settings.event_hubs_connection_string
    client = EventHubConsumerClient.from_connection_string(
        connection, "livestore", eventhub_name=hub, ssl_context=context_for(connection)
    )
    async with client:
        await client.receive_batch(on_events, starting_position="-1")


class TestedPart(Part):
    """A part that keeps what it tells its supervisor."""

    __test__ = False

    def __init__(self, settings: RunSettings) -> None:
        super().__init__("stream_job", settings)
        self.reported: list[dict[str, Any]] = []

    def _report(self, record: dict[str, Any]) -> None:
        self.reported.append(record)

    def figure(self, name: str) -> Any:
        """The newest value of a status figure."""
        return next((record[name] for record in reversed(self.reported) if name in record), None)


@asynccontextmanager
async def running_job(settings: RunSettings) -> AsyncIterator[TestedPart]:
    """The stream job within this process; stopped at the end as its supervisor would."""
    part = TestedPart(settings)
    serving = asyncio.create_task(serve(part))
    try:
        yield part
    finally:
        part.stopping.set()
        await asyncio.wait_for(serving, 30)


async def test_observations_become_rows_alerts_and_history(bench: Bench) -> None:
    async with running_job(bench.settings) as part:
        await bench.send(device(down=True), device(down=False, name="room-bar-2"))
        await bench.until(lambda: len(bench.alerts()) == 1, "the alert")
        await bench.send(device(down=False))
        await bench.until(lambda: len(bench.alerts()) == 2, "its end")
        await bench.until(lambda: part.figure("lag_seconds") == 0 and part.figure("observations") == 3, "the status")
    assert [(state, entity) for state, entity, _ in bench.alerts()] == [("fired", "room-bar-1"), ("resolved", "room-bar-1")]
    assert len({alert for _, _, alert in bench.alerts()}) == 1
    assert sorted(row["entityId"] for row in bench.got["Processed"]) == ["room-bar-1", "room-bar-1", "room-bar-2"]
    assert len(bench.lake()) == 3
    assert part.reported[0]["event"] == "ready" and "4 outputs" in part.reported[0]["detail"]


async def test_what_cannot_be_understood_is_quarantined_and_the_rest_goes_on(bench: Bench) -> None:
    async with running_job(bench.settings) as part:
        wrong = device(down=True)
        wrong["data"]["partial"] = "no"
        await bench.send("{broken", wrong, device(down=True, name="room-bar-2"))
        await bench.until(
            lambda: len(bench.got.get("DeadLetter", [])) == 2 and len(bench.alerts()) == 1,
            "two quarantined records and an alert",
        )
        await bench.until(lambda: part.figure("quarantined") == 2, "the status")
    reasons = {event["data"]["record"][:7]: event["data"]["reason"] for event in bench.got["DeadLetter"]}
    assert reasons == {"{broken": "not valid JSON", json.dumps(wrong)[:7]: "data.partial is not a bit"}
    assert {event["type"] for event in bench.got["DeadLetter"]} == {"roompulse.quarantined.v1"}


async def test_an_observation_from_the_future_is_dropped_and_told(bench: Bench) -> None:
    async with running_job(bench.settings) as part:
        early = device(down=True)
        early["time"] = now(ago=-400)
        await bench.send(early, device(down=True, name="room-bar-2"))
        await bench.until(lambda: part.figure("dropped") == 1, "the status")
        await bench.until(lambda: len(bench.alerts()) == 1, "the other's alert")


async def test_a_restarted_job_remembers_open_alerts(bench: Bench) -> None:
    async with running_job(bench.settings):
        await bench.send(device(down=True))
        await bench.until(lambda: len(bench.alerts()) == 1, "the alert")
    async with running_job(bench.settings):
        await bench.send(device(down=False))
        await bench.until(lambda: len(bench.alerts()) == 2, "its end")
    fired, resolved = bench.alerts()
    assert (fired[0], resolved[0]) == ("fired", "resolved") and fired[2] == resolved[2]


async def test_a_job_goes_on_in_another_database_as_if_it_were_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_module, "TICKS_PER_DATABASE", 2)
    monkeypatch.setattr(part_module, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(part_module, "CHECKPOINT_SHARE", 0.0)
    opened: list[StreamEngine] = []

    def open_another(*given: Any, **named: Any) -> StreamEngine:
        opened.append(StreamEngine(*given, **named))
        return opened[-1]

    monkeypatch.setattr(part_module, "StreamEngine", open_another)
    async with running_job(bench.settings) as part:
        for number in range(6):
            await bench.send(device(down=number % 2 == 0))
            await bench.until(lambda number=number: len(bench.alerts()) == number + 1, f"alert {number}")  # type: ignore[misc]
        await bench.until(lambda: part.figure("lag_seconds") == 0 and part.figure("observations") == 6, "the status")
    assert len(opened) >= 4
    assert [state for state, _, _ in bench.alerts()] == ["fired", "resolved"] * 3
    assert len(bench.got["Processed"]) == len(bench.lake()) == 6
    for engine in opened:
        with pytest.raises(duckdb.ConnectionException):
            engine.connection.execute("SELECT 1")


async def test_a_job_that_is_killed_at_any_moment_loses_nothing_and_renames_nothing(bench: Bench) -> None:
    settings_file = bench.folder / "run.json"
    bench.settings.write(settings_file)
    sent: list[Observation] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "local.stream_job", "--run", str(settings_file)]
        return subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.PIPE
        )

    async def send(down: bool) -> None:
        batch = [device(down, f"device-{number}") for number in range(8)]
        sent.extend(batch)
        await bench.send(*batch)

    process = start()
    try:
        for number, pause in enumerate((3.0, 0.4, 1.3, 2.2)):
            await send(down=number % 2 == 0)
            await asyncio.sleep(pause)
            os.kill(process.pid, signals.SIGKILL)
            process.wait()
            process = start()
        await send(down=True)
        await send(down=False)
        expected = {(event["data"]["entityId"], event["time"]) for event in sent}
        await bench.until(
            lambda: {(r["entityId"], r["observedAt"]) for r in bench.got.get("Processed", [])} == expected, "every row", 60
        )
        await bench.until(
            lambda: sorted(set(bench.lake())) == sorted((event["id"], "offline") for event in sent), "every row of the lake"
        )
        await bench.until(
            lambda: len({alert for _, _, alert in bench.alerts()}) == 24 and len(set(bench.alerts())) == 48,
            "every alert and its end",
        )
    finally:
        process.terminate()
        process.wait()
    assert len(bench.lake()) == len(sent), "no row of the lake twice"
    starts = {(event["data"]["entityId"], event["time"]) for event in sent if event["data"]["signals"][0]["value"] == 1}
    assert {alert for _, _, alert in bench.alerts()} == {f"device-offline|{entity}|{start}" for entity, start in starts}


async def test_a_broker_that_comes_back_is_used_again(bench: Bench) -> None:
    async with running_job(bench.settings) as part:
        await bench.send(device(down=True))
        await bench.until(lambda: len(bench.alerts()) == 1, "the alert")
        await bench.broker.stop()
        await asyncio.sleep(1)
        bench.broker = EventHubsServer(bench.folder / "hubs", read_config(CONFIG), port=bench.settings.event_hubs_port)
        await bench.broker.start()
        await bench.send(device(down=False))
        await bench.until(lambda: len(set(bench.alerts())) == 2, "its end", 60)
    assert part.stopping.is_set()


async def test_a_damaged_checkpoint_stops_the_job_with_the_way_out(bench: Bench) -> None:
    async with running_job(bench.settings):
        await bench.send(device(down=True))
        await bench.until(lambda: len(bench.alerts()) == 1, "the alert")
    file = bench.settings.state_dir / "stream-job" / FILE
    file.write_bytes(file.read_bytes()[:50_000])
    with pytest.raises(PartError, match="Move it away and start again"):
        await asyncio.wait_for(serve(TestedPart(bench.settings)), 30)


async def test_a_hub_that_began_anew_is_read_from_its_beginning(bench: Bench) -> None:
    async with running_job(bench.settings):
        await bench.send(device(down=False), device(down=True))
        await bench.until(lambda: len(bench.alerts()) == 1, "the alert")
    await bench.broker.stop()
    bench.broker = EventHubsServer(bench.folder / "hubs-anew", read_config(CONFIG), port=bench.settings.event_hubs_port)
    await bench.broker.start()
    bench.got.clear()
    async with running_job(bench.settings):
        await bench.send(device(down=True))
        await bench.until(lambda: len(bench.alerts()) == 1, "the alert on the new hub", 60)


@pytest.mark.parametrize(("saving", "expected"), [(0.0, 2), (0.03, 2), (0.1, 5), (0.5, 25), (40.0, 60)])
def test_a_state_that_takes_long_to_save_is_saved_less_often(saving: float, expected: float) -> None:
    assert unsaved_seconds(saving) == pytest.approx(expected)
