"""How it is known that what a query is made of does the same on Azure: recorded, documented, or unproven.

Recorded: rows of the real engine, public or in a folder given to `replay`, came out equal. Documented: the reference has it, and
`tests/test_documented_functions.py` its examples. Unproven: the reference is silent or contradicts itself (lint.py says where).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asa_engine.errors import Fault, Position
from asa_engine.syntax import Apply, Between, Call, Case, Cast, In, Join, Like, NamedSource, Node, Script, Select, Unary, Union
from asa_engine.tree import nodes_in

RECORDED = frozenset(("CASE", "DATEDIFF", "HOPPINGWINDOW", "LAG", "TIMESTAMP BY", "TOPONE"))
"""In the recordings that public repositories have: 7,452 windows of four runs, and 1,090 rows of a job of 2025."""

_PARTS = frozenset(("DURATION", "HOP", "MAXDURATION", "OFFSET", "TIMEOUT"))
"""Written as functions, and part of what they stand in."""


@dataclass(frozen=True)
class Evidence:
    """A construct of a query, how often it stands there, and how it is known what it does: recorded, documented or unproven."""

    construct: str
    times: int
    mark: str


def evidence(script: Script, doubts: Iterable[Fault]) -> tuple[Evidence, ...]:
    """Every construct of a query by its name. One with a doubt (of `lint`) at any of its places is unproven."""
    doubtful = {doubt.position for doubt in doubts}
    times: Counter[str] = Counter()
    unproven: set[str] = set()
    for name, places in _constructs(script):
        times[name] += 1
        if doubtful & places:
            unproven.add(name)
    return tuple(Evidence(name, times[name], _mark(name, unproven)) for name in sorted(times))


def _mark(name: str, unproven: set[str]) -> str:
    if name in unproven:
        return "unproven"
    return "recorded" if name.upper() in RECORDED else "documented"


def _constructs(script: Script) -> Iterator[tuple[str, set[Position]]]:
    """Each construct with the places at which a doubt about it may be reported: its own and those of what it compares."""
    for node in nodes_in((*script.steps, *script.outputs)):
        if (name := _name_of(node)) is not None:
            within = isinstance(node, Case | In | Like | Between | Unary | Join)
            yield name, {below.position for below in nodes_in(node) if isinstance(below, Node)} if within else {node.position}


def _name_of(node: object) -> str | None:
    match node:
        case Call(function=function) if function not in _PARTS:
            aggregated = node.over is not None and node.function not in ("LAG", "LAST", "ISFIRST")
            return f"{node.spelled or node.function}{' OVER' if aggregated else ''}"
        case Select(distinct=True):
            return "SELECT DISTINCT"
        case Union(says_all=says_all):
            return "UNION ALL" if says_all else "UNION"
        case NamedSource() if node.timestamp_by is not None:
            return "TIMESTAMP BY"
        case Unary(operator="NOT"):
            return "NOT"
        case Cast(safe=safe):
            return "TRY_CAST" if safe else "CAST"
        case Case() | In() | Like() | Between() | Join() | Apply():
            return type(node).__name__.upper()
    return None
