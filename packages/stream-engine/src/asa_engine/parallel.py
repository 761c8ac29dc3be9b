"""Which steps of a query keep Azure from running its partitions side by side.

A job is parallel when all its inputs, all keyed steps and all outputs to hubs have one key: the input's `PartitionKey`, or
PartitionId where it names none. Steps without a key (filters, projections, joins with reference data) don't count. Source:
learn.microsoft.com/azure/stream-analytics/stream-analytics-parallelization. Whether OVER has to hold the key is on no page; it is
taken for keyed, as GROUP BY is. Before compatibility level 1.2 the key is PartitionId, and every SELECT has to say PARTITION BY.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from asa_engine.column_types import OriginFinder
from asa_engine.job_folder import JobInput, JobOutput
from asa_engine.syntax import Binary, Call, Expression, Join, Name, NamedSource, Query, Script, Select
from asa_engine.tree import nodes_in, parts_of

PARTITION = "PartitionId"
"""The key of an input that names none, at compatibility level 1.2."""
ADDED_UP = "it adds up over {0} what each counted, on one V2 unit: right where few rows reach it"
EXPLICIT, IMPLICIT = ("1.0", "1.1"), "1.2"
"""Compatibility levels at which a query says PARTITION BY, and the one from which it needs not."""


@dataclass(frozen=True)
class Keyed:
    """A keyed place of a query: in which step or output, what it is keyed by, and why it breaks the partitions (or "")."""

    name: str
    by: str
    breaks: str


def keyed_places(
    script: Script, inputs: Mapping[str, JobInput], outputs: Mapping[str, JobOutput], level: str = IMPLICIT
) -> tuple[Keyed, ...]:
    """Every keyed place, in the order of the text; the outputs' own keys last. `level`: the job's compatibility level."""
    is_implicit = level not in EXPLICIT
    key = key_of(inputs) if is_implicit else PARTITION
    references = {one.name.lower() for one in inputs.values() if one.is_reference}
    named = [(step.name, step.query) for step in script.steps] + [(one.output, one.query) for one in script.outputs]
    finder = OriginFinder(script)
    found = [_inputs(inputs)] if key is None else []
    for name, query in named:
        if not is_implicit:
            found += _without_partition_by(name, query)
        found += _of_query(name, query, key or PARTITION, references, finder)
    return (*found, *_of_outputs(outputs, key or PARTITION))


def key_of(inputs: Mapping[str, JobInput]) -> str | None:
    """The one key of all streams; None where they have several."""
    keys = {
        (one.partition_key or PARTITION).lower(): one.partition_key or PARTITION
        for one in inputs.values()
        if not one.is_reference
    }
    return next(iter(keys.values()), PARTITION) if len(keys) < 2 else None


def _inputs(inputs: Mapping[str, JobInput]) -> Keyed:
    reported = ", ".join(f"{one.name} by {one.partition_key or PARTITION}" for one in inputs.values() if not one.is_reference)
    return Keyed("inputs", reported, "give all inputs one PartitionKey")


def _without_partition_by(name: str, query: Query) -> Iterator[Keyed]:
    for node in nodes_in(query):
        if isinstance(node, Select) and isinstance(node.source, NamedSource) and not node.source.partition_by:
            yield Keyed(name, f"FROM {node.source.name}", f"add PARTITION BY {PARTITION}, or set compatibility level {IMPLICIT}")


def _of_query(name: str, query: Query, key: str, references: set[str], finder: OriginFinder) -> Iterator[Keyed]:
    for select in (node for node in nodes_in(query) if isinstance(node, Select)):
        for node in _within(select):
            match node:
                case Select(group_by=columns) if columns:
                    yield _place(name, "GROUP BY", columns, key, select, finder)
                case Call(over=over) if over is not None:
                    yield _place(name, f"{node.spelled or node.function} OVER", over.partition_by, key, select, finder)
                case NamedSource(partition_by=columns) if columns and key.lower() not in _lower(columns):
                    reported = f"PARTITION BY {', '.join(_names(columns))}"
                    yield Keyed(name, reported, f"leave it out: it shuffles the events, which come by {key}")
                case Join(source=source) if not (isinstance(source, NamedSource) and source.name.lower() in references):
                    yield _place(name, "JOIN", _equal(node), key, select, finder)


def _within(select: Select) -> Iterator[object]:
    """A SELECT and what is in it, without the SELECTs in parentheses: they have their own turn."""
    waiting: list[object] = [select]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Select) and node is not select:
            continue
        yield node
        waiting += reversed(parts_of(node))


def _place(name: str, what: str, columns: Sequence[Expression], key: str, select: Select, finder: OriginFinder) -> Keyed:
    names = _names(columns)
    reported = f"{what} {', '.join(names)}" if names else f"{what} nothing"
    held = [one for one in columns if isinstance(one, Name) and one.parts[-1].lower() == key.lower()]
    if not held:
        added_up = what == "GROUP BY" and _is_grouped_by(finder.step_behind(select.source), key)
        return Keyed(name, reported, ADDED_UP.format(key) if added_up else f"add {key}")
    origins = finder.origins_in(held[0], select)
    is_the_inputs = any(origin.path[-1].lower() == key.lower() for origin in origins)
    return Keyed(name, reported, "" if is_the_inputs else f"take {key} as the input has it: here another column has its name")


def _of_outputs(outputs: Mapping[str, JobOutput], key: str) -> Iterator[Keyed]:
    for output in outputs.values():
        if output.hub is not None:
            same = (output.partition_key or "").lower() == key.lower()
            reported = f"writes by {output.partition_key}" if output.partition_key else "writes by no key"
            yield Keyed(
                output.name, reported, "" if same else f"write by {key}, into a hub with as many partitions as the input's"
            )


def _is_grouped_by(query: Query | None, key: str) -> bool:
    return isinstance(query, Select) and key.lower() in _lower(query.group_by)


def _lower(expressions: Iterable[object]) -> set[str]:
    return {name.lower() for name in _names(expressions)}


def _names(expressions: Iterable[object]) -> list[str]:
    """The columns among some expressions, without the alias of what they come from."""
    return [one.parts[-1] for one in expressions if isinstance(one, Name)]


def _equal(join: Join) -> list[Expression]:
    """The columns that both sides of a join have equal."""
    compared = [(node.left, node.right) for node in nodes_in(join.condition) if isinstance(node, Binary) and node.operator == "="]
    sides = [(left, right) for left, right in compared if isinstance(left, Name) and isinstance(right, Name)]
    return [left for left, right in sides if left.parts[-1].lower() == right.parts[-1].lower()]
