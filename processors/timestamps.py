"""Times as they cross boundaries: ISO 8601 in UTC with milliseconds and a `Z`, everywhere alike, so that text sorts as time."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
"""A time within a text, as `format_time` writes it."""


def format_time(moment: datetime) -> str:
    """`moment` (timezone-aware) as the text every contract uses, such as 2026-11-23T15:41:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: object) -> datetime | None:
    """The moment an ISO 8601 text means, in UTC; None for anything that is not a complete time with an offset."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def slot_of(moment: datetime, seconds: float) -> datetime:
    """The start of the time slot of `seconds` length that `moment` falls into; slots are counted from the Unix epoch."""
    return datetime.fromtimestamp(math.floor(moment.timestamp() / seconds) * seconds, UTC)
