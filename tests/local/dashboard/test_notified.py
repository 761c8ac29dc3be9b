"""Who was notified, from the fan-out's own state."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from local.dashboard.notified import NotifiedReader, notifications
from processors.alert_fanout.incidents import Book, ChannelHealth, Delivery, Incident
from processors.alert_fanout.state import SqliteTexts, State
from tests.processors.alert_fanout.messages import Names, notices

AT = "2026-11-24T09:35:00.0000000Z"
LEAD = notices(Names())["open"].lead


KEY = "slack:hooks.slack.com:0123456789ab"


def book(delivery: Delivery, health: ChannelHealth | None = None, key: str = KEY, id_: str = "one") -> Book:
    deliveries = {key: delivery, "inbox:/data/inbox.sqlite": Delivery("opened", notified_at=AT)}
    incident = Incident(id_, "alert", LEAD, AT, AT, deliveries=deliveries)
    return Book(incidents={id_: incident}, channels={key: health} if health else {})


@pytest.mark.parametrize(
    ("delivery", "result", "at"),
    [
        (Delivery("opened", notified_at=AT), "notified", AT),
        (Delivery("closed", notified_at=AT), "notified of the end", AT),
        (Delivery("waiting"), "waits", None),
        (Delivery("waiting", held=True), "waits for its hours or the end of a mute", None),
        (Delivery("waiting", attempts=2, failed_at=AT), "being tried again", None),
        (Delivery("missed"), "outside its hours", None),
        (Delivery("skipped"), "not notified: over before", None),
        (Delivery("held back"), "held back: too many at once", None),
        (Delivery("waiting", dead="open: refused (HTTP 404)", dead_at=AT), "given up", None),
        (Delivery("a stage of a later release"), "a stage of a later release", None),
    ],
    ids=lambda value: value.stage if isinstance(value, Delivery) else None,
)
def test_each_stage_is_said_in_words(delivery: Delivery, result: str, at: str | None) -> None:
    (one,) = notifications(book(delivery))["one"]
    assert (one["channel"], one["result"], one["at"]) == ("Slack hooks.slack.com", result, at)


def test_why_it_failed_is_said_and_what_failed_another_time_is_not() -> None:
    health = ChannelHealth(failures=3, why="HTTP 503")
    deliveries = {
        "dead": Delivery(dead="open: refused"),
        "failing": Delivery(failed_at=AT),
        "well": Delivery("opened", notified_at=AT),
    }
    faults = {name: notifications(book(one, health))["one"][0]["fault"] for name, one in deliveries.items()}
    assert faults == {"dead": "open: refused", "failing": "HTTP 503", "well": None}


def test_every_city_is_read_and_read_again_when_its_book_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "with spaces?.sqlite"
    assert NotifiedReader(path).read() == {} and not path.exists(), "reading doesn't make the file"
    state = State(SqliteTexts(path))
    reader = NotifiedReader(path)
    assert reader.read() == {}
    for city in ("lyon", "paris"):
        state.change(city, lambda kept, city=city: kept.incidents.update(book(Delivery(), id_=city).incidents))  # type: ignore[misc]
    state.note("lyon", "slack:x", "lease", [])
    assert results(reader) == {"lyon": "waits", "paris": "waits"}
    state.change("lyon", lambda kept: setattr(kept.incidents["lyon"].deliveries[KEY], "stage", "opened"))
    state.close()
    assert results(reader) == {"lyon": "notified", "paris": "waits"}


def results(reader: NotifiedReader) -> dict[str, str]:
    return {incident: found[0]["result"] for incident, found in reader.read().items()}


def test_an_alert_that_is_folded_in_was_notified_of_with_what_it_is_folded_into() -> None:
    kept = book(Delivery("opened", notified_at=AT))
    kept.incidents["one"].members["part"] = LEAD
    assert notifications(kept)["part"] == notifications(kept)["one"]


def test_a_damaged_state_is_an_error_and_not_nobody(tmp_path: Path) -> None:
    path = tmp_path / "fanout.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        NotifiedReader(path).read()
