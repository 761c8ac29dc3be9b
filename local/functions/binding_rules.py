"""What Azure's Functions worker asks of a function before it takes its app, so that what starts here starts there.

The worker refuses the whole app for one function that breaks a rule. The types a binding takes are asked of the registry that the
worker itself asks (azure-functions); the rest follows the worker's source, and tests/local/functions/test_binding_rules.py holds
it to the worker's own verdict. Stricter in one thing: a trigger's value as str or bytes, which the worker would hand over raw, is
refused.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

import azure.functions as func

RETURN = "$return"


class BindingError(Exception):
    """A function the worker would refuse, or this host can't serve. The text says what to write instead."""


def check_parameters(function: Callable[..., Any], bindings: list[dict[str, Any]]) -> None:
    """Hold a function's parameters and their annotations to its bindings (name, type, direction); raises BindingError."""
    try:
        annotations = typing.get_type_hints(function)
    except Exception as fault:  # whatever an annotation raises when it is evaluated, the worker fails on it too
        raise BindingError(f"its annotations can't be evaluated ({fault}): import their types outside TYPE_CHECKING.") from fault
    bound = {binding["name"]: binding["type"] for binding in bindings if binding["name"] != RETURN}
    declared = list(inspect.signature(function).parameters)
    if "context" in declared and "context" not in bound:
        declared.remove("context")
        _check_context(annotations)
    for name in sorted(set(declared) - set(bound)):
        raise BindingError(f"its parameter {name} has no binding: call it {' or '.join(sorted(bound))}, as the decorator does.")
    for name in sorted(set(bound) - set(declared)):
        raise BindingError(f"its binding {name} has no parameter of that name.")
    for name in declared:
        if name in annotations:
            _check_annotation(name, bound[name], annotations[name])


def _check_context(annotations: dict[str, Any]) -> None:
    context = annotations.get("context")
    if context is not None and getattr(context, "__name__", "") != "Context":
        raise BindingError("its parameter context must be annotated with azure.functions.Context.")


def _check_annotation(name: str, binding: str, annotation: Any) -> None:
    # The worker knows typing's own generics only: list[...] is none of them, nor is Any or a union.
    is_type = isinstance(annotation, type) and not typing.get_args(annotation)
    if not is_type and not _is_generic_of_typing(annotation):
        raise BindingError(
            f"the annotation {annotation!r} of its parameter {name} is neither a class nor a generic of typing: "
            "write typing.List[...] for list[...]."
        )
    try:
        fits = func.get_binding_registry().get(binding).check_input_type_annotation(annotation)
    except TypeError:
        fits = False
    if not fits:
        raise BindingError(f"the annotation {annotation!r} of its parameter {name} does not fit its binding, {binding}.")


def _is_generic_of_typing(annotation: Any) -> bool:
    aliases = (type(typing.List[int]), type(typing.List))  # noqa: UP006 (the aliases of typing are what is asked for)
    return isinstance(annotation, aliases) and typing.get_origin(annotation) not in (typing.Union, tuple, Callable)
