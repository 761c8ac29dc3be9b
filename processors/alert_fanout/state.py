"""Where books are kept. One text per city, replaced as a whole and only if nobody else has replaced it meanwhile.

So an incident is never half written, and several instances can work on one city: the slower one reads again and does it anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from processors.alert_fanout import acts as facts
from processors.alert_fanout.acts import NOTHING_DONE, Act, Acts
from processors.alert_fanout.alerts import Alert, Rejected
from processors.alert_fanout.book_text import from_text, to_text
from processors.alert_fanout.incidents import Book
from processors.contracts.facts import ANY_OTHER_CITY
from processors.timestamps import format_time

RECORD_LIMIT = 8192
REJECTED = "rejected"
"""The text that keeps lines which were not alerts. No city may have that slug (RESERVED_SLUGS)."""
REJECTED_KEPT = 200
JOURNAL = "told/"
"""How the texts begin that say what a channel has taken since its city's book was written."""
ACTS = "acts/"
"""How the texts begin that say what people did in a city."""
WAITING = "waiting/"
"""How the texts begin that keep alerts of a city whose book can't be used."""
MOST_WAITING = 1000
"""More alerts of a city are not kept so: their events are given again."""
KEY = "keys/page"
"""The text that keeps the key by which a form of the incidents' pages is known for ours."""
_ANY_OTHER = "any-other-city"
"""The city `*` in a name: a blob's has no asterisk. No city may have that slug (RESERVED_SLUGS)."""
TRIES = 20
"""How often a change is done anew because another instance was faster."""
Answer = TypeVar("Answer")


class StateError(Exception):
    """The state of the fan-out can't be read or written. The text names it and the next step."""


class Damaged(StateError):
    """A text is there and can't be read."""


class Conflict(Exception):
    """Somebody else has replaced the text."""


class TextStore(Protocol):
    """Named texts with versions."""

    where: str

    def names(self) -> list[str]:
        """The names of all texts."""

    def load(self, name: str) -> tuple[str | None, str | None]:
        """A text and its version; None and None when there is none."""

    def version(self, name: str) -> str | None:
        """The version of a text, without reading it; None when there is none."""

    def save(self, name: str, text: str, version: str | None) -> str:
        """Replace a text of this version (None: there is none yet) and give the new version; raises Conflict."""

    def close(self) -> None:
        """Let go of files and connections."""


class _Read(NamedTuple):
    """A book and the text it is stored as, of this version; None and None where nothing is stored yet."""

    version: str | None
    text: str | None
    book: Book


