"""What a silent process does is seen from outside. The processes here are real, but for what can't be had on every machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from local.silence import Silence

SPINS = "while True: pass"


@contextmanager
def running(code: str) -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def seen(process: Any, seconds: float) -> Silence:
    silence, began = Silence(), time.monotonic()
    while time.monotonic() - began < seconds:
        silence.goes_on(process, 0.05)
        time.sleep(0.05)
    return silence


class Scripted:
    """A process with some status that has used so much of a processor at each look."""

    def __init__(self, status: str, used: float) -> None:
        self._status, self._used, self._looks = status, used, 0

    def status(self) -> str:
        return self._status

    def cpu_times(self) -> SimpleNamespace:
        self._looks += 1
        return SimpleNamespace(user=self._looks * self._used, system=0.0)


@pytest.mark.parametrize(
    ("status", "used", "does"),
    [
        ("running", 0.9, "it computes (9 s of a processor), and goes on by itself unless that never ends"),
        ("sleeping", 0.9, "it computes (9 s of a processor), and goes on by itself unless that never ends"),
        ("running", 0.02, "the machine is too busy (it had 0.2 s of a processor and waits for more), and it goes on by itself"),
        ("disk-sleep", 0.02, "it waits for its disk"),
        ("sleeping", 0.02, "it hangs: it neither computes nor waits for a processor"),
    ],
)
def test_what_it_does_is_said_by_what_it_did(status: str, used: float, does: str) -> None:
    silence, process = Silence(), Scripted(status, used)
    for _ in range(11):
        silence.goes_on(process, 1.0)  # type: ignore[arg-type]
    assert silence.described(7) == f"has said nothing for 11 s: {does}. `kill -9 7` starts it again; nothing is lost."


def test_a_process_that_others_leave_no_processor_is_not_taken_for_hung() -> None:
    """Both on one processor, one of them only where nobody else wants it."""
    pin = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    with running(f"{pin}{SPINS}"), running(f"{pin}os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n{SPINS}") as idle:
        time.sleep(0.5)
        assert "hangs" not in seen(idle, 1.5).described(1)


def test_a_stopped_process_is_said_to_be_stopped() -> None:
    with running(SPINS) as process:
        os.kill(process.pid, signal.SIGSTOP)
        assert "it is stopped. `kill -CONT 1` lets it go on" in seen(process, 0.5).described(1)


def test_a_process_that_is_gone_is_no_fault() -> None:
    with running(SPINS) as process:
        pass
    silence = Silence()
    silence.goes_on(process, 1.0)
    assert silence.seconds == 0.0
