"""The simulated estate at rest: which locations, workspaces and devices there are. What they do over time is in `conditions`.

Everything follows from (seed, number of devices, cities): a simulator that starts again serves the same estate.
"""

from __future__ import annotations

import base64
import itertools
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from webex_simulator.catalogue import PRODUCTS, Product
from webex_simulator.chance import between, key, unit
from webex_simulator.names import FAMILY_NAMES, GIVEN_NAMES, PHONE_PLACES, ROOM_NAMES, site_code

FEWEST_DEVICES = 100
MOST_DEVICES = 100_000
IN_STORE_SHARE = 0.006
"""Devices that lie in a store room: expired, without workspace, location and address."""
SECOND_DEVICE_SHARE = 0.15
"""Meeting room devices that stand in a workspace which another device already has."""
UNFILLED_SHARE = 0.03
"""Rooms whose type and capacity nobody filled in."""
DEVICES_PER_FLOOR = 40
MOST_FLOORS = 12

_SIZE, _PERSONAL, _SHARED, _SEATS = (key(name) for name in ("site size", "personal", "second device", "seats"))
_UNFILLED, _ODDITY = key("unfilled"), key("oddity")


@dataclass(frozen=True)
class City:
    """A city with devices: its slug, its name, its IANA time zone, its Webex locations by name."""

    slug: str
    name: str
    time_zone: str
    locations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Location:
    """A Webex location. `city` is None for the one that belongs to no city; `city_text` is how its address spells the city."""

    index: int
    id: str
    name: str
    time_zone: str
    city: City | None
    city_text: str | None
    floors: int
    key: int


@dataclass(frozen=True, slots=True)
class Workspace:
    """A room, desk or phone place. `kind` and `seats` are None where nobody filled them in; `devices` are indexes."""

    index: int
    id: str
    name: str
    location: Location
    floor: int
    kind: str | None
    seats: int | None
    key: int
    devices: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Device:
    """A device: in a workspace, a person's (a location but no workspace), or `in_store` (neither).

    `oddity` in [0, 1] decides which oddity of the real API its record has, if any: see `records`.
    """

    index: int
    id: str
    name: str
    product: Product
    location: Location | None
    workspace: Workspace | None
    oddity: float
    key: int

    @property
    def in_store(self) -> bool:
        """Whether it lies in a store room."""
        return self.location is None


@dataclass(frozen=True, repr=False)
class Estate:
    """Everything there is, in the order in which the API lists it."""

    seed: int
    traps: bool
    cities: tuple[City, ...]
    organization_id: str
    locations: tuple[Location, ...]
    workspaces: tuple[Workspace, ...]
    devices: tuple[Device, ...]
    location_of_id: dict[str, Location]
    workspace_of_id: dict[str, Workspace]
    device_of_id: dict[str, Device]


def webex_id(kind: str, identity: int) -> str:
    """An id as Webex writes them: base64 of a URI that ends in a UUID."""
    number = uuid.UUID(int=key("uuid", identity) << 64 | identity, version=4)
    if kind == "DEVICE":
        return base64.b64encode(f"ciscospark://urn:TEAM:eu-central-1_k/DEVICE/{number}".encode()).decode()
    return base64.b64encode(f"ciscospark://us/{kind}/{number}".encode()).decode().rstrip("=")


def build_estate(seed: int, size: int, cities: Sequence[City], *, traps: bool = True) -> Estate:
    """The estate of a seed: `size` devices over the locations of `cities`.

    With `traps` a small share of records has the oddities met in the real API. Raises ValueError for a size out of range.
    """
    if not FEWEST_DEVICES <= size <= MOST_DEVICES:
        raise ValueError(f"an estate has {FEWEST_DEVICES} to {MOST_DEVICES} devices, not {size}: choose another with --devices")
    locations, counts = _locations(seed, size, tuple(cities), traps)
    builder = _Builder(seed, traps)
    for location, count in zip(locations, counts, strict=True):
        builder.furnish(location, count)
    builder.fill_store(size - len(builder.devices))
    return Estate(
        seed=seed,
        traps=traps,
        cities=tuple(cities),
        organization_id=webex_id("ORGANIZATION", key(seed, "organization")),
        locations=tuple(locations),
        workspaces=tuple(builder.workspaces),
        devices=tuple(builder.devices),
        location_of_id={location.id: location for location in locations},
        workspace_of_id={workspace.id: workspace for workspace in builder.workspaces},
        device_of_id={device.id: device for device in builder.devices},
    )


