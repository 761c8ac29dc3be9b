"""What a message says of a room that can't be used: what is lost, since when, what Cisco recommends, which device it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.alert_fanout.alerts import Alert, alerts_in
from processors.alert_fanout.book_text import from_text, to_text
from processors.alert_fanout.details import kept_of
from processors.alert_fanout.incidents import Book, Incident
from processors.alert_fanout.render import notice
from processors.alert_fanout.settings import City, FanoutSettings
from processors.alert_fanout.steps import Step
from tests.processors.alert_fanout.messages import sent
from tests.processors.alert_fanout.test_render import alert, rendered

DETAILS: dict[str, Any] = {
    "serial": "FOC2301ABCD", "mac": "5C:71:0D:00:11:22", "ip": "10.20.30.40", "floor": "Third floor", "upgradeChannel": "Stable",
    "room": {
        "level": "error",
        "issues": [
            {"level": "warning", "title": "Firmware is old", "recommendedAction": "Upgrade the device."},
            {"level": "error", "title": "Touch panel disconnected", "description": "It has lost its connection.",
             "recommendedAction": "See that the cable to the touch panel is plugged in.", "since": "2026-11-24T08:12:00.000Z"},
        ],
    },
    "messages": [{"type": "TouchPanelConnection", "level": "Error", "description": "No touch panel is connected."}],
    "peripherals": [
        {"type": "TouchPanel", "name": "Cisco Room Navigator", "status": "LostConnection", "serial": "FOC2551N0DD"},
        {"type": "Camera", "name": "Quad Camera", "status": "Connected"},
    ],
    "network": {"switch": "sw-lyo-3", "port": "Gi1/0/12"},
    "webexStatus": {
        "incidents": [{"name": "Meetings: some users can't join", "status": "monitoring", "since": "2026-11-24T08:45:36.847Z"}],
    },
}  # fmt: skip
LINES = [
    "Cisco recommends: See that the cable to the touch panel is plugged in.",
    "Cisco recommends: Upgrade the device.",
    "What: device Room Bar 1 (Cisco Room Bar Pro)",
    "Fault: touch panel lost",
    "Where: Room 1, Third floor, Lyon Part-Dieu, Lyon",
    "Since: Tue 24 Nov 2026 10:30 (Europe/Paris), 5 min before this alert",
    "Lost: Touch panel Cisco Room Navigator, serial number FOC2551N0DD, connection lost",
    "Device says: Error: No touch panel is connected.",
    "Webex says: Touch panel disconnected, since Tue 24 Nov 2026 09:12 (Europe/Paris)",
    "Webex says: Firmware is old",
    "Serial number: FOC2301ABCD",
    "Network: switch sw-lyo-3, port Gi1/0/12, IP 10.20.30.40, MAC 5C:71:0D:00:11:22",
    "Webex reports: Meetings: some users can't join, monitoring, since Tue 24 Nov 2026 09:45 (Europe/Paris)",
]


def unusable(make_row: Callable[..., dict[str, Any]], details: object, **fields: object) -> Alert:
    row = make_row(signal="criticalIssues", text="touchpanelconnection", product="Cisco Room Bar Pro", **fields)
    return alert(row | {"details": details})


def test_a_message_of_an_unusable_room_says_all_of_it_in_this_order(make_row: Callable[..., dict[str, Any]]) -> None:
    lines = rendered(unusable(make_row, DETAILS)).text.splitlines()
    assert [line for line in lines if line in LINES] == LINES


AS_OF = "Details: as of Tue 24 Nov 2026 10:35 (Europe/Paris), and may have changed since"


@pytest.mark.parametrize(
    ("details", "text"), [(DETAILS, "touchpanelconnection"), (DETAILS, None), (None, "floor 3"), (None, None), ({}, "")]
)
@pytest.mark.parametrize(
    ("action", "has_details"), [("open", True), ("close", False), ("update", True), ("remind", True), ("escalate", True)]
)
def test_details_say_of_when_they_are(
    make_row: Callable[..., dict[str, Any]], details: object, text: str | None, action: str, has_details: bool
) -> None:
    """A second peripheral may be lost since, and the first message may be sent, or read, hours after."""
    lead = replace(unusable(make_row, details), text=text)
    incident = Incident("one", "alert", lead, lead.observed_at, lead.observed_at, open=action != "close")
    city = City("Lyon", "Europe/Paris", ())
    message = notice(Book({"one": incident}), Step("one", "inbox", action), FanoutSettings({}, {"lyon": city}), city)
    assert (AS_OF in message.text.splitlines()) is (has_details and bool(details or text))


def test_every_channel_says_it(make_row: Callable[..., dict[str, Any]]) -> None:
    """Azure Monitor's mail in the rows that it links to: a log alert takes six dimensions, and who is notified needs them."""
    for channel, message in sent(rendered(unusable(make_row, DETAILS))).items():
        said = json.dumps(message, ensure_ascii=False)
        assert [line for line in (*LINES, AS_OF) if line not in said] == [], channel


@pytest.mark.parametrize(
    "details",
    [None, {}, [], "x", 5, {"peripherals": 5, "messages": True}, {"serial": 5, "room": "x", "peripherals": {}, "network": ["x"]}],
)
def test_what_is_not_said_or_not_understood_costs_no_alert_and_adds_no_line(
    make_row: Callable[..., dict[str, Any]], details: object
) -> None:
    assert rendered(unusable(make_row, details)) == rendered(unusable(make_row, None))


PLACES = [(), *((name,) for name in DETAILS), ("room", "issues"), ("network", "switch"), ("webexStatus", "incidents")]


@given(st.sampled_from(PLACES), st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=4))
def test_anything_in_any_place_of_them_is_an_alert(place: tuple[str, ...], value: object) -> None:
    details = json.loads(json.dumps({"details": DETAILS}))
    inner, *_ = path = ("details", *place)
    target = details
    for inner in path[:-1]:
        target = target[inner]
    target[path[-1]] = value
    kept_of(details["details"])


def test_what_is_kept_of_them_is_small() -> None:
    endless = dict.fromkeys(("serial", "floor", "title", "recommendedAction", "description", "name", "status"), "x" * 5000)
    many = [endless] * 50
    details = endless | {"room": {"issues": many}, "peripherals": many, "messages": many, "webexStatus": {"incidents": many}}
    assert len(json.dumps(kept_of(details))) < 8500


def test_a_book_keeps_them_and_one_without_them_is_the_same_text_as_before(make_row: Callable[..., dict[str, Any]]) -> None:
    for details in (DETAILS, None):
        lead = unusable(make_row, details)
        text = to_text(Book({"one": Incident("one", "alert", lead, "", "")}))
        assert from_text(text).incidents["one"].lead == lead
        assert ("details" in text) == (details is not None)


def test_an_outage_and_a_city_say_what_webex_reports_too(make_outage: Callable[..., dict[str, Any]]) -> None:
    (read,) = alerts_in(json.dumps(make_outage() | {"details": {"webexStatus": DETAILS["webexStatus"]}}).encode())
    assert isinstance(read, Alert)
    assert LINES[-1] in rendered(read).text.splitlines()
