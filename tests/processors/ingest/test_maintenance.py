"""Planned maintenance in every shape the API has been seen to give it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.maintenance import Maintenance, read_maintenance, under_way
from processors.timestamps import format_time

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def at(**span: float) -> str:
    return format_time(NOW + timedelta(**span))


@pytest.mark.parametrize(
    ("value", "going_on"),
    [
        ("off", False),
        ("on", True),
        ("ON", True),
        ("upcoming", False),
        ({"mode": "off"}, False),
        ({"mode": "on"}, True),
        ({"mode": "upcoming"}, False),
        ({"mode": "upcoming", "startTime": at(hours=-1), "endTime": at(hours=1)}, True),
        ({"mode": "upcoming", "startTime": at(hours=1), "endTime": at(hours=2)}, False),
        ({"mode": "on", "startTime": at(hours=-2), "endTime": at(hours=-1)}, False),
        ({"mode": "on", "startTime": at(hours=1)}, False),
        ({"mode": "on", "startTime": "soon", "endTime": 5}, True),
        ({"mode": "off", "startTime": at(hours=-1), "endTime": at(hours=1)}, False),
        ({"mode": "perhaps"}, False),
        ({}, False),
        (None, False),
        (True, False),
        ("", False),
        (["on"], False),
    ],
)
def test_whether_it_is_going_on(value: object, going_on: bool) -> None:
    assert under_way(read_maintenance(value), NOW) is going_on


@given(json_values)
def test_no_value_raises(value: object) -> None:
    under_way(read_maintenance(value), NOW)


@given(st.integers(-100, 100), st.integers(1, 100))
def test_a_window_counts_from_its_start_to_before_its_end(start: int, length: int) -> None:
    window = Maintenance("upcoming", at(minutes=start), at(minutes=start + length))
    assert under_way(window, NOW) is (start <= 0 < start + length)
