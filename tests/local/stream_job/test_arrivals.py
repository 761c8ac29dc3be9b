"""What waits to be processed is bounded by its size, and all of it is one tick."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.clock import SimulatedClock
from local.part import Part
from local.run_settings import RunSettings
from local.stream_job import arrivals
from local.stream_job.arrivals import HubReader

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def events(first: int, *bodies: str) -> list[Any]:
    return [
        SimpleNamespace(body=[body.encode()], enqueued_time=NOON, sequence_number=number, offset=str(number))
        for number, body in enumerate(bodies, first)
    ]


async def test_the_receivers_wait_while_more_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "WAITING_BYTES", 10)
    settings = RunSettings(data_dir=tmp_path, stack="test", cities=(), event_hubs_port=1, clock=SimulatedClock(0.0, 0.0, 1.0))
    reader = HubReader(Part("stream_job", settings), "observations", "group")
    context = SimpleNamespace(partition_id="0")
    await asyncio.wait_for(reader._on_events(context, events(0, "one", "three")), 60)
    waiting = asyncio.create_task(reader._on_events(context, events(2, "é")))
    await asyncio.sleep(0)
    assert not waiting.done(), "é has two bytes"
    taken = reader.take()
    assert taken.bodies == ["one", "three", "é"], "all that waits, in one piece"
    assert taken.size == 10
    await asyncio.wait_for(waiting, 60)
    assert reader.take().bodies == []
    await reader.close()
