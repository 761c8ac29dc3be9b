"""Where books are kept: SQLite on one machine, blobs on Azure; the same promises."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from processors.alert_fanout import state as state_module
from processors.alert_fanout.alerts import Alert, Rejected, alerts_in
from processors.alert_fanout.book_text import from_text, to_text
from processors.alert_fanout.incidents import Book, Delivery, Incident
from processors.alert_fanout.state import Conflict, SqliteTexts, State, StateError, TextStore, _journal_of
from processors.alert_fanout.state_blobs import BlobTexts
from tests.processors.alert_fanout.conftest import alert_row, body
from tests.processors.conftest import StandingClock
from tests.support.blobs import BACK_ENDS, served

OpenStore = Callable[[], TextStore]


@pytest.fixture(params=["sqlite", *BACK_ENDS])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Opens the same store again and again, as instances do."""
    if request.param == "sqlite":
        yield lambda: SqliteTexts(tmp_path / "fanout.sqlite")
    else:
        with served(request.param) as blobs:
            yield lambda: BlobTexts(blobs.url(), {})


def test_a_text_is_there_for_the_next_instance(open_store: OpenStore) -> None:
    open_store().save("lyon", "{}", None)
    store = open_store()
    assert store.load("lyon")[0] == "{}"
    assert store.load("oslo") == (None, None)
    assert store.names() == ["lyon"]


def test_the_city_of_all_others_has_a_name_everywhere(open_store: OpenStore) -> None:
    open_store().save("*", "{}", None)
    assert open_store().names() == ["*"]


def test_only_what_was_read_is_replaced(open_store: OpenStore) -> None:
    store = open_store()
    first = store.save("lyon", "1", None)
    second = store.save("lyon", "2", first)
    for stale in (None, first):
        with pytest.raises(Conflict):
            store.save("lyon", "3", stale)
    assert store.load("lyon") == ("2", second)


