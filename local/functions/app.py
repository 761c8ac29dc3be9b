"""Function apps as the host sees them: which functions there are, and what starts each, read from their own bindings."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.functions.schedule import Schedule, ScheduleError
from local.part import PartError

_APP_SETTING = re.compile(r"%([^%]+)%")


@dataclass(frozen=True)
class TimerTrigger:
    """Starts a function at the times of a schedule."""

    schedule: Schedule


@dataclass(frozen=True)
class EventHubTrigger:
    """Starts a function for each batch of events of a hub that its consumer group has not seen."""

    hub: str
    consumer_group: str
    connection_string: str


@dataclass(frozen=True)
class Function:
    """A function: what to call, with which argument, and what starts it."""

    name: str
    call: Callable[..., Any]
    argument: str
    trigger: TimerTrigger | EventHubTrigger


def load_functions(module: str, app_settings: Mapping[str, str]) -> list[Function]:
    """The functions of the `app` in a module; raises PartError when it can't be loaded or needs what this host has not."""
    try:
        app = importlib.import_module(module).app
        builders = app.get_functions()
    except (ImportError, AttributeError, ValueError) as fault:
        raise PartError(f"{module} is no function app: {fault}.") from fault
    functions = []
    for builder in builders:
        name = builder.get_function_name()
        bindings = [json.loads(binding) for binding in builder.get_raw_bindings()]
        try:
            argument, trigger = _trigger(bindings, app_settings)
        except (_BindingError, ScheduleError) as fault:
            raise PartError(f"{module}.{name}: {fault}") from fault
        functions.append(Function(name, builder.get_user_function(), argument, trigger))
    return functions


class _BindingError(Exception):
    """A binding this host can't serve."""


def _trigger(bindings: list[dict[str, Any]], app_settings: Mapping[str, str]) -> tuple[str, TimerTrigger | EventHubTrigger]:
    if len(bindings) != 1:
        others = ", ".join(sorted(binding["type"] for binding in bindings))
        raise _BindingError(f"the local host serves functions with one trigger and no other bindings, not {others}.")
    binding = {key: _with_settings(value, app_settings) for key, value in bindings[0].items()}
    if binding["type"] == "timerTrigger":
        return binding["name"], TimerTrigger(Schedule(binding["schedule"]))
    if binding["type"] == "eventHubTrigger":
        if binding["cardinality"] != "MANY":
            raise _BindingError("the local host gives events in batches: declare the trigger with Cardinality.MANY.")
        connection = _setting(binding["connection"], app_settings)
        return binding["name"], EventHubTrigger(binding["eventHubName"], binding.get("consumerGroup", "$Default"), connection)
    raise _BindingError(f"the local host has timer and Event Hubs triggers, no {binding['type']}.")


def _with_settings(value: Any, app_settings: Mapping[str, str]) -> Any:
    """A binding's value with each `%NAME%` replaced by the app setting NAME."""
    if not isinstance(value, str):
        return value
    return _APP_SETTING.sub(lambda match: _setting(match[1], app_settings), value)


def _setting(name: str, app_settings: Mapping[str, str]) -> str:
    if name not in app_settings:
        raise _BindingError(f"the app setting {name} is missing. There are {', '.join(sorted(app_settings))}.")
    return app_settings[name]


def described(functions: list[Function]) -> Iterator[str]:
    """A few words on each function and what starts it."""
    for function in functions:
        if isinstance(function.trigger, TimerTrigger):
            yield f"{function.name} at {function.trigger.schedule.expression}"
        else:
            yield f"{function.name} from hub {function.trigger.hub}"
