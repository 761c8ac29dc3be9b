"""What the columns of the outputs would be on Azure, where each record has types of its own and a column has none.

A column that the query computes or CASTs has the type it is given. One that only passes from an input to an output has whatever
stands in each event: `21` is a bigint and `21.5` a float. A Delta table, or a table of a database, takes what its first row was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asa_engine.event_files import parts_of_file
from asa_engine.plan import Plan
from asa_engine.syntax import (
    Apply,
    Call,
    Case,
    Expression,
    FieldOf,
    Name,
    NamedSource,
    Query,
    Script,
    Select,
    SelectItem,
    Star,
    SubquerySource,
    Union,
)
from asa_engine.types import FLOAT, NULL, DataType, type_of_json

EACH = "[]"
"""In a path: every element of an array."""
_PASSED_ON = frozenset(("LAG", "LAST", "MIN", "MAX", "COALESCE"))
"""Functions that give one of the values they are given."""
_EVENTS_READ = 100_000
_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Origin:
    """A field of an input's events: the input in lower case, and the way to the field."""

    source: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class ColumnType:
    """A column of an output. `counted`: how many values of each type the sample holds, or, without one, the possible types (0).

    Empty where the query itself fixes the type, which then is `fixed`.
    """

    output: str
    column: str
    fixed: str
    counted: tuple[tuple[str, int], ...]

    @property
    def differs(self) -> bool:
        """Whether records differ in the type of this column."""
        return len(self.counted) > 1

    def __str__(self) -> str:
        if not self.counted:
            return self.fixed
        total = sum(count for _, count in self.counted)
        if not total:
            return " or ".join(name for name, _ in self.counted)
        return ", ".join(f"{name} in {count / total:.0%}" for name, count in self.counted)


def column_types(script: Script, plan: Plan, files: Mapping[str, Path]) -> tuple[ColumnType, ...]:
    """Every column of every output; `files` are events of inputs. Raises StreamEngineError for a file that can't be read."""
    finder = OriginFinder(script)
    origins = {
        (output.name, column.name): frozenset[Origin]().union(
            *(finder.origins(one.query, column.name) for one in script.outputs if one.output.lower() == output.name.lower())
        )
        for output in plan.outputs
        for column in output.columns
    }
    counted = _counted(frozenset[Origin]().union(*origins.values()), {name.lower(): file for name, file in files.items()})
    kinds = {origin: counted.get(origin) or _possible(origin, plan) for found in origins.values() for origin in found}
    return tuple(
        ColumnType(output.name, column.name, str(column.type), _summed(kinds[one] for one in origins[output.name, column.name]))
        for output in plan.outputs
        for column in output.columns
    )


def _summed(counts: Iterable[Counter[str]]) -> tuple[tuple[str, int], ...]:
    total: Counter[str] = Counter()
    for one in counts:
        for name, count in one.items():
            total[name] += count  # not update: a type that may come has none yet
    return tuple(total.most_common())


