"""Reads a query text into the syntax tree: the grammar of Azure Stream Analytics and nothing more.

Statements need no `;` between them. What the grammar doesn't know is a fault with its place, never skipped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from asa_engine.errors import FaultFound, Position, QueryError
from asa_engine.lexer import Token, tokens_of
from asa_engine.syntax import (
    Apply,
    Between,
    Binary,
    Call,
    Case,
    Cast,
    ColumnDeclaration,
    Expression,
    FieldOf,
    In,
    IsNull,
    Join,
    Like,
    Literal,
    Name,
    NamedSource,
    Node,
    OrderItem,
    OutputStatement,
    Over,
    Query,
    Script,
    Select,
    SelectItem,
    Star,
    StepDefinition,
    SubquerySource,
    TableDeclaration,
    Unary,
    Union,
)
from asa_engine.tree import parts_of

# fmt: off
_RESERVED = frozenset((
    "SELECT", "INTO", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "JOIN", "ON", "UNION", "WITH", "AS", "AND", "OR", "NOT",
    "IN", "LIKE", "BETWEEN", "IS", "NULL", "CASE", "WHEN", "THEN", "ELSE", "END", "CREATE",
))
"""Words that are never a name without brackets. Every other keyword is one wherever no clause can begin."""
_AFTER_A_SOURCE = frozenset(("INNER", "LEFT", "RIGHT", "FULL", "CROSS", "OUTER"))
"""Words that begin a JOIN or an APPLY, so they are not an alias without AS."""
# fmt: on
NESTED_AT_MOST = 50
"""Parentheses, functions, CASE, NOT and signs inside each other. Deeper ones would overrun Python's stack."""
DEEPEST = 200
"""Operators of one expression that wait for each other, as in a + b + c. AND and OR don't count: their order doesn't matter."""
_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "!<": ">=", "!>": "<="}
_FOREIGN_STATEMENTS = ("INSERT", "UPDATE", "DELETE", "DROP", "ALTER", "MERGE", "DECLARE", "EXEC", "TRUNCATE")


@functools.lru_cache(maxsize=16)
def parse(source: str, file_name: str = "query") -> Script:
    """The syntax tree of a query text; a text that comes again is not read again. Raises QueryError with the first fault."""
    try:
        script = _Parser(tokens_of(source)).script()
        _check_depth(script)
        return script
    except FaultFound as found:
        raise QueryError([found.fault], file_name, source) from None


