"""Lake and page of a run, as local.store has them, noting when the page has each reading of a room.

`python -m benchmarks.push_page --run <run.json>`: writes `page.txt` beside that file, a line for each observation of a room: its
id, and the time of the run at which the page's feed had read its tiles with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from local.dashboard.lake_source import LakeSource, Store
from local.dashboard.server import listen, serve_source
from local.lake.arrivals import Arrivals
from local.lake.kusto_rows import Row
from local.lake.live_store import LiveStore
from local.lake.service import serve as serve_lake
from local.part import Part, run_parts

NOTES = "page.txt"
_ID = re.compile(r'"id":"(\w+)"')


class NotingArrivals(Arrivals):
    """Arrivals that note the ids of rooms' observations as the live store takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[str] = []

    def take(self) -> Mapping[str, Sequence[str]]:
        """See Arrivals.take."""
        taken = super().take()
        for body in taken.get("Processed", ()):
            self.taken += [_ID.findall(line)[0] for line in body.split("\n") if '"entity":"workspace"' in line]
        return taken


class NotingStore:
    """A live store that notes which observations of rooms its tiles are made of for the first time."""

    def __init__(self, store: Store, arrivals: NotingArrivals, notes: Path, seconds: Callable[[], float]) -> None:
        """`seconds`: the time of the run."""
        self._store = store
        self._arrivals = arrivals
        self._notes = notes.open("a", encoding="utf-8", buffering=1)
        self._seconds = seconds
        self.refresh = store.refresh
        self.answer = store.answer

    def tiles(self) -> dict[str, list[Row]]:
        """See LiveStore.tiles."""
        new, self._arrivals.taken = self._arrivals.taken, []
        tiles = self._store.tiles()
        now = self._seconds()
        self._notes.writelines(f"{event_id} {now:.3f}\n" for event_id in new)
        return tiles


async def serve_page(part: Part, arrivals: NotingArrivals) -> None:
    """Serve the page, as local.dashboard does."""
    settings = part.settings
    with listen(settings.page_port, settings.page_host) as listener:
        store = LiveStore(settings.lake_dir, settings.clock, arrivals=arrivals)
        try:
            noting = NotingStore(store, arrivals, settings.data_dir / NOTES, settings.clock.seconds)
            await serve_source(part, LakeSource(noting), listener)
        finally:
            store.close()


if __name__ == "__main__":
    arrivals = NotingArrivals()
    run_parts("store", {"lake": partial(serve_lake, arrivals=arrivals), "dashboard": partial(serve_page, arrivals=arrivals)})
