"""GROUP BY with a window: collects the rows of open windows and aggregates each window when the watermark closes it.

A window covers (start, end] and its result carries the end as its time. The rows of open windows wait in one table; they leave
it as soon as no open window can need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import duckdb
import numpy as np

from asa_engine.aggregates import Aggregate
from asa_engine.expressions import Typed
from asa_engine.statements import execute
from asa_engine.steps import HI, LO, Column, Step, Tick, columns_used, order_columns, select_list, time_order
from asa_engine.types import duckdb_type, quoted, text_literal
from asa_engine.units import spelled_out
from asa_engine.windows import Window


def window_end(time_sql: str, hop: int, offset: int) -> str:
    """The SQL of the first window end at or after a time, for windows aligned to midnight and shifted by `offset`."""
    shifted = f"({time_sql} - ({offset % hop}))" if offset % hop else time_sql
    return f"({time_sql} + ({hop} - {shifted} % {hop}) % {hop})"


class WindowStep(Step):
    """Aggregates of a source's rows per window and key.

    The source has the grouping keys as columns `g0`, `g1`, ..., the aggregates' arguments as `x0`, `x1`, ..., and the session
    keys as `p0`, ...; `items` and `having` are written over `s."g0"`, `s."f0"` (results of `aggregates`), `s.__ts` and `s.__id`.
    """

    def __init__(
        self,
        name: str,
        source: Step,
        windows: Sequence[Window],
        aggregates: Sequence[Aggregate],
        items: Sequence[tuple[str, Typed]],
        having: Typed | None,
    ) -> None:
        super().__init__(name, [Column(item, value.type) for item, value in items], 1, [source])
        self.windows = list(windows)
        self.aggregates = list(aggregates)
        self.items = list(items)
        self.having = having
        self.keys = [column.name for column in source.columns.values() if column.name.startswith("g")]
        self.session_keys = [column.name for column in source.columns.values() if column.name.startswith("p")]

    # ---- planning

    @property
    def is_stored(self) -> bool:
        """Always: computing the rows also clears the waiting table."""
        return True

    @property
    def state_tables(self) -> list[str]:
        """The rows of open windows."""
        return [self._waiting]

    @property
    def keeps(self) -> list[tuple[str, str]]:
        """The rows of open windows; a session may last twice its maximum."""
        return [
            (f"{window.kind.title()}Window: the rows of open windows", spelled_out(window.size * (2 if window.timeout else 1)))
            for window in self.windows
            if window.size
        ]

    @property
    def _waiting(self) -> str:
        return f"{self.name}_waiting"

    def demand(self) -> None:
        """Want the keys and the arguments of the aggregates somebody reads."""
        read = columns_used([*(value for item, value in self.items if item.lower() in self.wanted), self.having], "")
        self._used = [aggregate for aggregate in self.aggregates if aggregate.name in read]
        arguments = {argument for aggregate in self._used for argument in aggregate.arguments}
        self.sources[0].want(arguments | set(self.keys) | set(self.session_keys))

    # ---- running

    def prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the waiting table and an empty result."""
        source = self.sources[0]
        columns = [f"{quoted(column.name)} {duckdb_type(column.type)}" for column in source.wanted_columns]
        columns += ["__ts BIGINT", *(f"__o{index} BIGINT" for index in range(source.order))]
        connection.execute(f"CREATE TABLE {quoted(self._waiting)} ({', '.join(columns)})")
        results = [f"{quoted(column.name)} {duckdb_type(column.type)}" for column in self.wanted_columns]
        connection.execute(f"CREATE TABLE {quoted(self.name)} ({', '.join([*results, '__ts BIGINT', '__o0 BIGINT'])})")

    def run(self, connection: duckdb.DuckDBPyConnection, tick: Tick) -> None:
        """Collect the tick's rows; when a window can have closed, aggregate what closed and keep what is still open."""
        waiting, result = quoted(self._waiting), quoted(self.name)
        execute(connection, f"TRUNCATE {result}")
        if not any(_can_close(window, tick) for window in self.windows):
            execute(connection, f"INSERT INTO {waiting} {self.sources[0].read(self.sources[0].wanted)}")
            return
        candidates = f"(SELECT * FROM {waiting} UNION ALL {self.sources[0].read(self.sources[0].wanted)})"
        if any(window.kind == "SESSION" for window in self.windows):
            execute(connection, f"INSERT INTO {waiting} {self.sources[0].read(self.sources[0].wanted)}")
            candidates = waiting
        kept = []
        for index, window in enumerate(self.windows):
            rows = candidates
            if window.kind == "SESSION":
                rows = self._with_sessions(connection, f"{self.name}_sessions{index}", window)
                kept.append(f"EXISTS (SELECT 1 FROM {rows} AS x WHERE x.__row = w.__row AND x.__w > {HI})")
            else:
                kept.append(_still_needed(window))
            execute(connection, f"INSERT INTO {result} {self._closed(window, rows)}")
        where = " OR ".join(f"({condition})" for condition in kept)
        columns = ", ".join(
            [*(quoted(column.name) for column in self.sources[0].wanted_columns), "__ts", order_columns(self.sources[0].order)]
        )
        numbered = f"(SELECT *, rowid AS __row FROM {waiting})" if candidates == waiting else candidates
        execute(connection, f"CREATE OR REPLACE TABLE {waiting} AS SELECT {columns} FROM {numbered} AS w WHERE {where}")

    def query(self) -> str:
        """A window step's rows are always stored by `run`."""
        return f"SELECT * FROM {quoted(self.name)}"

    def _closed(self, window: Window, rows: str) -> str:
        """The results of the windows of one definition that ended in (lo, hi]."""
        keys = ", ".join(quoted(key) for key in self.keys)
        aggregates = ", ".join(f"{aggregate.sql(time_order(self.sources[0]))} AS {aggregate.name}" for aggregate in self._used)
        assigned = self._assigned(window, rows)
        groups = ", ".join(part for part in (keys, "__w") if part)
        columns = select_list(keys, aggregates, "min(__o0) AS __o0", "__w AS __ts")
        grouped = f"SELECT {columns} FROM ({assigned}) WHERE {_ended(window)} GROUP BY {groups}"
        identity = text_literal(window.identity) if window.identity else "NULL::VARCHAR"
        items = ", ".join(f"{value.sql} AS {quoted(item)}" for item, value in self.items if item.lower() in self.wanted)
        having = f" WHERE {self.having.sql}" if self.having else ""
        return (
            f"SELECT {select_list(items, 's.__ts', 's.__o0')} FROM (SELECT *, {identity} AS __id FROM ({grouped})) AS s{having}"
        )

    def _assigned(self, window: Window, rows: str) -> str:
        """Every row with the end of each window it belongs to."""
        if window.kind == "SNAPSHOT":
            return f"SELECT *, __ts AS __w FROM {rows}"
        if window.kind == "TUMBLING":
            return f"SELECT *, {window_end('__ts', window.hop, window.offset)} AS __w FROM {rows}"
        if window.kind == "HOPPING":
            first = window_end("__ts", window.hop, window.offset)
            return f"SELECT *, unnest(generate_series({first}, __ts + {window.size - 1}, {window.hop})) AS __w FROM {rows}"
        if window.kind == "SESSION":
            return f"SELECT * FROM {rows}"
        return self._sliding(window, rows)

    def _sliding(self, window: Window, rows: str) -> str:
        """A sliding window reports whenever its content changes: when a row enters, and when one leaves and others stay."""
        keys = [quoted(key) for key in self.keys]
        changes = f"SELECT DISTINCT {select_list(', '.join(keys), f'unnest([__ts, __ts + {window.size}]) AS __w')} FROM {rows}"
        changes = f"SELECT * FROM ({changes}) WHERE __w > {LO} AND __w <= {HI}"
        match = " AND ".join(
            [*(f"r.{key} IS NOT DISTINCT FROM c.{key}" for key in keys), f"r.__ts > c.__w - {window.size}", "r.__ts <= c.__w"]
        )
        return f"SELECT r.*, c.__w FROM {rows} AS r JOIN ({changes}) AS c ON {match}"

    def _with_sessions(self, connection: duckdb.DuckDBPyConnection, table: str, window: Window) -> str:
        """The waiting rows with the end of their session. Which rows form a session depends on the one before: a numpy pass."""
        waiting = quoted(self._waiting)
        keys = ", ".join(quoted(key) for key in self.session_keys) or "0"
        ordered = execute(
            connection,
            f"SELECT rowid AS place, dense_rank() OVER (ORDER BY {keys}) AS owner, __ts FROM {waiting} "
            f"ORDER BY owner, {time_order(self.sources[0])}",
        ).fetchnumpy()
        ends = session_ends(ordered["owner"], ordered["__ts"], window.timeout, window.size)
        connection.register("__session_rows", {"__row": np.ascontiguousarray(ordered["place"]), "__w": ends})
        execute(
            connection,
            f"CREATE OR REPLACE TABLE {quoted(table)} AS "
            f"SELECT r.*, e.__w, e.__row FROM (SELECT *, rowid AS place FROM {waiting}) AS r "
            "JOIN __session_rows AS e ON r.place = e.__row",
        )
        connection.unregister("__session_rows")
        return quoted(table)


