"""Turns the syntax tree into steps that can run, checking every rule of the service on the way.

All faults of a query are collected, one per statement or column at most, and reported together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from asa_engine.aggregates import AggregateArguments, whole_row_of
from asa_engine.analytic_step import AnalyticFunction, AnalyticStep
from asa_engine.clauses import (
    all_columns,
    applied_list,
    check_unique,
    columns_of,
    default_name,
    event_scope,
    is_first,
    lag_or_last,
    metadata_for,
    scalar_parts,
    scope_columns,
    sources_of,
    windows_and_keys,
)
from asa_engine.errors import Fault, FaultFound, QueryError, StreamEngineError
from asa_engine.expressions import (
    ExpressionCompiler,
    Scope,
    ScopeColumn,
    Typed,
    combined,
    common_type,
    did_you_mean,
    field_of,
)
from asa_engine.functions import AGGREGATES, ANALYTIC
from asa_engine.grouping import GroupCompiler
from asa_engine.join_bounds import time_bound
from asa_engine.join_step import JoinedColumn, JoinStep
from asa_engine.parser import parse
from asa_engine.rolling_step import RollingAggregate, RollingStep, is_rolling, refuse_analytic, rolling_aggregate
from asa_engine.steps import (
    Column,
    Expansion,
    InputStep,
    ProjectStep,
    ReferenceJoin,
    Step,
    UnionStep,
)
from asa_engine.syntax import (
    Call,
    Expression,
    Join,
    Name,
    NamedSource,
    Query,
    Script,
    Select,
    SelectItem,
    Star,
    SubquerySource,
    TableDeclaration,
    Union,
)
from asa_engine.tree import calls_in, mentions
from asa_engine.types import (
    BIT,
    DataType,
    Schema,
    quoted,
    type_named,
)
from asa_engine.window_step import WindowStep
from asa_engine.windows import SNAPSHOT


@dataclass(frozen=True)
class InputPlan:
    """An input as the query uses it: its schema, the step that reads it, and its clock.

    `timestamp` is the event time as SQL over the event's columns (None: arrival time); `substream_keys` come from OVER.
    """

    name: str
    schema: Schema
    step: InputStep
    timestamp: Typed | None
    substream_keys: tuple[Typed, ...]


@dataclass(frozen=True)
class OutputPlan:
    """An output: its name as written, the step whose rows it gets, and its columns."""

    name: str
    step: Step
    columns: tuple[Column, ...]


@dataclass
class Plan:
    """Everything needed to run a query. `steps` are in the order in which they run; `step_columns` are those of WITH."""

    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, InputPlan] = field(default_factory=dict)
    outputs: list[OutputPlan] = field(default_factory=list)
    script: Script | None = None
    step_columns: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    doubts: list[Fault] = field(default_factory=list)
    """What runs here and may run otherwise on Azure, as far as types and columns report; `lint` reports the rest."""


PENDING = "pending_{}"
REFERENCE = "reference_{}"


def plan_query(
    source: str,
    schemas: Mapping[str, Schema],
    references: Mapping[str, Schema] | None = None,
    file_name: str = "query",
    outputs: set[str] | None = None,
) -> Plan:
    """Plan a query text. `schemas` describe the inputs (CREATE TABLE in the query completes them), `references` the reference
    inputs, `outputs` the outputs that exist (None: any name). Raises QueryError with every fault found."""
    script = parse(source, file_name)
    planner = _Planner(script, schemas, references or {}, outputs)
    plan = planner.build()
    if planner.faults:
        raise QueryError(planner.faults, file_name, source)
    return plan


@dataclass
class _From:
    """What FROM, JOIN and APPLY of a SELECT provide: a step, the scope of names over it, and what has still to be applied."""

    step: Step
    scope: Scope
    expansions: list[Expansion] = field(default_factory=list)
    references: list[ReferenceJoin] = field(default_factory=list)
    partition_by: tuple[Expression, ...] = ()
    is_join: bool = False


class _FollowsFromAnother(StreamEngineError):
    """What is read here couldn't be planned, and that has been reported."""


