"""Time units of the language and the lengths of time written with them, in microseconds."""

from __future__ import annotations

from asa_engine.errors import FaultFound
from asa_engine.syntax import Call, Expression, Literal, Name, Unary

_MICROSECONDS = {
    "day": 86_400_000_000,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1_000,
    "microsecond": 1,
}
_SPELLINGS = {
    "day": "day", "dd": "day", "d": "day", "hour": "hour", "hh": "hour", "minute": "minute", "mi": "minute", "n": "minute",
    "second": "second", "ss": "second", "s": "second", "millisecond": "millisecond", "ms": "millisecond",
    "microsecond": "microsecond", "mcs": "microsecond",
}  # fmt: skip
PLURALS = {f"{unit}s": unit for unit in _MICROSECONDS}
"""Units as an example of the reference has them, and not its lists."""
_SPELLINGS |= PLURALS
_CALENDAR_SPELLINGS = {
    "year": "year", "yyyy": "year", "yy": "year", "quarter": "quarter", "qq": "quarter", "q": "quarter",
    "month": "month", "mm": "month", "m": "month", "dayofyear": "dayofyear", "dy": "dayofyear", "y": "dayofyear",
    "week": "week", "wk": "week", "ww": "week", "weekday": "weekday", "dw": "weekday", "w": "weekday",
}  # fmt: skip
_LONGEST = 7 * 86_400_000_000


def unit_named(expression: Expression) -> str:
    """The full name of a unit such as `mi` or `minute`; raises FaultFound for what is not a unit of fixed length."""
    name = _spelled(expression)
    if name not in _SPELLINGS:
        raise FaultFound(expression.position, f"{name!r} is not a unit of time.", f"Use one of {', '.join(_MICROSECONDS)}.")
    return _SPELLINGS[name]


def date_part_named(expression: Expression) -> str:
    """The full name of a date part: a unit of time, or year, quarter, month, dayofyear, week, weekday."""
    name = _spelled(expression)
    known = _CALENDAR_SPELLINGS | _SPELLINGS
    if name not in known:
        parts = ", ".join(dict.fromkeys(known.values()))
        raise FaultFound(expression.position, f"{name!r} is not a part of a date.", f"Use one of {parts}.")
    return known[name]


def microseconds_of(unit: str) -> int:
    """The length of a unit (full name)."""
    return _MICROSECONDS[unit]


def number_of(expression: Expression, what: str) -> int | float:
    """The value of a number written in the query, with its sign; raises FaultFound for anything else."""
    if isinstance(expression, Unary) and expression.operator in "+-":
        value = number_of(expression.operand, what)
        return -value if expression.operator == "-" else value
    if isinstance(expression, Literal) and isinstance(expression.value, int | float):
        return expression.value
    raise FaultFound(expression.position, f"{what} must be a number written in the query.")


def duration(unit: Expression, size: Expression, what: str, longest: int | None = _LONGEST) -> int:
    """`(unit, size)` in microseconds. Raises FaultFound when it isn't positive or longer than 7 days (or `longest`)."""
    length = _whole(size, what) * microseconds_of(unit_named(unit))
    if length <= 0:
        raise FaultFound(size.position, f"{what} must be longer than nothing.")
    if longest is not None and length > longest:
        raise FaultFound(size.position, f"{what} can't be longer than 7 days.")
    return length


def shift(unit: Expression, size: Expression) -> int:
    """An offset `(unit, size)` in microseconds, of either sign."""
    return _whole(size, "The offset") * microseconds_of(unit_named(unit))


def _whole(size: Expression, what: str) -> int:
    number = number_of(size, what)
    if not isinstance(number, int):
        raise FaultFound(size.position, f"{what} must be a whole number.", "Use a smaller unit.")
    return number


def spelled_out(length: int) -> str:
    """A length in microseconds as people say it, in the largest unit that fits it whole: 7 days."""
    unit, size = next((unit, size) for unit, size in _MICROSECONDS.items() if length % size == 0)
    count = length // size
    return f"{count} {unit}{'' if count == 1 else 's'}"


def wrapped(expression: Expression, *names: str) -> tuple[Expression, Expression] | None:
    """The unit and size inside `Duration(unit, n)`, `Hop(...)` and the like; None when it is none of `names`."""
    if isinstance(expression, Call) and expression.function in names and len(expression.arguments) == 2:
        return expression.arguments[0], expression.arguments[1]
    return None


def _spelled(expression: Expression) -> str:
    if isinstance(expression, Name) and len(expression.parts) == 1:
        return expression.parts[0].lower()
    raise FaultFound(expression.position, "A unit of time expected.", f"Use one of {', '.join(_MICROSECONDS)}.")
