"""Reads the time bound out of the ON clause of a stream join.

The service requires `DATEDIFF(unit, a, b)` over the aliases of both sides, bounded from below and above. The distance is elapsed
time, not crossed boundaries (the documentation says both; see the lint).
"""

from __future__ import annotations

from asa_engine.errors import FaultFound
from asa_engine.join_step import TimeBound
from asa_engine.syntax import Between, Binary, Call, Expression, Join, Name
from asa_engine.units import microseconds_of, number_of, unit_named

_LONGEST = 7 * 86_400_000_000
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def time_bound(join: Join, left_alias: str, right_alias: str) -> tuple[TimeBound, Expression | None]:
    """The bound of a join and what is left of its condition. Raises FaultFound when there is no bound on both ends."""
    aliases = (left_alias.lower(), right_alias.lower())
    lows: list[int] = []
    highs: list[int] = []
    rest: list[Expression] = []
    for part in _conjuncts(join.condition):
        found = _bound(part, aliases)
        if found is None:
            rest.append(part)
            continue
        low, high = found
        lows += [low] if low is not None else []
        highs += [high] if high is not None else []
    if not lows or not highs:
        raise FaultFound(
            join.position,
            "A JOIN of two streams needs a time bound.",
            f"Only reference data has none. Add to ON for example: DATEDIFF(second, {left_alias}, {right_alias}) "
            "BETWEEN 0 AND 15.",
        )
    low, high = max(lows), min(highs)
    if max(abs(low), abs(high)) > _LONGEST:
        raise FaultFound(join.position, "The time bound of a JOIN can't be longer than 7 days.")
    return TimeBound(low, high), _joined(rest)


def _conjuncts(condition: Expression) -> list[Expression]:
    if isinstance(condition, Binary) and condition.operator == "AND":
        return [*_conjuncts(condition.left), *_conjuncts(condition.right)]
    return [condition]


def _joined(parts: list[Expression]) -> Expression | None:
    result: Expression | None = None
    for part in parts:
        result = part if result is None else Binary(part.position, "AND", result, part)
    return result


def _bound(part: Expression, aliases: tuple[str, str]) -> tuple[int | None, int | None] | None:
    """The bounds (right time - left time, microseconds) one condition sets; None if it sets none."""
    if isinstance(part, Between) and not part.negated:
        distance = _distance(part.operand, aliases)
        if distance is None:
            return None
        if number_of(part.low, "A bound of DATEDIFF") > number_of(part.high, "A bound of DATEDIFF"):
            raise FaultFound(part.position, "The bounds of BETWEEN are the wrong way round.")
        low, high = sorted(round(distance * number_of(end, "A bound of DATEDIFF")) for end in (part.low, part.high))
        return low, high
    if not isinstance(part, Binary) or part.operator not in ("=", "<", "<=", ">", ">="):
        return None
    operator, bound = part.operator, part.right
    distance = _distance(part.left, aliases)
    if distance is None:
        distance = _distance(part.right, aliases)
        operator, bound = _MIRRORED.get(operator, operator), part.left
    if distance is None:
        return None
    value = round(distance * number_of(bound, "A bound of DATEDIFF"))
    if operator == "=":
        return value, value
    open_end = 1 if operator in ("<", ">") else 0
    is_upper = (operator in ("<", "<=")) == (distance > 0)
    return (None, value - open_end) if is_upper else (value + open_end, None)


def _distance(node: Expression, aliases: tuple[str, str]) -> int | None:
    """What one unit of `DATEDIFF(unit, a, b)` over both aliases means in right time - left time (microseconds, signed)."""
    if not isinstance(node, Call) or node.function != "DATEDIFF" or len(node.arguments) != 3:
        return None
    order = tuple(_alias(argument) for argument in node.arguments[1:])
    if order == aliases:
        return microseconds_of(unit_named(node.arguments[0]))
    if order == aliases[::-1]:
        return -microseconds_of(unit_named(node.arguments[0]))
    return None


def _alias(node: Expression) -> str:
    return node.parts[0].lower() if isinstance(node, Name) and len(node.parts) == 1 else ""
