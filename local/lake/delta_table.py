"""Appends rows to one Delta table so that no row is stored twice, whatever is replayed or killed.

A table has one writer, and a file lock sees to it. Every append first drops the rows whose key is already stored, so a producer
that repeats itself after a crash changes nothing. Nested values (arrays, objects) are stored as JSON text: every reader of the
lake (DuckDB, Kusto, Spark) parses that the same way, and a new field inside them never changes the table's schema.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import duckdb
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from asa_engine.statements import execute
from local.lake.parquet_files import write_files
from local.lake.stored_files import parquet, stored_file
from local.part import PartError

log = logging.getLogger("roompulse.lake")

DELTA_TYPES = {
    "VARCHAR": "string",
    "BIGINT": "long",
    "INTEGER": "integer",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "TIMESTAMPTZ": "timestamp",
}
"""Delta type of each DuckDB type that a lake column may have."""

COMMITS_PER_COMPACTION = 100
COMPACTIONS_PER_VACUUM = 10
COMPACTED_FILE_BYTES = 16 * 1024 * 1024
"""Files of this size are left alone: compaction then rewrites at most this much, however large the table is."""

RETENTION = "interval 1 hours"
RETENTION_HOURS = 1
"""How long replaced files stay, so that a reader which listed them can still open them (less broke readers in our trials)."""

COMMIT_ATTEMPTS = 5

BATCH = "temp.rows_to_append"
"""Where a connection has the rows of an append."""

LOCK_FILE = "_writer.lock"
"""Delta readers and vacuum pass over names that begin with an underscore."""

STATISTICS_PRECISION = timedelta(milliseconds=1)
"""Delta cuts the timestamps of its file statistics to milliseconds."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DISK_FULL = tuple(text for code in NO_ROOM for text in (f"os error {code}", os.strerror(code)))
"""How delta-rs and DuckDB spell that the disk is full, a quota used up, or a file too large."""


class LakeTableError(PartError):
    """The table can't be read or doesn't have the expected columns. The text names the folder and the next step."""


class LakeFullError(PartError):
    """There is no room to store rows. Nothing was stored: append the same rows again once there is space."""


