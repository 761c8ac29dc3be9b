"""Keeps what the page shows fresh: looks at the live store and the inbox again and again, and wakes whoever waits for a change.

Each view (the consolidated page, a city, the inbox) is a set of sections, kept as JSON text with the generation that changed it
last. A browser remembers the generation it has and gets the sections that are newer: a slow one skips what it missed, and nothing
piles up.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson

from local.dashboard.inbox import InboxAlert, read_inbox
from local.dashboard.kept import Kept
from local.dashboard.lookup import Known, Lookup, Questions
from local.dashboard.notified import Notifications, NotifiedReader
from local.dashboard.silences import Silences, SilencesReader
from local.dashboard.snapshot import (
    Places,
    Sections,
    Tiles,
    alert_sections,
    city_sections,
    clock_section,
    frame_sections,
    iso,
    overview_sections,
    wall_sections,
)
from local.part import Part

REFRESH_SECONDS = 0.25
"""The page looks for changes four times a second, and rests at least as long as the last look took."""


class Source(Questions, Protocol):
    """Where the tiles come from, and who answers what is asked besides; LakeSource is one."""

    def refresh(self) -> bool:
        """Take in what is new; True when there was anything."""

    def tiles(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of every tile by name."""


@dataclass(frozen=True)
class ViewKey:
    """Which page: the consolidated one, the wall, a city's (by its slug), the alert inbox, or what is around any other page."""

    kind: Literal["overview", "wall", "city", "alerts", "frame"]
    city: str = ""


@dataclass(frozen=True)
class Content:
    """What was read last: everything a view is made of."""

    tiles: Tiles = field(default_factory=dict)
    inbox: list[InboxAlert] = field(default_factory=list)
    notified: Notifications = field(default_factory=dict)
    silences: Silences = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=lambda: {"state": "starting", "text": None, "since": None})


@dataclass
class View:
    """The sections of a page as JSON text, each with the generation in which it changed. `made_of`: the sections themselves."""

    generation: int = 0
    sections: dict[str, tuple[int, str]] = field(default_factory=dict)
    made_of: Sections = field(default_factory=dict)

    def update(self, sections: Sections, generation: int) -> None:
        """Take over sections; those that say the same as before keep their generation."""
        self.generation = generation
        for name, section in sections.items():
            if name in self.made_of and self.made_of[name] is section:
                continue
            text = orjson.dumps(section).decode()
            if name not in self.sections or self.sections[name][1] != text:
                self.sections[name] = (generation, text)
        self.made_of = sections

    def newer_than(self, generation: int) -> dict[str, str]:
        """The sections that changed after `generation`; 0 gives them all."""
        return {name: text for name, (changed, text) in self.sections.items() if changed > generation}


class Feed:
    """The views of one run and their changes. `run` keeps them fresh until `close`; all the rest is called on its event loop."""

    def __init__(self, part: Part, source: Source) -> None:
        self.settings = part.settings
        self.closed = False
        self.generation = 1
        self._part = part
        self._source = source
        self._content = Content()
        self._notified = NotifiedReader(part.settings.fanout_state_path)
        self._silences = SilencesReader(part.settings.fanout_state_path)
        self._views: dict[ViewKey, View] = {}
        self._kept = Kept()
        self._changed = asyncio.Event()
        self.lookup = Lookup(part.settings, source, lambda: Known(self._content.tiles, self._content.notified))

    async def run(self) -> None:
        """Refresh again and again until closed. A fault shows on the page and as a warning, and heals with the next refresh."""
        while not self.closed:
            began = time.monotonic()
            content = await asyncio.to_thread(self._read)
            if content != self._content:
                self._content = content
                self._announce()
            self._part.status(alerts_open=len(content.tiles.get("open_alerts", ())))
            took = time.monotonic() - began
            await asyncio.sleep(max(REFRESH_SECONDS - took, took))

    def close(self) -> None:
        """End `run` and every stream."""
        self.closed = True
        self._announce()

    def knows(self, slug: str) -> bool:
        """Whether there is such a city in the stack or in the data."""
        return slug in Places(self.settings.cities, self._content.tiles).by_slug

    def view(self, key: ViewKey) -> View:
        """A view as of the newest generation. Raises KeyError for a city nobody knows."""
        view = self._views.get(key, View())
        if view.generation < self.generation:
            view.update(self._sections(key) | {"status": self._content.status}, self.generation)
            self._views[key] = view
        return view

    def clock(self) -> dict[str, Any]:
        """The clock of the run as of now; it belongs into every message."""
        return clock_section(self.settings.clock)

    async def newer_than(self, generation: int, timeout: float) -> bool:
        """Wait until there is a newer generation, at most `timeout` seconds; False when there is none."""
        if self.generation > generation or self.closed:
            return True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout)
        return self.generation > generation

    def _announce(self) -> None:
        self.generation += 1
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()

    def _read(self) -> Content:
        """Read what is new; called in a thread, since the live store works on files."""
        last = self._content
        try:
            outdated = last.status["state"] != "fresh"  # after a fault, what `refresh` took in may not have been read
            tiles = self._source.tiles() if self._source.refresh() or outdated else last.tiles
            inbox, notified = read_inbox(self.settings.inbox_path), self._notified.read()
            silences = self._silences.read(self.settings.clock.now())
            content = Content(tiles, inbox, notified, silences, {"state": "fresh", "text": None, "since": None})
        except Exception as fault:  # noqa: BLE001 (whatever it is, people must see it on the page, and the next refresh may heal it)
            return self._failing(last, fault)
        if last.status["state"] == "failing":
            self._part.recovered("the page is fresh again")
        return content

    def _failing(self, last: Content, fault: Exception) -> Content:
        text = (str(fault) or type(fault).__name__).splitlines()[0]
        if last.status["text"] == text:
            return last
        self._part.log.exception("the page can't be refreshed")
        self._part.warning(f"the page shows old data: {text}")
        since = last.status["since"] or iso(self.settings.clock.now())
        return Content(last.tiles, last.inbox, last.notified, last.silences, {"state": "failing", "text": text, "since": since})

    def _sections(self, key: ViewKey) -> Sections:
        tiles, silences = self._content.tiles, self._content.silences
        if key.kind == "city":
            return city_sections(self.settings, tiles, key.city, silences, self._kept)
        if key.kind == "alerts":
            return alert_sections(self.settings, tiles, self._content.inbox, self._content.notified)
        if key.kind == "frame":
            return frame_sections(self.settings, tiles)
        if key.kind == "wall":
            return wall_sections(self.settings, tiles, silences)
        return overview_sections(self.settings, tiles, silences, self._kept)
