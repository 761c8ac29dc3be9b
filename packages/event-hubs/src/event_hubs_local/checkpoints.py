"""Checkpoints and partition ownership in one SQLite file that any number of processes on this machine may share.

Ownership normally lapses only some time after its owner died. Here every store holds a lock file, which the kernel releases with
the process: what a dead process owned is free at once, so a reader that was killed goes on as soon as it is started again.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from event_hubs_local.bookmarks import Position

try:
    from azure.eventhub.aio import CheckpointStore
except ModuleNotFoundError as fault:
    raise ModuleNotFoundError(
        f"The checkpoint store needs Microsoft's client ({fault}): pip install 'event-hubs-local[checkpoints]'.", name=fault.name
    ) from fault

Result = TypeVar("Result")
Place = tuple[str, str, str, str]
"""A partition: the namespace's host name, hub, consumer group, partition id."""

_GROUP = ("fully_qualified_namespace", "eventhub_name", "consumer_group")
_PARTITION = (*_GROUP, "partition_id")
_AT_PLACE = f"({', '.join(_PARTITION)}) = (?, ?, ?, ?)"
_OWNERSHIP = (*_PARTITION, "owner_id", "etag", "last_modified_time")
_CHECKPOINT = (*_PARTITION, "offset", "sequence_number")
_BUSY_SECONDS = 10
_SCHEMA = f"""
create table if not exists ownership (
    {", ".join(f"{column} not null" for column in _OWNERSHIP)}, holder not null, primary key ({", ".join(_PARTITION)})
) without rowid;
create table if not exists checkpoint ({", ".join(_CHECKPOINT)}, primary key ({", ".join(_PARTITION)})) without rowid;
"""


class CheckpointError(Exception):
    """The checkpoint file can't be read or written. The text names it and the next step."""


class SqliteCheckpointStore(CheckpointStore):  # type: ignore[misc]
    """A checkpoint store for the asynchronous consumer. Every method may raise CheckpointError. Close it when done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._holder = uuid.uuid4().hex
        self._locks = path.with_name(f"{path.name}.holders")
        try:
            self._locks.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._locks / self._holder, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as fault:
            raise CheckpointError(f"{self._locks} can't be used: {fault.strerror}. Choose another data folder.") from fault
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._database: sqlite3.Connection = self._guarded(self._open)

    def close(self) -> None:
        """Close the file; what this store still owns is free from now on."""
        self._database.close()
        (self._locks / self._holder).unlink(missing_ok=True)
        os.close(self._lock)

    async def list_ownership(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        """Who owns which partition of a consumer group; what dead processes owned is left out."""
        self._guarded(self._free_what_the_dead_hold)
        return self._list("ownership", _OWNERSHIP, (fully_qualified_namespace, eventhub_name, consumer_group))

    async def claim_ownership(self, ownership_list: Iterable[dict[str, Any]], **kwargs: Any) -> Iterable[dict[str, Any]]:
        """Claim partitions; gives those that nobody else has claimed since they were listed."""
        return [claimed for wanted in ownership_list if (claimed := self._guarded(partial(self._claim, wanted)))]

    async def list_checkpoints(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **kwargs: Any
    ) -> Iterable[dict[str, Any]]:
        """How far a consumer group has come in each partition."""
        return self._list("checkpoint", _CHECKPOINT, (fully_qualified_namespace, eventhub_name, consumer_group))

    async def update_checkpoint(self, checkpoint: dict[str, Any], **kwargs: Any) -> None:
        """Remember how far a consumer group has come in a partition; durable against the death of the process."""
        marks = ", ".join("?" for _ in _CHECKPOINT)
        values = [checkpoint[column] for column in _CHECKPOINT]
        self._guarded(lambda: self._database.execute(f"insert or replace into checkpoint values ({marks})", values))

    def position(self, place: Place) -> Position | None:
        """The checkpoint of one partition, None when there is none."""
        query = f"select sequence_number, offset from checkpoint where {_AT_PLACE}"
        row = self._guarded(lambda: self._database.execute(query, place).fetchone())
        return None if row is None else Position(row[0], int(row[1]))

    def forget(self, place: Place) -> None:
        """Forget the checkpoint of one partition: its consumer then begins at its starting position."""
        self._guarded(lambda: self._database.execute(f"delete from checkpoint where {_AT_PLACE}", place))

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        database.execute("pragma journal_mode = wal")
        database.executescript(_SCHEMA)
        (verdict,) = database.execute("pragma quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        return database

    def _list(self, table: str, columns: Sequence[str], group: tuple[str, str, str]) -> list[dict[str, Any]]:
        query = f"select {', '.join(columns)} from {table} where ({', '.join(_GROUP)}) = (?, ?, ?)"
        rows = self._guarded(lambda: self._database.execute(query, group).fetchall())
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def _claim(self, wanted: dict[str, Any]) -> dict[str, Any] | None:
        claimed = {**wanted, "etag": uuid.uuid4().hex, "last_modified_time": time.time()}
        done = self._database.execute(
            f"""insert into ownership values (?, ?, ?, ?, ?, ?, ?, ?)
            on conflict ({", ".join(_PARTITION)}) do update set owner_id = excluded.owner_id, etag = excluded.etag,
                last_modified_time = excluded.last_modified_time, holder = excluded.holder
            where ownership.etag is ?""",
            [*(claimed[column] for column in _OWNERSHIP), self._holder, wanted.get("etag")],
        )
        return claimed if done.rowcount else None

    def _free_what_the_dead_hold(self) -> None:
        others = self._database.execute("select distinct holder from ownership where holder <> ?", [self._holder]).fetchall()
        for (holder,) in others:
            if not self._lives(holder):
                self._database.execute("delete from ownership where holder = ?", [holder])
                (self._locks / holder).unlink(missing_ok=True)

    def _lives(self, holder: str) -> bool:
        """Whether the process of a holder still runs: then it has its lock file locked."""
        try:
            descriptor = os.open(self._locks / holder, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _guarded(self, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except sqlite3.DatabaseError as fault:
            if isinstance(fault, sqlite3.OperationalError):
                raise CheckpointError(
                    f"{self.path} can't be used ({fault}): look for a full disk, missing rights or a process that holds it."
                ) from fault
            raise CheckpointError(
                f"{self.path} is damaged ({fault}): delete it. Its consumer groups then read again what the hubs still keep; "
                "ids are deterministic, so nothing shows twice."
            ) from fault
