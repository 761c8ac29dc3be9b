"""What runs here but may run differently on Azure: places where the documentation contradicts itself or is silent.

`check` reports each with the way to write it so that every reading gives the same result. Our own query has none of them.
"""

from __future__ import annotations

from asa_engine.errors import Fault, Position
from asa_engine.functions import WINDOWS
from asa_engine.syntax import (
    COMPARISONS,
    Between,
    Binary,
    Call,
    Case,
    Expression,
    In,
    Join,
    Like,
    Literal,
    Name,
    Over,
    Script,
    Select,
    Unary,
    Union,
)
from asa_engine.tree import nodes_in
from asa_engine.units import PLURALS

_TIMED = WINDOWS | {
    "DURATION",
    "HOP",
    "TIMEOUT",
    "MAXDURATION",
    "OFFSET",
    "DATEADD",
    "DATEDIFF",
    "DATEPART",
    "DATENAME",
    "ISFIRST",
}
"""Functions that begin with a unit of time."""
_EXACT_UNITS = frozenset(("millisecond", "ms", "microsecond", "mcs"))


def lint(script: Script) -> list[Fault]:
    """Every doubtful place of a query, in the order of the text."""
    found: list[Fault] = []
    for node in nodes_in((*script.steps, *script.outputs)):
        match node:
            case Binary(operator=operator, left=left, right=right) if operator in COMPARISONS:
                found += _text_comparison(left, right)
            case In(operand=operand, values=values):
                for value in values:
                    found += _text_comparison(operand, value)
            case Like(operand=operand, pattern=pattern):
                found += _text_comparison(operand, pattern)
            case Case(operand=operand, branches=branches) if operand is not None:
                for when, _ in branches:
                    found += _text_comparison(operand, when)
            case Call(function="SESSIONWINDOW" | "SESSION"):
                found.append(
                    Fault(
                        node.position,
                        "A session's end is documented roughly: a gap of exactly the timeout, and when the maximum is checked.",
                        "Use LAG to find gaps, or a tumbling window.",
                    )
                )
            case Join():
                found += _join_units(node)
            case Call(function=function, arguments=(Name(parts=(unit,)), *_)) if unit.lower() in PLURALS and function in _TIMED:
                found.append(_plural(node.position, unit))
            case Over(limit=(Name(parts=(unit,)), _)) if unit.lower() in PLURALS:
                found.append(_plural(node.position, unit))
            case Union(says_all=True):
                found.append(Fault(node.position, "UNION ALL isn't in the reference, but runs on Azure.", "UNION does the same."))
            case Select(distinct=True):
                text = "SELECT DISTINCT isn't in the reference; here equal rows of one moment become one."
                found.append(Fault(node.position, text, "GROUP BY the columns and a window."))
            case Call(function="GETELEMENTS"):
                text = "GetElements isn't in the reference any more, but runs on Azure."
                found.append(Fault(node.position, text, "Write GetArrayElements."))
            case Unary(operator="NOT", operand=operand) if any(_compares(inner) for inner in nodes_in(operand)):
                found.append(
                    Fault(
                        node.position,
                        "What NOT makes of a comparison with NULL isn't documented; the comparison itself is called false.",
                        "Turn the comparison round, and say what NULL means (x <> 1 OR x IS NULL).",
                    )
                )
    return sorted(set(found), key=lambda fault: fault.position)


def _plural(position: Position, unit: str) -> Fault:
    text = f"An example of the reference has a unit like {unit}, its lists don't."
    return Fault(position, text, f"Write {PLURALS[unit.lower()]}.")


def _compares(node: object) -> bool:
    if isinstance(node, Binary):
        return node.operator in COMPARISONS
    return isinstance(node, In | Like | Between)


def _text_comparison(left: Expression, right: Expression) -> list[Fault]:
    """A text with letters compared with something whose case isn't settled."""
    for value, other in ((left, right), (right, left)):
        has_letters = isinstance(value, Literal) and isinstance(value.value, str) and value.value.lower() != value.value.upper()
        if has_letters and not _case_is_settled(other):
            text = "Whether texts compare with or without regard to case isn't documented (its examples say both)."
            return [Fault(value.position, text, "Compare LOWER(x) or UPPER(x).")]
    return []


def _case_is_settled(node: Expression) -> bool:
    return isinstance(node, Literal) or (isinstance(node, Call) and node.function in ("LOWER", "UPPER", "GETTYPE", "DATENAME"))


def _join_units(join: Join) -> list[Fault]:
    found = []
    for node in nodes_in(join.condition):
        is_distance = isinstance(node, Call) and node.function == "DATEDIFF" and isinstance(node.arguments[0], Name)
        if is_distance and node.arguments[0].parts[0].lower() not in _EXACT_UNITS:
            text = "Whether DATEDIFF in a JOIN counts elapsed time or crossed boundaries isn't clear below one unit."
            found.append(Fault(node.position, text, "Use millisecond."))
    return found
