"""Which steps of a query keep Azure from running its partitions side by side.

A job is parallel when all its inputs, all keyed steps and all outputs to hubs have one key: the input's `PartitionKey`, or
PartitionId where it names none. Steps without a key (filters, projections, joins with reference data) don't count. Source:
learn.microsoft.com/azure/stream-analytics/stream-analytics-parallelization. Whether OVER has to hold the key is on no page; it is
taken for keyed, as GROUP BY is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from asa_engine.job_folder import JobInput, JobOutput
from asa_engine.syntax import Binary, Call, Join, Name, NamedSource, Query, Script, Select
from asa_engine.tree import nodes_in

PARTITION = "PartitionId"
"""The key of an input that names none, at compatibility level 1.2."""


@dataclass(frozen=True)
class Keyed:
    """A keyed place of a query: in which step or output, what it is keyed by, and why it breaks the partitions (or "")."""

    name: str
    by: str
    breaks: str


def keyed_places(script: Script, inputs: Mapping[str, JobInput], outputs: Mapping[str, JobOutput]) -> tuple[Keyed, ...]:
    """Every keyed place, in the order of the text; the outputs' own keys last."""
    key = key_of(inputs)
    references = {one.name.lower() for one in inputs.values() if one.is_reference}
    found = [_inputs(inputs)] if key is None else []
    named = [(step.name, step.query) for step in script.steps] + [(one.output, one.query) for one in script.outputs]
    found += [place for name, query in named for place in _of_query(name, query, key or PARTITION, references)]
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
    told = ", ".join(f"{one.name} by {one.partition_key or PARTITION}" for one in inputs.values() if not one.is_reference)
    return Keyed("inputs", told, "give all inputs one PartitionKey")


def _of_query(name: str, query: Query, key: str, references: set[str]) -> Iterator[Keyed]:
    for node in nodes_in(query):
        match node:
            case Select(group_by=columns) if columns:
                yield _place(name, "GROUP BY", _names(columns), key)
            case Call(over=over) if over is not None:
                yield _place(name, f"{node.spelled or node.function} OVER", _names(over.partition_by), key)
            case Join(source=source) if not (isinstance(source, NamedSource) and source.name.lower() in references):
                yield _place(name, "JOIN", _equal(node), key)


def _place(name: str, what: str, names: list[str], key: str) -> Keyed:
    holds = key.lower() in {one.lower() for one in names}
    told = f"{what} {', '.join(names)}".strip()
    return Keyed(name, told if names else f"{what} nothing", "" if holds else f"add {key}")


def _of_outputs(outputs: Mapping[str, JobOutput], key: str) -> Iterator[Keyed]:
    for output in outputs.values():
        if output.hub is not None:
            same = (output.partition_key or "").lower() == key.lower()
            told = f"writes by {output.partition_key}" if output.partition_key else "writes by no key"
            yield Keyed(output.name, told, "" if same else f"write by {key}, into a hub with as many partitions as the input's")


def _names(expressions: Iterable[object]) -> list[str]:
    """The columns among some expressions, without the alias of what they come from."""
    return [one.parts[-1] for one in expressions if isinstance(one, Name)]


def _equal(join: Join) -> list[str]:
    """The columns that both sides of a join have equal."""
    compared = [(node.left, node.right) for node in nodes_in(join.condition) if isinstance(node, Binary) and node.operator == "="]
    sides = [(left.parts[-1], right.parts[-1]) for left, right in compared if isinstance(left, Name) and isinstance(right, Name)]
    return [left for left, right in sides if left.lower() == right.lower()]
