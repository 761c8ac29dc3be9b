"""Runs stream queries for tests: rows in, rows out, in as many batches as wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from asa_engine.engine import StreamEngine
from asa_engine.time_policy import TimePolicy
from asa_engine.types import NULL, Schema, type_of_json, unified

Row = dict[str, Any]
START = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> str:
    """A time some seconds after the start of every test stream, as ISO 8601."""
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def microseconds(text: str) -> int:
    """An ISO 8601 time as microseconds since the epoch."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def schema_of(rows: Sequence[Row]) -> Schema:
    """The schema that all of some rows fit."""
    row_type = NULL
    for row in rows:
        row_type = unified(row_type, type_of_json(row))
    return Schema(dict(row_type.fields))


def value_of(expression: str, row: Row) -> Any:
    """What an expression gives for one event; the event has its time in `ts`."""
    (found,) = run_query(f"SELECT {expression} AS x INTO o FROM inp TIMESTAMP BY ts", {"inp": [row]})["o"]
    return found["x"]


def run_query(
    query: str,
    inputs: Mapping[str, Sequence[Row]],
    *,
    batches: int | Sequence[int] = 1,
    references: Mapping[str, Sequence[Row]] | None = None,
    policy: TimePolicy | None = None,
    arrival: str | None = None,
    flush: bool = True,
    saved_in: Path | None = None,
) -> dict[str, list[Row]]:
    """The rows of every output, by its name in lower case.

    `batches`: into how many parts each input is split, or the places at which it is split. `arrival`: the column with the time of
    arrival. With `saved_in` the engine is saved, thrown away and restored between batches.
    """

    def engine() -> StreamEngine:
        return StreamEngine(
            query,
            {name: schema_of(rows) for name, rows in inputs.items()},
            {name: (schema_of(rows), rows) for name, rows in (references or {}).items()},
            policy or TimePolicy.of_seconds(5, 0),
        )

    running = engine()
    found: dict[str, list[Row]] = {output.name.lower(): [] for output in running.plan.outputs}
    cuts = {name: _cuts(len(rows), batches) for name, rows in inputs.items()}
    for number in range(max(len(cut) for cut in cuts.values()) - 1):
        for name, rows in inputs.items():
            if number + 1 < len(cuts[name]):
                part = rows[cuts[name][number] : cuts[name][number + 1]]
                arrivals = np.array([microseconds(row[arrival]) for row in part], dtype=np.int64) if arrival else None
                assert running.feed(name, [json.dumps(row) for row in part], arrivals) == []
        for output in running.advance():
            found[output.name.lower()] += output.rows()
        if saved_in is not None:
            file = saved_in / f"state-{number}.duckdb"
            running.save(file, {})
            running.close()
            running = engine()
            running.restore(file)
    if flush:
        for output in running.finish():
            found[output.name.lower()] += output.rows()
    running.close()
    return found


def _cuts(length: int, batches: int | Sequence[int]) -> list[int]:
    if isinstance(batches, int):
        return [length * number // batches for number in range(batches + 1)]
    return [0, *sorted(min(cut, length) for cut in batches), length]


def unordered(rows: Sequence[Row]) -> list[str]:
    """Rows as comparable texts, in no order."""
    return sorted(json.dumps(row, sort_keys=True) for row in rows)
