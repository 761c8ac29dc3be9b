"""Which inputs are reference data: what the job folder says, or else what the query can only mean."""

from __future__ import annotations

from asa_engine.errors import Fault
from asa_engine.job_folder import JobFolder
from asa_engine.syntax import Call, Join, Name, NamedSource, Script, Select
from asa_engine.tree import nodes_in


def references_of(job: JobFolder, script: Script) -> set[str]:
    """The names of the reference inputs, in lower case.

    A job folder says of what kind each input is. Without one, an input that is only ever joined, without a bound on time, can be
    nothing else: a JOIN of two streams needs one.
    """
    if job.inputs:
        return {name.lower() for name, entry in job.inputs.items() if entry.is_reference}
    return set(_only_joined(script))


def taken_for_references(job: JobFolder, script: Script) -> list[Fault]:
    """A doubt for each input that only the query's form shows to be reference data."""
    if job.inputs:
        return []
    text = "Input {0} is joined without a bound on time, so it is taken for reference data."
    advice = "If it is a stream, add DATEDIFF(second, ...) BETWEEN 0 AND 15 to ON."
    return [Fault(source.position, text.format(source.name), advice) for source in _only_joined(script).values()]


def _only_joined(script: Script) -> dict[str, NamedSource]:
    """The inputs (lower case) whose every use is a JOIN without a bound on time, with the first of them."""
    selects = [node for node in nodes_in(script) if isinstance(node, Select)]
    joins = [join for select in selects for join in select.joins]
    found = {join.source.name.lower(): join.source for join in reversed(joins) if isinstance(join.source, NamedSource)}
    others = [select.source for select in selects] + [join.source for join in joins if _is_timed(join)]
    streams = {source.name.lower() for source in others if isinstance(source, NamedSource)}
    streams |= {step.name.lower() for step in script.steps}
    return {name: source for name, source in found.items() if name not in streams}


def _is_timed(join: Join) -> bool:
    """Whether a joined source has a time: TIMESTAMP BY, or its alias in a DATEDIFF of ON."""
    if isinstance(join.source, NamedSource) and join.source.timestamp_by is not None:
        return True
    calls = [node for node in nodes_in(join.condition) if isinstance(node, Call) and node.function == "DATEDIFF"]
    named = {
        argument.parts[0].lower()
        for call in calls
        for argument in call.arguments
        if isinstance(argument, Name) and len(argument.parts) == 1
    }
    return join.source.alias.lower() in named