class State:
    """Books and rejected lines in a store; every method raises StateError when that can't be used."""

    def __init__(self, store: TextStore) -> None:
        self._store = store
        self._read: dict[str, _Read] = {}
        """The book of each city as it was last read or written: nothing is read or parsed twice."""
        self._acts: dict[str, tuple[str, Acts]] = {}

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def cities(self) -> list[str]:
        """Cities that have a book."""
        others = JOURNAL, ACTS, WAITING
        return [name for name in self._store.names() if name not in (REJECTED, KEY) and not name.startswith(others)]

    def acted_on(self) -> list[str]:
        """Cities in which somebody has done something."""
        names = [name.removeprefix(ACTS) for name in self._store.names() if name.startswith(ACTS)]
        return [ANY_OTHER_CITY if name == _ANY_OTHER else name for name in names]

    def book(self, city: str) -> Book:
        """A city's book as it is now, to be read only."""
        return self._now(city).book

    def remembered(self, city: str) -> tuple[Book, Acts]:
        """A city's book and acts as this instance last saw them, without asking the store: to be read only."""
        read, acts = self._read.get(city), self._acts.get(city)
        return read.book if read else Book(), acts[1] if acts else NOTHING_DONE

    def change(self, city: str, what: Callable[[Book], Answer]) -> Answer:
        """Change a city's book, all or nothing. `what` is done anew on a fresh book when another instance was faster."""
        for _ in range(TRIES):
            read = self._now(city)
            self._read.pop(city, None)  # until it is written, or found unchanged
            answer = what(read.book)
            changed = to_text(read.book)
            with contextlib.suppress(Conflict):
                now = read.version if changed == read.text else self._store.save(city, changed, read.version)
                self._read[city] = _Read(now, changed, read.book)
                return answer
        raise StateError(f"The state of {city} in {self._store.where} is changed by others all the time: see who else writes it.")

    def acts(self, city: str) -> Acts:
        """What people did in a city, as it is known now."""
        version = self._store.version(_acts_of(city))
        if version is None:
            return NOTHING_DONE
        if self._acts.get(city, ("",))[0] != version:
            text, version = self._store.load(_acts_of(city))
            if text is None or version is None:
                return NOTHING_DONE
            self._acts[city] = version, self._parsed(city, text)
        return self._acts[city][1]

    def add(self, city: str, act: Act, known: Iterable[str], now: datetime) -> None:
        """Write down what a person did; it is safe when this returns. What is given twice is there once.

        `known` are the ids of the city's incidents: what was done about others goes once it is long over.
        """
        for _ in range(TRIES):
            text, version = self._store.load(_acts_of(city))
            before = self._parsed(city, text) if text else NOTHING_DONE
            after = before.with_act(act)
            if after == before:
                return
            with contextlib.suppress(Conflict):
                self._store.save(_acts_of(city), facts.to_text(after.kept({*known, act.incident}, now)), version)
                return
        raise StateError(f"What is done in {city} is written in {self._store.where} by others all the time: do it again.")

    def key(self) -> bytes:
        """A key of this state's own, made when it is first asked for; the same for every instance."""
        for _ in range(TRIES):
            text, _version = self._store.load(KEY)
            if text:
                return bytes.fromhex(self._document(KEY, text, "key")["key"])
            with contextlib.suppress(Conflict):
                # An earlier release takes it for the book of a city in which nothing happened.
                self._store.save(KEY, json.dumps({"incidents": {}, "early": {}, "key": secrets.token_hex(32)}), None)
        raise StateError(f"No key could be kept in {self._store.where}: see who else writes it.")

    def journal(self, city: str, channel: str) -> tuple[str | None, list[list[str | None]]]:
        """What was noted for a channel: under which lease, and the entries."""
        name = _journal_of(city, channel)
        text, _ = self._store.load(name)
        if not text:
            return None, []
        kept = self._document(name, text, "lease", "entries")
        return kept["lease"], kept["entries"]

    def note(self, city: str, channel: str, lease: str, entries: list[list[str | None]]) -> None:
        """Note what a channel has taken under a lease, which nobody else has: a kill repeats one notice at most, and a city's
        whole book need not be written for each.
        """
        name = _journal_of(city, channel)
        # An earlier release takes it for the book of a city in which nothing happened.
        text = json.dumps({"incidents": {}, "early": {}, "lease": lease, "entries": entries}, ensure_ascii=False)
        with contextlib.suppress(Conflict):  # then the lease is somebody else's by now
            self._store.save(name, text, self._store.load(name)[1])

    def waiting(self, city: str) -> list[Alert]:
        """The alerts of a city that wait for its book to be usable again."""
        text, _ = self._store.load(_waiting_of(city))
        return list(self._parsed_book(_waiting_of(city), text).early.values())

    def wait(self, city: str, alerts: Iterable[Alert]) -> None:
        """Keep alerts of a city whose book can't be used; they are safe when this returns."""
        self._change_waiting(city, lambda waiting: {**waiting, **{_key(alert): alert for alert in alerts}})

    def entered(self, city: str, alerts: Iterable[Alert]) -> None:
        """These alerts wait no more."""
        over = set(map(_key, alerts))
        self._change_waiting(city, lambda waiting: {key: alert for key, alert in waiting.items() if key not in over})

    def _change_waiting(self, city: str, what: Callable[[dict[str, Alert]], dict[str, Alert]]) -> None:
        name = _waiting_of(city)
        for _ in range(TRIES):
            text, version = self._store.load(name)
            # As the early alerts of a book: an earlier release takes it for that of a city in which nothing happened.
            after = what(self._parsed_book(name, text).early)
            if len(after) > MOST_WAITING:
                raise StateError(f"{len(after)} alerts of {city} wait in {self._store.where} for its book, which can't be used.")
            with contextlib.suppress(Conflict):
                self._store.save(name, to_text(Book(early=after)), version)
                return
        raise StateError(f"{name} in {self._store.where} is changed by others all the time: see who else writes it.")

    def reject(self, rejected: list[Rejected], now: datetime) -> None:
        """Keep lines that are not alerts, each once, the newest REJECTED_KEPT of them."""
        for _ in range(TRIES):
            text, version = self._store.load(REJECTED)
            nothing: dict[str, Any] = {"count": 0, "lines": {}}
            kept = self._document(REJECTED, text, "count", "lines") if text else nothing
            for bad in rejected:
                digest = hashlib.sha256(bad.record.encode()).hexdigest()
                if digest not in kept["lines"]:
                    kept["count"] += 1
                    kept["lines"][digest] = [format_time(now), bad.reason, bad.record[:RECORD_LIMIT]]
            kept["lines"] = dict(list(kept["lines"].items())[-REJECTED_KEPT:])
            changed = json.dumps(kept, ensure_ascii=False)
            if changed == text:
                return
            with contextlib.suppress(Conflict):
                self._store.save(REJECTED, changed, version)
                return
        raise StateError(f"The rejected lines in {self._store.where} are changed by others all the time: see who writes them.")

    def rejected_count(self) -> int:
        """How many different lines were not alerts, ever."""
        text, _ = self._store.load(REJECTED)
        return int(self._document(REJECTED, text, "count")["count"]) if text else 0

    def _now(self, city: str) -> _Read:
        """A city's book as it is stored now."""
        known = self._read.get(city)
        if known and known.version == self._store.version(city):
            return known
        text, version = self._store.load(city)
        return _Read(version, text, self._parsed_book(city, text))

    def _parsed_book(self, city: str, text: str | None) -> Book:
        try:
            return from_text(text) if text else Book()
        except ValueError as fault:
            raise Damaged(
                f"The state of {city} in {self._store.where} is none this fan-out can read ({fault}). Move it away: open "
                "incidents of the city are then forgotten, and alerts that are read again are sent again."
            ) from fault

    def _document(self, name: str, text: str, *needed: str) -> dict[str, Any]:
        """A text as the JSON object that it is, with what it has to have."""
        try:
            document = json.loads(text)
            if all(one in document for one in needed):
                return dict(document)
        except (ValueError, TypeError):
            pass
        raise Damaged(f"{name} in {self._store.where} can't be read. Move it away: it is begun anew.")

    def _parsed(self, city: str, text: str) -> Acts:
        try:
            return facts.from_text(text)
        except ValueError as fault:
            raise Damaged(
                f"What was done in {city} can't be read in {self._store.where} ({fault}). Move {_acts_of(city)} away: "
                "acknowledgements and silences of the city are then forgotten, and what they kept quiet is sent."
            ) from fault


