"""The live store answers the tiles from what is in the lake, in the clock's time, whatever the writer does meanwhile."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from deltalake import DeltaTable

from asa_engine.databases import calculator
from local.clock import SimulatedClock
from local.lake import delta_table, keyed_tile, live_store
from local.lake.arrivals import Arrivals
from local.lake.delta_table import DeltaTableWriter
from local.lake.keyed_tile import FEW_ROWS
from local.lake.live_store import LiveStore, LiveStoreError
from local.lake.memory_tables import NewestRows
from local.lake.tables import live_tables
from local.part import PartError
from powerbi.tiles import read_tiles

NOON = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
Row = dict[str, Any]


def at(minutes: float) -> str:
    """A time so many minutes after noon, as the contracts write it."""
    return (NOON + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Lake:
    """A lake to write rows into, and a live store over it whose clock stands at noon until it is moved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.moment = NOON
        self.connection = calculator()
        self.writers: dict[str, DeltaTableWriter] = {}

    def store(self, arrivals: Arrivals | None = None) -> LiveStore:
        clock = SimulatedClock(0.0, 0.0, 1.0, real_time=lambda: self.moment.timestamp())
        return LiveStore(self.folder, clock, arrivals=arrivals)

    def write(self, table: str, *rows: Row) -> None:
        declared = live_tables()[table]
        writer = self.writers.get(table) or self.writers.setdefault(table, declared.writer(self.folder))
        struct = json.dumps([dict(declared.columns)])
        given = "create or replace temp table given as select unnest(from_json($1::json, $2), recursive := true)"
        self.connection.execute(given, [json.dumps(rows), struct])
        writer.append(self.connection, "from given")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    opened = Lake(tmp_path)
    yield opened
    opened.connection.close()


def device(number: int, minutes: float, health: str = "up", **more: Any) -> Row:
    return {
        "id": f"device-{number}-{minutes}",
        "observedAt": at(minutes),
        "cityId": "lyon",
        "locationId": "l1",
        "locationName": "Part-Dieu",
        "workspaceId": f"room-{number // 2}",
        "workspaceName": f"Room {number // 2}",
        "entity": "device",
        "entityId": f"device-{number}",
        "name": f"Bar {number}",
        "health": health,
        "errorCodes": "[]",
        "signals": "[]",
        **more,
    }


IN_MAINTENANCE = json.dumps([{"name": "offline", "value": 0, "text": "planned maintenance", "rules": []}])
REACHABLE = json.dumps([{"name": "offline", "value": 0, "rules": []}])


def observed(entity: str, entity_id: str, minutes: float, partial: bool = False, **signals: float) -> Row:
    return {
        "id": f"{entity_id}-{minutes}-{','.join(signals)}",
        "observedAt": at(minutes),
        "cityId": "lyon",
        "entity": entity,
        "entityId": entity_id,
        "name": entity_id.title(),
        "partial": partial,
        "signals": json.dumps([{"name": name, "value": value, "rules": []} for name, value in signals.items()]),
    }


def alert(alert_id: str, state: str, minutes: float, severity: int = 2) -> Row:
    return {
        "alertId": alert_id,
        "ruleId": "device-offline",
        "state": state,
        "severity": severity,
        "startedAt": at(0),
        "observedAt": at(minutes),
    }


def test_an_empty_lake_gives_empty_tiles(lake: Lake) -> None:
    store = lake.store()
    assert store.refresh() is False
    tiles = store.tiles()
    assert tiles.pop("pipeline") == [{"newest": None, "readings5m": 0, "quarantined1h": 0}]
    assert set(tiles) == set(read_tiles()) - {"pipeline"}
    assert all(rows == [] for rows in tiles.values())
    assert store.query("Processed | count") == [{"Count": 0}]


