"""Which city a location belongs to: by id, by name however it is typed, by the city of its address; and never a guess."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from processors.contracts.facts import UNASSIGNED, normalised
from processors.ingest.city_mapping import CityMapping, plain
from processors.ingest.settings import City

CITIES = [
    City("lyon", "Lyon", ("Lyon Part-Dieu", "location-9"), ()),
    City("sao-paulo", "São Paulo", ("São Paulo Paulista",), ()),
]


@pytest.mark.parametrize("name", ["Lyon Part-Dieu", "  lyon   PART-DIEU ", "Ｌｙｏｎ Part-Dieu", "lyon part-dieu\n"])
def test_a_location_is_found_however_its_name_is_typed(name: str) -> None:
    assert CityMapping(CITIES).city_of("some-id", name) == "lyon"


@pytest.mark.parametrize("name", ["Sa\u0303o Paulo Paulista", "Sao Paulo Paulista", "SÃO  PAULO paulista"])
def test_accents_do_not_matter_nor_how_they_are_encoded(name: str) -> None:
    assert CityMapping(CITIES).city_of(None, name) == "sao-paulo"


def test_an_exact_name_wins_over_one_without_accents_and_doubt_decides_nothing() -> None:
    twins = CityMapping([City("one", "One", ("Sankt Pölten",), ()), City("two", "Two", ("Sankt Polten",), ())])
    assert twins.city_of(None, "sankt pölten") == "one"
    assert twins.city_of(None, "sankt polten") == "two"
    assert twins.city_of(None, "Sankt P\u014dlten") == UNASSIGNED


@pytest.mark.parametrize("address", ["Lyon", "LYON ", "Sao Paulo", "São Paulo", "sao-paulo", "Lyon Part-Dieu"])
def test_a_location_nobody_lists_belongs_to_the_city_its_address_names(address: str) -> None:
    assert CityMapping(CITIES).city_of("new", "A new office", address) == ("lyon" if "yon" in address.lower() else "sao-paulo")


def test_a_listed_name_wins_over_the_address() -> None:
    assert CityMapping(CITIES).city_of(None, "Lyon Part-Dieu", "São Paulo") == "lyon"


def test_a_city_may_list_how_else_its_name_is_spelt() -> None:
    munich = CityMapping([City("munich", "Munich", ("Werk 3", "München"), ())])
    assert munich.city_of(None, "Werk 4", "MÜNCHEN") == munich.city_of(None, "Werk 4", "munchen") == "munich"


def test_an_id_wins_over_a_name() -> None:
    assert CityMapping(CITIES).city_of("location-9", "São Paulo Paulista") == "lyon"


@pytest.mark.parametrize(("location_id", "name"), [(None, None), ("unheard-of", None), ("unheard-of", "Grenoble"), (None, "")])
def test_what_no_city_lists_is_unassigned(location_id: str | None, name: str | None) -> None:
    assert CityMapping(CITIES).city_of(location_id, name) == UNASSIGNED


names = st.text(min_size=1).filter(lambda text: normalised(text) != "")


@given(names, st.sampled_from([str.upper, str.lower, str.title]), st.sampled_from(["NFC", "NFD"]), st.integers(0, 3))
def test_however_a_name_is_written_it_leads_to_its_city(
    name: str, case: Callable[[str], str], form: Literal["NFC", "NFD"], spaces: int
) -> None:
    written = " " * spaces + unicodedata.normalize(form, case(name)) + " " * spaces
    assume(normalised(written) == normalised(name))
    assert CityMapping([City("there", "There", (name,), ())]).city_of(None, written) == "there"


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), names), max_size=8), names, st.none() | names)
def test_a_city_is_never_guessed(listed: list[tuple[str, str]], name: str, address: str | None) -> None:
    """What is found was listed for that city, or is how its name is written."""
    cities = [City(slug, f"City {slug}", tuple(text for owner, text in listed if owner == slug), ()) for slug in "abc"]
    found = CityMapping(cities).city_of(None, name, address)
    asked = {plain(text) for text in (name, address) if text}
    if found != UNASSIGNED:
        known = {plain(text) for owner, text in listed if owner == found} | {plain(f"City {found}"), found}
        assert asked & known


@given(st.text(), st.none() | st.text(), st.none() | st.text())
def test_no_text_raises(location_id: str, name: str | None, address: str | None) -> None:
    CityMapping(CITIES).city_of(location_id, name, address)
