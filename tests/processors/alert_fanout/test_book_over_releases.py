"""What the fan-out remembers goes from release to release, and back; dead letters are part of it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from processors.alert_fanout import replay
from processors.alert_fanout.book_text import from_text, to_text
from processors.alert_fanout.channels.inbox import Inbox
from processors.alert_fanout.incidents import ChannelHealth, Entry
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.state import SqliteTexts, State

OLD = (Path(__file__).parents[1] / "old_state" / "book.json").read_text(encoding="utf-8").rstrip("\n")
"""A book as commit 6073c06 wrote it: an outage with a device folded in, sent over one channel, a dead letter for another."""
OUTAGE = "site-outage|location-1|x"
PARTS: dict[str, tuple[str, ...]] = {
    "the book": (),
    "an incident": ("incidents", OUTAGE),
    "its alert": ("incidents", OUTAGE, "lead"),
    "a device folded in": ("incidents", OUTAGE, "members", "device-offline|device-1|2026-11-24T09:55:00.000Z"),
    "what a channel knows": ("incidents", OUTAGE, "told", "inbox:x"),
    "a dead letter": ("incidents", OUTAGE, "told", "webhook:example.com:1"),
    "an end that came early": ("early", "x"),
}


def part_of(document: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for step in path:
        document = document[step]
    return document


def test_a_book_of_the_release_before_is_read_and_written_as_it_was() -> None:
    book = from_text(OLD)
    incident = book.incidents[OUTAGE]
    assert (incident.lead.name, incident.devices, incident.deliveries["inbox:x"].ref) == ("Lyon Part-Dieu", ["Room 1"], "ref-1")
    assert incident.deliveries["webhook:example.com:1"].dead == "the webhook answered with status 410"
    assert (book.early["x"].state, book.lease_holder) == ("resolved", "one")
    assert book.opened == {"inbox:x": ["2026-11-24T10:00:03.000Z"]}
    assert to_text(book) == OLD


@pytest.mark.parametrize("path", PARTS.values(), ids=PARTS)
def test_what_only_a_newer_release_knows_survives_a_release_that_does_not(path: tuple[str, ...]) -> None:
    document = json.loads(OLD)
    part_of(document, path)["novelty"] = {"deep": ["as", 1, None]}
    book = from_text(json.dumps(document))
    book.incidents[OUTAGE].deliveries["inbox:x"].updates += 1
    again = json.loads(to_text(book))
    assert part_of(again, path)["novelty"] == {"deep": ["as", 1, None]}
    assert again["incidents"][OUTAGE]["told"]["inbox:x"]["updates"] == 1
    assert from_text(to_text(book)) == book


def test_what_a_book_lacks_gets_its_default() -> None:
    document = json.loads(OLD)
    for part, name in (("what a channel knows", "updates"), ("an incident", "merged_into"), ("the book", "opened")):
        del part_of(document, PARTS[part])[name]
    book = from_text(json.dumps(document))
    incident = book.incidents[OUTAGE]
    assert (incident.deliveries["inbox:x"].updates, incident.merged_into, book.opened) == (0, None, {})


def test_what_became_of_an_incident_is_stored_in_the_words_of_the_release_before() -> None:
    notes = {"notified": "told", "notified of its end": "told of its end", "never notified": "never told", "began": "began"}
    notes |= {"notified of what it became part of": "told what it became part of"}
    book = from_text(OLD)
    book.incidents[OUTAGE].log = [Entry("2026-11-24T10:00:03.000Z", note, "inbox:x", "why") for note in notes]
    log = json.loads(to_text(book))["incidents"][OUTAGE]["log"]
    assert log == [["2026-11-24T10:00:03.000Z", stored, "inbox:x", "why"] for stored in notes.values()]
    assert from_text(to_text(book)) == book


def test_every_field_is_stored_under_the_name_the_release_before_reads() -> None:
    book = from_text(OLD)
    book.incidents[OUTAGE].deliveries["inbox:x"].notified_at = "2026-11-24T10:00:09.000Z"
    book.channels["inbox:x"] = ChannelHealth(lease_holder="two", lease_until="2026-11-24T10:01:00.000Z")
    stored = json.loads(to_text(book))
    assert stored["incidents"][OUTAGE]["told"]["inbox:x"]["told_at"] == "2026-11-24T10:00:09.000Z"
    assert (stored["teller"], stored["telling_until"]) == ("one", "2026-11-24T10:00:30.000Z")
    health = stored["channels"]["inbox:x"]
    assert (health["teller"], health["telling_until"]) == ("two", "2026-11-24T10:01:00.000Z")
    assert from_text(to_text(book)) == book


def test_a_dead_letter_of_a_newer_release_is_listed_and_sent_again(tmp_path: Path) -> None:
    document = json.loads(OLD)
    part_of(document, PARTS["a dead letter"])["novelty"] = 1
    store = SqliteTexts(tmp_path / "fanout.sqlite")
    store.save("lyon", json.dumps(document), None)
    state = State(store)
    letters = replay.dead_letters(state)
    assert [(letter.title, letter.why) for letter in letters] == [
        ("site-outage · Lyon Part-Dieu", "the webhook answered with status 410")
    ]
    replay.revive(state, letters)
    delivery = part_of(json.loads(store.load("lyon")[0] or ""), PARTS["a dead letter"])
    assert (delivery["dead"], delivery["attempts"], delivery["novelty"]) == (None, 0, 1)
    state.close()


def notice(action: str) -> Notice:
    lead = from_text(OLD).incidents[OUTAGE].lead
    end = lead if action == "close" else None
    return Notice(action, f"{OUTAGE}|{action}", OUTAGE, "Site outage", (), lead, end, "Lyon", None, (), 0, None)


def test_an_inbox_with_a_column_more_gets_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    inbox = Inbox(path)
    inbox.send(notice("open"))
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE inbox ADD COLUMN novelty TEXT")
    inbox.send(notice("close"))
    inbox.close()
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT state FROM inbox ORDER BY state").fetchall() == [("fired",), ("resolved",)]


def test_a_table_of_books_with_a_column_more_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "fanout.sqlite"
    SqliteTexts(path).close()
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE book ADD COLUMN novelty TEXT")
    store = SqliteTexts(path)
    assert store.load("lyon") == (None, None)
    store.save("lyon", OLD, store.save("lyon", "{}", None))
    assert store.load("lyon")[0] == OLD
    store.close()
