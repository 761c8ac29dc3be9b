"""The SELECT list and HAVING of a windowed SELECT: what may stand there, and how it is computed."""

from __future__ import annotations

from asa_engine.aggregates import Aggregate, AggregateArguments, compile_aggregate
from asa_engine.errors import FaultFound
from asa_engine.expressions import (
    ExpressionCompiler,
    Scope,
    Typed,
    field_of,
)
from asa_engine.functions import AGGREGATES
from asa_engine.syntax import (
    Call,
    Expression,
    FieldOf,
    Name,
)
from asa_engine.types import (
    NVARCHAR,
)


class GroupCompiler(ExpressionCompiler):
    """Compiles the SELECT list and HAVING of a windowed SELECT: grouping keys, aggregates and the window's end.

    `aliases` are the columns of the SELECT list, once they are known: HAVING may use them.
    """

    def __init__(self, rows: ExpressionCompiler, keys: list[Typed], arguments: AggregateArguments) -> None:
        super().__init__(Scope(time_sql="s.__ts", doubts=rows.scope.doubts))
        self.rows = rows
        self.keys = {key.sql: Typed(f's."g{index}"', key.type, frozenset({("", f"g{index}")})) for index, key in enumerate(keys)}
        self.arguments = arguments
        self.aggregates: list[Aggregate] = []
        self.aliases: dict[str, Typed] = {}
        self._known: dict[Expression, Typed] = {}

    def compile(self, node: Expression) -> Typed:
        """Keys first, then aggregates and System.Window().Id, then whatever is built from them."""
        if isinstance(node, Call) and node.function in AGGREGATES:
            if node not in self._known:
                aggregate = compile_aggregate(node, f"f{len(self.aggregates)}", self.arguments)
                self.aggregates.append(aggregate)
                self._known[node] = Typed(f"s.{aggregate.name}", aggregate.type, frozenset({("", aggregate.name)}))
            return self._known[node]
        if (
            isinstance(node, FieldOf)
            and isinstance(node.record, Call)
            and node.record.function == "SYSTEM.WINDOW"
            and node.field_name.lower() == "id"
        ):
            return Typed("s.__id", NVARCHAR)
        if self.keys and not (isinstance(node, Call) and node.function == "SYSTEM.TIMESTAMP"):
            try:
                row_value = self.rows.compile(node)
            except FaultFound:
                row_value = None
            if row_value is not None and row_value.sql in self.keys:
                return self.keys[row_value.sql]
        if isinstance(node, Name):
            if node.parts[0].lower() in self.aliases:
                return self._aliased(node)
            self.rows.compile(node)
            raise FaultFound(
                node.position,
                f"{'.'.join(node.parts)} is neither a GROUP BY key nor inside an aggregate.",
                "Add it to GROUP BY, or take MIN, MAX or TopOne() of it.",
            )
        return super().compile(node)

    def _aliased(self, node: Name) -> Typed:
        """A column of the SELECT list by its alias, which HAVING may use; possibly a field inside of it."""
        value = self.aliases[node.parts[0].lower()]
        for field_name in node.parts[1:]:
            value = field_of(value, field_name, node.position)
        return value
