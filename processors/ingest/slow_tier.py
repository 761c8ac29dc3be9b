"""A slow tier: questions of one request each to one endpoint, several in flight, each room's failure its own.

Who was asked longest ago comes first, and who was refused goes to the end of the queue, whatever the refusal was: a tier that
took a refused question back would ask it again as soon as a pause ends, and never another. What was not asked at all, because the
time or the requests of the poll were over, keeps its place.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from processors.ingest.endpoint import Endpoint
from processors.ingest.left_alone import Breaker, LeftAlone
from processors.ingest.webex_client import (
    Deadline,
    DeadlinePassed,
    NotPermitted,
    Throttled,
    TokenError,
    TurnsUsedUp,
    Unavailable,
    WebexError,
)
from processors.timestamps import format_time

CITY_FAILURES = 3
"""So many different rooms of a city have to fail in a row before the city is left alone."""
TIER_FAILURES = 10
"""The same for the whole tier."""
PATIENCE_INTERVALS = 2
"""A city or tier of which anybody answered within so many intervals is not left alone: some of its rooms are broken, no more."""

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class Run(Protocol):
    """What a tier needs of the poll that it is part of."""

    @property
    def slot(self) -> datetime:
        """Its time slot."""

    @property
    def deadline(self) -> Deadline:
        """By when the slow tiers have to be over."""

    @property
    def made(self) -> Counter[str]:
        """Its requests so far, by tier."""

    def fault(self, fault: WebexError) -> None:
        """Remember what could not be had; the poll does not become partial."""


@dataclass(frozen=True)
class Outcome(Generic[Item, Answer]):
    """What became of a question that was asked: its answer, or why there is none."""

    item: Item
    answer: Answer | WebexError


class SlowTier(Generic[Item, Key, Answer]):
    """Asks, and remembers as long as the process lives who is left alone."""

    def __init__(
        self,
        name: str,
        path: str,
        endpoint: Endpoint,
        ask: Callable[[Item, Deadline, datetime], Answer],
        key: Callable[[Item], Key],
        room: Callable[[Item], str],
        interval: timedelta,
        poll: timedelta,
    ) -> None:
        """`name`: as the figures call its requests. `ask`: one question, at the slot of a poll; `key`: what is asked, `room`: of
        whom. `interval`: how often each is asked at most; `poll`: the time between two polls."""
        self._name = name
        self._path = path
        self._endpoint = endpoint
        self._ask = ask
        self._key = key
        self._room = room
        self._interval = interval
        self._poll = poll
        self._left_alone: LeftAlone[Key] = LeftAlone(interval)
        self._whole = self._breaker(TIER_FAILURES)
        self._cities: dict[str, Breaker] = {}

    def barred(self, now: datetime) -> int:
        """How many rooms or sensors are left alone because Webex said not permitted, or not there."""
        return self._left_alone.barred(now)

    def forget_gone(self, is_there: Callable[[Key], bool]) -> None:
        """Forget rooms or sensors that are not there any more."""
        self._left_alone.forget_gone(is_there)

    def may_ask(self, key: Key, city_id: str, now: datetime) -> bool:
        """Whether neither the room or sensor, nor its city, nor the whole tier is left alone."""
        if self._whole.open_until(now) or self._left_alone.includes(key, now):
            return False
        return city_id not in self._cities or not self._cities[city_id].open_until(now)

    def outcomes(
        self, run: Run, due: Collection[tuple[Item, str]], threads: ThreadPoolExecutor, in_flight: int
    ) -> Iterator[Outcome[Item, Answer]]:
        """Ask for `due` (each with its city) in turn; ends early when the poll does. What was not asked is left out."""
        self._say_what_is_left_alone(run)
        queue = deque(due)
        flying: dict[Future[Answer], tuple[Item, str]] = {}
        throttled: dict[Key, Outcome[Item, Answer]] = {}
        over = False
        while True:
            while queue and not over and len(flying) < in_flight:
                item, city_id = queue.popleft()
                if self.may_ask(self._key(item), city_id, run.slot):
                    run.made[self._name] += 1
                    flying[threads.submit(self._ask, item, run.deadline, run.slot)] = item, city_id
            if not flying:
                break
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                item, city_id = flying.pop(future)
                key = self._key(item)
                try:
                    answer = future.result()
                except (DeadlinePassed, TokenError) as fault:
                    run.made[self._name] -= 1
                    over = True
                    if not isinstance(fault, TurnsUsedUp):
                        run.fault(fault)
                except Throttled as fault:
                    run.fault(fault)
                    if key not in throttled:
                        queue.append((item, city_id))
                    throttled[key] = Outcome(item, fault)
                except WebexError as fault:
                    throttled.pop(key, None)
                    run.fault(fault)
                    self._note(fault, item, city_id, run)
                    yield Outcome(item, fault)
                else:
                    throttled.pop(key, None)
                    self._left_alone.answered(key)
                    for breaker in (self._whole, self._of_city(city_id)):
                        breaker.answered(run.slot)
                    yield Outcome(item, answer)
        yield from throttled.values()

    def _note(self, fault: WebexError, item: Item, city_id: str, run: Run) -> None:
        """Leave alone what failed, and its city or the tier when it is not the only one."""
        if isinstance(fault, NotPermitted) and _is_about_the_room(fault):
            self._left_alone.refused(self._key(item), run.slot)
        elif isinstance(fault, NotPermitted | Unavailable):
            self._left_alone.failed(self._key(item), run.slot)
            for where, breaker in ((f"of city {city_id} ", self._of_city(city_id)), ("", self._whole)):
                breaker.failed(self._room(item), run.slot)
                self._say(run, where, breaker)

    def _say_what_is_left_alone(self, run: Run) -> None:
        pause = self._endpoint.pause_left()
        if pause > max(0.0, run.deadline.left()):
            run.fault(
                DeadlinePassed(f"GET {self._path}: Webex has asked (429 or 423) to be left alone for another {pause:.0f} s.")
            )
        self._say(run, "", self._whole)
        for city_id, breaker in self._cities.items():
            self._say(run, f"of city {city_id} ", breaker)

    def _say(self, run: Run, where: str, breaker: Breaker) -> None:
        until = breaker.open_until(run.slot)
        if until is not None:
            text = f"several rooms {where}in a row gave no proper answer; they are left alone until {format_time(until)}"
            run.fault(Unavailable(f"GET {self._path}: {text}, and then tried again."))

    def _of_city(self, city_id: str) -> Breaker:
        if city_id not in self._cities:
            self._cities[city_id] = self._breaker(CITY_FAILURES)
        return self._cities[city_id]

    def _breaker(self, threshold: int) -> Breaker:
        return Breaker(threshold, PATIENCE_INTERVALS * self._interval, self._poll)


def _is_about_the_room(fault: NotPermitted) -> bool:
    """Whether it was refused itself: neither our token, nor by a proxy or a sign-in page, which would refuse any other too."""
    return fault.status is not None and 400 <= fault.status < 500 and fault.status not in (401, 407)
