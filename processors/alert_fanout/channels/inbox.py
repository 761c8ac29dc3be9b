"""The inbox of a local run: a SQLite file with a row for the beginning of each incident and one for its end."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from processors.alert_fanout.channel_kind import Capabilities, ChannelKind, ChannelSettings
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.secrets import Secrets
from processors.clock import utc_now
from processors.timestamps import format_time

INBOX_SECONDS = 5.0
"""How long to wait while another process writes the inbox."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox (
  alert_id TEXT NOT NULL, state TEXT NOT NULL, rule_id TEXT NOT NULL, severity INTEGER NOT NULL, city_id TEXT NOT NULL,
  title TEXT NOT NULL, text TEXT NOT NULL, entity_id TEXT NOT NULL, started_at TEXT NOT NULL, observed_at TEXT NOT NULL,
  delivered_at TEXT NOT NULL, clock_delivered_at TEXT NOT NULL,
  folded TEXT NOT NULL DEFAULT '[]', held_back INTEGER NOT NULL DEFAULT 0, updated_at TEXT,
  merged_into TEXT,
  PRIMARY KEY (alert_id, state)
)
"""
_COLUMNS = (
    "alert_id, state, rule_id, severity, city_id, title, text, entity_id, started_at, observed_at, delivered_at, "
    "clock_delivered_at, folded, held_back, updated_at, merged_into"
)
"""Those that a row is written with; a file of a newer version may have more."""
_ADDED = {
    "folded": "TEXT NOT NULL DEFAULT '[]'",
    "held_back": "INTEGER NOT NULL DEFAULT 0",
    "updated_at": "TEXT",
    "merged_into": "TEXT",
}
"""Columns that a file of an earlier version lacks."""


_LOCKS: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
"""So that the cities of one fan-out queue for their inbox instead of finding it busy."""
_CAPABILITIES = Capabilities(limit=None, updates=1_000_000, updates_at_once=True, hears_merges=True, reminds=False, acts_as="")


@dataclass(frozen=True, kw_only=True)
class InboxChannel(ChannelSettings):
    """A SQLite file with a table `inbox`, which the page of a local run shows."""

    path: Path

    @property
    def contact_kind(self) -> None:
        """See ChannelSettings.contact_kind."""
        return

    @property
    def capabilities(self) -> Capabilities:
        """See ChannelSettings.capabilities."""
        return _CAPABILITIES

    def open(self, secrets: Secrets) -> Inbox:
        """See ChannelSettings.open."""
        return Inbox(self.path)

    @property
    def _name(self) -> str:
        return f"inbox:{self.path}"


class Inbox:
    """Rows of the table `inbox`, one per incident and state; the row of a beginning is brought up to date while the incident is
    open. `delivered_at` is real time, `clock_delivered_at` and `updated_at` the clock's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def check(self) -> None:
        """See Channel.check."""
        with self._writing():
            return

    def send(self, notice: Notice) -> None:
        """See Channel.send."""
        with self._writing() as database:
            if notice.action == "update":
                self._update(database, notice)
            else:
                self._insert(database, notice)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._database is None:
                self._database = self._opened()
            with _LOCKS[self._path], self._database:
                yield self._database
        except (sqlite3.Error, OSError) as fault:
            self.close()
            raise DeliveryError(f"the inbox {self._path} can't be written ({fault}); is it a SQLite file with room?") from fault

    def _insert(self, database: sqlite3.Connection, notice: Notice) -> None:
        alert, now = notice.lead, format_time(utc_now())
        row = (
            notice.incident, notice.state, alert.rule_id, alert.severity, alert.city_id, notice.title, notice.text,
            alert.entity_id, alert.started_at, notice.observed_at, format_time(datetime.now(UTC)), now,
            json.dumps(notice.devices, ensure_ascii=False), notice.held_back, None,
            notice.merged_into,
        )  # fmt: skip
        database.execute(f"INSERT OR IGNORE INTO inbox ({_COLUMNS}) VALUES ({', '.join('?' * len(row))})", row)

    def _update(self, database: sqlite3.Connection, notice: Notice) -> None:
        devices, now = json.dumps(notice.devices, ensure_ascii=False), format_time(utc_now())
        database.execute(
            "UPDATE inbox SET title = ?, text = ?, folded = ?, held_back = ?, updated_at = ? "
            "WHERE alert_id = ? AND state = 'fired'",
            (notice.title, notice.text, devices, notice.held_back, now, notice.incident),
        )

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # A Functions host may call from another thread each time, though never from two at once.
        database = sqlite3.connect(self._path, timeout=INBOX_SECONDS, check_same_thread=False)
        with contextlib.ExitStack() as undo:
            undo.callback(database.close)
            with contextlib.suppress(sqlite3.OperationalError):  # whoever opens a new file at the same time is switching it
                database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")  # as the state (state.py): a killed process loses nothing
            database.execute(_SCHEMA)
            present = {row[1] for row in database.execute("PRAGMA table_info(inbox)")}
            for name, kind in _ADDED.items():
                if name not in present:
                    database.execute(f"ALTER TABLE inbox ADD COLUMN {name} {kind}")
            undo.pop_all()
        return database


KIND = ChannelKind(
    type="inbox",
    titles={"inbox": "Inbox"},
    required=("path",),
    properties={"path": {"type": "string", "minLength": 1}},
    schema={},
    has_terms=False,
    read=lambda written, terms: InboxChannel(path=Path(written["path"])),
    contacts=(),
    markup=(),
    examples=lambda url: (),
    documented=(("inbox (local)", "a row", "the row", "a row", _CAPABILITIES),),
)
