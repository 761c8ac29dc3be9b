"""Lake and page of a run, as local.store has them, noting when the page has each reading of a room.

`python -m benchmarks.push_page --run <run.json>`: writes `page.txt` beside that file, a line for each observation of a room: its
id, and the time of the run at which the page's feed had read its tiles with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from local.dashboard.lake_source import LakeSource, Store
from local.dashboard.server import listen, serve_source
from local.lake.delta_follower import DeltaFollower
from local.lake.kusto_rows import Row
from local.lake.live_store import LiveStore
from local.lake.service import serve as serve_lake
from local.part import Part, run_parts

NOTES = "page.txt"


class NotingStore:
    """A live store that notes which observations of rooms its tiles are made of for the first time."""

    def __init__(self, store: Store, table: Path, notes: Path, seconds: Callable[[], float]) -> None:
        """`seconds`: the time of the run."""
        self._store = store
        self._files = DeltaFollower(table)
        self._notes = notes.open("a", encoding="utf-8", buffering=1)
        self._seconds = seconds
        self._new: list[str] = []

    def refresh(self) -> bool:
        """See LiveStore.refresh. Files are listed before, so none counts as read that was not."""
        found = self._files.new_files()
        self._new += found.paths if found else ()
        return self._store.refresh()

    def tiles(self) -> dict[str, list[Row]]:
        """See LiveStore.tiles."""
        tiles = self._store.tiles()
        now, new, self._new = self._seconds(), self._new, []
        if new:
            self._notes.writelines(f"{event_id} {now:.3f}\n" for event_id in _rooms_in(new))
        return tiles

    def answer(self, kql: str) -> list[Row]:
        """See LiveStore.answer."""
        return self._store.answer(kql)


def _rooms_in(files: Sequence[str]) -> list[Any]:
    rows = duckdb.execute("select id from read_parquet($files) where entity = 'workspace'", {"files": list(files)}).fetchall()
    return [row[0] for row in rows]


async def serve_page(part: Part) -> None:
    """Serve the page, as local.dashboard does."""
    settings = part.settings
    with listen(settings.page_port, settings.page_host) as listener:
        store = LiveStore(settings.lake_dir, settings.clock)
        try:
            notes = settings.data_dir / NOTES
            noting = NotingStore(store, settings.lake_dir / "Processed", notes, settings.clock.seconds)
            await serve_source(part, LakeSource(noting), listener)
        finally:
            store.close()


if __name__ == "__main__":
    run_parts("store", {"lake": serve_lake, "dashboard": serve_page})
