"""Estates that nobody thought of when the functions were written: names, clocks, ends, gaps. Each figure is counted by hand."""

from __future__ import annotations

import atexit
import json
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from powerbi.report import city_report
from powerbi.semantic_model import read_model
from tests.support.dax_engine import Measures, measures_of
from tests.support.definition_checks import report_faults
from tests.support.report_store import ReportStore, Row
from tests.support.report_world import (
    DAY,
    HOUR,
    LONG,
    LYON,
    MINUTE,
    NOW,
    City,
    Outage,
    alert_rows,
    at,
    city_minutes,
    device_row,
    room_row,
)

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALWAYS = "00:00", "24:00"
AVAILABILITY = "Availability in office hours"


def city(zone: str, name: str = "Odd", slug: str = "odd", hours: tuple[str, str] = ALWAYS) -> City:
    return City(slug, name, zone, WEEK, *hours, LONG)


def store(place: City, processed: list[Row], alerts: list[Row] | None = None, minutes: list[Row] | None = None) -> ReportStore:
    seen = list(city_minutes(place)) if minutes is None else minutes
    return ReportStore(NOW, {"Processed": processed, "Alerts": alerts or [], "CityMinute": seen}, [place.script])


def figures(of: ReportStore, *names: str, **chosen: Any) -> tuple[Any, ...]:
    measures: Measures = measures_of(of)
    return tuple(measures.value(name, **chosen) for name in names)


# ---- names are text


NAMES = ["L'Aquila", 'Zürich "West"', "🏔 Alp", "חיפה", "a\\b", "{{city}}", "100 %", "x" * 120]


def test_any_name_of_a_city_comes_through_to_its_figures() -> None:
    places = [city("Europe/Rome", name, f"odd{number}") for number, name in enumerate(NAMES)]
    devices = [device_row(place.slug, place.slug, NOW, health="down") for place in places]
    found = measures_of(ReportStore(NOW, {"Processed": devices}, [place.script for place in places]))
    assert {name: found.value("Devices down", Cities__city=name) for name in NAMES} == dict.fromkeys(NAMES, 1)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_city_comes_through_to_its_report(name: str) -> None:
    parts = {path: part for path, part in city_report("odd", name, "Europe/Rome").parts.items() if isinstance(part, str)}
    assert report_faults(parts, read_model()) == []
    assert name in json.loads(parts[".platform"])["metadata"]["displayName"]


def test_devices_and_rooms_of_one_name_stay_two_in_every_list() -> None:
    devices = [
        device_row("AAAA1111", "odd", NOW, name="Navigator", workspaceId="room1111", workspaceName="Curie"),
        device_row("AAAA2222", "odd", NOW, name="Navigator", workspaceId="room2222", workspaceName="Curie", health="down"),
        device_row("AAAA3333", "odd", NOW, name="Board", workspaceId="room2222", workspaceName="Curie"),
        device_row("AAAA4444", "odd", NOW, name="Board 2", workspaceId="room4444", workspaceName="Dalton"),
        device_row("AAAA5555", "odd", NOW, name="Board", workspaceId="", connectionStatus="removed"),
        device_row("AAAA6666", "odd", NOW - 4 * HOUR, name="Board 2", workspaceId="room6666", workspaceName="Dalton"),
    ]
    found = store(city("Europe/Rome"), devices)
    assert sorted((row["device"], row["health"]) for row in found.rows("ReportDevices()")) == [
        ("Board", "up"), ("Board 2", "up"), ("Navigator · AAAA1111", "up"), ("Navigator · AAAA2222", "down"),
    ]  # fmt: skip
    assert sorted((row["room"], row["health"]) for row in found.rows("ReportRooms()")) == [
        ("Curie · room1111", "up"), ("Curie · room2222", "down"), ("Dalton", "up"),
    ]  # fmt: skip


