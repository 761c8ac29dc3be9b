"""Gives an expression its meaning: resolves names, finds its type, and writes it as DuckDB SQL.

One walk does all three, so what is checked is what runs. Whatever isn't known is refused with its place.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from asa_engine import text_functions
from asa_engine.errors import Fault, FaultFound, Position
from asa_engine.syntax import (
    COMPARISONS,
    Between,
    Binary,
    Call,
    Case,
    Cast,
    Expression,
    FieldOf,
    In,
    IsNull,
    Like,
    Literal,
    Name,
    Star,
    Unary,
)
from asa_engine.types import (
    ANY,
    BIGINT,
    BIT,
    DATETIME,
    FLOAT,
    NULL,
    NVARCHAR,
    DataType,
    duckdb_type,
    is_json_null,
    quoted,
    text_literal,
    type_named,
    unified,
)


@dataclass(frozen=True)
class Typed:
    """A compiled expression: its SQL, its type, and the (relation, column) pairs it reads.

    `literal` is its text if it is a literal text; `plain_column` names the column if it is nothing but a column.
    """

    sql: str
    type: DataType
    uses: frozenset[tuple[str, str]] = frozenset()
    literal: str | None = None
    plain_column: str | None = None


@dataclass(frozen=True)
class ScopeColumn:
    """A column that can be named in an expression. A hidden one (event metadata) isn't part of `*`.

    `reads` is the column of the step below when it is called otherwise there. `inner` gives the column that holds just one field
    of a record, where the step below can offer that.
    """

    name: str
    sql: str
    type: DataType
    hidden: bool = False
    reads: str = ""
    inner: Callable[[str], ScopeColumn] | None = None

    def value(self, alias: str) -> Typed:
        """The column as an expression; it reads the column below of the relation `alias` (lower case)."""
        below = self.reads or self.name.lower()
        return Typed(self.sql, self.type, frozenset({(alias, below)}), plain_column=below)


@dataclass
class Scope:
    """What names mean at some place of a query: relations by alias, and the SQL of the event's time in microseconds."""

    relations: dict[str, dict[str, ScopeColumn]] = field(default_factory=dict)
    spelled: dict[str, str] = field(default_factory=dict)
    samples: set[str] = field(default_factory=set)
    """The relations (lower case) of which a sample of events is all that is known."""
    time_sql: str = "__ts"
    doubts: list[Fault] = field(default_factory=list)
    """What was found on the way that runs here and may run otherwise on Azure."""

    def add(self, alias: str, columns: list[ScopeColumn], is_sample: bool = False) -> None:
        """Make the columns of a relation known under its alias."""
        self.relations[alias.lower()] = {column.name.lower(): column for column in columns}
        self.spelled[alias.lower()] = alias
        self.samples |= {alias.lower()} if is_sample else set()

    def absent(self, name: Name) -> Typed | None:
        """NULL for a column or a field that no event of a sample has; None where the columns are known."""
        first, *rest = name.parts
        qualified = bool(rest) and first.lower() in self.relations
        owners = {first.lower()} if qualified else set(self.relations)
        if not owners <= self.samples and (qualified or len(owners & self.samples) != 1):
            return None
        known = [column for owner in owners & self.samples for column in self.relations[owner].values()]
        shown = [column.name for column in known if not column.hidden]
        if shown:
            self.unseen(name.position, ".".join(name.parts), did_you_mean(name.parts[-1], shown))
        return Typed("NULL", NULL)

    def doubt_of_type(self, position: Position, consequence: str) -> None:
        """Note the doubt that a value has a type in each event of its own."""
        text = f"Each event has its own type of this value: {consequence}."
        self.doubts.append(Fault(position, text, "CAST it, or TRY_CAST what may not fit."))

    def common_type(self, values: list[Typed], position: Position, what: str) -> DataType:
        """The one type of several values, or `any`, with a doubt, when they have none."""
        merged = merged_type(values)
        if merged.kind == "any" and all(value.type.kind != "any" for value in values):
            kinds = " and ".join(dict.fromkeys(str(value.type) for value in values if value.type.kind != "null"))
            text = f"{what} are {kinds}: the type differs from row to row, and tables of an output have one for a column."
            self.doubts.append(Fault(position, text, "CAST one to the type of the other."))
        return merged

    def unseen(self, position: Position, name: str, advice: str) -> None:
        """Note the doubt, once for each name, that no event of the sample has a column or a field."""
        text = f"No event of the sample has {name}: it is NULL here, as on Azure until one has it."
        if text not in (doubt.text for doubt in self.doubts):
            self.doubts.append(Fault(position, text, advice))

    def column(self, name: Name) -> tuple[str, ScopeColumn, tuple[str, ...]]:
        """The alias and column a name starts with, and the record fields that follow. Raises FaultFound with near names."""
        first, *rest = name.parts
        if rest and first.lower() in self.relations:
            found = self.relations[first.lower()].get(rest[0].lower())
            if found is None:
                known = [column.name for column in self.relations[first.lower()].values()]
                raise Unknown(name.position, f"{first} has no column {rest[0]}.", did_you_mean(rest[0], known))
            return first.lower(), found, tuple(rest[1:])
        owners = [alias for alias, columns in self.relations.items() if first.lower() in columns]
        if len(owners) > 1:
            raise FaultFound(
                name.position,
                f"{first} is ambiguous.",
                f"Write {self.spelled[owners[0]]}.{first} or {self.spelled[owners[1]]}.{first}.",
            )
        if owners:
            return owners[0], self.relations[owners[0]][first.lower()], tuple(rest)
        known = [column.name for columns in self.relations.values() for column in columns.values()]
        raise Unknown(name.position, f"There is no column {first}.", did_you_mean(first, known + list(self.spelled.values())))


