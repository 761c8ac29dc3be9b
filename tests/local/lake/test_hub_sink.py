"""What the hubs bring is in the lake once: over restarts, kills, a broker that comes and goes, a full disk and rubbish."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any

import duckdb
import pytest
from azure.eventhub import EventData, EventHubProducerClient
from deltalake import DeltaTable

from event_hubs_local.bookmarks import Position
from event_hubs_local.config import read_config
from event_hubs_local.server import EventHubsServer, serving_in_thread
from local.clock import SimulatedClock
from local.event_hubs.part import CONFIG
from local.lake import arrivals as arrivals_module
from local.lake import hub_sink
from local.lake.arrivals import Arrivals
from local.lake.delta_table import DeltaTableWriter, LakeFullError, LakeTableError
from local.lake.hub_sink import HUBS, HubSink, Tables, gathering_seconds
from local.lake.service import serve
from local.lake.tables import live_tables
from local.lake.verify import count
from local.part import Part
from local.run_settings import RunSettings
from powerbi.kusto_schema import read_tables

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_SECONDS = 30.0
LARGE_NAME = "x" * (hub_sink.PENDING_BYTES // 100)
"""A hundred rows of it are a commit."""
Line = dict[str, Any]


class TalkativePart(Part):
    """A part that remembers what it tells its supervisor."""

    def __init__(self, settings: RunSettings) -> None:
        super().__init__("lake", settings)
        self.reported: list[dict[str, Any]] = []

    def _report(self, record: dict[str, Any]) -> None:
        self.reported.append(record)

    def figure(self, name: str) -> Any:
        """The newest value of a figure, None before the first status."""
        return self.reported[-1].get(name) if self.reported else None

    def texts(self, event: str) -> list[str]:
        return [record["text"] for record in self.reported if record["event"] == event]


class Pipeline:
    """An Event Hubs stand-in, and a lake part fed by it that can be started and stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = EventHubsServer(folder / "hubs", read_config(CONFIG))
        self._producers: dict[str, EventHubProducerClient] = {}

    @property
    def settings(self) -> RunSettings:
        now = time.time()
        return RunSettings(self.folder, "test", (), event_hubs_port=self.server.port, clock=SimulatedClock(now, now))

    @property
    def lake_dir(self) -> Path:
        return self.settings.lake_dir

    def send(self, hub: str, *lines: Line | str, table: str | None = None, key: str = "lyon") -> None:
        """Send one event whose body is these lines."""
        event = EventData("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        if table:
            event.properties = {"Table": table}
        if hub not in self._producers:
            connection = self.server.connection_string
            self._producers[hub] = EventHubProducerClient.from_connection_string(connection, eventhub_name=hub)
        batch = self._producers[hub].create_batch(partition_key=key)
        batch.add(event)
        self._producers[hub].send_batch(batch)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Run the Event Hubs stand-in."""
        with serving_in_thread(self.server):
            try:
                yield
            finally:
                for producer in self._producers.values():
                    producer.close()
                self._producers.clear()

    @contextlib.contextmanager
    def running(self, arrivals: Arrivals | None = None) -> Iterator[TalkativePart]:
        """Run the lake part in an event loop of its own; what ends it is raised here."""
        started: Queue[tuple[asyncio.AbstractEventLoop, TalkativePart]] = Queue()

        async def run() -> None:
            part = TalkativePart(self.settings)
            started.put((asyncio.get_running_loop(), part))
            await serve(part, arrivals)

        with ThreadPoolExecutor(1) as executor:
            running = executor.submit(asyncio.run, run())
            loop, part = started.get()
            try:
                yield part
            finally:
                if not running.done():
                    loop.call_soon_threadsafe(part.stopping.set)
                running.result()

    def rows(self, table: str) -> int:
        counted = self.query("count(*)", table)  # of this table alone: it is asked again and again
        return int(counted[0][0]) if counted else 0

    def query(self, columns: str, table: str) -> list[Any]:
        """Sorted rows of a table, which may be followed by a condition."""
        name, _, condition = table.partition(" ")
        path = str(self.lake_dir / name)
        files = DeltaTable(path).file_uris() if DeltaTable.is_deltatable(path) else []
        return duckdb.sql(f"select {columns} from read_parquet({files}) {condition} order by all").fetchall() if files else []


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    made = Pipeline(tmp_path)
    with made.serving():
        yield made


def until(condition: Callable[[], bool]) -> None:
    """Wait for what is certain to come; the limit only keeps a broken test from hanging."""
    deadline = time.monotonic() + 2 * PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def observation(number: int) -> Line:
    return {"id": f"observation-{number}", "observedAt": f"2031-05-04T12:00:{number % 60:02}Z", "entity": "device", "signals": []}


def minute(number: int) -> Line:
    return {"windowEnd": f"2031-05-04T12:{number:02}:00Z", "cityId": "lyon", "signal": "rooms", "readings": 1, "mean": 1.5}


def alert(alert_id: str, state: str) -> Line:
    return {"alertId": alert_id, "state": state, "observedAt": "2031-05-04T12:00:00Z"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline that runs while the tests that only need it to work go by."""
    made = Pipeline(tmp_path_factory.mktemp("live"))
    with made.serving(), made.running():
        yield made


def empty_row(table: str) -> str:
    nothing = ", ".join(f'null::{kind} as "{column}"' for column, kind in live_tables()[table].columns.items())
    return f"select {nothing}"


def test_every_hub_fills_its_tables(live: Pipeline) -> None:
    live.send("processed", observation(1), observation(2), table="Processed")
    live.send("processed", minute(1), table="CityMinute")
    live.send("alerts", alert("a", "fired"), table="Alerts")
    live.send("deadletter", {"id": "q", "time": "2031-05-04T12:00:00Z", "data": {"reason": "no id", "stage": "ingest"}})
    for table, expected in {"Processed": 2, "CityMinute": 1, "Alerts": 1, "DeadLetter": 1}.items():
        until(lambda table=table, expected=expected: live.rows(table) >= expected)  # type: ignore[misc]
    assert live.query("id, \"observedAt\" = '2031-05-04 12:00:01Z'::timestamptz", "Processed")[0] == ("observation-1", True)
    assert ("no id",) in live.query("reason", "DeadLetter")


def test_what_is_sent_twice_is_stored_once(live: Pipeline) -> None:
    for _ in range(2):
        live.send("alerts", alert("twice", "fired"), alert("twice", "resolved"), table="Alerts")
    live.send("alerts", alert("last", "fired"), table="Alerts")
    until(lambda: ("last", "fired") in live.query('"alertId", state', "Alerts"))
    figures = count(live.lake_dir)["Alerts"]
    assert figures["rows"] == figures["keys"]


def test_lines_that_cannot_be_read_are_quarantined_with_the_reason(live: Pipeline) -> None:
    live.send("processed", observation(11), "{torn", observation(12), table="Processed")
    live.send("processed", observation(13), table="Rooms")
    live.send("processed", observation(14))
    until(lambda: len(live.query("id", "Processed where id in ('observation-11', 'observation-12')")) == 2)
    until(lambda: len(live.query("id", "DeadLetter where stage = 'livestore'")) == 3)
    assert live.query("reason", "DeadLetter where stage = 'livestore'") == [
        ("no table '' in hub processed",),
        ("no table 'Rooms' in hub processed",),
        ("not JSON",),
    ]


def test_a_restart_goes_on_where_it_stopped_and_a_wiped_hub_is_read_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = Pipeline(tmp_path)
    with pipeline.serving():
        pipeline.send("alerts", alert("a", "fired"), alert("a", "resolved"), table="Alerts")
        pipeline.send("alerts", alert("b", "fired"), table="Alerts")
        with pipeline.running():
            until(lambda: pipeline.rows("Alerts") == 3)
        pipeline.send("alerts", alert("b", "resolved"), table="Alerts")
        with pipeline.running() as part:
            until(lambda: pipeline.rows("Alerts") == 4)
            until(lambda: part.figure("rows") == 4)
    assert part.reported[0]["detail"] == "resumed: 3 rows"
    assert "its log began anew" not in caplog.text
    shutil.rmtree(tmp_path / "hubs")
    pipeline.server = EventHubsServer(tmp_path / "hubs", read_config(CONFIG))
    with pipeline.serving():
        pipeline.send("alerts", alert("c", "fired"), table="Alerts")
        with pipeline.running():
            until(lambda: pipeline.rows("Alerts") == 5)
    assert "hub alerts, partition 3: its log began anew" in caplog.text


def test_a_table_that_was_moved_away_is_filled_from_the_hub_again(tmp_path: Path) -> None:
    hub, layouts = HUBS[0], live_tables()

    def stored_position(missing: str = "") -> Position | None:
        """What a sink finds after `missing` was taken away; before it ends, every table gets a row at event 7."""
        shutil.rmtree(tmp_path / (missing or "nothing"), ignore_errors=True)
        writers = {name: layout.writer(tmp_path) for name, layout in layouts.items()}
        with ThreadPoolExecutor(1) as executor, duckdb.connect() as database:
            sink = HubSink(hub, Tables(read_tables(), layouts, writers), database, lambda: datetime.now(UTC), executor)
            found = sink.stored_position("0")
        for name in hub.tables:
            writers[name].append(
                duckdb.default_connection(), empty_row(name), positions={f"{hub.name}/0": 7, f"{hub.name}/0/offset": 70}
            )
        for writer in writers.values():
            writer.close()
        return found

    assert stored_position() is None
    assert stored_position() == Position(7, 70)
    for table in hub.tables:
        assert stored_position(missing=table) is None


def test_a_broker_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    with pipeline.serving():
        port = pipeline.server.port
    with pipeline.running() as part:
        until(lambda: bool(part.texts("warning")))
        pipeline.server = EventHubsServer(tmp_path / "hubs", read_config(CONFIG), port=port)
        with pipeline.serving():
            pipeline.send("alerts", alert("a", "fired"), table="Alerts")
            until(lambda: pipeline.rows("Alerts") == 1)
            until(lambda: bool(part.texts("recovered")))
    assert any(text.startswith("hub alerts can't be read") for text in part.texts("warning"))


def test_a_crash_between_two_tables_of_a_batch_loses_and_repeats_neither(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Processed", "CityMinute"):
        writer = live_tables()[name].writer(pipeline.lake_dir)
        writer.append(duckdb.default_connection(), empty_row(name))
        writer.close()
    pipeline.send("processed", observation(1), table="Processed")
    pipeline.send("processed", minute(1), table="CityMinute")
    real, appended = DeltaTableWriter.append, []

    def crash_at_the_second_table(writer: DeltaTableWriter, *arguments: Any, **options: Any) -> int:
        if writer.path.name != "DeadLetter":
            appended.append(writer.path.name)
            if len(appended) == 2:
                raise LakeTableError("crashed")
        return real(writer, *arguments, **options)

    monkeypatch.setattr(DeltaTableWriter, "append", crash_at_the_second_table)
    with pytest.raises(LakeTableError, match="crashed"), pipeline.running() as part:
        until(part.stopping.is_set)
    with pipeline.running():
        until(lambda: (pipeline.rows("Processed"), pipeline.rows("CityMinute")) == (2, 2))


def test_a_full_disk_is_told_waited_out_and_loses_nothing(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = DeltaTableWriter.append, [True]

    def append(writer: DeltaTableWriter, *arguments: Any, **options: Any) -> int:
        if full[0]:
            raise LakeFullError(f"no room to write {writer.path.name}")
        return real(writer, *arguments, **options)

    monkeypatch.setattr(DeltaTableWriter, "append", append)
    monkeypatch.setattr(hub_sink, "RETRY_SECONDS", 0.05)
    pipeline.send("alerts", alert("a", "fired"), table="Alerts")
    with pipeline.running() as part:
        until(lambda: bool(part.texts("warning")))
        pipeline.send("alerts", alert("b", "fired"), table="Alerts")
        full[0] = False
        until(lambda: pipeline.rows("Alerts") == 2)
    assert part.texts("recovered") == ["the lake has room again: everything that waited is stored"]


def test_more_than_may_wait_is_left_in_the_hub_until_there_is_room(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_sink, "PENDING_BYTES", 200)
    for number in range(12):
        pipeline.send("alerts", alert(f"alert-{number}", "fired"), alert(f"alert-{number}", "resolved"), table="Alerts")
    with pipeline.running():
        until(lambda: pipeline.rows("Alerts") == 24)


def test_what_arrives_is_handed_over_before_it_is_stored_and_stored_when_the_part_stops(pipeline: Pipeline) -> None:
    arrivals, taken = Arrivals(), list[str]()

    def handed_over() -> bool:
        taken.extend(line for lines in arrivals.take().values() for line in lines)
        return len(taken) == 2

    pipeline.send("deadletter", {"id": "q", "time": "2031-05-04T12:00:00Z", "data": {"reason": "no id", "stage": "ingest"}})
    with pipeline.running(arrivals):
        until(lambda: pipeline.rows("DeadLetter") == 1)  # the hub before has waited since it was connected
        pipeline.send("processed", observation(1), table="Processed")
        pipeline.send("processed", minute(1), table="CityMinute")
        until(handed_over)
        assert (pipeline.rows("Processed"), pipeline.rows("CityMinute")) == (0, 0)
    assert [json.loads(line).get("id", "minute") for line in taken] == ["observation-1", "minute"]
    assert (pipeline.rows("Processed"), pipeline.rows("CityMinute")) == (1, 1)


def test_more_than_the_live_store_can_take_is_left_in_the_hub(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals_module, "WAITING_CHARACTERS", 100)
    arrivals, taken = Arrivals(), list[int]()

    def all_handed_over() -> bool:
        taken.append(sum(len(lines) for lines in arrivals.take().values()))
        return sum(taken) == 12

    for number in range(12):
        pipeline.send("alerts", alert(f"alert-{number}", "fired"), table="Alerts")
    with pipeline.running(arrivals):
        until(all_handed_over)
        until(lambda: pipeline.rows("Alerts") == 12)


def test_a_broker_that_restarts_is_found_again(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    with contextlib.ExitStack() as running:
        with pipeline.serving():
            running.enter_context(pipeline.running())
            pipeline.send("alerts", alert("before", "fired"), table="Alerts")
            until(lambda: pipeline.rows("Alerts") == 1)
            port = pipeline.server.port
        pipeline.server = EventHubsServer(tmp_path / "hubs", read_config(CONFIG), port=port)
        running.enter_context(pipeline.serving())
        pipeline.send("alerts", alert("after", "fired"), table="Alerts")
        until(lambda: pipeline.rows("Alerts") == 2)


def test_killed_at_any_moment_nothing_is_lost_and_nothing_doubled(pipeline: Pipeline) -> None:
    run_file = pipeline.folder / "run.json"
    pipeline.settings.write(run_file)
    command = [sys.executable, "-m", "local.lake", "--run", str(run_file)]
    sent = 0
    for lifetime in (1.6, 2.2, None):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.PIPE)
        died = time.monotonic() + (lifetime or 0)
        while lifetime and time.monotonic() < died:
            lines = [observation(sent + number) | {"name": LARGE_NAME} for number in range(10)]
            pipeline.send("processed", *lines, table="Processed")
            pipeline.send("processed", minute(sent % 60), table="CityMinute")
            sent += 10
            time.sleep(0.02)  # as fast as it goes is more than the hub retains
        if lifetime:
            process.kill()
            process.wait()
    deadline = time.monotonic() + 2 * PATIENCE_SECONDS
    while pipeline.rows("Processed") < sent and time.monotonic() < deadline:
        time.sleep(0.1)
    process.stdin.close()  # type: ignore[union-attr]
    process.wait()
    figures = json.loads(
        subprocess.run([sys.executable, "-m", "local.lake.verify", "--run", str(run_file)], cwd=ROOT, capture_output=True).stdout
    )
    assert figures["Processed"] == {"rows": sent, "keys": sent}
    assert figures["CityMinute"]["rows"] == figures["CityMinute"]["keys"] > 0
    assert figures["readings"] == {"rows": 0, "keys": 0, "observations": 0}


@pytest.mark.parametrize(("storing", "expected"), [(0.0, 0.05), (0.02, 0.05), (0.3, 0.6), (0.9, 1.8), (60.0, 2.0)])
def test_the_longer_rows_take_to_store_the_more_are_stored_at_once(storing: float, expected: float) -> None:
    (hub,) = (hub for hub in HUBS if hub.name == "alerts")
    assert gathering_seconds(hub, storing) == pytest.approx(expected)
