"""A city's book as JSON text and back: what is stored, in SQLite on one machine and in a blob on Azure.

Releases follow each other in either direction: a field that this one does not know is kept (`more`) and written back, one that
the text does not have gets its default.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

import orjson

from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.incidents import Book, ChannelHealth, Delivery, Entry, Incident

_ADDED: dict[type, tuple[str, ...]] = {
    Alert: ("product", "text", "details"),
    Book: ("channels",),
    Incident: ("begun", "log", "forgotten", "notes_sent", "acts_sent"),
    Delivery: ("round", "why", "asked_at", "reminders", "acknowledged"),
}
"""Fields that came after the first release."""
_STORED: dict[type, dict[str, str]] = {
    Book: {"lease_holder": "teller", "lease_until": "telling_until"},
    ChannelHealth: {"lease_holder": "teller", "lease_until": "telling_until"},
    Incident: {"deliveries": "told"},
    Delivery: {"notified_at": "told_at"},
}
"""Fields that are stored under another name, which every release reads."""
_NAMED = {kind: {stored: name for name, stored in names.items()} for kind, names in _STORED.items()}
_STORED_NOTES = {
    "notified": "told",
    "notified of what it became part of": "told what it became part of",
    "notified of its end": "told of its end",
    "never notified": "never told",
}
"""What became of an incident, where other words are stored of it and sent to its history."""
_NOTES = {stored: note for note, stored in _STORED_NOTES.items()}
_STORED_FIELDS = {kind: [names.get(one.name, one.name) for one in fields(kind)] for kind, names in _STORED.items()}
"""The fields of a kind as they are stored, in their order."""
_DEFAULTS = {
    kind: [
        (one.name, one.default if one.default_factory is MISSING else one.default_factory())
        for one in fields(kind)
        if one.name in names
    ]
    for kind, names in _ADDED.items()
}
_TEXT = "_stored_text"
Record = TypeVar("Record", Alert, Incident, Delivery, ChannelHealth, Book)


def to_text(book: Book) -> str:
    """The book as JSON; the same book gives the same text."""
    return _encoded(book).decode()


def from_text(text: str) -> Book:
    """The book in a text; raises ValueError when it is none."""
    try:
        document = orjson.loads(text)
        incidents = {id_: _incident(record) for id_, record in document.pop("incidents").items()}
        early = {id_: _record(Alert, record) for id_, record in document.pop("early").items()}
        channels = {key: _record(ChannelHealth, record) for key, record in document.pop("channels", {}).items()}
        book = _record(Book, document)
    except (KeyError, TypeError, AttributeError) as fault:
        raise ValueError(f"{type(fault).__name__} {fault}") from fault
    book.incidents, book.early, book.channels = incidents, early, channels
    return book


def _incident(record: dict[str, Any]) -> Incident:
    end = record["end"]
    return _record(
        Incident,
        record
        | {
            "lead": _record(Alert, record["lead"]),
            "end": _record(Alert, end) if end else None,
            "members": {id_: _record(Alert, alert) for id_, alert in record["members"].items()},
            "told": {key: _record(Delivery, delivery) for key, delivery in record["told"].items()},
            "log": [_entry(*entry[: len(Entry._fields)]) for entry in record.get("log", ())],
        },
    )


def _entry(at: str, what: str, *more: str) -> Entry:
    return Entry(at, _NOTES.get(what, what), *more)


def stored_note(what: str) -> str:
    """The word that stands for a note of an incident (Entry.what) in what is stored and in its history."""
    return _STORED_NOTES.get(what, what)


def _record(kind: type[Record], values: dict[str, Any]) -> Record:
    names = _NAMED.get(kind, {})
    values = {names.get(name, name): value for name, value in values.items()}
    known = {field.name for field in fields(kind)} - {"more"}
    more = {name: value for name, value in values.items() if name not in known}
    return kind(**{name: value for name, value in values.items() if name in known}, more=more)


def _values(record: Record) -> dict[str, Any]:
    held, stored = vars(record), _STORED_FIELDS.get(type(record))
    values = dict(zip(stored, held.values(), strict=True)) if stored else held.copy()
    more: dict[str, Any] = values.pop("more")
    for name, default in _DEFAULTS.get(type(record), ()):
        if values[name] == default:
            del values[name]  # a book without them is the same text in a release that knows none
    if values.get("log"):
        values["log"] = [(at, _STORED_NOTES.get(what, what), channel, detail) for at, what, channel, detail in values["log"]]
    return values | more if more else values


def _encoded(record: Record) -> bytes:
    return orjson.dumps(record, default=_stored, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def _stored(record: Record) -> dict[str, Any] | orjson.Fragment:
    return orjson.Fragment(_text_of(record)) if isinstance(record, Alert) else _values(record)


def _text_of(alert: Alert) -> bytes:
    """An alert as it is stored. It never changes, and its book is written with each change of any: so this is made once."""
    held = vars(alert)
    if _TEXT not in held:
        held[_TEXT] = orjson.dumps(_values(alert))
    text: bytes = held[_TEXT]
    return text
