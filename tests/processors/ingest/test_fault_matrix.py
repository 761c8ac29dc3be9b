"""The fault matrices: nothing lost, nothing twice, whatever Webex does at whichever request; no outage hidden by a slow tier's
trouble; and the page says what is found."""

from __future__ import annotations

import pytest

from tests.support import slow_tier_faults
from tests.support.ingest_faults import FAULTS, PAGE, matrix, page
from tests.support.slow_tier_faults import ANSWERS, CASES, Found

pytestmark = pytest.mark.timeout(600)
"""Most faults are waited for: the two matrices take half a minute each where nothing else runs."""


@pytest.fixture(scope="module")
def apart() -> list[Found]:
    """What the second matrix finds."""
    return slow_tier_faults.matrix()


def test_whatever_a_slow_tier_answers_the_inventory_is_read_in_every_poll_and_every_outage_told_in_its_own(
    apart: list[Found],
) -> None:
    assert len(apart) == len(CASES) * len(ANSWERS)
    assert [found for found in apart if not found.inventory_is_well] == []


def test_healthy_rooms_answer_as_often_as_if_their_neighbours_were_well(apart: list[Found]) -> None:
    poor = [found for found in apart if found.who == "three rooms" and found.answers < 0.9 * found.undisturbed]
    assert poor == []


def test_what_a_slow_tier_could_not_have_is_said(apart: list[Found]) -> None:
    assert [found for found in apart if not found.said] == []


def test_every_fault_at_every_request_costs_nothing_and_the_page_says_so(apart: list[Found]) -> None:
    rows = matrix()
    assert [row.fault for row in rows] == [fault.name for fault in FAULTS]
    assert {row.fault: row.wrong for row in rows if row.wrong} == {}
    assert all(row.requests >= 6 for row in rows), "the fault met a request each time"
    assert PAGE.read_text(encoding="utf-8") == page(rows, slow_tier_faults.lines(apart)), (
        "write it anew: python tests/support/ingest_faults.py"
    )