@pytest.fixture(scope="module")
def every_tile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """The tiles of a lake in which each has something to show; nobody changes them."""
    lake = Lake(tmp_path_factory.mktemp("every-tile"))
    lake.write("Processed", device(1, -1, "down"), observed("city", "lyon", -1, devices=1))
    lake.write(
        "Processed",
        observed("workspace", "room-0", -1, temperature=21, unattendedMinutes=11),
        observed("location", "l1", -1, offlineRatio=0),
    )
    lake.write("Processed", device(2, -1, software="RoomOS 11", signals=IN_MAINTENANCE))
    lake.write("Alerts", alert("a", "fired", -1))
    lake.write("CityMinute", {"windowEnd": at(-1), "cityId": "lyon", "signal": "rooms", "mean": 1, "readings": 1})
    store = lake.store()
    assert store.refresh()
    tiles = store.tiles()
    store.close()
    lake.connection.close()
    return tiles


@pytest.mark.parametrize("name", read_tiles())
def test_a_tile_yields_the_columns_of_its_header(every_tile: dict[str, list[Row]], name: str) -> None:
    assert tuple(every_tile[name][0]) == read_tiles()[name].columns


def test_a_refresh_says_whether_there_was_anything_new(lake: Lake) -> None:
    store = lake.store()
    lake.write("Processed", device(1, 0))
    assert (store.refresh(), store.refresh()) == (True, False)
    lake.write("Processed", device(1, 1))
    assert (store.refresh(), store.refresh()) == (True, False)


def test_a_city_shows_its_newest_poll(lake: Lake) -> None:
    lake.write(
        "Processed", observed("city", "lyon", -3, devices=9, devicesDown=4, rooms=3), observed("city", "oslo", -90, devices=2)
    )
    store = lake.store()
    store.refresh()
    lake.write("Processed", observed("city", "lyon", -2, partial=True, devices=10, devicesDown=1, rooms=3))
    store.refresh()
    lyon = store.tiles()["cities"][0]
    shown = ("name", "lastPoll", "partial", "devices", "devicesDown", "rooms", "roomsUsable", "roomsInUse")
    assert {name: lyon[name] for name in shown} == {
        "name": "Lyon",
        "lastPoll": "2031-05-04T11:58:00.000Z",
        "partial": True,
        "devices": 10.0,
        "devicesDown": 1.0,
        "rooms": 3.0,
        "roomsUsable": None,
        "roomsInUse": None,
    }


def test_a_ghost_meeting_is_a_room_booked_for_ten_minutes_that_still_says_so(lake: Lake) -> None:
    lake.write(
        "Processed",
        observed("workspace", "empty", -2, booked=1, unattendedMinutes=12),
        observed("workspace", "just-booked", -2, booked=1, unattendedMinutes=9.9),
        observed("workspace", "not-heard-since", -20, booked=1, unattendedMinutes=40),
        observed("workspace", "somebody-came", -5, booked=1, unattendedMinutes=30),
        observed("workspace", "somebody-came", -1, booked=1, unattendedMinutes=0),
    )
    store = lake.store()
    store.refresh()
    assert [(row["workspaceId"], row["minutes"]) for row in store.tiles()["ghost_meetings"]] == [("empty", 12.0)]


def test_a_healthy_device_that_is_silent_since_the_snapshot_still_counts(lake: Lake) -> None:
    lake.write("Processed", device(1, -59), device(2, -59), device(3, 0, "down"))
    store = lake.store()
    store.refresh()
    rooms = {room["workspaceId"]: (room["health"], room["devices"]) for room in store.tiles()["rooms"]}
    assert rooms == {"room-0": ("up", 1), "room-1": ("down", 2)}


@pytest.mark.parametrize("tile", ["rooms", "worst_rooms", "firmware"])
def test_a_device_that_webex_no_longer_lists_is_in_no_count(lake: Lake, tile: str) -> None:
    lake.write("Processed", device(2, -9, "issues", software="RoomOS 12"), device(4, -9, "issues", software="RoomOS 12"))
    lake.write("Processed", device(4, -1, "unknown", software="RoomOS 12", connectionStatus="removed"))
    store = lake.store()
    store.refresh()
    (row,) = store.tiles()[tile]
    assert row.get("devices", 1) == 1 and row.get("workspaceId", "room-1") == "room-1"


