"""The alert fan-out as an Azure Function: `deliver` gets batches of alert events from hub `alerts`, consumer group `fanout`.

Environment: EVENT_HUBS (where the hub is), FANOUT_SETTINGS (path of fanout-settings.json), STATE_FOLDER (for fanout.sqlite).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import azure.functions as func

from processors.alert_fanout.fan_out import DeliveriesPending, FanOut
from processors.alert_fanout.settings import load_fanout_settings

app = func.FunctionApp()

_one_at_a_time = threading.Lock()
_fan_out: FanOut | None = None


class EnvironmentFault(Exception):
    """Environment variables are missing. The text names each one and what it should hold."""


@app.event_hub_message_trigger(  # type: ignore[untyped-decorator]
    arg_name="events",
    event_hub_name="alerts",
    connection="EVENT_HUBS",
    consumer_group="fanout",
    cardinality=func.Cardinality.MANY,
)
def deliver(events: list[func.EventHubEvent]) -> None:
    """Deliver the alerts of these events. When it raises, the same events may be given again: only what failed is repeated."""
    global _fan_out
    with _one_at_a_time:
        _fan_out = _fan_out or _opened(os.environ)
        try:
            _fan_out.handle(event.get_body() for event in events)
        except DeliveriesPending:
            raise
        except Exception:
            _fan_out.close()  # its files may be gone: open them anew the next time
            _fan_out = None
            raise


def _opened(environment: Mapping[str, str]) -> FanOut:
    needed = {"FANOUT_SETTINGS": "the path of fanout-settings.json", "STATE_FOLDER": "a folder to keep state in"}
    missing = [f"{name} is not set: {meaning}." for name, meaning in needed.items() if not environment.get(name)]
    if missing:
        raise EnvironmentFault("\n".join(missing))
    settings = load_fanout_settings(Path(environment["FANOUT_SETTINGS"]))
    return FanOut.open(settings, Path(environment["STATE_FOLDER"]))
