"""What the job holds does not grow with its ticks: after so many it goes on in another database, and the one before is gone."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from asa_engine.engine import StreamEngine
from asa_engine.job_folder import read_job_folder
from event_hubs_local.bookmarks import Position
from local.part import Part
from local.run_settings import RunSettings
from local.stream_job import part as part_module
from local.stream_job.arrivals import Arrived
from local.stream_job.part import JOB, StreamJob
from tests.support.observations import START, minute, observation, rule, signal

DATABASES = 4
TICKS_EACH = 20
LEFT_BY_A_TICK = 12_000
"""Bytes; what a database keeps of a tick for its life is twice that."""


class Heap(ctypes.Structure):
    """What mallinfo2 of the C library says; `used` are the bytes that were allocated and not freed."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("a", "b", "c", "d", "e", "f", "g", "used", "h", "i")]


def used() -> int:
    """The bytes of this process that are not freed. Python's own objects and DuckDB's rows are not among them."""
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = Heap
    gc.collect()
    return int(library.mallinfo2().used)


class Minutes:
    """A hub that brings an observation of the next minute whenever it is asked, and takes whatever is sent to it."""

    def __init__(self, ticks: int, part: Part) -> None:
        self.something = asyncio.Event()
        self.something.set()
        self._ticks, self._part, self._minute = ticks, part, 0

    async def partitions(self) -> list[int]:
        return [0]

    async def receive(self, positions: Mapping[int, Position], partitions: Sequence[int]) -> None:
        await asyncio.Event().wait()

    def take(self) -> Arrived:
        self._minute += 1
        if self._minute > self._ticks:
            self._part.stopping.set()
        body = json.dumps(observation(minute(self._minute), [signal(self._minute % 2, [rule()])]))
        arrival = round(START.timestamp() + 60 * self._minute) * 1_000_000
        return Arrived([body], [arrival], [0], len(body), {0: Position(self._minute, self._minute)}, {0: arrival + 1})

    async def connect(self) -> None:
        return

    async def partition_count(self) -> int:
        return 1

    async def send(self, messages: Sequence[Any]) -> None:
        return

    async def close(self) -> None:
        return


async def test_memory_does_not_grow_with_the_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []

    def opened(*given: Any, **named: Any) -> StreamEngine:
        held.append(used())
        return StreamEngine(*given, **named)

    monkeypatch.setattr(part_module, "StreamEngine", opened)
    monkeypatch.setattr(part_module, "TICK_SECONDS", 0.0)
    monkeypatch.setattr(part_module, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(part_module, "CHECKPOINT_SHARE", 0.0)
    monkeypatch.setattr(part_module, "TICKS_PER_DATABASE", TICKS_EACH)
    part = Part("stream_job", RunSettings(data_dir=tmp_path, stack="test", cities=()))
    job = StreamJob(part, read_job_folder(JOB))
    hub: Any = Minutes(DATABASES * TICKS_EACH, part)
    await job.reader.close()
    job.reader, job.senders = hub, dict.fromkeys(job.senders, hub)
    await job.run()
    await job.close()
    assert len(held) == DATABASES + 1
    since = held[-3]  # what is loaded and remembered once is there by then
    assert held[-1] - since < 2 * TICKS_EACH * LEFT_BY_A_TICK, [after - before for before, after in pairwise(held)]