class _Planner:
    def __init__(
        self, script: Script, schemas: Mapping[str, Schema], references: Mapping[str, Schema], outputs: set[str] | None
    ) -> None:
        self.script = script
        self.faults: list[Fault] = []
        self.plan = Plan(script=script)
        self.schemas = {name.lower(): (name, schema) for name, schema in schemas.items()}
        self.references = {name.lower(): (name, schema) for name, schema in references.items()}
        self.known_outputs = {name.lower(): name for name in outputs} if outputs is not None else None
        self.named_steps: dict[str, Step] = {}
        self.failed: set[str] = set()
        self.counter = 0

    # ---- statements

    def build(self) -> Plan:
        for table in self.script.tables:
            with self._collecting(table.name):
                self._declare_table(table)
        for source in sources_of(self.script):
            with self._collecting(source.name):
                self._declare_input(source)
        with self._collecting():
            self._check_substreams()
        for definition in self.script.steps:
            with self._collecting(definition.name):
                if definition.name.lower() in self.named_steps:
                    raise FaultFound(definition.position, f"Step {definition.name} is defined twice.")
                step = self._query(definition.query, definition.name)
                self.named_steps[definition.name.lower()] = step
                self.plan.step_columns[definition.name] = tuple(step.columns.values())
        for statement in self.script.outputs:
            with self._collecting():
                name = statement.output
                if self.known_outputs is not None and name.lower() not in self.known_outputs:
                    raise FaultFound(
                        statement.position, f"There is no output {name}.", did_you_mean(name, list(self.known_outputs.values()))
                    )
                if name.lower() in {output.name.lower() for output in self.plan.outputs}:
                    raise FaultFound(statement.position, f"Output {name} is written twice.", "Join both SELECTs with UNION.")
                step = self._query(statement.query, f"into_{name}")
                self.plan.outputs.append(OutputPlan(name, step, tuple(step.columns.values())))
        if not self.faults:
            self._settle_demands()
        return self.plan

    @contextmanager
    def _collecting(self, name: str = "") -> Iterator[None]:
        """Collect a fault and go on; what reads `name`, which couldn't be defined, doesn't report it again."""
        try:
            yield
        except (FaultFound, _FollowsFromAnother) as found:
            self.failed.add(name.lower())
            if isinstance(found, FaultFound):
                self.faults.append(found.fault)

    def _settle_demands(self) -> None:
        """Count readers, link steps to their bases, and let every step know what is read of it: from the outputs backwards."""
        reachable: set[int] = set()
        pending = [output.step for output in self.plan.outputs]
        for step in pending:
            step.readers += 1
        while pending:
            step = pending.pop()
            if id(step) in reachable:
                continue
            reachable.add(id(step))
            for source in step.sources:
                source.readers += 1
                pending.append(source)
        self.plan.steps = [step for step in self.plan.steps if id(step) in reachable]
        for step in self.plan.steps:
            step.link()
        for output in self.plan.outputs:
            output.step.want(set(output.step.columns))
        for step in reversed(self.plan.steps):
            step.demand()

    def _declare_table(self, table: TableDeclaration) -> None:
        columns: dict[str, DataType] = {}
        known = self.schemas.get(table.name.lower())
        known_columns = {name.lower(): data_type for name, data_type in known[1].columns.items()} if known else {}
        for column in table.columns:
            data_type = type_named(column.type_name)
            if data_type is None:
                raise FaultFound(
                    column.position,
                    f"{column.type_name} is not a type.",
                    "Use bigint, float, nvarchar(max), datetime, bit, record or array.",
                )
            shape = known_columns.get(column.name.lower())
            # a schema beside the query gives records and arrays their shape; the declared kind rules
            columns[column.name] = shape if shape is not None and shape.kind == data_type.kind else data_type
        self.schemas[table.name.lower()] = (table.name, Schema(columns))

    def _declare_input(self, source: NamedSource) -> None:
        key = source.name.lower()
        if key in self.plan.inputs or key not in self.schemas or key in {step.name.lower() for step in self.script.steps}:
            return
        name, schema = self.schemas[key]
        # a later FROM of the same input may be the one that says TIMESTAMP BY
        timed = next((s for s in sources_of(self.script) if s.name.lower() == key and s.timestamp_by is not None), source)
        metadata = metadata_for(schema)
        step = InputStep(f"in_{key}", [*columns_of(schema), *metadata], PENDING.format(key))
        step.is_sample, step.metadata = schema.is_sample, frozenset(column.name for column in metadata)
        self.plan.inputs[key] = InputPlan(name, schema, step, None, ())  # known even if TIMESTAMP BY is wrong
        self.plan.steps.append(step)
        compiler = ExpressionCompiler(event_scope(timed.alias, schema, self.plan.doubts))
        timestamp = compiler.compile(timed.timestamp_by) if timed.timestamp_by is not None else None
        is_unseen = timestamp is not None and timestamp.type.kind == "null" and schema.is_sample
        if timestamp is not None and not is_unseen and timestamp.type.kind not in ("datetime", "nvarchar"):
            raise FaultFound(
                timed.position,
                f"TIMESTAMP BY needs a datetime or an ISO 8601 text, found {timestamp.type.described}.",
                "Use DATEADD(millisecond, x, '1970-01-01T00:00:00Z') for epoch times.",
            )
        keys = tuple(compiler.compile(over) for over in timed.timestamp_over)
        self.plan.inputs[key] = InputPlan(name, schema, step, timestamp, keys)

    def _check_substreams(self) -> None:
        """TIMESTAMP BY OVER is for all inputs or for none, and knows no reference data."""
        used = list(self.plan.inputs.values())
        with_over = [plan for plan in used if plan.substream_keys]
        if with_over and len(with_over) < len(used):
            source = next(s for s in sources_of(self.script) if s.timestamp_over)
            raise FaultFound(source.position, "TIMESTAMP BY OVER must be on all inputs or on none.")
        looked_up = [source for source in sources_of(self.script) if source.name.lower() in self.references]
        if with_over and looked_up:
            raise FaultFound(
                looked_up[0].position,
                "The service joins no reference data in a query with TIMESTAMP BY OVER.",
                "Leave OVER out, or join in another job.",
            )

    def _add(self, step: Step) -> Step:
        self.plan.steps.append(step)
        return step

    def _fresh(self, name: str) -> str:
        self.counter += 1
        return f"s{self.counter}_{name.lower()}"

    # ---- queries

    def _query(self, query: Query, name: str) -> Step:
        if isinstance(query, Union):
            return self._union(query, name)
        return self._select(query, name)

    def _union(self, query: Union, name: str) -> Step:
        left, right = self._query(query.left, name), self._query(query.right, name)
        if list(left.columns) != list(right.columns):
            raise FaultFound(
                query.position,
                "Both sides of a UNION need the same columns in the same order.",
                f"Left: {', '.join(left.columns)}; right: {', '.join(right.columns)}.",
            )
        columns = []
        for key, column in left.columns.items():
            values = [Typed("", column.type), Typed("", right.columns[key].type)]
            columns.append(Column(column.name, common_type(values, query.position, f"Column {column.name} of the UNION")))
        return self._add(UnionStep(self._fresh(name), left, right, columns))

    def _select(self, select: Select, name: str) -> Step:
        step = self._rows_of(select, name)
        passes_all = any(isinstance(item.expression, Star) and len(item.expression.qualifier) < 2 for item in select.items)
        step.is_sample &= passes_all
        return self._distinct(step, name) if select.distinct else step

    def _distinct(self, step: Step, name: str) -> Step:
        """Rows that are equal and of the same moment, once: a window without length over all columns."""
        values = [column.value("s") for column in scope_columns(step, "s")]
        keys = [(f"g{index}", value) for index, value in enumerate(values)]
        rows = self._add(ProjectStep(self._fresh(f"{name}_rows"), step, keys))
        named = zip(step.columns.values(), keys, strict=True)
        items = [(column.name, Typed(f's."{key}"', column.type, frozenset({("", key)}))) for column, (key, _) in named]
        return self._add(WindowStep(self._fresh(name), rows, [SNAPSHOT], [], items, None))

    def _rows_of(self, select: Select, name: str) -> Step:
        origin = self._from(select, name)
        analytic = [call for call in calls_in(scalar_parts(select)) if call.function in ANALYTIC or is_rolling(call)]
        replacements: dict[Expression, Typed] = {}
        if analytic:
            replacements = self._analytic(select, origin, analytic, name)
        compiler = ExpressionCompiler(origin.scope, replacements)
        self._expand(select, origin, compiler)
        where = self._without_aggregates(select.where, compiler) if select.where is not None else None
        aggregates = [call for call in calls_in(scalar_parts(select)) if call.function in AGGREGATES and not is_rolling(call)]
        for call in aggregates:
            refuse_analytic(call)
        if select.group_by or aggregates:
            return self._grouped(select, origin, compiler, where, name)
        if select.having is not None:  # which "behaves like a WHERE clause" then
            having = compiler.condition(select.having)
            where = having if where is None else combined(f"({where.sql} AND {having.sql})", BIT, where, having)
        items = self._items(select, origin, compiler)
        return self._add(ProjectStep(self._fresh(name), origin.step, items, where, origin.expansions, origin.references))

    def _without_aggregates(self, condition: Expression, compiler: ExpressionCompiler) -> Typed:
        for call in calls_in([condition]):
            if call.function in AGGREGATES and not is_rolling(call):
                raise FaultFound(call.position, f"{call.function} can't be used in WHERE.", "Use HAVING.")
        return compiler.condition(condition)

    def _items(self, select: Select, origin: _From, compiler: ExpressionCompiler) -> list[tuple[str, Typed]]:
        """The columns of a SELECT list, with `*` and `record.*` expanded. Collects the fault of each item."""
        items: list[tuple[str, Typed]] = []
        of_stars: set[str] = set()
        found: list[Fault] = []
        for item in select.items:
            try:
                entries = self._item(item, origin, compiler)
            except FaultFound as fault:
                found.append(fault.fault)
                continue
            if isinstance(item.expression, Star):  # a column to the left of * goes before the one of that name in it
                taken = {name.lower() for name, _ in items}
                entries = [(name, value) for name, value in entries if name.lower() not in taken]
                of_stars |= {name.lower() for name, _ in entries}
            elif entries[0][0].lower() in of_stars:
                self._doubt_of_repeated(item, *entries[0])
                continue
            items += entries
        self.faults += found[1:]
        if found:
            raise FaultFound(found[0].position, found[0].text, found[0].advice)
        check_unique(items, select)
        return items

    def _doubt_of_repeated(self, item: SelectItem, name: str, value: Typed) -> None:
        """A column that a * to its left has too is left out, which matters unless it is the very same."""
        if value.plain_column == name.lower():
            return
        text = f"The * to the left of {name} has such a column too, and that one stays: what is on the left takes precedence."
        self.plan.doubts.append(Fault(item.position, text, "Give it another alias, or name the columns instead of *."))

    def _item(self, item: SelectItem, origin: _From, compiler: ExpressionCompiler) -> list[tuple[str, Typed]]:
        expression = item.expression
        if isinstance(expression, Star):
            if not expression.qualifier:
                if origin.is_join:
                    raise FaultFound(expression.position, "SELECT * isn't allowed with a JOIN.", "Name the columns.")
                if isinstance(origin.step, InputStep):
                    text = "Over an event hub, * has EventProcessedUtcTime, PartitionId and EventEnqueuedUtcTime too; not here."
                    self.plan.doubts.append(Fault(expression.position, text, "Name the columns."))
                return [entry for alias in origin.scope.relations for entry in all_columns(origin.scope, alias)]
            if len(expression.qualifier) == 1 and expression.qualifier[0].lower() in origin.scope.relations:
                return all_columns(origin.scope, expression.qualifier[0].lower())
            record = compiler.compile(Name(expression.position, expression.qualifier))
            if record.type.kind == "null":  # of a sample without the record
                return []
            if not record.type.fields:
                raise FaultFound(
                    expression.position,
                    f"{'.'.join(expression.qualifier)}.* needs a record of known fields.",
                    "Declare its shape, or name the fields.",
                )
            return [(spelled, field_of(record, spelled, expression.position)) for spelled, _ in record.type.fields]
        return [(item.alias or default_name(expression), compiler.compile(expression))]

    # ---- FROM, JOIN, APPLY

    def _from(self, select: Select, name: str) -> _From:
        first = select.source
        stream_joins = [join for join in select.joins if not self._is_reference(join.source)]
        if self._is_reference(first):
            raise FaultFound(
                first.position, "Reference data can't come first.", "Put the stream in FROM and join the reference data."
            )
        step = self._source_step(first, name)
        partition_by = first.partition_by if isinstance(first, NamedSource) else ()
        if not stream_joins:
            scope = Scope(time_sql="s.__ts", doubts=self.plan.doubts)
            scope.add(first.alias or name, scope_columns(step, "s"), step.is_sample)
            origin = _From(step, scope, partition_by=partition_by, is_join=bool(select.joins))
        elif len(stream_joins) > 1:
            raise FaultFound(
                stream_joins[1].position,
                "Two stream JOINs in one SELECT aren't run here: the second may count from the time of either side of the first, "
                "and a joined row has the later of the two only.",
                "Put the first JOIN in a WITH step and join its result, which has that later time.",
            )
        else:
            origin = self._stream_join(first, step, stream_joins[0], name)
        for join in select.joins:
            if self._is_reference(join.source):
                self._reference_join(join, origin)
        return origin

    def _source_step(self, source: NamedSource | SubquerySource, name: str) -> Step:
        if isinstance(source, SubquerySource):
            return self._query(source.query, f"{name}_sub")
        key = source.name.lower()
        if key in self.named_steps:
            if source.timestamp_by is not None:
                raise FaultFound(source.position, "TIMESTAMP BY belongs to an input, not to a step.")
            return self.named_steps[key]
        if key in self.plan.inputs:
            planned = self.plan.inputs[key]
            if source.timestamp_by is not None and planned.timestamp is not None:
                again = ExpressionCompiler(event_scope(source.alias, planned.schema, [])).compile(source.timestamp_by)
                if again.sql != planned.timestamp.sql:
                    raise FaultFound(
                        source.position,
                        f"Input {source.name} has two different TIMESTAMP BY.",
                        "Use one WITH step that reads the input.",
                    )
            return planned.step
        if key in self.failed:
            raise _FollowsFromAnother(source.name)
        if key in {definition.name.lower() for definition in self.script.steps}:
            raise FaultFound(source.position, f"Step {source.name} isn't defined yet.", "A step reads inputs and steps above it.")
        known = [*(name for name, _ in self.schemas.values()), *(definition.name for definition in self.script.steps)]
        advice = did_you_mean(source.name, known) or "Declare it with CREATE TABLE, or add it to Inputs/."
        raise FaultFound(source.position, f"There is no input or step {source.name}.", advice)

    def _is_reference(self, source: NamedSource | SubquerySource) -> bool:
        return (
            isinstance(source, NamedSource)
            and source.name.lower() in self.references
            and source.name.lower() not in self.named_steps
        )

    def _stream_join(self, first: NamedSource | SubquerySource, left: Step, join: Join, name: str) -> _From:
        right = self._source_step(join.source, name)
        aliases = {"l": first.alias or name, "r": join.source.alias or f"{name}_right"}
        if aliases["l"].lower() == aliases["r"].lower():
            raise FaultFound(join.position, f"Two sources are called {aliases['r']}.", "Give each an alias of its own.")
        scope = Scope(doubts=self.plan.doubts)
        for side, step in (("l", left), ("r", right)):
            columns = [ScopeColumn(c.name, f"{side}.{quoted(c.name)}", c.type) for c in step.columns.values()]
            scope.add(aliases[side], columns, step.is_sample)
        bound, rest = time_bound(join, aliases["l"], aliases["r"])
        condition = ExpressionCompiler(scope).condition(rest) if rest is not None else None
        joined = [
            JoinedColumn(f"{side}${column.name}", side, column)
            for side, step in (("l", left), ("r", right))
            for column in step.columns.values()
        ]
        used = {
            side: {column for owner, column in condition.uses if owner == aliases[side].lower()} if condition else set()
            for side in "lr"
        }
        step = self._add(JoinStep(self._fresh(name), left, right, join.kind, bound, condition, used, joined))
        scope = Scope(time_sql="s.__ts", doubts=self.plan.doubts)
        for side in "lr":
            held = [column for column in joined if column.side == side]
            scope.add(
                aliases[side],
                [ScopeColumn(c.column.name, f"s.{quoted(c.name)}", c.column.type, reads=c.name.lower()) for c in held],
                {"l": left, "r": right}[side].is_sample,
            )
        return _From(step, scope, is_join=True)

    def _reference_join(self, join: Join, origin: _From) -> None:
        assert isinstance(join.source, NamedSource)
        key = join.source.name.lower()
        alias = f"r{len(origin.references)}"
        columns = [
            ScopeColumn(name, f"{alias}.{quoted(name)}", data_type) for name, data_type in self.references[key][1].columns.items()
        ]
        if join.source.alias.lower() in origin.scope.relations:
            raise FaultFound(join.position, f"Two sources are called {join.source.alias}.", "Give each an alias of its own.")
        origin.scope.add(join.source.alias, columns, self.references[key][1].is_sample)
        condition = ExpressionCompiler(origin.scope).condition(join.condition)
        origin.references.append(ReferenceJoin(REFERENCE.format(key), alias, join.kind, condition))
        origin.is_join = True

    def _expand(self, select: Select, origin: _From, compiler: ExpressionCompiler) -> None:
        for apply in select.applies:
            if origin.references:
                raise FaultFound(
                    apply.position, "APPLY after a JOIN isn't supported here.", "Put the JOIN in a WITH step of its own."
                )
            index = len(origin.expansions)
            entries, columns = applied_list(apply, compiler, f"__apply{index}")
            origin.expansions.append(Expansion(f"__apply{index}_value", f"__apply{index}_index", entries, apply.outer))
            if apply.alias.lower() in origin.scope.relations:
                raise FaultFound(apply.position, f"Two sources are called {apply.alias}.", "Give each an alias of its own.")
            origin.scope.add(apply.alias, columns)

    # ---- LAG, LAST, ISFIRST

    def _analytic(self, select: Select, origin: _From, calls: list[Call], name: str) -> dict[Expression, Typed]:
        """Put a step before the SELECT that computes its analytic functions; they see rows before WHERE and GROUP BY."""
        if origin.is_join:
            raise FaultFound(
                calls[0].position,
                f"{calls[0].function} over a JOIN isn't supported here.",
                "Put the JOIN in a WITH step of its own.",
            )
        compiler = ExpressionCompiler(origin.scope)
        applied = {apply.alias.lower() for apply in select.applies}
        functions: list[AnalyticFunction | RollingAggregate] = []
        distinct = list(dict.fromkeys(calls))
        for call in distinct:
            if mentions(call, applied):
                raise FaultFound(
                    call.position,
                    f"{call.function} over the rows of an APPLY isn't supported here.",
                    "Put the APPLY in a WITH step of its own.",
                )
            if is_rolling(call):
                functions.append(rolling_aggregate(call, compiler))
            else:
                functions.append(self._analytic_function(call, compiler, origin))
        step = origin.step
        rolling: list[tuple[str, RollingAggregate]] = []
        by_keys: dict[tuple[str, ...], list[tuple[str, AnalyticFunction]]] = {}
        for index, function in enumerate(functions):
            result = f"__a{step.name}_{index}"
            if isinstance(function, RollingAggregate):
                rolling.append((result, function))
            else:
                by_keys.setdefault(tuple(key.sql for key in function.partition), []).append((result, function))
        if rolling:
            step = self._add(RollingStep(self._fresh(name), step, rolling))
        for group in by_keys.values():
            step = self._add(AnalyticStep(self._fresh(name), step, group))
        alias = next(iter(origin.scope.relations))
        columns = list(origin.scope.relations[alias].values())
        named = {id(function): result for group in by_keys.values() for result, function in group}
        named |= {id(aggregate): result for result, aggregate in rolling}
        hidden = [
            ScopeColumn(named[id(function)], f"s.{quoted(named[id(function)])}", function.type, hidden=True)
            for function in functions
        ]
        origin.scope.add(origin.scope.spelled[alias], [*columns, *hidden])
        origin.step = step
        return {call: column.value(alias) for call, column in zip(distinct, hidden, strict=True)}

    def _analytic_function(self, call: Call, compiler: ExpressionCompiler, origin: _From) -> AnalyticFunction:
        for part in call.arguments:
            for inner in calls_in([part]):
                if inner.function in ANALYTIC or is_rolling(inner):
                    raise FaultFound(
                        inner.position,
                        f"{inner.function} can't be inside {call.function}.",
                        "Compute the inner one in a WITH step before.",
                    )
                if inner.function in AGGREGATES:
                    raise FaultFound(
                        inner.position,
                        f"{call.function} looks back at rows before they are grouped: {inner.function} isn't known then.",
                        f"Aggregate in a WITH step, and take {call.function} of its column.",
                    )
        over = call.over
        partition = tuple(compiler.compile(key) for key in over.partition_by) if over else ()
        when = compiler.condition(over.when) if over and over.when is not None else None
        if origin.partition_by:
            named = {key.sql for key in partition}
            for key in origin.partition_by:
                if compiler.compile(key).sql not in named:
                    raise FaultFound(
                        call.position,
                        f"{call.function} over a partitioned stream needs its partition key.",
                        "Add it to PARTITION BY in OVER.",
                    )
        if over and over.order_by:
            raise FaultFound(call.position, f"{call.function} takes no ORDER BY: rows come in time order.")
        if call.function == "ISFIRST":
            return is_first(call, compiler, when, partition)
        return lag_or_last(call, compiler, when, partition, origin.scope)

    # ---- GROUP BY

    def _grouped(self, select: Select, origin: _From, rows: ExpressionCompiler, where: Typed | None, name: str) -> Step:
        windows, key_expressions = windows_and_keys(select)
        keys = [rows.compile(expression) for expression in key_expressions]
        for key, expression in zip(keys, key_expressions, strict=True):
            if key.type.kind in ("any", "array", "record"):
                raise FaultFound(expression.position, f"GROUP BY can't group by {key.type.described}.", "CAST it first.")
        self._check_group_keys(select, origin, rows, keys)
        sessions = [window for window in windows if window.kind == "SESSION"]
        session_keys = [rows.compile(key) for window in sessions for key in window.session_key]
        arguments = AggregateArguments(rows, lambda: whole_row_of(all_columns(origin.scope, next(iter(origin.scope.relations)))))
        grouped = GroupCompiler(rows, keys, arguments)
        items = self._items(select, origin, grouped)
        grouped.aliases = {name.lower(): value for name, value in items}
        having = grouped.condition(select.having) if select.having is not None else None
        columns = [(f"g{index}", key) for index, key in enumerate(keys)]
        columns += [(f"p{index}", key) for index, key in enumerate(session_keys)]
        columns += [(f"x{index}", argument) for index, argument in enumerate(arguments.columns)]
        source = self._add(
            ProjectStep(self._fresh(f"{name}_rows"), origin.step, columns, where, origin.expansions, origin.references)
        )
        return self._add(WindowStep(self._fresh(name), source, windows, grouped.aggregates, items, having))

    def _check_group_keys(self, select: Select, origin: _From, rows: ExpressionCompiler, keys: list[Typed]) -> None:
        named = {key.sql for key in keys}
        for key in origin.partition_by:
            if rows.compile(key).sql not in named:
                raise FaultFound(
                    select.position, "A partitioned step must GROUP BY its partition key.", "Add the key to GROUP BY."
                )
        source = select.source
        if isinstance(source, NamedSource) and source.timestamp_over:
            for over in source.timestamp_over:
                if rows.compile(over).sql not in named:
                    raise FaultFound(
                        over.position, "The columns of TIMESTAMP BY OVER must be GROUP BY keys.", "Add them to GROUP BY."
                    )
