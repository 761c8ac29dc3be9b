"""The signals of polls in a row: flapping, maintenance, sleepy displays, firmware, unseen cities; and which are sent."""

from __future__ import annotations

from typing import Any

import pytest

from processors.ingest.poll import Poller
from processors.ingest.settings import AlertRule
from processors.ingest.signals import ALWAYS
from processors.ingest.webex_client import TokenError
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import ScriptedWebex, device, error, workspace


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock) -> None:
    """Every test at 2026-11-24 10:00:03."""


class Course:
    """Polls in a row, and what each said about the first device."""

    def __init__(self, poller: Poller, estate: ScriptedWebex, kept: KeptEvents, clock: StandingClock) -> None:
        self.poller, self.estate, self.kept, self.clock = poller, estate, kept, clock

    def poll(self, seconds: float = 10, **fields: Any) -> dict[str, Any] | None:
        """Let time pass, change the device, poll; gives its observation, None when it was not sent."""
        self.clock.advance(seconds)
        self.estate.listings["/devices"][0] |= fields
        self.poller.poll()
        return next((data for data in self.kept.taken() if data["entityId"] == "device-1"), None)

    def reported(self, seconds: float = 10, **fields: Any) -> dict[str, Any]:
        """The observation of such a poll, which must have been sent."""
        data = self.poll(seconds, **fields)
        assert data is not None
        return data

    def signals(self, seconds: float = 10, **fields: Any) -> dict[str, float]:
        return values(self.reported(seconds, **fields))


def values(data: dict[str, Any]) -> dict[str, float]:
    return {signal["name"]: signal["value"] for signal in data["signals"]}


@pytest.fixture
def course(make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock) -> Course:
    return Course(make_poller(), estate, kept, standing_clock)


def rule(signal: str, entity: str = "device") -> AlertRule:
    return AlertRule(f"about-{signal}", entity, signal, ">=", 1, 0, 3)


