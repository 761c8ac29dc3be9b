"""Window definitions as written in GROUP BY: which kind, how long, aligned how."""

from __future__ import annotations

from dataclasses import dataclass

from asa_engine.errors import FaultFound
from asa_engine.syntax import Call, Expression, Literal
from asa_engine.units import duration, shift, wrapped


@dataclass(frozen=True)
class Window:
    """A window (start, end]; lengths in microseconds.

    `identity` is its name inside Windows(), `session_key` the OVER of a session.
    """

    kind: str
    size: int = 0
    hop: int = 0
    offset: int = 0
    timeout: int = 0
    identity: str | None = None
    session_key: tuple[Expression, ...] = ()


SNAPSHOT = Window("SNAPSHOT")
"""Rows of one moment: what GROUP BY System.Timestamp() means where no other window is."""
MOST_WINDOWS = 10_000
"""In so many windows an event may be: each is a row of its own while they are computed."""


def windows_in(expression: Expression) -> list[Window] | None:
    """The windows a GROUP BY entry defines, or None when it is an ordinary grouping key. Raises FaultFound."""
    if not isinstance(expression, Call):
        return None
    if expression.function == "SYSTEM.TIMESTAMP":
        return [SNAPSHOT]
    if expression.function == "WINDOWS":
        return _several(expression)
    window = _single(expression)
    return [window] if window else None


def _several(call: Call) -> list[Window]:
    windows: list[Window] = []
    for argument in call.arguments:
        if not isinstance(argument, Call):
            raise FaultFound(
                argument.position,
                "Windows() lists window definitions.",
                "For example Windows(TumblingWindow(minute, 1), TumblingWindow(hour, 1)).",
            )
        identity, definition = None, argument
        if argument.function == "WINDOW":
            identity, definition = _identified(argument)
        window = SNAPSHOT if definition.function == "SYSTEM.TIMESTAMP" else _single(definition)
        if window is None:
            raise FaultFound(definition.position, f"{definition.function} is not a window.", "Windows() can't be nested.")
        windows.append(Window(window.kind, window.size, window.hop, window.offset, window.timeout, identity, window.session_key))
    identities = [window.identity for window in windows]
    if not windows:
        raise FaultFound(call.position, "Windows() is empty.")
    if None in identities and any(identities):
        raise FaultFound(call.position, "Either every window in Windows() has an identity or none has.")
    named = [identity.lower() for identity in identities if identity]
    if len(set(named)) != len(named):
        raise FaultFound(call.position, "Two windows in Windows() have the same identity (case doesn't matter).")
    return windows


def _identified(call: Call) -> tuple[str, Call]:
    if len(call.arguments) == 2:
        identity, definition = call.arguments
        if isinstance(identity, Literal) and isinstance(identity.value, str) and isinstance(definition, Call):
            return identity.value, definition
    raise FaultFound(
        call.position,
        "Window() takes an identity and a definition.",
        "For example Window('minute', TumblingWindow(minute, 1)).",
    )


def _single(call: Call) -> Window | None:
    kind = call.function.removesuffix("WINDOW")
    if kind not in ("TUMBLING", "HOPPING", "SLIDING", "SESSION"):
        return None
    if call.over is not None and kind != "SESSION":
        raise FaultFound(call.position, "Only a session window takes OVER (PARTITION BY ...).")
    if kind == "SESSION":
        timeout, longest = _lengths(call, ("TIMEOUT", "MAXDURATION"), 2)
        return Window(kind, longest, timeout=timeout, session_key=call.over.partition_by if call.over else ())
    if kind == "HOPPING":
        size, hop = _lengths(call, ("DURATION", "HOP"), 2)
        if size > MOST_WINDOWS * hop:
            text = f"Every event would be in {-(-size // hop):,} windows; {MOST_WINDOWS:,} can be computed here at most."
            raise FaultFound(call.position, text, "Take a longer hop, or aggregate in two steps.")
        return Window(kind, size, hop, _offset(call, 2))
    (size,) = _lengths(call, ("DURATION",), 1)
    return Window(kind, size, size, _offset(call, 1) if kind == "TUMBLING" else 0)


def _lengths(call: Call, names: tuple[str, ...], count: int) -> list[int]:
    """The lengths of a window in either form: `(unit, n, m)` or `(Duration(unit, n), Hop(unit, m))`."""
    arguments = call.arguments
    if arguments and isinstance(arguments[0], Call):
        lengths = []
        for index, name in enumerate(names):
            pair = wrapped(arguments[index], name) if index < len(arguments) else None
            if pair is None:
                raise FaultFound(call.position, f"{call.function} needs {name.title()}(unit, n) as argument {index + 1}.")
            lengths.append(duration(*pair, name.title()))
        return lengths
    if len(arguments) < count + 1:
        raise FaultFound(
            call.position,
            f"{call.function} takes a unit and {count} length{'s' if count > 1 else ''}.",
            f"For example {_EXAMPLES[call.function.removesuffix('WINDOW')]}.",
        )
    return [
        duration(arguments[0], argument, name.title()) for argument, name in zip(arguments[1 : count + 1], names, strict=True)
    ]


def _offset(call: Call, lengths: int) -> int:
    arguments = call.arguments
    if arguments and isinstance(arguments[0], Call):
        if len(arguments) == lengths:
            return 0
        pair = wrapped(arguments[lengths], "OFFSET") if len(arguments) == lengths + 1 else None
        if pair is None:
            raise FaultFound(call.position, f"{call.function} takes Offset(unit, n) as its last argument.")
        return shift(*pair)
    if len(arguments) == lengths + 1:
        return 0
    if len(arguments) > lengths + 2:
        raise FaultFound(call.position, f"{call.function} has too many arguments.")
    return shift(arguments[0], arguments[lengths + 1])


_EXAMPLES = {
    "TUMBLING": "TumblingWindow(minute, 5)",
    "HOPPING": "HoppingWindow(minute, 10, 5)",
    "SLIDING": "SlidingWindow(minute, 5)",
    "SESSION": "SessionWindow(minute, 5, 20)",
}