def check_name(name: str, position: Position) -> None:
    """Raise FaultFound for a column that can't be distinguished from the engine's own."""
    if name.startswith("__") or name.lower() in ("", "rowid"):
        raise FaultFound(
            position,
            f"A column called {name!r} can't be held here: the engine's own columns have such names.",
            "Name the other columns instead of *, or choose another alias.",
        )


class Unknown(FaultFound):
    """A name that means nothing where it stands."""


def did_you_mean(name: str, known: list[str]) -> str:
    """Advice that names the nearest known name, or lists the known ones."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    by_lower.pop(name.lower(), None)  # that it isn't, or it would have been found
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    if near:
        return f"Did you mean {by_lower[near[0]]}?"
    return f"Known here: {', '.join(sorted(set(known)))}." if known else ""


class ExpressionCompiler:
    """Compiles expressions in a scope. `replacements` gives the columns that hold analytic functions computed before."""

    def __init__(self, scope: Scope, replacements: Mapping[Expression, Typed] | None = None) -> None:
        self.scope = scope
        self.replacements = replacements or {}

    def compile(self, node: Expression) -> Typed:
        """The SQL and type of an expression; raises FaultFound."""
        if node in self.replacements:
            return self.replacements[node]
        match node:
            case Literal():
                return _literal(node)
            case Name():
                return self._name(node)
            case FieldOf():
                return self.field(self.compile(node.record), node.field_name, node.position)
            case Unary():
                return self._unary(node)
            case Binary():
                return self._binary(node)
            case Between():
                operand = self.compile(node.operand)
                low = self._compared(">=", operand, self.compile(node.low), node.position)
                high = self._compared("<=", operand, self.compile(node.high), node.position)
                return negated(combined(f"({low.sql} AND {high.sql})", BIT, low, high), node.negated)
            case In():
                operand = self.compile(node.operand)
                hits = [self._compared("=", operand, self.compile(value), value.position) for value in node.values]
                return negated(combined("(" + " OR ".join(hit.sql for hit in hits) + ")", BIT, *hits), node.negated)
            case Like():
                return self._like(node)
            case IsNull():
                operand = self.compile(node.operand)
                null = f"({operand.sql} IS NULL)"
                if operand.type.is_json:
                    null = f"({operand.sql} IS NULL OR {is_json_null(operand.sql)})"
                return negated(combined(null, BIT, operand), node.negated)
            case Case():
                return self._case(node)
            case Cast():
                return cast(self.compile(node.operand), node)
            case Call():
                return self._call(node)
            case Star():
                raise FaultFound(node.position, "* isn't a value here.", "Name the columns.")

    def field(self, record: Typed, name: str, position: Position) -> Typed:
        """A field of a record; NULL, with a doubt, for one that no event of a sample has. Raises FaultFound."""
        try:
            return field_of(record, name, position)
        except Unknown as unknown:
            if not record.uses or not {alias for alias, _ in record.uses} <= self.scope.samples:
                raise
            self.scope.unseen(position, name, unknown.fault.advice)
            return Typed("NULL", NULL)

    def number(self, value: Typed, position: Position) -> Typed:
        """A value of unknown type as the float it is in some events; any other stays what it is."""
        if value.type.kind != "any":
            return value
        self.scope.doubt_of_type(position, "where it is not a number, there is no result")
        return of_kind(value, FLOAT)

    def condition(self, node: Expression) -> Typed:
        """An expression that decides (WHERE, WHEN, ON, HAVING)."""
        value = self.compile(node)
        if value.type.kind not in ("bit", "null"):
            raise FaultFound(node.position, f"A condition expected, found {value.type.described}.", "Compare it with a value.")
        return value

    def _name(self, node: Name) -> Typed:
        try:
            return self._resolved(node)
        except Unknown:
            absent = self.scope.absent(node)
            if absent is None:
                raise
            return absent

    def _resolved(self, node: Name) -> Typed:
        alias, column, fields = self.scope.column(node)
        if not column.hidden:
            check_name(column.name, node.position)
        while fields and column.inner is not None and (known := column.type.field_named(fields[0])) is not None:
            column, fields = column.inner(known[0]), fields[1:]
        value = column.value(alias)
        for field_name in fields:
            value = field_of(value, field_name, node.position)
        return value

    def _unary(self, node: Unary) -> Typed:
        if node.operator == "NOT":
            return negated(self.condition(node.operand), True)
        if node.operator == "-" and node.operand == Literal(node.operand.position, 2**63):  # fits with its sign only
            return Typed(f"(-{2**63 - 1}::BIGINT - 1)", BIGINT)
        operand = self.compile(node.operand)
        if node.operator == "~":
            _check_bits(node, operand)
            return combined(f"(NOT {operand.sql})" if operand.type == BIT else f"(~{operand.sql})", operand.type, operand)
        if not operand.type.is_number and operand.type.kind != "null":
            raise FaultFound(node.position, f"{node.operator} needs a number, found {operand.type.described}.", "CAST it first.")
        return combined(f"({node.operator}{operand.sql})", operand.type, operand)

    def _binary(self, node: Binary) -> Typed:
        if node.operator in ("AND", "OR"):
            left, right = self.condition(node.left), self.condition(node.right)
            return combined(f"({left.sql} {node.operator} {right.sql})", BIT, left, right)
        left, right = self.compile(node.left), self.compile(node.right)
        if node.operator in COMPARISONS:
            return self._compared(node.operator, left, right, node.position)
        return _bitwise(node, left, right) if node.operator in _BITWISE else self._arithmetic(node, left, right)

    def _compared(self, operator: str, left: Typed, right: Typed, position: Position) -> Typed:
        kinds = {left.type.kind, right.type.kind}
        if "any" in kinds and len(kinds) == 2 and kinds <= {"any", *_JSON_TYPES}:
            (kind,) = kinds - {"any"}
            self.scope.doubt_of_type(position, f"where it is not a {DataType(kind)}, the comparison isn't true")
        return compared(operator, left, right, position)

    def _arithmetic(self, node: Binary, left: Typed, right: Typed) -> Typed:
        left, right = self.number(left, node.position), self.number(right, node.position)
        value = _arithmetic(node, left, right)
        if node.operator == "/" and value.type == BIGINT:
            text = "The reference doesn't say what bigint / bigint gives; here it is a whole number, as in T-SQL."
            self.scope.doubts.append(Fault(node.position, text, "CAST one side AS float, or use FLOOR."))
        return value

    def _like(self, node: Like) -> Typed:
        operand, pattern = self.compile(node.operand), self.compile(node.pattern)
        for side in (operand, pattern):
            if side.type.kind not in ("nvarchar", "null"):
                raise FaultFound(node.position, f"LIKE compares texts, found {side.type.described}.", "CAST it AS nvarchar(max).")
        if pattern.literal is None:
            raise FaultFound(node.pattern.position, "LIKE takes a pattern written in the query here.", "Use REGEXMATCH for more.")
        test = f"({operand.sql} LIKE {pattern.sql})"
        if "[" in pattern.literal or "\\" in pattern.literal:
            test = text_functions.matches_pattern(operand.sql, readable_pattern(pattern.literal, node.pattern.position))
        return negated(combined(test, BIT, operand), node.negated)

    def _case(self, node: Case) -> Typed:
        operand = self.compile(node.operand) if node.operand is not None else None
        conditions: list[Typed] = []
        values: list[Typed] = []
        for when, then in node.branches:
            if operand is None:
                conditions.append(self.condition(when))
            else:
                conditions.append(self._compared("=", operand, self.compile(when), when.position))
            values.append(self.compile(then))
        values.append(self.compile(node.otherwise))
        result = self.scope.common_type(values, node.position, "The branches of CASE")
        texts = [converted(value, result) for value in values]
        branches = " ".join(f"WHEN {c.sql} THEN {t}" for c, t in zip(conditions, texts, strict=False))
        return combined(f"(CASE {branches} ELSE {texts[-1]} END)", result, *conditions, *values)

    def _call(self, node: Call) -> Typed:
        from asa_engine.functions import compile_call

        return compile_call(self, node)


# ---- building blocks shared with the functions


def combined(sql: str, data_type: DataType, *parts: Typed) -> Typed:
    """A compiled expression made of others: it reads what they read."""
    return Typed(sql, data_type, frozenset().union(*(part.uses for part in parts)))


def readable_pattern(pattern: str, position: Position) -> str:
    """A pattern of LIKE or PATINDEX; raises FaultFound for a set that can't be read."""
    if not text_functions.is_pattern(pattern):
        raise FaultFound(position, "A set of characters in this pattern has no end.", "Close it with ], or write [[] for a [.")
    if (backward := text_functions.backward_range(pattern)) is not None:
        raise FaultFound(position, f"The range {backward} in this pattern ends before it begins.", "Turn it round.")
    return pattern