@pytest.mark.parametrize("other", ["curie", "CURIE", "Curie ", "\tCurie"])
def test_names_that_power_bi_takes_for_one_are_two_as_well(other: str) -> None:
    devices = [
        device_row(f"Y2lzY28{number}AAA", "odd", NOW, name=name, workspaceId=f"cm9vbXM{number}AAA", workspaceName=name)
        for number, name in enumerate(["Curie", other])
    ]
    found = store(city("Europe/Rome"), devices)
    assert {row["device"] for row in found.rows("ReportDevices()")} == {"Curie · zY280AAA", f"{other} · zY281AAA"}
    assert {row["room"] for row in found.rows("ReportRooms()")} == {"Curie · vbXM0AAA", f"{other} · vbXM1AAA"}


def test_one_name_in_two_cities_is_not_ambiguous() -> None:
    there = [device_row("AAAA1111", "odd", NOW, name="Bar"), device_row("AAAA2222", "lyon", NOW, name="Bar")]
    found = ReportStore(NOW, {"Processed": there}, [city("Europe/Rome").script, LYON.script])
    assert {row["device"] for row in found.rows("ReportDevices()")} == {"Bar"}


# ---- clocks


ZONES = ["Asia/Kathmandu", "Pacific/Chatham", "America/St_Johns", "Pacific/Kiritimati", "Etc/GMT+12", "UTC"]
CHANGES = {
    "Europe/Rome": ("2026-10-25", 25 * 60), "America/New_York": ("2026-11-01", 25 * 60),
    "Australia/Lord_Howe": ("2026-10-06", 24 * 60),
    "Asia/Tokyo": ("2026-10-25", 24 * 60),
}  # fmt: skip
"""A day on which clocks change, or not, and how many minutes it has."""


@cache
def clocks() -> tuple[dict[str, City], ReportStore]:
    """A city in each zone, always open, whose device was down for ten hours."""
    places = {zone: city(zone, zone, f"zone{number}") for number, zone in enumerate([*ZONES, *CHANGES])}
    start = at("2026-10-28T06:00")
    rows = {
        "Processed": [device_row(place.slug, place.slug, NOW) for place in places.values()],
        "CityMinute": [row for place in places.values() for row in city_minutes(place)],
        "Alerts": [
            row for place in places.values() for row in alert_rows(Outage(place.slug, place.slug, start, start + 10 * HOUR))
        ],
    }
    return places, ReportStore(NOW, rows, [place.script for place in places.values()])


atexit.register(clocks.cache_clear)  # DuckDB complains of what is still there when it goes


def test_an_outage_is_on_the_days_of_the_city_s_own_clock() -> None:
    places, found = clocks()
    true = Counter(
        (place.slug, f"{place.local(at('2026-10-28T06:00') + minute * MINUTE):%Y-%m-%d}")
        for place in places.values()
        for minute in range(600)
    )
    down = {(row["deviceId"], f"{row['localDay']:%Y-%m-%d}"): row["officeMinutesDown"] for row in found.rows("ReportDowntime()")}
    assert down == true
    measures = measures_of(found)
    for (slug, day), minutes in true.items():
        availability = measures.value(AVAILABILITY, Devices__deviceId=slug, Cities__city=zone_of(slug), Dates__localDay=[at(day)])
        assert availability == pytest.approx(1 - minutes / 1440), (slug, day)


def zone_of(slug: str) -> str:
    return next(zone for zone, place in clocks()[0].items() if place.slug == slug)


def test_a_day_on_which_clocks_change_is_as_long_as_it_was() -> None:
    rows = clocks()[1].rows("ReportOfficeDays()")
    days = {(zone_of(row["cityId"]), f"{row['localDay']:%Y-%m-%d}"): row["officeMinutes"] for row in rows}
    assert {zone: days[zone, day] for zone, (day, _) in CHANGES.items()} == {zone: one for zone, (_, one) in CHANGES.items()}