class TestWhichAreSent:
    def test_a_healthy_device_sends_the_three_of_always(self, course: Course) -> None:
        assert course.signals() == dict.fromkeys(ALWAYS, 0)

    def test_every_grade_and_kind_of_issue_is_counted_and_named(self, course: Course) -> None:
        codes = ["camerapairing", "missingdisplay", "networkquality", "validpasswords", "of-next-year"]
        data = course.reported(errorCodes=codes, connectionStatus="connected_with_issues")
        assert values(data) == {"offline": 0, "issues": 5, "warningIssues": 1, "criticalIssues": 2, "peripheralIssues": 1}
        texts = {signal["name"]: signal["text"] for signal in data["signals"] if "text" in signal}
        assert texts["warningIssues"] == "networkquality"
        assert texts["peripheralIssues"] == "camerapairing"

    def test_what_has_just_become_zero_is_sent_once_more(self, course: Course) -> None:
        course.poll(errorCodes=["camerapairing"], connectionStatus="connected_with_issues")
        assert course.signals(errorCodes=[], connectionStatus="connected")["peripheralIssues"] == 0
        assert course.poll() is None
        assert "peripheralIssues" not in course.signals(displayName="Renamed")

    def test_a_signal_that_a_rule_looks_at_is_always_sent(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller(rules=(rule("warningIssues"), rule("drops")))
        data = Course(poller, estate, kept, standing_clock).reported()
        assert values(data) == dict.fromkeys((*ALWAYS, "warningIssues", "drops"), 0)
        assert [signal["rules"][0]["id"] for signal in data["signals"] if signal["rules"]] == [
            "about-warningIssues",
            "about-drops",
        ]

    def test_a_device_that_is_gone_takes_back_what_it_had_said(self, course: Course, estate: ScriptedWebex) -> None:
        course.poll()
        course.poll(errorCodes=["camerapairing"], connectionStatus="connected_with_issues")
        del estate.listings["/devices"][0]
        estate.listings["/devices"].insert(0, device(77))
        sent = [course.poll() for _ in range(3)]
        assert sent[:2] == [None, None] and sent[2] is not None
        assert values(sent[2]) == dict.fromkeys(("offline", "issues", "criticalIssues", "peripheralIssues"), 0)


class TestFlapping:
    def test_drops_of_the_last_hour_are_counted_and_forgotten(self, course: Course) -> None:
        course.poll()
        for drop in (1, 2, 3):
            assert course.signals(60, connectionStatus="disconnected")["drops"] == drop
            assert course.signals(60, connectionStatus="connected")["drops"] == drop
        counts = [values(data)["drops"] for data in (course.poll(599) for _ in range(6)) if data]
        assert counts[-1] == 0
        assert "drops" not in course.signals(displayName="Renamed")

    def test_staying_down_is_one_drop(self, course: Course) -> None:
        course.poll()
        assert [course.signals(connectionStatus="disconnected")["drops"] for _ in range(3)] == [1, 1, 1]

    def test_a_device_first_met_down_has_not_dropped(self, course: Course) -> None:
        assert "drops" not in course.signals(connectionStatus="disconnected")

    def test_a_restart_forgets_no_drop(self, course: Course, make_poller: MakePoller) -> None:
        course.poll()
        course.poll(connectionStatus="disconnected")
        course.poller.close()
        course.poller = make_poller()
        course.poll(connectionStatus="connected")
        assert course.signals(connectionStatus="disconnected")["drops"] == 2

    def test_going_to_sleep_is_no_drop(self, course: Course) -> None:
        course.poll()
        assert "drops" not in course.signals(connectionStatus="offline_deep_sleep")


class TestMaintenance:
    @pytest.mark.parametrize("planned", ["on", {"mode": "on"}])
    def test_a_device_down_as_planned_is_not_offline_and_says_why(self, course: Course, planned: str | dict[str, str]) -> None:
        course.poll()
        data = course.reported(connectionStatus="disconnected", plannedMaintenance=planned)
        assert values(data) == {"offline": 0}
        assert data["signals"][0]["text"] == "planned maintenance"
        assert data["connectionStatus"] == "disconnected"
        assert course.signals(plannedMaintenance="off")["offline"] == 1

    def test_a_window_of_its_room_begins_and_ends_by_the_clock(self, course: Course, estate: ScriptedWebex) -> None:
        course.poll(connectionStatus="disconnected")
        estate.listings["/workspaces"][0]["plannedMaintenance"] = {
            "mode": "upcoming", "startTime": "2026-11-24T10:01:00Z", "endTime": "2026-11-24T10:02:00Z"
        }  # fmt: skip
        assert [course.signals(30)["offline"] for _ in range(4)] == [1, 0, 0, 1]

    def test_its_location_has_no_outage(
        self, course: Course, estate: ScriptedWebex, kept: KeptEvents, make_poller: MakePoller
    ) -> None:
        for item in estate.listings["/devices"]:
            item |= {"connectionStatus": "disconnected", "plannedMaintenance": "on"}
        make_poller().poll()
        assert [values(data)["offlineRatio"] for data in kept.taken("location")] == [0, 0]

    def test_a_half_that_is_worked_on_says_nothing_about_the_other_half(
        self, estate: ScriptedWebex, kept: KeptEvents, make_poller: MakePoller
    ) -> None:
        estate.listings["/devices"] += [device(5), device(6)]
        for item in estate.listings["/devices"][:2]:
            item["plannedMaintenance"] = "on"
        estate.listings["/devices"][2]["connectionStatus"] = "disconnected"
        make_poller().poll()
        assert [values(data)["offlineRatio"] for data in kept.taken("location")] == [0.3333, 0]

    def test_the_beginning_is_a_change_even_of_a_healthy_device(self, course: Course) -> None:
        course.poll()
        assert course.poll() is None
        assert course.reported(plannedMaintenance="on")["reason"] == "change"


class TestDisplays:
    def test_a_display_that_wakes_up_is_no_issue(self, course: Course) -> None:
        course.poll()
        lost: dict[str, Any] = {"errorCodes": ["missingdisplay"], "connectionStatus": "connected_with_issues"}
        assert ["displayIssues" in course.signals(30, **lost) for _ in range(4)] == [False] * 4
        assert "displayIssues" not in course.signals(30, errorCodes=[], connectionStatus="connected")

    def test_one_that_stays_away_is(self, course: Course) -> None:
        course.poll()
        lost: dict[str, Any] = {"errorCodes": ["missingdisplay", "osdvideooutput"], "connectionStatus": "connected_with_issues"}
        assert [course.signals(60, **lost).get("displayIssues") for _ in range(3)] == [None, None, 2]
        assert course.signals(10, errorCodes=[], connectionStatus="connected")["displayIssues"] == 0


def test_firmware_is_measured_by_the_newest_of_the_product_even_on_the_same_page(course: Course) -> None:
    assert course.signals(software="RoomOS 26.6.1.1 x")["firmwareBehind"] == 61
    assert course.signals(software="RoomOS 26.8.1.1 x")["firmwareBehind"] == 0
    assert course.poll() is None


class TestCounts:
    def count(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, value: float, **room: Any
    ) -> dict[str, float]:
        estate.listings["/workspaces"][0] = workspace(1, "occupancyDetection", **room)
        estate.metrics["workspace-1", "peopleCount"] = [{"timestamp": "2026-11-24T09:59:00.000Z", "value": value}]
        make_poller(metric_requests=5, metrics=("peopleCount",)).poll()
        return values(kept.taken("workspace")[0])

    def test_a_count_of_people_tells_how_full_a_room_is(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        found = self.count(make_poller, estate, kept, 7, capacity=6)
        assert found == {"peopleCount": 7, "inUse": 1, "capacity": 6, "occupancy": 1.167}

    @pytest.mark.parametrize("capacity", [None, 0, -1, "six", True, 2.5])
    def test_a_room_whose_seats_nobody_filled_in_has_no_occupancy(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, capacity: str | bool | float | None
    ) -> None:
        assert self.count(make_poller, estate, kept, 0, capacity=capacity) == {"peopleCount": 0, "inUse": 0}


class TestUnseenCities:
    def minutes(self, poller: Poller, kept: KeptEvents) -> dict[str, float]:
        kept.taken()
        poller.poll()
        return {data["entityId"]: values(data)["unseenMinutes"] for data in kept.taken("city")}

    def test_a_city_of_which_no_device_is_listed_is_unseen(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        assert self.minutes(poller, kept) == {"lyon": 0, "oslo": 0}
        del estate.listings["/devices"][3]
        standing_clock.advance(90)
        assert self.minutes(poller, kept) == {"lyon": 0, "oslo": 1.5}
        poller.close()
        standing_clock.advance(90)
        assert self.minutes(make_poller(), kept) == {"lyon": 0, "oslo": 3}

    def test_one_never_seen_counts_from_the_first_poll(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        del estate.listings["/devices"][3]
        poller = make_poller()
        assert self.minutes(poller, kept)["oslo"] == 0
        standing_clock.advance(60)
        assert self.minutes(poller, kept)["oslo"] == 1

    def test_a_poll_that_read_nothing_has_seen_nobody(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        poller.poll()
        estate.always["/devices"] = error(403)
        standing_clock.advance(60)
        assert self.minutes(poller, kept) == {"lyon": 1, "oslo": 1}


class TestUnknown:
    @pytest.mark.parametrize(
        "status", ["disconnected", "offline_expired", "offline_deep_sleep", "connected_with_issues", "unknown"]
    )
    def test_issues_that_can_not_be_seen_are_not_none(self, course: Course, status: str) -> None:
        course.poll(errorCodes=["touchpanelconnection"], connectionStatus="connected_with_issues")
        reported = course.signals(errorCodes=[], connectionStatus=status)
        assert reported == {"offline": int(status in ("disconnected", "offline_expired"))} | (
            {"drops": 1} if reported["offline"] else {}
        )

    def test_what_a_device_lists_while_it_is_down_is_told(self, course: Course) -> None:
        reported = course.signals(errorCodes=["touchpanelconnection"], connectionStatus="disconnected")
        assert reported == {"offline": 1, "issues": 1, "criticalIssues": 1, "peripheralIssues": 1}

    def test_back_with_its_issues_and_back_without_them(self, course: Course) -> None:
        fault: dict[str, Any] = {"errorCodes": ["touchpanelconnection"], "connectionStatus": "connected_with_issues"}
        course.poll(**fault)
        course.poll(errorCodes=[], connectionStatus="disconnected")
        assert course.signals(**fault)["criticalIssues"] == 1
        course.poll(errorCodes=[], connectionStatus="disconnected")
        reported = course.signals(connectionStatus="connected")
        assert reported.items() >= dict.fromkeys(("issues", "warningIssues", "criticalIssues", "peripheralIssues"), 0).items()

    def test_a_lost_display_stays_lost_through_an_outage(self, course: Course) -> None:
        lost: dict[str, Any] = {"errorCodes": ["missingdisplay"], "connectionStatus": "connected_with_issues"}
        course.poll(**lost)
        assert course.signals(150, **lost)["displayIssues"] == 1
        assert "displayIssues" not in course.signals(errorCodes=[], connectionStatus="disconnected")
        assert course.signals(**lost)["displayIssues"] == 1

    def test_a_device_of_which_nothing_is_known_is_neither_up_nor_down(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents
    ) -> None:
        estate.listings["/devices"] = [device(1, connectionStatus=None)]
        make_poller().poll()
        assert values(next(data for data in kept.taken() if data["entityId"] == "device-1")) == {}


def said(data: dict[str, Any], name: str) -> tuple[float, str | None] | None:
    """The value of a signal and its text; None where it is not sent."""
    return next(((one["value"], one.get("text")) for one in data["signals"] if one["name"] == name), None)


class TestFloors:
    def test_the_floor_with_most_rooms_down_is_counted_and_named(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        estate.listings["/workspaces"] = [workspace(n, floorId=f"floor-{1 + n // 4}") for n in range(1, 7)]
        estate.listings["/locations/location-1/floors"] = [{"id": "floor-2", "displayName": "Third floor"}]
        estate.listings["/devices"] = [device(n) for n in range(1, 7)] + [device(9, workspaceId="workspace-4")]
        poller = make_poller()
        counts = []
        for down in ((), (1, 4, 5), (4, 5, 9), (1, 2, 3)):
            for item in estate.listings["/devices"]:
                item["connectionStatus"] = "disconnected" if int(item["id"].split("-")[1]) in down else "connected"
            poller.poll()
            counts.append(said(kept.taken("location")[0], "roomsDownOnFloor"))
            standing_clock.advance(10)
        # Devices 4 and 9 are in one room; floor 1 has no name, and goes by its id.
        assert counts == [(0, None), (2, "Third floor"), (2, "Third floor"), (3, "floor-1")]

    def test_where_no_room_tells_its_floor_nothing_is_said(self, make_poller: MakePoller, kept: KeptEvents) -> None:
        make_poller().poll()
        assert [said(data, "roomsDownOnFloor") for data in kept.taken("location")] == [None, None]


class TestVanished:
    def vanished(self, poller: Poller, kept: KeptEvents, clock: StandingClock, polls: int) -> tuple[float, str | None] | None:
        for _ in range(polls):
            kept.taken()
            poller.poll()
            clock.advance(10)
        return said(next(data for data in kept.taken("city") if data["entityId"] == "lyon"), "devicesVanished")

    def test_a_device_that_went_is_told_for_a_day_over_a_restart(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        assert self.vanished(poller, kept, standing_clock, 1) == (0, None)
        lost = estate.listings["/devices"].pop(0)
        assert self.vanished(poller, kept, standing_clock, 2) == (0, None)
        assert self.vanished(poller, kept, standing_clock, 1) == (1, "Room Bar 1")
        poller.close()
        assert self.vanished(make_poller(), kept, standing_clock, 1) == (1, "Room Bar 1")
        standing_clock.advance(86_400 - 30)
        assert self.vanished(make_poller(), kept, standing_clock, 1) == (1, "Room Bar 1")
        standing_clock.advance(30)
        assert self.vanished(make_poller(), kept, standing_clock, 1) == (0, None)
        assert lost["id"] == "device-1"

    @pytest.mark.parametrize("note", ["", "rubbish", "[]", "5", '{"device-9": "2026-11-24T10:00:00.000Z"}', '{"a": [5, 5]}'])
    def test_a_note_of_another_release_is_no_fault_of_any_poll(
        self, make_poller: MakePoller, kept: KeptEvents, standing_clock: StandingClock, note: str
    ) -> None:
        poller = make_poller()
        poller.poll()
        poller.state.commit_marks({"vanished:lyon": note})
        assert self.vanished(poller, kept, standing_clock, 1) == (0, None)

    def test_one_that_is_listed_again_has_not_vanished(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
    ) -> None:
        poller = make_poller()
        poller.poll()
        lost = estate.listings["/devices"].pop(0)
        assert self.vanished(poller, kept, standing_clock, 3) == (1, "Room Bar 1")
        estate.listings["/devices"].append(lost)
        assert self.vanished(poller, kept, standing_clock, 1) == (0, None)


@pytest.mark.parametrize(
    ("lives", "sent"), [({"access": 3.0, "refresh": 12.5}, (12.5, None)), ({"access": 3.0, "refresh": None}, None), (None, None)]
)
def test_the_life_of_the_token_is_told_where_it_is_known(
    make_poller: MakePoller, kept: KeptEvents, lives: dict[str, float | None] | None, sent: tuple[float, None] | None
) -> None:
    poller = make_poller(lives=(lambda: lives) if lives else None)
    poller.poll()
    assert {said(data, "tokenDays") for data in kept.taken("city")} == {sent}


def test_a_token_set_that_can_not_be_read_says_nothing_of_its_life(make_poller: MakePoller, kept: KeptEvents) -> None:
    def refused() -> dict[str, float | None]:
        raise TokenError("the vault is gone")

    make_poller(lives=refused).poll()
    assert {said(data, "tokenDays") for data in kept.taken("city")} == {None}


def test_too_hot_is_an_issue_of_its_own(course: Course) -> None:
    course.poll()
    reported = course.signals(connectionStatus="connected_with_issues", errorCodes=["temperaturecheck", "camerapairing"])
    assert (reported["overheatingIssues"], reported["criticalIssues"]) == (1, 2)
    assert course.signals(errorCodes=["camerapairing"])["overheatingIssues"] == 0


def test_a_rule_of_a_share_is_out_of_reach_where_there_are_too_few_devices(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    """It is still sent, so that an alert ends at a site that shrinks while it is open."""
    poller = make_poller(rules=(AlertRule("site-outage", "location", "offlineRatio", ">=", 0.5, 0, 1, fewest_devices=3),))
    thresholds = []
    for maintained in ("off", "on"):
        estate.listings["/devices"][0] |= {"connectionStatus": "disconnected", "plannedMaintenance": maintained}
        poller.poll()
        (rule_sent,) = kept.taken("location")[0]["signals"][0]["rules"]
        thresholds.append(rule_sent["threshold"])
        standing_clock.advance(10)
    assert thresholds == [0.5, 2]
