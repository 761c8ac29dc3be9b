"""The state in a SQLite file of this machine: every change written through in one transaction, one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from processors.ingest.changes import KnownDevice
from processors.ingest.state import Change, IngestState, StateError, StateUnavailable, Watermark
from processors.ingest.state_records import BEFORE_NAMES, Records
from processors.timestamps import format_time, parse_time

_VERSION = 2
"""It stays while an older release can use the file: tables, columns and fields that it does not know, it leaves as they are."""
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
_NAMES = "CREATE TABLE IF NOT EXISTS field (record TEXT PRIMARY KEY, names TEXT NOT NULL)"
"""What the values in the lists of a device are called. A file of the release before there were names lacks it."""
_LISTS = ("device", "place", "condition", "maintenance")
"""The kinds of records that lie in lists; the others have columns."""
_SAVE_DEVICE = (
    "INSERT INTO device (id, device, place, status_since, missed_polls, condition) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET device = excluded.device, place = excluded.place, status_since = excluded.status_since, "
    "missed_polls = excluded.missed_polls, condition = excluded.condition"
)
"""Nothing is replaced, here and below: the columns of a newer release keep what they have."""
_SAVE_MARK = "INSERT INTO mark (name, time) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET time = excluded.time"
_SAVE_WATERMARK = (
    "INSERT INTO watermark (workspace_id, metric, read_to, asked_at) VALUES (?, ?, ?, ?) ON CONFLICT (workspace_id, metric) "
    "DO UPDATE SET read_to = excluded.read_to, asked_at = excluded.asked_at"
)
_MIGRATIONS = {1: "ALTER TABLE device ADD COLUMN condition TEXT NOT NULL DEFAULT '[]';"}
"""From a version to the next."""
_SNAPSHOT, _CITY = "snapshot", "city:"
CONSENT = "accepted:"
"""The one kind of mark that another process writes, while this one polls."""

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
        self._records = Records()
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

    def consents(self) -> Mapping[str, str]:
        """See IngestState.consents."""
        try:
            found = self._database.execute("SELECT name, time FROM mark WHERE name LIKE ?", (f"{CONSENT}%",))
            return {name.removeprefix(CONSENT): text for name, text in found}
        except sqlite3.Error as fault:
            raise StateError(self._unreadable(fault)) from fault

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
        for key in change.removed:
            self._records.forget(key)
        for pair in change.ended:
            self._records.forget(pair)
        devices = [self._row(key, known) for key, known in change.devices.items()]
        settled = [(key,) for key in (*change.devices, *change.removed)]
        marks = [(f"{_CITY}{slug}", format_time(time)) for slug, time in change.cities_seen.items()]
        if change.snapshot:
            marks.append((_SNAPSHOT, format_time(change.snapshot)))
        marks += [(name, text) for name, text in change.marks.items() if text is not None]
        ended = [(name,) for name, text in change.marks.items() if text is None]
        watermarks = [(*key, *watermark) for key, watermark in change.watermarks.items()]
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO uncertain (id) VALUES (?)", [(key,) for key in change.announced])
            database.executemany(_SAVE_DEVICE, devices)
            database.executemany("DELETE FROM device WHERE id = ?", [(key,) for key in change.removed])
            database.executemany("DELETE FROM uncertain WHERE id = ?", settled)
            database.executemany(_SAVE_MARK, marks)
            database.executemany("DELETE FROM mark WHERE name = ?", ended)
            database.executemany(_SAVE_WATERMARK, watermarks)
            database.executemany("DELETE FROM watermark WHERE workspace_id = ? AND metric = ?", change.ended)

    def _row(self, key: str, known: KnownDevice) -> tuple[Any, ...]:
        device, place, since, missed_polls, condition = self._records.device_values(key, known)
        return key, json.dumps(device), json.dumps(place), since, missed_polls, json.dumps(condition)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:
                yield self._database
        except sqlite3.Error as fault:
            passes = isinstance(fault, sqlite3.OperationalError) and fault.sqlite_errorcode & 0xFF in _FAULTS_OF_THE_PLACE
            raise (StateUnavailable if passes else StateError)(
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
        self._load_devices()
        self.uncertain.update(key for (key,) in self._database.execute("SELECT id FROM uncertain"))
        for *pair, read_to, asked_at in self._database.execute("SELECT workspace_id, metric, read_to, asked_at FROM watermark"):
            self.watermarks[pair[0], pair[1]] = Watermark(read_to, asked_at)
        for name, text in self._database.execute("SELECT name, time FROM mark"):
            time = parse_time(text)
            if name == _SNAPSHOT:
                self.last_snapshot = time
            elif name.startswith(_CITY):
                if time is not None:
                    self.cities_seen[name.removeprefix(_CITY)] = time
            elif not name.startswith(CONSENT):
                self.marks[name] = text

    def _load_devices(self) -> None:
        """Read the devices, and write them anew where they were written by a release with other fields."""
        has_names = self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'field'").fetchone()
        rows = self._database.execute("SELECT record, names FROM field") if has_names else ()
        in_lists = {**BEFORE_NAMES, **{record: json.loads(names) for record, names in rows}}
        self._records = Records({**in_lists, "known": KnownDevice._fields, "watermark": Watermark._fields})
        columns = "id, device, place, status_since, missed_polls, condition"
        for key, device, place, since, missed, condition in self._database.execute(f"SELECT {columns} FROM device"):
            values = json.loads(device), json.loads(place), since, missed, json.loads(condition)
            self.devices[key] = self._records.device_from(key, values)
        if has_names and self._records.are_stored:
            return
        names = [(kind, json.dumps(self._records.names[kind])) for kind in _LISTS]
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(_NAMES)
            if not self._records.are_stored:
                self._database.executemany(_SAVE_DEVICE, [self._row(key, known) for key, known in self.devices.items()])
            self._database.executemany("INSERT OR REPLACE INTO field (record, names) VALUES (?, ?)", names)

    def _unreadable(self, fault: Exception) -> str:
        if isinstance(fault, OSError):
            return f"{fault.filename or self._path}: {fault.strerror}. Let STATE_FOLDER name a folder that can be written."
        if isinstance(fault, sqlite3.OperationalError) and fault.sqlite_errorcode & 0xFF in _FAULTS_OF_THE_PLACE:
            return f"{self._path} can't be used ({fault}): see that it can be written, has room, and that nothing else holds it."
        return (
            f"{self._path} is not a state this ingest can use ({fault}). Move it away (mv {self._path} {self._path}.broken) "
            "and start again: the next poll sends every device once more, and nothing else is lost."
        )
