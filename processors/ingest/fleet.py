"""The estate in numbers: how many devices are up, which sites are down, which rooms can be used.

Devices a poll could not see count as what they last were: a device we can't see is not a device that is down, and an outage of
the API must not look like one of the rooms. The observations say `partial` then.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from processors.ingest.changes import KnownDevice
from processors.ingest.health import Health, health_of

ROOM_DEVICE = "roomdesk"
SITE_KINDS = frozenset({ROOM_DEVICE, "phone"})
"""Kinds that show whether a site is reachable: a touch panel goes down with the room device it belongs to."""


class Sights(NamedTuple):
    """When devices were last seen: by id; those that are not there were `before` this process began. `now`: the poll's slot."""

    at: Mapping[str, datetime]
    before: datetime
    now: datetime

    def of(self, device_id: str) -> datetime:
        """When a device was last seen."""
        return self.at.get(device_id, self.before)


@dataclass
class Seen:
    """How much of some devices was seen: how many by this poll, and how many minutes ago the one that was seen longest ago; None
    where there is no device."""

    now: int = 0
    oldest_minutes: float | None = None

    def note(self, sights: Sights, seen_at: datetime) -> None:
        """Count a device in."""
        self.now += seen_at == sights.now
        minutes = round(max(0.0, (sights.now - seen_at).total_seconds() / 60), 2)
        self.oldest_minutes = minutes if self.oldest_minutes is None else max(minutes, self.oldest_minutes)

    def values(self) -> dict[str, float]:
        """Its signals: how much was seen, and how old the oldest sight is, where there is one."""
        oldest = {} if self.oldest_minutes is None else {"oldestSightMinutes": self.oldest_minutes}
        return {"devicesSeen": self.now, **oldest}


@dataclass
class LocationTally:
    """Devices at one location; `reachable_kinds` are its room devices and phones, `down` those of them that are down.

    Devices in planned maintenance are in neither of the two: a site that is being rebuilt has no outage. `down_rooms`: the rooms
    whose room device is down, by floor, with each floor that a room reports.
    """

    devices: int = 0
    reachable_kinds: int = 0
    down: int = 0
    down_rooms: dict[str, set[str]] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)

    @property
    def offline_ratio(self) -> float:
        """Share of room devices and phones that are down, 0..1; 0 where there are none."""
        return round(self.down / self.reachable_kinds, 4) if self.reachable_kinds else 0.0

    def values(self) -> dict[str, float]:
        """The signals of the location by name."""
        rooms = {"roomsDownOnFloor": len(self._worst_floor()[1])} if self.down_rooms else {}
        return {"offlineRatio": self.offline_ratio, "devices": self.devices, **self.seen.values(), **rooms}

    def texts(self) -> dict[str, str]:
        """The texts of those that have one, by the signal's name."""
        floor, rooms = self._worst_floor() if self.down_rooms else ("", ())
        return {"roomsDownOnFloor": floor} if rooms else {}

    def _worst_floor(self) -> tuple[str, set[str]]:
        return max(self.down_rooms.items(), key=lambda item: len(item[1]))


@dataclass
class CityTally:
    """Devices of one city by health, its rooms (workspaces with a room device), and the rooms that can't be used.

    `rooms_reporting`: rooms that say by now whether somebody is there, `rooms_in_use` those where somebody is.
    `held`: devices that are no longer listed, and count as they were because too many are missing to be believed.
    """

    devices: int = 0
    by_health: dict[Health, int] = field(default_factory=lambda: {"up": 0, "issues": 0, "down": 0, "asleep": 0, "unknown": 0})
    rooms: set[str] = field(default_factory=set)
    unusable_rooms: set[str] = field(default_factory=set)
    held: int = 0
    rooms_reporting: int = 0
    rooms_in_use: int = 0
    seen: Seen = field(default_factory=Seen)

    def values(self) -> dict[str, float]:
        """The signals of the city by name."""
        return {
            "devices": self.devices,
            **{f"devices{health.capitalize()}": number for health, number in self.by_health.items()},
            "devicesHeld": self.held,
            **self.seen.values(),
            "rooms": len(self.rooms),
            "roomsUsable": len(self.rooms) - len(self.unusable_rooms),
            "roomsReporting": self.rooms_reporting,
            "roomsInUse": self.rooms_in_use,
        }


_NO_FLOORS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Tally:
    """The estate by city slug and by location id."""

    cities: dict[str, CityTally]
    locations: dict[str, LocationTally]


def tally(
    devices: Iterable[KnownDevice],
    cities: Iterable[str],
    locations: Iterable[str],
    held: Container[str] = (),
    sights: Sights | None = None,
    floors: Mapping[str, str] = _NO_FLOORS,
) -> Tally:
    """Count `devices`; every given city and location is in the result, with zeros where it has no device.

    `held`: ids of devices whose removal is held back. `sights`: when devices were seen, where that is to be counted;
    of those that are held back nobody expects to see any. `floors`: by id of a workspace, as far as they are known.
    """
    result = Tally({slug: CityTally() for slug in cities}, {location_id: LocationTally() for location_id in locations})
    for known in devices:
        health = health_of(known.device.connection_status)
        city = result.cities.setdefault(known.place.city_id, CityTally())
        _count_in_city(city, known, health)
        city.held += known.device.id in held
        tallies: list[CityTally | LocationTally] = [city]
        if known.place.location_id:
            location = result.locations.setdefault(known.place.location_id, LocationTally())
            _count_at_location(location, known)
            _count_on_floor(location, known, floors)
            tallies.append(location)
        if sights is not None and known.device.id not in held:
            seen_at = sights.of(known.device.id)
            for each in tallies:
                each.seen.note(sights, seen_at)
    return result


def _count_in_city(city: CityTally, known: KnownDevice, health: Health) -> None:
    city.devices += 1
    city.by_health[health] += 1
    if known.device.kind == ROOM_DEVICE and known.device.workspace_id:
        city.rooms.add(known.device.workspace_id)
        if not _usable(known, health):
            city.unusable_rooms.add(known.device.workspace_id)


def _usable(known: KnownDevice, health: Health) -> bool:
    return health in ("up", "asleep") or (health == "issues" and not known.critical_codes)


def _count_at_location(location: LocationTally, known: KnownDevice) -> None:
    location.devices += 1
    if known.device.kind in SITE_KINDS and not known.condition.in_maintenance:
        location.reachable_kinds += 1
        location.down += known.is_down


def _count_on_floor(location: LocationTally, known: KnownDevice, floors: Mapping[str, str]) -> None:
    room = known.device.workspace_id or ""
    if known.device.kind == ROOM_DEVICE and room in floors:
        down = location.down_rooms.setdefault(floors[room], set())
        if known.is_down:
            down.add(room)
