"""The ingest as an Azure Function: `poll` runs on a timer (POLL_SCHEDULE, an NCRONTAB with seconds first).

What Webex pushes is heard by a thread beside it, between polls too (docs/decisions/0324-a-listener-beside-the-poll.md).
"""

from __future__ import annotations

import logging
import os
import threading

import azure.functions as func

from processors.deployed_content import health_route
from processors.ingest.environment import settings_of
from processors.ingest.organisations import Organisations
from processors.ingest.poll_telemetry import SERVICE
from processors.settings_source import Settings
from processors.telemetry import export_log

app = func.FunctionApp()
app.register_functions(health_route)

_one_at_a_time = threading.Lock()
_settings: Settings | None = None
_organisations: Organisations | None = None

log = logging.getLogger("roompulse.ingest")


@app.timer_trigger(schedule="%POLL_SCHEDULE%", arg_name="timer", run_on_startup=False, use_monitor=False)  # type: ignore[untyped-decorator]
def poll(timer: func.TimerRequest) -> None:
    """Make one poll of each organisation."""
    global _organisations, _settings
    export_log(os.environ, SERVICE)
    with _one_at_a_time:
        _settings = _settings or settings_of(os.environ)
        _organisations = _organisations or Organisations(os.environ)
        if _organisations.pollers and _settings.changed():
            log.info("settings have changed")
            _organisations.close()
        _organisations.poll(_settings)
