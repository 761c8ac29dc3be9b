"""The supervisor starts parts, hears them, restarts what dies and leaves nothing behind. The parts here are real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from local import silence
from local import supervisor as supervisor_module
from local.part import EXIT_TOO_SLOW, GRACE_SECONDS
from local.run_settings import RunSettings
from local.supervisor import PartSpec, PartState, ProcessSpec, ProcessState, RunError, Supervisor


class Run:
    """A supervisor over fake parts, with what it was told."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        settings = RunSettings(data_dir=folder, stack="test", cities=())
        run_file = folder / "run.json"
        settings.write(run_file)
        specs = tuple(
            ProcessSpec(f"tests.local.fake_parts.{name}", phase, (PartSpec(name, name.title()),))
            for phase, name in enumerate(names)
        )
        self.heard: list[tuple[str, str]] = []
        self.supervisor = Supervisor(settings, run_file, self, specs)

    def said(self, event: str, part: PartState) -> None:
        self.heard.append((event, part.spec.name))

    def happened(self, event: str, process: ProcessState) -> None:
        self.heard.append((event, process.parts[0].spec.name))

    async def until(self, *event: str) -> None:
        async with asyncio.timeout(60):
            while event not in self.heard:
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(folder: Path, *names: str) -> AsyncIterator[Run]:
    run = Run(folder, names)
    try:
        yield run
    finally:
        await run.supervisor.stop()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_part_is_started_heard_and_stopped_without_a_trace(tmp_path: Path) -> None:
    async with running(tmp_path, "steady") as run:
        await run.supervisor.start()
        part = run.supervisor.parts["steady"]
        while not part.figures:
            await asyncio.sleep(0.01)
        assert (part.address, part.detail, part.figures) == ("http://127.0.0.1:1", "steady", {"answer": 42})
        process = run.supervisor.processes[0].process
        assert process is not None
        pid = process.pid
        assert await run.supervisor.stop() == [], "it ended by itself within the time that Ctrl-C promises"
        assert not is_alive(pid)


async def test_a_part_that_can_not_start_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    async with running(tmp_path, "steady", "failing") as run:
        with pytest.raises(RunError, match="Failing: port 1 is in use: choose another"):
            await run.supervisor.start()


async def test_after_a_failed_start_nobody_waits_for_the_others_to_start_them_again(tmp_path: Path) -> None:
    async with running(tmp_path, "failing", "held_back") as run:
        for process in run.supervisor.processes:
            process.spec = replace(process.spec, phase=0)
        with pytest.raises(RunError, match="port 1 is in use"):
            await run.supervisor.start()
        waiting = {task.get_coro().__name__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
        assert "_until_ready" not in waiting


async def test_a_part_that_ends_without_a_word_points_to_its_log(tmp_path: Path) -> None:
    async with running(tmp_path, "silent_death") as run:
        with pytest.raises(RunError, match=r"ended with code 3: see .*silent_death\.log"):
            await run.supervisor.start()


async def test_a_killed_part_is_started_again(tmp_path: Path) -> None:
    async with running(tmp_path, "steady") as run:
        await run.supervisor.start()
        process = run.supervisor.processes[0].process
        assert process is not None
        process.kill()
        await run.until("restarted", "steady")
        assert run.supervisor.processes[0].restarts == 1
        assert run.heard.index(("died", "steady")) < run.heard.index(("restarted", "steady"))


async def test_a_part_that_is_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    async with running(tmp_path, "steady") as run:
        starting = asyncio.create_task(run.supervisor.start())
        while run.supervisor.processes[0].process is None:
            await asyncio.sleep(0)
        run.supervisor.processes[0].process.kill()
        await starting
        assert ("ready", "steady") in run.heard


async def test_a_part_that_keeps_dying_ends_the_run(tmp_path: Path) -> None:
    async with running(tmp_path, "fragile") as run:
        await run.supervisor.start()
        with pytest.raises(RunError, match="killed by signal 9"):
            async with asyncio.timeout(60):
                await run.supervisor.broken()


async def test_a_slow_start_is_told_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "SLOW_SECONDS", 0.01)
    async with running(tmp_path, "steady") as run:
        await run.supervisor.start()
        assert run.heard == [("slow", "steady"), ("ready", "steady")]


async def test_a_slow_restart_is_told_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, "steady") as run:
        await run.supervisor.start()
        monkeypatch.setattr(supervisor_module, "SLOW_SECONDS", 0.01)
        process = run.supervisor.processes[0].process
        assert process is not None
        process.kill()
        await run.until("restarted", "steady")
        assert ("slow", "steady") in run.heard


async def test_a_part_that_hangs_is_told_once_with_what_starts_it_again_and_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "QUIET_SECONDS", 1.0)
    async with running(tmp_path, "reporting", "steady") as run:
        await run.supervisor.start()
        process = run.supervisor.processes[0].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(60):
            while ("warning", "reporting") not in run.heard:
                run.supervisor.look_after()
                await asyncio.sleep(0.02)
        run.supervisor.look_after()
        warning = run.supervisor.parts["reporting"].warning
        assert warning.startswith(f"has said nothing for 1 s: it is stopped. `kill -CONT {process.pid}` lets it go on")
        assert f"`kill -9 {process.pid}` starts it again" in warning
        process.send_signal(signal.SIGCONT)
        await run.until("recovered", "reporting")
        assert (run.supervisor.parts["reporting"].warning, run.heard.count(("warning", "reporting"))) == ("", 1)