def negated(value: Typed, when: bool) -> Typed:
    """NOT value if `when`."""
    return combined(f"(NOT {value.sql})", BIT, value) if when else value


def _literal(node: Literal) -> Typed:
    if node.value is None:
        return Typed("NULL", NULL)
    if isinstance(node.value, str):
        return Typed(text_literal(node.value), NVARCHAR, literal=node.value)
    if isinstance(node.value, int):
        if not -(2**63) <= node.value < 2**63:
            raise FaultFound(node.position, f"{node.value} doesn't fit a bigint.")
        return Typed(f"{node.value}::BIGINT", BIGINT)
    if not math.isfinite(node.value):
        raise FaultFound(node.position, "This number doesn't fit a float.")
    return Typed(f"{node.value!r}::DOUBLE", FLOAT)


def finite(number: str) -> str:
    """The SQL of a float inside of an array: there DuckDB reads a text that says nan or infinity as one, above all numbers."""
    return f"(CASE WHEN isfinite({number}) THEN {number} END)"


def without_infinities(value: str, data_type: DataType) -> str:
    """The SQL of a value whose floats, down to the fields of records, are finite or NULL: JSON has neither NaN nor infinity."""
    if data_type == FLOAT:
        return finite(value)
    inner = [
        (name, kind, without_infinities(f"struct_extract({value}, {text_literal(name)})", kind))
        for name, kind in data_type.fields
    ]
    if all(kind != FLOAT and not kind.fields for _, kind, _ in inner):
        return value
    packed = ", ".join(f"{quoted(name)} := {sql}" for name, _, sql in inner)
    return f"(CASE WHEN {value} IS NOT NULL THEN struct_pack({packed}) END)"


