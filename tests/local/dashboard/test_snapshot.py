"""The sections the page is made of, from tiles in their declared shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from local.clock import SimulatedClock
from local.dashboard.lookup import Known, Lookup
from local.dashboard.snapshot import alert_sections, city_sections, overview_sections, wall_sections
from local.run_settings import LocalCity, RunSettings
from powerbi.tiles import read_tiles
from tests.local.dashboard import sample_tiles
from tests.local.dashboard.page_under_test import HandSource

CITIES = sample_tiles.THREE_CITIES


def settings(cities: tuple[LocalCity, ...] = CITIES, speed: float = 1.0) -> RunSettings:
    clock = SimulatedClock(0.0, sample_tiles.NOON.timestamp(), speed, real_time=lambda: 0.0)
    return RunSettings(data_dir=Path("unused"), stack="dev", cities=cities, clock=clock, causes=sample_tiles.CAUSES)


@pytest.mark.parametrize("name", sorted(sample_tiles.normal().tiles()))
def test_the_sample_has_the_columns_that_the_tile_declares(name: str) -> None:
    row = sample_tiles.outage().tiles()[name][0]
    assert set(read_tiles()[name].columns) <= set(row), "the tests below would prove nothing about the real tile"


class TestOverview:
    def test_a_city_has_the_figures_of_its_newest_poll(self) -> None:
        lyon = overview_sections(settings(), sample_tiles.normal().tiles())["cities"][0]
        assert (lyon["name"], lyon["timeZone"]) == ("Lyon", "Europe/Paris")
        assert lyon["devices"] == {"total": 48, "up": 46, "issues": 1, "down": 1, "asleep": 0, "unknown": 0}
        assert (lyon["roomsReporting"], lyon["roomsInUse"]) == (12, 6)
        assert (lyon["rooms"], lyon["roomsUsable"], lyon["incidents"], lyon["worstSeverity"]) == (24, 23, 2, 2)

    def test_before_the_first_poll_every_city_is_there_and_nothing_is_known(self) -> None:
        sections = overview_sections(settings(), {})
        assert [city["slug"] for city in sections["cities"]] == ["lyon", "toronto", "singapore"]
        assert all(city["lastPoll"] is None and city["rooms"] is None for city in sections["cities"])
        assert sections["pipeline"]["newest"] is None

    def test_cities_keep_the_order_of_the_stack_whatever_happens(self) -> None:
        tiles = sample_tiles.worst().tiles()
        shown = overview_sections(settings(sample_tiles.ELEVEN_CITIES), tiles)["cities"]
        assert [city["slug"] for city in shown] == [city.slug for city in sample_tiles.ELEVEN_CITIES]

    def test_devices_of_no_city_get_a_card_of_their_own(self) -> None:
        tiles = sample_tiles.normal().tiles()
        tiles["cities"].append(tiles["cities"][0] | {"cityId": "unassigned"})
        last = overview_sections(settings(), tiles)["cities"][-1]
        assert (last["name"], last["declared"]) == ("Unassigned", False)

    def test_rooms_of_a_dark_location_come_after_those_nobody_has_been_notified_of(self) -> None:
        rooms = overview_sections(settings(), sample_tiles.outage().tiles())["worstRooms"]
        dark = [room["locationName"] == "Singapore Marina One" for room in rooms]
        assert dark == sorted(dark)
        assert dark.count(False) == 4

    def test_devices_of_a_room_are_one_row(self) -> None:
        estate = sample_tiles.Estate(CITIES, sample_tiles.NOON, health={"lyon-0-0-0": "down", "lyon-0-0-1": "issues"})
        (room,) = overview_sections(settings(), estate.tiles())["worstRooms"]
        assert room["health"] == "down"
        assert [device["health"] for device in room["devices"]] == ["down", "issues"]

    def test_data_counts_as_stale_after_missed_polls_and_the_way_here(self) -> None:
        assert overview_sections(settings(), {})["run"]["staleAfterSeconds"] == 40
        assert overview_sections(settings(speed=60), {})["run"]["staleAfterSeconds"] == 630, "the way here takes real seconds"


class TestKeptQuiet:
    """Maintenance and mutes: nobody is notified, and so the page has to say it."""

    def test_devices_in_maintenance_are_counted_by_city(self) -> None:
        estate = sample_tiles.Estate(CITIES, sample_tiles.NOON, maintained={"lyon-0-0-0", "lyon-0-0-1", "toronto-0-2-0"})
        shown = overview_sections(settings(), estate.tiles())["cities"]
        assert {city["slug"]: city["maintenance"] for city in shown} == {"lyon": 2, "toronto": 1, "singapore": 0}

    def test_before_the_first_poll_nobody_knows_what_is_in_maintenance(self) -> None:
        assert {city["maintenance"] for city in overview_sections(settings(), {})["cities"]} == {None}

    @pytest.mark.parametrize(
        ("until", "muted"), [("2026-11-23", []), ("2026-11-24", ["call-quality"]), ("2026-12-24", ["call-quality"])]
    )
    def test_a_mute_holds_to_the_end_of_its_last_day_in_the_city(self, until: str, muted: list[str]) -> None:
        lyon = replace(sample_tiles.LYON, mutes={"call-quality": until})
        assert overview_sections(settings((lyon,)), {})["cities"][0]["muted"] == muted

    def test_the_day_is_the_city_s_own(self) -> None:
        kiritimati = LocalCity("k", "Kiritimati", "Pacific/Kiritimati", (), mutes={"call-quality": "2026-11-24"})
        assert overview_sections(settings((kiritimati,)), {})["cities"][0]["muted"] == [], "there it is the 25th already"

    def test_rooms_in_maintenance_say_so_and_come_after_those_that_are_not(self) -> None:
        estate = sample_tiles.normal()
        estate.health |= {"lyon-0-0-0": "down", "lyon-0-0-1": "down"}
        estate.maintained = {"lyon-0-0-0", "lyon-0-0-1"}
        rooms = overview_sections(settings(), estate.tiles())["worstRooms"]
        assert [room["key"] for room in rooms if room["maintenance"]] == ["lyon-0-0"] == [rooms[-1]["key"]]
        (tile,) = [
            room
            for location in city_sections(settings(), estate.tiles(), "lyon")["locations"]
            for room in location["rooms"]
            if room["maintenance"]
        ]
        assert (tile["workspaceId"], tile["maintenance"], tile["devices"]) == ("lyon-0-0", 2, 2)


@pytest.mark.parametrize("sections", [overview_sections, wall_sections])
def test_the_worst_is_found_however_much_worse_there_is_of_no_city(sections: Callable[..., Any]) -> None:
    tiles = sample_tiles.normal().tiles()
    strays = [alert | {"cityId": "unassigned", "alertId": str(n)} for n in range(99) for alert in tiles["open_alerts"][:1]]
    tiles["open_alerts"] = [*(alert | {"entityId": alert["alertId"]} for alert in strays), *tiles["open_alerts"]]
    assert sections(settings(), tiles)["worst"]["cityId"] == "lyon"


class TestTheMoment:
    """What depends on the hour is the same everywhere, in messages too: processors/alert_fanout/routing.py, severity_at."""

    def of_the_night(self, hour: int) -> RunSettings:
        clock = SimulatedClock(0.0, sample_tiles.NOON.replace(hour=hour).timestamp(), 1.0, real_time=lambda: 0.0)
        return replace(settings(), clock=clock, outside_severities={"device-offline": 3})

    @pytest.mark.parametrize(("hour", "severity", "worst"), [(9, 2, "lyon"), (20, 3, "toronto")])
    def test_an_alert_has_the_severity_of_the_hour_in_its_city_on_every_page(self, hour: int, severity: int, worst: str) -> None:
        """At 20:00 UTC it is evening in Lyon and afternoon in Toronto."""
        estate = sample_tiles.Estate(CITIES, sample_tiles.NOON)
        devices = {device["entityId"]: device for device in estate.devices()}
        for minutes, device in ((30, "lyon-0-0-0"), (20, "toronto-0-0-0")):
            estate.fire("device-offline", 2, devices[device], minutes=minutes, signal="offline", value=1)
        tiles, at = estate.tiles(), self.of_the_night(hour)
        shown = overview_sections(at, tiles)
        assert (shown["worst"]["cityId"], wall_sections(at, tiles)["worst"]["cityId"]) == (worst, worst)
        assert {one["cityId"]: one["severity"] for one in shown["openAlerts"]}["lyon"] == severity
        assert (shown["cities"][0]["worstSeverity"], city_sections(at, tiles, "lyon")["city"]["worstSeverity"]) == (severity,) * 2
        sent = [
            {"alertId": alert["alertId"], "severity": 4, "resolvedAt": over}
            for alert, over in ((tiles["open_alerts"][0], None), (tiles["open_alerts"][0], "x"), ({"alertId": "gone"}, None))
        ]
        inbox = alert_sections(at, tiles, sent)["inbox"]  # type: ignore[arg-type]
        assert [alert["severity"] for alert in inbox] == [severity, 4, 4]

    @pytest.mark.parametrize(("hour", "severity"), [(9, 2), (20, 3)])
    def test_so_it_has_on_the_page_of_its_device_until_it_is_over(self, hour: int, severity: int) -> None:
        at, source = self.of_the_night(hour), HandSource()
        source.estate = estate = sample_tiles.Estate(CITIES, at.clock.now())
        (device,) = (device for device in estate.devices() if device["entityId"] == "lyon-0-0-0")
        for minutes, state in ((90, "resolved"), (30, "fired")):
            estate.fire("device-offline", 2, device, minutes=minutes, signal="offline", value=1)
            estate.alerts[-1]["state"] = state
        found = Lookup(at, source, lambda: Known(estate.tiles(), {})).device("lyon-0-0-0")
        assert found is not None
        assert [(past["resolvedAt"] is None, past["severity"]) for past in found["incidents"]] == [(True, severity), (False, 2)]

    def test_an_outage_is_as_large_as_what_is_down_now_also_before_its_devices_have_alerts(self) -> None:
        tiles = sample_tiles.outage().tiles()
        tiles["open_alerts"] = [alert for alert in tiles["open_alerts"] if alert["ruleId"] == "site-outage"]
        (worst, page) = wall_sections(settings(), tiles)["worst"], city_sections(settings(), tiles, "singapore")["openAlerts"][0]
        assert (worst["devicesFolded"], worst["devicesDown"], page["devicesDown"]) == (0, 24, 24)
        tiles["locations"] = []
        assert wall_sections(settings(), tiles)["worst"]["devicesDown"] is None


class TestWhatWebexTells:
    """Acceptance 3 of issue 17: what is lost, since when, what Cisco recommends, model, serial, floor."""

    KEPT: ClassVar = {
        "serial": "FOC2301ABCD", "floor": "Third floor", "switch": "sw-3", "port": "Gi1/0/12",
        "lost": [{"type": "TouchPanel", "name": "Cisco Room Navigator", "status": "LostConnection", "serial": "FOC2551N0DD"}],
        "issues": [
            {"title": "Touch panel disconnected", "recommendedAction": "See that its cable is plugged in.",
             "since": "2026-11-24T08:12:00.000Z"},
        ],
    }  # fmt: skip

    def test_a_room_that_is_not_well_says_it_of_its_device(self) -> None:
        rooms = overview_sections(settings(), sample_tiles.normal().tiles())["worstRooms"]
        device = next(device for room in rooms for device in room["devices"] if device["health"] == "issues")
        assert (device["details"], device["errorCodes"][0]) == (self.KEPT, "touchpanelconnection")

    def test_an_incident_says_it_with_its_issues_and_its_product(self) -> None:
        estate = sample_tiles.normal()
        told = {"signal": "criticalIssues", "text": "touchpanelconnection, brandnew", "product": "Cisco Room Bar"}
        estate.alerts[0] |= told | {"details": sample_tiles.DETAILS}
        shown = overview_sections(settings(), estate.tiles())["openAlerts"]
        (incident,) = (one for one in shown if one["details"])
        assert (incident["details"], incident["product"]) == (self.KEPT, "Cisco Room Bar")
        assert incident["issues"] == ["touchpanelconnection", "brandnew"]
        assert incident["observedAt"] == estate.alerts[0]["observedAt"]

    @pytest.mark.parametrize("status", [None, {"incidents": [{"name": "Meetings"}]}, {"unknown": "it answered 503"}])
    def test_every_page_says_what_webex_reports_as_the_newest_poll_has_it(self, status: dict[str, Any] | None) -> None:
        tiles = sample_tiles.normal().tiles()
        tiles["cities"][0] |= {"webexStatus": {"unknown": "long ago"}, "lastPoll": "2026-11-01T00:00:00.000Z"}
        for row in tiles["cities"][1:]:
            row["webexStatus"] = status
        pages = (
            overview_sections(settings(), tiles),
            city_sections(settings(), tiles, "lyon"),
            alert_sections(settings(), tiles, []),
        )
        assert [page["webexStatus"] for page in pages] == [status] * 3

    def test_before_the_first_poll_nothing_is_said(self) -> None:
        assert overview_sections(settings(), {})["webexStatus"] is None


class TestCity:
    def test_locations_with_an_outage_and_rooms_that_are_worst_come_first(self) -> None:
        estate = sample_tiles.darken(sample_tiles.normal(), "lyon-1")
        first, second = city_sections(settings(), estate.tiles(), "lyon")["locations"]
        assert (first["name"], first["offlineRatio"]) == ("Lyon Confluence", 1.0)
        assert [room["health"] for room in second["rooms"]][:2] == ["down", "up"]

    def test_it_has_only_its_own(self) -> None:
        sections = city_sections(settings(), sample_tiles.outage().tiles(), "lyon")
        assert {incident["cityId"] for incident in sections["openAlerts"]} == {"lyon"}
        assert [location["name"] for location in sections["locations"]] == ["Lyon Confluence", "Lyon Part-Dieu"]
        assert len(sections["trend"]["at"]) == 60

    def test_a_room_without_location_and_a_location_without_rooms_are_shown(self) -> None:
        tiles = sample_tiles.normal().tiles()
        tiles["rooms"] = [row | {"locationId": None, "locationName": None} for row in tiles["rooms"]]
        names = {location["name"]: len(location["rooms"]) for location in city_sections(settings(), tiles, "lyon")["locations"]}
        assert names == {"Lyon Part-Dieu": 0, "Lyon Confluence": 0, "No location": 24}

    def test_environment_names_the_rooms_at_both_ends(self) -> None:
        tiles = sample_tiles.normal().tiles()
        rooms = [row for row in tiles["environment"] if row["cityId"] == "lyon"]
        hottest = max(rooms, key=lambda row: row["temperature"])
        reading = city_sections(settings(), tiles, "lyon")["environment"][0]
        assert (reading["signal"], reading["rooms"]) == ("temperature", 24)
        assert (reading["high"], reading["highRoom"]) == (hottest["temperature"], hottest["name"])

    def test_a_signal_that_no_room_measures_is_left_out(self) -> None:
        tiles = sample_tiles.normal().tiles()
        tiles["environment"] = [row | {"tvoc": None} for row in tiles["environment"]]
        assert "tvoc" not in {reading["signal"] for reading in city_sections(settings(), tiles, "lyon")["environment"]}

    def test_rare_versions_are_counted_together(self) -> None:
        versions = [{"cityId": "lyon", "software": f"RoomOS {number}", "devices": 20 - number} for number in range(15)]
        listed = city_sections(settings(), {"firmware": versions}, "lyon")["firmware"]
        assert len(listed) == 11
        assert listed[-1] == {"software": None, "devices": 10 + 9 + 8 + 7 + 6}

    def test_before_the_first_poll_it_is_empty(self) -> None:
        sections = city_sections(settings(), {}, "toronto")
        assert sections["city"]["lastPoll"] is None
        assert (sections["trend"], sections["locations"], sections["environment"], sections["firmware"]) == (None, [], [], [])

    def test_office_hours_are_the_city_s_own(self) -> None:
        lyon = replace(sample_tiles.LYON, office_days=("tue",), opens="11:30", closes="24:00")
        hours = city_sections(settings((lyon,)), {}, "lyon")["officeHours"]
        assert hours["text"] == "Tuesday, 11:30 to 24:00"
        assert hours["spans"] == [["2026-11-24T10:30:00.000Z", "2026-11-24T11:08:00.000Z"]]

    def test_what_an_outage_explains_is_counted_into_it_on_every_page(self) -> None:
        estate = sample_tiles.outage()
        device = next(device for device in estate.devices() if device["locationId"] == "singapore-0")
        estate.fire("call-quality", 3, device, minutes=2, signal="callLoss", value=9.0)
        tiles = estate.tiles()
        (incident,) = city_sections(settings(), tiles, "singapore")["openAlerts"]
        assert (incident["ruleId"], incident["folded"]) == ("site-outage", 25)
        assert incident in overview_sections(settings(), tiles)["openAlerts"]

    def test_a_city_nobody_knows_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            city_sections(settings(), {}, "atlantis")


@pytest.fixture(scope="module")
def large() -> tuple[RunSettings, sample_tiles.Tiles]:
    """11 cities, 10,000 devices, a whole city down."""
    estate = sample_tiles.Estate(sample_tiles.ELEVEN_CITIES, datetime(2026, 11, 24, 12, tzinfo=UTC), rooms_per_location=228)
    for location in ("singapore-0", "singapore-1"):
        sample_tiles.darken(estate, location)
    return settings(sample_tiles.ELEVEN_CITIES), estate.tiles()


@pytest.mark.parametrize(
    ("assemble", "kilobytes"),
    [
        (lambda run, tiles: overview_sections(run, tiles), 100),
        (lambda run, tiles: wall_sections(run, tiles), 10),
        (lambda run, tiles: city_sections(run, tiles, "singapore"), 140),
        (lambda run, tiles: alert_sections(run, tiles, []), 5),
    ],
    ids=["overview", "wall", "city", "alerts"],
)
def test_at_ten_thousand_devices_what_is_sent_stays_small(
    large: tuple[RunSettings, sample_tiles.Tiles], assemble: Callable[..., object], kilobytes: int
) -> None:
    assert len(json.dumps(assemble(*large))) < kilobytes * 1000