def test_devices_that_need_attention_come_worst_and_longest_first(lake: Lake) -> None:
    lake.write(
        "Processed",
        device(1, 0, "issues", statusSince=at(-600), errorCodes='["mic"]'),
        device(2, 0, "down", statusSince=at(-5)),
        device(3, 0, "down", statusSince=at(-50)),
        device(4, 0, "unknown"),
        device(5, 0, "asleep"),
        device(6, 0),
    )
    store = lake.store()
    store.refresh()
    worst = store.tiles()["worst_rooms"]
    assert [row["entityId"] for row in worst] == ["device-3", "device-2", "device-1", "device-4"]
    assert worst[2]["errorCodes"] == ["mic"]


@pytest.mark.parametrize("odd", ["NaN", "-Infinity", "1e400", "9" * 30, "-" + "9" * 5000], ids=lambda odd: odd[:9])
def test_a_number_that_json_does_not_have_takes_no_other_row_from_the_page(lake: Lake, odd: str) -> None:
    """DuckDB takes it for JSON, so it is stored. The page is sent what orjson writes."""
    lake.write("Processed", device(1, 0, "issues", details=f'{{"a": {odd}}}'), device(2, 0, "issues"))
    store = lake.store()
    store.refresh()
    sent = orjson.loads(orjson.dumps(store.tiles()["worst_rooms"]))
    assert {row["entityId"] for row in sent} == {"device-1", "device-2"}


def test_a_device_is_in_maintenance_until_its_newest_observation_no_longer_says_so(lake: Lake) -> None:
    issues = json.dumps([{"name": "issues", "value": 1, "text": "planned maintenance", "rules": []}])
    lake.write("Processed", device(1, -9, "down", signals=IN_MAINTENANCE), device(2, -9, "up", signals=IN_MAINTENANCE))
    lake.write("Processed", device(3, -9, "down", signals=REACHABLE), device(4, -9, "issues", signals=issues))
    store = lake.store()
    store.refresh()
    assert [row["entityId"] for row in store.tiles()["maintenance"]] == ["device-1", "device-2"]
    lake.write("Processed", device(1, -2, "down", signals=REACHABLE))
    store.refresh()
    assert [row["entityId"] for row in store.tiles()["maintenance"]] == ["device-2"]


def test_an_alert_is_open_until_it_is_resolved(lake: Lake) -> None:
    store = lake.store()
    lake.write("Alerts", alert("a", "fired", -10), alert("b", "fired", -9, severity=1), alert("c", "resolved", -9))
    store.refresh()
    assert [row["alertId"] for row in store.tiles()["open_alerts"]] == ["b", "a"]
    lake.write("Alerts", alert("b", "resolved", -2))
    store.refresh()
    tiles = store.tiles()
    assert [row["alertId"] for row in tiles["open_alerts"]] == ["a"]
    assert next((row["alertId"], row["state"]) for row in tiles["alerts_recent"]) == ("b", "resolved")


def test_an_alert_that_has_been_open_for_weeks_is_still_there_after_a_restart(lake: Lake) -> None:
    lake.write("Alerts", alert("old", "fired", -30 * 24 * 60))
    lake.write("Alerts", alert("new", "fired", -1))
    store = lake.store()
    store.refresh()
    assert {row["alertId"] for row in store.tiles()["open_alerts"]} == {"old", "new"}


def test_readings_of_a_room_that_come_one_by_one_stand_side_by_side(lake: Lake) -> None:
    lake.write(
        "Processed", observed("workspace", "room-0", -20, temperature=21.5), observed("workspace", "room-0", -10, humidity=40)
    )
    lake.write(
        "Processed", observed("workspace", "room-0", -5, temperature=22.5), observed("workspace", "room-1", -121, temperature=30)
    )
    store = lake.store()
    store.refresh()
    (room,) = store.tiles()["environment"]
    assert (room["temperature"], room["humidity"], room["observedAt"]) == (22.5, 40.0, "2031-05-04T11:55:00.000Z")