class OriginFinder:
    """Finds where the values of a column come from."""

    def __init__(self, script: Script) -> None:
        self._steps = {step.name.lower(): step.query for step in script.steps}
        self._declared = {
            table.name.lower(): {column.name.lower(): column.type_name.lower() for column in table.columns}
            for table in script.tables
        }
        self._known: dict[tuple[str, str], frozenset[Origin]] = {}

    def step_behind(self, source: NamedSource | SubquerySource) -> Query | None:
        """The query that a source reads from; None for an input."""
        return source.query if isinstance(source, SubquerySource) else self._steps.get(source.name.lower())

    def origins(self, query: Query, column: str) -> frozenset[Origin]:
        """The fields that a column of a query passes on; none where the query computes it."""
        if isinstance(query, Union):
            return self.origins(query.left, column) | self.origins(query.right, column)
        for item in query.items:
            if not isinstance(item.expression, Star) and _name_of(item) == column.lower():
                return self._of(item.expression, query)
        starred = any(isinstance(item.expression, Star) for item in query.items)
        return self._of(Name(query.items[0].position, (column,)), query) if starred else frozenset()

    def origins_in(self, expression: Expression, select: Select) -> frozenset[Origin]:
        """The same for an expression in a SELECT."""
        return self._of(expression, select)

    def _of(self, expression: Expression, select: Select) -> frozenset[Origin]:
        match expression:
            case Name(parts=parts):
                return self._of_name(parts, select)
            case FieldOf(record=record, field_name=name):
                return _deeper(self._of(record, select), (name,))
            case Call(function="GETARRAYELEMENT", arguments=(array, *_)):
                return _deeper(self._of(array, select), (EACH,))
            case Call(function=function, arguments=arguments) if function in _PASSED_ON:
                chosen = arguments if function == "COALESCE" else arguments[:1]
                return frozenset[Origin]().union(*(self._of(one, select) for one in chosen))
            case Case(branches=branches, otherwise=otherwise):
                return frozenset[Origin]().union(*(self._of(one, select) for one in (*(then for _, then in branches), otherwise)))
        return frozenset()

    def _of_name(self, parts: tuple[str, ...], select: Select) -> frozenset[Origin]:
        first = parts[0].lower()
        for apply in select.applies:
            if apply.alias.lower() == first:
                return self._of_element(apply, parts[1:], select)
        sources = [select.source, *(join.source for join in select.joins)]
        for source in sources:
            if source.alias.lower() == first and len(parts) > 1:
                return self._of_source(source, parts[1:])
        return frozenset[Origin]().union(*(self._of_source(source, parts) for source in sources))

    def _of_element(self, apply: Apply, parts: Sequence[str], select: Select) -> frozenset[Origin]:
        if apply.call.function != "GETARRAYELEMENTS" or not parts or parts[0].lower() != "arrayvalue":
            return frozenset()
        return _deeper(self._of(apply.call.arguments[0], select), (EACH, *parts[1:]))

    def _of_source(self, source: NamedSource | SubquerySource, parts: tuple[str, ...]) -> frozenset[Origin]:
        if isinstance(source, SubquerySource):
            return _deeper(self.origins(source.query, parts[0]), parts[1:])
        name, column = source.name.lower(), parts[0].lower()
        if name not in self._steps:
            declared = self._declared.get(name, {}).get(column, "record")
            return frozenset((Origin(name, parts),)) if declared in ("record", "array") else frozenset()
        if (name, column) not in self._known:
            self._known[name, column] = self.origins(self._steps[name], column)
        return _deeper(self._known[name, column], parts[1:])


def _name_of(item: SelectItem) -> str:
    match item:
        case SelectItem(alias=str(alias)):
            return alias.lower()
        case SelectItem(expression=Name(parts=parts)):
            return parts[-1].lower()
        case SelectItem(expression=FieldOf(field_name=name)):
            return name.lower()
    return ""


def _deeper(origins: frozenset[Origin], path: Sequence[str]) -> frozenset[Origin]:
    return frozenset(Origin(one.source, (*one.path, *path)) for one in origins)


def _possible(origin: Origin, plan: Plan) -> Counter[str]:
    """The types that what is known of an input leaves open: JSON has one kind of numbers, and 21 is a bigint."""
    if origin.source not in plan.inputs:
        return Counter()
    schema = plan.inputs[origin.source].schema
    data_type = next((kind for name, kind in schema.columns.items() if name.lower() == origin.path[0].lower()), NULL)
    for part in origin.path[1:]:
        data_type = _below(data_type, part)
    if data_type == FLOAT:
        return Counter({"bigint": 0, "float": 0})
    if data_type.kind == "any":
        return Counter({"what stands in each event": 0, "another type": 0})
    return Counter() if data_type == NULL else Counter({str(data_type): 0})


def _below(data_type: DataType, part: str) -> DataType:
    if part == EACH:
        return data_type.element or NULL
    found = data_type.field_named(part)
    return found[1] if found else NULL


def _counted(origins: Iterable[Origin], files: Mapping[str, Path]) -> dict[Origin, Counter[str]]:
    """How often each type stands at each origin, in the first hundred thousand events of the files."""
    counted: dict[Origin, Counter[str]] = {origin: Counter() for origin in origins if origin.source in files}
    for source, file in files.items():
        wanted = [origin for origin in counted if origin.source == source]
        for event in _events(file) if wanted else ():
            for origin in wanted:
                counted[origin].update(str(type_of_json(value)) for value in _values(event, origin.path) if value is not None)
    return counted


def _events(file: Path) -> Iterator[Any]:
    left = _EVENTS_READ
    for bodies in parts_of_file(file, _CHARACTERS):
        for body in bodies[:left]:
            try:
                yield json.loads(body)
            except (ValueError, RecursionError):
                continue  # what is no event is counted by no column: `run` reports it
        left -= len(bodies)
        if left <= 0:
            return


def _values(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """What stands at a path, names compared without case."""
    if not path:
        yield value
    elif path[0] == EACH and isinstance(value, list):
        for element in value:
            yield from _values(element, path[1:])
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name.lower() == path[0].lower():
                yield from _values(inner, path[1:])
