"""GET /xapi/status: what a RoomOS device says about itself, in the loose types it uses.

Booleans are the words True and False, temperature and air quality are text, counts are numbers, and arrays carry their own ids.
What is not there or not granted is simply missing from the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webex_simulator.advice import advice_on
from webex_simulator.answers import Answer, ApiError, Query, json_answer
from webex_simulator.catalogue import DIAGNOSTICS_TYPES, LOST_PERIPHERAL_CODES
from webex_simulator.chance import between, key, unit
from webex_simulator.conditions import Condition
from webex_simulator.environment import Environment, in_standby
from webex_simulator.estate import Device, Estate, Workspace
from webex_simulator.occupancy import is_booked, meeting_at
from webex_simulator.records import is_teams_room, serial_of
from webex_simulator.status_expressions import merge, select

MOST_EXPRESSIONS = 10
CALL_SHARE = 0.7
"""Meetings that are calls."""
POOR_CALL_SHARE = 0.035

_PANEL_LOST = "touchpanelconnection"
_CALL, _QUALITY = key("call"), key("call quality")


def xapi_status(
    estate: Estate, environment: Environment, condition: Condition, device: Device, query: Query, now: float
) -> Answer:
    """The answer for a device in a condition; raises ApiError."""
    expressions = query.all("name")
    if not 1 <= len(expressions) <= MOST_EXPRESSIONS:
        raise ApiError(400, f"Give 1 to {MOST_EXPRESSIONS} status expressions as name, not {len(expressions)}.")
    if device.product.type != "roomdesk":
        raise ApiError(403, "The device has no xAPI.")
    if not condition.status.startswith("connected"):
        # What the real API answers here is not documented.
        raise ApiError(404, "The device is not reachable.")
    tree = status_tree(estate, environment, condition, device, now)
    result: dict[str, Any] = {}
    for expression in expressions:
        merge(result, select(tree, expression))
    return json_answer({"deviceId": device.id, "result": result})


def status_tree(estate: Estate, environment: Environment, condition: Condition, device: Device, now: float) -> dict[str, Any]:
    """Everything a device reports. A personal device keeps what concerns people's privacy to itself."""
    uptime = int(now - condition.since) % 2_000_000
    tree: dict[str, Any] = {
        "SystemUnit": {
            "ProductPlatform": device.product.name.removeprefix("Cisco "),
            "Uptime": uptime,
            "Software": {"DisplayName": condition.software},
            "Hardware": {"Monitoring": {"Temperature": {"Status": "Normal"}}},
        },
        "Diagnostics": {"Message": [_diagnostic(number, code) for number, code in enumerate(condition.codes, start=1)]},
        "Network": [{"id": 1, "ActiveInterface": "LAN", "Ethernet": {"Speed": "1000full"}, "CDP": _switch(device)}],
        "Video": {"Output": {"Connector": [{"id": 1, "Connected": str("missingdisplay" not in condition.codes)}]}},
        "Peripherals": {"ConnectedDevice": _peripherals(estate, environment, condition, device, now)},
    }
    if device.workspace is not None:
        merge(tree, _room_status(environment, device, device.workspace, now))
    return tree


def _room_status(environment: Environment, device: Device, workspace: Workspace, now: float) -> dict[str, Any]:
    meeting, bad_call = meeting_at(workspace, now), environment.bad_call(device, now)
    used = meeting is not None or bad_call is not None or bool(environment.crowd(workspace, now))
    standby = in_standby(workspace, now) and not used
    call = bad_call is not None or (meeting is not None and unit(workspace.key, _CALL, int(meeting.start)) < CALL_SHARE)
    teams = is_teams_room(device)
    system = "InCall" if call and not teams else "Sleeping" if standby else "Initialized"
    sensors = device.product.sensors
    analytics: dict[str, Any] = {"PeoplePresence": "Yes" if used else "No", "RoomInUse": str(used)}
    if "peopleCount" in sensors:
        count = environment.value(workspace, "peopleCount", now)
        analytics["PeopleCount"] = {"Current": int(count), "Capacity": workspace.seats or -1}
    if "ambientNoise" in sensors:
        analytics["AmbientNoise"] = {"Level": {"A": int(environment.value(workspace, "ambientNoise", now))}}
        analytics["Sound"] = {"Level": {"A": int(environment.value(workspace, "soundLevel", now))}}
    if "temperature" in sensors:
        analytics["AmbientTemperature"] = f"{environment.value(workspace, 'temperature', now):.1f}"
        analytics["RelativeHumidity"] = int(environment.value(workspace, "humidity", now))
    status: dict[str, Any] = {
        "RoomAnalytics": analytics,
        "SystemUnit": {"State": {"NumberOfActiveCalls": int(call and not teams), "System": system}},
        "Standby": {"State": "Standby" if standby else "Off"},
        "Audio": {"Volume": 50, "Microphones": {"Mute": "Off" if call else "On"}},
        "Bookings": {"Availability": {"Status": "BookedUntil" if is_booked(workspace, now) else "Free"}},
    }
    if teams:
        status["MicrosoftTeams"] = {"Calling": {"InCall": str(call)}}
    if call:
        channel = _channel(workspace, meeting.start if meeting else now, bad_call)
        status["MediaChannels"] = {"Call": [{"id": 27, "Channel": [channel]}]}
    return status


