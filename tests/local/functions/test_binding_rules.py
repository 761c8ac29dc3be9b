"""The local host takes a function where Azure's worker takes it, and refuses it where the worker does."""

from __future__ import annotations

import itertools
import sys
import typing
from collections.abc import Callable, Iterator
from typing import Any

import azure.functions as func
import pytest

from local.functions.binding_rules import BindingError, check_parameters
from tests.processors.functions_worker.drive import PROTOS
from tests.support.tools import JUDGES, missing

TRIGGERS: dict[str, Callable[[Any], Any]] = {
    "timer": lambda app: app.timer_trigger(schedule="* * * * * *", arg_name="given"),
    "events": lambda app: app.event_hub_message_trigger(
        arg_name="given", event_hub_name="hub", connection="HUBS", cardinality=func.Cardinality.MANY
    ),
    "route": lambda app: app.route(route="path"),
}
ANNOTATIONS: dict[str, Any] = {
    "none": None,
    "TimerRequest": func.TimerRequest,
    "EventHubEvent": func.EventHubEvent,
    "HttpRequest": func.HttpRequest,
    "typing.List": typing.List[func.EventHubEvent],  # noqa: UP006
    "typing.Sequence": typing.Sequence[func.EventHubEvent],
    "typing.Iterable": typing.Iterable[func.EventHubEvent],
    "typing.List of another": typing.List[func.TimerRequest],  # noqa: UP006
    "typing.List bare": typing.List,  # noqa: UP006
    "list": list[func.EventHubEvent],
    "list bare": list,
    "union": typing.Union[func.EventHubEvent, func.TimerRequest],  # noqa: UP007
    "optional": typing.Optional[func.TimerRequest],  # noqa: UP045
    "new union": func.TimerRequest | None,
    "tuple": typing.Tuple[func.EventHubEvent],  # noqa: UP006
    "callable": typing.Callable[[], None],
    "Any": Any,
    "object": object,
    "int": int,
    "dict": dict[str, int],
    "a name that is nowhere": "Nowhere",
    "a name as text": "func.TimerRequest",
}
PARAMETERS = ["{given}", "req", "other", "{given}, other", "", "{given}, context", "context", "{given}, *rest", "*, {given}"]
PARAMETERS += ["{given}=None", "{given}, context: int", "{given}, context: func.Context"]


@pytest.fixture(scope="module")
def worker_takes() -> Iterator[Callable[[Any], bool]]:
    """Whether Microsoft's worker takes a function (as a builder of azure-functions); in this process, for speed."""
    folder = JUDGES / "functions_worker"
    if not folder.exists():
        missing("Microsoft's Functions worker is missing: `make test` installs it into .judges")
    sys.path.append(str(folder))
    from azure_functions_runtime.bindings.meta import load_binding_registry
    from azure_functions_runtime.functions import Registry

    load_binding_registry()

    def takes(builder: Any) -> bool:
        try:
            Registry().add_indexed_function(builder, PROTOS)
        except Exception:  # noqa: BLE001 (the worker fails on whatever comes up)
            return False
        return True

    yield takes
    sys.path.remove(str(folder))


def function_of(parameters: str, annotation: Any) -> Callable[..., Any]:
    """A function with these parameters; the one for the binding, `given` or `req`, has the annotation."""
    space: dict[str, Any] = {}
    exec(f"def f({parameters}): ...", {"func": func, "__name__": __name__}, space)
    function: Callable[..., Any] = space["f"]
    name = "req" if "req" in parameters else "given"
    if annotation is not None and name in parameters:
        function.__annotations__[name] = annotation
    return function


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_its_verdict_is_the_workers(trigger: str, worker_takes: Callable[[Any], bool]) -> None:
    differ = []
    taken = 0
    for (annotation_name, annotation), text in itertools.product(ANNOTATIONS.items(), PARAMETERS):
        parameters = text.format(given="req" if trigger == "route" else "given")
        app = func.FunctionApp()
        TRIGGERS[trigger](app)(function_of(parameters, annotation))
        (builder,) = app.get_functions()
        bindings = [binding.get_dict_repr() for binding in builder.get_bindings()]
        try:
            check_parameters(builder.get_user_function(), bindings)
            ours = True
        except BindingError:
            ours = False
        theirs = worker_takes(builder)
        taken += theirs
        if ours != theirs:
            differ.append(f"({parameters}) with {annotation_name}: the worker {'takes' if theirs else 'refuses'} it")
    assert not differ
    assert taken > 5, "the worker takes something at all"


def test_what_the_worker_hands_over_raw_is_refused(worker_takes: Callable[[Any], bool]) -> None:
    """The one thing we are stricter in: this host has no raw form of a timer or of events."""
    for annotation in (str, bytes):
        app = func.FunctionApp()
        TRIGGERS["timer"](app)(function_of("given", annotation))
        (builder,) = app.get_functions()
        assert worker_takes(builder)
        with pytest.raises(BindingError, match="does not fit its binding, timerTrigger"):
            check_parameters(builder.get_user_function(), [binding.get_dict_repr() for binding in builder.get_bindings()])


@pytest.mark.parametrize(
    ("parameters", "annotation", "said"),
    [
        ("request", None, "its parameter request has no binding: call it given, as the decorator does."),
        ("given, more", None, "its parameter more has no binding"),
        ("", None, "its binding given has no parameter of that name."),
        ("given", list[func.EventHubEvent], r"write typing\.List\[\.\.\.\] for list\[\.\.\.\]\."),
        ("given", func.EventHubEvent, "does not fit its binding, timerTrigger"),
        ("given", "Nowhere", r"its annotations can't be evaluated \(name 'Nowhere' is not defined\)"),
    ],
)
def test_a_refusal_says_what_to_write(parameters: str, annotation: Any, said: str) -> None:
    bindings = [{"name": "given", "type": "timerTrigger"}]
    with pytest.raises(BindingError, match=said):
        check_parameters(function_of(parameters, annotation), bindings)
