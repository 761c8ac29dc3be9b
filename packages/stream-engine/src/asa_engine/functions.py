"""The scalar functions of the language: an explicit list, each with its rule for types and its DuckDB SQL.

A function that isn't listed is refused with the reason and, where there is one, a way to write it. Nothing is passed through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import duckdb

from asa_engine import text_functions
from asa_engine.databases import calculator
from asa_engine.errors import Fault, FaultFound
from asa_engine.expressions import (
    ExpressionCompiler,
    Typed,
    as_datetime,
    as_text,
    combined,
    common_type,
    converted,
    did_you_mean,
    finite,
    readable_pattern,
    with_value,
)
from asa_engine.syntax import Call, Literal, Name
from asa_engine.types import (
    ANY,
    BIGINT,
    DATETIME,
    FLOAT,
    NULL,
    NVARCHAR,
    RECORD,
    DataType,
    has_nan,
    json_structure,
    structure_literal,
)
from asa_engine.units import date_part_named, microseconds_of

Builder = Callable[[ExpressionCompiler, Call], Typed]
# fmt: off
AGGREGATES = frozenset((
    "COUNT", "COUNT_BIG", "SUM", "AVG", "MIN", "MAX", "STDEV", "STDEVP", "VAR", "VARP", "STRING_AGG", "COLLECT",
    "COLLECTTOP", "TOPONE", "PERCENTILE_CONT", "PERCENTILE_DISC",
))
# fmt: on
ANALYTIC = frozenset(("LAG", "LAST", "ISFIRST"))
# fmt: off
WINDOWS = frozenset((
    "TUMBLINGWINDOW", "TUMBLING", "HOPPINGWINDOW", "HOPPING", "SLIDINGWINDOW", "SLIDING", "SESSIONWINDOW", "SESSION",
    "WINDOWS", "WINDOW",
))
# fmt: on

_REFUSED = {
    "ANOMALYDETECTION_": "It runs on Azure but can't be proven here. "
    "Use LAG/AVG over a window, or detect anomalies in Kusto (series_decompose_anomalies).",
    "UDF.": "User-defined functions can't run here. Write the expression in the query itself.",
    "UDA.": "User-defined aggregates can't run here. Use the built-in aggregates.",
    "ST_": "Geospatial functions can't be proven here. Resolve places at the ingest and carry them as columns.",
    "CREATEPOINT": "Geospatial functions can't be proven here. Resolve places at the ingest and carry them as columns.",
    "CREATEPOLYGON": "Geospatial functions can't be proven here. Resolve places at the ingest and carry them as columns.",
    "CREATELINESTRING": "Geospatial functions can't be proven here. Resolve places at the ingest and carry them as columns.",
    "REGEXREPLACE": "The reference of the language doesn't know it. Use REPLACE or TRANSLATE.",
    "NEWID": "It gives another value at every run. Build an id from the row's columns.",
    "GETDATE": "A stream has event time. Use System.Timestamp().",
    "GETUTCDATE": "A stream has event time. Use System.Timestamp().",
}


@dataclass(frozen=True)
class Signature:
    """How a function may be called and what compiles it."""

    least: int
    most: int
    build: Builder


def compile_call(compiler: ExpressionCompiler, call: Call) -> Typed:
    """Compile a call of a scalar function; raises FaultFound for what isn't one."""
    signature = _FUNCTIONS.get(call.function)
    if signature is None:
        raise _unknown(call)
    if call.over is not None or call.distinct:
        raise FaultFound(call.position, f"{call.function} takes neither OVER nor DISTINCT.")
    if not signature.least <= len(call.arguments) <= signature.most:
        expected = str(signature.least) if signature.least == signature.most else f"{signature.least} to {signature.most}"
        raise FaultFound(call.position, f"{call.function} takes {expected} arguments, found {len(call.arguments)}.")
    return signature.build(compiler, call)


