"""Views that stay fresh: what a reader gets, what a fault looks like, how it heals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.dashboard import feed as feed_module
from local.dashboard import snapshot
from local.dashboard.feed import Feed, View, ViewKey
from local.dashboard.kept import Kept
from local.run_settings import RunSettings
from tests.local.dashboard import sample_tiles
from tests.local.dashboard.page_under_test import HandSource, RecordingPart, write_inbox

OVERVIEW = ViewKey("overview")


@pytest.fixture
def part(tmp_path: Path) -> RecordingPart:
    return RecordingPart(RunSettings(data_dir=tmp_path, stack="dev", cities=sample_tiles.THREE_CITIES))


@pytest.fixture
def source() -> HandSource:
    return HandSource()


@pytest.fixture
async def feed(part: RecordingPart, source: HandSource, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(feed_module, "REFRESH_SECONDS", 0.02)
    feed = Feed(part, source)
    running = asyncio.create_task(feed.run())
    yield feed
    feed.close()
    await running


async def until(feed: Feed, state: str) -> dict[str, Any]:
    """Wait for a state of the feed; gives its status."""
    while True:
        status = json.loads(feed.view(OVERVIEW).sections["status"][1])
        if status["state"] == state:
            return dict(status)
        await asyncio.wait_for(feed.newer_than(feed.generation, timeout=10), 10)


async def until_polled(feed: Feed) -> None:
    """Wait until the tiles that the test has set are in the view."""
    while not json.loads(feed.view(OVERVIEW).sections["cities"][1])[0]["lastPoll"]:
        await asyncio.wait_for(feed.newer_than(feed.generation, timeout=10), 10)


async def test_a_change_reaches_whoever_waits_for_it(feed: Feed, source: HandSource) -> None:
    await until(feed, "fresh")
    seen = feed.generation
    source.set(sample_tiles.normal().tiles())
    assert await feed.newer_than(seen, timeout=10)
    assert "cities" in feed.view(OVERVIEW).newer_than(seen)


async def test_only_what_changed_is_sent(feed: Feed, source: HandSource) -> None:
    estate = sample_tiles.normal()
    source.set(estate.tiles())
    await until_polled(feed)
    seen = feed.generation
    source.set(estate.tiles() | {"worst_rooms": []})
    await feed.newer_than(seen, timeout=10)
    assert set(feed.view(OVERVIEW).newer_than(seen)) == {"worstRooms"}


async def test_without_a_change_nobody_is_woken(feed: Feed, source: HandSource) -> None:
    await until(feed, "fresh")
    assert not await feed.newer_than(feed.generation, timeout=0.2)


async def test_the_inbox_alone_is_a_change(feed: Feed, part: RecordingPart) -> None:
    await until(feed, "fresh")
    seen = feed.generation
    write_inbox(part.settings.inbox_path, sample_tiles.normal().alerts[0], "fired")
    assert await feed.newer_than(seen, timeout=10)
    assert len(json.loads(feed.view(ViewKey("alerts")).sections["inbox"][1])) == 1


@pytest.mark.parametrize("fault", [OSError("the lake is gone"), ValueError("damaged"), RuntimeError()])
async def test_any_fault_is_shown_and_heals(feed: Feed, source: HandSource, part: RecordingPart, fault: Exception) -> None:
    source.set(sample_tiles.normal().tiles())
    await until_polled(feed)
    source.fault = fault
    status = await until(feed, "failing")
    assert status["text"] == (str(fault) or "RuntimeError")
    assert json.loads(feed.view(OVERVIEW).sections["cities"][1])[0]["rooms"] == 24, "the last good data stays"
    source.fault = None
    await until(feed, "fresh")
    assert [len(part.events(kind)) for kind in ("warning", "recovered")] == [1, 1], "said once, not twice a second"


async def test_what_came_in_just_before_a_fault_is_not_forgotten(
    feed: Feed, source: HandSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(feed, "fresh")

    def broken() -> sample_tiles.Tiles:
        raise OSError("no memory for the tiles")

    with monkeypatch.context() as patch:
        patch.setattr(source, "tiles", broken)
        source.set(sample_tiles.normal().tiles())  # refresh says True once, then the tiles can't be read
        await until(feed, "failing")
    await until(feed, "fresh")
    assert json.loads(feed.view(OVERVIEW).sections["cities"][1])[0]["lastPoll"]


async def test_a_damaged_inbox_is_a_fault_as_well(feed: Feed, part: RecordingPart) -> None:
    part.settings.inbox_path.write_bytes(b"no database" * 100)
    await until(feed, "failing")


async def test_the_status_line_learns_how_many_alerts_are_open(feed: Feed, source: HandSource, part: RecordingPart) -> None:
    await until(feed, "fresh")
    seen = feed.generation
    source.set(sample_tiles.outage().tiles())
    await feed.newer_than(seen, timeout=10)
    assert part.events("status")[-1]["alerts_open"] == 28


def counted(function: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        calls.append(function.__name__)
        return function(*arguments)

    return call


def test_of_a_city_only_what_comes_of_other_rows_is_made_again(monkeypatch: pytest.MonkeyPatch, part: RecordingPart) -> None:
    calls: list[str] = []
    for name in ("locations", "environment", "firmware"):
        monkeypatch.setattr(snapshot, name, counted(getattr(snapshot, name), calls))
    tiles, kept = sample_tiles.normal().tiles(), Kept()
    first = snapshot.city_sections(part.settings, tiles, "lyon", kept=kept)
    assert calls == ["locations", "environment", "firmware"]
    warmer = [row | {"temperature": 40.0} for row in tiles["environment"]]
    second = snapshot.city_sections(part.settings, tiles | {"environment": warmer}, "lyon", kept=kept)
    assert calls[3:] == ["environment"]
    assert second == first | {
        "environment": snapshot.city_sections(part.settings, {"environment": warmer}, "lyon")["environment"]
    }
    calls.clear()
    again = {name: [dict(row) for row in rows] for name, rows in tiles.items()}
    elsewhere = [row | {"observedAt": "later"} for row in again["rooms"] if row["cityId"] != "lyon"]
    third = {"rooms": [*(row for row in again["rooms"] if row["cityId"] == "lyon"), *elsewhere], "environment": warmer}
    assert snapshot.city_sections(part.settings, again | third, "lyon", kept=kept) == second
    assert calls == [], "the rows of the city say the same"
    assert {reading["high"] for reading in second["environment"] if reading["signal"] == "temperature"} == {40.0}
    other = snapshot.city_sections(part.settings, tiles, "toronto", kept=kept)
    assert other == snapshot.city_sections(part.settings, tiles, "toronto"), "what is kept of a city is not shown of another"


SECTIONS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2))


@given(st.lists(SECTIONS, min_size=1, max_size=12), st.data())
def test_a_reader_that_merges_what_it_gets_has_the_whole_however_slow_it_is(
    updates: list[dict[str, int]], data: st.DataObject
) -> None:
    view = View()
    whole: dict[str, int] = {}
    read: dict[str, int] = {}
    seen = 0
    for generation, sections in enumerate(updates, start=1):
        view.update(sections, generation)
        whole |= sections
        if data.draw(st.booleans()):
            read |= {name: json.loads(text) for name, text in view.newer_than(seen).items()}
            seen = generation
            assert read == whole
