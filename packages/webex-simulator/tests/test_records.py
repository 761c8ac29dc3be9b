"""Records with the oddities met in the real API: each shows, in the devices that have it and in no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from webex_world import CITIES, TUESDAY_NOON

from webex_simulator.conditions import Conditions
from webex_simulator.effects import Effects
from webex_simulator.estate import build_estate
from webex_simulator.records import Records, oddity_of

Record = dict[str, Any]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Record]]:
    """Records of devices at sites, each with its oddity."""
    estate = build_estate(7, 3000, CITIES)
    effects = Effects(estate, Path(tmp_path_factory.mktemp("records")) / "effects.json")
    rendered = Records(estate, Conditions(estate, effects), effects)
    at_sites = (device for device in estate.devices if not device.in_store)
    return [(oddity_of(device), json.loads(rendered.device(device.index, TUESDAY_NOON))) for device in at_sites]


@pytest.mark.parametrize(
    ("oddities", "shows"),
    [
        ({"no ip"}, lambda record: "ip" not in record),
        ({"no mac"}, lambda record: "mac" not in record),
        ({"null mac"}, lambda record: record.get("mac", "absent") is None),
        ({"no software"}, lambda record: "software" not in record),
        ({"no location"}, lambda record: "locationId" not in record),
        ({"clock ahead"}, lambda record: record["lastSeen"] > "2026-11-24T11:00:00.000Z"),
    ],
)
def test_an_oddity_shows_where_it_is_and_nowhere_else(
    records: list[tuple[str, Record]], oddities: set[str], shows: Callable[[Record], bool]
) -> None:
    assert {oddity for oddity, record in records if shows(record)} == oddities
    if oddities != {"clock ahead"}:  # a device that is down was last seen long before, even by a clock that is ahead
        assert all(shows(record) for oddity, record in records if oddity in oddities)


def test_maintenance_is_text_an_object_or_missing(records: list[tuple[str, Record]]) -> None:
    kinds = {type(record.get("plannedMaintenance")) for _, record in records}
    assert kinds == {str, dict, type(None)}
    assert {record["type"] for _, record in records if "plannedMaintenance" not in record} == {"phone"}


def test_devices_in_store_have_no_place_and_no_address(tmp_path: Path) -> None:
    estate = build_estate(7, 1000, CITIES)
    effects = Effects(estate, tmp_path / "effects.json")
    rendered = Records(estate, Conditions(estate, effects), effects)
    stored = [json.loads(rendered.device(device.index, TUESDAY_NOON)) for device in estate.devices if device.in_store]
    assert stored
    for record in stored:
        assert not {"workspaceId", "personId", "locationId", "ip"} & set(record)
        assert record["connectionStatus"] == "offline_expired"