def _peripherals(
    estate: Estate, environment: Environment, condition: Condition, device: Device, now: float
) -> list[dict[str, Any]]:
    found = [
        _peripheral(device, condition, 1000, "Camera", "Camera", "camerapairing"),
        _peripheral(device, condition, 999, "AudioMicrophone", "Table Microphone", "microphonesconnected"),
    ]
    if device.workspace is None:
        return found
    indoor = (estate.devices[index] for index in device.workspace.devices)
    for number, navigator in enumerate((other for other in indoor if other.product.type == "accessory"), start=1001):
        climate = {
            "AirQuality": {"Index": f"{environment.value(device.workspace, 'tvoc', now):.2f}"},
            "AmbientTemperature": f"{environment.value(device.workspace, 'temperature', now):.1f}",
            "RelativeHumidity": int(environment.value(device.workspace, "humidity", now)),
        }
        panel = _peripheral(navigator, condition, number, "TouchPanel", navigator.product.name, _PANEL_LOST)
        found.append(panel | {"Location": "InsideRoom", "UpgradeStatus": "None", "RoomAnalytics": climate})
    if _PANEL_LOST in condition.codes and len(found) == 2:
        found.append(_peripheral(device, condition, 1001, "TouchPanel", "Cisco Room Navigator", _PANEL_LOST))
    return found


def _peripheral(owner: Device, condition: Condition, number: int, kind: str, name: str, lost_by: str) -> dict[str, Any]:
    """A peripheral, lost while the device reports the issue `lost_by`. A Navigator bears its own serial number."""
    serial = serial_of(owner.key if owner.product.type == "accessory" else key(owner.key, kind))
    status = "LostConnection" if lost_by in condition.codes else "Connected"
    return {"id": number, "Name": name, "Type": kind, "Status": status, "SerialNumber": serial}


def _switch(device: Device) -> dict[str, str]:
    """What the switch reports by CDP."""
    floor = device.workspace.floor if device.workspace else 0
    site = device.location.index if device.location else 0
    return {"DeviceId": f"switch-{site}-{floor}.example.com", "PortID": f"GigabitEthernet1/0/{device.key % 48 + 1}"}


def _diagnostic(number: int, code: str) -> dict[str, Any]:
    level = "Error" if code in LOST_PERIPHERAL_CODES else "Warning"
    known_as = DIAGNOSTICS_TYPES.get(code, code)
    description = f"{advice_on(code).title}."
    return {"id": number, "Level": level, "Type": known_as, "Description": description, "References": ""}


def _channel(workspace: Workspace, start: float, bad_call: Mapping[str, float] | None) -> dict[str, Any]:
    poor = unit(workspace.key, _QUALITY, int(start)) < POOR_CALL_SHARE
    draw = unit(workspace.key, _QUALITY, int(start) + 1)
    jitter = between(40, 120, draw) if poor else between(3, 15, draw)
    loss = between(0.03, 0.10, draw) if poor else between(0, 0.005, draw)
    if bad_call is not None:
        jitter, loss = bad_call["jitter"], bad_call["loss"] / 100
    packets = 60_000
    netstat = {
        "Jitter": int(jitter),
        "Loss": int(packets * loss),
        "Packets": packets,
        "LastIntervalLost": round(1000 * loss),
        "LastIntervalReceived": round(1000 * (1 - loss)),
        "RoundTripTime": 320 if poor else 40,
    }
    return {"id": 1, "Type": "Audio", "Direction": "Incoming", "Netstat": netstat}
