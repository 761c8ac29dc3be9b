"""What is polled of sensors that are pushed: each once for what came before, at a pace that no budget notices."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from processors.ingest.directory import Directory
from processors.ingest.push.coverage import Pair
from processors.ingest.slow_tiers import SlowTiers
from tests.support.pushed import Hands, Heard, at, signals, status
from tests.support.scripted_webex import ScriptedWebex, workspace

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
TEMPERATURE = "RoomAnalytics.AmbientTemperature"


def asked_of(heard: Heard, pushed: int, continuous: int, polled: int, limit: int) -> tuple[int, int, int]:
    """Of an estate with so many sensors that are pushed (the first of them continuous) and that are only polled, how many a poll
    asks for: a sample, those with a gap, and the others.
    """
    poller, (room, *_) = heard.poller, heard.poller.places.workspaces.records.values()
    rooms = {f"room-{n}": room._replace(id=f"room-{n}", configured=frozenset({"temperature"})) for n in range(pushed + polled)}
    known = poller.places.directory
    assert known is not None
    pairs: list[Pair] = [(f"room-{n}", "temperature") for n in range(pushed)]
    heard.coverage.heard()
    heard.coverage.reported("device", dict.fromkeys(pairs, (NOON, 20.0)))
    for pair in pairs[:continuous]:
        heard.coverage.polled(pair, (NOON, 20.0))
    settings = replace(poller.settings, metric_requests_per_poll=limit)
    tiers = SlowTiers(settings, poller.client, poller.state, poller.book, heard.coverage, poller.uses)
    asks = [ask.key for ask in tiers.metrics_due(Directory(known.mapping, known.locations, rooms), NOON, 60.0)]
    own = set(pairs)
    sample = [pair for pair in asks if pair in own and heard.coverage.is_continuous(pair)]
    return len(sample), len([pair for pair in asks if pair in own]) - len(sample), len([pair for pair in asks if pair not in own])


@pytest.mark.parametrize(
    ("pushed", "continuous", "polled", "limit", "expected"),
    [
        (0, 0, 100, 60, (0, 0, 60)),
        (100, 100, 0, 60, (10, 0, 0)),
        (100, 100, 100, 60, (10, 0, 50)),
        (100, 95, 0, 60, (5, 5, 0)),
        (100, 0, 0, 60, (0, 10, 0)),
        (20_000, 0, 0, 60, (0, 14, 0)),
        (20_000, 0, 100, 60, (0, 14, 46)),
        (60_000, 0, 100, 60, (0, 30, 30)),
        (60_000, 0, 0, 500, (0, 42, 0)),
        (60_000, 59_999, 0, 500, (9, 1, 0)),
        (100, 0, 100, 6, (0, 6, 0)),
    ],
)
def test_each_pushed_sensor_is_asked_once_within_a_day_and_others_keep_half(
    heard: Heard, pushed: int, continuous: int, polled: int, limit: int, expected: tuple[int, int, int]
) -> None:
    assert asked_of(heard, pushed, continuous, polled, limit) == expected


def test_what_was_pushed_is_not_sent_again_when_its_gap_is_closed(heard: Heard, estate: ScriptedWebex, hands: Hands) -> None:
    """What was not pushed is missing: before the first push, after the newest one, and between two of which one in the middle was
    lost."""
    estate.listings["/workspaces"][0] = workspace(1, "temperature")
    heard.poll()
    heard.hear(status(1, 20, {TEMPERATURE: "23.1"}), status(1, 40, {TEMPERATURE: "23.4"}))
    readings = {10: 22.0, 20: 23.1, 30: 23.2, 40: 23.4, 50: 24.0}
    estate.metrics["workspace-1", "temperature"] = [
        {"deviceId": "device-1", "timestamp": at(seconds), "value": value} for seconds, value in readings.items()
    ]
    hands.now = hands.now.replace(minute=1, second=30)
    assert sent(heard.poll()) == [22.0, 23.2, 24.0]
    assert heard.poller.state.watermarks["workspace-1", "temperature"].read_to == at(50)


def test_a_message_from_before_the_gap_that_comes_late_hides_nothing_of_it(
    heard: Heard, estate: ScriptedWebex, hands: Hands
) -> None:
    estate.listings["/workspaces"][0] = workspace(1, "temperature")
    heard.poll()
    heard.hear(status(1, 40, {TEMPERATURE: "23.4"}))
    heard.hear(status(1, 10, {TEMPERATURE: "22.0"}))
    estate.metrics["workspace-1", "temperature"] = [
        {"deviceId": "device-1", "timestamp": at(seconds), "value": value}
        for seconds, value in {10: 22.0, 20: 23.1, 30: 23.2, 40: 23.4}.items()
    ]
    hands.now = hands.now.replace(minute=1, second=30)
    assert sent(heard.poll()) == [23.1, 23.2]


def test_what_an_answer_held_that_broke_on_its_way_is_polled(heard: Heard, estate: ScriptedWebex, hands: Hands) -> None:
    """After it the sensor is pushed on, and each push would move its watermark over what was lost."""
    estate.listings["/workspaces"][0] = workspace(1, "temperature")
    readings = {10: 22.0, 20: 23.1}
    estate.metrics["workspace-1", "temperature"] = [
        {"deviceId": "device-1", "timestamp": at(seconds), "value": value} for seconds, value in readings.items()
    ]
    heard.hear(status(1, 10, {TEMPERATURE: "22.0"}))
    hands.now = hands.now.replace(minute=1, second=30)
    heard.poll()
    assert heard.coverage.is_continuous(("workspace-1", "temperature"))
    heard.coverage.lost()
    for minute in (5, 25):
        hands.now = hands.now.replace(minute=minute, second=0)
        heard.hear(status(1, 60 * minute, {TEMPERATURE: "24.0"}))
    lost = {"deviceId": "device-1", "timestamp": at(120), "value": 30.5}
    later = [{"deviceId": "device-1", "timestamp": at(60 * minute), "value": 24.0} for minute in (5, 25)]
    estate.metrics["workspace-1", "temperature"] += [lost, *later]
    hands.now = hands.now.replace(minute=26)
    assert sent(heard.poll()) == [30.5]


def sent(polled: list[dict[str, Any]]) -> list[float]:
    return [signals(data)["temperature"] for data in polled if data["entity"] == "workspace" and "temperature" in signals(data)]
