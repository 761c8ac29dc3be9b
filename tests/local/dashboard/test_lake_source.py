"""What the page asks besides its tiles: KQL that runs on the live store and that Kusto understands, whatever an id holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.dashboard import lake_source
from local.dashboard.lake_source import LakeSource, quoted
from tests.local.lake.test_live_store import Lake, alert, device, observed
from tests.support.kusto_checker import check_kql

HOSTILE = "a'b\\c\" | take 0 // \n\t{ids} é"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeSource]:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    lake.write(
        "Processed",
        device(1, -30),
        device(1, -5, "down", connectionStatus="disconnected"),
        device(2, -4, entityId=HOSTILE),
        device(3, -3, "unknown", connectionStatus="removed"),
        device(4, -25 * 60),
        observed("workspace", "room-0", -2, temperature=22.5),
    )
    about = {"entityId": "device-1", "workspaceId": "room-0"}
    lake.write("Alerts", alert("x", "fired", -3) | {"entityId": HOSTILE}, alert("y", "fired", -3) | about)
    lake.write("Alerts", alert("y", "resolved", -1) | about, alert("z", "fired", -60 * 24 * 40) | about)
    store = lake.store()
    store.refresh()
    yield LakeSource(store)
    store.close()
    lake.connection.close()


def test_every_device_is_listed_as_it_is_now_and_none_that_was_removed(source: LakeSource) -> None:
    found = {row["entityId"]: row["health"] for row in source.devices()}
    assert found.pop("device-1") == "down"
    assert found.keys() - {"device-4"} == {HOSTILE}


def test_a_device_has_the_observations_of_its_last_day(source: LakeSource) -> None:
    assert [row["health"] for row in source.observations_of(["device-1"])] == ["up", "down"]
    assert source.observations_of(["device-4"]) == []


def test_a_room_has_its_own_observations_and_those_of_its_devices(source: LakeSource) -> None:
    assert [row["entityId"] for row in source.observations_of(["room-0"])] == ["device-1", "device-1", "room-0"]


def test_one_that_was_removed_is_found_as_it_was_last(source: LakeSource) -> None:
    assert [row["connectionStatus"] for row in source.newest_of(["device-3"])] == ["removed"]
    assert [row["entityId"] for row in source.newest_of(["device-4"])] == ["device-4"]
    assert source.newest_of(["nobody"]) == []


def test_alerts_are_found_by_device_and_by_room_however_old(source: LakeSource) -> None:
    for about in ("device-1", "room-0"):
        assert [(row["alertId"], row["state"]) for row in source.alerts_of([about])] == [
            ("y", "resolved"), ("y", "fired"), ("z", "fired"),
        ]  # fmt: skip


def test_an_id_is_text_whatever_it_holds(source: LakeSource) -> None:
    assert [row["entityId"] for row in source.observations_of([HOSTILE])] == [HOSTILE]
    assert [row["alertId"] for row in source.alerts_of([HOSTILE])] == ["x"]


@pytest.mark.kusto
def test_kusto_understands_every_question() -> None:
    names = ("DEVICES", "OBSERVATIONS", "NEWEST", "ALERTS")
    asked = {name: getattr(lake_source, name).replace("{ids}", quoted([HOSTILE, "b"])).strip() for name in names}
    assert check_kql(asked).faults == ()


def test_an_answer_takes_no_change_away_from_whoever_waits_for_it(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    store = lake.store()
    lake.write("Processed", device(1, 0))
    LakeSource(store).alerts_of(["device-1"])
    assert store.refresh(), "the page would not hear of it before the next one"
    lake.connection.close()
