"""What the ingest remembers between polls, in one SQLite file: devices as acknowledged, metric watermarks, the last snapshot,
and when each city was last seen.

All of it can be found out again: losing the file costs a repeated snapshot, and metric readings of the time it was gone. So a
file that can't be read is never repaired by guessing; the error says which file to move away.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from processors.ingest.changes import Condition, KnownDevice
from processors.ingest.directory import Place
from processors.ingest.maintenance import Maintenance
from processors.ingest.records import Device
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


class StateError(Exception):
    """The state can't be read or written. The text names the file and the next step."""


class Watermark(NamedTuple):
    """How far a metric of a workspace has been read: time of the newest reading sent, if any; and when it was last asked for."""

    read_to: str | None
    asked_at: str


class IngestState:
    """Devices, watermarks and the last snapshot: held in memory, every change written through in one transaction."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the file; None keeps everything in memory only. Raises StateError."""
        self._path = path
        self.devices: dict[str, KnownDevice] = {}
        self.uncertain: set[str] = set()
        self.watermarks: dict[tuple[str, str], Watermark] = {}
        self.cities_seen: dict[str, datetime] = {}
        """City slug to the last poll that listed a device of it (or the first that looked for one)."""
        self._last_snapshot: datetime | None = None
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            # A Functions host may call from another thread each time, though never from two at once.
            self._database = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            self._load()
        except (sqlite3.Error, ValueError, TypeError, OSError) as fault:
            raise StateError(self._unreadable(fault)) from fault

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def snapshot_due(self, poll_time: datetime, every_minutes: float) -> bool:
        """Whether every device has to be sent: none was yet, the last time is long ago, or the clock has been set back."""
        if self._last_snapshot is None:
            return True
        return not 0 <= (poll_time - self._last_snapshot).total_seconds() < every_minutes * 60

    def announce(self, device_ids: Collection[str]) -> None:
        """Remember, before they are sent, which devices may arrive as something new without our knowing. Raises StateError."""
        if device_ids:
            with self._transaction() as database:
                database.executemany("INSERT OR IGNORE INTO uncertain VALUES (?)", [(key,) for key in device_ids])
            self.uncertain.update(device_ids)

    def commit_devices(self, changed: Mapping[str, KnownDevice], removed: tuple[str, ...] = ()) -> None:
        """Remember devices whose observations have been acknowledged; forget those that are gone. Raises StateError."""
        if not changed and not removed:
            return
        rows = [
            (
                key,
                json.dumps(known.device),
                json.dumps(known.place),
                known.status_since,
                known.missed_polls,
                json.dumps(known.condition),
            )
            for key, known in changed.items()
        ]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?)", rows)
            database.executemany("DELETE FROM device WHERE id = ?", [(key,) for key in removed])
            database.executemany("DELETE FROM uncertain WHERE id = ?", [(key,) for key in (*changed, *removed)])
        self.uncertain.difference_update(changed, removed)
        self.devices.update(changed)
        for key in removed:
            self.devices.pop(key, None)

    def commit_snapshot(self, poll_time: datetime) -> None:
        """Remember that every device was sent and acknowledged. Raises StateError."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO mark VALUES (?, ?)", (_SNAPSHOT, format_time(poll_time)))
        self._last_snapshot = poll_time

    def commit_cities_seen(self, seen: Mapping[str, datetime]) -> None:
        """Remember when cities were last seen. Raises StateError."""
        with self._transaction() as database:
            rows = [(f"{_CITY}{slug}", format_time(time)) for slug, time in seen.items()]
            database.executemany("INSERT OR REPLACE INTO mark VALUES (?, ?)", rows)
        self.cities_seen.update(seen)

    def commit_watermarks(self, changed: Mapping[tuple[str, str], Watermark]) -> None:
        """Remember how far metrics have been read, after their readings have been acknowledged. Raises StateError."""
        with self._transaction() as database:
            rows = [(*key, *watermark) for key, watermark in changed.items()]
            database.executemany("INSERT OR REPLACE INTO watermark VALUES (?, ?, ?, ?)", rows)
        self.watermarks.update(changed)

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
            self.devices[key] = KnownDevice(_device(device), Place(*json.loads(place)), since, missed, _condition(condition))
        self.uncertain.update(key for (key,) in self._database.execute("SELECT id FROM uncertain"))
        for workspace_id, metric, read_to, asked_at in self._database.execute("SELECT * FROM watermark"):
            self.watermarks[workspace_id, metric] = Watermark(read_to, asked_at)
        for name, text in self._database.execute("SELECT name, time FROM mark"):
            time = parse_time(text)
            if name == _SNAPSHOT:
                self._last_snapshot = time
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


def _device(text: str) -> Device:
    fields = Device(*json.loads(text))
    maintenance = Maintenance(*fields.maintenance) if fields.maintenance else None
    return fields._replace(error_codes=tuple(fields.error_codes), maintenance=maintenance)


def _condition(text: str) -> Condition:
    fields = Condition(*json.loads(text))
    return fields._replace(drops=tuple(fields.drops))
