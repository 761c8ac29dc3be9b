"""The state: survives restarts, and says what to do when its file is no good."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from processors.ingest.changes import Condition, KnownDevice, observed
from processors.ingest.directory import Place
from processors.ingest.records import read_device
from processors.ingest.sqlite_state import SqliteState
from processors.ingest.state import IngestState, StateError, StateUnavailable, Watermark
from tests.support.scripted_webex import device

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
PLACE = Place("lyon", "location-1", "Lyon Part-Dieu", None, None)


def known(number: int, **fields: object) -> KnownDevice:
    return observed(read_device(device(number, **fields)), PLACE, None, NOW)


def test_what_is_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "ingest.sqlite"
    state = SqliteState(path)
    devices = {"device-1": known(1, errorCodes=["a", "b"]), "device-2": known(2, displayName="Salle Éole", workspaceId=None)}
    state.commit_devices(devices)
    state.commit_watermarks({("workspace-1", "tvoc"): Watermark(None, "2026-11-24T10:00:00.000Z")})
    state.commit_snapshot(NOW)
    again = SqliteState(path)
    assert again.devices == devices == state.devices
    assert again.watermarks == {("workspace-1", "tvoc"): Watermark(None, "2026-11-24T10:00:00.000Z")}
    assert not again.snapshot_due(NOW + timedelta(minutes=1), 15)
    again.commit_devices({}, removed=("device-1",))
    assert set(SqliteState(path).devices) == {"device-2"}


def test_everything_known_of_a_device_and_of_cities_survives(tmp_path: Path) -> None:
    path = tmp_path / "ingest.sqlite"
    state = SqliteState(path)
    window = {"mode": "upcoming", "startTime": "2026-11-24T09:00:00Z", "endTime": "2026-11-24T11:00:00Z"}
    condition = Condition(("2026-11-24T09:30:00.000Z",), "2026-11-24T09:00:00.000Z", True, True, 61)
    state.commit_devices({"device-1": known(1, plannedMaintenance=window)._replace(condition=condition)})
    state.commit_cities_seen({"lyon": NOW})
    state.commit_snapshot(NOW)
    again = SqliteState(path)
    assert again.devices == state.devices
    assert again.cities_seen == {"lyon": NOW}


def test_a_file_of_the_version_before_is_read_and_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "ingest.sqlite"
    state = SqliteState(path)
    state.commit_devices({"device-1": known(1)})
    state.close()
    with sqlite3.connect(path) as database:
        (text,) = database.execute("SELECT device FROM device").fetchone()
        database.execute("UPDATE device SET device = ?", (json.dumps(json.loads(text)[:11]),))
        database.execute("ALTER TABLE device DROP COLUMN condition")
        database.execute("PRAGMA user_version = 1")
    for _ in range(2):
        assert SqliteState(path).devices == {"device-1": known(1)}


def test_a_snapshot_is_due_at_first_when_its_time_has_come_and_when_the_clock_was_set_back() -> None:
    state = IngestState()
    assert state.snapshot_due(NOW, 15)
    state.commit_snapshot(NOW)
    assert not state.snapshot_due(NOW, 15)
    assert not state.snapshot_due(NOW + timedelta(minutes=14, seconds=59), 15)
    assert state.snapshot_due(NOW + timedelta(minutes=15), 15)
    assert state.snapshot_due(NOW - timedelta(seconds=1), 15)


def damaged(path: Path, how: str) -> None:
    if how == "no database":
        path.write_text("this is not a database, and long enough to be read as the header of one " * 20)
    elif how == "other version":
        sqlite3.connect(path).execute("PRAGMA user_version = 99").connection.close()
    else:
        state = SqliteState(path)
        state.commit_devices({f"device-{n}": known(n) for n in range(500)})
        state.close()
        content = bytearray(path.read_bytes())
        if how == "half of it":
            content = content[: len(content) // 2]
        else:
            content[4096:] = b"\xff" * (len(content) - 4096)
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["no database", "other version", "half of it", "overwritten pages"])
def test_a_file_that_can_not_be_used_is_named_with_the_way_out_and_left_alone(tmp_path: Path, how: str) -> None:
    path = tmp_path / "ingest.sqlite"
    damaged(path, how)
    content = path.read_bytes()
    with pytest.raises(StateError, match=rf"{path}.*mv {path} {path}.broken"):
        SqliteState(path)
    assert path.read_bytes() == content


def test_a_folder_that_can_not_be_made_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="STATE_FOLDER"):
        SqliteState(tmp_path / "file" / "ingest.sqlite")


def test_a_write_that_fails_changes_nothing_in_memory_either(tmp_path: Path) -> None:
    path = tmp_path / "ingest.sqlite"
    state = SqliteState(path)
    state.commit_devices({"device-1": known(1)})
    # A full disk, as SQLite sees it: no page beyond those there are.
    pages = state._database.execute("PRAGMA page_count").fetchone()[0]
    state._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError, match="disk has room"):
        state.commit_devices({f"device-{n}": known(n) for n in range(500)})
    assert set(state.devices) == {"device-1"} == set(SqliteState(path).devices)


def test_a_full_disk_passes_and_what_was_not_remembered_is_remembered_later(tmp_path: Path) -> None:
    state = SqliteState(tmp_path / "ingest.sqlite")
    marks = {("w" * 500, str(number)): Watermark(None, "2026-11-24T10:00:00.000Z") for number in range(200)}
    state._database.execute("PRAGMA max_page_count = 12")
    with pytest.raises(StateUnavailable, match="disk has room"):
        state.commit_watermarks(marks)
    assert state.watermarks == {}
    state._database.execute("PRAGMA max_page_count = 10000")
    state.commit_watermarks(marks)
    state.close()
    assert SqliteState(tmp_path / "ingest.sqlite").watermarks == marks