@pytest.mark.parametrize(
    ("name", "does"),
    [
        ("computing", r"it computes \(\d s of a processor\), and goes on by itself"),
        ("hanging", "it hangs: it neither computes nor"),
    ],
)
async def test_what_a_silent_part_does_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, does: str) -> None:
    monkeypatch.setattr(supervisor_module, "QUIET_SECONDS", 2.0)
    monkeypatch.setattr(supervisor_module, "STOP_SECONDS", 0.1)  # neither of them hears that it should end
    monkeypatch.setattr(silence, "_OFTEN", 0.1)  # beside other tests a part that computes has not half of a processor
    async with running(tmp_path, name) as run:
        await run.supervisor.start()
        async with asyncio.timeout(60):
            while ("warning", name) not in run.heard:
                run.supervisor.look_after()
                await asyncio.sleep(0.05)
        assert re.match(f"has said nothing for 2 s: {does}", run.supervisor.parts[name].warning)


async def test_a_process_that_ended_while_it_was_looked_at_is_left_to_whoever_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, "reporting") as run:
        await run.supervisor.start()
        with monkeypatch.context() as patch:
            patch.setattr(psutil, "Process", _gone)
            run.supervisor.look_after()
        assert ("warning", "reporting") not in run.heard


def _gone(pid: int) -> psutil.Process:
    raise psutil.NoSuchProcess(pid)


async def test_a_supervisor_that_was_held_up_takes_nobody_for_hung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "QUIET_SECONDS", 2.5)
    monkeypatch.setattr(supervisor_module, "LONGEST_LOOK", 0.5)
    async with running(tmp_path, "reporting") as run:
        await run.supervisor.start()
        while not run.supervisor.parts["reporting"].figures:
            await asyncio.sleep(0.01)
        run.supervisor.look_after()
        time.sleep(3.5)  # noqa: ASYNC251 - a machine that gives it no processor
        run.supervisor.look_after()
        assert ("warning", "reporting") not in run.heard


async def test_a_part_that_never_reports_figures_is_not_taken_for_hung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "QUIET_SECONDS", -1.0)
    async with running(tmp_path, "worried") as run:
        await run.supervisor.start()
        await run.until("recovered", "worried")
        run.supervisor.look_after()
        assert run.supervisor.parts["worried"].warning == ""


async def test_a_long_log_is_put_aside_while_the_part_goes_on_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, "reporting") as run:
        await run.supervisor.start()
        log = run.supervisor.log_path(run.supervisor.processes[0])
        async with asyncio.timeout(60):
            while not log.stat().st_size:
                await asyncio.sleep(0.02)
            monkeypatch.setattr(supervisor_module, "LONGEST_LOG", 0)
            run.supervisor.look_after()
            monkeypatch.setattr(supervisor_module, "LONGEST_LOG", 1_000_000)
            while not log.stat().st_size:
                await asyncio.sleep(0.02)
        aside = log.with_name("reporting.log.1").read_text()
        assert '"message": "line 1"' in aside
        assert json.loads(log.read_text().splitlines()[0])["message"] not in aside


async def test_what_was_started_last_ends_first_when_a_run_drains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It brings observations in; the others go on for a while, and what has ended isn't started again."""
    monkeypatch.setattr(supervisor_module, "DRAIN_SECONDS", 0.1)
    async with running(tmp_path, "worried", "steady") as run:
        await run.supervisor.start()
        await run.supervisor.drain()
        assert [process.runs for process in run.supervisor.processes] == [True, False]
        assert not [event for event, _ in run.heard if event in ("died", "restarted")]


async def test_a_part_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path, "stubborn") as run:
        await run.supervisor.start()
        assert await run.supervisor.stop() == ["Stubborn"]


async def test_a_part_that_still_loads_is_stopped_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, "loading") as run:
        starting = asyncio.create_task(run.supervisor.start())
        await run.until("warning", "loading")
        assert await run.supervisor.stop() == [], "it ended by itself within the time that Ctrl-C promises"
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def test_a_fault_that_heals_is_shown_and_taken_back(tmp_path: Path) -> None:
    async with running(tmp_path, "worried") as run:
        await run.supervisor.start()
        await run.until("warning", "worried")
        await run.until("recovered", "worried")
        assert run.supervisor.parts["worried"].warning == ""


async def test_parts_end_when_the_supervisor_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path, "steady") as run:
        await run.supervisor.start()
        process = run.supervisor.processes[0].process
        assert process is not None and process.stdin is not None
        run.supervisor.stopping = True
        process.stdin.close()  # what the kernel does when the supervisor is killed
        async with asyncio.timeout(60):
            assert await process.wait() == 0


async def test_a_part_that_does_not_listen_ends_itself_when_the_supervisor_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path, "held_up") as run:
        await run.supervisor.start()
        process = run.supervisor.processes[0].process
        assert process is not None and process.stdin is not None
        run.supervisor.stopping = True
        process.stdin.close()
        async with asyncio.timeout(GRACE_SECONDS + 60):
            assert await process.wait() == EXIT_TOO_SLOW
