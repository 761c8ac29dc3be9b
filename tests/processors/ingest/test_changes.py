"""Change detection: what has to be sent, and since when a device has been in its status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest.changes import KnownDevice, observed, reason_to_send
from processors.ingest.directory import Place
from processors.ingest.records import Device, read_device
from processors.timestamps import format_time
from tests.support.scripted_webex import device as listed

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
LYON = Place("lyon", "location-1", "Lyon Part-Dieu", "workspace-1", "Room 1")


def device(**fields: object) -> Device:
    return read_device(listed(1, **fields))


def known(now: Device, before: KnownDevice | None = None, at: datetime = NOW, place: Place = LYON) -> KnownDevice:
    return observed(now, place, before, at)


class TestReason:
    def test_a_device_met_for_the_first_time_is_a_change_or_part_of_the_snapshot(self) -> None:
        assert reason_to_send(None, known(device()), snapshot=False) == "change"
        assert reason_to_send(None, known(device()), snapshot=True) == "snapshot"

    def test_a_healthy_device_that_stays_the_same_is_sent_in_snapshots_only(self) -> None:
        before = known(device())
        again = known(device(lastSeen="2026-11-24T09:59:59Z"), before)
        assert reason_to_send(before, again, snapshot=False) is None
        assert reason_to_send(before, again, snapshot=True) == "snapshot"

    @pytest.mark.parametrize("status", ["connected_with_issues", "disconnected", "offline_expired"])
    def test_an_unhealthy_device_is_sent_at_every_poll(self, status: str) -> None:
        before = known(device(connectionStatus=status))
        assert reason_to_send(before, known(device(connectionStatus=status), before), snapshot=False) == "unhealthy"

    @pytest.mark.parametrize("status", ["offline_deep_sleep", "activating", None])
    def test_sleeping_and_unknown_devices_are_not_repeated(self, status: str | None) -> None:
        before = known(device(connectionStatus=status))
        assert reason_to_send(before, known(device(connectionStatus=status), before), snapshot=False) is None

    @pytest.mark.parametrize(
        "fields",
        [
            {"connectionStatus": "disconnected"},
            {"errorCodes": ["missingdisplay"]},
            {"software": "RoomOS 27"},
            {"displayName": "Renamed"},
            {"workspaceId": None},
        ],
    )
    def test_any_difference_is_a_change_even_in_a_snapshot(self, fields: dict[str, Any]) -> None:
        before = known(device())
        assert reason_to_send(before, known(device(**fields), before), snapshot=True) == "change"

    def test_another_place_is_a_change(self) -> None:
        before = known(device())
        renamed = LYON._replace(location_name="Lyon Gare")
        assert reason_to_send(before, known(device(), before, place=renamed), snapshot=False) == "change"

    def test_the_order_of_codes_is_no_change(self) -> None:
        before = known(device(errorCodes=["a", "b"]))
        assert known(device(errorCodes=["b", "a"]), before) == before


class TestStatusSince:
    def test_it_stays_while_the_status_stays(self) -> None:
        before = known(device())
        later = known(device(software="RoomOS 27"), before, NOW + timedelta(minutes=5))
        assert later.status_since == before.status_since == format_time(NOW)

    def test_it_is_the_poll_that_first_saw_the_new_status(self) -> None:
        later = NOW + timedelta(minutes=5)
        assert known(device(connectionStatus="disconnected"), known(device()), later).status_since == format_time(later)

    def test_a_device_first_met_down_has_been_so_since_it_was_last_seen(self) -> None:
        down = known(device(connectionStatus="disconnected", lastSeen="2026-11-24T08:30:00.500Z"))
        assert down.status_since == "2026-11-24T08:30:00.500Z"

    @pytest.mark.parametrize(
        "last_seen", [None, "", "rubbish", "2026-11-24T10:00:01Z", "2026-10-01T00:00:00Z", "2026-11-24T09:00:00"]
    )
    def test_a_last_seen_that_is_absent_rubbish_in_the_future_or_ancient_does_not_count(self, last_seen: str | None) -> None:
        assert known(device(connectionStatus="disconnected", lastSeen=last_seen)).status_since == format_time(NOW)

    def test_last_seen_says_nothing_about_a_device_that_is_up(self) -> None:
        assert known(device(lastSeen="2026-11-24T08:30:00Z")).status_since == format_time(NOW)


SAYS_NOTHING = [None, "unknown", "", "hibernating", 5]


@pytest.mark.parametrize("nothing", SAYS_NOTHING)
@pytest.mark.parametrize("status", ["connected", "disconnected", "connected_with_issues", "offline_deep_sleep"])
def test_a_status_that_says_nothing_leaves_a_device_as_it_was(status: str, nothing: str | int | None) -> None:
    before = known(device(connectionStatus=status, lastSeen=None))
    after = known(device(connectionStatus=nothing, lastSeen=None), before, NOW + timedelta(minutes=1))
    assert after == before


@given(st.lists(st.sampled_from(["connected", "disconnected", "connected_with_issues", "offline_expired", *SAYS_NOTHING])))
def test_what_says_nothing_can_be_left_out_of_any_order_of_statuses(statuses: list[str | int | None]) -> None:
    seen = known(device(connectionStatus="connected", lastSeen=None))
    told = seen
    for number, status in enumerate(statuses, start=1):
        moment = NOW + timedelta(minutes=number)
        seen = known(device(connectionStatus=status, lastSeen=None), seen, moment)
        if status not in SAYS_NOTHING:
            told = known(device(connectionStatus=status, lastSeen=None), told, moment)
    assert (seen.device, seen.status_since, seen.condition.drops) == (told.device, told.status_since, told.condition.drops)


def test_a_device_that_is_set_up_was_not_up_before() -> None:
    before = known(device(connectionStatus="activating"))
    assert known(device(connectionStatus="disconnected"), before).condition.drops == ()


@given(st.lists(st.sampled_from(["connected", "disconnected", "connected_with_issues", "activating"]), min_size=1, max_size=20))
def test_status_since_is_always_the_begin_of_the_present_run(statuses: list[str]) -> None:
    before = None
    for number, status in enumerate(statuses):
        moment = NOW + timedelta(minutes=number)
        before = known(device(connectionStatus=status, lastSeen=None), before, moment)
        begin = number
        while begin and statuses[begin - 1] == status:
            begin -= 1
        assert before.status_since == format_time(NOW + timedelta(minutes=begin))
