"""A saved state is continued exactly, or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from query_runner import at, schema_of

from local.stream_engine.engine import StreamEngine
from local.stream_engine.errors import CorruptState, StateMismatch

QUERY = "SELECT v, LAG(v) OVER (LIMIT DURATION(hour, 1)) AS p INTO o FROM inp TIMESTAMP BY ts"
SCHEMAS = {"inp": schema_of([{"v": 1, "ts": at(0)}])}


def saved(folder: Path) -> Path:
    engine = StreamEngine(QUERY, SCHEMAS)
    engine.feed("inp", [json.dumps({"v": number, "ts": at(number)}) for number in range(100)])
    engine.advance()
    file = folder / "state"
    engine.save(file, {"position": 7})
    return file


def test_the_callers_notes_come_back(tmp_path: Path) -> None:
    assert StreamEngine(QUERY, SCHEMAS).restore(saved(tmp_path)) == {"position": 7}


def test_a_memory_that_could_not_be_written_stops_the_engine(tmp_path: Path) -> None:
    """Every time it is asked, since what it remembers lacks a tick."""
    engine = StreamEngine(QUERY, SCHEMAS)
    engine.feed("inp", [json.dumps({"v": number, "ts": at(number)}) for number in range(100)])
    for step in engine.plan.steps:
        for table in step.state_tables:
            engine.connection.execute(f'DROP TABLE "{table}"')
            engine.connection.execute(
                f'CREATE VIEW "{table}" AS SELECT NULL::STRUCT(v BIGINT, t BIGINT) AS h0_{step.name}, 0 AS seen'
            )
    engine.advance()
    for _ in range(2):
        with pytest.raises(duckdb.Error, match="memory"):
            engine.save(tmp_path / "state", {})
    engine.close()


def test_an_engine_closes_while_its_memory_is_written() -> None:
    engine = StreamEngine(QUERY, SCHEMAS)
    engine.feed("inp", [json.dumps({"v": number, "ts": at(number % 3600)}) for number in range(5000)])
    engine.advance()
    engine.close()


def test_the_state_of_another_query_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path)
    with pytest.raises(StateMismatch, match="another query"):
        StreamEngine(QUERY.replace("hour, 1", "hour, 2"), SCHEMAS).restore(file)


def test_a_truncated_state_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CorruptState, match=str(file)):
        StreamEngine(QUERY, SCHEMAS).restore(file)


def test_a_state_with_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    """In every block that holds data: whatever is read has a checksum."""
    file = saved(tmp_path)
    content = bytearray(file.read_bytes())
    for place in range(12288 + 64, len(content), 262144):
        if any(content[place : place + 64]):
            damaged = bytearray(content)
            damaged[place] ^= 1
            file.write_bytes(damaged)
            with pytest.raises(CorruptState):
                StreamEngine(QUERY, SCHEMAS).restore(file)


def test_something_that_is_no_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("hello", encoding="utf-8")
    with pytest.raises(CorruptState):
        StreamEngine(QUERY, SCHEMAS).restore(tmp_path / "state")
