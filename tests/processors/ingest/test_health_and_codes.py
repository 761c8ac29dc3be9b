"""What statuses and issue codes mean."""

from __future__ import annotations

import json

import pytest

from processors.ingest.error_codes import CRITICAL, INFO, WARNING, grade_of
from processors.ingest.health import UNHEALTHY, health_of
from tests.support.shared_data import shared_data


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("connected", "up"),
        ("connected_with_issues", "issues"),
        ("disconnected", "down"),
        ("offline_expired", "down"),
        ("offline_deep_sleep", "asleep"),
        ("activating", "unknown"),
        ("pending", "unknown"),
        ("something_new", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_health_of_a_status(status: str | None, health: str) -> None:
    assert health_of(status) == health


def test_sleep_and_the_unknown_are_not_unhealthy() -> None:
    assert set(UNHEALTHY) == {"issues", "down"}


def test_every_documented_code_is_graded_as_agreed() -> None:
    codes = json.loads(shared_data("webex/error_codes.json").read_text(encoding="utf-8"))["codes"]
    assert {entry["code"]: grade_of(entry["code"]) for entry in codes} == {entry["code"]: entry["grade"] for entry in codes}


def test_grades_do_not_overlap_and_new_codes_are_ungraded() -> None:
    assert not (CRITICAL & WARNING or CRITICAL & INFO or WARNING & INFO)
    assert grade_of("a-code-of-next-year") is None