ODD_DAYS = {
    ("Europe/Lisbon", "2025-03-30"): 23,
    ("Europe/Rome", "2024-02-29"): 24,
    ("Pacific/Auckland", "2024-09-29"): 23,
    ("Pacific/Auckland", "2025-04-06"): 25,
    ("Australia/Lord_Howe", "2024-10-06"): 23.5,
    ("Australia/Lord_Howe", "2025-04-06"): 24.5,
    ("Antarctica/Troll", "2025-03-30"): 22,
    ("America/Santiago", "2024-09-08"): 23,  # from here on clocks change at midnight
    ("America/Havana", "2025-03-09"): 23,
    ("America/Havana", "2024-11-03"): 25,
    ("Africa/Cairo", "2025-04-25"): 23,
    ("Africa/Cairo", "2024-10-31"): 25,
    ("Asia/Beirut", "2025-03-30"): 23,
    ("Asia/Beirut", "2024-10-26"): 25,
    ("Atlantic/Azores", "2024-10-27"): 25,
}
"""Days of zones and how many hours they have; days gone by, of which every edition of the time zones says the same."""


@pytest.mark.parametrize(("zone", "day"), ODD_DAYS)
def test_every_day_of_a_city_that_never_closes_is_as_long_as_its_clocks_made_it(zone: str, day: str) -> None:
    now = at(day) + 4 * DAY + 12 * HOUR
    place = City("odd", "Odd", zone, WEEK, *ALWAYS, ((now - 45 * DAY, now),))
    rows = {"Processed": [device_row("a", "odd", now)], "CityMinute": list(city_minutes(place))}
    found = ReportStore(now, rows | {"Alerts": list(alert_rows(Outage("a", "odd", now - 40 * DAY, None)))}, [place.script])
    days = {f"{row['localDay']:%Y-%m-%d}": row["officeMinutes"] / 60 for row in found.rows("ReportOfficeDays()")}
    assert days.pop(day) == ODD_DAYS[zone, day]
    days.pop(f"{place.local(now):%Y-%m-%d}", None)
    assert set(days.values()) == {24}
    assert figures(found, AVAILABILITY) == (0,)


# ---- beginnings, ends and gaps


def test_one_minute_of_data_is_one_minute() -> None:
    only = [{"windowEnd": NOW, "cityId": "odd", "signal": "devices", "mean": 1.0}]
    found = store(city("Europe/Rome"), [device_row("a", "odd", NOW)], minutes=only)
    assert [row["officeMinutes"] for row in found.rows("ReportOfficeDays()")] == [1.0]
    assert figures(found, AVAILABILITY, "Devices down", "Device count") == (1.0, 0, 1)


def test_a_device_that_is_removed_and_added_again_counts_once_as_it_is_now() -> None:
    again = [
        device_row("a", "odd", NOW - 3 * DAY, health="up"),
        device_row("a", "odd", NOW - 2 * DAY, connectionStatus="removed", health="unknown"),
        device_row("a", "odd", NOW - MINUTE, health="issues"),
    ]
    assert figures(store(city("UTC"), again), "Device count", "Devices with issues", "Rooms not well") == (1, 1, 1)
    gone = [*again, device_row("a", "odd", NOW, connectionStatus="removed", health="unknown")]
    assert figures(store(city("UTC"), gone), "Device count", "Devices with issues", "Rooms not well") == (None, None, None)


def test_a_device_that_moved_was_down_in_the_office_hours_of_the_city_it_is_in() -> None:
    """Two of the five Mondays, whatever the hours where it was."""
    before, after = (
        city("Europe/Berlin", "Before", "before"),
        City("after", "After", "Europe/Berlin", ("mon",), "08:00", "09:00", LONG),
    )
    rows = {
        "Processed": [device_row("a", "before", NOW - DAY), device_row("a", "after", NOW)],
        "CityMinute": [*city_minutes(before), *city_minutes(after)],
        "Alerts": list(alert_rows(Outage("a", "before", NOW - 10 * DAY, NOW - 2 * DAY))),
    }
    found = ReportStore(NOW, rows, [before.script, after.script])
    assert figures(found, AVAILABILITY) == figures(found, AVAILABILITY, Cities__city="After") == (0.6,)
    assert figures(found, AVAILABILITY, Cities__city="Before") == (None,)