def field_of(value: Typed, name: str, position: Position) -> Typed:
    """A field of a record. A record of unknown shape yields a value of unknown type, which has to be CAST before use."""
    if value.type.kind == "record" and value.type.fields:
        found = value.type.field_named(name)
        if found is None:
            known = [spelled for spelled, _ in value.type.fields]
            raise Unknown(position, f"The record has no field {name}.", did_you_mean(name, known))
        held = f"struct_extract({value.sql}, {text_literal(found[0])})"
        return combined(finite(held) if found[1] == FLOAT else held, found[1], value)
    if not name:
        raise FaultFound(position, "A field without a name can't be read here.")
    if value.type.kind in ("any", "record"):
        path = text_literal('$."' + name.replace('"', '\\"') + '"')
        return combined(f"json_extract({value.sql}, {path})", ANY, value)
    if value.type.kind == "null":
        return value
    raise FaultFound(position, f"{value.type.as_subject} has no field {name}.")


def as_datetime(value: Typed, position: Position, safe: bool = False) -> str:
    """The SQL of a value as a timestamp in UTC; texts are read as ISO 8601, with or without an offset."""
    attempt = "TRY_CAST" if safe else "CAST"
    if value.type.kind in ("datetime", "null"):
        return f"CAST({value.sql} AS TIMESTAMP)" if value.type.kind == "null" else value.sql
    if value.type.kind == "nvarchar":
        return moment_of(value.sql, attempt)
    if value.type.kind == "any":  # a time travels as text
        return as_datetime(of_kind(value, NVARCHAR), position, safe)
    raise FaultFound(position, f"A datetime expected, found {value.type.described}.", "CAST it AS datetime.")