def _unknown(call: Call) -> FaultFound:
    name = call.function
    for prefix, advice in _REFUSED.items():
        if name.startswith(prefix):
            return FaultFound(call.position, f"{call.spelled} isn't supported by the local engine.", advice)
    if name in AGGREGATES:
        text = f"{name} is an aggregate: it goes neither inside another one nor where single rows are looked at."
        return FaultFound(call.position, text, "Compute it in a WITH step with GROUP BY and a window, and use its column.")
    if name in ANALYTIC:
        return FaultFound(call.position, f"{name} doesn't go here.", "Compute it in a WITH step of its own and use its column.")
    if name in WINDOWS:
        return FaultFound(call.position, f"{name} is a window: it belongs in GROUP BY.")
    known = [*_FUNCTIONS, *AGGREGATES, *ANALYTIC]
    return FaultFound(
        call.position, f"{call.spelled} is not a function of the language.", did_you_mean(name, known) if len(name) > 2 else ""
    )


# ---- argument helpers


def _arguments(compiler: ExpressionCompiler, call: Call) -> list[Typed]:
    return [compiler.compile(argument) for argument in call.arguments]


def _number(call: Call, index: int, value: Typed) -> Typed:
    if value.type.is_number:
        return value
    return _null_or_refused(call, index, value, FLOAT, "a number", "CAST it first.")


def _text(call: Call, index: int, value: Typed) -> Typed:
    if value.type == NVARCHAR:
        return value
    return _null_or_refused(call, index, value, NVARCHAR, "a text", "CAST it AS nvarchar(max).")


def _whole(call: Call, index: int, value: Typed) -> Typed:
    if value.type == BIGINT:
        return value
    return _null_or_refused(call, index, value, BIGINT, "a bigint", "CAST it AS bigint.")


def _null_or_refused(call: Call, index: int, value: Typed, target: DataType, needed: str, advice: str) -> Typed:
    """NULL as a value of the type a function needs, for DuckDB takes it for a text; raises FaultFound for anything else."""
    if value.type.kind == "null":
        return combined(converted(value, target), value.type, value)
    place = call.arguments[index].position
    raise FaultFound(place, f"{call.function} needs {needed}, found {value.type.described}.", advice)


def _numeric(template: str, result: DataType | None, kept_whole: bool = False) -> Signature:
    """A function of a number; `result` None keeps its type, `kept_whole` a whole number as it is."""

    def build(compiler: ExpressionCompiler, call: Call) -> Typed:
        values = [_number(call, index, value) for index, value in enumerate(_arguments(compiler, call))]
        if kept_whole and values[0].type == BIGINT:
            return values[0]  # DuckDB would take it for a float, which doesn't hold all of them
        kind = result or (values[0].type if values[0].type.is_number else FLOAT)
        return combined(
            f"CAST({template.format(*(value.sql for value in values))} AS {'DOUBLE' if kind == FLOAT else 'BIGINT'})",
            kind,
            *values,
        )

    return Signature(1, 1, build)


def _textual(sql: Callable[..., str], result: DataType, shape: str, optional: int = 0) -> Signature:
    """A function whose arguments are texts (`t`) and whole numbers (`n`), in the order of `shape`; the last may be left out."""

    def build(compiler: ExpressionCompiler, call: Call) -> Typed:
        values = _arguments(compiler, call)
        for index, (value, kind) in enumerate(zip(values, shape, strict=False)):
            values[index] = _text(call, index, value) if kind == "t" else _whole(call, index, value)
        return combined(f"({sql(*(value.sql for value in values))})", result, *values)

    return Signature(len(shape) - optional, len(shape), build)


# ---- time


def _timestamp(compiler: ExpressionCompiler, call: Call) -> Typed:
    return Typed(f"make_timestamp({compiler.scope.time_sql})", DATETIME)


