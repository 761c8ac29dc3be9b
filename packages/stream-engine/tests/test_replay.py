"""A recording of the real engine is replayed: the folder that a local run of Microsoft's tools leaves, here made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from query_runner import at
from typer.testing import CliRunner

from asa_engine.command import app
from asa_engine.errors import StreamEngineError
from asa_engine.replay import recordings_in, replay

QUERY = """WITH Warm_Rooms AS (SELECT room, celsius, ts FROM readings TIMESTAMP BY ts WHERE celsius > 20)
SELECT Room, AVG(celsius) AS mean, COUNT(*), System.Timestamp() AS until INTO means FROM Warm_Rooms
GROUP BY room, TumblingWindow(minute, 1) -- the end"""
EVENTS = [{"room": "a", "celsius": celsius, "ts": at(second)} for second, celsius in ((1, 20.5), (2, 19), (3, 21.2), (61, 22))]
WARM = [event for event in EVENTS if event["celsius"] != 19]
MEANS = [
    {"Room": "a", "mean": 20.850000000000001, "count": 2, "until": "2026-03-01T00:01:00.0000000Z"},
    {"Room": "a", "mean": 22.0, "count": 1, "until": "2026-03-01T00:02:00.0000000Z"},
]


def written(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")


def lines(rows: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, rows))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A project with a local run in it, its files with the separators of Windows and a mark at the beginning."""
    mock = {"filePath": "Inputs\\Local_readings.json", "subType": "InputMock"}
    written(tmp_path / "asaproj.json", json.dumps({"name": "j", "startFile": "q.asaql", "configurations": [mock]}))
    written(tmp_path / "q.asaql", "\ufeff" + QUERY)
    local = {"InputAlias": "readings", "Type": "Data Stream", "Format": "Json", "FilePath": "..\\data.json"}
    written(tmp_path / "Inputs" / "Local_readings.json", json.dumps(local))
    written(tmp_path / "data.json", json.dumps(EVENTS))
    run = tmp_path / "ASALocalRun" / "2026-03-01-12-00-00"
    written(run / "identity", "\ufeff0")
    written(run / "intermediate" / "warm_rooms_0_warm_rooms" / "Partition-0.json", lines(WARM))
    written(run / "intermediate" / "means_0_means" / "Partition-0.json", lines(MEANS))
    written(run / "means.json", ",".join(map(json.dumps, MEANS)))
    written(run / "metrics" / "readings_0" / "Partition-0-0.json", json.dumps({"InputEventsTotal": 4}))
    return run


def test_every_recorded_step_and_output_is_compared(recording: Path) -> None:
    assert [(result.name, result.passed) for result in replay(recording)] == [("means", True), ("warm_rooms", True)]


def test_a_difference_is_shown_where_it_begins(recording: Path) -> None:
    written(recording / "intermediate" / "warm_rooms_0_warm_rooms" / "Partition-0.json", lines(WARM[1:]))
    written(recording / "gone.json", "{}")
    gone, means, warm = replay(recording)
    assert means.passed and "no such step or output" in gone.error
    assert (warm.missing["warm_rooms"], warm.unexpected["warm_rooms"]) == ([], [WARM[0]])
    result = CliRunner().invoke(app, ["replay", str(recording)])
    assert result.exit_code == 1
    assert "3 steps and outputs, 2 failed" in result.output and "warm_rooms, unexpected" in result.output


def test_query_and_inputs_may_lie_elsewhere(recording: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    written(elsewhere / "query.asaql", QUERY.replace("> 20", "> 21"))
    written(elsewhere / "events.jsonl", lines(EVENTS))
    found = replay(recording, elsewhere / "query.asaql", {"Readings": elsewhere / "events.jsonl"})
    assert [result.passed for result in found] == [False, False]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamEngineError, match="has no recorded rows"):
        recordings_in(tmp_path)
    written(tmp_path / "o.json", "{}")
    with pytest.raises(StreamEngineError, match="Add --query FILE"):
        replay(tmp_path)
    written(tmp_path / "q.asaql", QUERY)
    with pytest.raises(StreamEngineError, match="Input readings has no events: add --input readings=FILE"):
        replay(tmp_path, tmp_path / "q.asaql")
