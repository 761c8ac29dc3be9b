"""Function apps are read from their own bindings; what the host can't serve is said before anything starts."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import List  # noqa: UP035

import azure.functions as func
import pytest

from local.functions import host
from local.functions.app import EventHubTrigger, TimerTrigger, described, load_functions
from local.part import PartError
from local.run_settings import RunSettings

SETTINGS = {"EVENT_HUBS": "Endpoint=sb://x;", "SCHEDULE": "*/5 * * * * *", "HUB": "rooms", "GROUP": "readers"}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    module = types.ModuleType("an_app")
    module.app = func.FunctionApp()  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "an_app", module)
    yield module


def test_the_apps_of_roompulse_are_served(tmp_path: Path) -> None:
    settings = RunSettings(data_dir=tmp_path, stack="test", cities=(), poll_seconds=10)
    app_settings = host.app_settings(settings)
    functions = {function.name: function for app in host.APPS for function in load_functions(app, app_settings)}
    assert set(functions) == {"poll", "deliver", "tend", "incidents", "hooks", "health"}
    poll, deliver = functions["poll"].trigger, functions["deliver"].trigger
    assert isinstance(poll, TimerTrigger)
    assert poll.schedule.expression == "*/10 * * * * *"
    assert deliver == EventHubTrigger("alerts", "fanout", settings.event_hubs_connection_string)
    assert list(described(list(functions.values()))) == [
        "poll every 10 s",
        "deliver from hub alerts",
        "tend every second",
    ]


def test_names_in_percent_signs_are_app_settings(module: types.ModuleType) -> None:
    @module.app.event_hub_message_trigger(
        arg_name="events", event_hub_name="%HUB%", connection="EVENT_HUBS", consumer_group="%GROUP%",
        cardinality=func.Cardinality.MANY,
    )  # fmt: skip
    def taken(events: List[func.EventHubEvent]) -> None: ...  # noqa: UP006 (as the worker wants it)

    (function,) = load_functions("an_app", SETTINGS)
    assert function.trigger == EventHubTrigger("rooms", "readers", "Endpoint=sb://x;")
    assert function.argument == "events"


def test_a_missing_app_setting_is_named_with_those_there_are(module: types.ModuleType) -> None:
    @module.app.timer_trigger(schedule="%RHYTHM%", arg_name="timer")
    def poll(timer: func.TimerRequest) -> None: ...

    with pytest.raises(PartError, match=r"an_app\.poll: the app setting RHYTHM is missing\. There are EVENT_HUBS, GROUP"):
        load_functions("an_app", SETTINGS)


def test_a_malformed_schedule_is_named_with_its_function(module: types.ModuleType) -> None:
    @module.app.timer_trigger(schedule="hourly", arg_name="timer")
    def poll(timer: func.TimerRequest) -> None: ...

    with pytest.raises(PartError, match=r'an_app\.poll: the schedule "hourly" must have six fields'):
        load_functions("an_app", SETTINGS)


def test_another_trigger_is_refused(module: types.ModuleType) -> None:
    @module.app.queue_trigger(arg_name="message", queue_name="q", connection="EVENT_HUBS")
    def taken(message: object) -> None: ...

    with pytest.raises(PartError, match="has timer and Event Hubs triggers, no queueTrigger"):
        load_functions("an_app", SETTINGS)


def test_an_output_binding_is_refused(module: types.ModuleType) -> None:
    @module.app.timer_trigger(schedule="%SCHEDULE%", arg_name="timer")
    @module.app.event_hub_output(arg_name="out", event_hub_name="x", connection="EVENT_HUBS")
    def poll(timer: object, out: object) -> None: ...

    with pytest.raises(PartError, match="one trigger and no other bindings, not eventHub, timerTrigger"):
        load_functions("an_app", SETTINGS)


def test_one_event_at_a_time_is_refused(module: types.ModuleType) -> None:
    @module.app.event_hub_message_trigger(
        arg_name="event", event_hub_name="x", connection="EVENT_HUBS", cardinality=func.Cardinality.ONE
    )
    def taken(event: func.EventHubEvent) -> None: ...

    with pytest.raises(PartError, match=r"declare the trigger with Cardinality\.MANY"):
        load_functions("an_app", SETTINGS)


@pytest.mark.parametrize("name", ["no.such.module", "json"])
def test_a_module_that_is_no_function_app_is_named(name: str) -> None:
    with pytest.raises(PartError, match=f"{name} is not a function app"):
        load_functions(name, SETTINGS)


def test_a_poll_period_that_can_not_be_scheduled_names_where_it_is_set(tmp_path: Path) -> None:
    settings = RunSettings(data_dir=tmp_path, stack="test", cities=(), poll_seconds=7)
    with pytest.raises(PartError, match=r"a poll every 7 s can't be scheduled.*--poll of `roompulse run`"):
        host.app_settings(settings)
