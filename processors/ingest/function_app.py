"""The ingest as an Azure Function: `poll` runs on a timer (POLL_SCHEDULE, an NCRONTAB with seconds first).

What Webex pushes is heard by a thread beside it, between polls too (docs/decisions/0324-a-listener-beside-the-poll.md).
"""

from __future__ import annotations

import logging
import os
import threading

import azure.functions as func

from processors.deployed_content import health_route
from processors.ingest.environment import listener_from, poller_from, settings_of
from processors.ingest.poll import Poller
from processors.ingest.poll_telemetry import SERVICE
from processors.ingest.push.listener import Listener
from processors.settings_source import Settings
from processors.telemetry import export_log

app = func.FunctionApp()
app.register_functions(health_route)

_one_at_a_time = threading.Lock()
_settings: Settings | None = None
_poller: Poller | None = None
_listener: Listener | None = None

log = logging.getLogger("roompulse.ingest")


@app.timer_trigger(schedule="%POLL_SCHEDULE%", arg_name="timer", run_on_startup=False, use_monitor=False)  # type: ignore[untyped-decorator]
def poll(timer: func.TimerRequest) -> None:
    """Make one poll. When it raises, only what was acknowledged is remembered, and the next poll sends the rest."""
    global _listener, _poller, _settings
    export_log(os.environ, SERVICE)
    with _one_at_a_time:
        _settings = _settings or settings_of(os.environ)
        if _poller and _settings.changed():
            log.info("settings have changed")
            _poller.close()
            _poller = None
        _listener = _listener or listener_from(os.environ)
        _poller = _poller or poller_from(os.environ, _settings, _listener)
        try:
            _poller.poll(followed=True)
        except Exception:
            # Connections may be dead and memory ahead of the file: the next poll starts from what is durable.
            _poller.close()
            _poller = None
            raise
