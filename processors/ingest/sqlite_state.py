"""The state in a SQLite file of this machine: every change written through in one transaction, one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from processors.ingest.state import Change, IngestState, StateError, Watermark
from processors.ingest.state_records import known_device_from
from processors.timestamps import format_time, parse_time

_VERSION = 2
_SCHEMA = """
CREATE TABLE device (
  id TEXT PRIMARY KEY, device TEXT NOT NULL, place TEXT NOT NULL, status_since TEXT NOT NULL, missed_polls INTEGER NOT NULL,
  condition TEXT NOT NULL DEFAULT '[]'
);
CREATE TABLE uncertain (id TEXT PRIMARY KEY);
CREATE TABLE watermark (
  workspace_id TEXT NOT NULL, metric TEXT NOT NULL, read_to TEXT, asked_at TEXT NOT NULL, PRIMARY KEY (workspace_id, metric)
);
CREATE TABLE mark (name TEXT PRIMARY KEY, time TEXT NOT NULL);
"""
_MIGRATIONS = {1: "ALTER TABLE device ADD COLUMN condition TEXT NOT NULL DEFAULT '[]';"}
"""From a version to the next."""
_SNAPSHOT, _CITY = "snapshot", "city:"

# Faults of the disk or of another process; a corrupt or foreign file gives other codes.
_FAULTS_OF_THE_PLACE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)

log = logging.getLogger("roompulse.ingest.state")


class SqliteState(IngestState):
    """The state in a file. The process that has opened it has the turn, until it closes it or ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, if no other process has it. Raises StateError."""
        super().__init__()
        self._path = path
        self._lock: TextIO | None = None
        self._opened = self._open()

    def begin(self) -> bool:
        """See IngestState.begin."""
        self._opened = self._opened or self._open()
        return self._opened

    def close(self) -> None:
        """Close the file; another process may have it then."""
        if self._opened:
            self._database.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self._opened = False

    def _open(self) -> bool:
        """Whether the file is open, and read; False when another process has it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not self._take_turn():
                return False
            # A Functions host may call from another thread each time, though never from two at once.
            self._database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self._load()
        except (sqlite3.Error, ValueError, TypeError, OSError) as fault:
            raise StateError(self._unreadable(fault)) from fault
        return True

    def _take_turn(self) -> bool:
        lock = self._lock or self._path.with_suffix(".lock").open("w")
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            log.info("another process has the state", extra={"ids": {"file": str(self._path)}})
            return False
        self._lock = lock
        return True

    def _save(self, change: Change) -> None:
        devices = [
            (
                key,
                json.dumps(known.device),
                json.dumps(known.place),
                known.status_since,
                known.missed_polls,
                json.dumps(known.condition),
            )
            for key, known in change.devices.items()
        ]
        settled = [(key,) for key in (*change.devices, *change.removed)]
        marks = [(f"{_CITY}{slug}", format_time(time)) for slug, time in change.cities_seen.items()]
        if change.snapshot:
            marks.append((_SNAPSHOT, format_time(change.snapshot)))
        watermarks = [(*key, *watermark) for key, watermark in change.watermarks.items()]
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO uncertain VALUES (?)", [(key,) for key in change.announced])
            database.executemany("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?)", devices)
            database.executemany("DELETE FROM device WHERE id = ?", [(key,) for key in change.removed])
            database.executemany("DELETE FROM uncertain WHERE id = ?", settled)
            database.executemany("INSERT OR REPLACE INTO mark VALUES (?, ?)", marks)
            database.executemany("INSERT OR REPLACE INTO watermark VALUES (?, ?, ?, ?)", watermarks)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:
                yield self._database
        except sqlite3.Error as fault:
            raise StateError(
                f"{self._path} can't be written ({fault}): see that its disk has room and that nothing else holds the file. "
                "What was not remembered is sent again by the next poll."
            ) from fault

    def _load(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if not 0 <= version <= _VERSION:
            raise ValueError(f"it has version {version}, this program writes version {_VERSION}")
        # WAL survives a kill at any write; after a power cut the last polls may be missing, which repeats them.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            self._database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        for older in range(version or _VERSION, _VERSION):
            self._database.executescript(f"BEGIN IMMEDIATE; {_MIGRATIONS[older]} PRAGMA user_version = {older + 1}; COMMIT;")
        columns = "id, device, place, status_since, missed_polls, condition"
        for key, device, place, since, missed, condition in self._database.execute(f"SELECT {columns} FROM device"):
            fields = json.loads(device), json.loads(place), json.loads(condition)
            self.devices[key] = known_device_from(fields[0], fields[1], since, missed, fields[2])
        self.uncertain.update(key for (key,) in self._database.execute("SELECT id FROM uncertain"))
        for workspace_id, metric, read_to, asked_at in self._database.execute("SELECT * FROM watermark"):
            self.watermarks[workspace_id, metric] = Watermark(read_to, asked_at)
        for name, text in self._database.execute("SELECT name, time FROM mark"):
            time = parse_time(text)
            if name == _SNAPSHOT:
                self.last_snapshot = time
            elif time is not None:
                self.cities_seen[name.removeprefix(_CITY)] = time

    def _unreadable(self, fault: Exception) -> str:
        if isinstance(fault, OSError):
            return f"{fault.filename or self._path}: {fault.strerror}. Let STATE_FOLDER name a folder that can be written."
        if isinstance(fault, sqlite3.OperationalError) and fault.sqlite_errorcode & 0xFF in _FAULTS_OF_THE_PLACE:
            return f"{self._path} can't be used ({fault}): see that it can be written, has room, and that nothing else holds it."
        return (
            f"{self._path} is no state this ingest can use ({fault}). Move it away (mv {self._path} {self._path}.broken) "
            "and start again: the next poll sends every device once more, and nothing else is lost."
        )
