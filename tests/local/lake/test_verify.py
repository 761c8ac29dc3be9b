"""The check that nothing was lost or stored twice counts what is really on disk."""

from __future__ import annotations

from pathlib import Path

import duckdb
from deltalake import DeltaTable, write_deltalake

from local.lake.tables import READINGS
from local.lake.verify import count


def test_an_empty_lake_counts_nothing(tmp_path: Path) -> None:
    assert count(tmp_path)["readings"] == {"rows": 0, "keys": 0, "observations": 0}
    assert set(count(tmp_path)) == {"readings", "Processed", "CityMinute", "Alerts", "IncidentSteps", "DeadLetter"}


def test_a_row_that_is_there_twice_shows(tmp_path: Path) -> None:
    nothing = ", ".join(
        f'null::{kind} as "{name}"' for name, kind in READINGS.columns.items() if name not in ("id", "signal", "date")
    )
    readings = f"select 'o' || (i // 2) as id, 's' || (i % 2) as signal, '2031-05-04' as date, {nothing} from range(6) r(i)"
    READINGS.writer(tmp_path).append(duckdb.default_connection(), readings)
    assert count(tmp_path)["readings"] == {"rows": 6, "keys": 6, "observations": 3}
    table = DeltaTable(str(tmp_path / "readings"))
    write_deltalake(table, duckdb.sql(f"from ({readings}) where id = 'o1' and signal = 's0'"), mode="append")
    assert count(tmp_path)["readings"] == {"rows": 7, "keys": 6, "observations": 3}