def test_now_is_the_shared_clocks_now(lake: Lake) -> None:
    lake.write("CityMinute", {"windowEnd": at(-30), "cityId": "lyon", "signal": "rooms", "mean": 7, "readings": 1})
    store = lake.store()
    store.refresh()
    assert [row["rooms"] for row in store.tiles()["city_trend"]] == [7.0]
    assert store.query("print now()") == [{"print_0": "2031-05-04T12:00:00.000Z"}]
    lake.moment = NOON + timedelta(minutes=31)
    assert store.tiles()["city_trend"] == []


def test_pipeline_counts_what_came_and_what_was_quarantined(lake: Lake) -> None:
    lake.write("Processed", device(1, -2))
    lake.write("CityMinute", *({"windowEnd": at(-m), "cityId": "lyon", "signal": "rooms", "readings": 10} for m in (1, 4, 6)))
    lake.write("DeadLetter", {"id": "x", "observedAt": at(-59)}, {"id": "y", "observedAt": at(-61)})
    store = lake.store()
    store.refresh()
    assert store.tiles()["pipeline"] == [{"newest": "2031-05-04T11:58:00.000Z", "readings5m": 20, "quarantined1h": 1}]


def test_however_the_rows_arrive_the_views_say_the_same_as_the_whole_history(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta_table, "COMMITS_PER_COMPACTION", 7)
    monkeypatch.setattr("local.lake.memory_tables.FEWEST_DELETED", 5)
    chance = random.Random(3)
    store = lake.store()
    for step in range(25):
        devices = (
            device(chance.randrange(6), chance.randrange(-100, 0) + step / 100, chance.choice(["up", "down"])) for _ in range(3)
        )
        lake.write("Processed", *devices)
        if chance.random() < 0.6:
            store.refresh()
    query = "| project entityId, observedAt, health | order by entityId asc"
    history = store.query(f"Processed | summarize arg_max(observedAt, *) by entityId {query}")
    assert store.query(f"Latest {query}") == history
    late = lake.store()
    assert late.query(f"Latest {query}") == history


MINUTE: Row = {"windowEnd": at(1), "cityId": "lyon", "signal": "rooms", "mean": 7, "readings": 1}


