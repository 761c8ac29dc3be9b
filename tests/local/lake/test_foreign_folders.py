"""The lake works in whatever folder somebody keeps it: a path is neither a URI nor SQL nor a pattern."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asa_engine.databases import calculator
from local.clock import SimulatedClock
from local.lake.delta_follower import DeltaFollower
from local.lake.delta_table import DeltaTableWriter
from local.lake.live_store import LiveStore
from local.lake.tables import READINGS, live_tables
from local.lake.verify import count

NOON = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
FOLDERS = ["with a space", "é 日本 😀", "100%", "a#b?c=d&e", "it's", 'say "hi"', "[1] * {a,b}", "+;:-"]


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder that only a careful program can use."""
    found = tmp_path / str(request.param)
    found.mkdir()
    return found


def append(writer: DeltaTableWriter, number: int) -> None:
    """A row of a device, with the columns the table has."""
    with calculator() as connection:
        known = {"id": f"'id-{number}'", "observedAt": f"timestamptz '{NOON.isoformat()}'", "cityId": "'lyon'"}
        known |= {"entity": "'device'", "entityId": f"'device-{number}'", "signal": "'temperature'", "date": "'2031-05-04'"}
        columns = [f'{known.get(name, "null")}::{kind} as "{name}"' for name, kind in writer.columns.items()]
        writer.append(connection, f"select {', '.join(columns)}")


def test_what_is_written_is_followed_shown_counted_and_never_stored_twice(folder: Path) -> None:
    writer = live_tables()["Processed"].writer(folder)
    follower = DeltaFollower(folder / "Processed")
    append(writer, 1)
    first = follower.new_files()
    append(writer, 2)
    append(writer, 2)
    then = follower.new_files()
    assert first is not None and then is not None
    assert all(Path(path).is_file() for path in (*first.paths, *then.paths))
    assert count(folder)["Processed"]["rows"] == 2

    with closing(LiveStore(folder, SimulatedClock(0.0, 0.0, 1.0, real_time=NOON.timestamp))) as store:
        assert store.refresh(), "the live tables take the rows in"
        assert store.query("Processed | count") == [{"Count": 2}], "and their history is read"


def test_readings_by_day_are_counted(folder: Path) -> None:
    writer = READINGS.writer(folder)
    append(writer, 1)
    append(writer, 1)
    writer.compact()
    assert count(folder)[READINGS.name]["rows"] == 1
