"""What `roompulse run` shows: the start screen, a live status line, warnings as they come, a summary at the end."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from datetime import timedelta
from itertools import accumulate

import psutil
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from local.run_settings import RunSettings
from local.supervisor import SLOW_SECONDS, PartState, ProcessState, Supervisor

PLAIN_EVERY_SECONDS = 10.0
"""How often the status is printed where the output is not a terminal."""
_RATE_WINDOW_SECONDS = 30.0


SET_BACK_SECONDS = 5.0
"""By so much a clock may go back unmentioned: time servers correct less."""


class Screen:
    """Draws one run on a console. Colours and the live line only where the console is a terminal."""

    def __init__(self, console: Console, settings: RunSettings) -> None:
        self.console = console
        self.settings = settings
        self.started = time.monotonic()
        self.peak_memory = 0
        self.lags: Counter[float] = Counter()
        self._rate: deque[tuple[float, int]] = deque()
        self._live: Live | None = None
        self._printed = 0.0
        self._seen: set[str] = set()
        self._unkept = ""
        self._set_back = settings.clock.set_back()
        self._stands_behind = False

    def header(self) -> None:
        """First line: what is being run."""
        settings = self.settings
        speed = f", time x{settings.clock.speed:g}" if settings.clock.speed != 1 else ""
        self._print(
            f"[bold]RoomPulse[/] · stack {escape(settings.stack)} · {len(settings.cities)} cities, {settings.devices:,} devices "
            f"(simulated Webex estate, seed {settings.seed}{speed})"
        )
        if settings.clock.seconds_ahead > 60:
            ahead = timedelta(minutes=settings.clock.seconds_ahead // 60)
            self._print(
                f"  [yellow]![/] its time is {str(ahead).removesuffix(':00')} h ahead of real time, where an earlier run left it "
                f"({escape(str(settings.data_dir / 'clock.json'))}). Another folder (--data) begins at real time."
            )

    def said(self, event: str, part: PartState) -> None:
        """Show what a part said: ready, a warning, a recovery."""
        title = part.spec.title
        if event == "ready" and part.spec.name not in self._seen:
            self._seen.add(part.spec.name)
            detail = f"  [dim]{escape(part.detail)}[/]" if part.detail else ""
            self._print(f"  [green]✓[/] {title:<18} {part.address}{detail}")
        elif event == "warning":
            self._print(f"  [yellow]![/] {title}: {escape(part.warning)}")
        elif event == "recovered":
            self._print(f"  [green]✓[/] {title} works again")

    def happened(self, event: str, process: ProcessState) -> None:
        """Show that a process is slow, that it died, or that it serves again."""
        if event == "slow":
            late = ", ".join(part.spec.title for part in process.parts if not part.ready)
            self._print(f"  [yellow]![/] {late}: not ready after {SLOW_SECONDS:.0f} s, waiting on (Ctrl-C stops the run)")
        elif event == "died":
            self._print(f"  [yellow]![/] {escape(process.trouble)}; starting it again")
        else:
            self._print(f"  [green]✓[/] {process.title} serves again")

    def keeping(self, fault: OSError | None) -> None:
        """Show once what the run itself can't write down, and that it can again."""
        reported = f"{fault.filename or self.settings.data_dir}: {fault.strerror}" if fault else ""
        if reported and reported != self._unkept:
            self._print(
                f"  [yellow]![/] {escape(reported)}. The run goes on, and tries again each second; make room, and it heals."
            )
        elif self._unkept and not reported:
            self._print("  [green]✓[/] the run's own files can be written again")
        self._unkept = reported

    def look_at_the_clock(self) -> None:
        """Show once that the machine's clock was set back, and what to do about it; and once that it has caught up."""
        behind = self._set_back()
        if behind > SET_BACK_SECONDS and not self._stands_behind:
            self._print(
                f"  [yellow]![/] this machine's clock was set back by {timedelta(seconds=round(behind))}. Until it catches up, "
                "rules don't look at what rooms say: it is older than what they know. Stop and start the run: it goes on from "
                "where its time stood."
            )
        elif self._stands_behind and behind <= 0:
            self._print("  [green]✓[/] this machine's clock has caught up")
        self._stands_behind = behind > SET_BACK_SECONDS or (self._stands_behind and behind > 0)

    def _print(self, markup: str) -> None:
        self.console.print(markup, highlight=False, markup=True, soft_wrap=True)

    def begin(self) -> None:
        """Start the live status line."""
        if self.console.is_terminal:
            self._live = Live(Text(""), console=self.console, refresh_per_second=4, transient=True)
            self._live.start()

    def end(self) -> None:
        """Remove the live status line."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, supervisor: Supervisor) -> None:
        """Draw the current figures; call about once a second."""
        memory = memory_bytes(supervisor)
        self.peak_memory = max(self.peak_memory, memory)
        self.lags[round(float(figures_of(supervisor)["lag_seconds"]), 1)] += 1
        line = self.status(supervisor, memory)
        if self._live is not None:
            self._live.update(Text.from_markup(f"{line} [dim]· Ctrl-C stops, roompulse scenario breaks things[/]"))
        elif time.monotonic() - self._printed >= PLAIN_EVERY_SECONDS:
            self._printed = time.monotonic()
            self._print(line)

    def lag(self, share: float) -> float:
        """The lag (seconds) that this share of the run's seconds stayed within; 0 when none was seen."""
        within = share * self.lags.total()
        seen = accumulate(sorted(self.lags.items()), lambda before, one: (one[0], before[1] + one[1]))
        return next((lag for lag, count in seen if count >= within), 0.0)

    def status(self, supervisor: Supervisor, memory: int) -> str:
        """The figures of the run in one line, its memory (bytes) with them."""
        figures = figures_of(supervisor)
        sent, open_ = int(figures["observations_sent"]), int(figures["alerts_open"])
        stale = [part.spec.title for part in supervisor.parts.values() if part.warning]
        stale += [process.title for process in supervisor.processes if process.trouble]
        parts = [
            f"polls {int(figures['polls']):,}",
            f"{sent:,} observations",
            f"{self._per_second(sent):.0f}/s",
            f"lag {float(figures['lag_seconds']):.1f} s",
            f"{open_:,} alert{'s' * (open_ != 1)} open",
            f"{memory / 1e6:.0f} MB",
        ]
        if stale:
            parts.append(f"[yellow]trouble: {', '.join(stale)}[/]")
        return " · ".join(parts)

    def _per_second(self, total: int) -> float:
        now = time.monotonic()
        self._rate.append((now, total))
        while now - self._rate[0][0] > _RATE_WINDOW_SECONDS:
            self._rate.popleft()
        (then, before), (_, after) = self._rate[0], self._rate[-1]
        return (after - before) / (now - then) if now > then else 0.0


def figures_of(supervisor: Supervisor) -> dict[str, float]:
    """The figures of the run, gathered from the parts; what a part has not reported yet counts as nothing."""
    functions, job, lake, page = (supervisor.parts[name].figures for name in ("functions", "stream_job", "lake", "dashboard"))
    return {
        "polls": functions.get("polls", 0),
        "observations_sent": functions.get("observations", 0),
        "quarantined": functions.get("quarantined", 0),
        "observations_read": job.get("observations", 0),
        "lag_seconds": job.get("lag_seconds", 0.0),
        "rows_stored": lake.get("rows", 0),
        "alerts_open": page.get("alerts_open", 0),
    }


def memory_bytes(supervisor: Supervisor) -> int:
    """Memory of this process and of every other one of the run, in bytes."""
    pids = [process.process.pid for process in supervisor.processes if process.runs and process.process is not None]
    return sum(_memory_of(pid) for pid in [os.getpid(), *pids])


def _memory_of(pid: int) -> int:
    """Proportional set size, which counts a page that processes share once; resident size where the system knows no other."""
    try:
        information = psutil.Process(pid).memory_full_info()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0
    return int(getattr(information, "pss", information.rss))
