"""The metrics tier: fair, within its budget, and every reading once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.city_mapping import CityMapping
from processors.ingest.directory import Directory
from processors.ingest.metrics import Ask, Reading, asks, new_readings, query, read_reading, read_up_to
from processors.ingest.records import BadRecord, read_location, read_workspace
from processors.ingest.settings import City
from processors.ingest.state import Watermark
from processors.timestamps import format_time
from tests.support.scripted_webex import location, workspace

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
METRICS = ("temperature", "humidity", "tvoc", "peopleCount")


def directory(*workspaces: dict[str, Any]) -> Directory:
    locations = [read_location(location(1, "Lyon Part-Dieu")), read_location(location(2, "Nowhere", "Atlantis"))]
    mapping = CityMapping([City("lyon", "Lyon", ("Lyon Part-Dieu",), ())])
    return Directory(mapping, {one.id: one for one in locations}, {one.id: one for one in map(read_workspace, workspaces)})


def pairs(due: list[Ask]) -> list[tuple[str, str]]:
    return [ask.key for ask in due]


def ago(**span: float) -> str:
    return format_time(NOW - timedelta(**span))


def test_only_sensors_that_are_set_up_in_rooms_of_a_city_are_asked() -> None:
    rooms = directory(
        workspace(1, "temperature", "relativeHumidity", "presenceDetection"),
        workspace(2),
        workspace(3, "temperature", locationId="location-2"),
        workspace(4, "occupancyDetection", "airQuality"),
    )
    assert set(pairs(asks(rooms, METRICS, {}, NOW))) == {
        ("workspace-1", "temperature"),
        ("workspace-1", "humidity"),
        ("workspace-4", "tvoc"),
        ("workspace-4", "peopleCount"),
    }


def test_the_longest_unasked_come_first() -> None:
    rooms = directory(*(workspace(n, "temperature") for n in range(5)))
    watermarks = {(f"workspace-{n}", "temperature"): Watermark(None, ago(minutes=10 * n)) for n in (1, 2, 3)}
    due = pairs(asks(rooms, METRICS, watermarks, NOW))
    assert set(due[:2]) == {("workspace-0", "temperature"), ("workspace-4", "temperature")}
    assert due[2:] == [("workspace-3", "temperature"), ("workspace-2", "temperature"), ("workspace-1", "temperature")]


def test_what_was_asked_less_than_a_minute_ago_can_wait() -> None:
    rooms = directory(workspace(1, "temperature"))
    assert not asks(rooms, METRICS, {("workspace-1", "temperature"): Watermark(None, ago(seconds=59))}, NOW)
    assert asks(rooms, METRICS, {("workspace-1", "temperature"): Watermark(None, ago(seconds=60))}, NOW)


def test_how_often_a_pair_is_asked_can_be_chosen() -> None:
    rooms, watermarks = directory(workspace(1, "temperature")), {("workspace-1", "temperature"): Watermark(None, ago(minutes=9))}
    assert not asks(rooms, METRICS, watermarks, NOW, every=timedelta(minutes=10))
    assert asks(rooms, METRICS, watermarks, NOW, every=timedelta(minutes=9))


@given(st.integers(1, 12), st.integers(1, 5))
def test_every_pair_has_its_turn(rooms_count: int, budget: int) -> None:
    rooms = directory(*(workspace(n, "temperature", "relativeHumidity") for n in range(rooms_count)))
    watermarks: dict[tuple[str, str], Watermark] = {}
    turns = -(-rooms_count * 2 // budget)
    for turn in range(turns):
        moment = NOW + timedelta(seconds=turn)
        for ask in asks(rooms, METRICS, watermarks, moment)[:budget]:
            watermarks[ask.key] = Watermark(None, format_time(moment))
    assert len(watermarks) == rooms_count * 2


ASK = Ask(read_workspace(workspace(1)), "temperature", None)


@pytest.mark.parametrize(
    ("watermark", "start"),
    [
        (None, {"minutes": 10}),
        (Watermark(None, ago(hours=1)), {"minutes": 10}),
        (Watermark(ago(hours=3), ago(hours=1)), {"hours": 3}),
        (Watermark(ago(days=9), ago(days=9)), {"hours": 47}),
        (Watermark(ago(minutes=-4), ago(minutes=1)), {"minutes": 10}),
        (Watermark(ago(), ago(minutes=1)), {"minutes": 10}),
    ],
)
def test_reading_goes_on_at_the_watermark_at_most_47_hours_back(watermark: Watermark | None, start: dict[str, int]) -> None:
    parameters = query(ASK._replace(watermark=watermark), NOW)
    assert (parameters["from"], parameters["to"]) == (ago(**start), format_time(NOW))
    named = {"workspaceId": "workspace-1", "metricName": "temperature", "aggregation": "none"}
    assert parameters.items() >= named.items()


def test_what_was_asked_after_now_was_asked_before_the_clock_was_set_back() -> None:
    rooms = directory(workspace(1, "temperature"))
    assert asks(rooms, METRICS, {("workspace-1", "temperature"): Watermark(None, ago(days=-1))}, NOW)


@pytest.mark.parametrize(
    ("watermark", "new", "read_to"),
    [
        (None, [], None),
        (Watermark(None, ago(hours=1)), [], None),
        (Watermark(ago(days=3), ago(days=3)), [], ago(minutes=10)),
        (Watermark(ago(minutes=3), ago(minutes=2)), [], ago(minutes=3)),
        (Watermark(ago(minutes=-4), ago(minutes=2)), [], ago(minutes=10)),
        (Watermark(ago(minutes=9), ago(minutes=2)), [Reading(NOW - timedelta(minutes=1), 20)], ago(minutes=1)),
        (None, [Reading(NOW + timedelta(minutes=4), 20)], ago()),
    ],
)
def test_reading_moves_on_and_never_ahead_of_the_poll(
    watermark: Watermark | None, new: list[Reading], read_to: str | None
) -> None:
    assert read_up_to(new, ASK._replace(watermark=watermark), NOW) == read_to


def test_readings_are_new_ordered_and_once() -> None:
    ask = ASK._replace(watermark=Watermark(ago(minutes=5), ago(minutes=5)))
    at = {minutes: Reading(NOW - timedelta(minutes=minutes), 20.0 + minutes) for minutes in (1, 3, 5, 7)}
    assert new_readings([at[1], at[3], at[3], at[5], at[7]], ask, NOW) == [at[3], at[1]]


def test_a_count_of_minus_one_is_no_count_but_minus_one_degree_is_a_temperature() -> None:
    cold = [Reading(NOW, -1)]
    assert new_readings(cold, ASK._replace(metric="peopleCount"), NOW) == []
    assert new_readings(cold, ASK, NOW) == cold


@pytest.mark.parametrize(
    "item",
    [
        None,
        {},
        {"timestamp": ago(minutes=1)},
        {"timestamp": ago(minutes=1), "value": "21"},
        {"timestamp": ago(minutes=1), "value": True},
        {"timestamp": ago(minutes=1), "value": float("nan")},
        {"timestamp": "soon", "value": 21},
        {"timestamp": "2027-01-01T00:00:00Z", "value": 21},
    ],
)
def test_an_absurd_reading_is_a_bad_record(item: dict[str, Any] | None) -> None:
    with pytest.raises(BadRecord):
        read_reading(item, NOW)
