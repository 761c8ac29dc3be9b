"""What other processes do with a checkpoint store in its tests.

A process that is spawned imports what it runs by its module's name. A test's own depends on where pytest was started; this one is
found through `pythonpath`, which is handed on.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from event_hubs_local.checkpoints import SqliteCheckpointStore

PLACE = ("127.0.0.1", "hub", "group")


def ownership(partition: str, owner: str, etag: str | None = None) -> dict[str, Any]:
    record = dict(zip(("fully_qualified_namespace", "eventhub_name", "consumer_group"), PLACE, strict=True))
    return {**record, "partition_id": partition, "owner_id": owner, **({"etag": etag} if etag else {})}


def checkpoint(partition: str, sequence: int) -> dict[str, Any]:
    record = dict(zip(("fully_qualified_namespace", "eventhub_name", "consumer_group"), PLACE, strict=True))
    return {**record, "partition_id": partition, "offset": str(sequence * 100), "sequence_number": sequence}


def hold(path: Path, ready: Any) -> None:
    store = SqliteCheckpointStore(path)
    asyncio.run(store.claim_ownership([ownership("0", "doomed")]))
    ready.set()
    signal.pause()


def write_many(path: Path, partition: str) -> None:
    store = SqliteCheckpointStore(path)
    for sequence in range(200):
        asyncio.run(store.update_checkpoint(checkpoint(partition, sequence)))
    store.close()
