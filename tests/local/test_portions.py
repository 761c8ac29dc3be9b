"""Nothing is lost between portions, order is kept, and none is much larger than it may be."""

from __future__ import annotations

from collections.abc import Iterator

from local.portions import in_portions


def test_portions_hold_every_item_once_in_order_and_none_is_much_too_large() -> None:
    sent = ["x" * (number % 7) for number in range(50)]
    portions = list(in_portions(iter(sent), len, 10))
    assert [item for portion in portions for item in portion] == sent
    assert all(10 <= sum(map(len, portion)) < 17 for portion in portions[:-1])
    assert list(in_portions([], len, 10)) == []


def test_every_portion_is_filled_to_its_limit_before_the_next_begins() -> None:
    assert list(in_portions(["aa", "bb", "cc", "d", "e", "f"], len, 4)) == [["aa", "bb"], ["cc", "d", "e"], ["f"]]


def test_a_full_portion_is_given_before_anything_more_is_asked_for() -> None:
    def source() -> Iterator[str]:
        yield "aaaa"
        raise AssertionError("asked for more than fits")

    assert next(in_portions(source(), len, 4)) == ["aaaa"]
