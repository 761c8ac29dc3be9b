"""LAG, LAST and ISFIRST: what came before, per key, within a limited time.

Within a tick the rows are sorted by key and time once; then one pass over them, in DuckDB's streaming windows, finds the earlier
rows. Steps that follow with the same keys find their rows sorted already. Across ticks a small table, the memory, holds the
latest matching entries (value and time) of each key: that is all a function needs, however long its LIMIT DURATION. A step that
is read only by another step with the same keys is nested in it: both are computed in one statement.

The passes rely on DuckDB keeping the order of rows through a streaming window and through the left side of a join (which is why
the optimizer may not swap the sides). DuckDB is pinned, and the tests of split invariance fail if that ever changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from local.stream_engine.expressions import Typed, converted
from local.stream_engine.steps import HI, Column, ProjectStep, Step, Tick, order_columns, select_list, time_order
from local.stream_engine.types import DataType, duckdb_type, quoted

_SO_FAR = "(ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"


@dataclass(frozen=True)
class AnalyticFunction:
    """One call. `offset` 0 includes the current row (LAST); ISFIRST remembers the interval of the last first event.

    `partition` are its keys, `limit` how far it looks back in microseconds, `when` which rows it remembers.
    """

    kind: str
    value: Typed
    offset: int
    default: Typed | None
    limit: int
    when: Typed | None
    partition: tuple[Typed, ...]
    type: DataType

    @property
    def remembers_many(self) -> bool:
        """Whether more than one entry per key has to be kept (LAG with an offset above 1)."""
        return self.offset > 1

    @property
    def entry_type(self) -> str:
        """The DuckDB type of a remembered entry."""
        return f"STRUCT(v {duckdb_type(self.type)}, t BIGINT)"


class AnalyticStep(Step):
    """The rows of a source with a column for each of some analytic functions with the same keys, named by `results`."""

    def __init__(self, name: str, source: Step, functions: Sequence[tuple[str, AnalyticFunction]]) -> None:
        columns = [*source.columns.values(), *(Column(result, function.type) for result, function in functions)]
        super().__init__(name, columns, source.order, [source])
        self.functions = [function for _, function in functions]
        self.results = [result for result, _ in functions]
        self.partition = self.functions[0].partition
        self.nested: list[AnalyticStep] = []
        self.owner = self
        self._has_rows = False

    # ---- planning

    @property
    def is_stored(self) -> bool:
        """Always: the rows also update the memory."""
        return True

    @property
    def offered(self) -> Step | None:
        """Rows keep pointing at the source's base; without one this step's table is a base."""
        return self.base or self

    @property
    def held(self) -> set[str]:
        """What is carried, what no base has, and every function's result."""
        return super().held | {name.lower() for name in self.results}

    @property
    def is_nested(self) -> bool:
        """Whether the step is computed within another one, whose memory it shares."""
        return self.owner is not self

    @property
    def members(self) -> list[AnalyticStep]:
        """The steps that share a memory: those nested in the owner, innermost first, and the owner."""
        return [*self.owner.nested, self.owner]

    @property
    def hidden(self) -> list[str]:
        """What a nested step hands on: the key, whether it ends here, what is remembered, and what will be."""
        if not self.is_nested:
            return []
        remembered = [f"__h{tag}" for member in self.members for tag in member._tags()]
        latest = [f"__n{tag}" for member in (*self.nested, self) for tag in member._tags()]
        return ["__z", *(f"__k{place}" for place in range(len(self.partition))), *remembered, *latest]

    def _tags(self) -> list[str]:
        """A suffix for each function that is unique within the owner."""
        return [f"{index}_{self.name}" for index in range(len(self.functions))]

    @property
    def sorted_by(self) -> tuple[str, ...] | None:
        """The rows are in the order of the keys, if these are plain columns and one streaming pass is all there is."""
        if any(function.remembers_many for function in self.functions):
            return None
        columns = tuple(key.plain_column for key in self.partition)
        return tuple(column for column in columns if column) if all(columns) else None

    @property
    def finds_rows_sorted(self) -> bool:
        """Whether the source's rows come sorted by this step's keys."""
        return bool(self.partition) and self.sources[0].sorted_by is not None and self.sources[0].sorted_by == self.sorted_by

    @property
    def state_tables(self) -> list[str]:
        """The memory, which belongs to the owner."""
        return [] if self.is_nested else [self._memory]

    @property
    def _memory(self) -> str:
        return f"{self.owner.name}_memory"

    @property
    def _sorted(self) -> str:
        return f"{self.name}_sorted"

    def link(self) -> None:
        """Columns that pass through stay in the source's base; an input may have got columns since this step was made."""
        source = self.sources[0]
        self.columns = {**source.columns, **{name.lower(): self.columns[name.lower()] for name in self.results}}
        self.base = source.offered
        if self.base is not None:
            self.passed = {key: key for key in source.columns} if self.base is source else dict(source.passed)
        inner = source
        while isinstance(inner, ProjectStep) and not inner.is_stored and inner.where is None:
            inner = inner.sources[0]
        # a filter in between would hide rows from the inner step's memory
        if isinstance(inner, AnalyticStep) and inner.readers == 1 and inner.base is not None and self.finds_rows_sorted:
            self.nested = [*inner.nested, inner]
            for step in self.nested:
                step.owner = self

    def demand(self) -> None:
        """Have carried what the functions look at and what later windows look at; leave the rest in the base."""
        self.sources[0].want(set(), self._columns_read(), self.needs_pointer)
        self._fetch_from_base()

    def _columns_read(self) -> set[str]:
        values = [v for f in self.functions for v in (f.value, f.default, f.when, *f.partition) if v is not None]
        return (self.held | {column for value in values for _, column in value.uses}) & set(self.sources[0].columns)

    # ---- running

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the memory: keys, one column of remembered entries per function, the time the key was last seen."""
        if self.is_nested:
            return
        columns = [f"k{place} {duckdb_type(key.type)}" for place, key in enumerate(self.partition)]
        for member in self.members:
            for tag, function in zip(member._tags(), member.functions, strict=True):
                columns.append(f"h{tag} {function.entry_type}{'[]' if function.remembers_many else ''}")
        connection.execute(f"CREATE TABLE {quoted(self._memory)} ({', '.join([*columns, 'seen BIGINT'])})")

    def run(self, connection: duckdb.DuckDBPyConnection, tick: Tick) -> None:
        """Sort the rows if need be and compute the functions."""
        if not self.finds_rows_sorted:
            connection.execute(f"CREATE OR REPLACE TABLE {quoted(self._sorted)} AS {self._sorting()}")
        if self.is_nested:
            return
        connection.execute("SET disabled_optimizers = 'build_side_probe_side'")
        stored = connection.execute(f"CREATE OR REPLACE TABLE {quoted(self.name)} AS {self.query()}").fetchone()
        connection.execute("RESET disabled_optimizers")
        self._has_rows = bool(stored and stored[0])

    def read_sorted(self, columns: set[str], pointer: bool) -> str:
        """The rows in the order of their keys, with the number of the key as `__key`; those of a nested step are computed."""
        if self.is_nested:
            return self.query()
        row = "" if not pointer else "t.rowid AS __row" if self.offered is self else "t.__row"
        return self._select(columns, [row, "t.__key", "t.__ts", order_columns(self.order, "t.")])

    def _sorting(self) -> str:
        """The source's rows by key and time."""
        rows = self.sources[0].read(self._columns_read(), self.needs_pointer)
        keys = [key.sql for key in self.partition]
        return f"SELECT s.* FROM ({rows}) AS s ORDER BY {', '.join([*keys, time_order(self.sources[0], 's.')])}"

    def query(self) -> str:
        """Layers: sorted rows with what is remembered of their key; what each function looks at; what it finds; the result."""
        position = ", row_number() OVER () AS __pos" if any(function.remembers_many for function in self.functions) else ""
        found = f"SELECT s.*, {', '.join(self._entries())}{position} FROM ({self._rows()}) AS s"
        for layer in (self._latest(), self._earlier()):
            found = f"SELECT *, {', '.join(layer)} FROM ({found})" if layer else found
        through = self.held & set(self.sources[0].columns)
        passed = ", ".join(f"f.{quoted(column.name)}" for key, column in self.sources[0].columns.items() if key in through)
        results = ", ".join(f"{self._result(index)} AS {quoted(name)}" for index, name in enumerate(self.results))
        row = "f.__row" if self.needs_pointer else ""
        handed_on = ", ".join(self._handed_on())
        columns = select_list(passed, results, handed_on, row, "f.__key", "f.__ts", order_columns(self.order, "f."))
        return f"SELECT {columns} FROM ({found}) AS f"

    def _rows(self) -> str:
        """The rows by key and time, with the number of the key (`__key`), whether it ends here (`__z`), the key itself (`__k`),
        and the entries remembered (`__h`). The innermost of nested steps looks these up for all."""
        if self.nested:
            return self.sources[0].read_sorted(self._columns_read(), self.needs_pointer)
        if self.finds_rows_sorted:
            numbered = self.sources[0].read_sorted(self._columns_read(), self.needs_pointer)
        else:
            changes = " OR ".join(f"lag({key.sql}) OVER () IS DISTINCT FROM {key.sql}" for key in self.partition) or "FALSE"
            marked = f"SELECT s.*, ({changes}) AS __changed FROM {quoted(self._sorted)} AS s"
            numbered = f"SELECT *, count(CASE WHEN __changed THEN 1 END) OVER {_SO_FAR} AS __key FROM ({marked})"
        keys = [f"{key.sql} AS __k{place}" for place, key in enumerate(self.partition)]
        ends = "(lead(__key) OVER () IS DISTINCT FROM __key) AS __z"
        keyed = f"SELECT {', '.join(['s.*', *keys, ends])} FROM ({numbered}) AS s"
        remembered = ", ".join(f"m.h{tag} AS __h{tag}" for member in self.members for tag in member._tags())
        match = " AND ".join(f"r.__k{place} IS NOT DISTINCT FROM m.k{place}" for place in range(len(self.partition))) or "TRUE"
        return f"SELECT r.*, {remembered} FROM ({keyed}) AS r LEFT JOIN {quoted(self._memory)} AS m ON {match}"

    def _entries(self) -> list[str]:
        """`__p`: the entry a row offers to be remembered, with the number of its key; `__d`: the default."""
        parts = []
        for index, function in enumerate(self.functions):
            entry = f"{{'k': __key, 'v': {converted(function.value, function.type)}, 't': s.__ts}}"
            parts.append(f"{f'CASE WHEN {function.when.sql} THEN {entry} END' if function.when else entry} AS __p{index}")
            if function.default is not None:
                parts.append(f"{converted(function.default, function.type)} AS __d{index}")
        return parts

    def _latest(self) -> list[str]:
        """`__l`: the latest entry up to and including a row, perhaps of an earlier key; without WHEN it is the row's own."""
        return [
            f"last_value(__p{index} IGNORE NULLS) OVER {_SO_FAR} AS __l{index}"
            for index, function in enumerate(self.functions)
            if function.when
        ]

    def _latest_entry(self, index: int) -> str:
        return f"__l{index}" if self.functions[index].when else f"__p{index}"

    def _earlier(self) -> list[str]:
        """`__q`: the entry at the function's offset; `__m`: how many entries of the key lie before the row."""
        parts = []
        for index, function in enumerate(self.functions):
            of_key = "PARTITION BY __key ORDER BY __pos"
            if function.remembers_many:
                parts.append(f"lag(__p{index}, {function.offset} IGNORE NULLS) OVER ({of_key}) AS __q{index}")
                parts.append(f"count(__p{index}) OVER ({of_key} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS __m{index}")
            elif function.offset:
                parts.append(f"lag({self._latest_entry(index)}) OVER () AS __q{index}")
        return parts

    def _result(self, index: int) -> str:
        """The function's value: from this tick if the entry found is of the same key, otherwise from the memory."""
        function = self.functions[index]
        found = f"__q{index}" if function.offset else self._latest_entry(index)
        remembered = f"f.__h{self._tags()[index]}"
        if function.remembers_many:
            missing = f"({function.offset} - coalesce(__m{index}, 0))"
            remembered = f"(CASE WHEN {missing} <= len({remembered}) THEN {remembered}[len({remembered}) - {missing} + 1] END)"
        same_key = f"struct_extract({found}, 'k') = f.__key"
        if function.kind == "ISFIRST":
            interval = f"CASE WHEN {same_key} THEN struct_extract({found}, 'v') ELSE struct_extract({remembered}, 'v') END"
            return f"CAST(__p{index} IS NOT NULL AND struct_extract(__p{index}, 'v') IS DISTINCT FROM ({interval}) AS BIGINT)"
        default = f"__d{index}" if function.default is not None else "NULL"
        here, before = (
            f"CASE WHEN struct_extract({entry}, 't') >= f.__ts - {function.limit} "
            f"THEN struct_extract({entry}, 'v') ELSE {default} END"
            for entry in (found, remembered)
        )
        return f"CASE WHEN {same_key} THEN {here} ELSE {before} END"

    def _handed_on(self) -> list[str]:
        """What the last row of a key hands to the memory, and what nested steps hand to the next one.

        `__n` is a function's latest entry; where many are kept, every row hands over its own.
        """
        parts = []
        for index, (tag, function) in enumerate(zip(self._tags(), self.functions, strict=True)):
            if function.remembers_many:
                parts.append(f"f.__p{index} AS __n{tag}")
            else:
                entry = self._latest_entry(index)
                latest = f"{{'v': struct_extract({entry}, 'v'), 't': struct_extract({entry}, 't')}}"
                same_key = f"struct_extract({entry}, 'k') = f.__key"
                chosen = f"CASE WHEN {same_key} THEN {latest} ELSE f.__h{tag} END"
                parts.append(f"CASE WHEN f.__z THEN {chosen} END AS __n{tag}")
        if self.is_nested:
            own = {f"__n{tag}" for tag in self._tags()}
            return [*(f"f.{column}" for column in self.hidden if column not in own), *parts]
        inner = [f"f.__n{tag}" for step in self.nested for tag in step._tags()]
        keys = [f"CASE WHEN f.__z THEN f.__k{place} END AS __k{place}" for place in range(len(self.partition))]
        return ["f.__z", *keys, *inner, *parts]

    def remember(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Replace the entries of the keys seen in this tick; forget keys and entries beyond their limit."""
        if not self._has_rows:
            return
        memory, rows = quoted(self._memory), quoted(self.name)
        places = range(len(self.partition))
        same = " AND ".join(f"z.__k{place} IS NOT DISTINCT FROM m.k{place}" for place in places) or "TRUE"
        functions = [(tag, f) for member in self.members for tag, f in zip(member._tags(), member.functions, strict=True)]
        sources = f"{rows} AS z"
        fresh, alive = [], []
        for tag, function in functions:
            if function.remembers_many:
                sources += f" LEFT JOIN ({self._entries_by_key(tag)}) AS n{tag} ON n{tag}.__key = z.__key"
                joined = f"list_concat(coalesce(m.h{tag}, []), coalesce(n{tag}.entries, []))"
                fresh.append(f"({joined})[-{function.offset}:] AS h{tag}")
                alive.append(f"len(h{tag}) > 0")
            else:
                fresh.append(f"CASE WHEN struct_extract(z.__n{tag}, 't') > {HI} - {function.limit} THEN z.__n{tag} END AS h{tag}")
                alive.append(f"h{tag} IS NOT NULL")
        if any(function.remembers_many for _, function in functions):
            sources += f" LEFT JOIN {memory} AS m ON {same}"
        keys = [f"z.__k{place} AS k{place}" for place in places]
        held = [*(f"k{place}" for place in places), *(f"h{tag}" for tag, _ in functions)]
        limit = max(function.limit for _, function in functions)
        seen = f"SELECT {', '.join([*keys, *fresh])}, z.__ts AS seen FROM {sources} WHERE z.__z"
        connection.execute(
            f"CREATE OR REPLACE TABLE {memory} AS SELECT * FROM ({seen}) WHERE {' OR '.join(alive)} "
            f"UNION ALL SELECT {', '.join(held)}, seen FROM {memory} AS m "
            f"WHERE seen > {HI} - {limit} AND NOT EXISTS (SELECT 1 FROM {rows} AS z WHERE z.__z AND {same})"
        )

    def _entries_by_key(self, tag: str) -> str:
        """All entries of the tick per key, oldest first."""
        entry = f"{{'v': struct_extract(__n{tag}, 'v'), 't': struct_extract(__n{tag}, 't')}}"
        return (
            f"SELECT __key, list({entry} ORDER BY {time_order(self)}) FILTER (WHERE __n{tag} IS NOT NULL) AS entries "
            f"FROM {quoted(self.name)} GROUP BY __key"
        )