def _datediff(compiler: ExpressionCompiler, call: Call) -> Typed:
    part = date_part_named(call.arguments[0])
    start, end = (compiler.compile(argument) for argument in call.arguments[1:])
    moments = [as_datetime(start, call.position), as_datetime(end, call.position)]
    if part == "week":
        text = "The reference doesn't say where a week begins for DATEDIFF; here it is Sunday, as in T-SQL."
        compiler.scope.doubts.append(Fault(call.position, text, "Use day."))
        sundays = [f"date_trunc('week', {moment} + INTERVAL 1 DAY)" for moment in moments]  # DuckDB's begin on Monday
        return combined(f"(date_diff('day', {', '.join(sundays)}) // 7)", BIGINT, start, end)
    unit = "day" if part in ("dayofyear", "weekday") else part
    return combined(f"date_diff('{unit}', {', '.join(moments)})", BIGINT, start, end)


def _dateadd(compiler: ExpressionCompiler, call: Call) -> Typed:
    part = date_part_named(call.arguments[0])
    amount = _number(call, 1, compiler.compile(call.arguments[1]))
    moment = compiler.compile(call.arguments[2])
    whole = amount.sql if amount.type == BIGINT else f"CAST(trunc({amount.sql}) AS BIGINT)"  # a fraction is cut off
    months = {"year": 12, "quarter": 3, "month": 1}
    if part in months:
        step = f"to_months(CAST({whole} * {months[part]} AS INTEGER))"
    elif part == "week":
        step = f"to_days(CAST({whole} * 7 AS INTEGER))"
    else:
        unit = "day" if part in ("dayofyear", "weekday") else part
        step = f"to_microseconds({whole} * {microseconds_of(unit)})"
    return combined(_in_calendar(f"({as_datetime(moment, call.position)} + {step})"), DATETIME, amount, moment)


def _in_calendar(moment: str) -> str:
    """A calculated moment; an error before the year 1 and after 9999, which datetime doesn't have."""
    wrong = "error('a time outside of the years 1 to 9999')"
    return with_value(moment, lambda held: f"CASE WHEN year({held}) < 1 OR year({held}) > 9999 THEN {wrong} ELSE {held} END")


def _part_sql(part: str, moment: str) -> str:
    if part == "weekday":
        return f"(dayofweek({moment}) + 1)"
    if part == "week":  # of T-SQL: the one with January 1 is the first, and each begins on a Sunday
        return f"((dayofyear({moment}) - 1 + dayofweek(date_trunc('year', {moment}))) // 7 + 1)"
    # DuckDB counts the seconds in as well
    within_second = {"millisecond": " % 1000", "microsecond": " % 1000000"}.get(part, "")
    return f"(date_part('{part}', {moment}){within_second})"


def _datepart(compiler: ExpressionCompiler, call: Call) -> Typed:
    part = date_part_named(call.arguments[0])
    moment = compiler.compile(call.arguments[1])
    return combined(f"CAST({_part_sql(part, as_datetime(moment, call.position))} AS BIGINT)", BIGINT, moment)


def _datename(compiler: ExpressionCompiler, call: Call) -> Typed:
    part = date_part_named(call.arguments[0])
    moment = compiler.compile(call.arguments[1])
    sql = as_datetime(moment, call.position)
    name = {"month": f"monthname({sql})", "weekday": f"dayname({sql})"}.get(part, f"CAST({_part_sql(part, sql)} AS VARCHAR)")
    return combined(name, NVARCHAR, moment)


def _calendar(part: str) -> Signature:
    def build(compiler: ExpressionCompiler, call: Call) -> Typed:
        moment = compiler.compile(call.arguments[0])
        return combined(f"CAST(date_part('{part}', {as_datetime(moment, call.position)}) AS BIGINT)", BIGINT, moment)

    return Signature(1, 1, build)