def _locations(seed: int, size: int, cities: tuple[City, ...], traps: bool) -> tuple[list[Location], list[int]]:
    """The locations and how many devices each has."""
    places = [(name, city) for city in cities for name in city.locations]
    keys = [key(seed, "location", name) for name, _ in places]
    weights = [between(0.6, 1.6, unit(owner, _SIZE)) for owner in keys]
    at_sites = round(size * (1 - IN_STORE_SHARE))
    nowhere = max(1, size // 200) if traps else 0
    counts = _shared_out(at_sites - nowhere, weights)
    # Somebody typed the city of the last location in capitals: Webex takes any text there.
    shouted = len(places) - 1 if traps and len(places) > 1 else None
    locations = [
        Location(
            index=index,
            id=webex_id("LOCATION", owner),
            name=name,
            time_zone=city.time_zone,
            city=city,
            city_text=city.name.upper() if index == shouted else city.name,
            floors=min(MOST_FLOORS, 1 + count // DEVICES_PER_FLOOR),
            key=owner,
        )
        for index, ((name, city), owner, count) in enumerate(zip(places, keys, counts, strict=True))
    ]
    if nowhere:
        owner = key(seed, "location without city")
        locations.append(Location(len(places), webex_id("LOCATION", owner), "Central Warehouse", "UTC", None, None, 1, owner))
        counts.append(nowhere)
    return locations, counts


def _shared_out(total: int, weights: Sequence[float]) -> list[int]:
    """`total` things shared out by weight: whole numbers that add up to it (largest remainder)."""
    whole = sum(weights)
    exact = [total * weight / whole for weight in weights]
    counts = [int(number) for number in exact]
    by_remainder = sorted(range(len(weights)), key=lambda index: counts[index] - exact[index])
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts


class _Builder:
    """Collects workspaces and devices, location by location."""

    def __init__(self, seed: int, traps: bool) -> None:
        self.seed = seed
        self.traps = traps
        self.workspaces: list[Workspace] = []
        self.devices: list[Device] = []

    def furnish(self, location: Location, count: int) -> None:
        """Put `count` devices into a location, in the shares of the catalogue."""
        numbers = _shared_out(count, [product.share for product in PRODUCTS])
        products = [product for product, number in zip(PRODUCTS, numbers, strict=True) for _ in range(number)]
        random.Random(location.key).shuffle(products)
        names = _Names(location)
        rooms: list[Workspace] = []
        navigators = 0
        for number, product in enumerate(products):
            owner = key(location.key, "device", number)
            if product.type == "phone":
                self._add_phone(product, location, names, owner)
            elif product.type == "accessory":
                navigators += 1
            else:
                self._add_room_device(product, location, rooms, names, owner)
        self._add_navigators(location, rooms, navigators)

    def fill_store(self, count: int) -> None:
        """Add `count` devices that lie in a store room."""
        products = [product for product in PRODUCTS if product.type == "roomdesk"]
        for number in range(count):
            owner = key(self.seed, "store", number)
            self._add(f"store-{number + 1:02d}", products[owner % len(products)], None, None, owner)

    def _add_phone(self, product: Product, location: Location, names: _Names, owner: int) -> None:
        name = next(names.phones)
        self._add(name, product, location, self._new_workspace(location, name, None, None, owner), owner)

    def _add_room_device(self, product: Product, location: Location, rooms: list[Workspace], names: _Names, owner: int) -> None:
        """A room device is a person's, or the second one of a meeting room, or makes a workspace of its own."""
        if unit(owner, _PERSONAL) < product.personal:
            self._add(next(names.people), product, location, None, owner)
            return
        if rooms and product.room == "meetingRoom" and unit(owner, _SHARED) < SECOND_DEVICE_SHARE:
            room = rooms[owner % len(rooms)]
            self._add(f"{room.name} {product.name.removeprefix('Cisco ')}", product, location, room, owner)
            return
        unfilled = self.traps and unit(owner, _UNFILLED) < UNFILLED_SHARE
        seats = round(between(*product.seats, unit(owner, _SEATS)))
        floor = _floor(location, owner)
        name = f"{site_code(location.name)}-{floor}-{next(names.rooms)}"
        kind, known_seats = (None, None) if unfilled else (product.room, seats)
        room = self._new_workspace(location, name, kind, known_seats, owner)
        rooms.append(room)
        self._add(name, product, location, room, owner)

    def _add_navigators(self, location: Location, rooms: list[Workspace], count: int) -> None:
        """Navigators go to the larger rooms first; those beyond the number of rooms hang outside the doors."""
        larger_first = sorted(rooms, key=lambda room: (-(room.seats or 0), room.key))
        (navigator,) = (product for product in PRODUCTS if product.type == "accessory")
        for number, room in zip(range(count), itertools.cycle(larger_first), strict=False):
            side = "Navigator" if number < len(rooms) else f"Navigator door {number // len(rooms)}"
            self._add(f"{room.name} {side}", navigator, location, room, key(location.key, "navigator", number))

    def _new_workspace(self, location: Location, name: str, kind: str | None, seats: int | None, owner: int) -> Workspace:
        identity = key(owner, "workspace")
        workspace = Workspace(
            index=len(self.workspaces),
            id=webex_id("PLACE", identity),
            name=name,
            location=location,
            floor=_floor(location, owner),
            kind=kind,
            seats=seats,
            key=identity,
        )
        self.workspaces.append(workspace)
        return workspace

    def _add(self, name: str, product: Product, location: Location | None, workspace: Workspace | None, owner: int) -> None:
        oddity = unit(owner, _ODDITY) if self.traps else 1.0
        device = Device(len(self.devices), webex_id("DEVICE", owner), name, product, location, workspace, oddity, owner)
        self.devices.append(device)
        if workspace is not None:
            workspace.devices.append(device.index)


class _Names:
    """Endless names for what a location has: unique for rooms and phones, while people may share theirs."""

    def __init__(self, location: Location) -> None:
        code = site_code(location.name)
        self.rooms = _numbered(ROOM_NAMES)
        self.phones = _numbered([f"{code} {place}" for place in PHONE_PLACES])
        self.people = _people(location.key)


def _numbered(names: Sequence[str]) -> Iterator[str]:
    """The names in turn, from the second round on with the number of the round."""
    yield from names
    for turn in itertools.count(2):
        yield from (f"{name} {turn}" for name in names)


def _people(owner: int) -> Iterator[str]:
    for number in itertools.count():
        draw = key(owner, "person", number)
        yield f"{GIVEN_NAMES[draw % len(GIVEN_NAMES)]} {FAMILY_NAMES[draw // 100 % len(FAMILY_NAMES)]}"


def _floor(location: Location, owner: int) -> int:
    return 1 + key(owner, "floor") % location.floors
