"""Every device and room as it is now, to be found, filtered, sorted and listed; and the table of devices as CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

from local.dashboard.snapshot import WORST_FIRST, iso
from processors.contracts.issues import OF_CODE

SILENT_AFTER = timedelta(hours=3)
"""A device that was not heard of for so long (snapshots have each once an hour at least) is unknown, whatever it was."""
PAGE_ROWS = 100
FOUND_OF_EACH = 20
"""How many cities, rooms and devices a search lists of each; how many more there are is said."""

Row = Mapping[str, Any]


class Device(TypedDict):
    """A device as of its newest observation. `since`: when its health began, as well as we know; `details`: what else Webex says
    (docs/contracts.md), as far as it does; `issues`: in words; `health` is unknown where nobody has heard of it for hours.
    """

    id: str
    name: str
    product: str
    roomId: str | None
    room: str | None
    location: str | None
    locationId: str | None
    cityId: str
    city: str
    health: str
    status: str | None
    since: str | None
    observedAt: str
    issues: list[str]
    software: str | None
    maintenance: bool
    alerts: int
    details: dict[str, Any]


class RoomEntry(TypedDict):
    """A room: as bad as the worst of its devices."""

    id: str
    name: str
    location: str | None
    locationId: str | None
    cityId: str
    city: str
    health: str
    devices: int
    maintenance: int


@dataclass(frozen=True)
class Asked:
    """What somebody wants to see of the table of devices; `order` is the name of a column, with `-` in front from its end."""

    text: str = ""
    city: str = ""
    health: str = ""
    order: str = "health"


def devices(
    rows: Iterable[Row], cities: Mapping[str, str], maintained: Collection[str], alerts: Mapping[str, int], now: datetime
) -> list[Device]:
    """The devices of the newest rows. `cities` are names by slug, `alerts` the number of open ones by device."""
    oldest = iso(now - SILENT_AFTER)
    return [_device(row, cities, row["entityId"] in maintained, alerts.get(row["entityId"], 0), oldest) for row in rows]


def _device(row: Row, cities: Mapping[str, str], maintained: bool, alerts: int, oldest: str) -> Device:
    return {
        "id": row["entityId"],
        "name": row["name"] or row["entityId"],
        "product": row["product"] or "",
        "roomId": row["workspaceId"],
        "room": row["workspaceName"],
        "location": row["locationName"],
        "locationId": row["locationId"],
        "cityId": row["cityId"],
        "city": cities.get(row["cityId"], row["cityId"]),
        "health": row["health"] if row["observedAt"] >= oldest else "unknown",
        "status": row["connectionStatus"],
        "since": row["statusSince"],
        "observedAt": row["observedAt"],
        "issues": [OF_CODE[code].name if code in OF_CODE else code for code in row["errorCodes"] or ()],
        "software": row["software"],
        "maintenance": maintained,
        "alerts": alerts,
        "details": row.get("details") or {},
    }


def rooms(listed: Iterable[Device]) -> list[RoomEntry]:
    """The rooms that these devices stand in, in the order of the first of each."""
    found: dict[str, RoomEntry] = {}
    for device in listed:
        if not device["roomId"]:
            continue
        room = found.setdefault(device["roomId"], _empty_room(device, device["roomId"]))
        room["devices"] += 1
        room["maintenance"] += device["maintenance"]
        room["health"] = min(room["health"], device["health"], key=WORST_FIRST.__getitem__)
    return list(found.values())


def _empty_room(device: Device, room_id: str) -> RoomEntry:
    return {
        "id": room_id,
        "name": device["room"] or room_id,
        "location": device["location"],
        "locationId": device["locationId"],
        "cityId": device["cityId"],
        "city": device["city"],
        "health": "up",
        "devices": 0,
        "maintenance": 0,
    }


def folded(text: str) -> str:
    """A text as it is compared in a search: `Rhône` is found as `rhone`."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in spread if not unicodedata.combining(letter)).casefold()


