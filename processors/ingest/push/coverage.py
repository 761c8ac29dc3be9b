"""Which rooms report by themselves now, so that polling need not ask them; and whether anything is reported at all.

A silent integration and a quiet estate look the same from here: no message comes. So polling takes over as soon as it is quiet,
which costs requests and nothing else, and what it reads then distinguishes the two: a reading that differs from what was pushed
last should have been pushed. Silence is also what lasts far longer than messages have been apart before, and a queue that can't
be polled.

| state | when | polling | said |
|---|---|---|---|
| off | nobody listens: not activated, or no city has it on | asks everything | no |
| live | a message came within 45 s | asks a sample of what is covered | no |
| quiet | none did | asks everything | no |
| silent | and that can't be the estate; or the queue can't be polled | asks everything | log, signal `pushSilent` |
"""

from __future__ import annotations

import logging
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from processors.contracts.signals import signal_of

State = Literal["off", "live", "quiet", "silent"]
Pair = tuple[str, str]
"""A workspace and a metric, as watermarks are kept for."""

QUIET_SECONDS = 45.0
"""Real time without a message after which polling takes over."""
UNANSWERED_SECONDS = 30.0
"""Real time in which the queue could not be polled after which it is silent."""
GAPS = 100
"""So many gaps between messages are remembered."""
FEWEST_GAPS = 20
PATIENCE_GAPS = 20
"""A silence so many times as long as messages were apart on the mean does not come from a quiet estate."""
PATIENCE_SECONDS = 1800.0
"""The same where not enough has come to know how far apart messages are."""
TIME_TO_ARRIVE = timedelta(seconds=30)
"""How late a message comes as a rule; so much newer must a polled reading be than the pushed one to contradict it."""
MAY_BE_IN_HAND = timedelta(minutes=10)
"""How late a message may come after newer ones of its sensor, and still be polled when the process ends with it in hand:
watermarks stay so far behind what is pushed. After a start two or three readings of a sensor are polled again for it, under the
same ids.
"""

log = logging.getLogger("roompulse.ingest.push")


