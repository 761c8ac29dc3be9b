"""Databases in memory, all within one running DuckDB: to start another takes 20 ms of a processor, and every run starts several.

What an engine is given stays its caller's; only its cursors are made here.
"""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from asa_engine.types import text_literal

SETTINGS = """
SET GLOBAL TimeZone = 'UTC';
SET GLOBAL error_on_division_by_zero = false;
SET GLOBAL ieee_floating_point_ops = false;
SET GLOBAL preserve_insertion_order = true;
"""
"""Division by zero gives NULL, and rows keep their order: on every connection made from now on."""
_numbers = itertools.count()
_attaching = threading.Lock()


@functools.cache
def _started() -> duckdb.DuckDBPyConnection:
    """Only cursors of it are worked with: several threads may ask at the same time."""
    return duckdb.connect().execute(SETTINGS)


def _running() -> duckdb.DuckDBPyConnection:
    """The running DuckDB; after a fault that it doesn't survive, which the engine that met it has raised, another."""
    try:
        _started().cursor().execute("SELECT 1")
    except duckdb.FatalException:
        _started.cache_clear()
    return _started()


def calculator() -> duckdb.DuckDBPyConnection:
    """A connection for a calculation: to close it is enough."""
    return _running().cursor()


class Database:
    """Where an engine keeps its tables: a database of its own, gone with it, or the one of a connection that was given."""

    def __init__(self, given: duckdb.DuckDBPyConnection | None = None) -> None:
        self._given = given
        self._origin = given.execute(SETTINGS) if given else _running()
        self._name = ""
        if given is None:
            self._name = f"engine_{next(_numbers)}"
            self._origin.cursor().execute(f"ATTACH ':memory:' AS {self._name}")
            weakref.finalize(self, _detach, self._origin, self._name).atexit = False
        self.connection = self.cursor()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Another connection to the tables: one for each thread that works on them."""
        cursor = self._origin.cursor()
        if self._name:
            cursor.execute(f"USE {self._name}")
        return cursor

    def close(self) -> None:
        """No more is done; a given connection is closed."""
        self.connection.close()
        if self._given:
            self._given.close()

    @contextmanager
    def attached(self, path: Path, options: str = "") -> Iterator[None]:
        """Have a file attached as `saved`, which is one name for all: so one at a time. Raises duckdb.Error."""
        with _attaching:
            self.connection.execute(f"ATTACH {text_literal(str(path))} AS saved {options}")
            try:
                yield
            finally:
                self.connection.execute("DETACH saved")


def _detach(origin: duckdb.DuckDBPyConnection, name: str) -> None:
    with suppress(duckdb.FatalException):  # then all of it is gone
        origin.cursor().execute(f"DETACH {name}")
