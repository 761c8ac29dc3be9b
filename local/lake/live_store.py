"""The live store: what the page asks, answered from memory in milliseconds, in the same KQL that runs on Kusto.

In Azure a Kusto database holds the live rows and keeps the views of powerbi/kusto/views.kql up to date. Here the Delta tables on
disk hold the rows; every row is read once, as it arrives in this process (arrivals.py) or as its file appears, and of it stays in
memory only what the tiles need: the views (the newest row per entity, signal and alert) and the recent rows of the small tables.
So a refresh costs as much as the rows that are new, however long the history is; and a tile is run again when what it reads has
changed: a room that reports its temperature every few minutes costs no list of all devices. Ad-hoc queries read the whole history
from disk, and so do the views that sum it up.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb

from asa_engine.statements import execute
from local.clock import SimulatedClock
from local.lake.arrivals import TABLES, Arrivals
from local.lake.delta_follower import DeltaFollower, NewFiles
from local.lake.json_lines import rows_of
from local.lake.keyed_tile import ENTITY, MOST_CHANGED, KeyedRows, KeyedTile, keyed_tile
from local.lake.kusto_rows import KUSTO_TYPES, Row, as_json, column_definitions, select_from_files, select_stored
from local.lake.memory_tables import MemoryTable, NewestRows, RecentRows
from local.lake.stored_files import parquet, stored_files
from local.lake.tables import live_tables
from local.lake.tile_inputs import Input, concerns, inputs_of
from local.lake.translation import Translation, UntranslatableError, kept, translated
from local.part import PartError
from powerbi.kusto_schema import KustoTable, KustoView, read_tables, read_views
from powerbi.tiles import TILES_DIR, read_tiles

MEMORY_LIMIT = "192MB"
"""What is beyond this at the start goes on disk for that long."""

START_PORTIONS = 4
"""An estate is read in so many portions at the start: 20,000 rooms with six sensors each, which then take 46 MB, need more than
the limit at once."""

ROWS_AT_ONCE = 2_000
"""A table of no more rows is read at once: less than a commit brings (PENDING_BYTES in local/lake/hub_sink.py)."""

START_LOOKBACK = {
    "Processed": timedelta(hours=3),
    "CityMinute": timedelta(hours=3),
    "IncidentSteps": timedelta(hours=3),
    "DeadLetter": timedelta(hours=3),
}
"""How far before a table's newest row the first read goes (no entry: to its beginning). Healthy devices are silent until the
next snapshot, which comes at least once an hour (`snapshotMinutes` in infra/settings/stack.schema.json), and no tile looks back
further than this."""

KEPT = {
    "CityMinute": timedelta(hours=3),
    "DeadLetter": timedelta(hours=3),
    "Alerts": timedelta(days=7),
}
"""Tables whose rows tiles may ask for, and for how long they stay in memory; of the others only the views stay."""

TILE_SECONDS = 10.0
"""A tile in which nothing has changed is run again after so many real seconds: what it shows depends on the time, too."""

PORTION_CHARACTERS = 4_000_000
"""As much of what arrived is read at a time: more has no room in MEMORY_LIMIT beside a large estate."""

_NAMES = re.compile(r"\w+")

log = logging.getLogger("roompulse.lake")


class LiveStoreError(PartError):
    """A query or view can't be run. The text names it and what is wrong with it."""