def session_ends(owners: np.ndarray, times: np.ndarray, timeout: int, longest: int) -> np.ndarray:
    """The end of the session each row belongs to; rows are ordered by owner, then time (microseconds).

    A session ends `timeout` after its last row, or earlier at the first multiple of `longest` at which it is at least
    `longest` old: that is when the service looks, so a session can grow to twice that age.
    """
    ends = np.empty(len(times), dtype=np.int64)
    if not len(times):
        return ends
    breaks = np.flatnonzero((np.diff(owners) != 0) | (np.diff(times) > timeout)) + 1
    bounds = np.concatenate(([0], breaks, [len(times)]))
    for first, stop in pairwise(bounds):
        start = int(first)
        while start < stop:
            cut = -(-(int(times[start]) + longest) // longest) * longest
            last = start + int(np.searchsorted(times[start:stop], cut, side="right"))
            ends[start:last] = min(int(times[last - 1]) + timeout, cut)
            start = last
    return ends


def _can_close(window: Window, tick: Tick) -> bool:
    """Whether a window of this definition can end in (lo, hi]; a tumbling or hopping one ends at known times."""
    if window.kind not in ("TUMBLING", "HOPPING"):
        return True
    return (tick.hi - window.offset) // window.hop > (tick.lo - window.offset) // window.hop


def _ended(window: Window) -> str:
    """The SQL condition that a row belongs to a window that ended in (lo, hi]: a row's time decides for a tumbling one."""
    if window.kind == "TUMBLING":
        return f"__ts > {_last_end(window, LO)} AND __ts <= {_last_end(window, HI)}"
    return f"__w > {LO} AND __w <= {HI}"


def _still_needed(window: Window) -> str:
    """The SQL condition that a waiting row (alias w) belongs to a window that ends after hi."""
    if window.kind == "SNAPSHOT":
        return "FALSE"
    if window.kind == "TUMBLING":
        return f"w.__ts > {_last_end(window, HI)}"
    return f"w.__ts > {HI} - {window.size}"


def _last_end(window: Window, bound: str) -> str:
    """The SQL of the last time up to a bound of the tick at which a tumbling window ends: one figure for all rows."""
    return f"({bound} - (({bound} - ({window.offset})) % {window.hop} + {window.hop}) % {window.hop})"