_ISO_8601 = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]+)?)?"
    "(?:[Zz]|[-+](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?)?$"
)
"""What a time is written with: DuckDB also takes `epoch`, `infinity`, eras, zones by name, years of any length, single digits."""
_OUT_OF_CALENDAR = "^0000|^0001-01-01.*[+].*[1-9]|^9999-12-31.(?:24|.+-.*[1-9])"
"""What would be before the year 1 or after 9999, which no datetime is: also by its offset, on the first and the last day."""


_USUAL_TIMES = "['%Y-%m-%dT%H:%M:%S.%fZ', '%Y-%m-%dT%H:%M:%SZ']"
"""How nearly all times are written. To read these alone takes a quarter of the time of a look at the letters and a cast."""
_USUAL_SHAPE = "____-__-__T__:__:__%Z"
"""The same as a pattern: the formats would also take a year or a month of one digit."""


def moment_of(text: str, attempt: str = "TRY_CAST") -> str:
    """The SQL of a text in ISO 8601 as a timestamp in UTC; without an offset it is UTC.

    A plain cast to TIMESTAMP would drop the offset. What is not a time becomes an empty text first, which no cast takes: a CASE
    there has changed the order of the rows of one moment in large ticks. The usual times are read without space around them.
    """
    usual = f"CASE WHEN {text} >= '0001' AND {text} LIKE '{_USUAL_SHAPE}' THEN try_strptime({text}, {_USUAL_TIMES}) END"
    written = f"regexp_extract(regexp_replace({text}, '{_OUT_OF_CALENDAR}', ''), '{_ISO_8601}')"
    other = f"make_timestamp(epoch_us({attempt}(upper({written}) AS TIMESTAMPTZ)))"
    return f"coalesce({usual}, {other})"


def common_type(values: list[Typed], position: Position, what: str) -> DataType:
    """The one type several values have; raises FaultFound when there is none."""
    result = NULL
    for value in values:
        merged = unified(result, value.type)
        if merged.kind == "any" and "any" not in (result.kind, value.type.kind):
            text = f"{what} are {result.described} and {value.type.described}."
            raise FaultFound(position, text, "CAST one to the type of the other.")
        result = merged
    return result


def merged_type(values: list[Typed]) -> DataType:
    """The type that holds every one of several values."""
    result = NULL
    for value in values:
        result = unified(result, value.type)
    return result


_JSON_TYPES = {
    "bigint": "'BIGINT', 'UBIGINT', 'DOUBLE'",
    "float": "'BIGINT', 'UBIGINT', 'DOUBLE'",
    "nvarchar": "'VARCHAR'",
    "bit": "'BOOLEAN'",
}
"""The types of DuckDB's JSON that are values of a type."""


def of_kind(value: Typed, target: DataType) -> Typed:
    """A value of unknown type where it is one of `target` (a whole number may be a float), else NULL."""
    held = f"CASE WHEN json_type({value.sql}) IN ({_JSON_TYPES[target.kind]}) THEN {value.sql} ->> '$' END"
    kind = FLOAT if target.is_number else target
    return combined(f"CAST(({held}) AS {duckdb_type(kind)})", kind, value)


