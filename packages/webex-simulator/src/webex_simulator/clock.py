"""What time it is in the simulated organisation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """`seconds()` since the Unix epoch, which pass `speed` times as fast as on people's watches. By default the real time."""

    seconds: Callable[[], float] = time.time
    speed: float = 1.0

    @classmethod
    def from_now(cls, speed: float) -> Clock:
        """A clock that shows the real time now, and passes `speed` times as fast from here on."""
        origin = time.time()
        return cls(lambda: origin + (time.time() - origin) * speed, speed)