@pytest.mark.parametrize("last_end", [NOW, NOW - 2 * DAY, None])
def test_a_device_is_down_once_at_a_time_though_the_end_of_an_alert_was_lost(last_end: Any) -> None:
    ends = [None, NOW - 7 * DAY, last_end]
    outages = [Outage("a", "odd", NOW - (10 - number) * DAY, end) for number, end in enumerate(ends)]
    found = store(city("UTC"), [device_row("a", "odd", NOW)], [row for outage in outages for row in alert_rows(outage)])
    minutes = sum(row["officeMinutesDown"] for row in found.rows("ReportDowntime()"))
    assert minutes == ((last_end or NOW) - (NOW - 10 * DAY)) / MINUTE


def test_a_city_that_is_renamed_keeps_its_past_and_one_that_is_removed_leaves_with_it() -> None:
    rows = [device_row("a", "odd", NOW, health="down"), device_row("b", "lyon", NOW)]
    alerts = list(alert_rows(Outage("a", "odd", NOW - DAY, NOW - DAY + HOUR)))
    renamed = ReportStore(NOW, {"Processed": rows, "Alerts": alerts}, [city("UTC", "New name").script, LYON.script])
    assert figures(renamed, "Devices down", "Alerts fired", "MTTR minutes", Cities__city="New name") == (1, 1, 60)
    removed = ReportStore(NOW, {"Processed": rows, "Alerts": alerts}, [LYON.script])
    assert figures(removed, "Device count", "Devices down", "Alerts fired", "MTTR minutes") == (1, 0, 0, None)


def test_a_room_without_devices_is_no_room_and_its_readings_move_no_figure() -> None:
    readings = room_row("lonely", "odd", NOW - HOUR, {"temperature": 50, "inUse": 1, "noShow": 1})
    found = store(city("UTC"), [device_row("a", "odd", NOW), readings])
    names = ("Room count", "Mean temperature", "Utilisation", "No-shows")
    assert figures(found, *names) == (1, None, None, None)


CALLS: list[tuple[list[Mapping[str, float | None]], float | None, float | None]] = [
    ([{"inCall": 1}], None, None),
    ([{"inCall": 1, "callLoss": None, "callJitter": None}], None, None),
    ([{"inCall": 1, "callLoss": 0}], 0, None),
    ([{"inCall": 0, "callLoss": 50}, {"inCall": 1, "callLoss": 4}], 4, None),
    ([{"inCall": None, "callJitter": 9}, {"inCall": 1, "callJitter": 0}], None, 0),
    ([{"inCall": 1, "callLoss": 1, "callJitter": 10}, {"inCall": 1, "callLoss": 3}, {"inCall": 1}], 2, 10),
]
"""Readings of a device, and its mean loss and jitter in calls."""


def test_calls_with_and_without_figures() -> None:
    rows = [
        device_row(f"d{number}", "odd", NOW - DAY * (said is not None) - place * MINUTE, said)
        for number, (readings, _, _) in enumerate(CALLS)
        for place, said in enumerate([*readings, None])
    ]
    found = measures_of(store(city("Asia/Kathmandu"), rows))
    names = ("Call loss", "Call jitter")
    said = [tuple(found.value(name, Devices__deviceId=f"d{number}") for name in names) for number in range(len(CALLS))]
    assert said == [(loss, jitter) for _, loss, jitter in CALLS]


def test_what_is_of_the_future_makes_no_minute_negative() -> None:
    """A clock of a device, or of the machine that polled, is wrong by an hour."""
    ahead = list(alert_rows(Outage("a", "odd", NOW + HOUR, None)))
    found = store(city("UTC"), [device_row("a", "odd", NOW + HOUR, health="down")], ahead)
    assert figures(found, "Devices down", "Open alerts") == (1, 1)
    assert found.rows("ReportDowntime()") == []
    assert [row["minutes"] for row in found.rows("ReportAlerts()")] == [0]


def test_an_alert_that_ends_before_it_began_lasted_no_time() -> None:
    backwards = list(alert_rows(Outage("a", "odd", NOW - HOUR, NOW - 2 * HOUR)))
    backwards[1] = backwards[1] | {"observedAt": NOW - 30 * MINUTE, "startedAt": NOW - 20 * MINUTE}
    found = store(city("UTC"), [device_row("a", "odd", NOW)], backwards)
    assert [row["minutes"] for row in found.rows("ReportAlerts()")] == [0]
    assert found.rows("ReportDowntime()") == []