def matches(text: str, *fields: str | None) -> bool:
    """Whether every word of a text is in one of the fields."""
    everything = folded("\n".join(field for field in fields if field))
    return all(word in everything for word in folded(text).split())


def selected(listed: Iterable[Device], asked: Asked) -> list[Device]:
    """The devices that were asked for, in the order that was."""
    found = [device for device in listed if _is_asked_for(device, asked)]
    name = asked.order.removeprefix("-")
    found.sort(key=_ORDERS.get(name, _ORDERS["health"]), reverse=asked.order.startswith("-"))
    return found


def _is_asked_for(device: Device, asked: Asked) -> bool:
    if asked.city and device["cityId"] != asked.city:
        return False
    if asked.health == "maintenance":
        return device["maintenance"] and _has(device, asked.text)
    return (not asked.health or device["health"] == asked.health) and _has(device, asked.text)


def _has(device: Device, text: str) -> bool:
    details = device["details"]
    reported = (str(details.get(name) or "") for name in ("serial", "mac", "ip", "floor"))
    places = (device["room"], device["location"], device["city"])
    return matches(
        text, device["name"], device["product"], device["software"], device["id"], *places, *reported, *device["issues"]
    )


def _by(name: str) -> Callable[[Device], Any]:
    return lambda device: (folded(str(device[name] or "")), device["id"])  # type: ignore[literal-required]


_ORDERS: Mapping[str, Callable[[Device], Any]] = {
    "health": lambda device: (WORST_FIRST[device["health"]], device["since"] or "~", device["id"]),
    "since": lambda device: (device["since"] or "~", device["id"]),
    **{name: _by(name) for name in ("name", "product", "room", "location", "city", "software")},
}
"""How to sort by a column; what is not known comes last."""


def search(
    text: str, cities: Sequence[Mapping[str, str]], all_rooms: Iterable[RoomEntry], listed: Iterable[Device]
) -> dict[str, Any]:
    """Cities, rooms and devices whose names hold every word of a text, and how many of each there are; nothing for no text."""
    if not text.strip():
        return {name: {"total": 0, "found": []} for name in ("cities", "rooms", "devices")}
    found: dict[str, list[Any]] = {
        "cities": [city for city in cities if matches(text, city["name"], city["slug"])],
        "rooms": [room for room in all_rooms if matches(text, room["name"], room["location"], room["city"])],
        "devices": [device for device in listed if _has(device, text)],
    }
    return {name: {"total": len(entries), "found": entries[:FOUND_OF_EACH]} for name, entries in found.items()}


COLUMNS: tuple[tuple[str, Callable[[Device], object]], ...] = (
    ("device", lambda device: device["name"]),
    ("product", lambda device: device["product"]),
    ("room", lambda device: device["room"]),
    ("location", lambda device: device["location"]),
    ("city", lambda device: device["city"]),
    ("health", lambda device: device["health"]),
    ("maintenance", lambda device: "planned" if device["maintenance"] else ""),
    ("since", lambda device: device["since"]),
    ("issues", lambda device: "; ".join(device["issues"])),
    ("openAlerts", lambda device: device["alerts"]),
    ("software", lambda device: device["software"]),
    *((name, lambda device, name=name: device["details"].get(name)) for name in ("serial", "mac", "ip", "floor")),
    ("observedAt", lambda device: device["observedAt"]),
    ("id", lambda device: device["id"]),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "|", "%")
"""With what a cell begins that a spreadsheet obeys, also behind spaces."""


def as_csv(listed: Iterable[Device]) -> str:
    """Devices as CSV (RFC 4180). No cell is a formula, whatever Webex calls things: such a text has an apostrophe in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(name for name, _ in COLUMNS)
    for device in listed:
        writer.writerow(_cell(value(device)) for _, value in COLUMNS)
    return text.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value).replace("\0", "")
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA) else text
