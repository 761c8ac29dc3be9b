"""Rows are packed into events by partition and table, and nothing of a row is lost on the way."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from deltalake import DeltaTable

from asa_engine.engine import StreamEngine
from local.lake.tables import READINGS
from local.stream_job import delivery
from local.stream_job.delivery import EVENT_BYTES, LakeOutput, messages_of, quarantined
from tests.support.observations import START, minute, observation, rule, signal
from tests.support.roompulse_query import JOB

PARTITIONS = 4


def messages(output: str, count: int) -> list[tuple[int, str, list[str]]]:
    engine = StreamEngine(JOB.query, JOB.schemas, policy=JOB.policy)
    events = [observation(minute(0), [signal(1, [rule(for_seconds=0)])], f"device-{n}") for n in range(count)]
    engine.feed("observations", [json.dumps(event) for event in events], partitions=np.arange(count) % PARTITIONS)
    (rows,) = (rows for rows in engine.finish() if rows.name == output)
    found = messages_of(rows, JOB.outputs[output], PARTITIONS)
    return [(m.partition, dict(m.properties)["Table"], m.body.split("\n")) for m in found]


def test_rows_share_events_of_their_partition_and_table() -> None:
    packed = messages("processed", 900)
    assert sum(len(lines) for _, _, lines in packed) == 900
    assert all(sum(map(len, lines)) <= EVENT_BYTES for _, _, lines in packed)
    assert len(packed) < 12
    for partition, table, lines in packed:
        assert table == "Processed"
        for line in lines:
            row = json.loads(line)
            assert (row["PartitionId"], int(row["entityId"].removeprefix("device-")) % PARTITIONS) == (partition, partition)
            assert "Table" not in row


def test_city_minutes_are_spread_by_city() -> None:
    ((partition, table, (line,)),) = messages("cityminute", 9)
    assert (partition, table) == (zlib.crc32(json.loads(line)["cityId"].encode()) % PARTITIONS, "CityMinute")


def test_an_alert_has_an_event_of_its_own() -> None:
    assert [len(lines) for _, _, lines in messages("alerts", 9)] == [1] * 9


def test_a_quarantined_record_has_the_same_id_whenever_it_is_read() -> None:
    first, second = (
        json.loads(quarantined("{x" * 9000, "not valid JSON", 1_000_000, "observations/1", 4).body) for _ in range(2)
    )
    assert first == second
    assert len(first["data"]["record"]) == 8192


class HandClock:
    """Seconds that pass when a test says so."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


async def test_history_is_gathered_over_ticks_and_appended_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    monkeypatch.setattr(delivery, "time", clock)
    part: Any = None  # it is told of a full disk only
    lake = LakeOutput(part, READINGS.writer(tmp_path))
    engine = StreamEngine(JOB.query, JOB.schemas, policy=JOB.policy)
    due: list[bool] = []
    for tick in range(3):
        events = [json.dumps(observation(minute(tick), [signal(1, [])], f"device-{n}")) for n in range(2)]
        engine.feed("observations", events)
        engine.feed("observations", [json.dumps(observation(minute(tick + 0.5), [], "next"))])
        (rows,) = (rows for rows in engine.advance() if rows.name == "lake")
        lake.take(rows)
        due.append(lake.is_due)
        clock.seconds += 2.4
    assert due == [False, False, False]
    clock.seconds += 0.3
    assert lake.is_due
    stored = await lake.flush()
    assert (stored, lake.is_due, await lake.flush()) == (8, False, 0)
    lake.close()
    found = duckdb.sql(f"select count(*), count(distinct id) from read_parquet('{tmp_path}/readings/*/*.parquet')").fetchall()
    assert found == [(8, 8)]
    assert DeltaTable(tmp_path / "readings").version() == 1, "the table was made, and one commit followed"


def test_a_reading_goes_on_as_soon_as_its_partition_was_heard_of_again() -> None:
    """Nobody waits for what might be earlier: Azure and this machine would, for as long as JobConfig.json says."""
    engine = StreamEngine(JOB.query, JOB.schemas, policy=JOB.policy)
    engine.declare_partitions("observations", range(PARTITIONS))
    arrival = round(START.timestamp() * 1_000_000) + 200_000
    event = json.dumps(observation(minute(0), [signal(1, [])], "room-1"))
    engine.feed("observations", [event], np.array([arrival]), np.array([2]))
    found = []
    for partition in range(PARTITIONS):
        found.append([rows for rows in engine.advance() if rows.name == "processed" and rows.rows()])
        engine.heartbeat("observations", partition, arrival + 2000)
    (rows,) = (rows for rows in engine.advance() if rows.name == "processed")
    assert found == [[]] * PARTITIONS, "another partition may still bring something earlier"
    assert [row["entityId"] for row in rows.rows()] == ["room-1"]
