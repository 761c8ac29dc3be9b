"""Which tiles can be run again by group, and how their rows are put together."""

from __future__ import annotations

import random

import pytest

from local.lake.keyed_tile import KeyedRows, KeyedTile, keyed_tile
from local.lake.kusto_rows import Row
from powerbi.kusto_schema import read_tables, read_views
from powerbi.tiles import read_tiles

NAMES = {*read_tables(), *read_views()}
ENVIRONMENT = KeyedTile("LatestSignal", "entityId", "workspaceId", ("cityId", "workspaceId"))


def test_the_tiles_of_rooms_and_locations_are_run_again_by_group() -> None:
    found = {name: keyed for name, tile in read_tiles().items() if (keyed := keyed_tile(tile.kql, NAMES))}
    assert found == {
        "environment": ENVIRONMENT,
        "locations": KeyedTile("LatestSignal", "entityId", "locationId", ("cityId", "locationId")),
        "rooms": KeyedTile("Latest", "workspaceId", "workspaceId", ("cityId", "locationId", "workspaceName", "workspaceId")),
    }


BY_ENTITY = "Latest\n| where a == 1\n| summarize n = count() by id = entityId\n"


def test_a_tile_of_this_form_is_run_again_by_group() -> None:
    assert keyed_tile(f"{BY_ENTITY}| project id\n| order by id asc", NAMES) == KeyedTile("Latest", "entityId", "id", ("id",))


@pytest.mark.parametrize(
    "kql",
    [
        "Latest\n| where entity == 'device'\n| summarize n = count() by cityId\n| project n\n| order by n asc",
        f"{BY_ENTITY}| project id\n| take 5\n| order by id asc",
        f"{BY_ENTITY}| summarize m = sum(n)\n| project m\n| order by m asc",
        f"{BY_ENTITY}| project id",
        f"{BY_ENTITY}| project n\n| order by n asc",
        f"{BY_ENTITY}| project m = iff(n > 1, id, n)\n| order by m asc",
        f"{BY_ENTITY}| project id\n| order by id desc",
        "union A, B\n| summarize n = count() by id = entityId\n| project id\n| order by id asc",
        BY_ENTITY.replace("a == 1", "a in (Alerts)") + "| project id\n| order by id asc",
        BY_ENTITY.replace("a == 1", "a in ((Latest))") + "| project id\n| order by id asc",
        BY_ENTITY.replace("where a == 1", "extend entityId = a") + "| project id\n| order by id asc",
    ],
    ids=[
        "by city", "takes some", "sums the groups up", "in no order", "does not say of what", "says it in an expression",
        "in another order", "of several tables", "looks at another table", "looks at others of its own", "by another value",
    ],
)  # fmt: skip
def test_any_other_tile_is_run_as_a_whole(kql: str) -> None:
    assert keyed_tile(kql, NAMES) is None


def room(name: str, temperature: float | None, city: str | None = "lyon") -> Row:
    return {"cityId": city, "workspaceId": name, "temperature": temperature}


A, B, C = room("a", 20), room("b", 21), room("c", 22)


@pytest.mark.parametrize(
    ("groups", "fresh", "expected"),
    [
        ({"b"}, [room("b", 25)], [A, room("b", 25), C]),
        ({"b"}, [room("b", None)], [A, room("b", None), C]),
        ({"c", "a"}, [room("c", 1), room("a", 2)], [room("a", 2), B, room("c", 1)]),
        ({"device-7"}, [], [A, B, C]),
        ({"b"}, [], [A, C]),
        ({"bb"}, [room("bb", 20)], [A, B, room("bb", 20), C]),
        ({"a"}, [room("a", 21, "oslo")], [B, C, room("a", 21, "oslo")]),
        ({"b"}, [room("b", 1), room("b", 2, "oslo")], [A, room("b", 1), C, room("b", 2, "oslo")]),
        ({"c"}, [room("c", 22, None)], [room("c", 22, None), A, B]),
    ],
    ids=["warmer", "nothing known", "two", "of no row", "gone", "new", "in another city", "in two cities", "in no city"],
)
def test_changed_rows_stand_where_they_belong(groups: set[str], fresh: list[Row], expected: list[Row]) -> None:
    held = KeyedRows(ENVIRONMENT, [C, A, B])
    before = held.rows
    held.replace(groups, fresh)
    assert held.rows == expected
    assert before == [A, B, C], "whoever has them must not see them change"
    assert [row for row in held.rows if row in before] == [row for row in held.rows if any(row is old for old in before)]


def test_where_nothing_has_changed_the_rows_are_the_very_same_list() -> None:
    held = KeyedRows(ENVIRONMENT, [A, B, C])
    before = held.rows
    held.replace({"a", "c"}, [dict(C), dict(A)])
    assert held.rows is before


def test_however_often_rows_change_they_are_those_of_a_whole_run() -> None:
    chance = random.Random(2)
    now: dict[str, list[Row]] = {}
    held = KeyedRows(ENVIRONMENT, [])
    for _ in range(300):
        groups = {f"room-{chance.randrange(12)}" for _ in range(3)}
        cities = [chance.sample(["lyon", "oslo", None], chance.randrange(3)) for _ in groups]
        now |= {name: [room(name, chance.randrange(3), city) for city in of] for name, of in zip(groups, cities, strict=True)}
        held.replace(groups, [row for name in groups for row in now[name]])
        every = KeyedRows(ENVIRONMENT, [row for rows in now.values() for row in rows])
        assert held.rows == every.rows
