"""Records that could not be understood: counted at every poll, sent to the hub `deadletter` once between two snapshots.

The same broken record is listed by Webex at every poll; sending it every time would bury the next new one.
"""

from __future__ import annotations

import hashlib
import json

from processors.ingest.cloud_events import QUARANTINED_TYPE, Event, sealed
from processors.ingest.sinks import DEADLETTER, Sink

RECORD_LIMIT = 8192
"""Longest text of a record in its event, in characters (they are ASCII)."""


class Quarantine:
    """Collects bad records of a poll and sends them."""

    def __init__(self) -> None:
        self.count = 0
        self._pending: dict[str, Event] = {}
        self._sent: set[str] = set()

    def begin_poll(self, snapshot: bool) -> None:
        """Start counting anew; at a snapshot everything still bad is sent again."""
        self.count = 0
        self._pending.clear()
        if snapshot:
            self._sent.clear()

    def put(self, reason: str, record: object, poll_id: str, endpoint: str | None, tracking_id: str | None) -> None:
        """Count a record and keep it for sending, unless it was sent since the last snapshot."""
        self.count += 1
        text = json.dumps(record)
        digest = hashlib.sha256(f"{reason}|{text}".encode()).hexdigest()
        if digest in self._sent:
            return
        data = {"reason": reason, "stage": "ingest", "pollId": poll_id, "record": text[:RECORD_LIMIT]}
        if endpoint:
            data["endpoint"] = endpoint
        if tracking_id:
            data["trackingId"] = tracking_id
        self._pending[digest] = sealed(QUARANTINED_TYPE, endpoint or "observation", poll_id, data)

    def send(self, sink: Sink) -> None:
        """Send what is kept. Raises SendError."""
        if self._pending:
            sink.send(list(self._pending.values()), DEADLETTER)
            self._sent.update(self._pending)
            self._pending.clear()