class LiveStore:
    """Live tables and views over the lake in `lake_dir`, and the tiles in `tiles_dir`. Safe to use from several threads.

    `clock` is what `now()` and `ago()` mean. `arrivals`: the rows that this process is about to store, which are then not read
    from the lake again. Raises LiveStoreError when a tile or view can't be translated to DuckDB.
    """

    def __init__(
        self, lake_dir: Path, clock: SimulatedClock, tiles_dir: Path = TILES_DIR, arrivals: Arrivals | None = None
    ) -> None:
        self._lake_dir = lake_dir
        self._clock = clock
        self._arrivals = arrivals
        self._handed: set[str] = set()
        """Tables that were read from the lake as it was at the start, and whose rows are handed over since."""
        self._lock = threading.RLock()
        self._tables = read_tables()
        self._layouts = live_tables()
        self._followers = {name: DeltaFollower(lake_dir / name) for name in self._tables}
        self._spill = lake_dir.with_name(f"{lake_dir.name}-spill")
        config: dict[str, Any] = {"threads": 1, "memory_limit": MEMORY_LIMIT, "temp_directory": str(self._spill)}
        self._database = duckdb.connect(config=config)
        self._database.execute("create macro now() as getvariable('clock')")
        self._database.execute("create schema live; create schema history; create table main.changed (id varchar)")
        self._loader, self._tiles_cursor, self._history_cursor = (self._cursor() for _ in range(3))
        self._tiles_cursor.execute("set search_path = 'live,main'")
        self._history_cursor.execute("set search_path = 'history,live,main'")
        self._schema = {name: table.types for name, table in self._tables.items()}
        recent = [self._create_recent(self._tables[name], age) for name, age in KEPT.items()]
        views = read_views()
        kept = [self._create_view(view) for view in views.values() if view.keeps_newest]
        self._held: Mapping[MemoryTable, frozenset[Input]] = {
            **{table: inputs_of(table.source, self._tables, views) for table in recent},
            **{table: inputs_of(views[table.name].query, self._tables, views) for table in kept},
        }
        self._counted = {view.name: self._describe_view(view) for view in views.values() if not view.keeps_newest}
        tiles = read_tiles(tiles_dir)
        names = {*self._tables, *views}
        self._keyed = {name: keyed for name, tile in tiles.items() if (keyed := keyed_tile(tile.kql, names))}
        self._tiles = {name: self._prepare_tile(name, tile.kql) for name, tile in tiles.items()}
        self._inputs = {name: inputs_of(tile.kql, self._tables, views) for name, tile in tiles.items()}
        self._narrowed = {column: self._narrow(column) for column in {keyed.by for keyed in self._keyed.values()}}
        self._keyed_rows: dict[str, KeyedRows] = {}
        """By keyed tile that was run and has many rows, these rows."""
        self._changed: dict[str, set[str]] = {}
        """By keyed tile that was run, the groups that have changed since."""
        self._tile_rows: dict[str, list[Row]] = {}
        self._run_at: dict[str, float] = {}
        """By tile whose rows are as of the last refresh, when it was run, by the clock; a keyed one, the last of its portions."""

    def refresh(self) -> bool:
        """Take in the rows that arrived or were added to the lake since the last call; say whether there were any.

        Raises PartError when they can't be read. Where rows had arrived, they are then looked for in the lake from now on, in
        which they are some seconds later.
        """
        with self._lock:
            arrived = self._arrivals.take() if self._arrivals is not None else {}
            try:
                changed = [name for name in self._tables if name not in self._handed and self._load(name)]
                changed += [name for name, lines in arrived.items() if self._take_in(name, lines)]
            except PartError:
                self._follow_the_lake()
                raise
            if self._arrivals is not None:
                self._handed.update(TABLES)
            return bool(changed)

    def tiles(self) -> dict[str, list[Row]]:
        """The rows of every tile by its name, as of the last refresh: datetimes as ISO 8601 in UTC, dynamic values parsed.

        Where nothing has changed they are the same list as before: nobody may change it.
        """
        with self._lock:
            for name in self._tiles:
                if name in self._keyed_rows:
                    rows = self._run_changed(name)
                elif self._portions_due(name, 1):
                    rows = self._run_whole(name)
                else:
                    continue
                if rows != self._tile_rows.get(name):
                    self._tile_rows[name] = rows
            return dict(self._tile_rows)

    def query(self, kql: str) -> list[Row]:
        """The rows that a KQL query over the live tables (with their whole history) and views yields.

        Raises LiveStoreError when the query isn't KQL, is beyond what runs locally, or fails.
        """
        with self._lock:
            self.refresh()
            return self.answer(kql)

    def answer(self, kql: str) -> list[Row]:
        """As `query`, with the views as of the last refresh: whoever waits for `refresh` to say that there is something new must
        not miss it for what somebody else has asked.
        """
        sql = self._translate(kql, "the query")
        with self._lock:
            for name in _NAMES.findall(kql):
                self._show_history(name)
            return self._run(self._history_cursor, sql, "the query", comes_again=False)

    def close(self) -> None:
        """Give back the memory."""
        with self._lock:
            self._database.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._database.cursor()
        cursor.execute("set TimeZone = 'UTC'")
        return cursor

    def _translate(self, kql: str, what: str, translate: Callable[[str, str], Translation] = translated) -> str:
        try:
            return translate(kql, json.dumps(self._schema)).sql
        except UntranslatableError as fault:
            raise LiveStoreError(f"{what} can't be run on the local live store: {fault}") from fault

    def _prepare_tile(self, name: str, kql: str) -> str:
        sql = self._translate(kql, f"tile {name}", _kept)
        self._run(self._tiles_cursor, sql, f"tile {name}")  # over empty views
        return sql

    def _narrow(self, column: str) -> duckdb.DuckDBPyConnection:
        """A cursor that sees of every view with keyed tiles by `column` those rows only whose group is in the table `changed`."""
        cursor = self._cursor()
        cursor.execute(f"""create schema "by {column}"; set search_path = 'by {column},live,main'""")
        for view in {keyed.view for keyed in self._keyed.values() if keyed.by == column}:
            rows = f'select * from live."{view}" where {_group(column)} in (from main.changed)'
            cursor.execute(f'create view "by {column}"."{view}" as {rows}')
        return cursor

    def _run_whole(self, name: str) -> list[Row]:
        rows = self._run(self._tiles_cursor, self._tiles[name], f"tile {name}")
        self._run_at[name] = self._clock.seconds()
        self._changed.pop(name, None)
        self._keyed_rows.pop(name, None)
        if name in self._keyed and (held := KeyedRows(self._keyed[name], rows)).portions:
            self._keyed_rows[name] = held
        return rows

    def _run_changed(self, name: str) -> list[Row]:
        """The rows of a keyed tile, those of changed groups and of portions that are due run again: a whole one takes long, and
        readings wait meanwhile.
        """
        keyed, held, changed = self._keyed[name], self._keyed_rows[name], self._changed.get(name, ())
        due, portions = self._portions_due(name, held.portions), held.portions
        if 2 * due >= portions or len(changed) > MOST_CHANGED:
            return self._run_whole(name)
        if due or changed:
            run = held.next_portions(due)
            groups = self._show_groups(keyed, changed, portions, run)
            held.replace(groups, self._run(self._narrowed[keyed.by], self._tiles[name], f"tile {name}"))
            held.pass_portions(len(run))
            self._run_at[name] += len(run) * self._tile_seconds / portions
            self._changed.pop(name, None)
        return held.rows

    @property
    def _tile_seconds(self) -> float:
        """TILE_SECONDS by the clock."""
        return TILE_SECONDS * self._clock.speed

    def _portions_due(self, name: str, portions: int) -> int:
        """How many of the portions of a tile have to be run again since time has passed; all, where nobody knows what changed."""
        if name not in self._run_at:
            return portions
        waited = abs(self._clock.seconds() - self._run_at[name])  # clocks are also put back
        return min(portions, int(waited / self._tile_seconds * portions))

    def _show_groups(self, keyed: KeyedTile, changed: Collection[str], portions: int, due: Collection[int]) -> list[str]:
        """Let the narrowed views show changed groups, and those in the portions that are due; gives all these groups."""
        cursor, group = self._narrowed[keyed.by], _group(keyed.by)
        cursor.execute(  # made anew: DuckDB keeps what is deleted
            f"""create or replace table main.changed as
                select unnest($changed::varchar[]) as id
                union select {group} from live."{keyed.view}" where list_contains($due, hash({group}) % {portions})""",
            {"changed": sorted(changed), "due": list(due)},
        )
        return [found for (found,) in cursor.execute("from main.changed").fetchall()]

    def _create_recent(self, table: KustoTable, age: timedelta) -> RecentRows:
        recent = RecentRows(table, age, self._layouts[table.name].key)
        recent.create(self._loader)
        return recent

    def _create_view(self, view: KustoView) -> NewestRows:
        newest = NewestRows(view, self._translate(view.query, f"view {view.name}", _kept))
        with self._empty(view.source):
            columns = newest.create(self._loader)
        self._schema[view.name] = {name: KUSTO_TYPES[kind] for name, kind in columns}
        return newest

    def _describe_view(self, view: KustoView) -> tuple[str, str]:
        """The source and the SQL of a view that isn't kept; its columns become known."""
        sql = self._translate(view.query, f"view {view.name}", _kept)
        with self._empty(view.source):
            columns = execute(self._loader, f"select column_name, column_type from (describe {sql})").fetchall()
        self._schema[view.name] = {name: KUSTO_TYPES[kind] for name, kind in columns}
        return view.source, sql

    @contextmanager
    def _empty(self, table: str) -> Iterator[None]:
        """A table without rows, for as long as the columns of a view are asked for."""
        execute(self._loader, f'create temp table "{table}" ({column_definitions(self._tables[table])})')
        yield
        execute(self._loader, f'drop table temp."{table}"')

    def _show_history(self, name: str) -> None:
        """Let a query see the whole history of a table, and what a view sums up of it."""
        if table := self._tables.get(name):
            self._history_cursor.execute(f'create or replace view history."{name}" as {self._history_of(table)}')
        elif name in self._counted:
            source, sql = self._counted[name]
            self._show_history(source)
            self._history_cursor.execute(f'create or replace view history."{name}" as {sql}')

    def _follow_the_lake(self) -> None:
        """Do without the rows that arrive, some of which are lost here: read the lake on from where it was read last."""
        if self._arrivals is None:
            return
        log.warning("rows that arrive could not be taken in: from now on they are read from the lake")
        self._arrivals.close()
        self._arrivals = None
        self._handed.clear()

    def _take_in(self, name: str, bodies: Sequence[str]) -> bool:
        """Take in the lines of a table; what can't be read of them, the lake quarantines."""
        table = self._tables[name]
        try:
            for lines in _portions(bodies):
                rows, _ = rows_of(self._loader, lines, table, self._layouts[name])
                execute(self._loader, f'create or replace temp table "{name}" as {select_stored(table, rows)}')
                self._merge(name, "table")
        except duckdb.Error as fault:
            raise LiveStoreError(f"rows of {name} that arrived can't be shown ({str(fault).splitlines()[0]})") from fault
        return True

    def _load(self, name: str) -> bool:
        try:
            return self._load_new_files(name)
        except duckdb.Error as fault:  # most likely a file was replaced by a compaction and deleted while we were behind
            log.warning("reading the table anew", extra={"ids": {"table": name, "fault": str(fault).splitlines()[0]}})
            self._followers[name].start_over()
        try:
            return self._load_new_files(name)
        except duckdb.Error as fault:
            self._followers[name].start_over()
            if isinstance(fault, duckdb.OutOfMemoryException):
                text = f"the live store's {MEMORY_LIMIT} of memory don't hold {name}, and {self._spill} takes no more"
                raise LiveStoreError(f"{text} ({str(fault).splitlines()[0]}): free disk space there and start again") from fault
            raise LiveStoreError(
                f"the Delta table {self._lake_dir / name} can't be read ({str(fault).splitlines()[0]}): move the folder away "
                "and start again"
            ) from fault

    def _load_new_files(self, name: str) -> bool:
        new = self._followers[name].new_files()
        if new is None:
            return False
        rows = self._rows_of(self._tables[name], new)
        if new.complete and self._is_large(new):
            self._take_whole(name, rows)
        else:
            self._loader.execute(f'create or replace temp table "{name}" as {rows}')  # few rows, read once for all views
            self._merge(name, "table")
        return True

    def _is_large(self, new: NewFiles) -> bool:
        """Whether files have more rows than a commit brings."""
        counted = self._loader.execute(f"select count(*) from {parquet(new.paths)}").fetchall() if new.paths else [(0,)]
        return int(counted[0][0]) > ROWS_AT_ONCE

    def _take_whole(self, name: str, rows: str) -> None:
        """Take in a whole table, which is never in memory. Where it is about entities, some of these at a time: to find the
        newest row of each, DuckDB holds all that it has seen.
        """
        portions = ["true"]
        if "entityId" in self._tables[name].types:
            portions = [f'hash("entityId") % {START_PORTIONS} = {number}' for number in range(START_PORTIONS)]
        for portion in portions:
            self._loader.execute(f'create or replace temp view "{name}" as from ({rows}) where {portion}')
            self._merge(name, "view")

    def _merge(self, name: str, kind: Literal["table", "view"]) -> None:
        """Take in the rows that the loader sees under the name of a table, and drop that; of a view it is not known what they are
        about.
        """
        about = self._about(name) if kind == "table" else None
        held = [table for table, inputs in self._held.items() if concerns(inputs, name, about)]
        before = self._groups_of(name, about or {})
        self._loader.execute("begin")
        try:
            for table in held:
                table.merge(self._loader)
            self._loader.execute("commit")
        except duckdb.Error:
            self._loader.execute("rollback")
            raise
        finally:
            self._loader.execute(f'drop {kind} temp."{name}"')
        for table in held:
            table.rebuild_when_due(self._loader)
        after = self._groups_of(name, about or {})
        for tile in [tile for tile in self._run_at if concerns(self._inputs[tile], name, about)]:
            if tile in before:
                self._changed.setdefault(tile, set()).update(before[tile], after[tile])
            else:
                del self._run_at[tile]

    def _about(self, name: str) -> dict[str, set[str]] | None:
        """The entities that new rows of a table are about, by their kind; None where it does not say."""
        if "entity" not in self._tables[name].types:
            return None
        rows = self._loader.execute(f'select entity, list(distinct {_group(ENTITY)}) from temp."{name}" group by all').fetchall()
        return {entity: set(ids) for entity, ids in rows}

    def _groups_of(self, table: str, about: Mapping[str, set[str]]) -> dict[str, set[str]]:
        """By keyed tile of many rows that new rows of a table about these entities concern, the groups they are in."""
        concerned = {
            name: [ids for entity, ids in about.items() if concerns(self._inputs[name], table, [entity])]
            for name in self._keyed_rows
        }
        return {name: self._groups(self._keyed[name], set[str]().union(*ids)) for name, ids in concerned.items() if ids}

    def _groups(self, keyed: KeyedTile, ids: Collection[str]) -> set[str]:
        """The groups of a keyed tile that entities are in."""
        if keyed.by == ENTITY:
            return set(ids)
        groups = f'select distinct {_group(keyed.by)} from live."{keyed.view}"'
        entities = f"{_group(ENTITY)} in (select unnest($1::varchar[]))"
        return {group for (group,) in self._loader.execute(f"{groups} where {entities}", [list(ids)]).fetchall()}

    def _rows_of(self, table: KustoTable, new: NewFiles) -> str:
        condition = ""
        if new.complete and new.paths and table.name in START_LOOKBACK:
            time = table.time_column
            newest = self._loader.execute(f'select max("{time}") from {parquet(new.paths)}').fetchall()[0][0]
            if newest is not None:
                condition = f"where \"{time}\" >= '{(newest - START_LOOKBACK[table.name]).isoformat()}'::timestamptz"
        return select_from_files(table, new.paths, condition)

    def _history_of(self, table: KustoTable) -> str:
        path = self._lake_dir / table.name
        files = stored_files(path)
        return select_from_files(table, files)

    def _run(self, cursor: duckdb.DuckDBPyConnection, sql: str, what: str, comes_again: bool = True) -> list[Row]:
        cursor.execute(f"set variable clock = timestamptz '{self._clock.now().isoformat()}'")
        try:
            result = execute(cursor, sql) if comes_again else cursor.execute(sql)
            columns = [(column[0], str(column[1])) for column in result.description or ()]
            rows = result.fetchall()
        except duckdb.Error as fault:
            raise LiveStoreError(f"{what} failed on the local live store: {str(fault).splitlines()[0]}") from fault
        return as_json(columns, rows)


def _group(column: str) -> str:
    """SQL for the group of a row by a column: what has no room is one group."""
    return f"coalesce(\"{column}\", '')"


def _kept(kql: str, schema: str) -> Translation:
    """The translation of a text that comes again at every start."""
    return kept([kql, schema], lambda: translated(kql, schema))


def _portions(bodies: Sequence[str]) -> Iterator[str]:
    """Lines of `bodies` in their order, about PORTION_CHARACTERS at a time."""
    portion: list[str] = []
    characters = 0
    for body in bodies:
        portion.append(body)
        characters += len(body)
        if characters >= PORTION_CHARACTERS:
            yield "\n".join(portion)
            portion, characters = [], 0
    if portion:
        yield "\n".join(portion)
