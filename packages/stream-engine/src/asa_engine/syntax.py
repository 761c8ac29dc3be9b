"""The syntax tree of a query: what was written, with the place of every part. No meaning is attached here."""

from __future__ import annotations

from dataclasses import dataclass, field

from asa_engine.errors import Position


@dataclass(frozen=True)
class Node:
    """Anything that was written somewhere. Equality ignores the place, so equal text compares equal."""

    position: Position = field(compare=False)


# ---- expressions


@dataclass(frozen=True)
class Literal(Node):
    """A number, a text, or NULL."""

    value: int | float | str | None


@dataclass(frozen=True)
class Name(Node):
    """A column, possibly behind an alias and inside records: `o.data.cityId`."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class Star(Node):
    """`*`, `alias.*` or `record.*`."""

    qualifier: tuple[str, ...] = ()


@dataclass(frozen=True)
class FieldOf(Node):
    """A field of the record an expression yields: `GetArrayElement(a, 0).name`."""

    record: Expression
    field_name: str


@dataclass(frozen=True)
class Unary(Node):
    """`-x`, `+x` or `NOT x`."""

    operator: str
    operand: Expression


COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Binary(Node):
    """An arithmetic, comparison or logical operator between two operands."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Between(Node):
    """`x [NOT] BETWEEN low AND high`."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool


@dataclass(frozen=True)
class In(Node):
    """`x [NOT] IN (a, b, c)`."""

    operand: Expression
    values: tuple[Expression, ...]
    negated: bool


@dataclass(frozen=True)
class Like(Node):
    """`x [NOT] LIKE pattern`."""

    operand: Expression
    pattern: Expression
    negated: bool


@dataclass(frozen=True)
class IsNull(Node):
    """`x IS [NOT] NULL`."""

    operand: Expression
    negated: bool


@dataclass(frozen=True)
class Case(Node):
    """`CASE [operand] WHEN .. THEN .. ELSE .. END`."""

    operand: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression


@dataclass(frozen=True)
class Cast(Node):
    """`CAST(x AS type)`, or `TRY_CAST` when `safe`."""

    operand: Expression
    type_name: str
    safe: bool


@dataclass(frozen=True)
class OrderItem(Node):
    """One entry of an ORDER BY list."""

    expression: Expression
    descending: bool


@dataclass(frozen=True)
class Over(Node):
    """What follows a function in `OVER (...)`."""

    partition_by: tuple[Expression, ...] = ()
    order_by: tuple[OrderItem, ...] = ()
    limit: tuple[Expression, ...] = ()
    when: Expression | None = None


@dataclass(frozen=True)
class Call(Node):
    """A function call. `function` is in upper case and may have dots (`SYSTEM.TIMESTAMP`, `UDF.X`); `spelled` is as written."""

    function: str
    arguments: tuple[Expression, ...]
    distinct: bool = False
    over: Over | None = None
    spelled: str = field(default="", compare=False)


Expression = Literal | Name | Star | FieldOf | Unary | Binary | Between | In | Like | IsNull | Case | Cast | Call


# ---- queries


@dataclass(frozen=True)
class SelectItem(Node):
    """One column of a SELECT list; `alias` is None when none was written."""

    expression: Expression
    alias: str | None


@dataclass(frozen=True)
class NamedSource(Node):
    """An input, a reference input or a WITH step in FROM or JOIN."""

    name: str
    alias: str
    timestamp_by: Expression | None = None
    timestamp_over: tuple[Expression, ...] = ()
    partition_by: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class SubquerySource(Node):
    """A query in parentheses in FROM or JOIN."""

    query: Query
    alias: str


@dataclass(frozen=True)
class Join(Node):
    """`[INNER | LEFT] JOIN source ON condition`."""

    kind: str
    source: NamedSource | SubquerySource
    condition: Expression


@dataclass(frozen=True)
class Apply(Node):
    """`CROSS APPLY f(x) AS alias`, or OUTER APPLY when `outer`."""

    outer: bool
    call: Call
    alias: str


@dataclass(frozen=True)
class Select(Node):
    """One SELECT."""

    items: tuple[SelectItem, ...]
    source: NamedSource | SubquerySource
    joins: tuple[Join, ...] = ()
    applies: tuple[Apply, ...] = ()
    where: Expression | None = None
    group_by: tuple[Expression, ...] = ()
    having: Expression | None = None
    distinct: bool = False


@dataclass(frozen=True)
class Union(Node):
    """Two queries whose rows flow together; duplicates stay, whether or not it `says_all`."""

    left: Query
    right: Query
    says_all: bool = False


Query = Select | Union


@dataclass(frozen=True)
class ColumnDeclaration(Node):
    """A column of CREATE TABLE."""

    name: str
    type_name: str


@dataclass(frozen=True)
class TableDeclaration(Node):
    """`CREATE TABLE input (column type, ...)`: the schema of an input."""

    name: str
    columns: tuple[ColumnDeclaration, ...]


@dataclass(frozen=True)
class StepDefinition(Node):
    """`name AS (query)` in WITH."""

    name: str
    query: Query


@dataclass(frozen=True)
class OutputStatement(Node):
    """`SELECT ... INTO output ...`; without INTO the output is called `output`."""

    output: str
    query: Query


@dataclass(frozen=True)
class Script:
    """A whole query file."""

    tables: tuple[TableDeclaration, ...]
    steps: tuple[StepDefinition, ...]
    outputs: tuple[OutputStatement, ...]
