"""How every benchmark of the engine runs it: its database, and files fed while others are parsed beside."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import duckdb

from asa_engine.engine import StreamEngine
from asa_engine.feed import TEXT_PER_TICK


def database() -> duckdb.DuckDBPyConnection:
    """One thread, for parsing, computing and delivering share the cores; far more memory than is used."""
    return duckdb.connect(config={"threads": 1, "memory_limit": "1GB"})


def taken_in_turn(engine: StreamEngine, name: str, files: Sequence[Path], ahead: int) -> Iterator[None]:
    """Take files of an input in, and yield after as many as `roompulse query run` puts into one tick; `ahead` ticks are parsed
    meanwhile."""
    following = _ticks(files)
    with ThreadPoolExecutor(ahead) as parsing:
        staged = deque(parsing.submit(engine.stage_files, name, tick) for tick in islice(following, ahead))
        while staged:
            parsed = staged.popleft().result()
            staged.extend(parsing.submit(engine.stage_files, name, tick) for tick in islice(following, 1))
            engine.take(name, parsed)
            yield


def _ticks(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Files that lie ready, by ticks: as many as have room in one."""
    tick: list[Path] = []
    size = 0
    for file in files:
        length = file.stat().st_size
        if tick and size + length > TEXT_PER_TICK:
            yield tick
            tick, size = [], 0
        tick.append(file)
        size += length
    if tick:
        yield tick
