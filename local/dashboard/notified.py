"""Who was notified of an incident, by which channel, when and with what result: what the fan-out's state says.

The state keeps an incident until an hour after everybody has been notified of its end; what is older is not known here any more.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from processors.alert_fanout.book_text import from_text
from processors.alert_fanout.channel_kinds import label
from processors.alert_fanout.incidents import Book, Delivery, Incident
from processors.alert_fanout.state import REJECTED
from processors.alert_fanout.why import GIVEN_UP, NOT_NOTIFIED, NOTIFIED, WAITS

_OURSELVES = "inbox:"
"""Channels of this beginning are what the page shows already."""
_RESULTS = {
    "opened": NOTIFIED,
    "closed": f"{NOTIFIED} of the end",
    "missed": "outside its hours",
    "skipped": f"{NOT_NOTIFIED}: over before",
    "held back": "held back: too many at once",
}
"""By the stage of a delivery."""


class Notification(TypedDict):
    """What a channel knows of an incident: its kind and place (no secret, no person), the result in words, when (null: never),
    and why it failed the last time (null where it has not).
    """

    channel: str
    result: str
    at: str | None
    fault: str | None


Notifications = Mapping[str, list[Notification]]
"""By incident, and by alert that is folded into one."""
NOBODY: Notifications = {}


class NotifiedReader:
    """Reads the fan-out's state in its SQLite file; a city's book is parsed again only when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[str, tuple[int, Notifications]] = {}

    def read(self) -> Notifications:
        """Who was notified of every incident that the fan-out still knows; nothing before it has made its file.

        Raises sqlite3.Error or ValueError when the file or a book can't be read.
        """
        if not self._path.is_file():
            return {}
        with contextlib.closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            if not database.execute("select 1 from sqlite_master where type = 'table' and name = 'book'").fetchone():
                return {}
            books = "select name, version from book where instr(name, '/') = 0 and name <> ?"
            for name, version in database.execute(books, (REJECTED,)).fetchall():
                if self._read.get(name, (None,))[0] != version:
                    (text,) = database.execute("select text from book where name = ?", (name,)).fetchone()
                    self._read[name] = version, notifications(from_text(text))
        return {incident: delivery for _, city in self._read.values() for incident, delivery in city.items()}


def notifications(book: Book) -> Notifications:
    """Who was notified of the incidents of a city, and of the alerts that are folded into them."""
    delivery = {incident.id: _of(book, incident) for incident in book.incidents.values()}
    folded = {alert: delivery[incident.id] for incident in book.incidents.values() for alert in incident.members}
    return folded | delivery


def _of(book: Book, incident: Incident) -> list[Notification]:
    return [_notification(book, key, delivery) for key, delivery in incident.deliveries.items() if not key.startswith(_OURSELVES)]


def _notification(book: Book, key: str, delivery: Delivery) -> Notification:
    return {"channel": label(key), "result": _result(delivery), "at": delivery.notified_at, "fault": _fault(book, key, delivery)}


def _result(delivery: Delivery) -> str:
    if delivery.dead:
        return GIVEN_UP
    if delivery.stage == "waiting":
        if delivery.failed_at:
            return "being tried again"
        return f"{WAITS} for its hours or the end of a mute" if delivery.held else WAITS
    return _RESULTS.get(delivery.stage, delivery.stage)


def _fault(book: Book, key: str, delivery: Delivery) -> str | None:
    if delivery.dead:
        return delivery.dead
    health = book.channels.get(key)
    return health.why if delivery.failed_at and health and health.why else None
