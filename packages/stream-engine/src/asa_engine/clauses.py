"""The clauses of a SELECT one by one: what each means, checked, in terms of steps."""

from __future__ import annotations

from asa_engine.aggregates import whole_row_of
from asa_engine.analytic_step import AnalyticFunction
from asa_engine.errors import Fault, FaultFound
from asa_engine.expressions import (
    ExpressionCompiler,
    Scope,
    ScopeColumn,
    Typed,
    check_name,
    combined,
    common_type,
    field_of,
    finite,
)
from asa_engine.steps import (
    Column,
    InputStep,
    Step,
    list_of_elements,
)
from asa_engine.syntax import (
    Apply,
    Call,
    Expression,
    FieldOf,
    Name,
    NamedSource,
    Query,
    Script,
    Select,
    Star,
    SubquerySource,
    Union,
)
from asa_engine.types import (
    ANY,
    BIGINT,
    DATETIME,
    FLOAT,
    NVARCHAR,
    Schema,
    array_of,
    is_json_null,
    quoted,
    record_of,
    text_literal,
    unified,
)
from asa_engine.units import duration, number_of
from asa_engine.window_step import window_end
from asa_engine.windows import SNAPSHOT, Window, windows_in

_IOT_HUB = ("MessageId", "CorrelationId", "ConnectionDeviceId", "ConnectionDeviceGenerationId", "EnqueuedTime", "StreamId")
METADATA = (
    Column("EventProcessedUtcTime", DATETIME),
    Column("EventEnqueuedUtcTime", DATETIME),
    Column("PartitionId", BIGINT),
    Column("IoTHub", record_of({name: DATETIME if name == "EnqueuedTime" else NVARCHAR for name in _IOT_HUB})),
)
"""What the service adds to an event of an Event Hub or an IoT Hub; a column of the event with the same name comes first."""


def metadata_for(schema: Schema) -> list[Column]:
    """The metadata that can be named beside the columns of an input."""
    taken = {name.lower() for name in schema.columns}
    return [column for column in METADATA if column.name.lower() not in taken]


_ELEMENTS = ("GETARRAYELEMENTS", "GETELEMENTS")
"""The function that expands an array: its name, and the one that older samples have."""
MOST_ENTRIES = 10_000
"""So far LAG may look back: every key keeps as many entries."""


def columns_of(schema: Schema) -> list[Column]:
    return [Column(name, data_type) for name, data_type in schema.columns.items()]


def event_scope(alias: str, schema: Schema, doubts: list[Fault]) -> Scope:
    """The scope of TIMESTAMP BY: the event itself."""
    scope = Scope(time_sql="__arrival", doubts=doubts)
    columns = [ScopeColumn(column.name, quoted(column.name), column.type) for column in columns_of(schema)]
    hidden = [ScopeColumn(column.name, quoted(column.name), column.type, hidden=True) for column in metadata_for(schema)]
    scope.add(alias, [*columns, *hidden], schema.is_sample)
    return scope


def scope_columns(step: Step, prefix: str) -> list[ScopeColumn]:
    if isinstance(step, InputStep):
        return [_input_column(step, column, prefix) for column in list(step.columns.values()) if column.name not in step.paths]
    return [ScopeColumn(column.name, f"{prefix}.{quoted(column.name)}", column.type) for column in step.columns.values()]


def _input_column(step: InputStep, column: Column, prefix: str) -> ScopeColumn:
    """A column of an event; the fields of a record can be read as columns of their own, without the record."""

    def inner(field_name: str) -> ScopeColumn:
        return _input_column(step, step.field_column(column, field_name), prefix)

    sql = f"{prefix}.{quoted(column.name)}"
    return ScopeColumn(column.name, sql, column.type, column.name in step.metadata, inner=inner if column.type.fields else None)


def all_columns(scope: Scope, alias: str) -> list[tuple[str, Typed]]:
    return [(column.name, column.value(alias)) for column in scope.relations[alias].values() if not column.hidden]


def default_name(expression: Expression) -> str:
    if isinstance(expression, Name):
        return expression.parts[-1]
    if isinstance(expression, FieldOf):
        return expression.field_name
    if isinstance(expression, Call):
        return expression.function.rsplit(".", 1)[-1].lower()
    return "column"


def check_unique(items: list[tuple[str, Typed]], select: Select) -> None:
    seen: set[str] = set()
    for name, _ in items:
        check_name(name, select.position)
        if name.lower() in seen:
            raise FaultFound(select.position, f"The SELECT has two columns {name}.", "Give one an alias (AS).")
        seen.add(name.lower())


def sources_of(script: Script) -> list[NamedSource]:
    """Every named source of a script, in the order of the text."""
    found: list[NamedSource] = []

    def visit(query: Query) -> None:
        if isinstance(query, Union):
            visit(query.left)
            visit(query.right)
            return
        for source in (query.source, *(join.source for join in query.joins)):
            if isinstance(source, SubquerySource):
                visit(source.query)
            else:
                found.append(source)

    for definition in script.steps:
        visit(definition.query)
    for statement in script.outputs:
        visit(statement.query)
    return found


def scalar_parts(select: Select) -> list[Expression]:
    parts: list[Expression] = [item.expression for item in select.items]
    parts += select.group_by
    parts += [part for part in (select.where, select.having) if part is not None]
    parts += [apply.call for apply in select.applies]
    return parts


