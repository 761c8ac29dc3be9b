"""What statuses and issue codes mean, and which city a location belongs to."""

from __future__ import annotations

import json

import pytest
from shared_data import shared_data

from processors.ingest.city_mapping import UNASSIGNED, CityMapping
from processors.ingest.error_codes import CRITICAL, INFO, WARNING, grade_of
from processors.ingest.health import UNHEALTHY, health_of
from processors.ingest.settings import City


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
def test_health_of_a_status(status, health) -> None:
    assert health_of(status) == health


def test_sleep_and_the_unknown_are_not_unhealthy() -> None:
    assert set(UNHEALTHY) == {"issues", "down"}


def test_every_documented_code_is_graded_as_agreed() -> None:
    codes = json.loads(shared_data("webex/error_codes.json").read_text(encoding="utf-8"))["codes"]
    assert {entry["code"]: grade_of(entry["code"]) for entry in codes} == {entry["code"]: entry["grade"] for entry in codes}


def test_grades_do_not_overlap_and_new_codes_are_ungraded() -> None:
    assert not (CRITICAL & WARNING or CRITICAL & INFO or WARNING & INFO)
    assert grade_of("a-code-of-next-year") is None


CITIES = [
    City("lyon", "Lyon", ("Lyon Part-Dieu", "location-9"), ()),
    City("sao-paulo", "São Paulo", ("São Paulo Paulista",), ()),
]


@pytest.mark.parametrize("name", ["Lyon Part-Dieu", "  lyon   PART-DIEU ", "Ｌｙｏｎ Part-Dieu", "lyon part-dieu\n"])
def test_a_location_is_found_however_its_name_is_typed(name) -> None:
    assert CityMapping(CITIES).city_of("some-id", name) == "lyon"


def test_accents_matter_but_not_how_they_are_encoded() -> None:
    assert CityMapping(CITIES).city_of(None, "Sa\u0303o Paulo Paulista") == "sao-paulo"


def test_an_id_wins_over_a_name() -> None:
    assert CityMapping(CITIES).city_of("location-9", "São Paulo Paulista") == "lyon"


@pytest.mark.parametrize(("location_id", "name"), [(None, None), ("unheard-of", None), ("unheard-of", "Grenoble"), (None, "")])
def test_what_no_city_lists_is_unassigned(location_id, name) -> None:
    assert CityMapping(CITIES).city_of(location_id, name) == UNASSIGNED
