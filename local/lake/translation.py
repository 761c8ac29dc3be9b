"""KQL as the SQL of DuckDB. What stays the same from start to start (views, tiles) is translated once and kept on disk.

Loading the translator takes half a second of a processor, and translating the views and tiles another; where all of them are kept
it isn't loaded.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import itertools
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parents[2] / ".translated"
MOST_KEPT = 2_000
"""So many are kept before all are forgotten: those of earlier tiles and translators are never asked for again."""
_numbers = itertools.count()


class UntranslatableError(Exception):
    """A text isn't KQL, or is beyond what runs on DuckDB; the text says where and why."""


class Translation(NamedTuple):
    """The SQL, and the names of the parameters that it takes."""

    sql: str
    parameters: tuple[str, ...] = ()


@functools.lru_cache(maxsize=256)
def translated(kql: str, schema: str) -> Translation:
    """The translation of a query over tables of a schema (JSON: Kusto's types of each table's columns). A page asks the same
    queries again and again. Raises UntranslatableError.
    """
    import duckdb_kql  # not above: see there

    try:
        return Translation(str(duckdb_kql.to_sql(kql, schema=json.loads(schema), allow_write=False)))
    except duckdb_kql.KqlError as fault:
        raise UntranslatableError(str(fault)) from fault


def kept(texts: list[str], translate: Callable[[], Translation]) -> Translation:
    """What `translate` gave for the same texts with the same translator, or gives now; `texts` are all that it depends on.

    It lies in FOLDER. What can't be read there, or isn't what was written, is translated anew; where nothing can be written,
    nothing is kept.
    """
    depends = json.dumps([_translator(), *texts])
    file = FOLDER / hashlib.sha256(depends.encode()).hexdigest()
    with suppress(OSError, ValueError):
        mark, content = file.read_text(encoding="utf-8").split("\n", 1)
        if mark == _mark(content):
            sql, parameters = json.loads(content)
            return Translation(sql, tuple(parameters))
    found = translate()
    with suppress(OSError):
        _keep(file, json.dumps(found))
    return found


@functools.cache
def _translator() -> str:
    return importlib.metadata.version("duckdb-kql")


def _keep(file: Path, content: str) -> None:
    file.parent.mkdir(exist_ok=True)
    if sum(1 for _ in file.parent.iterdir()) >= MOST_KEPT:
        for other in file.parent.iterdir():
            other.unlink(missing_ok=True)
    written = file.with_name(f"{file.name}.{os.getpid()}-{next(_numbers)}")
    written.write_text(f"{_mark(content)}\n{content}", encoding="utf-8")
    written.replace(file)  # others may keep the same at the same time


def _mark(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
