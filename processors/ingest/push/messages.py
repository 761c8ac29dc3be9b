"""The messages of an integration's queue, read with the tolerance of every other record: only what is broken is put aside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from processors.ingest.metrics import CLOCK_SKEW
from processors.ingest.records import BadRecord, kind_of
from processors.timestamps import parse_time

ENDPOINT = "/integration/queue"
"""What the queue is called where requests and records are named by their endpoint."""
MOST_PATHS = 1000
"""More statuses than any device has that we are subscribed to."""


class StatusMessage(NamedTuple):
    """What a device reports at a moment: values by path, and paths that are no more. `is_full`: what it doesn't name is no
    more."""

    device_id: str
    workspace_id: str | None
    time: datetime
    updated: Mapping[str, Any]
    removed: tuple[str, ...]
    is_full: bool


class OtherMessage(NamedTuple):
    """Any other message by its type; `jwt` is what an action is signed in."""

    kind: str
    jwt: str | None


def read_message(item: object, now: datetime) -> StatusMessage | OtherMessage:
    """A message from its JSON; raises BadRecord."""
    if not isinstance(item, Mapping):
        raise BadRecord(f"the message is {kind_of(item)}")
    kind = item.get("type")
    if not isinstance(kind, str) or not kind:
        raise BadRecord("the message has no type")
    if kind != "status":
        token = item.get("jwt")
        return OtherMessage(kind, token if isinstance(token, str) else None)
    return _status(item, now)


def _status(item: Mapping[str, Any], now: datetime) -> StatusMessage:
    device_id, workspace_id, changes = (item.get(name) for name in ("deviceId", "workspaceId", "changes"))
    if not isinstance(device_id, str) or not device_id:
        raise BadRecord("the message has no deviceId")
    if not isinstance(changes, Mapping):
        raise BadRecord(f"changes is {kind_of(changes)}")
    updated, removed = changes.get("updated") or {}, changes.get("removed") or []
    if not isinstance(updated, Mapping) or len(updated) > MOST_PATHS:
        raise BadRecord(f"changes.updated is {kind_of(updated)}")
    if not isinstance(removed, list):
        raise BadRecord(f"changes.removed is {kind_of(removed)}")
    gone = tuple(path for path in removed[:MOST_PATHS] if isinstance(path, str))
    room = workspace_id if isinstance(workspace_id, str) and workspace_id else None
    return StatusMessage(device_id, room, _time(item, now), updated, gone, item.get("isFullSync") is True)


def _time(item: Mapping[str, Any], now: datetime) -> datetime:
    time = parse_time(item.get("timestamp"))
    if time is None:
        raise BadRecord(f"timestamp is {kind_of(item.get('timestamp'))} that is not a time")
    if time > now + CLOCK_SKEW:
        raise BadRecord("timestamp lies in the future")
    return time
