"""The observations that every engine is given: devices minute by minute, each with three signals and three rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

MINUTES, DEVICES = 24, 10_000
START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def make_observations(folder: Path) -> list[Path]:
    """A file of JSON lines for each minute, in order of time; none lies on a full minute, where engines differ about the
    window's side."""
    files = [folder / f"{minute:03d}.json" for minute in range(MINUTES)]
    for minute, path in enumerate(files):
        with path.open("w", encoding="utf-8") as file:
            for device in range(DEVICES):
                file.write(json.dumps(_observation(minute, device), separators=(",", ":")) + "\n")
    return files


def _observation(minute: int, device: int) -> dict[str, Any]:
    moment = START + timedelta(minutes=minute, milliseconds=device * 2 + 1)
    time_text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    down = (device * 7919 + minute // 6) % 33 == 0

    def rule(name: str, threshold: float, seconds: int) -> dict[str, Any]:
        return {"id": name, "severity": 2, "op": ">=", "threshold": threshold, "forSeconds": seconds}

    warmth = 20 + (device * 31 + minute * 17) % 140 / 10
    signals = [
        {"name": "offline", "value": int(down), "since": time_text, "rules": [rule("device-offline", 1, 300)]},
        {"name": "temperature", "value": warmth, "rules": [rule("room-too-warm", 28, 600), rule("room-hot", 32, 60)]},
        {"name": "peopleCount", "value": 3, "rules": []},
    ]
    data = {
        "cityId": f"city{device % 10}", "locationId": f"location{device % 40}", "locationName": f"Location {device % 40}",
        "workspaceId": f"workspace{device:05d}", "workspaceName": f"Room {device}", "entity": "device",
        "entityId": f"Y2lzY29zcGFyazovL3VzL0RFVklDRS8{device:06d}", "name": f"Room Bar {device}",
        "product": "Room Bar", "reason": "snapshot",
        "connectionStatus": "disconnected" if down else "connected", "statusSince": time_text, "errorCodes": [],
        "software": "RoomOS 11.9", "pollId": time_text, "partial": False, "signals": signals,
    }  # fmt: skip
    return {
        "specversion": "1.0", "id": f"{minute:08x}{device:024x}", "source": "/roompulse/ingest",
        "type": "roompulse.observation.v1", "subject": data["entityId"], "time": time_text,
        "datacontenttype": "application/json", "data": data,
    }  # fmt: skip