def _datetime_from_parts(compiler: ExpressionCompiler, call: Call) -> Typed:
    """An error for a part that doesn't exist, as in T-SQL; DuckDB looks at the month and the day itself."""
    values = [_whole(call, index, value) for index, value in enumerate(_arguments(compiler, call))]
    year, month, day, hour, minute, second, millisecond = (value.sql for value in values)
    bounds = ((year, 1, 9999), (hour, 0, 23), (minute, 0, 59), (second, 0, 59), (millisecond, 0, 999))
    outside = " OR ".join(f"{part} NOT BETWEEN {low} AND {high}" for part, low, high in bounds)
    moment = f"make_timestamp({year}, {month}, {day}, {hour}, {minute}, {second} + {millisecond} / 1000.0)"
    return combined(f"(CASE WHEN {outside} THEN error('DATETIMEFROMPARTS of no such time') ELSE {moment} END)", DATETIME, *values)


# ---- texts, choices, records and arrays


def _concat(compiler: ExpressionCompiler, call: Call) -> Typed:
    values = _arguments(compiler, call)
    return combined(f"concat({', '.join(as_text(value) for value in values)})", NVARCHAR, *values)


def _concat_ws(compiler: ExpressionCompiler, call: Call) -> Typed:
    values = _arguments(compiler, call)
    return combined(f"concat_ws({', '.join(as_text(value) for value in values)})", NVARCHAR, *values)


def _coalesce(compiler: ExpressionCompiler, call: Call) -> Typed:
    values = _arguments(compiler, call)
    result = compiler.scope.common_type(values, call.position, f"The arguments of {call.function}")
    return combined(f"coalesce({', '.join(converted(value, result) for value in values)})", result, *values)


def _nullif(compiler: ExpressionCompiler, call: Call) -> Typed:
    values = _arguments(compiler, call)
    common = common_type(values, call.position, "The arguments of NULLIF")
    first, second = (converted(value, common) for value in values)
    return combined(f"(CASE WHEN {first} = {second} THEN NULL ELSE {values[0].sql} END)", values[0].type, *values)


def _round(compiler: ExpressionCompiler, call: Call) -> Typed:
    value, digits = _arguments(compiler, call)
    value, digits = _number(call, 0, value), _whole(call, 1, digits)
    kind = value.type if value.type.is_number else FLOAT
    return combined(f"round({value.sql}, CAST({digits.sql} AS INTEGER))", kind, value, digits)


def _array(call: Call, value: Typed) -> DataType:
    if value.type.kind not in ("array", "any", "null"):
        raise FaultFound(call.arguments[0].position, f"{call.function} needs an array, found {value.type.described}.")
    return value.type.element or ANY


def _array_element(compiler: ExpressionCompiler, call: Call) -> Typed:
    """NULL where the array has no such element; DuckDB would count a negative index from the end."""
    array, index = _arguments(compiler, call)
    element, index = _array(call, array), _whole(call, 1, index)
    chosen = f"CASE WHEN {index.sql} >= 0 THEN json_extract({array.sql}::JSON, {index.sql}) END"
    return combined(element_sql(chosen, element), element, array, index)


def _array_length(compiler: ExpressionCompiler, call: Call) -> Typed:
    (array,) = _arguments(compiler, call)
    _array(call, array)
    return combined(f"CAST(json_array_length({array.sql}::JSON) AS BIGINT)", BIGINT, array)


def element_sql(json_sql: str, element: DataType) -> str:
    """The SQL that reads one JSON value as an element of an array."""
    if element.is_json or element.kind == "null":
        return json_sql
    read = f"from_json({json_sql}, {structure_literal(json_structure(element))})"
    return finite(read) if element == FLOAT else read


def _property_value(compiler: ExpressionCompiler, call: Call) -> Typed:
    record, name = _arguments(compiler, call)
    if name.literal is not None:
        return compiler.field(record, name.literal, call.position)
    if record.type.kind not in ("record", "any"):
        raise FaultFound(call.position, f"{call.function} needs a record, found {record.type.described}.")
    pointer = f"'/' || replace(replace({_text(call, 1, name).sql}, '~', '~0'), '/', '~1')"
    return combined(f"json_extract(to_json({record.sql}), {pointer})", ANY, record, name)


