"""The header Retry-After, as services write it: seconds, or a date."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after(header: str | None, date: str | None = None) -> float | None:
    """Seconds to wait; below 0 for a date that has passed. None when the header is absent or rubbish.

    A date counts from `date`, the answer's own header, where that is at hand: clocks differ.
    """
    text = (header or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        until = http_date(text)
        return None if until is None else (until - (http_date(date) or datetime.now(UTC))).total_seconds()
    return seconds if not math.isnan(seconds) else None


def http_date(text: str | None) -> datetime | None:
    """The moment an HTTP date means; without a zone it is UTC. None when it is none."""
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