def test_changes_of_many_instances_at_once_are_all_kept(open_store: OpenStore) -> None:
    def change(number: int) -> None:
        state = State(open_store())
        for step in range(5):
            state.change("lyon", lambda book: book.seen.__setitem__(f"{number}-{step}", "now"))  # noqa: B023
        state.close()

    threads = [threading.Thread(target=change, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(State(open_store()).book("lyon").seen) == 15


def test_nothing_is_written_when_nothing_changed(open_store: OpenStore) -> None:
    store = open_store()
    state = State(store)
    state.change("lyon", lambda book: book.seen.__setitem__("a", "now"))
    before = store.load("lyon")
    state.change("lyon", lambda book: None)
    assert store.load("lyon") == before


def test_what_is_written_is_what_another_instance_reads_however_often_it_changed(open_store: OpenStore) -> None:
    ours, theirs = State(open_store()), State(open_store())
    for number in range(3):
        for state in (ours, theirs):
            state.change("lyon", lambda book: enter(book, number))  # noqa: B023
            assert ours.book("lyon") == theirs.book("lyon")
    book = ours.book("lyon")
    assert [one.lead.value for one in book.incidents.values()] == [1e30, 1e30, 1e30]
    assert [one.lead.severity for one in book.incidents.values()] == [3, 3, 3]
    assert to_text(from_text(to_text(book))) == to_text(book)


def enter(book: Book, number: int) -> None:
    """An incident, or another severity of it."""
    (alert,) = alerts_in(body(alert_row(number, value=10**30)))
    assert isinstance(alert, Alert)
    known = book.incidents.get(str(number))
    lead = replace(known.lead, severity=3) if known else alert
    book.incidents[str(number)] = Incident(str(number), "alert", lead, "then", "now")


def test_a_book_that_nobody_else_changed_is_not_read_again(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    state, read = State(store), Mock(wraps=store.load)
    monkeypatch.setattr(store, "load", read)
    for number in range(3):
        state.change("lyon", lambda book: enter(book, number))  # noqa: B023
        state.acts("lyon")
        state.book("lyon")
    assert read.call_count == 1


def test_rejected_lines_are_kept_once_and_counted(open_store: OpenStore, standing_clock: StandingClock) -> None:
    state = State(open_store())
    for _ in range(2):
        state.reject([Rejected("a", "no JSON"), Rejected("b", "no JSON")], standing_clock.now)
    assert (state.rejected_count(), state.cities()) == (2, [])


def test_a_book_that_is_none_says_where_it_is(open_store: OpenStore) -> None:
    store = open_store()
    store.save("lyon", '{"incidents": 3}', None)
    with pytest.raises(StateError, match=r"lyon in .*Move it away"):
        State(store).book("lyon")


def test_a_container_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(StateError, match="No alert is lost"):
        BlobTexts("https://example.com", {})


def test_a_book_survives_being_written_and_read(
    make_outage: Callable[..., dict[str, Any]], make_body: Callable[..., bytes]
) -> None:
    (alert,) = alerts_in(make_body(make_outage()))
    assert isinstance(alert, Alert)
    incident = Incident("a", "alert", alert, "then", "now", end=alert, members={"b": alert}, folded={"b": "Bär"})
    incident.deliveries["inbox"] = Delivery("opened", "ref", 3)
    book = Book({"a": incident}, {"m": "then"}, {"c": alert}, "me", "later", {"inbox": ["then"]})
    assert from_text(to_text(book)) == book


def alert(number: int, state: str = "fired") -> Alert:
    (read,) = alerts_in(body(alert_row(number, state)))
    assert isinstance(read, Alert)
    return read


def test_alerts_that_wait_for_a_book_are_there_once_until_they_are_entered(open_store: OpenStore) -> None:
    for _ in range(2):
        State(open_store()).wait("lyon", [alert(1), alert(2), alert(1, "resolved")])
    assert State(open_store()).waiting("lyon") == [alert(1), alert(2), alert(1, "resolved")]
    State(open_store()).entered("lyon", [alert(1), alert(2)])
    state = State(open_store())
    assert (state.waiting("lyon"), state.waiting("*"), state.cities()) == ([alert(1, "resolved")], [], [])
    state.wait("*", [alert(3)])
    assert state.waiting("*") == [alert(3)]


def test_more_than_can_wait_are_given_again(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "MOST_WAITING", 2)
    state = State(open_store())
    state.wait("lyon", [alert(1), alert(2)])
    with pytest.raises(StateError, match="3 alerts of lyon wait"):
        state.wait("lyon", [alert(3)])
    assert state.waiting("lyon") == [alert(1), alert(2)]


DAMAGED = ["rubbish", "[]", "{}", '{"incidents": 5, "early": []}', "\x00", '{"acts": [{"kind": 5}]}']
READERS: dict[str, Callable[[State], object]] = {
    "lyon": lambda state: state.book("lyon"),
    "acts/lyon": lambda state: state.acts("lyon"),
    "waiting/lyon": lambda state: state.waiting("lyon"),
    "rejected": lambda state: state.rejected_count(),
    "keys/page": lambda state: state.key(),
    _journal_of("lyon", "inbox"): lambda state: state.journal("lyon", "inbox"),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("text", DAMAGED)
def test_a_text_that_was_damaged_is_named_with_what_to_do(open_store: OpenStore, name: str, text: str) -> None:
    store = open_store()
    store.save(name, text, None)
    with pytest.raises(StateError, match=r"Move \S+ away"):
        READERS[name](State(store))


def test_bytes_that_are_not_text_are_damage_too() -> None:
    with served(BACK_ENDS[0]) as blobs:
        store = BlobTexts(blobs.url(), {})
        store._container.write("alert-fanout/lyon.json", b"\xff\xfe", None)
        with pytest.raises(StateError, match="Move it away"):
            State(store).book("lyon")
