"""Rows are packed into events by partition and table, and nothing of a row is lost on the way."""

from __future__ import annotations

import json
import zlib

import numpy as np

from asa_engine.engine import StreamEngine
from local.stream_job.delivery import EVENT_BYTES, messages_of, quarantined
from tests.support.observations import minute, observation, rule, signal
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
