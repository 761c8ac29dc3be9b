"""The timer trigger: first at once, then at the times of the schedule on the simulated clock, never twice at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path

import pytest
from azure.functions.timer import TimerRequest

from local.clock import SimulatedClock
from local.functions import timer as timer_module
from local.functions.app import Function, TimerTrigger
from local.functions.invocations import Invoker
from local.functions.schedule import Schedule
from local.functions.timer import TimerLoop
from local.part import Part
from local.run_settings import RunSettings

FAST = SimulatedClock(time.time(), 1_700_000_000.0, speed=50.0)
"""Five simulated seconds pass in a tenth of a second."""


class Runs:
    """A function on a timer, and how it was called."""

    def __init__(self, folder: Path, clock: SimulatedClock, act: Callable[[Runs], None]) -> None:
        self.clock = clock
        self.act = act
        self.began: list[datetime] = []
        self.past_due: list[bool] = []
        self.at_once = 0
        self._lock = threading.Lock()
        self.stopping = asyncio.Event()
        part = Part("functions", RunSettings(data_dir=folder, stack="test", cities=(), clock=clock))
        trigger = TimerTrigger(Schedule("*/5 * * * * *"))
        self.invoker = Invoker(Function("poll", self.poll, "timer", trigger), part)
        self.timer = TimerLoop(self.invoker, trigger, clock, self.stopping)

    def poll(self, timer: TimerRequest) -> None:
        assert self._lock.acquire(blocking=False), "two runs at once"
        try:
            self.began.append(self.clock.now())
            self.past_due.append(timer.past_due)
            self.act(self)
        finally:
            self._lock.release()

    async def until(self, count: int) -> None:
        while len(self.began) < count:
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(folder: Path, clock: SimulatedClock, act: Callable[[Runs], None] = lambda runs: None) -> AsyncIterator[Runs]:
    runs = Runs(folder, clock, act)
    task = asyncio.create_task(runs.timer.run())
    async with asyncio.timeout(20):
        yield runs
        runs.stopping.set()
        await task


def slot(moment: datetime) -> int:
    return int(moment.timestamp() // 5)


async def test_the_first_run_is_at_once_and_the_others_each_in_a_slot_of_their_own(tmp_path: Path) -> None:
    async with running(tmp_path, FAST) as runs:
        await runs.until(8)
    slots = [slot(moment) for moment in runs.began[1:]]
    assert all(later > earlier for earlier, later in itertools.pairwise(slots))
    assert runs.past_due[0] is False


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, 8 * 3600.0], ids=["set back", "set forward", "slept a night"])
async def test_a_clock_that_jumps_stops_no_timer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    """The next run comes at the next time of the clock as it stands then, and not when it has caught up."""
    monkeypatch.setattr(timer_module, "LOOK_SECONDS", 0.02)
    jumped = [0.0]
    clock = SimulatedClock(time.time(), 1_700_000_000.0, 50.0, real_time=lambda: time.time() + jumped[0] / 50)
    async with running(tmp_path, clock) as runs:
        await runs.until(2)
        before = clock.now()
        jumped[0] = jump
        await runs.until(5)
        assert (runs.began[-1] < before) == (jump < 0)
        assert (runs.timer.missed >= 700) == (jump > 0)


async def test_a_machine_that_wakes_runs_what_is_due_without_sleeping_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it waits by stood still while the machine slept: the hour until the next time would only begin now."""
    monkeypatch.setattr(timer_module, "LOOK_SECONDS", 0.02)
    slept, speed = [0.0], 0.01  # slow, or the five seconds until the next time would pass unnoticed
    clock = SimulatedClock(0.0, 1_700_000_000.0, speed, real_time=lambda: slept[0])
    async with running(tmp_path, clock) as runs:
        await runs.until(1)
        slept[0] = 8 * 3600.0 / speed
        await runs.until(2)
    assert runs.past_due == [False, True] and runs.timer.missed == 5759


async def test_a_run_that_takes_long_is_not_joined_by_another_and_what_it_misses_is_counted(tmp_path: Path) -> None:
    async with running(tmp_path, FAST, lambda runs: time.sleep(0.25)) as runs:
        await runs.until(4)
    assert runs.timer.missed >= 3
    assert runs.invoker.invocations == len(runs.began)


async def test_a_run_that_begins_after_its_successor_was_due_is_past_due(tmp_path: Path) -> None:
    """The machine slept: the clock jumps a minute while the timer waits."""
    jump = 0.0
    clock = SimulatedClock(time.time(), 1_700_000_000.0, speed=50.0, real_time=lambda: time.time() + jump)
    async with running(tmp_path, clock) as runs:
        await runs.until(3)
        jump = 60.0
        begun = len(runs.began)
        await runs.until(begun + 2)
    assert True in runs.past_due[begun : begun + 2]
    assert runs.timer.missed >= 100
    assert runs.past_due[0] is False


async def test_a_failing_run_is_followed_by_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail_twice(runs: Runs) -> None:
        if len(runs.began) <= 2:
            raise RuntimeError("Webex is on fire")

    async with running(tmp_path, FAST, fail_twice) as runs:
        await runs.until(4)
    assert runs.invoker.failures == 2
    said = capsys.readouterr().out
    assert "poll failed: Webex is on fire" in said
    assert "poll works again" in said


async def test_a_stop_while_it_waits_ends_it_at_once(tmp_path: Path) -> None:
    slow = SimulatedClock(time.time(), 1_700_000_000.0, speed=0.001)
    async with running(tmp_path, slow) as runs:
        await runs.until(1)
    assert len(runs.began) == 1
