"""A function app for tests: writes down how it was called. Files in STATE_FOLDER tell it how to behave."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any, List  # noqa: UP035

import azure.functions as func

from processors.clock import utc_now

app = func.FunctionApp()


def state() -> Path:
    return Path(os.environ["STATE_FOLDER"])


def record(name: str, entry: dict[str, Any]) -> None:
    with (state() / name).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def behave(name: str) -> None:
    """Fail or take long, when a file says so."""
    if (state() / f"{name}-fails").exists():
        raise RuntimeError(f"{name} was told to fail\nwith details")
    slowly = state() / f"{name}-takes"
    if slowly.exists():
        time.sleep(float(slowly.read_text()))


@app.timer_trigger(schedule="%POLL_SCHEDULE%", arg_name="timer", run_on_startup=False, use_monitor=False)
def poll(timer: func.TimerRequest) -> None:
    record("polls", {"began": utc_now().timestamp(), "past_due": timer.past_due})
    behave("poll")
    logging.getLogger("roompulse.figures").info("figures", extra={"figures": {"polls": 7, "observations": 42}})
    record("polls-done", {})


@app.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="alerts",
    connection="EVENT_HUBS",
    consumer_group="fanout",
    cardinality=func.Cardinality.MANY,
)
async def deliver(events: List[func.EventHubEvent]) -> None:  # noqa: UP006 (as the worker wants it)
    record("tries", {"bodies": [event.get_body().decode() for event in events]})
    behave("deliver")
    for event in events:
        assert event.enqueued_time is not None
        place = {"sequence": event.sequence_number, "offset": event.offset, "key": event.partition_key}
        record("delivered", {"body": event.get_body().decode(), "enqueued": event.enqueued_time.timestamp(), **place})