class Coverage:
    """What has been said since listening began, or began anew. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds of real time."""
        self._clock = clock
        self._lock = threading.RLock()
        self._state: State = "off"
        self._cause = ""
        self._reported: dict[Pair, tuple[datetime, float]] = {}
        self._first_reported: dict[Pair, datetime] = {}
        self._moments: dict[Pair, array[int]] = {}
        self._devices: set[str] = set()
        self._continuous: set[Pair] = set()
        self._gaps: deque[float] = deque(maxlen=GAPS)
        self._heard_at = clock()
        self._failing_since: float | None = None
        self._contradicted = False

    @property
    def cause(self) -> str:
        """Why nothing is heard, as far as that is known."""
        return self._cause

    @property
    def rooms(self) -> int:
        """How many rooms have reported something."""
        with self._lock:
            return len({workspace for workspace, _ in self._reported})

    def begin(self) -> None:
        """Listening begins anew: what was reported before may have a gap after it."""
        with self._lock:
            self._forget()
            self._heard_at, self._failing_since = self._clock(), None
            self._turn("live" if self._state == "off" else self._state, "")

    def end(self, cause: str) -> None:
        """Nobody listens any more."""
        with self._lock:
            self._forget()
            self._turn("off", cause)

    def answered(self) -> None:
        """The queue has answered, with messages or without."""
        with self._lock:
            self._failing_since = None

    def lost(self) -> None:
        """Something was handed out that nobody has: what was reported before has a gap after it."""
        with self._lock:
            self._forget()

    def failed(self, cause: str) -> None:
        """The queue could not be polled."""
        with self._lock:
            self._cause = cause
            if self._failing_since is None:
                self._failing_since = self._clock()
            self.look()

    def heard(self) -> None:
        """Devices have reported something just now."""
        with self._lock:
            now = self._clock()
            if self._state in ("live", "quiet"):
                self._gaps.append(now - self._heard_at)
            self._heard_at, self._contradicted = now, False
            if self._state != "off":
                self._turn("live", "")

    def reported(self, device_id: str, readings: dict[Pair, tuple[datetime, float]]) -> None:
        """A device has reported something, with these readings; returned and sent before this is called."""
        with self._lock:
            self._devices.add(device_id)
            for pair, reading in readings.items():
                self._reported[pair] = max(reading, self._reported.get(pair, reading))
                self._first_reported[pair] = min(reading[0], self._first_reported.get(pair, reading[0]))
                self._moments.setdefault(pair, array("q")).append(_milliseconds(reading[0]))
                if pair in self._continuous:
                    self._forget_old_moments(pair)

    def look(self) -> State:
        """The state as it is now; what has changed is said once."""
        with self._lock:
            now = self._clock()
            if self._state != "off":
                self._turn(self._state_at(now), self._cause)
            return self._state

    def covers(self, pair: Pair) -> bool:
        """Whether a sensor's readings are reported without being asked for."""
        with self._lock:
            return pair in self._reported and self.look() == "live"

    def has_reported(self, pair: Pair, moment: datetime) -> bool:
        """Whether what a sensor read at this very moment was pushed to this process, as far back as polling may ask for it.

        That it lies between two readings that were says nothing: a message may be lost, and one from before may come late.
        """
        with self._lock:
            return _milliseconds(moment) in self._moments.get(pair, ())

    def covers_device(self, device_id: str) -> bool:
        """Whether a device says how it is without being asked."""
        with self._lock:
            return device_id in self._devices and self.look() == "live"

    def is_continuous(self, pair: Pair) -> bool:
        """Whether nothing can be missing between what was polled last and what is pushed."""
        with self._lock:
            return pair in self._continuous

    def polled(self, pair: Pair, newest: tuple[datetime, float] | None, read_to: datetime | None = None) -> None:
        """A sensor was asked all the same, and what it said is sent and remembered: `newest` is its newest reading after what was
        known, `read_to` how far it was known before.

        Only an answer that has come as far as the first reading that was pushed shows what lies before that.
        """
        with self._lock:
            if pair not in self._reported:
                return
            known_to = newest[0] if newest else read_to
            if known_to is not None and known_to >= self._first_reported[pair]:
                self._continuous.add(pair)
                self._forget_old_moments(pair)
            if newest is not None and self._contradicts(pair, *newest):
                self._contradicted = True

    def _forget_old_moments(self, pair: Pair) -> None:
        """Of a sensor without a gap nobody asks for what is older than watermarks are."""
        oldest = _milliseconds(self._reported[pair][0] - MAY_BE_IN_HAND)
        self._moments[pair] = array("q", (moment for moment in self._moments[pair] if moment >= oldest))

    def _contradicts(self, pair: Pair, moment: datetime, value: float) -> bool:
        reported_at, reported = self._reported[pair]
        signal = signal_of(pair[1])
        digits = signal.digits if signal else 0
        return moment > reported_at + TIME_TO_ARRIVE and round(value, digits) != round(reported, digits)

    def _state_at(self, now: float) -> State:
        if self._failing_since is not None and now - self._failing_since > UNANSWERED_SECONDS:
            return "silent"
        quiet_for = now - self._heard_at
        if quiet_for <= QUIET_SECONDS:
            return "live" if self._state != "silent" else "silent"
        return "silent" if self._state == "silent" or self._contradicted or self._is_unlikely(quiet_for) else "quiet"

    def _is_unlikely(self, seconds: float) -> bool:
        """Whether nothing has come for far longer than things have been apart."""
        if len(self._gaps) < FEWEST_GAPS:
            return seconds > PATIENCE_SECONDS
        return seconds > PATIENCE_GAPS * sum(self._gaps) / len(self._gaps)

    def _turn(self, state: State, cause: str) -> None:
        before, self._state, self._cause = self._state, state, cause
        if state == "silent" and before != "silent":
            self._forget()
            text = "Webex pushes nothing that rooms measure any more: they are polled until it does"
            log.warning(text, extra={"ids": {"cause": cause or "no message comes, though there would be some"}})
        elif before == "silent" and state == "live":
            log.info("Webex pushes what rooms measure again", extra={"ids": {}})

    def _forget(self) -> None:
        self._reported.clear()
        self._first_reported.clear()
        self._devices.clear()
        self._continuous.clear()
        self._contradicted = False


def _milliseconds(moment: datetime) -> int:
    """A day's moments of 20,000 rooms have to fit into memory."""
    return round(moment.timestamp() * 1000)
