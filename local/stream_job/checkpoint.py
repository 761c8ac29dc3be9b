"""The durable state of the stream job: one file that is either the old state or the new one, never half of each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from asa_engine.engine import StreamEngine
from asa_engine.errors import CorruptState, StateMismatch
from event_hubs_local.bookmarks import Position
from local.part import PartError

FILE = "checkpoint.duckdb"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says besides the engine's state: the last events processed, by partition."""

    positions: dict[int, Position]


class CheckpointStore:
    """Saves and restores an engine in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._new = folder / (FILE + ".new")
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, engine: StreamEngine, checkpoint: Checkpoint) -> None:
        """Write the state beside the old one, flush it, let it take the old one's place. Raises OSError or duckdb.IOException."""
        self._discard()
        engine.save(
            self._new, {"positions": {str(partition): list(position) for partition, position in checkpoint.positions.items()}}
        )
        descriptor = os.open(self._new, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._new.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def restore(self, engine: StreamEngine) -> Checkpoint | None:
        """Continue from the saved state; None when there is none. Raises StateMismatch, and PartError for a damaged file."""
        self._discard()
        if not self.path.exists():
            return None
        try:
            notes = engine.restore(self.path)
        except StateMismatch:
            raise
        except CorruptState as fault:
            raise PartError(
                f"The checkpoint {self.path} is damaged ({fault}). Move it away and start again: the job then reads the hub from "
                "its beginning, and whoever reads its rows drops the repeats."
            ) from fault
        try:
            return Checkpoint({int(partition): Position(*position) for partition, position in notes["positions"].items()})
        except TypeError as fault:
            raise StateMismatch("it notes no offsets, as those of earlier versions") from fault

    def _discard(self) -> None:
        for leftover in (self._new, self._new.with_name(self._new.name + ".wal")):
            leftover.unlink(missing_ok=True)
