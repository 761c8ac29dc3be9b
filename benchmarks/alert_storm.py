"""A storm through the fan-out of whatever tree is first on the path: CPU seconds until the inbox and a webhook per city have all.

python alert_storm.py CITIES ALERTS
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BATCH = 100
TEND_SECONDS = 1.0
"""How often the timer of a local run comes."""
GIVE_UP_SECONDS = 600.0


class Taking(BaseHTTPRequestHandler):
    """Takes everything at once."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """See BaseHTTPRequestHandler."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def row(number: int, city: str) -> str:
    """An alert as the stream query writes it."""
    return json.dumps(
        {
            "alertId": f"room-too-warm|{number}", "ruleId": "room-too-warm", "severity": 3, "state": "fired", "entity": "device",
            "entityId": f"device-{number}", "name": f"Room Bar {number}", "cityId": city, "locationId": f"site-{city}",
            "locationName": "Part-Dieu", "signal": "temperature", "value": 30, "threshold": 28,
            "startedAt": "2026-11-24T09:30:00.0000000Z", "observedAt": "2026-11-24T09:35:00.0000000Z",
        }
    )  # fmt: skip


def settings(cities: int, inbox: Path, port: int) -> dict[str, Any]:
    """Cities that are told in the inbox and by a webhook each."""
    hours = {"days": ["mon"], "from": "08:00", "to": "18:00"}
    named: dict[str, Any] = {
        f"city-{number}": {
            "name": f"City {number}", "timeZone": "UTC", "officeHours": hours,
            "channels": [
                {"type": "inbox", "path": str(inbox)}, {"type": "webhook", "url": f"http://127.0.0.1:{port}/{number}"},
            ],
        }
        for number in range(cities)
    }  # fmt: skip
    anywhere = {"name": "Any", "timeZone": "UTC", "officeHours": hours, "channels": []}
    return {"rules": {"room-too-warm": {"meaning": "Too warm.", "runbook": "r"}}, "cities": named | {"*": anywhere}}


def main(cities: int, alerts: int) -> None:
    """Print CPU seconds, wall seconds and how many alerts the inbox has, as JSON."""
    from processors.alert_fanout.fan_out import FanOut
    from processors.alert_fanout.settings import fanout_settings_of
    from processors.alert_fanout.state import SqliteTexts, State

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder) / "inbox.sqlite"
        state = State(SqliteTexts(Path(folder) / "state.sqlite"))
        fan_out = FanOut(fanout_settings_of(settings(cities, inbox, server.server_port)), state)
        cpu, wall = time.process_time(), time.monotonic()
        rows = [row(number, f"city-{number % cities}") for number in range(alerts)]
        for first in range(0, alerts, BATCH):
            fan_out.handle(["\n".join(rows[first : first + BATCH]).encode()])
        told = 0
        while told < alerts and time.monotonic() - wall < GIVE_UP_SECONDS:
            fan_out.tend()
            time.sleep(TEND_SECONDS)
            with sqlite3.connect(inbox) as database:
                (told,) = database.execute("SELECT count(*) FROM inbox WHERE rule_id = 'room-too-warm'").fetchone()
        spent = {"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall, "told": told}
        fan_out.close()
    print(json.dumps(spent))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
