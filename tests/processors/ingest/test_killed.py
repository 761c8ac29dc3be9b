"""A poll that is killed before or after any of its writes: nothing is lost, nothing is seen twice."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.blobs import BACK_ENDS, Blobs, served
from tests.support.one_poll import WHEN, Order, Polls, polls
from tests.support.scripted_webex import ScriptedWebex

TIMES = [f"2026-11-24T10:00:{second:02}+00:00" for second in range(3, 60, 10)]
KILLED = -9


@pytest.fixture(scope="module")
def children() -> Iterator[Polls]:
    with polls() as children:
        yield children


@pytest.fixture(params=["file", *BACK_ENDS])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[dict[str, str], Blobs | None]]:
    """Where the state is, a folder or a container, and how a process gets in."""
    if request.param == "file":
        yield {"STATE_FOLDER": str(tmp_path)}, None
    else:
        with served(request.param) as blobs:
            yield {"STATE_BLOB_URL": blobs.url(), **blobs.environment}, blobs


class Story:
    """Polls of one estate: an undisturbed one, changes, a poll that is killed, and what follows."""

    def __init__(self, children: Polls, webex: ScriptedWebex, home: dict[str, str], blobs: Blobs | None, folder: Path) -> None:
        self.children, self.webex, self.blobs = children, webex, blobs
        self.out = folder / "sent.jsonl"
        self.order = Order(webex.base, str(self.out), home, TIMES[0], ["Lyon Part-Dieu"])
        webex.page_cap = 2
        self.folder = folder
        self.first: tuple[dict[Path, bytes], dict[str, bytes]] | None = None
        """What the first poll wrote: files, and blobs by name."""

    def begin(self) -> None:
        """Everything as it was on the first day, and as the first poll left it."""
        for old in self._written():
            old.unlink()
        if self.blobs:
            self.blobs.pass_time(61)
            for name in self.blobs.names():
                self.blobs.remove(name)
        self.webex.listings["/devices"][:] = [dict(d, connectionStatus="connected") for d in self.webex.listings["/devices"]]
        reading = {"timestamp": "2026-11-24T10:00:01.000Z", "value": 21.5}
        self.webex.metrics["workspace-1", "temperature"] = [reading]
        if self.first is None:
            assert self.children.run(self.order) == 0
            stored = {name: self.blobs.content(name) for name in self.blobs.names()} if self.blobs else {}
            self.first = {path: path.read_bytes() for path in self._written()}, stored
        else:
            for path, content in self.first[0].items():
                path.write_bytes(content)
            for name, content in self.first[1].items():
                assert self.blobs is not None
                self.blobs.put(name, content)

    def _written(self) -> list[Path]:
        return [*self.folder.glob("ingest.*"), *self.folder.glob(self.out.name)]

    def change(self, status: str = "disconnected") -> None:
        """Two devices go down or come back."""
        for number in (0, 3):
            self.webex.listings["/devices"][number]["connectionStatus"] = status

    def poll(self, time: str, kill: int | None = None, when: str = "before") -> int:
        """Poll at this time; a lease the last one held has ended."""
        if self.blobs:
            self.blobs.pass_time(61)
        return self.children.run(replace(self.order, now=time, kill=kill, when=when))

    def seen(self) -> dict[str, dict[str, Any]]:
        """What a consumer sees that drops repeats: events by id, in order of arrival. An id never means two things."""
        events: dict[str, dict[str, Any]] = {}
        for line in self.out.read_text().splitlines():
            event = json.loads(line)
            assert events.setdefault(event["id"], event) == event
        return events

    def status_by_device(self) -> dict[str, tuple[str, str]]:
        """Status and since when, as the newest observation of each device says."""
        newest: dict[str, tuple[str, str]] = {}
        for event in self.seen().values():
            if event["data"]["entity"] == "device":
                newest[event["subject"]] = event["data"]["connectionStatus"], event["data"]["statusSince"]
        return newest


@pytest.fixture
def story(children: Polls, estate: ScriptedWebex, home: tuple[dict[str, str], Blobs | None], tmp_path: Path) -> Story:
    return Story(children, estate, *home, tmp_path)


def test_killed_at_any_write_and_started_again_everything_arrives_once(story: Story) -> None:
    story.begin()
    story.change()
    assert story.poll(TIMES[1]) == 0
    undisturbed, truth = story.seen(), story.status_by_device()
    assert truth["device-1"] == ("disconnected", "2026-11-24T10:00:10.000Z")
    deaths = 0
    for when in WHEN:
        for write in itertools.count():
            story.begin()
            story.change()
            if story.poll(TIMES[1], kill=write, when=when) != KILLED:
                break
            deaths += 1
            assert story.poll(TIMES[1]) == 0
            seen = story.seen()
            assert undisturbed.items() <= seen.items(), (write, when)
            assert story.status_by_device() == truth, (write, when)
    assert deaths >= (20 if story.blobs is None else 10)


def test_killed_at_any_write_a_change_that_is_over_by_the_next_poll_is_seen_to_be_over(story: Story) -> None:
    for when in WHEN:
        for write in itertools.count():
            story.begin()
            story.change()
            killed = story.poll(TIMES[1], kill=write, when=when) == KILLED
            story.change("connected")
            assert story.poll(TIMES[2]) == 0
            assert {status for status, _ in story.status_by_device().values()} == {"connected"}, (write, when)
            if not killed:
                break


def test_killed_in_every_poll_of_a_row_it_arrives_in_the_end(story: Story) -> None:
    story.begin()
    story.change()
    for write, time in zip((0, 1, 2, 3), TIMES[1:], strict=False):
        story.poll(time, kill=write, when="after")
    assert story.poll(TIMES[5]) == 0
    assert story.status_by_device()["device-1"][0] == "disconnected"
