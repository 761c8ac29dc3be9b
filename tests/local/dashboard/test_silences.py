"""What people keep quiet, from the fan-out's own state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.dashboard.silences import SilencesReader
from processors.alert_fanout.acting import Actor, end_silence, silence
from processors.alert_fanout.acts import Scope
from processors.alert_fanout.state import SqliteTexts, State

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ADA = Actor("Ada", "test")


def test_silences_are_counted_by_city_while_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "fanout.sqlite"
    reader = SilencesReader(path)
    assert reader.read(NOW) == {}, "nothing has run yet"
    state = State(SqliteTexts(path))
    assert reader.read(NOW) == {}
    made = [
        silence(state, city, Scope(room="r"), ADA, NOW, until=NOW + timedelta(hours=hours), text="works")
        for city, hours in (("lyon", 1), ("lyon", 2), ("oslo", 3))
    ]
    assert reader.read(NOW) == {"lyon": 2, "oslo": 1}
    assert reader.read(NOW + timedelta(minutes=90)) == {"lyon": 1, "oslo": 1}, "it ends without anybody writing"
    end_silence(state, "oslo", made[2].id, ADA, NOW + timedelta(minutes=1))
    assert reader.read(NOW + timedelta(minutes=2)) == {"lyon": 2}
    state.close()
