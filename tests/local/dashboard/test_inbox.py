"""The alert inbox as the fan-out leaves it: read only, each alert with its end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from local.dashboard.inbox import read_inbox
from processors.alert_fanout.channels.inbox import Inbox
from tests.local.dashboard import sample_tiles
from tests.local.dashboard.page_under_test import write_inbox
from tests.processors.alert_fanout.messages import Names, notices


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox with spaces?.sqlite"


def test_there_is_nothing_before_the_fan_out_has_made_its_file(path: Path) -> None:
    assert read_inbox(path) == []
    assert not path.exists(), "reading doesn't make the file"


def test_there_is_nothing_before_the_fan_out_has_made_its_table(path: Path) -> None:
    sqlite3.connect(path).close()
    path.touch()
    assert read_inbox(path) == []


def test_an_alert_and_its_end_are_one_entry(path: Path) -> None:
    alert = sample_tiles.normal().alerts[0]
    write_inbox(path, alert, "fired")
    (entry,) = read_inbox(path)
    assert (entry["alertId"], entry["resolvedAt"]) == (alert["alertId"], None)
    write_inbox(path, alert | {"observedAt": "2026-11-24T12:00:00.000Z"}, "resolved")
    (entry,) = read_inbox(path)
    assert entry["firedAt"] == alert["observedAt"]
    assert entry["resolvedAt"] == "2026-11-24T12:00:00.000Z"


def test_an_end_whose_beginning_was_never_sent_is_shown(path: Path) -> None:
    write_inbox(path, sample_tiles.normal().alerts[0], "resolved")
    (entry,) = read_inbox(path)
    assert entry["firedAt"] is None
    assert entry["title"]


def test_it_says_what_is_folded_in_and_who_was_spared(path: Path) -> None:
    alert = sample_tiles.normal().alerts[0]
    write_inbox(path, alert, "fired", folded=["Bär", "Bar"], held_back=1)
    (entry,) = read_inbox(path)
    assert (entry["folded"], entry["heldBack"], entry["updatedAt"]) == (["Bär", "Bar"], 1, alert["observedAt"])


def test_what_became_part_of_an_outage_is_distinguished_from_what_is_over(path: Path) -> None:
    inbox, told = Inbox(path), notices(Names())
    for kind in ("open", "merge"):
        inbox.send(told[kind])
    assert [entry["mergedInto"] for entry in read_inbox(path)] == ["whole"]
    path.unlink()
    inbox.close()
    for kind in ("open", "close"):
        inbox.send(told[kind])
    assert [entry["mergedInto"] for entry in read_inbox(path)] == [None]


def test_a_file_of_an_earlier_version_is_read(path: Path) -> None:
    alert = sample_tiles.normal().alerts[0]
    write_inbox(path, alert, "fired")
    with sqlite3.connect(path) as database:
        for column in ("folded", "held_back", "updated_at"):
            database.execute(f"alter table inbox drop column {column}")
    (entry,) = read_inbox(path)
    assert (entry["folded"], entry["heldBack"], entry["updatedAt"]) == ([], 0, None)


def test_the_newest_come_first_and_of_what_is_over_no_more_than_asked_for(path: Path) -> None:
    for alert in sample_tiles.normal().alerts:
        for state in ("fired", "resolved"):
            write_inbox(path, alert, state)
    begins = [entry["startedAt"] for entry in read_inbox(path)]
    assert begins == sorted(begins, reverse=True)
    assert [entry["startedAt"] for entry in read_inbox(path, newest=2, of_each=0)] == begins[:2]


@pytest.mark.parametrize("other", [{"cityId": "oslo"}, {"severity": 1}], ids=str)
def test_what_the_page_filters_by_is_there_however_many_others_are_newer(path: Path, other: dict[str, object]) -> None:
    alert = sample_tiles.normal().alerts[0] | {"severity": 3}
    write_inbox(path, alert | {"alertId": "old", "startedAt": "2026-11-20T00:00:00.000Z"} | other, "resolved")
    for number in range(5):
        write_inbox(path, alert | {"alertId": f"new-{number}"}, "resolved")
    assert "old" in {entry["alertId"] for entry in read_inbox(path, newest=3, of_each=1)}


def test_what_is_open_is_listed_however_much_is_newer(path: Path) -> None:
    oldest, *newer = sorted(sample_tiles.normal().alerts, key=lambda alert: alert["startedAt"])
    write_inbox(path, oldest, "fired")
    for alert in newer:
        for state in ("fired", "resolved"):
            write_inbox(path, alert, state)
    found = read_inbox(path, newest=1, of_each=0)
    assert [entry["alertId"] for entry in found if entry["resolvedAt"] is None] == [oldest["alertId"]]
    assert len(found) == 2 and found[-1]["alertId"] == oldest["alertId"]


def test_of_alerts_that_began_together_the_worst_comes_first(path: Path) -> None:
    estate = sample_tiles.darken(sample_tiles.Estate(sample_tiles.THREE_CITIES, sample_tiles.NOON), "lyon-0")
    for alert in reversed(estate.alerts):
        write_inbox(path, alert, "fired")
    assert read_inbox(path)[0]["ruleId"] == "site-outage"


def test_a_damaged_file_is_an_error_and_not_an_empty_inbox(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        read_inbox(path)
