"""LAG, LAST and ISFIRST: what came before, per key, within a limited time.

Within a tick DuckDB's window functions find the earlier row; across ticks a small table holds, per key, the latest matching
entries (value and time). That table is all the memory a function needs, whatever the length of its LIMIT DURATION.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from local.stream_engine.expressions import Typed, converted
from local.stream_engine.steps import HI, Column, Step, Tick, order_columns, select_list, time_order
from local.stream_engine.types import BIGINT, DataType, duckdb_type, quoted


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
        held = duckdb_type(BIGINT if self.kind == "ISFIRST" else self.type)
        return f"STRUCT(v {held}, t BIGINT)"


class AnalyticStep(Step):
    """The rows of a source with a column for each analytic function (`__a0`, `__a1`, ...)."""

    def __init__(self, name: str, source: Step, functions: Sequence[AnalyticFunction]) -> None:
        results = [Column(f"__a{index}", function.type) for index, function in enumerate(functions)]
        super().__init__(name, [*source.columns.values(), *results], source.order, [source])
        self.functions = list(functions)
        self.groups: list[tuple[str, ...]] = []
        self._group_keys: list[tuple[Typed, ...]] = []
        self._group_of: list[int] = []
        for function in self.functions:
            keys = tuple(key.sql for key in function.partition)
            if keys not in self.groups:
                self.groups.append(keys)
                self._group_keys.append(function.partition)
            self._group_of.append(self.groups.index(keys))

    # ---- planning

    @property
    def is_stored(self) -> bool:
        """Always: the rows also update the memory."""
        return True

    def demand(self) -> None:
        """Want what passes through and what the functions read."""
        used = {column for function in self.functions for value in (function.value, function.default, function.when, *function.partition)
                if value is not None for _, column in value.uses}  # fmt: skip
        self.sources[0].want((self.wanted & set(self.sources[0].columns)) | (used & set(self.sources[0].columns)))

    @property
    def state_tables(self) -> list[str]:
        """One table per set of keys."""
        return [self._memory(group) for group in range(len(self.groups))]

    def _memory(self, group: int) -> str:
        return f"{self.name}_memory{group}"

    def _functions_of(self, group: int) -> list[tuple[int, AnalyticFunction]]:
        return [(index, function) for index, function in enumerate(self.functions) if self._group_of[index] == group]

    # ---- running

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the memory: keys, one column of remembered entries per function, the time the key was last seen."""
        for group, keys in enumerate(self._group_keys):
            columns = [f"k{position} {duckdb_type(key.type)}" for position, key in enumerate(keys)] or ["k0 BIGINT"]
            for index, function in self._functions_of(group):
                columns.append(f"h{index} {function.entry_type}{'[]' if function.remembers_many else ''}")
            connection.execute(f"CREATE TABLE {quoted(self._memory(group))} ({', '.join(columns)}, seen BIGINT)")

    def run(self, connection: duckdb.DuckDBPyConnection, tick: Tick) -> None:
        """Compute the rows, then carry the latest entries of each key seen into the memory."""
        stored = connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(self.name)} AS {self.query()}").fetchone()
        if stored and stored[0]:
            for group in range(len(self.groups)):
                self._remember(connection, group)

    def rows_sql(self) -> str:
        """The stored rows without the columns that served the memory."""
        columns = ", ".join(quoted(column.name) for column in self.wanted_columns)
        return f"SELECT {select_list(columns, '__ts', order_columns(self.order))} FROM {quoted(self.name)}"

    def query(self) -> str:
        """Three layers: what each function looks at, what it finds within the tick, what the memory adds."""
        found = f"SELECT *, {', '.join(self._within_tick())} FROM ({self._looked_at()})"
        passed = ", ".join(f"f.{quoted(column.name)}" for column in self.wanted_columns if not column.name.startswith("__a"))
        results = ", ".join(f"{self._result(index)} AS __a{index}" for index in range(len(self.functions)))
        carried = ", ".join(self._carried())
        memories = " ".join(self._memory_join(group) for group in range(len(self.groups)))
        return f"SELECT {select_list(passed, results, carried, 'f.__ts', order_columns(self.order, 'f.'))} FROM ({found}) AS f {memories}"

    def _looked_at(self) -> str:
        parts = ["s.*"]
        for group, keys in enumerate(self._group_keys):
            parts += [f"{key.sql} AS __k{group}_{position}" for position, key in enumerate(keys)] or [f"0 AS __k{group}_0"]
        for index, function in enumerate(self.functions):
            value = function.value.sql if function.kind == "ISFIRST" else converted(function.value, function.type)
            entry = f"{{'v': {value}, 't': s.__ts}}"
            parts.append(f"{f'CASE WHEN {function.when.sql} THEN {entry} END' if function.when else entry} AS __p{index}")
            if function.default is not None:
                parts.append(f"{converted(function.default, function.type)} AS __d{index}")
        return f"SELECT {', '.join(parts)} FROM ({self.sources[0].rows_sql()}) AS s"

    def _keys(self, group: int, prefix: str = "") -> list[str]:
        return [f"{prefix}__k{group}_{position}" for position in range(max(1, len(self.groups[group])))]

    def _within_tick(self) -> list[str]:
        parts = []
        for index, function in enumerate(self.functions):
            window = f"PARTITION BY {', '.join(self._keys(self._group_of[index]))} ORDER BY {time_order(self.sources[0])}"
            if function.when is None:
                up_to_here = f"__p{index}"
                nulls = ""
            else:
                up_to_here = f"last_value(__p{index} IGNORE NULLS) OVER ({window} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
                nulls = " IGNORE NULLS"
            if not function.remembers_many:
                parts.append(f"{up_to_here} AS __l{index}")
            if function.offset:
                parts.append(f"lag(__p{index}, {function.offset}{nulls}) OVER ({window}) AS __q{index}")
            if function.remembers_many:
                parts.append(f"count(__p{index}) OVER ({window} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS __m{index}")
        for group in range(len(self.groups)):
            window = f"PARTITION BY {', '.join(self._keys(group))} ORDER BY {time_order(self.sources[0])}"
            parts.append(f"(lead(TRUE) OVER ({window}) IS NULL) AS __z{group}")
        return parts

    def _result(self, index: int) -> str:
        function = self.functions[index]
        remembered = f"m{self._group_of[index]}.h{index}"
        if function.remembers_many:
            missing = f"({function.offset} - __m{index})"
            older = f"CASE WHEN {missing} <= len({remembered}) THEN {remembered}[len({remembered}) - {missing} + 1] END"
            entry = f"CASE WHEN __m{index} >= {function.offset} THEN __q{index} ELSE {older} END"
        else:
            entry = f"coalesce({f'__q{index}' if function.offset else f'__l{index}'}, {remembered})"
        if function.kind == "ISFIRST":
            condition = f"__p{index} IS NOT NULL AND struct_extract({entry}, 'v') IS DISTINCT FROM struct_extract(__p{index}, 'v')"
            return f"CAST({condition} AS BIGINT)"
        default = f"__d{index}" if function.default is not None else "NULL"
        return f"CASE WHEN struct_extract({entry}, 't') >= f.__ts - {function.limit} THEN struct_extract({entry}, 'v') ELSE {default} END"

    def _carried(self) -> list[str]:
        parts = []
        for group in range(len(self.groups)):
            last = f"__z{group}"
            parts.append(last)
            parts += [f"CASE WHEN {last} THEN {key} END AS {key}" for key in self._keys(group)]
            for index, function in self._functions_of(group):
                if function.remembers_many:
                    parts += [f"__p{index}", *(f"{key} AS {key}_{index}" for key in self._keys(group))]
                else:
                    parts.append(f"CASE WHEN {last} THEN coalesce(__l{index}, m{group}.h{index}) END AS __h{index}")
        return parts

    def _memory_join(self, group: int) -> str:
        match = " AND ".join(f"f.{key} IS NOT DISTINCT FROM m{group}.k{position}" for position, key in enumerate(self._keys(group)))
        return f"LEFT JOIN {quoted(self._memory(group))} AS m{group} ON {match}"

    def _remember(self, connection: duckdb.DuckDBPyConnection, group: int) -> None:
        """Replace the entries of the keys seen in this tick; forget keys and entries beyond their limit."""
        memory, rows = quoted(self._memory(group)), quoted(self.name)
        keys = self._keys(group)
        functions = self._functions_of(group)
        limit = max(function.limit for _, function in functions)
        fresh, kept, alive = [], [], []
        many = [index for index, function in functions if function.remembers_many]
        for index, function in functions:
            if function.remembers_many:
                joined = f"list_concat(coalesce(old.h{index}, []), coalesce(n{index}.entries, []))"
                fresh.append(f"({joined})[-{function.offset}:] AS h{index}")
                alive.append(f"len(h{index}) > 0")
            else:
                fresh.append(f"CASE WHEN struct_extract(z.__h{index}, 't') > {HI} - {function.limit} THEN z.__h{index} END AS h{index}")
                alive.append(f"h{index} IS NOT NULL")
            kept.append(f"h{index}")
        sources = f"{rows} AS z"
        if many:
            match = " AND ".join(f"z.{key} IS NOT DISTINCT FROM old.k{position}" for position, key in enumerate(keys))
            sources += f" LEFT JOIN {memory} AS old ON {match}"
        for index in many:
            named = [f"{key}_{index}" for key in keys]
            entries = f"SELECT {', '.join(named)}, list(__p{index} ORDER BY {time_order(self)}) FILTER (WHERE __p{index} IS NOT NULL) AS entries FROM {rows} GROUP BY {', '.join(named)}"
            match = " AND ".join(f"z.{key} IS NOT DISTINCT FROM n{index}.{name}" for key, name in zip(keys, named, strict=True))
            sources += f" LEFT JOIN ({entries}) AS n{index} ON {match}"
        seen_keys = ", ".join(f"z.{key} AS k{position}" for position, key in enumerate(keys))
        own_keys = ", ".join(f"k{position}" for position in range(len(keys)))
        replaced = " AND ".join(f"z.{key} IS NOT DISTINCT FROM m.k{position}" for position, key in enumerate(keys))
        connection.execute(
            f"CREATE OR REPLACE TABLE {memory} AS "
            f"SELECT * FROM (SELECT {seen_keys}, {', '.join(fresh)}, z.__ts AS seen FROM {sources} WHERE z.__z{group}) WHERE {' OR '.join(alive)} "
            f"UNION ALL SELECT {own_keys}, {', '.join(kept)}, seen FROM {memory} AS m "
            f"WHERE seen > {HI} - {limit} AND NOT EXISTS (SELECT 1 FROM {rows} AS z WHERE z.__z{group} AND {replaced})"
        )
