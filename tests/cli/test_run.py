"""What a run shows of itself: a full disk ends nothing and is said once, a clock that stands ahead is said at the start."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from cli import run as run_module
from cli.console import PlainConsole
from cli.screen import Screen
from local.clock import SimulatedClock
from local.run_settings import RunSettings
from local.supervisor import Supervisor

NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/clock.tmp")


def screen_of(folder: Path, ahead: float = 0.0) -> tuple[Screen, io.StringIO]:
    clock = SimulatedClock(1000.0, 1000.0 + ahead, real_time=lambda: 1000.0)
    output = io.StringIO()
    return Screen(PlainConsole(file=output, width=300), RunSettings(folder, "dev", (), clock=clock)), output


def test_what_can_not_be_kept_is_reported_once_and_so_is_its_end(tmp_path: Path) -> None:
    screen, output = screen_of(tmp_path)
    for fault in (None, NO_SPACE, NO_SPACE, None, None, NO_SPACE):
        screen.keeping(fault)
    said = output.getvalue().splitlines()
    assert [line.strip()[0] for line in said] == ["!", "✓", "!"]
    assert said[0].startswith("  ! /data/clock.tmp: No space left on device. The run goes on, and tries again each second")


def test_the_lag_of_a_run_is_what_so_many_of_its_seconds_stayed_within(tmp_path: Path) -> None:
    screen, _ = screen_of(tmp_path)
    assert [screen.lag(share) for share in (0.5, 0.95, 1)] == [0, 0, 0]
    screen.lags.update({0.3: 90, 7.5: 1, 2.0: 9})
    assert [screen.lag(share) for share in (0.5, 0.9, 0.95, 0.99, 1)] == [0.3, 0.3, 2.0, 2.0, 7.5]


def test_a_clock_that_is_set_back_is_told_once_and_so_is_its_end(tmp_path: Path) -> None:
    stands = [1_000_000.0]
    output = io.StringIO()
    clock = SimulatedClock(stands[0], stands[0], real_time=lambda: stands[0])
    screen = Screen(PlainConsole(file=output, width=300), RunSettings(tmp_path, "dev", (), clock=clock))
    for moment in (1_000_001.0, 1_000_000.5, 996_401.0, 996_402.0, 1_000_000.0, 1_000_001.0, 1_028_801.0):
        stands[0] = moment  # a second on, back by what a time server corrects, by an hour; it catches up; a night's sleep
        screen.look_at_the_clock()
    told = output.getvalue().splitlines()
    assert [line.strip()[0] for line in told] == ["!", "✓"]
    assert "was set back by 1:00:00" in told[0] and "Stop and start the run" in told[0]


async def test_a_full_disk_does_not_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = RunSettings(tmp_path, "dev", ())
    supervisor = Supervisor(settings, tmp_path / "run.json", screen_of(tmp_path)[0], ())
    written: list[int] = []

    def remember(_: RunSettings) -> None:
        written.append(1)
        if len(written) == 1:
            raise NO_SPACE

    monkeypatch.setattr(run_module, "remember_time", remember)
    assert [run_module._kept(supervisor, settings) for _ in range(2)] == [NO_SPACE, None]


async def test_the_summary_is_said_where_it_can_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise NO_SPACE

    screen, output = screen_of(tmp_path)
    monkeypatch.setattr(run_module, "console", PlainConsole(file=output, width=300))
    monkeypatch.setattr(run_module, "figures_of", lambda _: dict.fromkeys(("polls", "observations_sent", "lag_seconds"), 0))
    monkeypatch.setattr(Path, "write_text", full)
    run_module._summary(screen, Supervisor(screen.settings, tmp_path, screen, ()), screen.settings)
    assert "No space left on device" in output.getvalue() and "Stopped after" in output.getvalue()


@pytest.mark.parametrize(("ahead", "words"), [(59.0, None), (3 * 3600 + 300.0, "3:05 h"), (50 * 3600.0, "2 days, 2:00 h")])
def test_a_clock_that_stands_ahead_is_reported_with_what_left_it_there(tmp_path: Path, ahead: float, words: str | None) -> None:
    screen, output = screen_of(tmp_path, ahead)
    screen.header()
    said = f"! its time is {words} ahead of real time, where an earlier run left it ({tmp_path / 'clock.json'})"
    assert (said in output.getvalue()) == (words is not None)
    assert ("ahead" in output.getvalue()) == (words is not None)
