"""The ingest with 10,000 devices: processor time and memory from the first byte of Webex to the acknowledged send; import time.

A process of its own serves ready-made pages, another one is the Event Hubs stand-in, and a third one, measured, makes the polls.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.processes import REPOSITORY, output_of, serving
from benchmarks.report import Table

DEVICES = 10_000
LOCATIONS = 40
PAGE = 1000
IMPORTS = 5
MODULE = "benchmarks.bench_ingest"


def tables() -> list[Table]:
    """Measure the import of the function app, a first poll, a later snapshot, and an ordinary poll."""
    with tempfile.TemporaryDirectory() as folder, serving(MODULE, "pages") as port, serving(MODULE, "hubs", folder) as connection:
        measured = json.loads(output_of(MODULE, "polls", folder, port, connection))
    rows = [["import of the function app, processor time (ms)", statistics.median(_import_milliseconds()), 250]]
    for name, poll in measured["polls"].items():
        rows.append([f"{name}: {poll['observations']:,} observations, processor time (s)", poll["processor"], 1.5])
        rows.append([f"{name}: elapsed (s)", poll["elapsed"], ""])
    rows.append(["peak resident memory of the process (MB)", measured["megabytes"], 150])
    checked = f"{measured['validation']:.1f} s"
    note = (
        f"{DEVICES:,} devices of 1.3 kB in {DEVICES // PAGE} pages, {DEVICES // 2:,} workspaces, gzip, loopback; 5 % of the "
        "devices are down. Processor time is that of the ingest process alone. The first poll loads and opens the Event Hubs "
        f"client. For comparison: checking {DEVICES:,} observations against their JSON Schema would take {checked} more."
    )
    return [Table("Ingest: 10,000 devices", ("what", "measured", "bar"), rows, note)]


def _import_milliseconds() -> list[float]:
    code = "import time; b = time.process_time(); import processors.ingest.function_app; print((time.process_time() - b) * 1000)"
    runs = [
        subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
        for _ in range(IMPORTS + 1)
    ]
    return [float(run) for run in runs[1:]]


def _polls(folder: str, port: str, connection: str) -> None:
    """The measured process."""
    from processors.ingest.environment import poller_from, settings_of

    path = Path(folder) / "ingest-settings.json"
    path.write_text(json.dumps(_settings()), encoding="utf-8")
    environment = {
        "WEBEX_API_BASE": f"http://127.0.0.1:{port}/v1",
        "WEBEX_ACCESS_TOKEN": "token",
        "INGEST_SETTINGS": str(path),
        "EVENT_HUBS": connection,
        "STATE_FOLDER": folder,
    }
    polls: dict[str, Any] = {}
    poller = poller_from(environment, settings_of(environment))
    for name in ("first poll", "next poll", "snapshot with a new client and state"):
        if name.startswith("snapshot"):
            poller.close()
            poller = poller_from(environment | {"STATE_FOLDER": f"{folder}/another"}, settings_of(environment))
        processor, began = time.process_time(), time.perf_counter()
        report = poller.poll()
        assert not report.partial, report.faults
        polls[name] = {
            "observations": report.observations,
            "processor": time.process_time() - processor,
            "elapsed": time.perf_counter() - began,
        }
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"polls": polls, "megabytes": megabytes, "validation": _validation_seconds()}))


def _validation_seconds() -> float:
    """Processor time of checking as many observations as there are devices (extrapolated from a few)."""
    from processors.contracts.validation import OBSERVATION, faults
    from processors.ingest.changes import KnownDevice
    from processors.ingest.directory import Place
    from processors.ingest.observations import PollContext, device_observation
    from processors.ingest.records import read_device
    from processors.ingest.signals import RuleBook

    place = Place("city-0", "location-0", "Site 0", "workspace-0", "Room 0")
    known = KnownDevice(read_device(_device(0)), place, "2026-11-24T10:00:00.000Z", 0)
    poll = PollContext("2026-11-24T10:00:00.000Z", False)
    body = device_observation(poll, RuleBook([]), known, "snapshot").body
    sample = 300
    assert faults(OBSERVATION, json.loads(body)) == []
    began = time.process_time()
    for _ in range(sample):
        faults(OBSERVATION, json.loads(body))
    return (time.process_time() - began) * DEVICES / sample


def _settings() -> dict[str, Any]:
    common = {"entity": "device", "op": ">=", "threshold": 1, "severity": 2}
    rules = [
        {"id": "device-offline", "signal": "offline", "forSeconds": 300, **common},
        {"id": "room-unusable", "signal": "criticalIssues", "forSeconds": 120, **common},
    ]
    cities = {
        f"city-{city}": {
            "name": f"City {city}",
            "timeZone": "Europe/Paris",
            "webexLocations": [f"Site {number}" for number in range(city * 4, city * 4 + 4)],
            "rules": rules,
        }
        for city in range(LOCATIONS // 4)
    }
    tiers = {
        "xapiRequestsPerSecond": 0,
        "xapiSeconds": 300,
        "metricSeconds": 60,
        "locationMinutes": 1440,
        "priorityTags": [],
        "personalDevices": False,
    }
    polls = {"pollSeconds": 60, "snapshotMinutes": 15, "metricRequestsPerPoll": 0, "metrics": [], "requestsPerSecond": 1000}
    return {**polls, **tiers, "cities": cities}


def _device(number: int) -> dict[str, Any]:
    """A device with every field Webex lists."""
    identity = f"Y2lzY29zcGFyazovL3VybjpURUFNOmV1LWNlbnRyYWwtMV9rL0RFVklDRS{number:012d}"
    return {
        "id": identity,
        "displayName": f"Floor {number % 9} Room {number // 2}",
        "placeId": f"workspace-{number // 2}",
        "workspaceId": f"workspace-{number // 2}",
        "orgId": "Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi9mNmZhZGZhNy1lNWMxLTRiNjItOTM2Mi1kYTVjYzEzZGE1OGE",
        "capabilities": ["xapi"],
        "permissions": ["xapi:readonly", "xapi:all"],
        "connectionStatus": "disconnected" if number % 20 == 0 else "connected",
        "product": "Cisco Room Kit EQ",
        "type": "roomdesk",
        "tags": ["tier-1"],
        "ip": f"10.20.{number // 250}.{number % 250}",
        "activeInterface": "wired",
        "mac": f"B9:0C:89:83:{number // 256:02X}:{number % 256:02X}",
        "primarySipUrl": f"room-{number}@example.rooms.webex.com",
        "sipUrls": [f"room-{number}@example.rooms.webex.com"],
        "serial": f"FOC{number:08d}",
        "software": "RoomOS 26.8.1.4 9a1b2c3d4e5",
        "upgradeChannel": "Stable",
        "created": "2025-03-11T09:14:02.117Z",
        "locationId": f"location-{number % LOCATIONS}",
        "workspaceLocationId": f"location-{number % LOCATIONS}",
        "errorCodes": ["missingdisplay"] if number % 30 == 0 else [],
        "firstSeen": "2025-03-11T09:15:40.002Z",
        "lastSeen": "2026-11-23T15:41:08.310Z",
        "managedBy": "CUSTOMER",
        "devicePlatform": "cisco",
        "plannedMaintenance": "off",
    }


def _workspace(number: int) -> dict[str, Any]:
    sensors = ("occupancyDetection", "ambientNoise", "soundLevel", "temperature", "airQuality", "relativeHumidity")
    return {
        "id": f"workspace-{number}",
        "displayName": f"Room {number}",
        "locationId": f"location-{number * 2 % LOCATIONS}",
        "capabilities": {name: {"supported": True, "configured": number % 2 == 0} for name in sensors},
        "health": {"level": "ok", "issues": []},
        "capacity": 8,
        "type": "meetingRoom",
    }


def _pages() -> None:
    """Serve the estate, page by page, from memory."""
    estate = {
        "/v1/devices": [_device(number) for number in range(DEVICES)],
        "/v1/workspaces": [_workspace(number) for number in range(DEVICES // 2)],
        "/v1/locations": [{"id": f"location-{number}", "name": f"Site {number}"} for number in range(LOCATIONS)],
    }
    pages = {
        path: [gzip.compress(json.dumps({"items": items[start : start + PAGE]}).encode()) for start in range(0, len(items), PAGE)]
        for path, items in estate.items()
    }

    nothing = gzip.compress(b'{"items": []}')

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            page = int(parse_qs(parts.query).get("start", ["0"])[0]) // PAGE
            body = pages[parts.path][page] if page < len(pages[parts.path]) else nothing  # asked for behind a full last page
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            if page + 1 < len(pages[parts.path]):
                address = f"http://{self.headers['Host']}{parts.path}?max={PAGE}&start={(page + 1) * PAGE}"
                self.send_header("Link", f'<{address}>; rel="next"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """A benchmark has no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def _hubs(folder: str) -> None:
    """Serve the Event Hubs stand-in."""
    from event_hubs_local.config import read_config
    from event_hubs_local.server import EventHubsServer, serving_in_thread
    from local.event_hubs.part import CONFIG

    with serving_in_thread(EventHubsServer(Path(folder) / "hubs", read_config(CONFIG))) as server:
        print(server.connection_string, flush=True)
        while os.getppid() != 1:
            time.sleep(0.5)


if __name__ == "__main__":
    roles: dict[str, Callable[..., None]] = {"pages": _pages, "hubs": _hubs, "polls": _polls}
    roles[sys.argv[1]](*sys.argv[2:])
