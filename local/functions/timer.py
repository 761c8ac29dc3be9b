"""The timer trigger: a function runs at the times of its schedule, on the run's clock, never twice at once."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime

from azure.functions.timer import TimerRequest

from local.clock import SimulatedClock
from local.functions.app import TimerTrigger
from local.functions.invocations import Invoker

LOOK_SECONDS = 1.0
"""Real seconds after which a sleeping timer looks at the clock again."""


class TimerLoop:
    """Runs one function on its timer. The first run is at the start; a time that passes during a run is left out, as on Azure."""

    def __init__(self, invoker: Invoker, trigger: TimerTrigger, clock: SimulatedClock, stopping: asyncio.Event) -> None:
        self.missed = 0
        self._invoker = invoker
        self._schedule = trigger.schedule
        self._clock = clock
        self._stopping = stopping

    async def run(self) -> None:
        """Run the function again and again until the host stops."""
        due, past_due = self._clock.now(), False
        while not self._stopping.is_set():
            await self._invoker.invoke(TimerRequest(past_due=past_due))
            due = await self._sleep_until(self._next_after(min(due, self._clock.now())))
            past_due = self._schedule.after(due) <= self._clock.now()

    def _next_after(self, due: datetime) -> datetime:
        """The next time that is not over yet; those that are over count as missed."""
        following = self._schedule.after(due)
        while following <= self._clock.now():
            self.missed += 1
            following = self._schedule.after(following)
        return following

    async def _sleep_until(self, due: datetime) -> datetime:
        """Sleep; never wake early, for a poll a moment early would belong to the slot before. Gives the time it slept until.

        The clock is looked at now and then: a machine that sleeps stops the time we wait by, and a clock that was set back would
        have us wait until it has caught up.
        """
        before = self._clock.now()
        while not self._stopping.is_set() and (left := (due - self._clock.now()).total_seconds()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(self._clock.real_seconds(left), LOOK_SECONDS))
            if self._clock.now() < before:
                due = min(due, self._schedule.after(self._clock.now()))
            before = self._clock.now()
        return due