def test_a_tile_is_run_again_when_what_it_reads_has_changed_or_the_time_has(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    cases: list[tuple[str, Row, set[str]]] = [
        ("Processed", observed("workspace", "room-7", 1, temperature=21), {"environment", "ghost_meetings", "pipeline"}),
        ("Processed", device(7, 1), {"firmware", "maintenance", "pipeline", "rooms", "worst_rooms"}),
        ("Processed", observed("city", "lyon", 1, rooms=3), {"cities", "pipeline"}),
        ("Processed", observed("location", "l1", 1, devices=3), {"locations", "pipeline"}),
        ("Alerts", alert("a", "fired", 1), {"alerts_recent", "open_alerts"}),
        ("CityMinute", MINUTE, {"city_trend", "pipeline"}),
        ("DeadLetter", {"id": "x", "observedAt": at(1)}, {"pipeline"}),
    ]
    ran: set[str] = set()
    real = LiveStore._run

    def run(store: LiveStore, cursor: duckdb.DuckDBPyConnection, sql: str, what: str) -> list[Row]:
        ran.add(what.removeprefix("tile "))
        return real(store, cursor, sql, what)

    store = lake.store()
    for table, row, _ in cases:
        lake.write(table, {**row, "id": "first", **({"windowEnd": at(0)} if table == "CityMinute" else {})})
    before = refreshed(store)
    monkeypatch.setattr(LiveStore, "_run", run)
    for table, row, expected in cases:
        ran.clear()
        lake.write(table, {**row, **({"state": "resolved"} if table == "Alerts" else {})})
        assert store.refresh()
        tiles = store.tiles()
        assert ran == expected, (table, row)
        same = {name for name, rows in tiles.items() if rows is before[name]}
        assert same == {name for name, rows in tiles.items() if rows == before[name]}
        before = tiles
    ran.clear()
    lake.moment += timedelta(seconds=9)
    store.tiles()
    assert not ran
    lake.moment += timedelta(seconds=1)
    store.tiles()
    assert ran == set(before)


def came_and_went(chance: random.Random, step: int) -> Row:
    """A row of an estate whose devices and rooms move, are in no room, and go."""
    minute = chance.randrange(-100, 0) + step / 100
    city = {"cityId": chance.choice(["lyon", "lyon", "oslo"])}
    if chance.random() < 0.4:
        kind = chance.choice(["workspace", "location", "city"])
        return observed(kind, f"{kind}-{chance.randrange(3)}", minute, temperature=step) | city
    room = chance.choice([None, "", "room-0", "room-1", "room-2"])
    return device(
        chance.randrange(4),
        minute,
        chance.choice(["up", "down"]),
        signals=chance.choice([IN_MAINTENANCE, REACHABLE]),
        workspaceId=room,
        workspaceName=room and chance.choice(["Alpha", room.title()]),
        connectionStatus=chance.choice(["connected", "connected", "removed"]),
        **city,
    )


@pytest.mark.parametrize("few_rows", [1, FEW_ROWS])
def test_whatever_comes_the_tiles_say_what_those_of_a_new_store_say(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, few_rows: int
) -> None:
    monkeypatch.setattr(keyed_tile, "FEW_ROWS", few_rows)
    monkeypatch.setattr(live_store, "ROWS_AT_ONCE", few_rows)
    chance = random.Random(5)
    store = lake.store()
    for step in range(40):
        lake.write("Processed", *(came_and_went(chance, 10 * step + number) for number in range(chance.choice([1, 1, 3]))))
        tiles = refreshed(store)
        if step % 5 == 4:
            assert tiles == refreshed(lake.store()), step


def test_a_large_tile_is_run_again_a_portion_at_a_time_when_time_passes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed_tile, "FEW_ROWS", 5)
    seconds = 1 / 60
    old = [observed("workspace", f"old-{number}", -120 + 6.1 * seconds, temperature=20) for number in range(40)]
    lake.write("Processed", *old, *(observed("workspace", f"new-{number}", 0, temperature=20) for number in range(40)))
    store = lake.store()
    store.refresh()
    shown = []
    for _ in range(34):
        shown.append(len(store.tiles()["environment"]))
        lake.moment += timedelta(seconds=0.625)
    assert shown[:10] == [80] * 10, "6.1 s later the old ones are out of date"
    assert all(0 <= before - after < 15 for before, after in pairwise(shown)), "few at a time"
    assert shown[-1] == 40, "at the end of the next round, twenty seconds after the start"


def test_when_a_room_says_something_only_its_own_row_is_run_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed_tile, "FEW_ROWS", 1)
    store = lake.store()
    lake.write("Processed", *(observed("workspace", f"room-{n}", 0, temperature=20) for n in range(3)))
    before = refreshed(store)["environment"]
    lake.write("Processed", observed("workspace", "room-1", 1, temperature=25))
    after = refreshed(store)["environment"]
    assert [row["temperature"] for row in after] == [20, 25, 20]
    assert [now is then for now, then in zip(after, before, strict=True)] == [True, False, True]


