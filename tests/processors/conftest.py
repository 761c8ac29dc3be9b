"""Fixtures of the processors' tests: a scripted Webex API, a clock that stands still, and waits that don't wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from event_hubs_local.config import read_config
from event_hubs_local.server import EventHubsServer, serving_in_thread
from local.event_hubs.part import CONFIG
from processors import azure_blobs, clock
from processors.ingest import webex_client
from tests.support.scripted_webex import ScriptedWebex, serving


@pytest.fixture
def webex() -> Iterator[ScriptedWebex]:
    """A scripted Webex API on loopback."""
    with serving(ScriptedWebex()) as api:
        yield api


@pytest.fixture
def event_hubs(tmp_path: Path) -> Iterator[EventHubsServer]:
    """The Event Hubs stand-in with RoomPulse's hubs, on a free port."""
    with serving_in_thread(EventHubsServer(tmp_path / "hubs", read_config(CONFIG))) as server:
        yield server


class StandingClock:
    """Time as a test sets it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 10, 0, 3, tzinfo=UTC)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def standing_clock() -> Iterator[StandingClock]:
    """A clock at 2026-11-24 10:00:03 UTC that moves only when told."""
    standing = StandingClock()
    source: Callable[[], datetime] = lambda: standing.now  # noqa: E731
    clock.use(source)
    yield standing
    clock.use(None)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back off for milliseconds."""
    monkeypatch.setattr(webex_client, "BACKOFF_SECONDS", 0.005)
    monkeypatch.setattr(azure_blobs, "BACKOFF_SECONDS", 0.005)
    monkeypatch.setattr(azure_blobs, "BACKOFF_GROWTH", 0)
    monkeypatch.setattr(azure_blobs, "BACKOFF_JITTER_SECONDS", 0)
