"""Whole polls against a Webex API on loopback: what is sent, when, in which order, and what a fault costs.

Every event of every test is checked against its JSON Schema by the sink that keeps it.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.ingest import slow_tiers
from processors.ingest.poll import Poller
from processors.ingest.settings import IngestSettings
from processors.ingest.sinks import SendError
from processors.ingest.state import IngestState
from processors.ingest.webex_client import WebexClient
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import FAST, TRACKING_ID, Answer, OneToken, Request, ScriptedWebex, device, error, location

SLOT = "2026-11-24T10:00:00.000Z"


def signals(data: dict[str, Any]) -> dict[str, float]:
    return {signal["name"]: signal["value"] for signal in data["signals"]}


def by_id(observations: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {data["entityId"]: data for data in observations}


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock) -> None:
    """Every test at 2026-11-24 10:00:03."""


class TestWhatIsSent:
    def test_the_first_poll_is_a_snapshot_then_devices_are_silent_until_they_change(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        assert poller.poll().snapshot
        assert [data["reason"] for data in kept.taken("device")] == ["snapshot"] * 4
        standing_clock.advance(10)
        poller.poll()
        assert kept.taken("device") == []
        standing_clock.advance(10)
        estate.listings["/devices"][1]["connectionStatus"] = "disconnected"
        poller.poll()
        (changed,) = kept.taken("device")
        assert (changed["entityId"], changed["reason"], changed["statusSince"]) == (
            "device-2",
            "change",
            "2026-11-24T10:00:20.000Z",
        )

    def test_unhealthy_devices_are_sent_at_every_poll(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        estate.listings["/devices"][0]["connectionStatus"] = "connected_with_issues"
        poller = make_poller()
        poller.poll()
        kept.taken()
        for _ in range(2):
            standing_clock.advance(10)
            poller.poll()
            assert [(data["entityId"], data["reason"]) for data in kept.taken("device")] == [("device-1", "unhealthy")]

    def test_everything_is_sent_again_when_the_snapshot_is_due(
        self, make_poller: MakePoller, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller(snapshot_minutes=1)
        poller.poll()
        kept.taken()
        sent = []
        for _ in range(6):
            standing_clock.advance(10)
            poller.poll()
            sent.append(len(kept.taken("device")))
        assert sent == [0, 0, 0, 0, 0, 4]

    def test_a_restart_is_not_a_snapshot(self, make_poller: MakePoller, kept: KeptEvents, standing_clock: StandingClock) -> None:
        make_poller().poll()
        kept.taken()
        standing_clock.advance(10)
        assert not make_poller().poll().snapshot
        assert kept.taken("device") == []

    def test_a_device_says_where_it_is_and_carries_the_rules_of_its_city(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.listings["/devices"][0] |= {"connectionStatus": "disconnected", "lastSeen": "2026-11-24T09:30:00Z"}
        estate.listings["/devices"][1]["errorCodes"] = ["softwareoutofdate", "missingdisplay"]
        make_poller().poll()
        devices = by_id(kept.taken("device"))
        down, ill = devices["device-1"], devices["device-2"]
        assert (down["cityId"], down["locationName"], down["workspaceName"]) == ("lyon", "Lyon Part-Dieu", "Room 1")
        offline = down["signals"][0]
        rule = {"id": "device-offline", "severity": 2, "op": ">=", "threshold": 1, "forSeconds": 300}
        assert offline == {"name": "offline", "value": 1, "since": "2026-11-24T09:30:00.000Z", "rules": [rule]}
        assert signals(ill) == {"offline": 0, "issues": 2, "warningIssues": 1, "criticalIssues": 1}
        assert "since" not in ill["signals"][0]
        texts = {signal["name"]: signal.get("text") for signal in ill["signals"]}
        assert (texts["issues"], texts["criticalIssues"]) == ("missingdisplay, softwareoutofdate", "missingdisplay")
        assert devices["device-4"]["signals"][0]["rules"] == []

    def test_what_is_unknown_is_left_out(self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents) -> None:
        estate.listings["/devices"] = [{"id": "bare"}]
        make_poller().poll()
        (bare,) = kept.taken("device")
        assert bare["cityId"] == "unassigned"
        assert None not in bare.values()
        assert not {"locationId", "workspaceId", "product", "software", "connectionStatus"} & set(bare)

    def test_a_device_without_location_is_where_its_workspace_is(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        del estate.listings["/devices"][3]["locationId"]
        make_poller().poll()
        assert by_id(kept.taken("device"))["device-4"]["cityId"] == "oslo"

    def test_personal_devices_are_left_out_and_counted(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.listings["/devices"].append({"id": "at-home", "personId": "someone", "connectionStatus": "disconnected"})
        assert make_poller().poll().personal_devices == 1
        assert "at-home" not in by_id(kept.taken())

    def test_a_device_listed_on_two_pages_is_sent_once(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.page_cap = 2
        estate.listings["/devices"].insert(2, estate.listings["/devices"][1])
        make_poller().poll()
        assert [data["entityId"] for data in kept.taken("device")] == ["device-1", "device-2", "device-3", "device-4"]

    def test_moving_to_another_city_is_a_change(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        poller.poll()
        kept.taken()
        estate.listings["/devices"][0]["locationId"] = "location-2"
        standing_clock.advance(10)
        poller.poll()
        (moved,) = kept.taken("device")
        assert (moved["reason"], moved["cityId"]) == ("change", "oslo")


class TestSummaries:
    def test_a_location_tells_the_share_of_its_room_devices_and_phones_that_are_down(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        panel = device(9, type="accessory", connectionStatus="disconnected")
        phone = device(8, type="phone", connectionStatus="disconnected")
        estate.listings["/devices"] += [panel, phone]
        make_poller().poll()
        locations = by_id(kept.taken("location"))
        assert signals(locations["location-1"]) == {
            "offlineRatio": 0.25, "devices": 5, "devicesSeen": 5, "oldestSightMinutes": 0
        }  # fmt: skip
        assert signals(locations["location-2"]) == {"offlineRatio": 0, "devices": 1, "devicesSeen": 1, "oldestSightMinutes": 0}
        assert locations["location-1"]["signals"][0]["rules"][0]["id"] == "site-outage"

    def test_a_city_counts_its_devices_by_health_and_its_rooms(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.listings["/devices"] += [
            device(11, connectionStatus="disconnected"),
            device(12, connectionStatus="connected_with_issues", errorCodes=["missingdisplay"]),
            device(13, connectionStatus="connected_with_issues", errorCodes=["stylusbattery"]),
            device(14, connectionStatus="offline_deep_sleep"),
            device(15, connectionStatus="pending"),
            device(16, workspaceId="workspace-11"),
            device(17, type="accessory", workspaceId="workspace-17"),
        ]
        make_poller().poll()
        lyon = signals(by_id(kept.taken("city"))["lyon"])
        assert lyon == {
            "devices": 10,
            "devicesUp": 5,
            "devicesIssues": 2,
            "devicesDown": 1,
            "devicesAsleep": 1,
            "devicesUnknown": 1,
            "devicesHeld": 0,
            "devicesSeen": 10,
            "oldestSightMinutes": 0,
            "rooms": 8,
            "roomsUsable": 5,
            "roomsReporting": 0,
            "roomsInUse": 0,
            "unseenMinutes": 0,
            "requests": 3,
            "quarantined": 0,
            "devicesVanished": 0,
        }

    def test_cities_come_after_what_they_sum_up_and_before_what_takes_its_time(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.listings["/devices"] = [device(1)]
        estate.metrics["workspace-1", "temperature"] = [{"timestamp": "2026-11-24T09:59:00.000Z", "value": 21}]
        make_poller(metric_requests=5).poll()
        entities = [data["entity"] for data in kept.taken()]
        assert entities == ["device", "location", "location", "city", "city", "workspace"]

    def test_devices_of_no_city_are_counted_as_unassigned(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.listings["/devices"].append(device(20, locationId=None, workspaceId=None))
        make_poller().poll()
        unassigned = by_id(kept.taken("city"))["unassigned"]
        assert (unassigned["name"], signals(unassigned)["devices"]) == ("Unassigned", 1)


class TestPlaces:
    def test_locations_are_listed_once_and_again_when_their_time_has_come(
        self, make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock
    ) -> None:
        poller = make_poller(location_minutes=2)
        for _ in range(14):
            poller.poll()
            standing_clock.advance(10)
        assert len(estate.asked("/locations")) == 2
        assert len(estate.asked("/workspaces")) == 14

    def test_a_device_at_a_new_location_has_them_listed_sooner(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        poller.poll()
        estate.listings["/locations"].append(location(3, "Lyon Part-Dieu"))
        estate.listings["/devices"][0]["locationId"] = "location-3"
        cities = []
        for _ in range(4):
            kept.taken()
            standing_clock.advance(120)
            poller.poll()
            cities += [data["cityId"] for data in kept.taken("device") if data["entityId"] == "device-1"]
        assert cities == ["unassigned", "lyon"]
        assert len(estate.asked("/locations")) == 2

    def test_rooms_are_told_even_when_workspaces_can_never_be_read(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.always["/workspaces"] = error(403)
        assert make_poller().poll().partial
        assert {data["cityId"] for data in kept.taken("device")} == {"lyon", "oslo"}

    def test_a_device_keeps_its_room_while_workspaces_can_not_be_read_after_a_restart(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        make_poller().poll()
        kept.taken()
        standing_clock.advance(10)
        estate.always["/workspaces"] = error(403)
        make_poller().poll()
        assert kept.taken("device") == []

    def test_locations_of_no_city_are_named_in_the_report_and_their_devices_told(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.listings["/locations"].append(location(7, "Atlantis HQ"))
        estate.listings["/devices"].append(device(7, locationId="location-7"))
        assert make_poller().poll().unmapped == ["Atlantis HQ"]
        assert by_id(kept.taken("device"))["device-7"]["cityId"] == "unassigned"


class TestUnknownValues:
    def test_they_pass_and_are_counted(self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents) -> None:
        odd = {"connectionStatus": "hibernating", "type": "hologram", "errorCodes": ["newcode"], "newField": 1}
        estate.listings["/devices"] += [device(8, **odd), device(9, plannedMaintenance={"mode": "maybe"}, errorCodes=["newcode"])]
        report = make_poller().poll()
        assert report.unknown == {
            "connectionStatus=hibernating": 1, "type=hologram": 1, "errorCode=newcode": 2, "field=newField": 1,
            "plannedMaintenance=maybe": 1,
        }  # fmt: skip
        assert by_id(kept.taken("device"))["device-8"]["connectionStatus"] == "hibernating"

    def test_a_flood_of_them_is_counted_together(self, make_poller: MakePoller, estate: ScriptedWebex) -> None:
        estate.listings["/devices"] += [device(100 + n, connectionStatus=f"status-{n}" + "x" * 500) for n in range(80)]
        unknown = make_poller().poll().unknown
        assert sum(unknown.values()) == 80
        assert len(unknown) <= 51
        assert max(map(len, unknown)) < 90


class TestDisappearing:
    def test_a_device_missing_once_is_not_gone(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        poller.poll()
        everything = estate.listings["/devices"]
        for listing in (everything[1:], everything[1:], everything, everything[1:]):
            kept.taken()
            standing_clock.advance(10)
            estate.listings["/devices"] = listing
            poller.poll()
            assert kept.taken("device") == []
        assert "device-1" in poller.state.devices

    def test_a_device_missing_three_times_is_told_removed_and_its_alerts_resolve(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        estate.listings["/devices"][0]["connectionStatus"] = "disconnected"
        make_poller().poll()
        del estate.listings["/devices"][0]
        for _ in range(3):
            kept.taken()
            standing_clock.advance(10)
            make_poller().poll()
        (removed,) = [data for data in kept.taken() if data["entityId"] == "device-1"]
        assert (removed["connectionStatus"], removed["reason"]) == ("removed", "change")
        assert signals(removed) == {"offline": 0, "issues": 0, "criticalIssues": 0}
        assert removed["signals"][0]["rules"][0]["id"] == "device-offline"
        standing_clock.advance(10)
        poller = make_poller()
        poller.poll()
        assert kept.taken("device") == []
        assert poller.poll().devices == 3

    def test_partial_polls_do_not_make_devices_disappear(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        poller.poll()
        estate.page_cap = 2
        for _ in range(5):
            standing_clock.advance(10)
            estate.faults["/devices"] = [None, error(500), error(500), error(500)]
            assert poller.poll().partial
        assert len(poller.state.devices) == 4

    def test_an_outage_ends_when_the_last_device_of_the_location_is_removed(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        estate.listings["/devices"][3]["connectionStatus"] = "disconnected"
        poller = make_poller()
        poller.poll()
        assert signals(by_id(kept.taken("location"))["location-2"])["offlineRatio"] == 1
        del estate.listings["/devices"][3]
        for _ in range(3):
            kept.taken()
            standing_clock.advance(10)
            poller.poll()
        assert signals(by_id(kept.taken("location"))["location-2"]) == {"offlineRatio": 0, "devices": 0, "devicesSeen": 0}

    def test_a_device_that_comes_back_after_an_unacknowledged_farewell_is_told_again(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        make_poller().poll()
        everything = estate.listings["/devices"]
        estate.listings["/devices"] = everything[:3]
        for fails_after in (None, None, 1):
            standing_clock.advance(10)
            kept.taken()
            kept.sends_until_failure = fails_after
            poller = make_poller()
            if fails_after is None:
                poller.poll()
            else:
                with pytest.raises(SendError):
                    poller.poll()
        kept.sends_until_failure = None
        estate.listings["/devices"] = everything
        make_poller().poll()
        assert [data["entityId"] for data in kept.taken("device")] == ["device-4"]


class TestBadRecords:
    def test_they_are_quarantined_with_what_is_needed_to_find_them_and_the_rest_goes_on(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        no_id = {"displayName": "no id", "workspaceId": "workspace-1"}
        estate.listings["/devices"] += [no_id, "not an object", device(9, connectionStatus=5)]
        report = make_poller().poll()
        assert (report.quarantined, report.partial, len(kept.taken("device"))) == (3, False, 5)
        told = kept.events["deadletter"][0]
        assert told["data"] == {
            "reason": "the record has no id",
            "stage": "ingest",
            "endpoint": "/devices",
            "trackingId": TRACKING_ID,
            "pollId": SLOT,
            "record": '{"displayName": "no id", "workspaceId": "workspace-1"}',
        }

    def test_they_are_counted_in_the_city_observation(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.listings["/workspaces"].append({})
        make_poller().poll()
        assert {signals(data)["quarantined"] for data in kept.taken("city")} == {1}

    def test_the_same_record_is_sent_once_between_two_snapshots_but_counted_every_time(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        estate.listings["/devices"].append({})
        poller = make_poller(snapshot_minutes=1)
        for _ in range(7):
            assert poller.poll().quarantined == 1
            standing_clock.advance(10)
        assert [event["data"]["pollId"][14:19] for event in kept.events["deadletter"]] == ["00:00", "01:00"]

    def test_a_known_device_whose_record_turns_bad_is_not_gone(
        self, make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        poller.poll()
        estate.listings["/devices"][0]["displayName"] = 5
        for _ in range(4):
            standing_clock.advance(10)
            poller.poll()
        assert "device-1" in poller.state.devices

    def test_a_long_record_is_cut(self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents) -> None:
        estate.listings["/devices"].append({"displayName": "x" * 20_000, "workspaceId": "workspace-1"})
        make_poller().poll()
        assert len(kept.events["deadletter"][0]["data"]["record"]) == 8192

    def test_an_observation_too_large_to_send_goes_to_the_deadletter_hub_once(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        kept.limit_bytes = 20_000
        many = [f"{n:0100}" for n in range(200)]
        estate.listings["/devices"].append(device(9, errorCodes=many, connectionStatus="disconnected"))
        poller = make_poller()
        for _ in range(2):
            assert poller.poll().quarantined == 1
            standing_clock.advance(10)
        assert len(kept.taken("device")) == 4
        assert ["too large" in event["data"]["reason"] for event in kept.events["deadletter"]] == [True]

    @pytest.mark.parametrize(
        "broken",
        [
            pytest.param({"id": "device-9", "product": 5}, id="in part"),
            pytest.param({"displayName": "nobody", "workspaceId": "workspace-1"}, id="without an id"),
            pytest.param({"id": None, "displayName": "nobody", "workspaceId": "workspace-1"}, id="with an empty id"),
        ],
    )
    def test_a_record_that_moves_while_it_is_broken_is_sent_once(
        self,
        make_poller: MakePoller,
        estate: ScriptedWebex,
        kept: KeptEvents,
        standing_clock: StandingClock,
        broken: dict[str, Any],
    ) -> None:
        poller = make_poller()
        for minute in range(3):
            estate.listings["/devices"][4:] = [broken | {"lastSeen": f"2026-11-24T10:0{minute}:00.000Z"}]
            assert poller.poll().quarantined == 1
            standing_clock.advance(10)
        assert len(kept.events["deadletter"]) == 1


class TestPartialPolls:
    def test_the_pages_read_before_a_fault_are_sent_and_the_poll_says_partial(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.page_cap = 2
        estate.faults["/devices"] = [None, error(500), error(500), error(500)]
        report = make_poller().poll()
        assert report.partial
        assert TRACKING_ID in report.faults[0]
        sent = kept.taken()
        assert [data["entityId"] for data in sent if data["entity"] == "device"] == ["device-1", "device-2"]
        assert all(data["partial"] for data in sent if data["entity"] in ("location", "city"))

    def test_a_snapshot_that_could_not_be_finished_is_made_again(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        estate.faults["/devices"] = [error(403)]
        poller = make_poller()
        poller.poll()
        standing_clock.advance(10)
        assert poller.poll().snapshot

    def test_an_api_that_is_down_does_not_look_like_rooms_that_are_down(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        poller.poll()
        before = signals(by_id(kept.taken("city"))["lyon"])
        standing_clock.advance(30)
        for path in ("/devices", "/workspaces", "/locations"):
            estate.always[path] = error(403)
        poller.poll()
        lyon = by_id(kept.taken("city"))["lyon"]
        assert lyon["partial"]
        assert signals(lyon) == before | {"requests": 2, "unseenMinutes": 0.5, "devicesSeen": 0, "oldestSightMinutes": 0.5}

    def test_a_city_is_heard_of_even_when_nothing_could_be_read_from_the_start(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.always["/locations"] = error(403)
        report = make_poller().poll()
        assert report.partial
        sent = kept.taken()
        assert {(data["entityId"], data["partial"]) for data in sent} == {("lyon", True), ("oslo", True)}

    def test_places_of_the_last_poll_serve_on_while_they_can_not_be_read(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        poller.poll()
        kept.taken()
        standing_clock.advance(10)
        estate.always["/workspaces"] = error(403)
        estate.listings["/devices"][0]["connectionStatus"] = "disconnected"
        poller.poll()
        (down,) = kept.taken("device")
        assert (down["cityId"], down["workspaceName"], down["partial"]) == ("lyon", "Room 1", True)

    def test_throttling_beyond_the_deadline_ships_what_there_is(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.page_cap = 2
        estate.faults["/devices"] = [None, error(429, Retry_After="100")]
        assert make_poller().poll().partial
        assert len(kept.taken("device")) == 2


class TestMetrics:
    def at(self, minutes: int, value: Any = 21.5) -> dict[str, Any]:
        return {"deviceId": "device-1", "timestamp": f"2026-11-24T10:{minutes:02}:00.000Z", "value": value}

    def test_a_reading_is_sent_once_with_the_time_it_was_measured_at(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        series = estate.metrics["workspace-1", "temperature"]
        poller = make_poller(metric_requests=5)
        poller.poll()
        kept.taken()
        for minutes in range(1, 4):
            series.append(self.at(minutes, 20 + minutes))
            standing_clock.advance(61)
            poller.poll()
        events = [event for event in kept.events["observations"] if event["data"]["reason"] == "metric"]
        assert [event["time"][14:16] for event in events] == ["01", "02", "03"]
        assert [signals(event["data"]) for event in events] == [{"temperature": 20 + minutes} for minutes in range(1, 4)]
        data = events[0]["data"]
        assert (data["entity"], data["entityId"], data["name"], data["cityId"]) == ("workspace", "workspace-1", "Room 1", "lyon")
        assert data["signals"][0]["rules"][0]["id"] == "room-too-warm"

    def test_a_reading_sent_again_after_a_crash_has_the_same_id(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock, tmp_path: Path
    ) -> None:
        poller = make_poller(metric_requests=5)
        poller.poll()
        estate.metrics["workspace-1", "temperature"].append(self.at(1))
        standing_clock.advance(70)
        before_crash = (tmp_path / "ingest.sqlite").read_bytes(), (tmp_path / "ingest.sqlite-wal").read_bytes()
        poller.poll()
        poller.close()
        (tmp_path / "ingest.sqlite").write_bytes(before_crash[0])
        (tmp_path / "ingest.sqlite-wal").write_bytes(before_crash[1])
        standing_clock.advance(70)
        make_poller(metric_requests=5).poll()
        ids = [event["id"] for event in kept.events["observations"] if event["data"]["reason"] == "metric"]
        assert len(ids) == 2
        assert len(set(ids)) == 1

    def test_what_can_not_be_had_does_not_hold_up_the_others(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        estate.faults["/workspaceMetrics"] = [error(403)]
        report = make_poller(metric_requests=3).poll()
        assert not report.partial
        assert len(estate.asked("/workspaceMetrics")) == 3

    def test_a_metric_that_fails_every_time_goes_to_the_end_of_the_queue(
        self, make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock
    ) -> None:
        poller = make_poller(metric_requests=1)
        estate.faults["/workspaceMetrics"] = [error(500)] * 3
        for _ in range(3):
            poller.poll()
            standing_clock.advance(10)
        assert {request.params["workspaceId"] for request in estate.asked("/workspaceMetrics")} == {
            "workspace-1",
            "workspace-2",
            "workspace-3",
        }

    def test_a_bad_reading_is_quarantined(self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents) -> None:
        estate.always["/workspaceMetrics"] = Answer(body=b'{"items": [{"timestamp": "soon"}]}')
        make_poller(metric_requests=1).poll()
        assert kept.events["deadletter"][0]["data"]["endpoint"] == "/workspaceMetrics"

    def test_catching_up_sends_in_portions(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(slow_tiers, "METRIC_EVENTS_AT_ONCE", 2)
        for number in (1, 2, 3):
            estate.metrics[f"workspace-{number}", "temperature"] = [
                {"timestamp": f"2026-11-24T09:5{minute}:00.000Z", "value": 20} for minute in range(5)
            ]
        kept.sends_until_failure = 7
        poller = make_poller(metric_requests=5)
        with pytest.raises(SendError):
            poller.poll()
        assert 0 < len(poller.state.watermarks) < 3


class TestIds:
    def test_a_poll_repeated_within_its_slot_repeats_its_ids(
        self, make_poller: MakePoller, kept: KeptEvents, tmp_path: Path, standing_clock: StandingClock
    ) -> None:
        make_poller(metric_requests=5).poll()
        first = [event["id"] for event in kept.events["observations"]]
        kept.taken()
        (tmp_path / "ingest.sqlite").unlink()
        standing_clock.advance(6)
        make_poller(metric_requests=5).poll()
        assert [event["id"] for event in kept.events["observations"]] == first

    def test_the_time_of_an_observation_is_the_slot_of_its_poll(self, make_poller: MakePoller, kept: KeptEvents) -> None:
        make_poller().poll()
        assert {event["time"] for event in kept.events["observations"]} == {SLOT}
        assert {event["data"]["pollId"] for event in kept.events["observations"]} == {SLOT}


class TestFailingToSend:
    """A failing send of KeptEvents delivers the first half of its events, and says that it failed."""

    def failed_poll(
        self, make_poller: MakePoller, kept: KeptEvents, standing_clock: StandingClock, sends_before: int = 0
    ) -> None:
        standing_clock.advance(10)
        kept.sends_until_failure = sends_before
        with pytest.raises(SendError):
            make_poller().poll()
        kept.sends_until_failure = None
        standing_clock.advance(10)

    def test_what_was_acknowledged_before_is_counted_all_the_same(
        self, make_poller: MakePoller, kept: KeptEvents, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A run that is stopped in the middle of a poll says how much it has sent."""
        kept.sends_until_failure = 1
        with caplog.at_level(logging.INFO, "roompulse.figures"), pytest.raises(SendError):
            make_poller().poll()
        acknowledged = [record.figures["observations"] for record in caplog.records if hasattr(record, "figures")]
        assert acknowledged == [4]

    def test_what_was_not_acknowledged_is_sent_by_the_next_poll_even_of_another_process(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        make_poller().poll()
        kept.taken()
        estate.listings["/devices"][0]["connectionStatus"] = "offline_deep_sleep"
        self.failed_poll(make_poller, kept, standing_clock)
        assert kept.taken() == []
        make_poller().poll()
        assert [(data["entityId"], data["reason"]) for data in kept.taken("device")] == [("device-1", "change")]

    def test_what_arrived_unacknowledged_is_put_right_when_it_is_no_longer_true(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        make_poller().poll()
        kept.taken()
        for index in (0, 1):
            estate.listings["/devices"][index]["connectionStatus"] = "disconnected"
        self.failed_poll(make_poller, kept, standing_clock)
        assert [(data["entityId"], data["connectionStatus"]) for data in kept.taken("device")] == [("device-1", "disconnected")]
        for index in (0, 1):
            estate.listings["/devices"][index]["connectionStatus"] = "connected"
        make_poller().poll()
        assert {(data["entityId"], data["connectionStatus"]) for data in kept.taken("device")} == {
            ("device-1", "connected"),
            ("device-2", "connected"),
        }
        standing_clock.advance(10)
        make_poller().poll()
        assert kept.taken("device") == []

    def test_a_snapshot_that_failed_is_made_again(
        self, make_poller: MakePoller, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        self.failed_poll(make_poller, kept, standing_clock)
        kept.taken()
        assert make_poller().poll().snapshot
        assert len(kept.taken("device")) == 4


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(polls=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.none() | st.integers(0, 4)), min_size=1, max_size=6))
def test_whatever_fails_when_the_receiver_ends_up_knowing_the_truth(
    polls: list[tuple[int, bool, int | None]],
    estate: ScriptedWebex,
    kept: KeptEvents,
    make_poller: MakePoller,
    tmp_path: Path,
    standing_clock: StandingClock,
) -> None:
    """Each step sets one device, then polls with a sink that fails after so many sends (None: never), from a fresh process.

    A failing send delivers half of its events: what was not acknowledged may have arrived.
    """
    for old in tmp_path.glob("ingest.sqlite*"):
        old.unlink()
    kept.sends_until_failure = None
    kept.taken()
    for index, down, fails_after in [*polls, (0, False, None)]:
        estate.listings["/devices"][index]["connectionStatus"] = "disconnected" if down else "connected"
        standing_clock.advance(10)
        kept.sends_until_failure = fails_after
        poller = make_poller()
        try:
            poller.poll()
        except SendError:
            assert fails_after is not None
        finally:
            poller.close()
    last = {data["entityId"]: data["connectionStatus"] for data in kept.taken("device")}
    assert last == {item["id"]: item["connectionStatus"] for item in estate.listings["/devices"]}


def test_figures_and_the_log_line_tell_what_a_poll_did(
    make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock, caplog: pytest.LogCaptureFixture
) -> None:
    poller = make_poller()
    with caplog.at_level(logging.INFO):
        poller.poll()
        standing_clock.advance(10)
        estate.listings["/devices"].append({})
        poller.poll()
    figures = [vars(record)["figures"] for record in caplog.records if record.name == "roompulse.figures"][-1]
    assert figures.pop("poll_seconds") > 0
    assert figures == {
        "polls": 2, "observations": 12, "requests": 5, "quarantined": 1, "throttled": 0, "devices": 4, "partial": False,
        "requests_by_tier": {"inventory": 2}, "unknown": {}, "unmapped": [], "held": [], "not_permitted": 0,
        "requests_per_second": 1e6,
    }  # fmt: skip
    polled = [vars(record)["ids"] for record in caplog.records if record.msg == "polled"]
    (line,) = [ids for ids in polled if ids["quarantined"]]
    assert line["pollId"] == "2026-11-24T10:00:10.000Z"
    json.dumps(line)


def test_ten_pages_do_not_pile_up_in_memory(estate: ScriptedWebex, kept: KeptEvents, make_poller: MakePoller) -> None:
    """Each page is sent before the next one is asked for."""
    estate.page_cap = 1
    sent_when_asked = []
    answer = estate.answer

    def watch(request: Request) -> Answer:
        if request.path == "/devices":
            sent_when_asked.append(len(kept.events["observations"]))
        return answer(request)

    estate.respond = watch
    make_poller().poll()
    assert sent_when_asked == [0, 1, 2, 3]


def test_an_empty_organisation_without_cities_is_a_poll_too(
    webex: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    poller = Poller(IngestSettings(10, 15, 0, (), ()), WebexClient(webex.base, OneToken(), FAST), kept, IngestState())
    assert poller.poll().observations == 0