def _metadata_property(compiler: ExpressionCompiler, call: Call) -> Typed:
    """What the service knows of an event beside its body; NULL, with a doubt, for what only Azure knows (user properties)."""
    source, path = call.arguments
    if not isinstance(source, Name) or not (isinstance(path, Literal) and isinstance(path.value, str)):
        raise FaultFound(call.position, f"{call.spelled} takes an input and the name of a property.", "Such as 'PartitionId'.")
    parts = tuple(part.strip("[] ") for part in path.value.split("."))
    parts = parts[1:] if parts[0].lower() == "eventhub" else parts
    columns = compiler.scope.relations.get(source.parts[-1].lower(), {})
    if parts and (column := columns.get(parts[0].lower())) is not None and column.hidden:
        return compiler.compile(Name(call.position, (source.parts[-1], *parts)))
    text = f"Nothing here knows {path.value} of an event: it is NULL, as in the test tool of the portal."
    compiler.scope.doubts.append(Fault(call.position, text, "Carry the value in the event's body to test with it."))
    return Typed("NULL", NULL)


def _get_type(compiler: ExpressionCompiler, call: Call) -> Typed:
    (value,) = _arguments(compiler, call)
    if value.type.kind == "any":
        names = {
            "VARCHAR": "nvarchar(max)",
            "BIGINT": "bigint",
            "UBIGINT": "bigint",
            "DOUBLE": "float",
            "BOOLEAN": "bit",
            "OBJECT": "record",
            "ARRAY": "array",
        }
        whens = " ".join(f"WHEN '{json_name}' THEN '{name}'" for json_name, name in names.items())
        return combined(f"(CASE json_type({value.sql}) {whens} END)", NVARCHAR, value)
    return combined(f"(CASE WHEN {value.sql} IS NOT NULL THEN '{value.type}' END)", NVARCHAR, value)


def _power(compiler: ExpressionCompiler, call: Call) -> Typed:
    """The result has the type of the base."""
    base, exponent = (_number(call, index, value) for index, value in enumerate(_arguments(compiler, call)))
    power = f"pow({base.sql}, {exponent.sql})"
    whole = base.type == BIGINT
    return combined(f"CAST(trunc({power}) AS BIGINT)" if whole else power, BIGINT if whole else FLOAT, base, exponent)


def _regexmatch(compiler: ExpressionCompiler, call: Call) -> Typed:
    text, pattern = (_text(call, index, value) for index, value in enumerate(_arguments(compiler, call)))
    if pattern.literal is not None:
        try:
            with calculator() as connection:
                connection.execute("SELECT regexp_matches('', ?)", [pattern.literal])
        except duckdb.Error as fault:
            raise FaultFound(
                call.arguments[1].position,
                f"This regular expression can't be read here ({str(fault).partition(': ')[2]}).",
                "Fix it; look-around and back-references run on Azure only.",
            ) from fault
    return combined(text_functions.regular_position(text.sql, pattern.sql), BIGINT, text, pattern)


def _patindex(compiler: ExpressionCompiler, call: Call) -> Typed:
    pattern, text = (_text(call, index, value) for index, value in enumerate(_arguments(compiler, call)))
    place = call.arguments[0].position
    if pattern.literal is None:
        raise FaultFound(place, "PATINDEX takes a pattern written in the query here.", "Use REGEXMATCH for more.")
    readable_pattern(pattern.literal, place)
    return combined(text_functions.pattern_position(text.sql, pattern.literal), BIGINT, text)


def _json_parse(compiler: ExpressionCompiler, call: Call) -> Typed:
    """NULL for what is no JSON object."""
    (value,) = _arguments(compiler, call)
    _text(call, 0, value)
    is_object = f"json_valid({value.sql}) AND json_type({value.sql}) = 'OBJECT' AND NOT {has_nan(value.sql)}"
    return combined(f"(CASE WHEN {is_object} THEN CAST({value.sql} AS JSON) END)", RECORD, value)