def _check_depth(script: Script) -> None:
    """Raise FaultFound for an expression or a UNION with more operators in each other than the planner can walk."""
    waiting: list[tuple[object, int]] = [((*script.steps, *script.outputs), 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, Node):
            depth += 1
            if depth > DEEPEST:
                text = f"This has more than {DEEPEST} operators that wait for each other, the most that can be computed here."
                raise FaultFound(value.position, text, "Compute part of it in a WITH step, or write a list with IN.")
        waiting += [(part, depth) for part in parts_of(value)]


def _flat_tree(operator: str, operands: list[Expression], positions: list[Position]) -> Expression:
    """`positions[i]` is that of the operator before operand i."""
    if len(operands) == 1:
        return operands[0]
    middle = (len(operands) + 1) // 2
    left = _flat_tree(operator, operands[:middle], positions[:middle])
    return Binary(positions[middle], operator, left, _flat_tree(operator, operands[middle:], positions[middle:]))


class _Parser:
    """Recursive descent, one method per rule of the grammar."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._index = 0
        self._nested = 0

    # ---- reading tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._index]

    def _peek(self, ahead: int) -> Token:
        return self._tokens[min(self._index + ahead, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._next
        if token.kind != "end":
            self._index += 1
        return token

    def _sees(self, *keywords: str) -> bool:
        return all(self._peek(ahead).upper == keyword for ahead, keyword in enumerate(keywords))

    def _accept(self, *keywords: str) -> bool:
        if not self._sees(*keywords):
            return False
        self._index += len(keywords)
        return True

    def _expect(self, keyword: str, where: str) -> Token:
        if self._next.upper != keyword:
            raise self._unexpected(f"{keyword} expected {where}")
        return self._take()

    def _unexpected(self, expectation: str, advice: str = "") -> FaultFound:
        token = self._next
        seen = "the end of the query" if token.kind == "end" else f"{token.value!r}"
        return FaultFound(token.position, f"{expectation}, found {seen}.", advice)

    @property
    def _at_name(self) -> bool:
        return self._next.kind == "name" or (self._next.kind == "word" and self._next.upper not in _RESERVED)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """One level further in; raises FaultFound for the level that is one too many."""
        self._nested += 1
        if self._nested > NESTED_AT_MOST:
            raise FaultFound(
                self._next.position,
                f"This is nested more than {NESTED_AT_MOST} deep, the most that can be read here.",
                "Compute the inner part in a WITH step.",
            )
        yield
        self._nested -= 1

    def _identifier(self, what: str) -> str:
        token = self._next
        if self._at_name:
            return self._take().value
        advice = f"Write [{token.value}] to use a reserved word as a name." if token.kind == "word" else ""
        raise self._unexpected(f"{what} expected", advice)

    # ---- statements

    def script(self) -> Script:
        tables: list[TableDeclaration] = []
        steps: list[StepDefinition] = []
        outputs: list[OutputStatement] = []
        while self._next.kind != "end":
            if self._accept(";"):
                continue
            if self._sees("CREATE"):
                tables.append(self._table())
            elif self._sees("WITH"):
                if steps:
                    raise FaultFound(self._next.position, "A query has one WITH.", "List all steps in the first WITH.")
                steps = self._steps()
            elif self._sees("SELECT") or self._sees("("):
                outputs.append(self._output())
            else:
                advice = "A Stream Analytics query is CREATE TABLE, WITH and SELECT ... INTO only."
                if self._next.upper in _FOREIGN_STATEMENTS:
                    raise FaultFound(self._next.position, f"{self._next.upper} is not a streaming statement.", advice)
                raise self._unexpected("SELECT, WITH or CREATE TABLE expected", advice)
        if not outputs:
            raise FaultFound(self._next.position, "The query writes nothing.", "Add a SELECT ... INTO output FROM ...")
        return Script(tuple(tables), tuple(steps), tuple(outputs))

    def _table(self) -> TableDeclaration:
        position = self._take().position
        self._expect("TABLE", "after CREATE")
        name = self._identifier("The name of an input")
        self._expect("(", "before the columns of CREATE TABLE")
        columns = [self._column_declaration()]
        while self._accept(","):
            columns.append(self._column_declaration())
        self._expect(")", "after the columns of CREATE TABLE")
        return TableDeclaration(position, name, tuple(columns))

    def _column_declaration(self) -> ColumnDeclaration:
        position = self._next.position
        name = self._take().value if self._next.kind == "word" else self._identifier("A column")
        return ColumnDeclaration(position, name, self._type_name())

    def _type_name(self) -> str:
        name = self._identifier("A type (bigint, float, nvarchar(max), datetime, bit, record, array)").lower()
        if self._accept("("):
            size = self._take().value
            self._expect(")", "after the size of a type")
            if name != "nvarchar" or size.lower() != "max":
                return f"{name}({size.lower()})"
        return name

    def _steps(self) -> list[StepDefinition]:
        self._take()
        steps = [self._step()]
        while self._accept(","):
            steps.append(self._step())
        return steps

    def _step(self) -> StepDefinition:
        position = self._next.position
        name = self._identifier("The name of a step")
        self._expect("AS", "after the name of a step")
        self._expect("(", "before the query of a step")
        query, output = self._query()
        if output is not None:
            raise FaultFound(position, f"Step {name} has INTO.", "Only the SELECTs after WITH write INTO an output.")
        self._expect(")", "after the query of a step")
        return StepDefinition(position, name, query)

    def _output(self) -> OutputStatement:
        position = self._next.position
        query, output = self._query()
        return OutputStatement(position, output or "output", query)

    def _query(self) -> tuple[Query, str | None]:
        query, output = self._query_term()
        while self._sees("UNION"):
            position = self._take().position
            says_all = self._accept("ALL")
            right, right_output = self._query_term()
            if right_output is not None:
                raise FaultFound(position, "INTO belongs to the first SELECT of a UNION.")
            query = Union(position, query, right, says_all)
        return query, output

    def _query_term(self) -> tuple[Query, str | None]:
        if self._accept("("):
            with self._inside():
                query, output = self._query()
            self._expect(")", "after a query in parentheses")
            return query, output
        return self._select()

    def _select(self) -> tuple[Select, str | None]:
        position = self._expect("SELECT", "to begin a query").position
        distinct = self._sees("DISTINCT") and self._peek(1).upper not in (",", "FROM", "=", ".") and self._accept("DISTINCT")
        if self._sees("TOP") and self._peek(1).kind == "number":
            advice = "Use TopOne() or CollectTop(n) OVER (ORDER BY ...) with a window."
            raise FaultFound(self._next.position, "SELECT TOP isn't part of the language.", advice)
        items = [self._select_item()]
        while self._accept(","):
            if self._sees("FROM") or self._sees("INTO"):
                raise self._unexpected("A column expected after the comma", "Leave the last comma out.")
            items.append(self._select_item())
        output = None
        if self._accept("INTO"):
            output = self._identifier("The name of an output")
            if self._accept("PARTITION", "BY"):
                self._column_names()
                self._partition_count()
        if self._sees("WITHIN", "GROUP"):
            advice = "Write OVER (ORDER BY x) after the percentile."
            raise FaultFound(self._next.position, "WITHIN GROUP isn't part of the language.", advice)
        self._expect("FROM", "after the SELECT list")
        source = self._source()
        joins, applies = self._joins_and_applies()
        where = self._expression() if self._accept("WHERE") else None
        group_by: list[Expression] = []
        if self._accept("GROUP", "BY"):
            group_by.append(self._expression())
            while self._accept(","):
                group_by.append(self._expression())
        having = self._expression() if self._accept("HAVING") else None
        if self._sees("PARTITION", "BY"):
            raise FaultFound(self._next.position, "PARTITION BY doesn't go here.", "Write it after the source in FROM.")
        if self._sees("ORDER"):
            raise FaultFound(
                self._next.position,
                "A stream has no ORDER BY.",
                "Rows leave in time order; rank with TopOne or CollectTop in a window.",
            )
        select = Select(position, tuple(items), source, tuple(joins), tuple(applies), where, tuple(group_by), having, distinct)
        return select, output

    def _select_item(self) -> SelectItem:
        position = self._next.position
        if self._accept("*"):
            return SelectItem(position, Star(position), None)
        if self._at_name and self._peek(1).upper == "=":
            name = self._take().value
            self._take()
            return SelectItem(position, self._expression(), name)
        expression = self._expression()
        alias: str | None = None
        if self._accept("AS"):
            alias = self._take().value if self._next.kind in ("text", "word") else self._identifier("A column name")
        elif self._at_name and not self._sees("WITHIN", "GROUP"):
            alias = self._take().value
        return SelectItem(position, expression, alias)

    # ---- sources

    def _source(self) -> NamedSource | SubquerySource:
        position = self._next.position
        if self._accept("("):
            with self._inside():
                query, output = self._query()
            if output is not None:
                raise FaultFound(position, "A subquery has no INTO.")
            self._expect(")", "after a subquery")
            return SubquerySource(position, query, self._alias() or "")
        name = self._identifier("An input or a step")
        alias = "" if self._sees("MATCH_RECOGNIZE") else self._alias()
        timestamp_by, over, partition_by = None, [], []
        while True:
            if self._accept("TIMESTAMP", "BY"):
                timestamp_by = self._expression()
                if self._accept("OVER"):
                    over = self._column_names()
            elif self._accept("PARTITION", "BY"):
                partition_by = self._column_names()
                self._partition_count()
            elif self._sees("MATCH_RECOGNIZE"):
                raise FaultFound(self._next.position, "MATCH_RECOGNIZE isn't supported by the local engine.", "Use LAG and LAST.")
            else:
                return NamedSource(position, name, alias or name, timestamp_by, tuple(over), tuple(partition_by))

    def _partition_count(self) -> None:
        """INTO n after PARTITION BY: of no consequence here, as results don't depend on it."""
        if self._accept("INTO") and not (self._next.kind == "number" and int(float(self._take().value)) >= 1):
            raise self._unexpected("A number of partitions of at least 1 expected after INTO")

    def _alias(self) -> str | None:
        if self._accept("AS"):
            return self._identifier("An alias")
        begins_a_clause = self._next.upper in _AFTER_A_SOURCE or self._sees("TIMESTAMP", "BY") or self._sees("PARTITION", "BY")
        return self._take().value if self._at_name and not begins_a_clause else None

    def _column_names(self) -> list[Expression]:
        names: list[Expression] = [self._name()]
        while self._accept(","):
            names.append(self._name())
        return names

    def _joins_and_applies(self) -> tuple[list[Join], list[Apply]]:
        joins: list[Join] = []
        applies: list[Apply] = []
        while True:
            position = self._next.position
            if self._sees("CROSS", "APPLY") or self._sees("OUTER", "APPLY"):
                outer = self._take().upper == "OUTER"
                self._take()
                call = self._primary()
                if not isinstance(call, Call):
                    raise FaultFound(position, "APPLY needs GetArrayElements(...) or GetRecordProperties(...).")
                alias = self._alias()
                if alias is None:
                    raise self._unexpected("An alias expected after APPLY", "Write AS alias.")
                applies.append(Apply(position, outer, call, alias))
            elif self._sees("RIGHT") or self._sees("FULL") or self._sees("CROSS"):
                raise FaultFound(
                    position, f"{self._next.upper} JOIN isn't part of the language.", "Use JOIN or LEFT JOIN; swap the sides."
                )
            elif self._sees("JOIN") or self._sees("INNER") or self._sees("LEFT"):
                if applies:
                    raise FaultFound(
                        position,
                        "JOIN after APPLY isn't supported here.",
                        "Put the APPLY in a WITH step of its own and join the step.",
                    )
                joins.append(self._join())
            else:
                return joins, applies

    def _join(self) -> Join:
        position = self._next.position
        kind = "INNER"
        if self._accept("LEFT"):
            kind = "LEFT"
            self._accept("OUTER")
        else:
            self._accept("INNER")
        self._expect("JOIN", "after LEFT or INNER")
        source = self._source()
        self._expect("ON", "after the joined source")
        return Join(position, kind, source, self._expression())

    # ---- expressions, from loosest to tightest

    def _expression(self) -> Expression:
        with self._inside():
            return self._joined("OR", self._and)

    def _and(self) -> Expression:
        return self._joined("AND", self._not)

    def _joined(self, operator: str, operand: Callable[[], Expression]) -> Expression:
        """Operands of AND or OR as a tree that is as flat as can be: people list thousands."""
        operands, positions = [operand()], [self._next.position]
        while self._sees(operator):
            positions.append(self._take().position)
            operands.append(operand())
        return _flat_tree(operator, operands, positions)

    def _not(self) -> Expression:
        if self._sees("NOT"):
            position = self._take().position
            with self._inside():
                return Unary(position, "NOT", self._not())
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self._sum()
        while True:
            position = self._next.position
            if self._next.upper in _COMPARISONS:
                operator = _COMPARISONS[self._take().upper]
                left = Binary(position, operator, left, self._sum())
            elif self._accept("IS"):
                negated = self._accept("NOT")
                self._expect("NULL", "after IS")
                left = IsNull(position, left, negated)
            elif self._sees("NOT") or self._sees("BETWEEN") or self._sees("IN") or self._sees("LIKE"):
                left = self._predicate(left)
            else:
                return left

    def _predicate(self, operand: Expression) -> Expression:
        position = self._next.position
        negated = self._accept("NOT")
        if self._accept("BETWEEN"):
            low = self._sum()
            self._expect("AND", "between the bounds of BETWEEN")
            return Between(position, operand, low, self._sum(), negated)
        if self._accept("LIKE"):
            return Like(position, operand, self._sum(), negated)
        self._expect("IN", "after NOT")
        self._expect("(", "after IN")
        if self._sees("SELECT"):
            raise FaultFound(self._next.position, "IN takes a list of values, not a query.", "Join the other source instead.")
        values = [self._expression()]
        while self._accept(","):
            values.append(self._expression())
        self._expect(")", "after the values of IN")
        return In(position, operand, tuple(values), negated)

    def _sum(self) -> Expression:
        left = self._product()
        while self._next.upper in ("+", "-", "&", "|", "^"):
            token = self._take()
            left = Binary(token.position, token.upper, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._unary()
        while self._next.upper in ("*", "/", "%"):
            token = self._take()
            left = Binary(token.position, token.upper, left, self._unary())
        return left

    def _unary(self) -> Expression:
        if self._next.upper in ("-", "+", "~"):
            token = self._take()
            with self._inside():
                return Unary(token.position, token.upper, self._unary())
        return self._fields(self._primary())

    def _fields(self, value: Expression) -> Expression:
        while self._sees(".") and not isinstance(value, Name | Star):
            self._take()
            value = FieldOf(value.position, value, self._field_name())
        return value

    def _field_name(self) -> str:
        return self._take().value if self._next.kind in ("word", "name") else self._identifier("A field")

    def _primary(self) -> Expression:
        token = self._next
        if token.kind == "number":
            self._take()
            whole = token.value.isdigit()
            return Literal(token.position, int(token.value) if whole else float(token.value))
        if token.kind == "text":
            self._take()
            return Literal(token.position, token.value)
        if self._accept("NULL"):
            return Literal(token.position, None)
        if self._accept("("):
            if self._sees("SELECT"):
                raise FaultFound(self._next.position, "A subquery isn't a value here.", "Put it in a WITH step and join it.")
            inner = self._expression()
            self._expect(")", "to close the parenthesis")
            return inner
        if token.upper == "CASE":
            return self._case()
        if token.upper in ("CAST", "TRY_CAST") and self._peek(1).upper == "(":
            return self._cast()
        return self._name_or_call()

    def _case(self) -> Case:
        position = self._take().position
        operand = None if self._sees("WHEN") else self._expression()
        branches: list[tuple[Expression, Expression]] = []
        while self._accept("WHEN"):
            condition = self._expression()
            self._expect("THEN", "after WHEN")
            branches.append((condition, self._expression()))
        if not branches:
            raise self._unexpected("WHEN expected in CASE")
        if not self._accept("ELSE"):
            raise self._unexpected("ELSE expected in CASE, the service asks for it", "Write ELSE NULL.")
        otherwise = self._expression()
        self._expect("END", "to close CASE")
        return Case(position, operand, tuple(branches), otherwise)

    def _cast(self) -> Cast:
        token = self._take()
        self._take()
        operand = self._expression()
        self._expect("AS", f"in {token.upper}")
        type_name = self._type_name()
        self._expect(")", f"to close {token.upper}")
        return Cast(token.position, operand, type_name, token.upper == "TRY_CAST")

    def _name(self) -> Expression:
        value = self._name_or_call()
        if not isinstance(value, Name):
            raise FaultFound(value.position, "A column name expected.")
        return value

    def _name_or_call(self) -> Expression:
        position = self._next.position
        is_plain_word = self._next.kind == "word"
        parts = [self._identifier("A value")]
        while self._sees("."):
            self._take()
            if self._accept("*"):
                return Star(position, tuple(parts))
            parts.append(self._field_name())
        if self._sees("(") and is_plain_word:
            return self._call(position, ".".join(parts))
        if [part.upper() for part in parts] == ["SYSTEM", "TIMESTAMP"]:
            return Call(position, "SYSTEM.TIMESTAMP", ())
        return Name(position, tuple(parts))

    def _call(self, position: Position, spelled: str) -> Call:
        self._take()
        distinct = self._accept("DISTINCT")
        if not distinct:
            self._accept("ALL")  # what is meant anyway
        arguments: list[Expression] = []
        if not self._sees(")"):
            arguments.append(self._argument())
            while self._accept(","):
                arguments.append(self._argument())
        self._expect(")", f"to close {spelled}(")
        over = self._over() if self._sees("OVER", "(") and self._accept("OVER") else None
        return Call(position, spelled.upper(), tuple(arguments), distinct, over, spelled)

    def _argument(self) -> Expression:
        position = self._next.position
        if self._accept("*"):
            return Star(position)
        return self._expression()

    def _over(self) -> Over:
        position = self._next.position
        self._expect("(", "after OVER")
        partition_by: list[Expression] = []
        order_by: list[OrderItem] = []
        limit: list[Expression] = []
        when: Expression | None = None
        while not self._accept(")"):
            if self._accept("PARTITION", "BY"):
                partition_by.append(self._expression())
                while self._accept(","):
                    partition_by.append(self._expression())
            elif self._accept("ORDER", "BY"):
                order_by.append(self._order_item())
                while self._accept(","):
                    order_by.append(self._order_item())
            elif self._sees("LIMIT", "DURATION"):
                self._take()
                duration = self._primary()
                if not isinstance(duration, Call) or len(duration.arguments) != 2:
                    raise FaultFound(
                        duration.position, "LIMIT DURATION takes a unit and a number.", "For example LIMIT DURATION(minute, 5)."
                    )
                limit = list(duration.arguments)
            elif self._accept("WHEN"):
                when = self._expression()
            elif self._sees("ROWS") or self._sees("RANGE"):
                advice = "Say how far it looks back with LIMIT DURATION(unit, n)."
                raise FaultFound(self._next.position, f"OVER has no {self._next.upper} here.", advice)
            else:
                raise self._unexpected("PARTITION BY, ORDER BY, LIMIT DURATION, WHEN or ) expected in OVER")
        return Over(position, tuple(partition_by), tuple(order_by), tuple(limit), when)

    def _order_item(self) -> OrderItem:
        expression = self._expression()
        descending = self._accept("DESC")
        if not descending:
            self._accept("ASC")
        return OrderItem(expression.position, expression, descending)
