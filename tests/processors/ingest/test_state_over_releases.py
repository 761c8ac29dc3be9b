"""The state goes from release to release, and back: by the names of its fields, in either home.

`tests/processors/old_state` holds a state as the release before names wrote it (commit 6073c06), in both homes.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from processors.azure_blobs import BlobContainer
from processors.ingest import state_records
from processors.ingest.blob_state import STATE_BLOB, BlobState
from processors.ingest.changes import Condition, KnownDevice, observed
from processors.ingest.directory import Place
from processors.ingest.maintenance import Maintenance
from processors.ingest.records import Device, read_device
from processors.ingest.sqlite_state import SqliteState
from processors.ingest.state import IngestState, StateError, Watermark
from processors.ingest.state_records import BEFORE_NAMES, Records
from tests.support.blobs import Blobs, served
from tests.support.scripted_webex import device

OLD = Path(__file__).parents[1] / "old_state"
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
NOW_TEXT = "2026-11-24T10:00:00.000Z"
PLACE = Place("lyon", "location-1", "Lyon Part-Dieu", None, None)
ROOM = Device(
    id="device-1",
    name="Room 1",
    kind="roomdesk",
    product="Cisco Room Kit EQ",
    software="RoomOS 26.8.1.4",
    connection_status="connected",
    error_codes=("missingdisplay",),
    workspace_id="workspace-1",
    location_id="location-1",
    person_id=None,
    last_seen=None,
    maintenance=Maintenance("upcoming", "2026-11-24T09:00:00Z", "2026-11-24T11:00:00Z"),
    may_be_asked=True,
    has_priority=False,
)
SALLE = ROOM._replace(
    id="device-2",
    name="Salle Éole",
    connection_status="disconnected",
    error_codes=(),
    workspace_id=None,
    maintenance=None,
    has_priority=True,
)
KEYS = ("device-1", "device-2", "device-3")
OLD_DEVICES = {
    "device-1": KnownDevice(
        ROOM,
        Place("lyon", "location-1", "Lyon Part-Dieu", "workspace-1", "Room 1"),
        NOW_TEXT,
        2,
        Condition(("2026-11-24T09:30:00.000Z",), "2026-11-24T09:00:00.000Z", True, True, 61, True, False, 2.5, 12.0),
    ),
    "device-2": KnownDevice(SALLE, PLACE, NOW_TEXT, 0),
}


class BlobHome:
    """A container with a state that one instance after another opens."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs

    def open(self) -> IngestState:
        return BlobState(BlobContainer(self.blobs.url()))

    def put_old(self) -> None:
        self.blobs.put(STATE_BLOB, gzip.compress((OLD / "ingest-state.jsonl").read_bytes()))

    def text(self) -> str:
        return gzip.decompress(self.blobs.content(STATE_BLOB)).decode()