def converted(value: Typed, target: DataType) -> str:
    """The SQL of a value in the DuckDB type of `target` (bigint widens to float, NULL fits anything)."""
    if value.type == target or target.kind == "null":
        return value.sql
    if target.is_json and value.type.kind == "datetime":
        return f"to_json({as_text(value)})"
    if target.is_json and not value.type.is_json and value.type.kind != "null":
        return f"to_json({value.sql})"
    return f"CAST({value.sql} AS {duckdb_type(target)})"


def compared(operator: str, left: Typed, right: Typed, position: Position) -> Typed:
    """A comparison. Numbers compare with numbers, texts with texts, times with times (or texts that are times)."""
    if "any" in (left.type.kind, right.type.kind):
        left, right = _of_one_kind(left, right), _of_one_kind(right, left)
    kinds = {left.type.kind, right.type.kind}
    left_sql, right_sql = left.sql, right.sql
    if "datetime" in kinds and kinds <= {"datetime", "nvarchar"}:
        left_sql, right_sql = as_datetime(left, position), as_datetime(right, position)
    elif "bit" in kinds and kinds <= {"bit", "bigint"} and len(kinds) == 2:
        left_sql, right_sql = f"CAST({left_sql} AS BIGINT)", f"CAST({right_sql} AS BIGINT)"
    elif kinds & {"any", "record", "array"}:
        raise FaultFound(
            position,
            f"{operator} can't compare {left.type.described} with {right.type.described}.",
            "CAST it to a type first (TRY_CAST for what may not fit).",
        )
    elif "null" not in kinds and len(kinds) > 1 and not (left.type.is_number and right.type.is_number):
        text = f"{operator} compares {left.type.described} with {right.type.described}: they never match."
        raise FaultFound(position, text, "CAST one side.")
    return combined(f"({left_sql} {operator} {right_sql})", BIT, left, right)


def _of_one_kind(value: Typed, other: Typed) -> Typed:
    return of_kind(value, other.type) if value.type.kind == "any" and other.type.kind in _JSON_TYPES else value


_BITWISE = {"&": "({0} & {1})", "|": "({0} | {1})", "^": "xor({0}, {1})"}


def _check_bits(node: Unary | Binary, value: Typed) -> None:
    if value.type.kind not in ("bigint", "bit", "null"):
        raise FaultFound(node.position, f"{node.operator} needs bigint or bit, found {value.type.described}.", "CAST it first.")


def _bitwise(node: Binary, left: Typed, right: Typed) -> Typed:
    """A bit when both sides are, else a bigint."""
    for side in (left, right):
        _check_bits(node, side)
    both_bits = {left.type, right.type} <= {BIT, NULL}
    sql = _BITWISE[node.operator].format(*(f"CAST({side.sql} AS BIGINT)" for side in (left, right)))
    return combined(f"CAST({sql} AS {'BOOLEAN' if both_bits else 'BIGINT'})", BIT if both_bits else BIGINT, left, right)


def _arithmetic(node: Binary, left: Typed, right: Typed) -> Typed:
    kinds = {left.type.kind, right.type.kind} - {"null"}
    if node.operator == "+" and kinds == {"nvarchar"}:
        return combined(f"({left.sql} || {right.sql})", NVARCHAR, left, right)
    for side in (left, right):
        if not side.type.is_number and side.type.kind != "null":
            advice = "Use DATEADD or DATEDIFF." if side.type.kind == "datetime" else "CAST it first."
            raise FaultFound(node.position, f"{node.operator} needs numbers, found {side.type.described}.", advice)
    result = FLOAT if "float" in kinds else BIGINT
    operator = "//" if node.operator == "/" and result == BIGINT else node.operator
    sides = [converted(side, result) if side.type.kind == "null" else side.sql for side in (left, right)]
    return combined(f"({sides[0]} {operator} {sides[1]})", result, left, right)


def with_value(value: str, result: Callable[[str], str]) -> str:
    """The SQL of what is made of a value by SQL that names it several times: written out, it would double with each nesting."""
    return f"list_transform([{value}], lambda __v: {result('__v')})[1]"


