"""The aggregates of the language: types, argument rules, and DuckDB SQL over the columns that hold their arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asa_engine.errors import Fault, FaultFound
from asa_engine.expressions import ExpressionCompiler, Typed, as_text, combined, converted, without_infinities
from asa_engine.syntax import Call, Cast, Name, OrderItem, Star
from asa_engine.types import BIGINT, FLOAT, NVARCHAR, DataType, array_of, quoted, record_of
from asa_engine.units import number_of


@dataclass(frozen=True)
class Aggregate:
    """One aggregate of a windowed SELECT: its result column, the columns of its arguments, and its SQL given a row order."""

    name: str
    arguments: tuple[str, ...]
    type: DataType
    sql: Callable[[str], str]


class AggregateArguments:
    """Collects the arguments of all aggregates of a SELECT as columns `x0`, `x1`, ... of the rows to aggregate."""

    def __init__(self, rows: ExpressionCompiler, whole_row: Callable[[], Typed]) -> None:
        self.rows = rows
        self.whole_row = whole_row
        self.columns: list[Typed] = []

    def column(self, value: Typed) -> str:
        """The name of the column that holds a value."""
        for index, known in enumerate(self.columns):
            if known.sql == value.sql:
                return f"x{index}"
        self.columns.append(value)
        return f"x{len(self.columns) - 1}"


def compile_aggregate(call: Call, name: str, arguments: AggregateArguments) -> Aggregate:
    """The aggregate a call stands for; raises FaultFound when it is written wrongly."""
    function = call.function
    if call.over is not None and (call.over.partition_by or call.over.limit or call.over.when):
        raise FaultFound(
            call.position,
            f"{function} takes no PARTITION BY, LIMIT DURATION or WHEN; SUM, AVG, MIN, MAX and COUNT take them with a limit.",
            "Use GROUP BY with a window.",
        )
    if function in ("TOPONE", "COLLECTTOP", "PERCENTILE_CONT", "PERCENTILE_DISC"):
        if call.over is None or not call.over.order_by:
            raise FaultFound(call.position, f"{function} needs OVER (ORDER BY ...).")
        return _ranked(call, name, arguments, call.over.order_by)
    if call.over is not None:
        raise FaultFound(call.position, f"{function} takes no OVER.")
    if function in ("COUNT", "COUNT_BIG"):
        return _count(call, name, arguments)
    if function == "COLLECT":
        return _collect(call, name, arguments)
    if function == "STRING_AGG":
        return _string_agg(call, name, arguments)
    return _numeric(call, name, arguments)


def _arity(call: Call, count: int) -> None:
    if len(call.arguments) != count or any(isinstance(argument, Star) for argument in call.arguments):
        raise FaultFound(call.position, f"{call.function} takes {count} argument{'s' if count != 1 else ''}.")


def counts_events(call: Call, compiler: ExpressionCompiler) -> bool:
    """Whether a COUNT counts all events: COUNT(*), COUNT() or COUNT(input), which mean the same."""
    if call.function not in ("COUNT", "COUNT_BIG") or call.distinct or len(call.arguments) > 1:
        return False
    (counted,) = call.arguments or (Star(call.position),)
    if isinstance(counted, Name) and len(counted.parts) == 1:
        (name,) = counted.parts
        relations = compiler.scope.relations
        return name.lower() in relations and not any(name.lower() in columns for columns in relations.values())
    return isinstance(counted, Star)


def _count(call: Call, name: str, arguments: AggregateArguments) -> Aggregate:
    if counts_events(call, arguments.rows):
        return Aggregate(name, (), BIGINT, lambda order: "count(*)")
    _arity(call, 1)
    column = arguments.column(arguments.rows.compile(call.arguments[0]))
    distinct = "DISTINCT " if call.distinct else ""
    return Aggregate(name, (column,), BIGINT, lambda order: f"count({distinct}{column})")


def _numeric(call: Call, name: str, arguments: AggregateArguments) -> Aggregate:
    _arity(call, 1)
    value = arguments.rows.compile(call.arguments[0])
    if call.function in ("MIN", "MAX"):
        if value.type.kind not in ("bigint", "float", "datetime", "nvarchar", "bit", "null"):
            raise FaultFound(call.position, f"{call.function} can't order {value.type.described}.", "CAST it first.")
        doubt_of_text(call, value, arguments.rows)
        template, result = call.function.lower() + "({})", value.type
    else:
        value = arguments.rows.number(value, call.position)
        if not value.type.is_number and value.type.kind != "null":
            raise FaultFound(call.position, f"{call.function} needs numbers, found {value.type.described}.", "CAST it first.")
        if value.type.kind == "null":
            value = combined(converted(value, FLOAT), FLOAT, value)
        whole = value.type.kind == "bigint"
        template, result = {
            "SUM": ("CAST(sum({}) AS BIGINT)" if whole else "sum({})", value.type),
            "AVG": ("avg({})", FLOAT),
            "STDEV": ("stddev_samp({})", FLOAT),
            "STDEVP": ("stddev_pop({})", FLOAT),
            "VAR": ("var_samp({})", FLOAT),
            "VARP": ("var_pop({})", FLOAT),
        }[call.function]
    column = arguments.column(value)
    distinct = "DISTINCT " if call.distinct else ""
    return Aggregate(name, (column,), result, lambda order: template.format(distinct + column))


def doubt_of_text(call: Call, value: Typed, compiler: ExpressionCompiler) -> None:
    """Note the doubt that MIN and MAX of a text that the query doesn't CAST are those of floats, by their pages."""
    if value.type.kind == "nvarchar" and value.plain_column and not isinstance(call.arguments[0], Cast):
        text = f"{call.function} compares texts here; on Azure it reads a text as a float unless the query has CAST it."
        compiler.scope.doubts.append(Fault(call.position, text, "CAST it AS nvarchar(max), or TRY_CAST it AS float."))


