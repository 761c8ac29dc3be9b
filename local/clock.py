"""The clock every local part shares, so that simulated time can run faster than real time.

One definition (two origins and a speed) is handed to every process; each computes the same "now" without talking to the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class SimulatedClock:
    """Time that passed `speed` times as fast as real time since `real_origin`, when it stood at `simulated_origin`.

    Both origins are seconds since the Unix epoch. With speed 1 and equal origins it is the ordinary UTC clock.
    """

    real_origin: float
    simulated_origin: float
    speed: float = 1.0
    real_time: Callable[[], float] = time.time

    def seconds(self) -> float:
        """Simulated seconds since the Unix epoch."""
        return self.simulated_origin + (self.real_time() - self.real_origin) * self.speed

    @property
    def seconds_ahead(self) -> float:
        """How far it is ahead of real time, where an earlier, faster run has left it or this one has come; negative behind it."""
        return self.seconds() - self.real_time()

    def set_back(self) -> Callable[[], float]:
        """A function that says by how many seconds the machine's clock stands behind the latest it was asked at."""
        latest = self.real_time()

        def behind() -> float:
            nonlocal latest
            latest = max(latest, self.real_time())
            return latest - self.real_time()

        return behind

    def now(self) -> datetime:
        """Simulated time, timezone-aware UTC."""
        return datetime.fromtimestamp(self.seconds(), UTC)

    def real_seconds(self, simulated_seconds: float) -> float:
        """How many real seconds it takes for `simulated_seconds` to pass."""
        return simulated_seconds / self.speed
