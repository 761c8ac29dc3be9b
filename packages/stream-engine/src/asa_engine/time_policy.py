"""Event time: what happens to events that are early, late or out of order, and how far time has come (the watermark).

The rules are those of the service (Understand time handling in Azure Stream Analytics), per input partition. Only
System.Timestamp() is ever adjusted, never a field of the event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SECOND = 1_000_000
EARLY = 300 * SECOND
END = 2**62
"""Later than any time."""


@dataclass(frozen=True)
class TimePolicy:
    """The event ordering settings of a job, in microseconds; `late` None waits indefinitely, `drop` is the policy Drop."""

    late: int | None = 5 * SECOND
    out_of_order: int = 0
    drop: bool = False

    @classmethod
    def of_seconds(cls, late: float, out_of_order: float, action: str = "Adjust") -> TimePolicy:
        """The policy as a job's configuration writes it; a late tolerance of -1 waits indefinitely."""
        return cls(None if late < 0 else round(late * SECOND), round(out_of_order * SECOND), action.lower() == "drop")


@dataclass
class PartitionClock:
    """How far time has come in one input partition, in microseconds: the latest event time and the latest arrival."""

    event: int | None = None
    arrival: int | None = None
    disorder: int = 0
    """By how much an event was earlier than one before it, at most (microseconds)."""

    def saw_arrival(self, moment: int) -> None:
        """Nothing that arrived before `moment` is still to come."""
        self.arrival = moment if self.arrival is None else max(self.arrival, moment)

    def saw_event(self, moment: int) -> None:
        """An event with this time was accepted."""
        self.event = moment if self.event is None else max(self.event, moment)

    def watermark(self, policy: TimePolicy, per_key: bool = False) -> int | None:
        """No event with an earlier time can still come from this partition; None when nothing is known yet.

        With substreams (`per_key`) only the arrival counts: every key has a clock of its own.
        """
        known: list[int] = []
        if self.event is not None and (not per_key or self.arrival is None):
            known.append(self.event - policy.out_of_order)
        if self.arrival is not None and policy.late is not None:
            known.append(self.arrival - policy.late)
        return max(known) if known else None


def within_tolerance(events: np.ndarray, arrivals: np.ndarray | None, policy: TimePolicy) -> tuple[np.ndarray, np.ndarray]:
    """Early and late arrival: the adjusted times, and which events stay. Without arrival times nothing is early or late."""
    if arrivals is None:
        return events, np.ones(len(events), dtype=bool)
    stays = events <= arrivals + EARLY
    if policy.late is None:
        return events, stays
    earliest = arrivals - policy.late
    if policy.drop:
        stays &= events >= earliest
    return np.maximum(events, earliest), stays


def in_order(events: np.ndarray, clock: PartitionClock, policy: TimePolicy) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-order arrival within one partition: the adjusted times, and which events stay. Advances the clock."""
    if not len(events):
        return events, np.ones(0, dtype=bool)
    latest = np.maximum.accumulate(events)
    before = np.empty_like(events)
    before[0] = clock.event if clock.event is not None else np.iinfo(np.int64).min // 2
    np.maximum(latest[:-1], before[0], out=before[1:])
    watermarks = before - policy.out_of_order
    clock.disorder = max(clock.disorder, int((before - events).max()))
    stays = events >= watermarks if policy.drop else np.ones(len(events), dtype=bool)
    clock.saw_event(int(latest[-1]))
    return np.maximum(events, watermarks), stays
