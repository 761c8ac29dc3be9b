"""How every benchmark of the engine runs it: its database, and files fed while others are parsed beside."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import duckdb

from asa_engine.engine import StreamEngine


def database() -> duckdb.DuckDBPyConnection:
    """One thread, for parsing, computing and delivering share the cores; far more memory than is used."""
    return duckdb.connect(config={"threads": 1, "memory_limit": "1GB"})


def taken_in_turn(engine: StreamEngine, name: str, files: Sequence[Path], ahead: int) -> Iterator[None]:
    """Take files of an input in, one after the other, and yield after each; as many as `ahead` are parsed meanwhile."""
    following = iter(files)
    with ThreadPoolExecutor(ahead) as parsing:
        staged = deque(parsing.submit(engine.stage_file, name, file) for file in islice(following, ahead))
        while staged:
            parsed = staged.popleft().result()
            staged.extend(parsing.submit(engine.stage_file, name, file) for file in islice(following, 1))
            engine.take(name, parsed)
            yield
