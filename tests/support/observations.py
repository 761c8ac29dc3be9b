"""Observations for tests of the stream query, as the ingest would send them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Observation = dict[str, Any]
START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def minute(number: float) -> str:
    """A time some minutes after the start of every scenario."""
    return (START + timedelta(minutes=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rule(
    name: str = "device-offline", threshold: float = 1, for_seconds: int = 300, op: str = ">=", severity: int = 2
) -> dict[str, Any]:
    """A rule as it rides with a signal."""
    return {"id": name, "severity": severity, "op": op, "threshold": threshold, "forSeconds": for_seconds}


def signal(value: float, rules: Sequence[dict[str, Any]] = (), name: str = "offline", **more: Any) -> dict[str, Any]:
    """A signal with its rules."""
    return {"name": name, "value": value, **more, "rules": list(rules)}


def observation(time: str, signals: Sequence[dict[str, Any]], entity_id: str = "room-bar-1", **data: Any) -> Observation:
    """An observation of a device; its id follows from its content."""
    content = {
        "cityId": "lyon", "locationId": "loc-1", "locationName": "Lyon Part-Dieu", "entity": "device", "entityId": entity_id,
        "name": "Rhône", "product": "Room Bar", "reason": "unhealthy", "connectionStatus": "connected", "errorCodes": [],
        "pollId": time, "partial": False, "signals": list(signals), **data,
    }  # fmt: skip
    identity = hashlib.sha256(json.dumps([time, content], sort_keys=True).encode()).hexdigest()[:32]
    return {
        "specversion": "1.0", "id": identity, "source": "/roompulse/ingest", "type": "roompulse.observation.v1",
        "subject": entity_id, "time": time, "datacontenttype": "application/json", "data": content,
    }  # fmt: skip


def offline_series(states: str, rules: Sequence[dict[str, Any]] = (rule(),), entity_id: str = "room-bar-1") -> list[Observation]:
    """A device minute by minute: `u` up, `d` down, `_` nothing heard."""
    return [
        observation(minute(number), [signal(int(state == "d"), rules)], entity_id)
        for number, state in enumerate(states)
        if state != "_"
    ]
