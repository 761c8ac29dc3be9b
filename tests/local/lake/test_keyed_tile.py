"""Which tiles can be run again by entity, and when their rows can be put together."""

from __future__ import annotations

import pytest

from local.lake.keyed_tile import KeyedTile, keyed_tile
from local.lake.kusto_rows import Row
from powerbi.tiles import read_tiles

ROOMS = KeyedTile("LatestSignal", "workspaceId", ("cityId", "workspaceId"))


def test_the_tiles_of_rooms_and_locations_are_run_again_by_entity() -> None:
    found = {name: keyed for name, tile in read_tiles().items() if (keyed := keyed_tile(tile.kql))}
    assert found == {"environment": ROOMS, "locations": KeyedTile("LatestSignal", "locationId", ("cityId", "locationId"))}


@pytest.mark.parametrize(
    "kql",
    [
        "Latest\n| where entity == 'device'\n| summarize n = count() by cityId\n| project n\n| order by n asc",
        "Latest\n| where a == 1\n| summarize n = count() by id = entityId\n| project id\n| take 5\n| order by id asc",
        "Latest\n| where a == 1\n| summarize n = count() by id = entityId\n| summarize m = sum(n)\n| project m\n| order by m asc",
        "Latest\n| where a == 1\n| summarize n = count() by id = entityId\n| project id",
        "union A, B\n| summarize n = count() by id = entityId\n| project id\n| order by id asc",
    ],
    ids=["by city", "takes some", "sums the entities up", "in no order", "of several tables"],
)
def test_any_other_tile_is_run_as_a_whole(kql: str) -> None:
    assert keyed_tile(kql) is None


def room(name: str, temperature: float | None, city: str = "lyon") -> Row:
    return {"cityId": city, "workspaceId": name, "temperature": temperature}


A, B, C = room("a", 20), room("b", 21), room("c", 22)


@pytest.mark.parametrize(
    ("changed", "fresh", "expected"),
    [
        ({"b"}, [room("b", 25)], [A, room("b", 25), C]),
        ({"b"}, [room("b", None)], [A, room("b", None), C]),
        ({"c", "a"}, [room("c", 1), room("a", 2)], [room("a", 2), B, room("c", 1)]),
        ({"device-7"}, [], [A, B, C]),
        ({"b"}, [], None),
        ({"d"}, [room("d", 20)], None),
        ({"b"}, [room("b", 21, "oslo")], None),
        ({"b"}, [room("b", 21), room("b", 21, "oslo")], None),
    ],
    ids=["warmer", "nothing known", "two", "of no row", "gone", "new", "in another city", "in two cities"],
)
def test_changed_rows_take_the_place_of_theirs_unless_rows_come_go_or_move(
    changed: set[str], fresh: list[Row], expected: list[Row] | None
) -> None:
    assert ROOMS.merged([A, B, C], changed, fresh) == expected