class FileHome:
    """A file with a state that one process after another opens."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> IngestState:
        return SqliteState(self.path)

    def put_old(self) -> None:
        with sqlite3.connect(self.path) as database:
            database.executescript((OLD / "ingest.sql").read_text(encoding="utf-8"))

    def text(self) -> str:
        with sqlite3.connect(self.path) as database:
            return "\n".join(database.iterdump())


Home = BlobHome | FileHome


@pytest.fixture(params=["file", "blob"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    if request.param == "file":
        yield FileHome(tmp_path / "ingest.sqlite")
    else:
        with served("fake") as blobs:
            yield BlobHome(blobs)


def in_turn(home: Home, what: Callable[[IngestState], Any]) -> Any:
    """Something one instance does between its begin and its end."""
    state = home.open()
    try:
        assert state.begin()
        answer = what(state)
        state.finish()
        return answer
    finally:
        state.close()


def known(number: int, **fields: object) -> KnownDevice:
    return observed(read_device(device(number, **fields)), PLACE, None, NOW)


def everything(state: IngestState) -> dict[str, Any]:
    names = ("devices", "uncertain", "watermarks", "cities_seen", "last_snapshot")
    return {name: getattr(state, name).copy() if name != "last_snapshot" else state.last_snapshot for name in names}


OLD_STATE = {
    "devices": OLD_DEVICES,
    "uncertain": {"device-2", "device-3"},
    "watermarks": {
        ("workspace-1", "tvoc"): Watermark(None, NOW_TEXT),
        ("workspace-2", "tvoc"): Watermark("2026-11-24T09:58:00.000Z", NOW_TEXT),
    },
    "cities_seen": {"lyon": NOW},
    "last_snapshot": NOW,
}


def test_a_state_of_the_release_before_names_is_read_and_goes_on(home: Home) -> None:
    home.put_old()
    assert in_turn(home, everything) == OLD_STATE
    in_turn(home, lambda state: state.commit_devices({"device-3": known(3)}))
    assert in_turn(home, lambda state: state.devices.copy()) == OLD_DEVICES | {"device-3": known(3)}


def test_the_release_before_names_can_still_read_what_is_written(home: Home) -> None:
    """What it looks at is there as it was: it skips a line of the kind `end`, and knows nothing of the table `field`."""
    home.put_old()
    old = [line for line in home.text().splitlines() if '"field"' not in line]
    in_turn(home, lambda state: state.commit_cities_seen({"lyon": NOW}))
    new = home.text().splitlines()
    if isinstance(home, BlobHome):
        assert [line for line in new if not line.startswith('["end", ')] == old
        assert sum(line.startswith('["end", ') for line in new) == 1
    else:
        assert [line for line in new if " field " not in line and '"field"' not in line] == old
        with sqlite3.connect(home.path) as database:
            assert database.execute("PRAGMA user_version").fetchone() == (2,)


def newer(kind: type[Any], **added: object) -> type[Any]:
    """A kind of record as a newer release has it: with more fields."""
    fields = getattr(kind, "_fields")  # noqa: B009 - a NamedTuple's
    defaults = [*getattr(kind, "_field_defaults").values(), *added.values()]  # noqa: B009
    return namedtuple(kind.__name__, (*fields, *added), defaults=defaults)


@contextlib.contextmanager
def next_release(kind: str) -> Iterator[Any]:
    """The code is that of a newer release, in which one kind of record has the fields `novelty` and `more`; gives that kind."""
    record = newer(state_records.KINDS[kind], novelty="none", more=0)
    with pytest.MonkeyPatch.context() as release:
        release.setitem(state_records.KINDS, kind, record)
        release.setattr(state_records, record.__name__, record)
        yield record


@pytest.mark.parametrize("part", ["device", "place", "condition"])
def test_forward_a_release_and_back_and_forward_again_loses_nothing(home: Home, part: str) -> None:
    in_turn(home, lambda state: state.commit_devices({key: known(n) for n, key in enumerate(KEYS, 1)}))

    with next_release(part) as record:
        assert in_turn(home, lambda state: getattr(state.devices["device-1"], part)).novelty == "none", "the field's default"
        new = record(*getattr(known(1), part), novelty="déjà vu", more=7)
        in_turn(home, lambda state: state.commit_devices({"device-1": state.devices["device-1"]._replace(**{part: new})}))

    def day_of_today(state: IngestState) -> None:
        assert state.devices == {key: known(n) for n, key in enumerate(KEYS, 1)}, "read without the fields it does not know"
        state.commit_devices({"device-1": state.devices["device-1"]._replace(missed_polls=2)})
        state.commit_devices({"device-4": known(4)}, removed=("device-3",))

    in_turn(home, day_of_today)

    with next_release(part) as record:
        devices = in_turn(home, lambda state: state.devices.copy())
        again = getattr(devices["device-1"], part)
        assert (again.novelty, again.more, devices["device-1"].missed_polls) == ("déjà vu", 7, 2)
        assert {key: (getattr(devices[key], part).novelty, getattr(devices[key], part).more) for key in devices} == {
            "device-1": ("déjà vu", 7),
            "device-2": ("none", 0),
            "device-4": ("none", 0),
        }


def test_a_device_that_comes_back_has_nothing_of_the_one_before_it(home: Home) -> None:
    with next_release("condition") as record:
        changed = known(1)._replace(condition=record(novelty="déjà vu"))
        in_turn(home, lambda state: state.commit_devices({"device-1": changed}))
    in_turn(home, lambda state: state.commit_devices({}, removed=("device-1",)))
    in_turn(home, lambda state: state.commit_devices({"device-1": known(1)}))
    assert "déjà" not in home.text() and "d\\u00e9j" not in home.text()


def test_an_unknown_field_of_a_maintenance_is_left_out_since_every_poll_reads_it_anew(home: Home) -> None:
    with next_release("maintenance") as record:
        planned = known(1)._replace(device=ROOM._replace(maintenance=record("on", None, None, "who", 1)))
        in_turn(home, lambda state: state.commit_devices({"device-1": planned}))
    in_turn(home, lambda state: state.commit_devices({"device-2": known(2)}))
    assert in_turn(home, lambda state: state.devices["device-1"].device.maintenance) == Maintenance("on")


@pytest.mark.parametrize(("kind", "key"), [("watermark", ("workspace-1", "tvoc")), ("known", "device-1")])
def test_what_a_blob_has_more_of_a_watermark_or_a_device_is_kept(kind: str, key: Any) -> None:
    with served("fake") as blobs:
        home = BlobHome(blobs)
        home.put_old()
        in_turn(home, lambda state: state.commit_snapshot(NOW))
        lines = [json.loads(line) for line in home.text().splitlines()]
        lines[1][1][kind] = [*lines[1][1][kind], "novelty"]
        named = [line for line in lines if line[0] == {"known": "device", "watermark": "watermark"}[kind]]
        named[0].append("déjà vu")
        blobs.put(STATE_BLOB, gzip.compress("\n".join(map(json.dumps, lines)).encode()))
        assert in_turn(home, everything) == OLD_STATE
        in_turn(home, lambda state: state.commit_snapshot(NOW))
        assert [json.loads(line) for line in home.text().splitlines()] == lines


def test_records_of_a_kind_this_release_does_not_know_are_kept(home: Home) -> None:
    home.put_old()
    if isinstance(home, BlobHome):
        text = home.text().replace('["end"]', '["tenant", "a", {"b": 1}]\n["end"]')
        home.blobs.put(STATE_BLOB, gzip.compress(text.encode()))
    else:
        with sqlite3.connect(home.path) as database:
            database.execute("INSERT INTO mark VALUES ('tenant:a', '2026-11-24T10:00:00.000Z')")
            database.execute("ALTER TABLE device ADD COLUMN tenant TEXT")
            database.execute("ALTER TABLE watermark ADD COLUMN tenant TEXT")
            database.execute("ALTER TABLE mark ADD COLUMN tenant TEXT")
            for table in ("device", "watermark", "mark"):
                database.execute(f"UPDATE {table} SET tenant = 'kept'")

    def poll(state: IngestState) -> None:
        state.commit_devices(dict(state.devices))
        state.commit_watermarks(dict(state.watermarks))
        state.commit_cities_seen(dict(state.cities_seen))
        state.commit_snapshot(NOW)

    in_turn(home, poll)
    assert in_turn(home, everything) == OLD_STATE | {"uncertain": {"device-3"}}
    if isinstance(home, BlobHome):
        assert home.text().splitlines()[-2:] == ['["tenant", "a", {"b": 1}]', '["end"]']
    else:
        with sqlite3.connect(home.path) as database:
            for table in ("device", "watermark", "mark"):
                assert set(database.execute(f"SELECT tenant FROM {table}")) == {("kept",)}


def test_fields_are_read_by_name_and_not_by_place() -> None:
    turned = {kind: tuple(reversed(names)) for kind, names in BEFORE_NAMES.items()}
    device_, place, since, missed, condition = OLD_DEVICES["device-2"]
    values = [list(reversed(condition)), missed, since, list(reversed(place)), list(reversed(device_[:14]))]
    assert Records(turned).device_from("device-2", values) == OLD_DEVICES["device-2"]
    assert Records(turned).watermark_from(("a", "b"), ["asked", "read"]) == Watermark("read", "asked")


def test_a_record_that_lacks_its_last_fields_gets_their_defaults() -> None:
    device_, place, since, missed, _ = OLD_DEVICES["device-2"]
    assert Records().device_from("device-2", [device_[:11], place, since, missed]) == KnownDevice(
        device_._replace(may_be_asked=False, has_priority=False), place, since, missed
    )


def test_names_that_are_none_are_told_with_the_way_out() -> None:
    with served("fake") as blobs:
        home = BlobHome(blobs)
        home.put_old()
        in_turn(home, lambda state: state.commit_snapshot(NOW))
        blobs.put(STATE_BLOB, gzip.compress(home.text().replace('"condition": [', '"conditions": [').encode()))
        with pytest.raises(StateError, match=r"is not a state this ingest can use.*az storage blob delete"):
            home.open().begin()