class DeltaTableWriter:
    """The only writer of the Delta table in folder `path`; creates the table at the first append.

    `key`: the columns that identify a row. `columns`: DuckDB type by column name (see DELTA_TYPES).
    `partition_by`: a column whose value never differs between two copies of a row; `time_column`: a TIMESTAMPTZ column of which
    the same is true. Both only narrow where copies are looked for, so that an append stays cheap in a table of millions of rows.
    """

    def __init__(
        self,
        path: Path,
        key: tuple[str, ...],
        columns: Mapping[str, str],
        partition_by: str | None = None,
        time_column: str | None = None,
    ) -> None:
        unknown = {name: kind for name, kind in columns.items() if kind not in DELTA_TYPES}
        if unknown:
            raise ValueError(f"{path.name}: no Delta type for {unknown}; use one of {', '.join(DELTA_TYPES)}")
        missing = {*key, *filter(None, (partition_by, time_column))} - set(columns)
        if missing:
            raise ValueError(f"{path.name}: {', '.join(sorted(missing))} is not among its columns")
        self.path = path
        self.key = key
        self.columns = dict(columns)
        self.partition_by = partition_by
        self.time_column = time_column
        self._thread_lock = threading.Lock()
        self._process_lock = self._claim()
        self._table = self._open()
        self._stale = False
        self._commits = 0
        self._compactions = 0

    @property
    def exists(self) -> bool:
        """Whether the table has been made: it is at the first append."""
        return self._table is not None

    def position(self, application: str) -> int | None:
        """The version that the last append which named `application` stored, None if there was none."""
        if self._table is None:
            return None
        version: int | None = self._table.transaction_version(application)
        return version

    def append(
        self,
        connection: duckdb.DuckDBPyConnection,
        rows: str,
        transaction: tuple[str, int] | None = None,
        positions: Mapping[str, int] | None = None,
    ) -> int:
        """Store the rows of a query whose key is not stored yet, in one commit; return how many were new.

        `rows` is SQL that `connection`, whose TimeZone should be UTC, gives (at least) the table's columns for. What differs from
        append to append is best in a table that it reads: DuckDB parses a text once.
        `transaction` (application, version): do nothing if that version or a later one of that application is stored already.
        `positions`: versions by application to store in the same commit without that check, for a reader that resumes from
        `position`. Neither is stored when no row was new.
        Raises LakeFullError when the disk is full and LakeTableError when the table is damaged; then nothing was stored.
        """
        with self._thread_lock, self._clear_errors():
            self._catch_up()
            if transaction is not None:
                stored = self.position(transaction[0])
                if stored is not None and stored >= transaction[1]:
                    return 0
            marks = {**(positions or {}), **(dict([transaction]) if transaction else {})}
            with self._batch(connection, rows):
                self._drop_stored(connection)
                count = int(execute(connection, f"select count(*) from {BATCH}").fetchall()[0][0])
                if count:
                    self._commit(connection, marks)
        if count and self._commits % COMMITS_PER_COMPACTION == 0:
            self._compact_or_warn()
        return count

    def rows(self) -> int:
        """How many rows the table holds, from the statistics of its files."""
        return sum(_column(self._table.get_add_actions(flatten=True), "num_records")) if self._table else 0

    def close(self) -> None:
        """Let another writer have the table."""
        self._process_lock.close()

    def compact(self) -> None:
        """Merge small files, and now and then delete those that no version has known for an hour."""
        if self._table is None:
            return
        started = time.perf_counter()
        self._table.optimize.compact(target_size=COMPACTED_FILE_BYTES, max_concurrent_tasks=1)
        self._compactions += 1
        removed = 0
        if self._compactions % COMPACTIONS_PER_VACUUM == 0:
            removed = len(self._table.vacuum(RETENTION_HOURS, dry_run=False, enforce_retention_duration=False, full=True))
        milliseconds = round(1000 * (time.perf_counter() - started))
        ids = {"table": self.path.name, "version": self._table.version(), "milliseconds": milliseconds, "removedFiles": removed}
        log.info("compacted", extra={"ids": ids})

    def _claim(self) -> IO[bytes]:
        """Lock the table for this writer; the kernel unlocks it when the process ends, however it ends."""
        with self._clear_errors():
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / LOCK_FILE).open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            file.close()
            raise LakeTableError(
                f"the Delta table {self.path} is being written already: stop the other run that uses this data folder"
            ) from fault
        return file

    def _open(self) -> DeltaTable | None:
        with self._clear_errors():
            try:
                table = DeltaTable(str(self.path))
            except TableNotFoundError:
                return None
            found = {field.name: field.type.type for field in table.schema().fields}
        wanted = {name: DELTA_TYPES[kind] for name, kind in self.columns.items()}
        if found != wanted:
            differing = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
            raise LakeTableError(
                f"the Delta table {self.path} was made with other columns ({', '.join(differing)}): "
                "move the folder away and start again"
            )
        return table

    def _create(self) -> DeltaTable:
        return DeltaTable.create(
            str(self.path),
            schema=Schema([Field(name, DELTA_TYPES[kind]) for name, kind in self.columns.items()]),
            partition_by=self.partition_by,
            configuration={"delta.logRetentionDuration": RETENTION, "delta.deletedFileRetentionDuration": RETENTION},
        )

    def _catch_up(self) -> None:
        """After a failed append: find out what is really stored, so that the retry neither loses nor repeats."""
        if self._stale:
            if self._table is None:
                self._table = self._open()
            else:
                self._table.update_incremental()
            self._stale = False

    @contextmanager
    def _batch(self, connection: duckdb.DuckDBPyConnection, rows: str) -> Iterator[None]:
        """Have the rows of a query in BATCH, each key once."""
        columns = ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind in self.columns.items())
        key = ", ".join(f'"{name}"' for name in self.key)
        unique = f"select {columns} from ({rows}) qualify row_number() over (partition by {key}) = 1"
        execute(connection, f"create or replace temp table {BATCH} as {unique}")
        try:
            yield
        finally:
            execute(connection, f"drop table {BATCH}")

    def _drop_stored(self, connection: duckdb.DuckDBPyConnection) -> None:
        files = self._files_that_may_hold(connection)
        if not files:
            return
        same = " and ".join(f'batch."{name}" is not distinct from stored."{name}"' for name in self.key)
        options = f"hive_partitioning = {bool(self.partition_by)}, hive_types_autocast = false"
        try:
            connection.execute(f"delete from {BATCH} as batch using {parquet(files, options)} as stored where {same}")
        except (duckdb.IOException, duckdb.InvalidInputException) as fault:
            raise self._damaged(fault) from fault

    def _files_that_may_hold(self, connection: duckdb.DuckDBPyConnection) -> list[str]:
        """The stored files that, by partition and statistics, may hold a row with a key of the batch."""
        if self._table is None:
            return []
        added = self._table.get_add_actions(flatten=True)
        files = {path: stored_file(self.path, path) for path in _column(added, "path")}
        if self.partition_by:
            wanted = {row[0] for row in execute(connection, f'select distinct "{self.partition_by}" from {BATCH}').fetchall()}
            partitions = _column(added, f"partition.{self.partition_by}")
            files = {path: file for (path, file), value in zip(files.items(), partitions, strict=True) if value in wanted}
        if self.time_column and f"min.{self.time_column}" in added.column_names:
            column = f'"{self.time_column}"'
            first_unless_unknown = f"case when count({column}) = count(*) then min({column}) end"
            bounds = execute(connection, f"select {first_unless_unknown}, max({column}) from {BATCH}")
            first, last = bounds.fetchall()[0]
            lows, highs = _column(added, f"min.{self.time_column}"), _column(added, f"max.{self.time_column}")
            for path, low, high in zip(_column(added, "path"), lows, highs, strict=True):
                known = None not in (first, low, high)
                if known and (high + STATISTICS_PRECISION < first or low > last):
                    files.pop(path, None)
        return list(files.values())

    def _commit(self, connection: duckdb.DuckDBPyConnection, marks: Mapping[str, int]) -> None:
        transactions = [Transaction(application, version) for application, version in marks.items()]
        properties = CommitProperties(app_transactions=transactions) if transactions else None
        if self._table is None:
            self._table = self._create()
        actions = list(write_files(connection, BATCH, self.path, self.columns, self.partition_by))
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            try:
                self._table.create_write_transaction(
                    actions, "append", self._table.schema(), self.partition_by, commit_properties=properties
                )
                break
            except CommitFailedError:
                if attempt == COMMIT_ATTEMPTS:
                    raise
                log.warning("commit conflict, trying again", extra={"ids": {"table": self.path.name, "attempt": attempt}})
                time.sleep(0.05 * attempt)
                self._table.update_incremental()
        self._table.update_incremental()
        self._commits += 1

    def _compact_or_warn(self) -> None:
        """Compaction is upkeep: when it fails the rows are stored all the same, and the next one makes up for it."""
        try:
            self.compact()
        except (DeltaError, OSError) as fault:
            self._stale = True
            ids = {"table": self.path.name, "fault": str(fault)}
            log.warning("compaction failed, the next one will do it", extra={"ids": ids})

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except (DeltaError, OSError, duckdb.IOException) as fault:
            self._stale = True
            if any(mark in str(fault) for mark in DISK_FULL):
                raise LakeFullError(
                    f"no room to write the Delta table {self.path}: free disk space; it then goes on by itself"
                ) from fault
            raise self._damaged(fault) from fault

    def _damaged(self, fault: Exception) -> LakeTableError:
        return LakeTableError(
            f"the Delta table {self.path} can't be read or written ({str(fault).splitlines()[0]}): move the folder away and "
            "start again"
        )


def _column(table: Any, name: str) -> list[Any]:
    values: list[Any] = table[name].to_pylist()
    return values
