"""JSON records of the estate as the API gives them, with the oddities met in the real one in small shares.

A device's record is two pieces of bytes: what never changes, rendered once, and its condition, rendered when that changes. So a
sweep over ten thousand devices is mostly joining bytes. Fields that are unset are left out, as the API does.
"""

from __future__ import annotations

import json
import math
from array import array
from typing import Any

from webex_simulator.advice import OFFLINE, advice_on
from webex_simulator.capabilities import capabilities as capabilities_of
from webex_simulator.catalogue import LOST_PERIPHERAL_CODES
from webex_simulator.chance import key, unit
from webex_simulator.conditions import HEARTBEAT_SECONDS, Condition, Conditions
from webex_simulator.effects import Effects
from webex_simulator.estate import Device, Estate, Location, Workspace, webex_id
from webex_simulator.firmware import channel
from webex_simulator.names import mail_name
from webex_simulator.site_time import iso, whereabouts

ODDITIES = (
    ("no ip", 0.004),
    ("no mac", 0.004),
    ("null mac", 0.002),
    ("no software", 0.004),
    ("no location", 0.003),
    ("clock ahead", 0.003),
    ("maintenance as object", 0.010),
)
"""Oddity of a device record and its share. The shares are judgement, the oddities are not: all were met in documents or code."""
CLOCK_AHEAD_SECONDS = 180.0
TEAMS_SHARE = 0.04
WIRELESS_SHARE = 0.3
CREATED = "2025-03-11T09:14:02.117Z"
FIRST_SEEN = "2025-03-11T09:15:40.002Z"

_TEAMS, _WIRELESS = key("teams room"), key("wireless")


def is_teams_room(device: Device) -> bool:
    """Whether a room device runs Microsoft Teams Rooms."""
    return device.workspace is not None and device.product.type == "roomdesk" and unit(device.key, _TEAMS) < TEAMS_SHARE


def serial_of(key: int) -> str:
    """The serial number of what has this key."""
    return f"FOC{key % 10_000:04d}{key // 10_000 % 16**4:04X}"


def oddity_of(device: Device) -> str:
    """The oddity of a device's record, or nothing."""
    draw = device.oddity
    for oddity, share in ODDITIES:
        if draw < share:
            return oddity
        draw -= share
    return ""