_FUNCTIONS: dict[str, Signature] = {
    "SYSTEM.TIMESTAMP": Signature(0, 0, _timestamp),
    "DATEDIFF": Signature(3, 3, _datediff),
    "DATEADD": Signature(3, 3, _dateadd),
    "DATEPART": Signature(2, 2, _datepart),
    "DATENAME": Signature(2, 2, _datename),
    "DAY": _calendar("day"),
    "MONTH": _calendar("month"),
    "YEAR": _calendar("year"),
    "DATETIMEFROMPARTS": Signature(7, 7, _datetime_from_parts),
    "ABS": _numeric("abs({0})", None),
    "CEILING": _numeric("ceil({0})", None, kept_whole=True),
    "FLOOR": _numeric("floor({0})", None, kept_whole=True),
    "SIGN": _numeric("sign({0})", None),
    "EXP": _numeric("exp({0})", FLOAT),
    "POWER": Signature(2, 2, _power),
    "SQRT": _numeric("sqrt({0})", FLOAT),
    "SQUARE": _numeric("(CAST({0} AS DOUBLE) * {0})", FLOAT),
    "ROUND": Signature(2, 2, _round),
    "CONCAT": Signature(2, 254, _concat),
    "CONCAT_WS": Signature(3, 254, _concat_ws),
    "UPPER": _textual("upper({0})".format, NVARCHAR, "t"),
    "LOWER": _textual("lower({0})".format, NVARCHAR, "t"),
    "LEN": _textual(text_functions.length, BIGINT, "t"),
    "LTRIM": _textual(partial(text_functions.trimmed, "ltrim"), NVARCHAR, "t"),
    "RTRIM": _textual(partial(text_functions.trimmed, "rtrim"), NVARCHAR, "t"),
    "TRIM": _textual(partial(text_functions.trimmed, "trim"), NVARCHAR, "t"),
    "LEFT": _textual(text_functions.left, NVARCHAR, "tn"),
    "RIGHT": _textual(text_functions.right, NVARCHAR, "tn"),
    "SUBSTRING": _textual(text_functions.substring, NVARCHAR, "tnn"),
    "STUFF": _textual(text_functions.stuff, NVARCHAR, "tnnt"),
    "REPLACE": _textual("replace({0}, {1}, {2})".format, NVARCHAR, "ttt"),
    "TRANSLATE": _textual(text_functions.translated, NVARCHAR, "ttt"),
    "REPLICATE": _textual(text_functions.repeated, NVARCHAR, "tn"),
    "REVERSE": _textual("reverse({0})".format, NVARCHAR, "t"),
    "SPACE": _textual(partial(text_functions.repeated, "' '"), NVARCHAR, "n"),
    "NCHAR": _textual(text_functions.character, NVARCHAR, "n"),
    "UNICODE": _textual(text_functions.code, BIGINT, "t"),
    "CHARINDEX": _textual(text_functions.position, BIGINT, "ttn", optional=1),
    "PATINDEX": Signature(2, 2, _patindex),
    "REGEXMATCH": Signature(2, 2, _regexmatch),
    "JSON_PARSE": Signature(1, 1, _json_parse),
    "COALESCE": Signature(2, 254, _coalesce),
    "ISNULL": Signature(2, 2, _coalesce),
    "NULLIF": Signature(2, 2, _nullif),
    "GETARRAYELEMENT": Signature(2, 2, _array_element),
    "GETARRAYLENGTH": Signature(1, 1, _array_length),
    "GETRECORDPROPERTYVALUE": Signature(2, 2, _property_value),
    "GETTYPE": Signature(1, 1, _get_type),
    "GETMETADATAPROPERTYVALUE": Signature(2, 2, _metadata_property),
}
