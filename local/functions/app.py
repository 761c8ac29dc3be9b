"""Function apps as the host sees them: which functions there are, and what starts each, read from their own bindings."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.functions.binding_rules import RETURN, BindingError, check_parameters
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
class HttpTrigger:
    """Starts a function for each request of a route. This host checks such functions and serves none of them."""

    route: str


Trigger = TimerTrigger | EventHubTrigger | HttpTrigger


@dataclass(frozen=True)
class Function:
    """A function: what to call, with which argument, and what starts it."""

    name: str
    call: Callable[..., Any]
    argument: str
    trigger: Trigger


def load_functions(module: str, app_settings: Mapping[str, str]) -> list[Function]:
    """The functions of the `app` in a module; raises PartError when it can't be loaded or needs what this host has not."""
    try:
        app = importlib.import_module(module).app
        builders = app.get_functions()
    except (ImportError, AttributeError, ValueError) as fault:
        raise PartError(f"{module} is not a function app: {fault}.") from fault
    functions = []
    for builder in builders:
        name = builder.get_function_name()
        bindings = [json.loads(binding) for binding in builder.get_raw_bindings()]
        try:
            argument, trigger = _trigger(bindings, app_settings)
            check_parameters(builder.get_user_function(), bindings)
        except (BindingError, ScheduleError) as fault:
            raise PartError(f"{module}.{name}: {fault}") from fault
        functions.append(Function(name, builder.get_user_function(), argument, trigger))
    return functions


def _trigger(bindings: list[dict[str, Any]], app_settings: Mapping[str, str]) -> tuple[str, Trigger]:
    answered = {binding["type"]: binding for binding in bindings if binding["name"] != RETURN}
    if len(answered) != 1 or (len(bindings) > 1 and "httpTrigger" not in answered):
        others = ", ".join(sorted(binding["type"] for binding in bindings))
        raise BindingError(f"the local host serves functions with one trigger and no other bindings, not {others}.")
    (binding,) = answered.values()
    binding = {key: _with_settings(value, app_settings) for key, value in binding.items()}
    if binding["type"] == "httpTrigger":
        return binding["name"], HttpTrigger(binding["route"])
    if binding["type"] == "timerTrigger":
        return binding["name"], TimerTrigger(Schedule(binding["schedule"]))
    if binding["type"] == "eventHubTrigger":
        if binding["cardinality"] != "MANY":
            raise BindingError("the local host gives events in batches: declare the trigger with Cardinality.MANY.")
        connection = _setting(binding["connection"], app_settings)
        return binding["name"], EventHubTrigger(binding["eventHubName"], binding.get("consumerGroup", "$Default"), connection)
    raise BindingError(f"the local host has timer and Event Hubs triggers, no {binding['type']}.")


def _with_settings(value: Any, app_settings: Mapping[str, str]) -> Any:
    """A binding's value with each `%NAME%` replaced by the app setting NAME."""
    if not isinstance(value, str):
        return value
    return _APP_SETTING.sub(lambda match: _setting(match[1], app_settings), value)


def _setting(name: str, app_settings: Mapping[str, str]) -> str:
    if name not in app_settings:
        raise BindingError(f"the app setting {name} is missing. There are {', '.join(sorted(app_settings))}.")
    return app_settings[name]


def described(functions: list[Function]) -> Iterator[str]:
    """A few words on each function and what starts it."""
    for function in functions:
        if isinstance(function.trigger, TimerTrigger):
            yield f"{function.name} {function.trigger.schedule.words}"
        elif isinstance(function.trigger, EventHubTrigger):
            yield f"{function.name} from hub {function.trigger.hub}"