def _acts_of(city: str) -> str:
    return ACTS + (_ANY_OTHER if city == ANY_OTHER_CITY else city)


def _waiting_of(city: str) -> str:
    return WAITING + (_ANY_OTHER if city == ANY_OTHER_CITY else city)


def _key(alert: Alert) -> str:
    return f"{alert.alert_id}|{alert.state}"


def _journal_of(city: str, channel: str) -> str:
    return JOURNAL + hashlib.sha256(f"{city}|{channel}".encode()).hexdigest()[:20]


class SqliteTexts:
    """Texts in a SQLite file, for one machine."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; raises StateError."""
        self.where = str(path)
        self._path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            # A Functions host may call from another thread each time, though never from two at once.
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
            with contextlib.suppress(sqlite3.OperationalError):  # whoever opens a new file at the same time is switching it
                self._database.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing; waiting for the disk at each change took most of the time of a storm.
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS book (name TEXT PRIMARY KEY, text TEXT NOT NULL, version INTEGER NOT NULL)"
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def names(self) -> list[str]:
        """See TextStore.names."""
        with self._explained():
            return [name for (name,) in self._database.execute("SELECT name FROM book ORDER BY name")]

    def load(self, name: str) -> tuple[str | None, str | None]:
        """See TextStore.load."""
        with self._explained():
            row = self._database.execute("SELECT text, version FROM book WHERE name = ?", (name,)).fetchone()
        return (row[0], str(row[1])) if row else (None, None)

    def version(self, name: str) -> str | None:
        """See TextStore.version."""
        with self._explained():
            row = self._database.execute("SELECT version FROM book WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def save(self, name: str, text: str, version: str | None) -> str:
        """See TextStore.save."""
        with self._explained():
            if version is None:
                insert = "INSERT OR IGNORE INTO book (name, text, version) VALUES (?, ?, 1)"
                changes = self._database.execute(insert, (name, text)).rowcount
            else:
                update = "UPDATE book SET text = ?, version = version + 1 WHERE name = ? AND version = ?"
                changes = self._database.execute(update, (text, name, int(version))).rowcount
        if not changes:
            raise Conflict(name)
        return str(int(version or 0) + 1)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as fault:
            raise StateError(
                f"{self._path} can't be used ({fault}): see that it can be written, has room, and that nothing else holds it. "
                "No alert is lost: the events are read again."
            ) from fault
        except (sqlite3.DatabaseError, OSError) as fault:
            raise StateError(
                f"{self._path} is not a state this fan-out can use ({fault}). Move it away (mv {self._path} "
                f"{self._path}.broken): "
                "alerts that are read again are then sent again."
            ) from fault