def test_a_view_takes_in_only_rows_of_entities_that_it_is_about(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    merged: list[str] = []
    real = NewestRows.merge

    def merge(table: NewestRows, connection: duckdb.DuckDBPyConnection) -> None:
        merged.append(table.name)
        real(table, connection)

    store = lake.store()
    lake.write("Processed", device(1, 0))
    store.refresh()
    monkeypatch.setattr(NewestRows, "merge", merge)
    lake.write("Processed", observed("workspace", "room-0", 1, temperature=21))
    store.refresh()
    assert merged == ["Latest", "LatestSignal"], "no word on the maintenance of a device"
    lake.write("Processed", device(1, 2, signals=IN_MAINTENANCE))
    store.refresh()
    assert "LatestMaintenance" in merged


def test_too_many_changed_rooms_are_run_again_together(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed_tile, "FEW_ROWS", 1)
    monkeypatch.setattr(live_store, "MOST_CHANGED", 1)
    store = lake.store()
    lake.write("Processed", *(observed("workspace", f"room-{n}", 0, temperature=20) for n in range(3)))
    before = refreshed(store)["environment"]
    lake.write("Processed", *(observed("workspace", f"room-{n}", 1, temperature=n) for n in range(2)))
    after = refreshed(store)["environment"]
    assert [row["temperature"] for row in after] == [0, 1, 20]
    assert not any(now is then for now, then in zip(after, before, strict=True))


def refreshed(store: LiveStore) -> dict[str, list[Row]]:
    store.refresh()
    return store.tiles()


def test_a_store_that_fell_behind_compaction_and_vacuum_catches_up(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.write("Processed", device(0, 0))
    store = lake.store()
    store.refresh()
    lake.write("Processed", device(1, 1))
    lake.write("Processed", device(2, 2))
    replaced = list((lake.folder / "Processed").glob("*.parquet"))
    lake.writers["Processed"].compact()
    for file in replaced:
        file.unlink()
    assert store.refresh()
    assert store.query("Latest | count") == [{"Count": 3}]


def test_rows_that_a_compaction_moved_are_not_shown_twice(lake: Lake) -> None:
    store = lake.store()
    for number in range(3):
        lake.write("Alerts", alert(f"alert-{number}", "fired", number))
        store.refresh()
    lake.writers["Alerts"].compact()
    store.refresh()
    assert len(store.tiles()["alerts_recent"]) == 3


def test_commits_that_were_cleaned_up_are_read_from_the_checkpoint(lake: Lake) -> None:
    lake.write("Processed", device(0, 0))
    store = lake.store()
    store.refresh()
    for number in range(1, 4):
        lake.write("Processed", device(number, number))
    table = DeltaTable(str(lake.folder / "Processed"))
    table.create_checkpoint()
    for commit in (lake.folder / "Processed" / "_delta_log").glob("*.json"):
        commit.unlink()
    assert store.refresh()
    assert store.query("Latest | count") == [{"Count": 4}]


def as_sent(row: Row) -> str:
    """A row as a line of its hub, where dynamic values are JSON and not its text."""
    return json.dumps({name: json.loads(value) if name in ("errorCodes", "signals") else value for name, value in row.items()})


def test_what_arrives_is_shown_before_the_lake_has_it_and_counts_once_when_it_has(lake: Lake) -> None:
    arrivals = Arrivals()
    lake.write("Processed", device(1, 0, "down"))
    lake.write("Alerts", alert("before", "fired", 0))
    store = lake.store(arrivals)
    minute, fired = {**MINUTE, "windowEnd": at(-1)}, alert("a", "fired", 1)
    for _ in range(2):  # the query repeats itself after a crash
        arrivals.put("Processed", "\n".join(map(as_sent, [device(1, 1), device(2, 1, "issues")])))
        arrivals.put("CityMinute", f"{json.dumps(minute)}\n{json.dumps(minute)}")
        arrivals.put("Alerts", json.dumps(fired))
        assert store.refresh()
    assert {row["entityId"]: row["health"] for row in store.tiles()["worst_rooms"]} == {"device-2": "issues"}
    lake.write("Processed", device(1, 1), device(2, 1, "issues"))
    lake.write("CityMinute", minute)
    lake.write("Alerts", fired)
    assert not store.refresh(), "read as it arrived, not from the lake again"
    assert store.tiles()["pipeline"][0]["readings5m"] == 1
    assert [row["alertId"] for row in store.tiles()["alerts_recent"]] == ["a", "before"]


def test_much_that_arrives_is_read_a_portion_at_a_time_in_its_order(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = Arrivals()
    store = lake.store(arrivals)
    lines = [as_sent(row) for number in range(1, 4) for row in (device(number, 1, "down"), device(number, 2, "issues"))]
    monkeypatch.setattr(live_store, "PORTION_CHARACTERS", len(lines[0]) + 1)
    for line in lines[:-1]:
        arrivals.put("Processed", line)
    arrivals.put("Processed", f"{lines[-1]}\n")
    assert store.refresh()
    shown = {row["entityId"]: row["health"] for row in store.tiles()["worst_rooms"]}
    assert shown == {"device-1": "issues", "device-2": "issues", "device-3": "issues"}


def test_the_lake_is_read_at_the_start_although_something_arrives_already(lake: Lake) -> None:
    arrivals = Arrivals()
    lake.write("CityMinute", {**MINUTE, "windowEnd": at(-2)}, {**MINUTE, "windowEnd": at(-1)})
    arrivals.put("CityMinute", json.dumps({**MINUTE, "windowEnd": at(-1)}))
    arrivals.put("CityMinute", json.dumps({**MINUTE, "windowEnd": at(-0.5)}))
    store = lake.store(arrivals)
    store.refresh()
    assert store.tiles()["pipeline"][0]["readings5m"] == 3


def test_what_nobody_waits_for_is_read_from_the_lake_also_beside_arrivals(lake: Lake) -> None:
    store = lake.store(Arrivals())
    store.refresh()
    lake.write("DeadLetter", {"id": "q", "observedAt": at(-1), "stage": "ingest"})
    assert store.refresh()
    assert store.tiles()["pipeline"][0]["quarantined1h"] == 1


def test_a_line_that_cannot_be_read_hides_none_beside_it(lake: Lake) -> None:
    arrivals = Arrivals()
    store = lake.store(arrivals)
    arrivals.put("Processed", "\n".join(["{torn", as_sent(device(1, 0, "down"))]))
    assert store.refresh()
    assert [row["entityId"] for row in store.tiles()["worst_rooms"]] == ["device-1"]


def test_what_arrived_and_could_not_be_shown_is_shown_from_the_lake(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise duckdb.OutOfMemoryException("could not allocate block")

    arrivals = Arrivals()
    lake.write("CityMinute", MINUTE)
    lake.write("Processed", device(0, 0))
    store = lake.store(arrivals)
    store.refresh()
    lake.write("Processed", device(1, 0, "down"))
    with monkeypatch.context() as patch:
        patch.setattr(NewestRows, "merge", full)
        arrivals.put("Processed", as_sent(device(1, 0, "down")))
        with pytest.raises(LiveStoreError, match="rows of Processed that arrived can't be shown"):
            store.refresh()
    lake.write("Processed", device(2, 1, "down"))
    arrivals.put("Processed", as_sent(device(2, 1, "down")))
    assert store.refresh()
    sent = orjson.loads(orjson.dumps(store.tiles()["worst_rooms"]))
    assert {row["entityId"] for row in sent} == {"device-1", "device-2"}
    assert not arrivals.take(), "nobody takes it any more: it must not gather"


def test_a_damaged_table_is_named_with_the_next_step(lake: Lake) -> None:
    lake.write("Processed", device(0, 0))
    for file in (lake.folder / "Processed").glob("*.parquet"):
        file.write_bytes(b"torn")
    with pytest.raises(LiveStoreError, match=r"Delta table \S+/Processed can't be read.*move the folder away"):
        lake.store().refresh()


def test_an_estate_is_read_at_the_start_in_less_memory_than_finding_all_newest_rows_takes(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for poll in range(3):
        details = [json.dumps({"serial": f"{poll}-{number}".rjust(400, "x")}) for number in range(6000)]
        health = "up" if poll else "down"
        lake.write("Processed", *(device(number, poll, health, details=of) for number, of in enumerate(details)))
    monkeypatch.setattr(live_store, "MEMORY_LIMIT", "32MB")
    store = lake.store()
    store.refresh()
    assert store.query("Latest | summarize devices = count() by health, observedAt") == [
        {"health": "up", "observedAt": "2031-05-04T12:02:00.000Z", "devices": 6000}
    ]


def test_however_often_a_room_reports_the_memory_of_its_rows_stays_as_it_is(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed_tile, "FEW_ROWS", 10)
    arrivals, held = Arrivals(), list[int]()
    store = lake.store(arrivals)
    for look in range(36):
        rooms = [observed("workspace", f"room-{number}", look, temperature=21 + number) for number in range(100)]
        arrivals.put("Processed", "\n".join(map(as_sent, rooms)))
        store.refresh()
        store.tiles()
        if look >= 12:
            ((bytes_held,),) = store._loader.execute("select sum(memory_usage_bytes) from duckdb_memory()").fetchall()
            held.append(int(bytes_held))
    assert max(held[12:]) <= max(held[:12])
    stored = "select sum(count) from pragma_storage_info('main.changed') where segment_type = 'VARCHAR'"
    assert store._loader.execute(stored).fetchall() == [(100,)], "what was deleted counts as well"


def test_too_little_memory_is_not_called_a_damaged_table(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise duckdb.OutOfMemoryException("could not allocate block")

    monkeypatch.setattr(NewestRows, "merge", full)
    lake.write("Processed", device(0, 0))
    with pytest.raises(LiveStoreError, match=r"192MB of memory don't hold Processed.*-spill takes no more.*free disk space"):
        lake.store().refresh()


def test_a_torn_commit_is_named_with_the_next_step(lake: Lake) -> None:
    lake.write("Processed", device(0, 0))
    store = lake.store()
    store.refresh()
    lake.write("Processed", device(1, 1))
    newest = max((lake.folder / "Processed" / "_delta_log").glob("*.json"))
    newest.write_bytes(newest.read_bytes()[:100])
    with pytest.raises(PartError, match=r"Delta table \S+/Processed can't be read.*move the folder away"):
        store.refresh()


def test_a_query_asked_again_is_not_translated_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    store = lake.store()
    counting = "Processed | count // asked twice"
    assert store.query(counting) == [{"Count": 0}]
    lake.write("Processed", device(1, 0))
    monkeypatch.setattr("duckdb_kql.to_sql", lambda *_, **__: pytest.fail("translated again"))
    assert store.query(counting) == [{"Count": 1}]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("Processed | wherex", "can't be run"),
        ("Processed | make-series count() on observedAt step 1m", "can't be run"),
        ("Nowhere | count", "failed"),
        (".drop table Processed", "can't be run"),
    ],
)
def test_a_query_that_cannot_run_here_is_refused_with_the_reason(lake: Lake, query: str, reason: str) -> None:
    with pytest.raises(LiveStoreError, match=f"the query {reason}"):
        lake.store().query(query)


@pytest.mark.parametrize(
    ("kql", "reason"),
    [
        ("Latest | wherex", "can't be run"),
        ("Latest | where helth == 'up'", "failed .*helth"),
        ("Processed | count", "failed .*Processed"),
    ],
)
def test_a_faulty_tile_is_named_at_the_start(tmp_path: Path, kql: str, reason: str) -> None:
    (tmp_path / "broken.kql").write_text(f"// title: t\n// answers: a\n// columns: c\n{kql}\n")
    with pytest.raises(LiveStoreError, match=f"tile broken {reason}"):
        LiveStore(tmp_path, SimulatedClock(0, 0), tiles_dir=tmp_path)


def test_a_view_that_sums_up_is_counted_over_the_whole_history(lake: Lake) -> None:
    weeks = 20 * 24 * 60
    lake.write("Processed", observed("workspace", "room-1", -weeks, temperature=20), observed("workspace", "room-1", 1, inUse=1))
    store = lake.store()
    store.refresh()
    lake.write(
        "Processed", observed("workspace", "room-1", 2, temperature=23), observed("workspace", "room-1", 16, temperature=24)
    )
    quarters = store.query(
        "RoomQuarterHours | project quarter, temperatureReadings, temperatureSum, inUseReadings | order by quarter asc"
    )
    assert [list(row.values())[1:] for row in quarters] == [[1, 20.0, 0], [1, 23.0, 1], [1, 24.0, 0]]
    assert store.query("CallQuarterHours | count") == [{"Count": 0}]
