"""Privacy by default: nothing of a person in what is sent, quarantined, logged or kept, wanted or not."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.personal import without_name, without_person
from processors.ingest.records import read_device
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import ScriptedWebex, device, error

JANE = {
    "id": "desk-0815",
    "displayName": "Jane Roe",
    "personId": "person-4711",
    "locationId": "location-1",
    "connectionStatus": "disconnected",
    "product": "Cisco Desk Mini",
    "type": "roomdesk",
    "permissions": ["xapi:readonly"],
    "primarySipUrl": "jane.roe@example.rooms.webex.com",
    "sipUrls": ["jane.roe@example.rooms.webex.com"],
    "mac": "AA:BB:CC:00:11:22",
    "ip": "10.9.8.7",
    "errorCodes": [],
}
OF_JANE = ("Jane", "Roe", "jane", "roe", "person-4711", "AA:BB:CC", "10.9.8.7")
HOW_IT_MAY_BE_BROKEN: tuple[dict[str, Any], ...] = (
    {},
    {"connectionStatus": 5},
    {"id": None},
    {"displayName": ["Jane Roe"]},
    {"errorCodes": "Jane Roe"},
    {"product": {"of": "Jane Roe"}},
)


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock) -> None:
    """Every test at 2026-11-24 10:00:03."""


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("broken", HOW_IT_MAY_BE_BROKEN)
def test_nothing_of_a_person_is_sent_logged_or_kept(
    make_poller: MakePoller,
    estate: ScriptedWebex,
    kept: KeptEvents,
    caplog: pytest.LogCaptureFixture,
    standing_clock: StandingClock,
    tmp_path: Path,
    wanted: bool,
    broken: dict[str, Any],
) -> None:
    estate.listings["/devices"].append(JANE | broken)
    with caplog.at_level(logging.DEBUG):
        poller = make_poller(personal_devices=wanted, metric_requests=5, xapi_seconds=10)
        for fault in (None, error(503), error(403)):
            estate.faults["/devices"] = [fault]
            poller.poll()
            standing_clock.advance(10)
        poller.close()
    logged = [str(vars(record)) for record in caplog.records]
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("ingest.sqlite*")).decode("latin-1")
    everything = json.dumps(kept.events) + "".join(logged) + stored
    assert [text for text in OF_JANE if text in everything] == []


def test_they_are_left_out_unless_the_stack_wants_them(make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents) -> None:
    estate.listings["/devices"].append(JANE)
    report = make_poller().poll()
    assert report.personal_devices == 1
    assert "desk-0815" not in json.dumps(kept.events)


def test_a_stack_that_wants_them_gets_product_and_number_for_a_name(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    estate.listings["/devices"].append(JANE)
    names = []
    for _ in range(2):
        make_poller(personal_devices=True).poll()
        standing_clock.advance(10)
        names += [data["name"] for data in kept.taken("device") if data["entityId"] == "desk-0815"]
    assert names == [without_name(read_device(JANE)).name] * 2
    assert names[0].startswith("Cisco Desk Mini ")


def test_a_personal_device_is_never_asked_for_its_status(make_poller: MakePoller, estate: ScriptedWebex) -> None:
    estate.listings["/devices"].append(JANE | {"connectionStatus": "connected_with_issues"})
    make_poller(personal_devices=True, xapi_seconds=10).poll()
    assert estate.asked("/xapi/status") == []


def test_a_stack_that_no_longer_wants_them_forgets_them(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    estate.listings["/devices"].append(JANE)
    make_poller(personal_devices=True).poll()
    for _ in range(3):
        standing_clock.advance(10)
        poller = make_poller()
        poller.poll()
    assert "desk-0815" not in poller.state.devices


def test_a_room_that_also_has_a_person_is_a_room(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, tmp_path: Path
) -> None:
    estate.listings["/devices"].append(device(9, personId="person-4711"))
    make_poller().poll()
    assert "device-9" in json.dumps(kept.events)
    assert "person-4711" not in json.dumps(kept.events)


def test_a_broken_record_of_a_room_is_quarantined_whole() -> None:
    record = device(1, connectionStatus=5)
    assert without_person(record) == record


HARMLESS = {
    *("id", "product", "type", "connectionStatus", "software", "upgradeChannel", "created", "firstSeen", "lastSeen"),
    *("locationId", "workspaceId", "workspaceLocationId", "managedBy", "devicePlatform", "activeInterface", "lifecycle"),
}
"""Fields whose texts say nothing about a person."""


@given(st.dictionaries(st.text(), st.text(min_size=1)))
def test_of_a_record_without_a_room_only_harmless_fields_are_shown(record: dict[str, str]) -> None:
    record.pop("workspaceId", None)
    shown = without_person(record)
    assert isinstance(shown, dict)
    assert {name for name, value in shown.items() if value != "withheld"} <= HARMLESS
