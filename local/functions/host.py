"""The Functions host as a part of a local run: loads the function apps, starts their triggers, reports, stops in time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from event_hubs_local.checkpoints import CheckpointError, SqliteCheckpointStore
from local.functions.app import EventHubTrigger, Function, TimerTrigger, described, load_functions
from local.functions.hub_events import HubLoop
from local.functions.invocations import FiguresHandler, Invoker
from local.functions.schedule import ScheduleError, every
from local.functions.timer import TimerLoop
from local.part import Part, PartError, run_part
from local.run_settings import RunSettings
from processors import clock

APPS = ("processors.ingest.function_app", "processors.alert_fanout.function_app")
TENDING = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
"""Seconds of the run's clock between two looks of the fan-out at what waits: the shortest that is not under a real second."""
STOP_SECONDS = 1.0
"""How long running functions may take to finish when the host stops; the supervisor kills after 1.6 s. What still runs then is
abandoned, as if the process had been killed: it acknowledges nothing."""
log = logging.getLogger("roompulse.functions")


def app_settings(settings: RunSettings) -> dict[str, str]:
    """What Azure hands to the function apps as environment variables, with the values of this run. Raises PartError."""
    try:
        schedule = every(settings.poll_seconds)
        tending = every(next(seconds for seconds in TENDING if seconds >= settings.clock.speed or seconds == TENDING[-1]))
    except ScheduleError as fault:
        raise PartError(f"{fault} It is --poll of `roompulse run`, or poll.seconds of the stack.") from fault
    pushing = {"WEBEX_INTEGRATION_FOLDER": str(settings.integration_dir)} if settings.push else {}
    return {
        **pushing,
        "EVENT_HUBS": settings.event_hubs_connection_string,
        "WEBEX_API_BASE": settings.webex_url,
        "WEBEX_STATUS_BASE": settings.webex_status_url,
        "WEBEX_ACCESS_TOKEN": "simulated-access-token",
        "INGEST_SETTINGS": str(settings.ingest_settings_path),
        "FANOUT_SETTINGS": str(settings.fanout_settings_path),
        "STATE_FOLDER": str(settings.state_dir),
        "SECRETS_FOLDER": str(settings.secrets_dir),
        "POLL_SCHEDULE": schedule,
        "TEND_SCHEDULE": tending,
        "ALERTS_HUB": "alerts",
        "ALERTS_GROUP": "fanout",
        "INCIDENTS_HUB": "incidents",
        "INCIDENT_PAGES_URL": settings.page_url,
    }


async def serve(part: Part, apps: Sequence[str] = APPS) -> None:
    """Run the function apps until the part is asked to stop."""
    environment = app_settings(part.settings)
    part.settings.state_dir.mkdir(parents=True, exist_ok=True)
    os.environ.update(environment)
    clock.use(part.settings.clock.now)
    functions = [function for app in apps for function in load_functions(app, environment)]
    with _checkpoints(part.settings.state_dir / "checkpoints.sqlite") as checkpoints, _figures() as figures:
        host = _Host(part, functions, checkpoints, figures)
        part.ready("timers and events", ", ".join(described(functions)))
        await host.run()


def main(apps: Sequence[str] = APPS) -> NoReturn:
    """Run as a process. It ends at once when the host has stopped: an abandoned function may still run in its thread."""
    try:
        run_part("functions", partial(serve, apps=apps))
    except SystemExit as ending:
        logging.shutdown()
        sys.stdout.flush()
        os._exit(int(ending.code or 0))
    raise AssertionError("run_part ends the process")


class _Host:
    """The triggers of all functions."""

    def __init__(
        self, part: Part, functions: Sequence[Function], checkpoints: SqliteCheckpointStore, figures: FiguresHandler
    ) -> None:
        self._part = part
        self._figures = figures
        self._invokers: list[Invoker] = []
        self._timers: list[TimerLoop] = []
        self._hubs: list[HubLoop] = []
        for function in functions:
            invoker = Invoker(function, part)
            self._invokers.append(invoker)
            if isinstance(function.trigger, TimerTrigger):
                self._timers.append(TimerLoop(invoker, function.trigger, part.settings.clock, part.stopping))
            elif isinstance(function.trigger, EventHubTrigger):
                self._hubs.append(HubLoop(invoker, function.trigger, checkpoints, part.stopping))

    async def run(self) -> None:
        """Run every trigger until the part stops; a trigger that ends by itself ends the host with its fault."""
        timers = [asyncio.create_task(timer.run()) for timer in self._timers]
        hubs = [asyncio.create_task(hub.run()) for hub in self._hubs]
        reports = asyncio.create_task(self._report_until_stopped())
        await asyncio.wait({*timers, *hubs, reports}, return_when=asyncio.FIRST_COMPLETED)
        self._part.stopping.set()
        ends = [*timers, reports, *(asyncio.create_task(hub.stop()) for hub in self._hubs)]
        await asyncio.wait(ends, timeout=STOP_SECONDS)
        for invoker in self._invokers:
            if not invoker.idle.is_set():
                log.warning("%s is abandoned: it still runs", invoker.function.name)
        self._part.status(**self._current_figures())
        for task in (*timers, *hubs, reports):
            if task.done() and not task.cancelled():
                task.result()

    async def _report_until_stopped(self) -> None:
        while not self._part.stopping.is_set():
            self._part.status(**self._current_figures())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._part.stopping.wait(), 1.0)

    def _current_figures(self) -> dict[str, Any]:
        counts = {name: value for invoker in self._invokers for name, value in invoker.figures().items()}
        return {**counts, "missed_timers": sum(timer.missed for timer in self._timers), **self._figures.figures}


@contextlib.contextmanager
def _checkpoints(path: Path) -> Iterator[SqliteCheckpointStore]:
    try:
        store = SqliteCheckpointStore(path)
    except CheckpointError as fault:
        raise PartError(str(fault)) from fault
    with contextlib.closing(store):
        yield store


@contextlib.contextmanager
def _figures() -> Iterator[FiguresHandler]:
    """Collect the functions' figures; they go to the status, so the log need not have them."""
    logger, handler = logging.getLogger("roompulse.figures"), FiguresHandler()
    logger.addHandler(handler)
    logger.propagate, propagated = False, logger.propagate
    logger.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
