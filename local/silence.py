"""What a part does that says nothing: hangs are a fault, a slow machine is not, and from outside both are silent at first."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

_OFTEN = 0.5
"""A process that does something for such a share of its silence is doing that."""
_STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


@dataclass
class Silence:
    """How long (s) a part has said nothing, and for how much of that its process computed, or could have and waited for a
    processor or for its disk.
    """

    seconds: float = 0.0
    computed: float = 0.0
    ready: float = 0.0
    on_disk: float = 0.0
    status: str = ""
    _computed_before: float | None = None

    def goes_on(self, process: psutil.Process, seconds: float) -> None:
        """Another so many seconds passed without a word; look at what the process does, whose main thread is the one to speak."""
        try:
            self.status, times = process.status(), process.cpu_times()
        except psutil.NoSuchProcess:  # whoever waits for it hears that
            return
        if self._computed_before is None:
            self._computed_before = times.user + times.system
        self.computed = times.user + times.system - self._computed_before
        self.seconds += seconds
        self.ready += seconds if self.status == psutil.STATUS_RUNNING else 0.0
        self.on_disk += seconds if self.status == psutil.STATUS_DISK_SLEEP else 0.0

    def described(self, pid: int) -> str:
        """What to report of it, with the next step."""
        again = f"`kill -9 {pid}` starts it again; nothing is lost."
        if self.status in _STOPPED:
            return f"has said nothing for {self.seconds:.0f} s: it is stopped. `kill -CONT {pid}` lets it go on, {again}"
        return f"has said nothing for {self.seconds:.0f} s: {self._doing}. {again}"

    @property
    def _doing(self) -> str:
        enough = _OFTEN * self.seconds
        if self.computed >= enough:
            return f"it computes ({self.computed:.0f} s of a processor), and goes on by itself unless that never ends"
        if self.ready >= enough:
            had = f"it had {self.computed:.1f} s of a processor and waits for more"
            return f"the machine is too busy ({had}), and it goes on by itself"
        if self.on_disk >= enough:
            return "it waits for its disk"
        return "it hangs: it neither computes nor waits for a processor"
