"""How far behind firmware is: told by its own text, against the newest of the same product."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.firmware import NewestReleases, released


@pytest.mark.parametrize(
    ("software", "day"),
    [
        ("RoomOS 26.8.1.4 9a1b2c3d4e5", date(2026, 8, 1)),
        ("RoomOS 26.12", date(2026, 12, 1)),
        ("RoomOS 27.1.1.1 x", date(2027, 1, 1)),
        ("RoomOS 11.27.1.6 77aa88bb99c", date(2026, 1, 1)),
        ("RoomOS 10.19.4.2 5d7b7a6f1e0", date(2026, 1, 1)),
        ("RoomOS 26.13.1", None),
        ("RoomOS 26.0.1", None),
        ("PhoneOS 3.2(1)", None),
        ("ce9.15", None),
        ("", None),
    ],
)
def test_the_day_a_version_counts_as_released_on(software: str, day: date | None) -> None:
    assert released(software) == day


def test_a_device_is_measured_by_the_newest_of_its_own_product() -> None:
    newest = NewestReleases([("Bar", "RoomOS 26.8.1"), ("Bar", "RoomOS 26.6.1"), ("Board", "RoomOS 26.6.2"), ("Bar", None)])
    assert newest.days_behind("Bar", "RoomOS 26.6.1") == 61
    assert newest.days_behind("Bar", "RoomOS 26.8.9") == 0
    assert newest.days_behind("Board", "RoomOS 26.6.1") == 0
    assert newest.days_behind("Board", "RoomOS 11.27.1") == 151


@pytest.mark.parametrize(
    ("product", "software"), [(None, "RoomOS 26.8"), ("Bar", None), ("Bar", "rubbish"), ("Other", "RoomOS 26.8")]
)
def test_what_can_not_be_compared_has_no_age(product: str | None, software: str | None) -> None:
    assert NewestReleases([("Bar", "RoomOS 26.8")]).days_behind(product, software) is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.builds("RoomOS {}.{}.1".format, st.integers(9, 40), st.integers(1, 12)))))
def test_somebody_is_always_current_and_nobody_ahead(seen: list[tuple[str, str]]) -> None:
    newest = NewestReleases(seen)
    for product in {product for product, _ in seen}:
        ages = [newest.days_behind(product, software) for other, software in seen if other == product]
        assert min(age for age in ages if age is not None) == 0


@given(st.text())
def test_no_text_raises(text: str) -> None:
    released(f"RoomOS {text}")
