"""A token bucket: how many requests may be made, and when, so that a busy poll stays within what Webex bears.

Webex publishes no limit for its device endpoints: it says 429 instead. So the rate is halved when that happens, and comes back by
a tenth of the full rate a minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

RECOVERY_PER_MINUTE = 0.1
"""Share of the full rate that comes back in a minute."""
SLOWEST_SHARE = 0.1
"""Share of the full rate that is never gone below: a client that waits minutes between requests would learn nothing."""


class RequestRates(NamedTuple):
    """How fast Webex is asked: requests per second and at once; those to devices (xAPI) per second; how many questions of a slow
    tier are in flight at once.

    Assumed: Webex publishes no limits for these endpoints.
    """

    per_second: float = 4.0
    burst: float = 8.0
    xapi_per_second: float = 2.0
    in_flight: int = 5


CAUTIOUS = RequestRates()


class TokenBucket:
    """At most `burst` requests at once, and `per_second` on average. Thread-safe."""

    def __init__(self, per_second: float, burst: float, now: Callable[[], float] = time.monotonic) -> None:
        """`now` is a clock in seconds that never goes back."""
        self._full_rate = max(per_second, 1e-6)
        self._burst = max(1.0, burst)
        self._now = now
        self._lock = threading.Lock()
        self._tokens = self._burst
        self._counted_at = now()
        self._slow_rate = per_second
        self._slowed_at = self._counted_at

    @property
    def rate(self) -> float:
        """Requests per second as of now."""
        recovered = self._full_rate * RECOVERY_PER_MINUTE * (self._now() - self._slowed_at) / 60
        return min(self._full_rate, self._slow_rate + max(0.0, recovered))

    def within(self, seconds: float) -> int:
        """How many requests can be made within so many seconds from now; none when that time is over."""
        with self._lock:
            self._refill()
            return max(0, int(self._tokens + self.rate * seconds)) if seconds > 0 else 0

    def reserve(self, longest: float) -> float | None:
        """Take a request's turn: seconds until it comes. None, and nothing taken, when that is longer than `longest`."""
        with self._lock:
            self._refill()
            wait = max(0.0, (1 - self._tokens) / self.rate + max(0.0, self._counted_at - self._now()))
            if wait > longest:
                return None
            self._tokens -= 1
            return wait

    def slow_down(self, pause: float) -> None:
        """Halve the rate, and let nobody go for `pause` seconds, nor all at once after it."""
        with self._lock:
            self._refill()
            self._slow_rate = max(self._full_rate * SLOWEST_SHARE, self.rate / 2)
            self._slowed_at = self._now()
            self._tokens = min(self._tokens, 1.0)
            self._counted_at = max(self._counted_at, self._now() + pause)

    def _refill(self) -> None:
        """Add what has come since the last look; during a pause nothing comes."""
        now = self._now()
        if now > self._counted_at:
            self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self.rate)
            self._counted_at = now
