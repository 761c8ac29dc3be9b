"""What time it is, for every processor: real time, unless a host that runs on simulated time says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

TimeSource = Callable[[], datetime]


def _real_time() -> datetime:
    return datetime.now(UTC)


_source: TimeSource = _real_time


def utc_now() -> datetime:
    """The current time, timezone-aware UTC."""
    return _source()


def use(source: TimeSource | None) -> None:
    """Take the time from `source` (it must give timezone-aware UTC) from now on; None goes back to real time."""
    global _source
    _source = source or _real_time
