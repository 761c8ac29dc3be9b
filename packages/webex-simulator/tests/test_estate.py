"""The estate at rest: any size over any cities, the same again for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webex_simulator.catalogue import PRODUCTS
from webex_simulator.estate import City, Estate, build_estate
from webex_simulator.records import ODDITIES, oddity_of

ZONES = ("Europe/Paris", "America/Toronto", "Asia/Singapore", "Asia/Kolkata", "Pacific/Auckland")


@st.composite
def cities(draw: st.DrawFn) -> tuple[City, ...]:
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    return tuple(
        City(f"city-{number}", f"City {number}", ZONES[number % 5], tuple(f"City {number} House {n}" for n in range(count)))
        for number, count in enumerate(counts)
    )


def estate(size: int = 4000, seed: int = 7, *, traps: bool = True) -> Estate:
    lyon = City("lyon", "Lyon", "Europe/Paris", ("Lyon Part-Dieu", "Lyon Confluence"))
    return build_estate(seed, size, (lyon, City("oslo", "Oslo", "Europe/Oslo", ("Oslo Lysaker",))), traps=traps)


@settings(max_examples=25, deadline=None)
@given(cities(), st.integers(100, 1500), st.integers(0, 1 << 40))
def test_any_size_over_any_cities_is_built_whole(places: tuple[City, ...], size: int, seed: int) -> None:
    built = build_estate(seed, size, places)
    assert len(built.devices) == len(built.device_of_id) == size
    assert len(built.workspaces) == len(built.workspace_of_id)
    assert {location.name for location in built.locations} >= {name for city in places for name in city.locations}
    assert all(workspace.devices for workspace in built.workspaces)
    for device in built.devices:
        if device.workspace is not None:
            assert device.location is device.workspace.location
            assert device.index in device.workspace.devices


@given(st.integers(0, 1 << 40))
@settings(max_examples=5, deadline=None)
def test_the_same_seed_builds_the_same_estate_and_another_seed_another(seed: int) -> None:
    assert estate(300, seed) == estate(300, seed)
    assert not set(estate(300, seed).device_of_id) & set(estate(300, seed + 1).device_of_id)


@pytest.mark.parametrize("size", [99, 100_001])
def test_a_size_out_of_range_is_refused_with_the_range(size: int) -> None:
    with pytest.raises(ValueError, match="100 to 100000"):
        estate(size)


def test_products_have_the_shares_of_the_catalogue() -> None:
    built = estate()
    counts = Counter(device.product.name for device in built.devices)
    for product in PRODUCTS:
        assert counts[product.name] / len(built.devices) == pytest.approx(product.share, abs=0.01)


def test_rooms_hold_several_devices_and_navigators_are_in_rooms() -> None:
    built = estate()
    sizes = Counter(len(workspace.devices) for workspace in built.workspaces)
    assert sizes[2] > 200
    assert sizes[3] > 10
    navigators = [device for device in built.devices if device.product.type == "accessory"]
    assert all(navigator.workspace is not None and len(navigator.workspace.devices) > 1 for navigator in navigators)


def test_some_devices_are_a_persons_and_some_lie_in_store() -> None:
    built = estate()
    personal = [device for device in built.devices if device.workspace is None and not device.in_store]
    assert {device.product.name for device in personal} == {"Cisco Desk Mini"}
    assert len(personal) / len(built.devices) == pytest.approx(0.024, abs=0.008)
    assert sum(device.in_store for device in built.devices) / len(built.devices) == pytest.approx(0.006, abs=0.003)


def test_room_names_are_unique_within_a_location() -> None:
    built = estate()
    names = Counter((workspace.location.id, workspace.name) for workspace in built.workspaces)
    assert max(names.values()) == 1


def test_oddities_come_in_their_small_shares_and_not_at_all_without_traps() -> None:
    found = Counter(oddity_of(device) for device in estate(20_000).devices)
    for oddity, share in ODDITIES:
        assert found[oddity] / 20_000 == pytest.approx(share, abs=0.003)
        assert found[oddity] > 0
    assert {oddity_of(device) for device in estate(traps=False).devices} == {""}


def test_one_location_belongs_to_no_city_but_only_with_traps() -> None:
    assert [location.name for location in estate().locations if location.city is None] == ["Central Warehouse"]
    assert all(location.city for location in estate(traps=False).locations)
