"""The ingest as an Azure Function: `poll` runs on a timer (POLL_SCHEDULE, an NCRONTAB with seconds first)."""

from __future__ import annotations

import logging
import os
import threading

import azure.functions as func

from processors.deployed_content import health_route
from processors.ingest.environment import poller_from, settings_of
from processors.ingest.poll import Poller
from processors.ingest.poll_telemetry import SERVICE
from processors.settings_source import Settings
from processors.telemetry import export_log

app = func.FunctionApp()
app.register_functions(health_route)

_one_at_a_time = threading.Lock()
_settings: Settings | None = None
_poller: Poller | None = None

log = logging.getLogger("roompulse.ingest")


@app.timer_trigger(schedule="%POLL_SCHEDULE%", arg_name="timer", run_on_startup=False, use_monitor=False)  # type: ignore[untyped-decorator]
def poll(timer: func.TimerRequest) -> None:
    """Make one poll. When it raises, only what was acknowledged is remembered, and the next poll sends the rest."""
    global _poller, _settings
    export_log(os.environ, SERVICE)
    with _one_at_a_time:
        _settings = _settings or settings_of(os.environ)
        if _poller and _settings.changed():
            log.info("settings have changed")
            _poller.close()
            _poller = None
        _poller = _poller or poller_from(os.environ, _settings)
        try:
            _poller.poll(followed=True)
        except Exception:
            # Connections may be dead and memory ahead of the file: the next poll starts from what is durable.
            _poller.close()
            _poller = None
            raise
