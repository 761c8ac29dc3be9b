"""Records that could not be understood: counted at every poll, sent to the hub `deadletter` once between two snapshots.

The same broken record is listed by Webex at every poll; sending it every time would bury the next new one. It is the same when
what is wrong with it is, whatever else has moved meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from processors.ingest.cloud_events import QUARANTINED_TYPE, Event, sealed
from processors.ingest.sinks import DEADLETTER, Sink
from processors.timestamps import parse_time

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

    def put(
        self, reason: str, record: object, poll_id: str, endpoint: str | None, tracking_id: str | None, about: str | None = None
    ) -> None:
        """Count a record and keep it for sending, unless it was sent since the last snapshot.

        `about`: the id of what it describes, where the record itself does not show that.
        """
        self.count += 1
        text = _text_of(record)
        digest = hashlib.sha256(f"{endpoint}|{reason}|{about or _identity(record)}".encode()).hexdigest()
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


def _text_of(record: object) -> str:
    """A record as JSON in ASCII; one that is nested too deeply for that can only be named."""
    try:
        return json.dumps(record)
    except RecursionError:
        return json.dumps("a record nested too deeply to be shown")


def _identity(record: object) -> str:
    """What makes a record the same at the next poll: its id, else all of it but the times, which move."""
    if not isinstance(record, Mapping):
        return _text_of(record)
    if isinstance(record.get("id"), str) and record["id"]:
        return _text_of(record["id"])
    return _text_of({name: value for name, value in record.items() if parse_time(value) is None})