def _bigint_of(text: str) -> str:
    return f"CASE WHEN regexp_full_match({text}, '\\s*[+-]?\\d+\\s*') THEN TRY_CAST({text} AS BIGINT) END"


def _float_of(text: str) -> str:
    """DuckDB also takes underscores, `nan`, `infinity` and what is too large; a float is finite."""
    number = f"TRY_CAST({text} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) AND NOT contains({text}, '_') THEN {number} END"


def _bit_of(text: str) -> str:
    """DuckDB also takes `t`, `yes` and the like."""
    return f"CASE lower({text}) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE WHEN '1' THEN TRUE WHEN '0' THEN FALSE END"


_TEXTS_OF = {"bigint": _bigint_of, "float": _float_of, "bit": _bit_of}
"""The SQL that reads a text as a value of a type; NULL for a text that isn't one."""


def _read_text(text: str, target: DataType, safe: bool) -> str:
    """CAST or TRY_CAST of a text to a number or a bit."""

    def read(held: str) -> str:
        value = _TEXTS_OF[target.kind](held)
        return value if safe else f"coalesce({value}, CAST('no {target}: ' || {held} AS {duckdb_type(target)}))"

    return with_value(text, read)


def cast(value: Typed, node: Cast) -> Typed:
    """CAST and TRY_CAST, by the rules of the service; a CAST that fails stops the run, a TRY_CAST yields NULL."""
    target = type_named(node.type_name)
    if target is None:
        raise FaultFound(node.position, f"{node.type_name} is not a type.", "Use bigint, float, nvarchar(max), datetime or bit.")
    if target.kind in ("record", "array") and value.type.kind not in (target.kind, "any", "null"):
        raise FaultFound(node.position, f"{value.type.as_subject} can't become {target.described}.")
    source = value.type
    attempt = "TRY_CAST" if node.safe else "CAST"
    if source.kind == target.kind:
        return value  # still the column it was, so that it can stay where it arrived
    if source.kind == "any" and target.kind not in ("record", "array"):
        value = combined(f"({value.sql} ->> '$')", NVARCHAR, value)
        source = NVARCHAR
        if target == NVARCHAR:
            return value
    if source.kind == "nvarchar" and target.kind in _TEXTS_OF:
        return combined(_read_text(value.sql, target, node.safe), target, value)
    if source.kind == "float" and target.kind == "bigint":
        return combined(f"{attempt}(trunc({value.sql}) AS BIGINT)", target, value)
    if target.kind == "datetime":
        if source.kind not in ("nvarchar", "null"):
            advice = "Use DATEADD(millisecond, x, '1970-01-01T00:00:00Z')."
            raise FaultFound(node.position, f"{source.as_subject} can't become a datetime.", advice)
        return combined(as_datetime(value, node.position, node.safe), DATETIME, value)
    if target.kind == "nvarchar":
        return combined(as_text(value), NVARCHAR, value)
    if source.kind in ("record", "array", "datetime"):
        raise FaultFound(node.position, f"{source.as_subject} can't become {target.described}.")
    return combined(f"{attempt}({value.sql} AS {duckdb_type(target)})", target, value)


def as_text(value: Typed) -> str:
    """The SQL of a value as text: times with seven digits and Z, whole floats without a point, records as JSON."""
    match value.type.kind:
        case "nvarchar":
            return value.sql
        case "datetime":
            return f"(strftime({value.sql}, '%Y-%m-%dT%H:%M:%S.%f') || '0Z')"
        case "float":
            whole = f"{value.sql} = trunc({value.sql}) AND abs({value.sql}) < 1e15"
            return f"(CASE WHEN {whole} THEN CAST(CAST({value.sql} AS BIGINT) AS VARCHAR) ELSE CAST({value.sql} AS VARCHAR) END)"
        case "bit":
            return f"CAST(CAST({value.sql} AS BIGINT) AS VARCHAR)"
        case "any":
            return f"({value.sql} ->> '$')"
        case "record" | "array":
            return f"CAST(to_json({value.sql}) AS VARCHAR)"
    return f"CAST({value.sql} AS VARCHAR)"
