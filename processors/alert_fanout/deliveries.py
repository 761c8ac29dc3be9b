"""What was delivered where, in one SQLite file: every alert state reaches every channel once, over restarts and repeated events.

A delivery is written down as pending before it is tried. So a failed channel is tried again without repeating the others, and
what a host that moves on after an exception would lose is tried at the next invocation.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from processors.alert_fanout.alerts import Alert, Rejected
from processors.alert_fanout.render import Message
from processors.timestamps import format_time

RECORD_LIMIT = 8192
KEPT_DAYS = 30
"""How long finished deliveries are remembered: longer than any hub keeps events that could be read again."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS delivery (
  number INTEGER PRIMARY KEY, alert_id TEXT NOT NULL, state TEXT NOT NULL, channel TEXT NOT NULL, message TEXT NOT NULL,
  seen_at TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'given up')),
  UNIQUE (alert_id, state, channel)
);
CREATE INDEX IF NOT EXISTS pending_delivery ON delivery (number) WHERE status = 'pending';
CREATE TABLE IF NOT EXISTS rejected (digest TEXT PRIMARY KEY, seen_at TEXT NOT NULL, reason TEXT NOT NULL, record TEXT NOT NULL);
"""


class DeliveriesError(Exception):
    """The state of the fan-out can't be read or written. The text names the file and the next step."""


class Delivery(NamedTuple):
    """A message that a channel has still to get; `attempts` are the invocations that tried in vain."""

    number: int
    channel: str
    message: Message
    seen_at: str
    attempts: int


class Deliveries:
    """Pending and finished deliveries, and the lines that were no alerts."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; raises DeliveriesError."""
        self._path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def knows(self, alert_id: str, state: str) -> bool:
        """Whether this state of this alert was seen before."""
        with self._explained():
            query = "SELECT 1 FROM delivery WHERE alert_id = ? AND state = ? LIMIT 1"
            return self._database.execute(query, (alert_id, state)).fetchone() is not None

    def expect(self, messages: list[tuple[Message, list[str]]], rejected: list[Rejected], now: datetime) -> None:
        """Write down, all or nothing, which channels get which messages; what is known already stays as it is."""
        seen_at = format_time(now)
        deliveries = [
            (message.alert.alert_id, message.alert.state, channel, json.dumps(asdict(message)), seen_at)
            for message, channels in messages
            for channel in channels
        ]
        records = [
            (hashlib.sha256(bad.record.encode()).hexdigest(), seen_at, bad.reason, bad.record[:RECORD_LIMIT]) for bad in rejected
        ]
        with self._explained(), self._transaction() as database:
            insert = "INSERT OR IGNORE INTO delivery (alert_id, state, channel, message, seen_at) VALUES (?, ?, ?, ?, ?)"
            database.executemany(insert, deliveries)
            database.executemany("INSERT OR IGNORE INTO rejected VALUES (?, ?, ?, ?)", records)
            oldest = format_time(now - timedelta(days=KEPT_DAYS))
            database.execute("DELETE FROM delivery WHERE status != 'pending' AND seen_at < ?", (oldest,))

    def pending(self) -> list[Delivery]:
        """What has still to be delivered, in the order it was written down."""
        with self._explained():
            query = "SELECT number, channel, message, seen_at, attempts FROM delivery WHERE status = 'pending' ORDER BY number"
            rows = self._database.execute(query).fetchall()
        return [Delivery(number, channel, _message(text), seen_at, attempts) for number, channel, text, seen_at, attempts in rows]

    def delivered(self, delivery: Delivery) -> None:
        """Remember that the channel has it."""
        self._set("status = 'delivered'", delivery)

    def failed(self, delivery: Delivery) -> None:
        """Count one more invocation in vain."""
        self._set("attempts = attempts + 1", delivery)

    def give_up(self, delivery: Delivery) -> None:
        """Remember that it is not tried any more."""
        self._set("status = 'given up'", delivery)

    def rejected_count(self) -> int:
        """How many different lines were no alerts, ever."""
        with self._explained():
            (count,) = self._database.execute("SELECT count(*) FROM rejected").fetchone()
        return int(count)

    def _set(self, assignment: str, delivery: Delivery) -> None:
        with self._explained():
            self._database.execute(f"UPDATE delivery SET {assignment} WHERE number = ?", (delivery.number,))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            yield self._database

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as fault:
            raise DeliveriesError(
                f"{self._path} can't be used ({fault}): see that it can be written, has room, and that nothing else holds it. "
                "No alert is lost: the events are read again."
            ) from fault
        except (sqlite3.DatabaseError, OSError) as fault:
            raise DeliveriesError(
                f"{self._path} is no state this fan-out can use ({fault}). Move it away (mv {self._path} {self._path}.broken): "
                "alerts that are read again are then told again."
            ) from fault


def _message(text: str) -> Message:
    record = json.loads(text)
    return Message(Alert(**record["alert"]), record["title"], record["text"])
