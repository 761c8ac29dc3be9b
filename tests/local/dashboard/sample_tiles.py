"""Made-up tiles in the shape of powerbi/dashboard/tiles, for tests and screenshots: a normal hour, and much worse ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local.dashboard.snapshot import iso
from local.run_settings import LocalCity

Row = dict[str, Any]
Tiles = dict[str, list[Row]]

LYON = LocalCity("lyon", "Lyon", "Europe/Paris", ("Lyon Part-Dieu", "Lyon Confluence"))
TORONTO = LocalCity("toronto", "Toronto", "America/Toronto", ("Toronto Front Street", "Toronto Liberty Village"))
SINGAPORE = LocalCity("singapore", "Singapore", "Asia/Singapore", ("Singapore Marina One", "Singapore one-north"))
THREE_CITIES = (LYON, TORONTO, SINGAPORE)

MORE = (
    ("paris", "Paris", "Europe/Paris"),
    ("london", "London", "Europe/London"),
    ("madrid", "Madrid", "Europe/Madrid"),
    ("new-york", "New York", "America/New_York"),
    ("sao-paulo", "São Paulo", "America/Sao_Paulo"),
    ("bengaluru", "Bengaluru", "Asia/Kolkata"),
    ("tokyo", "Tokyo", "Asia/Tokyo"),
    ("llanfair", "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch", "Europe/London"),
)
ELEVEN_CITIES = THREE_CITIES + tuple(
    LocalCity(slug, name, zone, (f"{name} Central", f"{name} Riverside")) for slug, name, zone in MORE
)

CAUSES = {"device-offline": ("site-outage",), "room-unusable": ("site-outage",), "call-quality": ("site-outage",)}
"""By rule: the rules whose open alerts make its own say nothing new."""

ROOMS = ("Rhône", "Saône", "Confluence", "Bellecour", "Fourvière", "Presqu'île", "Vaise", "Gerland", "Perrache", "Croix-Rousse")
PRODUCTS = ("Room Bar Pro", "Desk Pro", "Board Pro 75", "Room Kit EQ", "Room Navigator", "9861")


DETAILS: Row = {
    "serial": "FOC2301ABCD",
    "floor": "Third floor",
    "room": {
        "issues": [
            {
                "title": "Touch panel disconnected",
                "level": "error",
                "recommendedAction": "See that its cable is plugged in.",
                "since": "2026-11-24T08:12:00.000Z",
            }
        ]
    },
    "peripherals": [{"type": "TouchPanel", "name": "Cisco Room Navigator", "status": "LostConnection", "serial": "FOC2551N0DD"}],
    "network": {"switch": "sw-3", "port": "Gi1/0/12"},
}
"""What Webex tells of a device that is not well."""


@dataclass
class Estate:
    """Rooms and devices at a moment, from which the tiles are counted. Change `health` by device id, then take `tiles()`."""

    cities: tuple[LocalCity, ...]
    now: datetime
    rooms_per_location: int = 12
    health: dict[str, str] = field(default_factory=dict)
    alerts: list[Row] = field(default_factory=list)
    silent_since: dict[str, datetime] = field(default_factory=dict)
    room_names: dict[str, str] = field(default_factory=dict)
    maintained: set[str] = field(default_factory=set)

    def devices(self) -> list[Row]:
        """Two devices in every room; all of them up unless `health` says otherwise."""
        found = []
        for city in self.cities:
            for at, location in enumerate(city.locations):
                for number in range(self.rooms_per_location):
                    workspace = f"{city.slug}-{at}-{number}"
                    name = self.room_names.get(workspace, f"{ROOMS[number % len(ROOMS)]} {at + 1}.{number + 1:02d}")
                    place = {
                        "cityId": city.slug,
                        "locationId": f"{city.slug}-{at}",
                        "locationName": location,
                        "workspaceId": workspace,
                        "workspaceName": name,
                    }
                    for position in range(2):
                        device = f"{workspace}-{position}"
                        product = PRODUCTS[(number + position) % len(PRODUCTS)]
                        state = self.health.get(device, "up")
                        found.append(
                            place | {"entityId": device, "name": f"{product} {name}", "product": product, "health": state}
                        )
        return found

    def newest(self) -> list[Row]:
        """The newest observation of every device."""
        ill = {"down": "disconnected", "issues": "connected_with_issues", "unknown": None, "asleep": "offline_deep_sleep"}
        return [
            device
            | {
                "connectionStatus": ill.get(device["health"], "connected"),
                "statusSince": iso(self.now - timedelta(minutes=14)),
                "observedAt": iso(self.now),
                "errorCodes": ["touchpanelconnection"] if device["health"] == "issues" else [],
                "software": "RoomOS 12.1.2 3c5a6b",
                "details": DETAILS if device["health"] == "issues" else None,
            }
            for device in self.devices()
        ]

    def observations_of(self, ids: Sequence[str]) -> list[Row]:
        """The last day of devices and rooms, an observation an hour: up, and for a quarter of an hour as they are now."""
        rows = []
        for device in self.newest():
            if not {device["entityId"], device["workspaceId"]} & set(ids):
                continue
            states = [(minutes, "up") for minutes in range(1380, 14, -55)] + [(14, device["health"])]
            for minutes, health in states:
                signals = [{"name": "issues", "value": float(health == "issues")}, {"name": "drops", "value": minutes % 3}]
                rows.append(
                    {
                        "observedAt": iso(self.now - timedelta(minutes=minutes)),
                        "entity": "device",
                        **{name: device[name] for name in ("entityId", "name")},
                        "health": health,
                        "errorCodes": device["errorCodes"] if health == "issues" else [],
                        "signals": signals,
                    }
                )
        chance = random.Random(9)
        for workspace in {device["workspaceId"] for device in self.devices()} & set(ids):
            for minutes in range(1430, 0, -10):
                value = round(21 + 2 * chance.random(), 1)
                moment = {"observedAt": iso(self.now - timedelta(minutes=minutes)), "entity": "workspace", "entityId": workspace}
                rows.append(moment | {"name": None, "health": None, "signals": [{"name": "temperature", "value": value}]})
        return sorted(rows, key=lambda row: str(row["observedAt"]))

    def fire(
        self, rule: str, severity: int, device: Row, *, minutes: float, signal: str, value: float, entity: str = "device"
    ) -> None:
        """Open an alert that began `minutes` ago."""
        started = iso(self.now - timedelta(minutes=minutes))
        whole_location = entity == "location"
        entity_id = device["locationId"] if whole_location else device["workspaceId" if entity == "workspace" else "entityId"]
        name = device["locationName"] if whole_location else device["workspaceName" if entity == "workspace" else "name"]
        self.alerts.append(
            {
                "alertId": f"{rule}|{entity_id}|{started}",
                "ruleId": rule,
                "severity": severity,
                "state": "fired",
                "entity": entity,
                "entityId": entity_id,
                "name": name,
                "cityId": device["cityId"],
                "locationId": device["locationId"],
                "locationName": device["locationName"],
                "workspaceId": None if whole_location else device["workspaceId"],
                "workspaceName": None if whole_location else device["workspaceName"],
                "signal": signal,
                "value": value,
                "threshold": 1.0,
                "startedAt": started,
                "observedAt": iso(self.now),
                "product": device["product"],
                "text": None,
                "details": None,
            }
        )

    def tiles(self) -> Tiles:
        """What the live store would say."""
        devices = self.devices()
        polled = {city.slug: self.silent_since.get(city.slug, self.now - timedelta(seconds=3)) for city in self.cities}
        self.alerts.sort(key=lambda alert: (alert["severity"], alert["startedAt"], alert["alertId"]))
        return {
            "cities": [
                self._city(city, [d for d in devices if d["cityId"] == city.slug], polled[city.slug]) for city in self.cities
            ],
            "open_alerts": list(self.alerts),
            "alerts_recent": list(self.alerts),
            "city_trend": [row for city in self.cities for row in self._trend(city, devices)],
            "worst_rooms": self._worst(devices),
            "locations": [row for city in self.cities for row in self._locations(city, devices)],
            "rooms": _rooms(devices),
            "environment": self._environment(devices),
            "firmware": _firmware(devices, self.cities),
            "maintenance": [d | {"observedAt": iso(self.now)} for d in devices if d["entityId"] in self.maintained],
            "pipeline": [{"newest": iso(max(polled.values())), "readings5m": 4210, "quarantined1h": 0}],
        }

    def _city(self, city: LocalCity, devices: list[Row], polled: datetime) -> Row:
        count = {health: sum(d["health"] == health for d in devices) for health in ("up", "issues", "down", "asleep", "unknown")}
        rooms = {d["workspaceId"] for d in devices}
        broken = {d["workspaceId"] for d in devices if d["health"] == "down"}
        return {
            "cityId": city.slug,
            "name": city.name,
            "lastPoll": iso(polled),
            "partial": False,
            "devices": float(len(devices)),
            "devicesUp": float(count["up"]),
            "devicesIssues": float(count["issues"]),
            "devicesDown": float(count["down"]),
            "devicesAsleep": float(count["asleep"]),
            "devicesUnknown": float(count["unknown"]),
            "rooms": float(len(rooms)),
            "roomsUsable": float(len(rooms - broken)),
            "roomsReporting": float(len(rooms) // 2),
            "roomsInUse": float(len(rooms) // 4),
            "webexStatus": None,
        }

    def _trend(self, city: LocalCity, devices: list[Row]) -> list[Row]:
        own = [d for d in devices if d["cityId"] == city.slug]
        rooms = len({d["workspaceId"] for d in own})
        down = sum(d["health"] == "down" for d in own)
        chance = random.Random(city.slug)
        begin = self.now.replace(second=0, microsecond=0)
        rows = []
        for minutes in range(59, -1, -1):
            now_down = down if minutes < 14 else min(down, chance.randint(0, 3))
            rows.append(
                {
                    "cityId": city.slug,
                    "windowEnd": iso(begin - timedelta(minutes=minutes)),
                    "devicesDown": float(now_down),
                    "devicesIssues": float(chance.randint(1, 4)),
                    "rooms": float(rooms),
                    "roomsUsable": float(rooms - now_down / 2),
                }
            )
        return rows

    def _worst(self, devices: list[Row]) -> list[Row]:
        rank = {"down": 1, "issues": 2, "unknown": 3}
        ill = [d for d in devices if d["health"] in rank]
        return [
            d
            | {
                "connectionStatus": "disconnected",
                "statusSince": iso(self.now - timedelta(minutes=14 + at)),
                "observedAt": iso(self.now),
                "errorCodes": ["touchpanelconnection", "missingdisplay"] if d["health"] == "issues" else [],
                "details": DETAILS if d["health"] == "issues" else None,
            }
            for at, d in enumerate(sorted(ill, key=lambda d: (rank[d["health"]], d["entityId"])))
        ][:50]

    def _locations(self, city: LocalCity, devices: list[Row]) -> list[Row]:
        rows = []
        for at, name in enumerate(city.locations):
            own = [d for d in devices if d["locationId"] == f"{city.slug}-{at}"]
            down = sum(d["health"] == "down" for d in own)
            rows.append(
                {
                    "locationId": f"{city.slug}-{at}",
                    "name": name,
                    "cityId": city.slug,
                    "observedAt": iso(self.now),
                    "offlineRatio": down / len(own) if own else None,
                    "devices": float(len(own)),
                }
            )
        return rows

    def _environment(self, devices: list[Row]) -> list[Row]:
        chance = random.Random(3)
        rooms = {d["workspaceId"]: d for d in devices}
        return [
            {
                "workspaceId": workspace,
                "name": d["workspaceName"],
                "locationId": d["locationId"],
                "locationName": d["locationName"],
                "cityId": d["cityId"],
                "observedAt": iso(self.now),
                "temperature": round(chance.gauss(22, 1.6), 1),
                "humidity": round(chance.gauss(44, 6), 1),
                "tvoc": round(chance.uniform(0.1, 1.2), 2),
                "ambientNoise": round(chance.gauss(38, 4), 1),
                "soundLevel": round(chance.gauss(47, 6), 1),
                "peopleCount": float(chance.randint(0, 8)),
            }
            for workspace, d in rooms.items()
        ]


def _rooms(devices: list[Row]) -> list[Row]:
    rank = {"down": 5, "issues": 4, "unknown": 3, "asleep": 2, "up": 1}
    rooms: dict[str, list[Row]] = {}
    for device in devices:
        rooms.setdefault(device["workspaceId"], []).append(device)
    columns = ("workspaceId", "workspaceName", "locationId", "locationName", "cityId")
    return [
        {name: own[0][name] for name in columns}
        | {
            "health": max((d["health"] for d in own), key=lambda health: rank[health]),
            "devices": len(own),
            "observedAt": iso(NOON),
        }
        for own in rooms.values()
    ]


def _firmware(devices: list[Row], cities: tuple[LocalCity, ...]) -> list[Row]:
    versions = ("RoomOS 12.1.2 3c5a6b", "RoomOS 11.32.4 ae81f0", "RoomOS 11.28.1 91d2c7", "PhoneOS 3.4.1")
    rows = []
    for city in cities:
        total = sum(d["cityId"] == city.slug for d in devices)
        shares = (0.62, 0.22, 0.1, 0.06)
        rows += [
            {"cityId": city.slug, "software": version, "devices": round(total * share)}
            for version, share in zip(versions, shares, strict=True)
        ]
    return rows


NOON = datetime(2026, 11, 24, 11, 7, 20, tzinfo=UTC)
"""A Tuesday: noon in Lyon, early in Toronto, evening in Singapore."""


def normal(now: datetime = NOON, cities: tuple[LocalCity, ...] = THREE_CITIES) -> Estate:
    """A few devices down, one room with a broken touch panel, one too warm; Singapore is fine."""
    estate = Estate(cities, now)
    estate.health = {"lyon-0-3-0": "down", "lyon-1-5-1": "issues", "toronto-0-2-0": "issues", "toronto-1-7-1": "asleep"}
    estate.health |= {"toronto-1-8-0": "asleep", "toronto-1-9-0": "unknown", "singapore-0-1-0": "issues"}
    estate.maintained = {"toronto-1-4-0", "toronto-1-4-1"}
    by_id = {device["entityId"]: device for device in estate.devices()}
    estate.fire("device-offline", 2, by_id["lyon-0-3-0"], minutes=22, signal="offline", value=1)
    estate.fire("room-unusable", 3, by_id["toronto-0-2-0"], minutes=64, signal="criticalIssues", value=2)
    estate.fire("room-too-warm", 3, by_id["lyon-1-5-1"], minutes=11, signal="temperature", value=29.4, entity="workspace")
    return estate


def outage(now: datetime = NOON, cities: tuple[LocalCity, ...] = THREE_CITIES) -> Estate:
    """The normal hour, and one location of Singapore has been dark for a quarter of an hour."""
    estate = normal(now, cities)
    return darken(estate, "singapore-0")


def worst(now: datetime = NOON) -> Estate:
    """Eleven cities, some with endless names: one city dark as a whole, one silent, forty other incidents."""
    estate = normal(now, ELEVEN_CITIES)
    estate.rooms_per_location = 30
    estate.room_names["llanfair-0-0"] = "Ystafell Gynadledda Fawr " * 5
    estate.room_names["paris-0-0"] = "<img src=x onerror=\"document.body.dataset.hacked='yes'\">"
    for location in ("singapore-0", "singapore-1"):
        darken(estate, location)
    chance = random.Random(5)
    candidates = [device for device in estate.devices() if not device["entityId"].startswith("singapore")]
    for device in chance.sample(candidates, 40):
        estate.health[device["entityId"]] = "down"
        estate.fire("device-offline", 2, device, minutes=chance.uniform(5, 3000), signal="offline", value=1)
    by_id = {device["entityId"]: device for device in estate.devices()}
    for device_id in ("llanfair-0-0-0", "paris-0-0-0"):
        estate.health[device_id] = "down"
        estate.fire("room-unusable", 2, by_id[device_id], minutes=4000, signal="criticalIssues", value=1)
    estate.silent_since["tokyo"] = now - timedelta(minutes=47)
    return estate


def many_cities(count: int) -> tuple[LocalCity, ...]:
    """So many cities of one location, some with endless names."""
    return tuple(
        LocalCity(f"{city.slug}-{number}", f"{city.name} {number}", city.time_zone, (f"{city.name} {number} Central",))
        for number in range(count)
        for city in [ELEVEN_CITIES[number % len(ELEVEN_CITIES)]]
    )


def troubled(now: datetime, cities: tuple[LocalCity, ...]) -> Estate:
    """Of every seventeen cities one with an outage, one silent, one with a device down, one too warm, one in maintenance."""
    estate = Estate(cities, now, rooms_per_location=1)
    by_id = {device["entityId"]: device for device in estate.devices()}
    for number, city in enumerate(cities):
        device = by_id[f"{city.slug}-0-0-0"]
        match number % 17:
            case 2:
                darken(estate, f"{city.slug}-0")
            case 5:
                estate.silent_since[city.slug] = now - timedelta(minutes=47)
            case 7:
                estate.fire("device-offline", 2, device, minutes=22, signal="offline", value=1)
            case 9:
                estate.fire("room-too-warm", 3, device, minutes=11, signal="temperature", value=29.4, entity="workspace")
            case 11:
                estate.maintained.add(device["entityId"])
    return estate


def darken(estate: Estate, location: str) -> Estate:
    """Take a whole location down: its outage alert, and one for each of its devices."""
    own = [device for device in estate.devices() if device["locationId"] == location]
    estate.fire("site-outage", 1, own[0], minutes=14, signal="offlineRatio", value=1.0, entity="location")
    for device in own:
        estate.health[device["entityId"]] = "down"
        estate.fire("device-offline", 2, device, minutes=14, signal="offline", value=1)
    return estate
