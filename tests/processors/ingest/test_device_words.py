"""What a device says of itself in words: its diagnostics, its peripherals, the switch it is plugged into."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.device_words import read_words
from processors.ingest.room_status import read_room_status
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import ScriptedWebex, device

LOST = {
    "id": 1001,
    "Name": "Cisco Room Navigator",
    "Type": "TouchPanel",
    "Status": "LostConnection",
    "SerialNumber": "FOC2551N0DD",
}
REPORTED_LOST = {"type": "TouchPanel", "name": "Cisco Room Navigator", "status": "LostConnection", "serial": "FOC2551N0DD"}
CAMERA = {"id": 1000, "Name": "Quad Camera", "Type": "Camera", "Status": "Connected"}
MESSAGE = {
    "id": 1,
    "Level": "Error",
    "Type": "TouchPanelConnection",
    "Description": "No touch panel is connected.",
    "References": "",
}
REPORTED_MESSAGE = {"type": "TouchPanelConnection", "level": "Error", "description": "No touch panel is connected."}
TREE = {
    "Diagnostics": {"Message": [MESSAGE]},
    "Peripherals": {"ConnectedDevice": [CAMERA, LOST]},
    "Network": [{"id": 1, "LLDP": {"SysName": "sw-lyo-3", "PortID": "Gi1/0/12"}}],
}
WORDS = {
    "messages": [REPORTED_MESSAGE],
    "peripherals": [REPORTED_LOST, {"type": "Camera", "name": "Quad Camera", "status": "Connected"}],
    "network": {"switch": "sw-lyo-3", "port": "Gi1/0/12"},
}


def test_they_are_told_with_the_level_the_device_gives_and_what_is_lost_first() -> None:
    assert read_words(TREE).reported() == WORDS


def test_the_worst_message_comes_first_and_a_level_nobody_knows_last() -> None:
    messages = [{"Type": level, "Level": level} for level in ("Info", "Strange", "Critical", "Warning", "Error")]
    reported = read_words({"Diagnostics": {"Message": messages}}).reported()["messages"]
    assert [message["level"] for message in reported] == ["Critical", "Error", "Warning", "Info", "Strange"]


@pytest.mark.parametrize(
    ("network", "reported"),
    [
        ({"CDP": {"DeviceId": "sw-1.example", "PortID": "Gi1/0/1"}}, {"switch": "sw-1.example", "port": "Gi1/0/1"}),
        ({"LLDP": {"SysName": "a"}, "CDP": {"DeviceId": "b", "PortID": "2"}}, {"switch": "a", "port": "2"}),
        ({"CDP": {"PortID": "2"}}, {"port": "2"}),
        ({"CDP": {"DeviceId": "", "PortID": ""}}, None),
        ({"CDP": "none"}, None),
    ],
)
def test_the_switch_is_the_one_that_lldp_or_cdp_names(network: dict[str, Any], reported: list[Any] | None) -> None:
    assert read_words({"Network": [{"id": 2}, network]}).reported().get("network") == reported


def test_at_most_ten_of_each_and_no_endless_text() -> None:
    tree = {
        "Diagnostics": {"Message": [MESSAGE | {"Description": "x" * 5000}] * 40},
        "Peripherals": {"ConnectedDevice": [CAMERA] * 40 + [LOST]},
    }
    reported = read_words(tree).reported()
    assert [len(reported[name]) for name in ("messages", "peripherals")] == [10, 10]
    assert reported["peripherals"][0] == REPORTED_LOST and len(reported["messages"][0]["description"]) == 300


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "Level", "LLDP", "PortID"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["Diagnostics", "Peripherals", "Network", "MicrosoftTeams"]), ANYTHING))
def test_whatever_stands_there_is_read_or_left_out(tree: dict[str, Any]) -> None:
    read_room_status(tree)


@pytest.mark.parametrize(
    ("calls", "teams", "in_call"),
    [
        (None, None, None), (0, None, False), (1, None, True), (None, "True", True), (None, "False", False), (0, "True", True),
        (0, "False", False), (1, "False", True), (0, "perhaps", False), (None, "perhaps", None),
    ],
)  # fmt: skip
def test_a_call_is_one_of_webex_or_of_teams(calls: int | None, teams: str | None, in_call: bool | None) -> None:
    tree = {"SystemUnit": {"State": {"NumberOfActiveCalls": calls}}, "MicrosoftTeams": {"Calling": {"InCall": teams}}}
    assert read_room_status(tree).in_call is in_call


def test_a_device_with_issues_is_told_with_its_words_as_long_as_they_are_believed(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    estate.listings["/devices"] = [device(1, connectionStatus="connected_with_issues", permissions=["xapi:readonly"])]
    estate.statuses["device-1"] = TREE
    poller = make_poller(xapi_seconds=10)
    poller.poll()
    before, now = (data.get("details") for data in kept.taken("device"))
    assert (before, now) == (None, WORDS), "news of the device is told in the poll that hears it"
    standing_clock.advance(10)
    poller.poll()
    assert [data["details"] for data in kept.taken("device")] == [WORDS], "and no news are not a further observation"
    del estate.statuses["device-1"]
    for _ in range(4):
        standing_clock.advance(10)
        poller.poll()
    assert kept.taken("device")[-1]["details"] == {"network": WORDS["network"]}, "where it is plugged in holds on"
