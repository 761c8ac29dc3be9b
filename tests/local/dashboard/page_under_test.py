"""A live page over a source that the test holds in its hands: real HTTP on a free port, in a thread of its own.

`PYTHONPATH=. python tests/local/dashboard/page_under_test.py normal|outage|worst|empty [port]` serves the same page to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.clock import SimulatedClock
from local.dashboard.server import listen, serve_source
from local.part import Part
from local.run_settings import LocalCity, RunSettings
from tests.local.dashboard import sample_tiles


class HandSource:
    """Tiles as the test sets them; `fault` is what the next refreshes fail with."""

    def __init__(self) -> None:
        self._tiles: sample_tiles.Tiles = {}
        self._changed = False
        self.fault: Exception | None = None
        self.estate: sample_tiles.Estate | None = None

    def set(self, tiles: sample_tiles.Tiles) -> None:
        self._tiles, self._changed = tiles, True

    def refresh(self) -> bool:
        if self.fault is not None:
            raise self.fault
        changed, self._changed = self._changed, False
        return changed

    def tiles(self) -> sample_tiles.Tiles:
        return self._tiles

    def devices(self) -> list[dict[str, Any]]:
        return self._answered(lambda estate: estate.newest())

    def newest_of(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        return []

    def observations_of(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        return self._answered(lambda estate: estate.observations_of(ids))

    def alerts_of(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        return self._answered(
            lambda estate: [one for one in estate.alerts if one["entityId"] in ids or one["workspaceId"] in ids]
        )

    def _answered(self, answer: Callable[[sample_tiles.Estate], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        if self.fault is not None:
            raise self.fault
        return answer(self.estate) if self.estate else []


class RecordingPart(Part):
    """A part whose messages to the supervisor are kept."""

    def __init__(self, settings: RunSettings) -> None:
        super().__init__("dashboard", settings)
        self.reported: list[dict[str, Any]] = []
        self.is_ready = threading.Event()

    def _report(self, record: dict[str, Any]) -> None:
        self.reported.append(record)
        if record["event"] == "ready":
            self.is_ready.set()

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.reported if record["event"] == kind]


class PageUnderTest:
    """A running page: its address, its source, its inbox."""

    def __init__(
        self,
        data_dir: Path,
        cities: tuple[LocalCity, ...] = sample_tiles.THREE_CITIES,
        port: int = 0,
        speed: float = 1.0,
        poll_seconds: float = 10.0,
        simulated_now: datetime = sample_tiles.NOON,
        host: str = "127.0.0.1",
    ) -> None:
        clock = SimulatedClock(time.time(), simulated_now.timestamp(), speed)
        self.settings = RunSettings(
            data_dir=data_dir,
            stack="dev",
            cities=cities,
            page_port=port,
            page_host=host,
            clock=clock,
            poll_seconds=poll_seconds,
            causes=sample_tiles.CAUSES,
        )
        self.source = HandSource()
        self.part = RecordingPart(self.settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self.part.is_ready.wait(60):
            raise RuntimeError("the page did not start")
        self.address = self.part.events("ready")[0]["address"]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.part.stopping.set)
            self._thread.join(10)

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def now(self) -> datetime:
        return self.settings.clock.now()

    def show(self, estate: sample_tiles.Estate) -> None:
        self.source.estate = estate
        self.source.set(estate.tiles())

    def put_in_inbox(self, alert: dict[str, Any], state: str, folded: Sequence[str] = (), held_back: int = 0) -> None:
        write_inbox(self.settings.inbox_path, alert, state, folded, held_back)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with listen(self.settings.page_port, self.settings.page_host) as listener:
            self._loop.run_until_complete(serve_source(self.part, self.source, listener))
        self._loop.close()


@contextlib.contextmanager
def page_under_test(data_dir: Path, **options: Any) -> Iterator[PageUnderTest]:
    """A page that runs within the block."""
    page = PageUnderTest(data_dir, **options)
    page.start()
    try:
        yield page
    finally:
        page.stop()


def write_inbox(path: Path, alert: dict[str, Any], state: str, folded: Sequence[str] = (), held_back: int = 0) -> None:
    """Leave an alert in the inbox as the fan-out does."""
    where = alert["workspaceName"] or alert["locationName"]
    title = f"{alert['ruleId'].replace('-', ' ').capitalize()}: {where}"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "create table if not exists inbox (alert_id text, state text, rule_id text, severity integer, city_id text, "
            "title text, text text, entity_id text, started_at text, observed_at text, delivered_at text, "
            "folded text, held_back integer, updated_at text, "
            "primary key (alert_id, state))"
        )
        database.execute(
            "insert or ignore into inbox values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                alert["alertId"],
                state,
                alert["ruleId"],
                alert["severity"],
                alert["cityId"],
                title,
                f"Something is wrong.\nWhere: {where}, {alert['locationName']}\nRunbook: docs/runbooks/{alert['ruleId']}.md",
                alert["entityId"],
                alert["startedAt"],
                alert["observedAt"],
                alert["observedAt"],
                json.dumps(list(folded)),
                held_back,
                alert["observedAt"] if folded else None,
            ),
        )


def main() -> None:
    """Serve a sample until Ctrl-C; the estate is polled for ever, so that the page stays live."""
    kind, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0
    cities = sample_tiles.ELEVEN_CITIES if kind == "worst" else sample_tiles.THREE_CITIES
    with (
        tempfile.TemporaryDirectory() as folder,
        page_under_test(Path(folder), cities=cities, port=port, simulated_now=datetime.now(UTC)) as page,
    ):
        print(page.url, flush=True)
        if kind == "empty":
            threading.Event().wait()
        for alert in getattr(sample_tiles, kind)(page.now()).alerts:
            page.put_in_inbox(alert, "fired")
        for alert in sample_tiles.outage(page.now() - timedelta(hours=20)).alerts:
            page.put_in_inbox(alert, "fired")
            page.put_in_inbox(alert, "resolved")
        while True:
            page.show(getattr(sample_tiles, kind)(page.now()))
            time.sleep(5)


if __name__ == "__main__":
    main()
