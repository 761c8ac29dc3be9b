"""Running a function: in a thread or as a coroutine, counted, its faults reported and never fatal."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from local.functions.app import Function
from local.part import Part

log = logging.getLogger("roompulse.functions")


class Invoker:
    """Invokes one function and keeps its figures. A fault shows as the part's warning until an invocation succeeds."""

    def __init__(self, function: Function, part: Part) -> None:
        self.function = function
        self.part = part
        self.idle = asyncio.Event()
        self.idle.set()
        self.invocations = 0
        self.failures = 0
        self.seconds = 0.0
        self._running = 0
        self._failing = False
        self._threads = ThreadPoolExecutor(thread_name_prefix=function.name)

    async def invoke(self, value: Any) -> bool:
        """Call the function with the value of its trigger; gives whether it returned without raising."""
        started = time.monotonic()
        self._running += 1
        self.idle.clear()
        try:
            await self._call(value)
        except Exception as fault:
            log.exception("%s failed", self.function.name, extra={"ids": {"function": self.function.name}})
            self.failures += 1
            self._failing = True
            self.part.warning(f"{self.function.name} failed: {_first_line(fault)}")
            return False
        finally:
            self._running -= 1
            if not self._running:
                self.idle.set()
            self.invocations += 1
            self.seconds = time.monotonic() - started
        if self._failing:
            self._failing = False
            self.part.recovered(f"{self.function.name} works again")
        return True

    def figures(self) -> dict[str, float]:
        """Counts since the start and the duration of the last invocation, s."""
        name = self.function.name
        return {
            f"{name}_invocations": self.invocations,
            f"{name}_failures": self.failures,
            f"{name}_last_seconds": round(self.seconds, 3),
        }

    async def _call(self, value: Any) -> None:
        arguments = {self.function.argument: value}
        if inspect.iscoroutinefunction(self.function.call):
            result = await self.function.call(**arguments)
        else:
            call = partial(self.function.call, **arguments)
            result = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        if result is not None:
            raise TypeError(f"{self.function.name} returned a value: without an output binding Azure's worker refuses it.")


class FiguresHandler(logging.Handler):
    """Collects what functions log as `extra={"figures": {...}}` on the logger `roompulse.figures`; the latest value counts."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: dict[str, Any] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take the figures of a record."""
        self.figures.update(getattr(record, "figures", {}))


def _first_line(fault: Exception) -> str:
    text = str(fault).strip() or type(fault).__name__
    return text.splitlines()[0]