class Records:
    """Renders records, and remembers those of devices as long as they hold. One thread at a time."""

    def __init__(self, estate: Estate, conditions: Conditions, effects: Effects) -> None:
        self._estate = estate
        self._conditions = conditions
        self._effects = effects
        self._version = -1
        self._fixed: list[bytes] = [b""] * len(estate.devices)
        self._changing: list[bytes] = [b""] * len(estate.devices)
        self._known: list[Condition | None] = [None] * len(estate.devices)
        self._valid_until = array("d", bytes(8 * len(estate.devices)))

    def condition(self, index: int, seconds: float) -> Condition:
        """The condition of the device with this index."""
        if self._version != self._effects.version:
            self._version = self._effects.version
            self._valid_until = array("d", bytes(8 * len(self._valid_until)))
        known = self._known[index]
        if known is None or seconds >= self._valid_until[index]:
            device = self._estate.devices[index]
            known = self._conditions.at(device, seconds)
            self._changing[index] = _changing_part(device, known)
            self._known[index] = known
            self._valid_until[index] = known.valid_until
        return known

    def device(self, index: int, seconds: float) -> bytes:
        """The record of the device with this index."""
        self.condition(index, seconds)
        fixed = self._fixed[index]
        if not fixed:
            fixed = self._fixed[index] = _dumps(self._fixed_part(self._estate.devices[index]))[:-1]
        return fixed + self._changing[index]

    def workspace(self, workspace: Workspace, seconds: float, *, devices: bool, capabilities: bool) -> bytes:
        """The record of a workspace, with its devices and capabilities when asked for."""
        record = self._workspace_part(workspace) | {"plannedMaintenance": self._workspace_maintenance(workspace, seconds)}
        record["health"] = self._health(workspace, seconds)
        if capabilities:
            record["capabilities"] = capabilities_of(self._estate, workspace)
        rendered = _dumps(record)
        if not devices:
            return rendered
        items = b",".join(self.device(index, seconds) for index in workspace.devices)
        return rendered[:-1] + b',"devices":[' + items + b"]}"

    def location(self, location: Location) -> bytes:
        """The record of a location. City and coordinates are missing where nobody filled them in."""
        place = whereabouts(location.time_zone)
        address = {"address1": "1 Example Street", "city": location.city_text, "postalCode": f"{location.key % 90_000 + 10_000}"}
        record = {
            "id": location.id,
            "name": location.name,
            "orgId": self._estate.organization_id,
            "address": _without_unset(address | {"country": place.country if place else None}),
            "timeZone": location.time_zone,
            "preferredLanguage": "en_us",
            "latitude": str(place.latitude) if place else None,
            "longitude": str(place.longitude) if place else None,
            "notes": "",
        }
        return _dumps(_without_unset(record))

    def floors(self, location: Location) -> bytes:
        """The floors of a location, as the whole answer."""
        items = [
            {
                "id": _floor_id(location, number),
                "locationId": location.id,
                "floorNumber": number,
                "displayName": f"Floor {number}",
            }
            for number in range(1, location.floors + 1)
        ]
        return _dumps({"items": items})

    def _fixed_part(self, device: Device) -> dict[str, Any]:
        oddity = oddity_of(device)
        has_xapi = device.product.type == "roomdesk"
        personal = device.workspace is None and not device.in_store
        address = f"{mail_name(device.name)}@example.rooms.webex.com"
        location_id = device.location.id if device.location and oddity != "no location" else None
        workspace_id = device.workspace.id if device.workspace else None
        record = {
            "id": device.id,
            "displayName": device.name,
            "placeId": workspace_id,
            "workspaceId": workspace_id,
            "personId": webex_id("PEOPLE", device.key) if personal else None,
            "orgId": self._estate.organization_id,
            "capabilities": ["xapi"] if has_xapi else [],
            "permissions": (["xapi:readonly"] if personal else ["xapi:readonly", "xapi:all"]) if has_xapi else [],
            "product": device.product.name,
            "type": device.product.type,
            "tags": ["tier-1"] if device.product.room == "meetingRoom" else [],
            "ip": None if device.in_store or oddity == "no ip" else _ip(device),
            "activeInterface": "wireless" if _is_wireless(device) else "wired",
            "mac": None if oddity in ("no mac", "null mac") else _mac(device),
            "primarySipUrl": address if device.product.type != "accessory" else None,
            "sipUrls": [address] if device.product.type != "accessory" else [],
            "serial": serial_of(device.key),
            "upgradeChannel": channel(device) if device.product.type != "phone" else None,
            "created": CREATED,
            "locationId": location_id,
            "workspaceLocationId": location_id,
            "firstSeen": FIRST_SEEN,
            "managedBy": "CISCO" if device.product.type == "phone" else "CUSTOMER",
            "devicePlatform": "microsoftTeamsRoom" if is_teams_room(device) else "cisco",
        }
        return _without_unset(record) | ({"mac": None} if oddity == "null mac" else {})

    def _workspace_part(self, workspace: Workspace) -> dict[str, Any]:
        address = mail_name(workspace.name)
        phone = any(self._estate.devices[index].product.type == "phone" for index in workspace.devices)
        record = {
            "id": workspace.id,
            "orgId": self._estate.organization_id,
            "locationId": workspace.location.id,
            "workspaceLocationId": workspace.location.id,
            "floorId": _floor_id(workspace.location, workspace.floor),
            "displayName": workspace.name,
            "capacity": workspace.seats,
            "type": workspace.kind,
            "sipAddress": f"{address}@example.rooms.webex.com",
            "created": CREATED,
            "calling": {"type": "webexCalling" if phone else "freeCalling"},
            "calendar": {"type": "none"} if phone else {"type": "microsoft", "emailAddress": f"{address}@example.com"},
            "notes": "",
            "hotdeskingStatus": "on" if workspace.kind == "desk" else "off",
            "supportedDevices": "phones" if phone else "collaborationDevices",
            "deviceHostedMeetings": {"enabled": False},
            "devicePlatform": "cisco",
            "indoorNavigation": {},
        }
        return _without_unset(record)

    def _workspace_maintenance(self, workspace: Workspace, seconds: float) -> dict[str, str]:
        """The object a workspace has; its window is said where somebody has said until when."""
        for effect in self._effects.on_workspace(workspace):
            if effect.kind == "maintenance" and effect.holds(seconds):
                end = {} if effect.until == math.inf else {"endTime": iso(effect.until)}
                return {"mode": "on", "startTime": iso(effect.since), **end}
        return {"mode": "off"}

    def _health(self, workspace: Workspace, seconds: float) -> dict[str, Any]:
        issues = []
        for index in workspace.devices:
            condition = self.condition(index, seconds)
            if condition.status == "disconnected":
                issues.append(_issue(self._estate.devices[index], OFFLINE, "error", condition.since))
            for code in condition.codes:
                level = "error" if code in LOST_PERIPHERAL_CODES else "warning"
                issues.append(_issue(self._estate.devices[index], code, level, condition.since))
        levels = {issue["level"] for issue in issues}
        worst = next((level for level in ("error", "warning") if level in levels), "ok")
        return {"level": worst, "issues": issues}


def _changing_part(device: Device, condition: Condition) -> bytes:
    """The rest of a device's record, from the comma on."""
    oddity = oddity_of(device)
    ahead = HEARTBEAT_SECONDS + CLOCK_AHEAD_SECONDS if oddity == "clock ahead" else 0.0
    record = {
        "connectionStatus": condition.status,
        "software": condition.software if oddity != "no software" else None,
        "errorCodes": condition.codes,
        "lastSeen": iso(condition.last_seen + ahead),
        "plannedMaintenance": _maintenance(device, oddity, condition.in_maintenance),
    }
    return b"," + _dumps(_without_unset(record))[1:]


def _issue(device: Device, what: str, level: str, since: float) -> dict[str, str]:
    title, action = advice_on(what)
    return {
        "id": webex_id("ISSUE", key(device.key, what)),
        "createdAt": iso(since),
        "title": title,
        "description": f"{device.name}: {title}.",
        "recommendedAction": action,
        "level": level,
    }


def _maintenance(device: Device, oddity: str, under_way: bool) -> str | dict[str, str] | None:
    """Text in the published example, an object in the published schema, missing for phones."""
    if under_way:
        return {"mode": "on"} if device.key % 2 else "on"
    if device.product.type == "phone":
        return None
    return {"mode": "upcoming" if device.key % 2 else "off"} if oddity == "maintenance as object" else "off"


def _is_wireless(device: Device) -> bool:
    return device.product.room == "desk" and unit(device.key, _WIRELESS) < WIRELESS_SHARE


def _floor_id(location: Location, number: int) -> str:
    return webex_id("FLOOR", key(location.key, "floor id", number))


def _ip(device: Device) -> str:
    site = device.location.index if device.location else 0
    return f"10.{site % 250 + 1}.{device.key % 250}.{device.key // 250 % 250 + 1}"


def _mac(device: Device) -> str:
    return ":".join(f"{byte:02X}" for byte in device.key.to_bytes(8, "big")[:6])


def _without_unset(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}


def _dumps(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
