"""Looks things up on request: a device, a room, the table of devices, a search. What nobody asks for costs nothing."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from local.dashboard import history
from local.dashboard.directory import PAGE_ROWS, Asked, Device, as_csv, devices, rooms, search, selected
from local.dashboard.incidents import severity_now
from local.dashboard.notified import Notifications
from local.dashboard.snapshot import Places, Tiles, closed_cities, in_maintenance
from local.run_settings import RunSettings

FRESH_SECONDS = 2.0
"""For how long the list of all devices is used again: some open pages ask for it at once."""
REMOVED = "removed"


class Questions(Protocol):
    """Who answers; LakeSource is one."""

    def devices(self) -> list[dict[str, Any]]:
        """See LakeSource.devices."""

    def observations_of(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """See LakeSource.observations_of."""

    def newest_of(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """See LakeSource.newest_of."""

    def alerts_of(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """See LakeSource.alerts_of."""


@dataclass(frozen=True)
class Known:
    """What the page knows besides: the tiles as they were read last, and who was notified of what."""

    tiles: Tiles
    notified: Notifications


class Lookup:
    """Answers for the pages of devices and rooms; safe to use from several threads. Raises what the questions raise."""

    def __init__(self, settings: RunSettings, questions: Questions, known: Callable[[], Known]) -> None:
        self._settings, self._questions, self._known = settings, questions, known
        self._lock = threading.Lock()
        self._read: tuple[float, list[Device]] = (0.0, [])

    def devices(self, asked: Asked, offset: int = 0) -> dict[str, Any]:
        """The devices that were asked for, PAGE_ROWS of them from an offset on, and how many there are of them and in all."""
        listed = self._all()
        found = selected(listed, asked)
        health = Counter(device["health"] for device in listed) | Counter(maintenance=sum(one["maintenance"] for one in listed))
        return {
            "total": len(listed),
            "matched": len(found),
            "offset": offset,
            "devices": found[offset : offset + PAGE_ROWS],
            "counts": health,
            "cities": self._cities(),
        }

    def csv(self, asked: Asked) -> str:
        """All devices that were asked for, as CSV."""
        return as_csv(selected(self._all(), asked))

    def search(self, text: str) -> dict[str, Any]:
        """What a text finds: see `directory.search`."""
        listed = self._all()
        return {"text": text, **search(text, self._cities(), rooms(listed), listed)}

    def device(self, id_: str) -> dict[str, Any] | None:
        """A device as it is, its last 24 hours, its incidents and its room's; None when nobody has ever heard of it."""
        device = next((one for one in self._all() if one["id"] == id_), None) or self._gone(id_)
        if device is None:
            return None
        rows = self._questions.observations_of([id_])
        about = [id_, *(place for place in (device["roomId"], device["locationId"]) if place)]
        return {"device": device} | self._past([device], rows, about, others=False)

    def room(self, id_: str) -> dict[str, Any] | None:
        """A room as it is, its devices, the last 24 hours of all of them, its incidents; None when it has no devices."""
        own = [device for device in self._all() if device["roomId"] == id_]
        if not own:
            return None
        (room,) = rooms(own)
        rows = self._questions.observations_of([id_])
        about = [id_, *([room["locationId"]] if room["locationId"] else [])]
        return {"room": room, "devices": own} | self._past(own, rows, about, others=True)

    def knows_device(self, id_: str) -> bool:
        """Whether there is or ever was such a device."""
        return any(one["id"] == id_ for one in self._all()) or self._gone(id_) is not None

    def knows_room(self, id_: str) -> bool:
        """Whether a device stands in such a room."""
        return any(one["roomId"] == id_ for one in self._all())

    def _past(self, own: Sequence[Device], rows: Sequence[history.Row], about: Sequence[str], *, others: bool) -> dict[str, Any]:
        """What was observed of devices, and the incidents about certain ids; with those of `others` at the same place."""
        now = self._settings.clock.now()
        observed = history.by_entity(rows)
        past = [past for past in self._questions.alerts_of(about) if others or past["entityId"] in about]
        return {
            "timeZone": next((one["timeZone"] for one in self._cities() if one["slug"] == own[0]["cityId"]), "UTC"),
            "spans": {device["id"]: history.spans(observed.get(device["id"], []), now) for device in own},
            "lines": {id_: history.lines(reported) for id_, reported in observed.items()},
            "incidents": self._as_they_are_now(history.incidents(past, self._known().notified)),
        }

    def _as_they_are_now(self, past: Iterable[history.Past]) -> list[history.Past]:
        """Open incidents have the severity of the moment; one that is over keeps its rule's."""
        outside, closed = self._settings.outside_severities, closed_cities(self._settings, self._known().tiles)
        return [one | {"severity": severity_now(one, closed, outside)} if one["resolvedAt"] is None else one for one in past]

    def _gone(self, id_: str) -> Device | None:
        """A device that Webex no longer lists, as it was last."""
        newest = [row | {"health": "unknown", "connectionStatus": REMOVED} for row in self._questions.newest_of([id_])]
        return next((one for one in self._shown(newest) if one["id"] == id_), None)

    def _all(self) -> list[Device]:
        with self._lock:
            read_at, listed = self._read
            if time.monotonic() - read_at > FRESH_SECONDS:
                listed = self._shown(self._questions.devices())
                self._read = time.monotonic(), listed
            return listed

    def _shown(self, rows: Sequence[Mapping[str, Any]]) -> list[Device]:
        tiles = self._known().tiles
        names = {city["slug"]: city["name"] for city in self._cities()}
        alerts = Counter(row["entityId"] for row in tiles.get("open_alerts", ()) if row["entity"] == "device")
        return devices(rows, names, in_maintenance(tiles.get("maintenance", ())), alerts, self._settings.clock.now())

    def _cities(self) -> list[dict[str, str]]:
        places = Places(self._settings.cities, self._known().tiles).by_slug.values()
        return [{"slug": city.slug, "name": city.name, "timeZone": city.time_zone} for city in places]
