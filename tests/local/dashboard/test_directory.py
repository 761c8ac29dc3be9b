"""Every device as it is now: found, filtered, sorted, counted, and as CSV that no spreadsheet obeys."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.dashboard.directory import COLUMNS, FOUND_OF_EACH, Asked, Device, as_csv, devices, matches, rooms, search, selected
from tests.local.dashboard import sample_tiles

CITIES = {"lyon": "Lyon", "sao-paulo": "São Paulo"}


def row(id_: str = "d1", **more: Any) -> dict[str, Any]:
    return {
        "entityId": id_,
        "name": f"Bar {id_}",
        "product": "Room Bar",
        "workspaceId": "r1",
        "workspaceName": "Rhône",
        "locationId": "l1",
        "locationName": "Part-Dieu",
        "cityId": "lyon",
        "health": "up",
        "connectionStatus": "connected",
        "statusSince": "2026-11-24T10:00:00.000Z",
        "observedAt": "2026-11-24T11:07:00.000Z",
        "errorCodes": [],
        "software": "RoomOS 12",
    } | more


def listed(*rows: Mapping[str, Any], maintained: tuple[str, ...] = ()) -> list[Device]:
    return devices(rows, CITIES, maintained, {"d1": 2}, sample_tiles.NOON)


class TestDevices:
    def test_a_device_has_words_its_place_and_its_open_alerts(self) -> None:
        (device,) = listed(row(errorCodes=["touchpanelconnection", "brandnew"], details={"serial": "FOC1"}), maintained=("d1",))
        assert (device["city"], device["room"], device["alerts"], device["maintenance"]) == ("Lyon", "Rhône", 2, True)
        assert device["issues"] == ["touch panel lost", "brandnew"]
        assert device["details"] == {"serial": "FOC1"}

    @pytest.mark.parametrize(("minutes", "health"), [(179, "up"), (181, "unknown")])
    def test_one_that_nobody_hears_of_is_unknown_whatever_it_was(self, minutes: int, health: str) -> None:
        observed = (sample_tiles.NOON - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        assert listed(row(observedAt=observed))[0]["health"] == health

    def test_one_without_a_name_a_room_or_a_city_of_ours_is_there_as_well(self) -> None:
        nothing: dict[str, Any] = dict.fromkeys(("name", "product", "workspaceId", "workspaceName", "errorCodes"))
        (device,) = listed(row(**nothing, cityId="unassigned"))
        assert (device["name"], device["product"], device["room"], device["city"]) == ("d1", "", None, "unassigned")
        assert rooms([device]) == []

    def test_a_room_is_as_bad_as_its_worst_device_and_counts_them(self) -> None:
        three = (row("d1"), row("d2", health="issues"), row("d3", health="asleep"))
        first, second = rooms(listed(*three, row("d4", workspaceId="r2"), maintained=("d3",)))
        assert (first["health"], first["devices"], first["maintenance"]) == ("issues", 3, 1)
        assert (second["health"], second["devices"], second["maintenance"]) == ("up", 1, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("rhone", True), ("RHÔNE", True), ("rho part", True), ("part rho", True), ("  ", True), ("rhone paris", False),
        ("12", True), ("foc1", True), ("touch panel", True), ("lyon", True), ("d1", True), (".*", False),
    ],
)  # fmt: skip
def test_every_word_is_looked_for_in_all_that_is_known(text: str, found: bool) -> None:
    device = row(errorCodes=["touchpanelconnection"], details={"serial": "FOC1", "floor": None})
    assert bool(selected(listed(device), Asked(text=text))) is found


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_a_name_holds_finds_it(name: str, more: str) -> None:
    assert matches(name, f"{more}{name}") and matches(name.upper(), name.upper())


class TestTable:
    ALL = listed(
        row("d1", health="up", name="b", cityId="sao-paulo"),
        row("d2", health="down", name="É", statusSince="2026-11-24T11:00:00.000Z"),
        row("d3", health="down", name="a", statusSince="2026-11-24T09:00:00.000Z"),
        row("d4", health="issues", name="f", statusSince=None, software=None),
        maintained=("d2",),
    )

    @pytest.mark.parametrize(
        ("asked", "ids"),
        [
            (Asked(), ["d3", "d2", "d4", "d1"]),
            (Asked(order="-health"), ["d1", "d4", "d2", "d3"]),
            (Asked(order="name"), ["d3", "d1", "d2", "d4"]),
            (Asked(order="-name"), ["d4", "d2", "d1", "d3"]),
            (Asked(order="since"), ["d3", "d1", "d2", "d4"]),
            (Asked(order="no such column"), ["d3", "d2", "d4", "d1"]),
            (Asked(city="sao-paulo"), ["d1"]),
            (Asked(health="down"), ["d3", "d2"]),
            (Asked(health="maintenance"), ["d2"]),
            (Asked(health="down", text="a"), ["d3", "d2"]),
            (Asked(city="nowhere"), []),
        ],
        ids=str,
    )
    def test_it_is_filtered_and_sorted_as_asked(self, asked: Asked, ids: list[str]) -> None:
        assert [device["id"] for device in selected(self.ALL, asked)] == ids

    @pytest.mark.parametrize("column", ["health", "since", "name", "product", "room", "location", "city", "software"])
    def test_every_column_sorts_and_its_other_way_is_the_reverse(self, column: str) -> None:
        up, down = (selected(self.ALL, Asked(order=order)) for order in (column, f"-{column}"))
        assert up == down[::-1] and len(up) == 4


def test_a_search_finds_cities_rooms_and_devices_and_says_how_many_there_are() -> None:
    own = listed(*(row(f"d{number}", workspaceId=f"r{number}") for number in range(50)))
    cities = [{"slug": slug, "name": name, "timeZone": "UTC"} for slug, name in CITIES.items()]
    found = search("rhone", cities, rooms(own), own)
    assert {name: found[name]["total"] for name in found} == {"cities": 0, "rooms": 50, "devices": 50}
    assert len(found["rooms"]["found"]) == FOUND_OF_EACH
    assert [city["slug"] for city in search("sao", cities, rooms(own), own)["cities"]["found"]] == ["sao-paulo"]
    assert {group["total"] for group in search(" ", cities, rooms(own), own).values()} == {0}


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "＝1", "|cmd", "%0A"]


class TestCsv:
    @pytest.mark.parametrize("name", FORMULAS)
    @pytest.mark.parametrize(
        "field", ["name", "product", "workspaceName", "locationName", "software", "cityId", "entityId", "serial"]
    )
    def test_no_cell_is_a_formula(self, field: str, name: str) -> None:
        told = {"details": {"serial": name}} if field == "serial" else {field: name}
        cells = [cell for line in list(csv.reader(io.StringIO(as_csv(listed(row(**told))), newline="")))[1:] for cell in line]
        assert f"'{name}" in cells
        assert not [cell for cell in cells if cell.strip(" \u00a0")[:1] in set("=+-@\t\r\n＝＋－＠|%")]

    def test_it_is_utf_8_with_a_heading_and_lines_as_in_rfc_4180(self) -> None:
        text = as_csv(listed(row(name='São "Rhône", é\r\nx')))
        assert text.startswith("device,product,room,location,city,health,") and text.endswith("\r\n")
        (one,) = csv.DictReader(io.StringIO(text, newline=""))
        assert (one["device"], one["city"], one["openAlerts"], one["id"]) == ('São "Rhône", é\r\nx', "Lyon", "2", "d1")
        assert '"São ""Rhône"", é\r\nx"' in text

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12), max_size=5))
    def test_every_name_comes_back_with_an_apostrophe_at_most(self, names: list[str]) -> None:
        text = as_csv(listed(*(row(f"d{number}", name=name) for number, name in enumerate(names))))
        read = list(csv.reader(io.StringIO(text.encode().decode(), newline="")))[1:]
        shown = [name or f"d{number}" for number, name in enumerate(names)]
        assert [line[0].removeprefix("'") for line in read] == [name.removeprefix("'") for name in shown]
        assert {len(line) for line in read} <= {len(COLUMNS)}
