"""An id and a connectionStatus tell an outage, whatever else Webex lists: every other field is read, fixed or dropped on its
own, and counted.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from processors.ingest.poll import Poller, PollReport
from processors.ingest.records import fixed
from processors.ingest.state import IngestState
from processors.ingest.webex_client import WebexClient
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import Answer, OneToken, ScriptedWebex, device, location, workspace

DOWN = {"connectionStatus": "disconnected"}
HALF_AN_EMOJI = "Room \ud83d"
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20) | st.just("x" * 5000)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | ANY_TEXT,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(ANY_TEXT, values, max_size=3),
    max_leaves=5,
)
DEVICE_FIELDS = (
    "displayName", "placeId", "workspaceId", "orgId", "capabilities", "permissions", "product", "type", "tags", "ip", "mac",
    "activeInterface", "primarySipUrl", "sipUrls", "serial", "software", "upgradeChannel", "created", "locationId", "errorCodes",
    "firstSeen", "lastSeen", "managedBy", "devicePlatform", "plannedMaintenance", "callingDeviceId", "lifecycle", "new",
)  # fmt: skip
WORKSPACE_FIELDS = ("displayName", "locationId", "capabilities", "capacity", "health", "floorId", "type", "calendar")
STATUS_PATHS = (
    ("Standby",), ("Standby", "State"), ("SystemUnit",), ("SystemUnit", "State"), ("SystemUnit", "State", "NumberOfActiveCalls"),
    ("RoomAnalytics",), ("RoomAnalytics", "PeopleCount"), ("RoomAnalytics", "PeopleCount", "Current"),
    ("RoomAnalytics", "PeopleCount", "Capacity"), ("RoomAnalytics", "RoomInUse"), ("MediaChannels",), ("MediaChannels", "Call"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock) -> None:
    """Every test at 2026-11-24 10:00:03."""


def told(kept: KeptEvents, device_id: str = "device-1") -> dict[str, Any]:
    """What was last said of a device."""
    return [data for data in kept.taken("device") if data["entityId"] == device_id][-1]


class Watch:
    """A poller that has seen the estate well, and polls once more."""

    def __init__(self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, clock: StandingClock) -> None:
        self.estate, self.kept, self.clock = estate, kept, clock
        self.poller: Poller = make_poller()
        self.poller.poll()
        kept.taken()

    def sees(self, **fields: Any) -> tuple[PollReport, dict[str, Any]]:
        """Device 1 as it is listed now: the report, and what is told of it."""
        self.estate.listings["/devices"][0] |= fields
        self.clock.advance(10)
        return self.poller.poll(), told(self.kept)


@pytest.fixture
def watch(make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock) -> Watch:
    return Watch(make_poller, estate, kept, standing_clock)


@pytest.mark.parametrize(
    ("odd", "counted", "known"),
    [
        ({"displayName": HALF_AN_EMOJI}, "devices.displayName=broken text", {"name": "Room \ufffd"}),
        ({"displayName": "x" * 50_000}, "devices.displayName=endless text", {"name": "x" * 1000}),
        ({"displayName": 5}, "devices.displayName=a number", {"name": "Room Bar 1"}),
        ({"lastSeen": 1764000000}, "devices.lastSeen=a number", {}),
        ({"product": {"of": "x"}}, "devices.product=an object", {"product": "Cisco Room Bar"}),
        ({"product": ["Cisco Room Bar"]}, "devices.product=a list", {"product": "Cisco Room Bar"}),
        ({"software": True}, "devices.software=true or false", {"software": "RoomOS 26.8"}),
        ({"type": 1}, "devices.type=a number", {}),
        ({"locationId": 5}, "devices.locationId=a number that is not an id", {"cityId": "lyon", "locationId": "location-1"}),
        ({"locationId": HALF_AN_EMOJI}, "devices.locationId=text that is not an id", {"cityId": "lyon"}),
        ({"workspaceId": {"id": "w"}}, "devices.workspaceId=an object that is not an id", {"workspaceId": "workspace-1"}),
        ({"errorCodes": ["b", None, "a"]}, "devices.errorCodes[]=nothing", {"errorCodes": ["a", "b"]}),
        ({"errorCodes": ["a", 5, ""]}, "devices.errorCodes[]=text", {"errorCodes": ["a"]}),
        ({"errorCodes": "missingdisplay"}, "devices.errorCodes=text", {"errorCodes": []}),
        ({"permissions": "xapi:all"}, "devices.permissions=text", {}),
        ({"tags": [7]}, "devices.tags[]=a number", {}),
    ],
)
def test_an_outage_is_told_whatever_else_is_odd_and_the_oddity_counted(
    watch: Watch, odd: dict[str, Any], counted: str, known: dict[str, Any]
) -> None:
    report, data = watch.sees(**DOWN, **odd)
    assert (data["connectionStatus"], data["signals"][0]["value"]) == ("disconnected", 1)
    assert {name: data[name] for name in known} == known
    assert report.unknown == {counted: 1} | {f"errorCode={code}": 1 for code in known.get("errorCodes", ())}
    assert (report.quarantined, report.partial) == (1, False)


@pytest.mark.parametrize(
    ("written", "name", "odd"),
    [
        (b"Caf\xe9 1", "Caf\ufffd 1", {"devices.displayName=broken text": 1}),
        (b"Caf\xc3\xa9\t1", "Caf\xe9 1", {}),
        (b"Caf\xc3\xa9\n\x001", "Caf\xe9 1", {}),
    ],
)
def test_bytes_that_are_not_text_are_a_fault_of_the_device_that_has_them_alone(
    watch: Watch, written: bytes, name: str, odd: dict[str, int]
) -> None:
    for one in watch.estate.listings["/devices"]:
        one["connectionStatus"] = "disconnected"
    body = json.dumps({"items": watch.estate.listings["/devices"]}).encode().replace(b"Room Bar 1", written)
    watch.estate.faults["/devices"] = [Answer(body=body)]
    watch.clock.advance(10)
    report = watch.poller.poll()
    told = {data["entityId"]: (data["name"], data["connectionStatus"]) for data in watch.kept.taken("device")}
    assert told == {"device-1": (name, "disconnected")} | {f"device-{n}": (f"Room Bar {n}", "disconnected") for n in (2, 3, 4)}
    assert (report.unknown, report.quarantined, report.partial) == (odd, len(odd), False)


def test_a_dead_letter_says_which_field_is_of_which_kind(watch: Watch) -> None:
    watch.sees(displayName=5, product=[], **DOWN)
    (letter,) = watch.kept.events["deadletter"]
    assert letter["data"]["reason"] == "not understood in part: displayName is a number, product is a list"


def test_issues_that_can_not_be_read_are_those_last_read(watch: Watch) -> None:
    watch.sees(errorCodes=["touchpanelconnection"], connectionStatus="connected_with_issues")
    _, data = watch.sees(errorCodes={"touchpanelconnection": True})
    assert data["errorCodes"] == ["touchpanelconnection"]


@pytest.mark.parametrize("unreadable", [None, ""])
def test_a_device_without_an_id_goes_by_the_id_it_is_called_by(watch: Watch, unreadable: str | None) -> None:
    watch.estate.listings["/devices"].append(device(9, id=unreadable, callingDeviceId="calling-9", **DOWN))
    report, _ = watch.sees(**DOWN)
    assert watch.poller.state.devices["calling-9"].is_down
    assert report.unknown["devices.id=" + ("nothing" if unreadable is None else "text")] == 1


@pytest.mark.parametrize(
    ("listing", "record", "counted"),
    [
        ("/locations", location(1, "x") | {"name": ["Lyon Part-Dieu"]}, "locations.name=a list"),
        ("/locations", location(1, "Lyon Part-Dieu") | {"address": "Lyon"}, "locations.address=text"),
        ("/workspaces", workspace(1, displayName=7), "workspaces.displayName=a number"),
        ("/workspaces", workspace(1, locationId=[]), "workspaces.locationId=a list that is not an id"),
        ("/workspaces", workspace(1) | {"capabilities": ["temperature"]}, "workspaces.capabilities=a list"),
        ("/workspaces", workspace(1, capacity="8"), "workspaces.capacity=text"),
    ],
)
def test_what_can_not_be_read_of_a_place_stays(
    make_poller: MakePoller,
    estate: ScriptedWebex,
    kept: KeptEvents,
    standing_clock: StandingClock,
    listing: str,
    record: dict[str, Any],
    counted: str,
) -> None:
    watch = Watch(lambda: make_poller(location_minutes=0.1), estate, kept, standing_clock)
    watch.estate.listings[listing][0] = record
    report, data = watch.sees(**DOWN)
    assert (data["cityId"], data["locationName"], data["workspaceName"]) == ("lyon", "Lyon Part-Dieu", "Room 1")
    assert report.unknown == {counted: 1}


def test_a_person_who_can_not_be_read_is_a_person_all_the_same(watch: Watch) -> None:
    watch.estate.listings["/devices"].append({"id": "desk", "displayName": "Jane Roe", "personId": 4711, **DOWN})
    report, _ = watch.sees(**DOWN)
    assert report.personal_devices == 1
    assert "Jane" not in json.dumps(watch.kept.events)


def test_a_number_that_python_refuses_to_read_costs_no_page(watch: Watch) -> None:
    body = json.dumps({"items": watch.estate.listings["/devices"]}).replace('"Room Bar 2"', "9" * 5000)
    watch.estate.always["/devices"] = Answer(body=body.encode())
    report = watch.poller.poll()
    assert (report.partial, report.unknown) == (False, {"devices.displayName=a number": 1})


def test_a_status_a_room_device_tells_oddly_is_counted(make_poller: MakePoller, estate: ScriptedWebex) -> None:
    estate.listings["/devices"] = [device(1, connectionStatus="connected_with_issues", permissions=["xapi:readonly"])]
    estate.statuses["device-1"] = {"Standby": "Off", "SystemUnit": {"State": {"NumberOfActiveCalls": "many"}}}
    report = make_poller(xapi_seconds=10).poll()
    assert report.unknown == {"xapi/status.Standby=text": 1, "xapi/status.SystemUnit.State.NumberOfActiveCalls=text": 1}


def placed(tree: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """The tree with a value put somewhere."""
    (name, *rest) = path
    return tree | {name: placed(tree.get(name) or {}, tuple(rest), value) if rest else value}


def is_id(value: object) -> bool:
    """Whether a value may be somebody's id, the text itself being sent."""
    return isinstance(value, str) and fixed(value) == value != ""


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    of_device={"locationId": "0"}, of_workspace={"locationId": "0"}, of_location={}, of_reading={}, of_status=(("Standby",), None)
)
@given(
    of_device=st.dictionaries(st.sampled_from(DEVICE_FIELDS), ANY_JSON, max_size=3),
    of_workspace=st.dictionaries(st.sampled_from(WORKSPACE_FIELDS), ANY_JSON, max_size=2),
    of_location=st.dictionaries(st.sampled_from(("name", "address", "timeZone")), ANY_JSON, max_size=2),
    of_reading=st.dictionaries(st.sampled_from(("timestamp", "value", "deviceId")), ANY_JSON, max_size=2),
    of_status=st.tuples(st.sampled_from(STATUS_PATHS), ANY_JSON),
)
def test_any_json_anywhere_else_and_the_outage_is_told_in_its_city(
    make_poller: MakePoller,
    estate: ScriptedWebex,
    kept: KeptEvents,
    standing_clock: StandingClock,
    of_device: dict[str, object],
    of_workspace: dict[str, object],
    of_location: dict[str, object],
    of_reading: dict[str, object],
    of_status: tuple[tuple[str, ...], object],
) -> None:
    """The sink holds every event to its schema, and reads it as UTF-8. The second device is asked through xAPI."""
    for record in (of_device, of_workspace):
        if is_id(record.get("locationId")):
            del record["locationId"]  # it has moved, to a location that no city lists
    if of_workspace.get("locationId", 0) in (None, ""):
        of_device.pop("locationId", None)  # with neither of the two it has moved to no location
    if of_location.get("name") == fixed(str(of_location.get("name"))) != "":
        del of_location["name"]  # renamed, to something that no city lists
    kept.taken()
    kept.events["deadletter"].clear()
    asked = device(2, connectionStatus="connected_with_issues", permissions=["xapi:readonly"])
    estate.listings["/devices"] = [device(1), asked]
    estate.listings["/workspaces"] = [workspace(1, "temperature"), workspace(2, "temperature")]
    estate.listings["/locations"] = [location(1, "Lyon Part-Dieu")]
    good = make_poller(metric_requests=2, xapi_seconds=5, location_minutes=0.1)
    poller = Poller(good.settings, WebexClient(estate.base, OneToken(), good.client.rates), kept, IngestState())
    good.close()
    poller.poll()
    standing_clock.advance(60)
    still_asked = {name: asked[name] for name in ("id", "permissions", "connectionStatus")}
    estate.listings["/devices"] = [device(1) | of_device | DOWN, asked | of_device | still_asked]
    estate.listings["/workspaces"][0] |= of_workspace
    estate.listings["/locations"][0] |= of_location
    estate.metrics["workspace-1", "temperature"] = [{"timestamp": "2026-11-24T10:00:50Z", "value": 21} | of_reading]
    estate.statuses["device-2"] = placed({}, *of_status)
    report = poller.poll()
    poller.close()
    data = told(kept)
    assert (data["cityId"], data["connectionStatus"], data["signals"][0]["value"]) == ("lyon", "disconnected", 1)
    assert not report.partial