def _string_agg(call: Call, name: str, arguments: AggregateArguments) -> Aggregate:
    _arity(call, 2)
    value, separator = (arguments.rows.compile(argument) for argument in call.arguments)
    if separator.literal is None:
        raise FaultFound(call.arguments[1].position, "The separator of STRING_AGG must be written in the query.")
    column = arguments.column(combined(as_text(value), NVARCHAR, value))
    return Aggregate(name, (column,), NVARCHAR, lambda order: f"string_agg({column}, {separator.sql} ORDER BY {order})")


def _collect(call: Call, name: str, arguments: AggregateArguments) -> Aggregate:
    if len(call.arguments) > 1:
        raise FaultFound(call.position, "COLLECT takes no or one argument.")
    value = arguments.rows.compile(call.arguments[0]) if call.arguments else arguments.whole_row()
    column = arguments.column(combined(without_infinities(value.sql, value.type), value.type, value))
    return Aggregate(name, (column,), array_of(value.type), lambda order: f"to_json(list({column} ORDER BY {order}))")


def _ranked(call: Call, name: str, arguments: AggregateArguments, ranking: Sequence[OrderItem]) -> Aggregate:
    values = [arguments.rows.compile(item.expression) for item in ranking]
    for item, value in zip(ranking, values, strict=True):
        if value.type.kind not in ("bigint", "float", "datetime", "null"):
            text = f"{call.function} orders by bigint, float and datetime only, says its page; here it also orders {value.type}."
            arguments.rows.scope.doubts.append(Fault(item.position, text, "CAST it, a time AS datetime."))
    ranks = [(arguments.column(value), item.descending) for item, value in zip(ranking, values, strict=True)]
    if call.function.startswith("PERCENTILE"):
        return _percentile(call, name, arguments, ranks)
    projected = call.arguments[1:] if call.function == "COLLECTTOP" else call.arguments
    row = arguments.rows.compile(projected[0]) if projected else arguments.whole_row()
    column = arguments.column(combined(without_infinities(row.sql, row.type), row.type, row))
    columns = (column, *(rank for rank, _ in ranks))
    by_rank = ", ".join(
        f"{rank} {'DESC' if descending else 'ASC'} NULLS {'LAST' if descending else 'FIRST'}" for rank, descending in ranks
    )
    if call.function == "TOPONE":
        if len(call.arguments) > 1:
            raise FaultFound(call.position, "TopOne takes nothing or, if only part of the row is wanted, an expression.")
        return Aggregate(name, columns, row.type, lambda order: f"first({column} ORDER BY {by_rank}, {order})")
    if not 1 <= len(call.arguments) <= 2:
        raise FaultFound(call.position, "CollectTop takes a number of rows and, if only part of them is wanted, an expression.")
    count = number_of(call.arguments[0], "The number of rows CollectTop keeps")
    if not isinstance(count, int) or count < 1:
        raise FaultFound(call.arguments[0].position, "The number of rows CollectTop keeps is a whole number of at least 1.")
    ranked_type = array_of(record_of({"rank": BIGINT, "value": row.type}))
    return Aggregate(name, columns, ranked_type, lambda order: _top_rows(column, by_rank, order, count))


def _top_rows(column: str, by_rank: str, order: str, count: int) -> str:
    """CollectTop's array: each row with its rank, best first."""
    best = f"list({column} ORDER BY {by_rank}, {order})[:{count}]"
    return f"to_json(list_transform({best}, lambda __entry, __rank: {{'rank': __rank, 'value': __entry}}))"


def _percentile(call: Call, name: str, arguments: AggregateArguments, ranks: Sequence[tuple[str, bool]]) -> Aggregate:
    _arity(call, 1)
    share = number_of(call.arguments[0], "The percentile")
    if not 0 <= share <= 1:
        raise FaultFound(call.arguments[0].position, "A percentile lies between 0 and 1.")
    if len(ranks) != 1:
        raise FaultFound(call.position, f"{call.function} orders by one expression.")
    column, descending = ranks[0]
    data_type = arguments.columns[int(column[1:])].type
    if not data_type.is_number:
        raise FaultFound(call.position, f"{call.function} needs numbers, found {data_type.described}.")
    function = "percentile_cont" if call.function == "PERCENTILE_CONT" else "percentile_disc"
    result = FLOAT if call.function == "PERCENTILE_CONT" else data_type
    direction = "DESC" if descending else "ASC"
    return Aggregate(name, (column,), result, lambda order: f"{function}({share}) WITHIN GROUP (ORDER BY {column} {direction})")


def whole_row_of(columns: Sequence[tuple[str, Typed]]) -> Typed:
    """A record of all columns of a row: what TopOne(), CollectTop(), COLLECT() and LAG(*) return."""
    packed = ", ".join(f"{quoted(name)} := {value.sql}" for name, value in columns)
    return combined(
        f"struct_pack({packed})", record_of({name: value.type for name, value in columns}), *(value for _, value in columns)
    )
