"""The events that every engine is given: readings of 2,000 devices in 40 cities over two hours, a third of them out of order."""

from __future__ import annotations

from pathlib import Path

import duckdb

FILES, EVENTS_PER_FILE = 25, 200_000
EVENTS = FILES * EVENTS_PER_FILE
START_MS = 1_772_438_400_000
"""2026-03-02T08:00:00Z."""
SPAN_MS = 7_200_000
OUT_OF_ORDER_MS = 4_900
"""No event is later than the 5 s every engine is told to wait, so that none of them drops or adjusts anything."""
CLOSING_CITY = "closing"
"""City of one last event, an hour later: it moves every watermark past the last window, and is left out of the comparison."""


def make_readings(folder: Path) -> list[Path]:
    """Files of JSON lines in order of arrival; no event lies on a full minute, where engines differ about the window's side."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.execute("SELECT setseed(0.7)")
        return [_make_file(connection, folder / f"{number:03d}.json", number) for number in range(FILES)]


def _make_file(connection: duckdb.DuckDBPyConnection, path: Path, number: int) -> Path:
    arrival = f"((n + {number * EVENTS_PER_FILE}) * {SPAN_MS / EVENTS})::BIGINT"
    late = f"CASE WHEN random() < 0.3 THEN (random() * {OUT_OF_ORDER_MS})::BIGINT ELSE 0 END"
    connection.execute(f"""
        COPY (
            SELECT
                'dev-' || lpad((h % 2000)::VARCHAR, 5, '0') AS device,
                'city-' || lpad((h % 2000 // 50)::VARCHAR, 2, '0') AS city,
                strftime(make_timestamp((ms + (ms % 60000 = 0)::BIGINT) * 1000), '%Y-%m-%dT%H:%M:%S.%gZ') AS time,
                'ambientTemperature' AS metric,
                round(21 + random(), 2) AS v
            FROM (
                SELECT (random() * 1e6)::BIGINT AS h, greatest(0, {arrival} - {late}) + {START_MS} AS ms
                FROM range({EVENTS_PER_FILE}) AS t(n)
            )
        ) TO '{path}' (FORMAT json)""")
    if number == FILES - 1:
        with path.open("a", encoding="utf-8") as file:
            file.write(f'{{"device":"none","city":"{CLOSING_CITY}","time":"2026-03-02T11:00:00.500Z","metric":"none","v":0.0}}\n')
    return path