def windows_and_keys(select: Select) -> tuple[list[Window], list[Expression]]:
    windows: list[Window] = []
    keys: list[Expression] = []
    # beside a window System.Timestamp() is an ordinary key: the time of the rows
    has_length = any(windows_in(expression) not in (None, [SNAPSHOT]) for expression in select.group_by)
    for expression in select.group_by:
        defined = windows_in(expression)
        if defined is None or (defined == [SNAPSHOT] and has_length):
            keys.append(expression)
        elif windows:
            raise FaultFound(expression.position, "GROUP BY has two windows.", "Use Windows(...) to aggregate over several.")
        else:
            windows = defined
    if not windows:
        position = select.group_by[0].position if select.group_by else select.position
        raise FaultFound(
            position,
            "Aggregates over a stream need a window: a window must be specified in GROUP BY.",
            "Add for example TumblingWindow(minute, 1) to GROUP BY.",
        )
    return windows, keys


def applied_list(apply: Apply, compiler: ExpressionCompiler, prefix: str) -> tuple[Typed, list[ScopeColumn]]:
    """The list an APPLY expands, and the columns its alias offers."""
    call = apply.call
    if call.function not in (*_ELEMENTS, "GETRECORDPROPERTIES") or len(call.arguments) != 1:
        raise FaultFound(apply.position, "APPLY needs GetArrayElements(array) or GetRecordProperties(record).")
    value = compiler.compile(call.arguments[0])
    if value.type.kind == "null":  # of a sample without it: nothing to expand
        value = Typed("NULL::JSON", value.type, value.uses)
    entry, index = f's."{prefix}_value"', f's."{prefix}_index"'
    if call.function in _ELEMENTS:
        if value.type.kind not in ("array", "any", "null"):
            raise FaultFound(call.position, f"GetArrayElements needs an array, found {value.type.described}.")
        element = value.type.element or ANY
        element = ANY if element.kind == "null" else element
        entries = combined(list_of_elements(Typed(value.sql, array_of(element))), array_of(element), value)
        entry = finite(entry) if element == FLOAT else entry
        return entries, [ScopeColumn("ArrayIndex", index, BIGINT), ScopeColumn("ArrayValue", entry, element)]
    if value.type.kind not in ("record", "any", "null"):
        raise FaultFound(call.position, f"GetRecordProperties needs a record, found {value.type.described}.")
    if value.type.fields:
        shared = value.type.fields[0][1]
        for _, data_type in value.type.fields:
            shared = unified(shared, data_type)
        pairs = [
            f"{{'PropertyName': {text_literal(name)}, 'PropertyValue': to_json({field_of(value, name, apply.position).sql})}}"
            for name, _ in value.type.fields
        ]
        present = f"__pair.PropertyValue IS NOT NULL AND NOT {is_json_null('__pair.PropertyValue')}"
        sql = f"list_filter([{', '.join(pairs)}], lambda __pair: {present})"
    else:
        found = f"json_extract({value.sql}, '$.\"' || __name || '\"')"
        sql = f"list_transform(json_keys({value.sql}), lambda __name: {{'PropertyName': __name, 'PropertyValue': {found}}})"
    pair = record_of({"PropertyName": NVARCHAR, "PropertyValue": ANY})
    columns = [
        ScopeColumn("PropertyName", f"struct_extract({entry}, 'PropertyName')", NVARCHAR),
        ScopeColumn("PropertyValue", f"struct_extract({entry}, 'PropertyValue')", ANY),
    ]
    return combined(sql, array_of(pair), value), columns


def is_first(call: Call, compiler: ExpressionCompiler, when: Typed | None, partition: tuple[Typed, ...]) -> AnalyticFunction:
    if len(call.arguments) != 2:
        raise FaultFound(call.position, "ISFIRST takes a unit and a number.", "For example ISFIRST(minute, 10).")
    if call.over and call.over.limit:
        raise FaultFound(call.position, "ISFIRST takes no LIMIT DURATION: its interval is its argument.")
    length = duration(call.arguments[0], call.arguments[1], "The interval of ISFIRST")
    interval = Typed(window_end("s.__ts", length, 0), BIGINT)
    return AnalyticFunction("ISFIRST", interval, 1, None, length, when, partition, BIGINT)


def lag_or_last(
    call: Call, compiler: ExpressionCompiler, when: Typed | None, partition: tuple[Typed, ...], scope: Scope
) -> AnalyticFunction:
    most = 3 if call.function == "LAG" else 2
    if not 1 <= len(call.arguments) <= most:
        raise FaultFound(call.position, f"{call.function} takes 1 to {most} arguments.")
    if call.over is None or not call.over.limit:
        raise FaultFound(
            call.position,
            f"{call.function} needs LIMIT DURATION.",
            f"For example {call.function}(x) OVER (LIMIT DURATION(minute, 5)).",
        )
    limit = duration(call.over.limit[0], call.over.limit[1], "LIMIT DURATION", longest=None)
    offset, default = (1, None) if call.function == "LAG" else (0, None)
    rest = list(call.arguments[1:])
    if call.function == "LAG" and rest:
        written = number_of(rest[0], "The offset of LAG")
        if not isinstance(written, int) or written < 1:
            raise FaultFound(
                rest[0].position, "The offset of LAG is a whole number of at least 1.", "Use LAST for the current event."
            )
        if written > MOST_ENTRIES:
            raise FaultFound(rest[0].position, f"LAG looks back {MOST_ENTRIES:,} events at most here: every key keeps that many.")
        offset = written
        rest = rest[1:]
    if rest:
        default = compiler.compile(rest[0])
    if isinstance(call.arguments[0], Star):
        value = whole_row_of(all_columns(scope, next(iter(scope.relations))))
    else:
        value = compiler.compile(call.arguments[0])
    data_type = (
        common_type([value, default], call.position, f"The value and the default of {call.function}") if default else value.type
    )
    return AnalyticFunction(call.function, value, offset, default, limit, when, partition, data_type)
