"""Follows a Delta table: which files have been added since the last look, at the price of one `stat` when there are none.

It reads the table's commit files directly, because the question "what is new" has no cheap answer from a list of all files: after
a compaction old rows stand in new files. A commit says so (`dataChange` false), and such files are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from local.lake.stored_files import files_of, stored_file
from local.part import PartError


@dataclass(frozen=True)
class NewFiles:
    """Files to read. `complete`: they are the whole table, what was read before among it."""

    paths: Sequence[str]
    complete: bool


class DeltaFollower:
    """Reads the commits of the Delta table in folder `path`, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = path / "_delta_log"
        self._version: int | None = None

    def new_files(self) -> NewFiles | None:
        """The files added since the last call; at first, and after falling far behind, all files. None when nothing is new."""
        if self._version is None:
            return self._everything()
        paths: list[str] = []
        while (commit := self._commit(self._version + 1)).exists():
            paths += self._added(commit.read_text(encoding="utf-8"))
            self._version += 1
        if not paths and self._last_checkpoint() > self._version:
            return self._everything()
        return NewFiles(paths, complete=False) if paths else None

    def start_over(self) -> None:
        """Let the next call return the whole table: what an earlier call returned could not be read."""
        self._version = None

    def _everything(self) -> NewFiles | None:
        if not self._log.exists() or not DeltaTable.is_deltatable(str(self.path)):
            return None
        try:
            table = DeltaTable(str(self.path))
        except DeltaError as fault:
            raise self._damaged(str(fault).splitlines()[0]) from fault
        self._version = table.version()
        return NewFiles(files_of(table, self.path), complete=True)

    def _damaged(self, how: str) -> PartError:
        return PartError(f"the Delta table {self.path} can't be read ({how}): move the folder away and start again")

    def _commit(self, version: int) -> Path:
        return self._log / f"{version:020}.json"

    def _added(self, commit: str) -> list[str]:
        try:
            actions: list[dict[str, Any]] = [json.loads(line) for line in commit.splitlines()]
        except ValueError as fault:
            raise self._damaged(str(fault)) from fault
        added = (action["add"] for action in actions if "add" in action)
        return [stored_file(self.path, add["path"]) for add in added if add["dataChange"]]

    def _last_checkpoint(self) -> int:
        """The version of the newest checkpoint: commits older than it may be gone."""
        try:
            return int(json.loads((self._log / "_last_checkpoint").read_text(encoding="utf-8"))["version"])
        except FileNotFoundError:
            return -1
