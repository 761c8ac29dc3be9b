"""CloudEvents 1.0 in structured JSON, ready to send, with ids made from their content.

An id is the first 32 hex digits of SHA-256 over the canonical JSON (sorted keys, no spaces, ASCII) of the event's type, time and
data: what is sent twice has the same id twice, and consumers drop the second.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

OBSERVATION_TYPE = "roompulse.observation.v1"
QUARANTINED_TYPE = "roompulse.quarantined.v1"

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class Event(NamedTuple):
    """A CloudEvent to send: its subject (events of one subject stay in order) and its body."""

    subject: str
    body: bytes


def sealed(event_type: str, subject: str, time: str, data: dict[str, Any]) -> Event:
    """The event of this content; `data` must hold JSON values only (no NaN)."""
    data_text = _canonical(data)
    time_text = _canonical(time)
    # Sorted, {type, time, data} begins with the data: this is its canonical JSON without encoding the data a second time.
    content = f'{{"data":{data_text},"time":{time_text},"type":"{event_type}"}}'
    event_id = hashlib.sha256(content.encode()).hexdigest()[:32]
    body = (
        f'{{"specversion":"1.0","id":"{event_id}","source":"/roompulse/ingest","type":"{event_type}",'
        f'"subject":{_canonical(subject)},"time":{time_text},"datacontenttype":"application/json","data":{data_text}}}'
    )
    return Event(subject, body.encode())
