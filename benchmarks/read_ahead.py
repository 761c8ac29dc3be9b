"""Feeds files to the stream engine while others are parsed beside it: how every benchmark of the engine reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from local.stream_engine.engine import StreamEngine


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
