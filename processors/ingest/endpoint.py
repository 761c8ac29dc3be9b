"""What one endpoint of Webex bears: its own pause and its own rate, so that no endpoint waits for the trouble of another.

Webex limits by resource, as far as can be seen from outside. So a 429 stops and slows the endpoint that gave it, and no other.
All of them together keep to one rate besides, which is a guess at what the organisation may ask for: only `/devices`, which
matters most, slows that one down. Anything less would let a sensor that is throttled delay the sight of an outage.
"""

from __future__ import annotations

import threading
import time
from urllib.parse import quote

from processors.ingest.token_bucket import RequestRates, TokenBucket

DEVICES, WORKSPACES, LOCATIONS = "/devices", "/workspaces", "/locations"
ROOM_STATUS, METRICS, DURATIONS = "/xapi/status", "/workspaceMetrics", "/workspaceDurationMetrics"
UNRESOLVED_INCIDENTS = "/unresolved-incidents.json"
"""Of Webex's status page, which is another host than the API."""
_FLOORS = "/floors"


def floors_at(location_id: str) -> str:
    """The path of the floors of a location."""
    return f"{LOCATIONS}/{quote(location_id, safe='')}{_FLOORS}"


class Endpoint:
    """The pause and the bucket of an endpoint, beside the bucket that the whole client shares. Thread-safe."""

    def __init__(self, own: TokenBucket, shared: TokenBucket, sets_the_pace: bool = False) -> None:
        """`sets_the_pace`: what it can't bear slows the whole client down."""
        self.buckets = own, shared
        self._sets_the_pace = sets_the_pace
        self._paused_until = 0.0
        self._lock = threading.Lock()

    @property
    def rate(self) -> float:
        """Requests per second as of now."""
        return min(bucket.rate for bucket in self.buckets)

    def pause_left(self) -> float:
        """Seconds until it may be asked again; 0 when it may be now."""
        return max(0.0, self._paused_until - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Leave it alone, and ask slower after it. Answers to what was sent before a pause began don't slow it once more."""
        own, shared = self.buckets
        with self._lock:
            now = time.monotonic()
            if now >= self._paused_until:
                own.slow_down(seconds)
                if self._sets_the_pace:
                    shared.slow_down(0)
            self._paused_until = max(self._paused_until, now + seconds)

    def within(self, seconds: float) -> int:
        """How many requests can be made to it within so many seconds from now."""
        return min(bucket.within(seconds - self.pause_left()) for bucket in self.buckets)


class Endpoints:
    """The endpoints of a client by their path."""

    def __init__(self, rates: RequestRates) -> None:
        self._rates = rates
        self._shared = TokenBucket(rates.per_second, rates.burst)
        own = TokenBucket(rates.xapi_per_second, rates.in_flight)
        self._by_path = {ROOM_STATUS: Endpoint(own, self._shared)}
        self._lock = threading.Lock()

    def of(self, path: str) -> Endpoint:
        """The endpoint with this path: one for the floors of all locations, whose paths bear their ids."""
        if path.startswith(LOCATIONS) and path.endswith(_FLOORS):
            path = LOCATIONS + _FLOORS
        with self._lock:
            if path not in self._by_path:
                own = TokenBucket(self._rates.per_second, self._rates.burst)
                self._by_path[path] = Endpoint(own, self._shared, sets_the_pace=path == DEVICES)
            return self._by_path[path]

    def within(self, seconds: float) -> int:
        """How many requests can be made in all within so many seconds from now, if none of their endpoints is paused."""
        return self._shared.within(seconds)
