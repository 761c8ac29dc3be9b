"""What the alert rules did in a local run, asked of its live store in the KQL that Azure is asked."""

from __future__ import annotations

from pathlib import Path

from activator.history import History, history_from
from local.lake.live_store import LiveStore
from local.run_settings import RunSettings


def local_history(data_dir: Path) -> History:
    """The history of the run in a data folder.

    Raises FileNotFoundError when none has run there, LiveStoreError when its lake can't be read. Beside a running pipeline it
    only reads.
    """
    settings = RunSettings.read(data_dir / "run.json")
    store = LiveStore(settings.lake_dir, settings.clock)
    try:
        return history_from(f"the local pipeline in {data_dir}", store.query, settings.clock.now())
    finally:
        store.close()
