"""Reads events: parses them, checks them against the schema, and finds their times. Touches no state of the query.

An event is parsed once, into the columns somebody reads and nothing else: texts as they are, any other value as its JSON text,
whose first character shows its type.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from asa_engine.databases import Database
from asa_engine.errors import Position, StreamEngineError
from asa_engine.expressions import as_datetime, moment_of
from asa_engine.plan import InputPlan
from asa_engine.statements import execute
from asa_engine.steps import Column
from asa_engine.types import DataType, duckdb_type, has_nan, quoted, structure_literal, text_literal

_NOWHERE = Position(1, 1)
LARGEST_EVENT = 4_000_000
"""Characters of the largest event that can be read."""
_OF_FILE = "0::BIGINT AS __arrival, 0::BIGINT AS __part"
"""Arrival time and partition of an event that comes from a file."""
_METADATA = {
    "EventProcessedUtcTime": "make_timestamp(__arrival)",
    "EventEnqueuedUtcTime": "make_timestamp(__arrival)",
    "PartitionId": "__part",
}
"""Event metadata that isn't in the event. Here an event is processed when it arrives."""
_OUT_OF_RANGE = (
    "length(CAST({0} AS VARCHAR)) >= 19 AND regexp_full_match(CAST({0} AS VARCHAR), '-?[0-9]+') "
    "AND TRY_CAST(CAST({0} AS VARCHAR) AS BIGINT) IS NULL"
)
"""The service can't read an event with a whole number that is not a bigint."""
_UNFIT = {
    "bigint": f"json_type({{0}}) NOT IN ('UBIGINT', 'BIGINT') OR {_OUT_OF_RANGE}",
    "float": "CAST({0} AS VARCHAR) < '-' OR CAST({0} AS VARCHAR) >= ':' OR CAST({0} AS VARCHAR) IN ('-Infinity', '-inf') "
    f"OR {_OUT_OF_RANGE}",
    "bit": "CAST({0} AS VARCHAR) NOT IN ('true', 'false')",
    "record": "NOT starts_with(CAST({0} AS VARCHAR), '{{')",
    "array": "NOT starts_with(CAST({0} AS VARCHAR), '[')",
}
"""The SQL that says whether a JSON text is not a value of a type; NULL for what is missing. Written without a NOT around all of
it, under which DuckDB asks every question of every event: the regular expression alone took an eighth of the time."""
_TEXTS = ("nvarchar", "datetime", "null")
"""Types whose values are texts in JSON: these are read without their quotes."""
_NUMBER = "-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?"
_MAY_BE_NO_TEXT = (
    f"({{0}} >= '-' AND {{0}} < ':' AND NOT contains({{0}}, ':') AND regexp_full_match({{0}}, '{_NUMBER}') "
    "OR {0} IN ('true', 'false', 'NaN', 'nan', 'Infinity', 'inf', '-Infinity', '-inf') "
    "OR {0} >= '[' AND {0} < chr(92) OR {0} >= '{{' AND {0} < '|')"
)
"""Whether what was read as a text can have been something else in JSON: it is spelled like a number (NaN and infinities, which
DuckDB reads, among them), true or false, or begins like an array or a record. Only then its type is worth a second look. (No
number has a colon; a time has, and is spared the regular expression.)"""


@dataclass(frozen=True)
class Staged:
    """Events that have been parsed and judged but not yet taken in: a table with a row for each, in their order.

    `arrivals` are microseconds since the epoch, None when nothing is early or late; `partitions` None when all are of one.
    """

    table: str
    count: int
    arrivals: np.ndarray | None = None
    partitions: np.ndarray | None = None


_AS_WRITTEN = "PRAGMA disable_optimizer"
"""Of SQL that judges each event by itself there is nothing to optimize: to look for it takes a fourth of the time of a small
batch, and a large one is judged no faster after it."""
_NO_EVENTS = {name: np.zeros(0, dtype=np.int64) for name in ("__json", "__arrival", "__part")}


@dataclass(frozen=True)
class _Place:
    """Where one batch at a time is worked on: its SQL reads what `events` hold by then as `__events`."""

    connection: duckdb.DuckDBPyConnection
    events: dict[str, np.ndarray]


class Staging:
    """Turns events of one input into tables of judged events. Several threads may use it at the same time."""

    def __init__(self, database: Database, plan: InputPlan) -> None:
        self.database = database
        self.plan = plan
        self._fits = False
        self._numbers = itertools.count()
        self._free_names: list[str] = []
        self._free_places: list[_Place] = []
        self._columns: list[Column] = []
        self._metadata: list[str] = []
        self._stored: list[str] = []
        self._of_events: dict[bool, str] = {}
        """The SQL that judges `__events`, by whether they have arrival times; the same for every batch."""

    def prepare(self) -> None:
        """Find out which columns somebody reads: the query, or TIMESTAMP BY."""
        step, declared = self.plan.step, self.plan.schema.columns
        timed = {column for value in (self.plan.timestamp, *self.plan.substream_keys) if value for _, column in value.uses}
        read = step.wanted | timed
        own = [Column(name, kind) for name, kind in declared.items()]
        own += [column for key, column in step.columns.items() if column.name in step.metadata - set(_METADATA)]
        self._columns = [column for column in own if column.name.lower() in read]
        self._columns += [column for key, column in step.columns.items() if column.name in step.paths and key in step.wanted]
        self._metadata = [name for name in _METADATA if name.lower() in read - {name.lower() for name in declared}]
        self._stored = [column.name for column in step.wanted_columns]
        self._fits = bool(self._leaves)
        parsed = self._parsed("__events")
        self._of_events = {arrive: self._judged(parsed, arrive) for arrive in (False, True)}

    def give_back(self, table: str) -> None:
        """A table's name may be used again: so that statements come again."""
        self._free_names.append(table)

    # ---- events to tables

    def stage(
        self,
        bodies: Sequence[str],
        arrivals: np.ndarray | None,
        partitions: np.ndarray | None,
        received: np.ndarray | None = None,
    ) -> Staged:
        """Parse and judge events, one JSON text each, without touching the state: may run while a tick is computed.

        `arrivals` are microseconds since the epoch; without them nothing is early or late. `received` are the same for events
        that no policy applies to, such as those of a file.
        """
        known = arrivals if arrivals is not None else received
        texts = np.empty(len(bodies), dtype=object)
        texts[:] = bodies
        unknown = np.zeros(len(bodies), dtype=np.int64)
        self._check_arrivals(known is not None)
        place = self._free_place()
        place.events["__json"] = texts
        place.events["__arrival"] = known if known is not None else unknown
        place.events["__part"] = partitions if partitions is not None else unknown
        table, count = self._stage(place.connection, self._of_events[arrivals is not None])
        place.events.update(_NO_EVENTS)
        self._free_places.append(place)
        return Staged(table, count, arrivals, partitions)

    def stage_files(self, paths: Sequence[str]) -> Staged:
        """Parse and judge files of JSON lines (or a JSON array each), one after the other, without arrival times.

        It takes the text of an event to say what is wrong with it, and a fourth of the time to keep the texts. So files are read
        without them as long as every line is an object and no value looks odd; from the first other on they are read with them.
        """
        self._check_arrivals(False)
        with self.database.cursor() as connection:
            staged = self._stage_fitting(connection, paths) if self._fits else None
            if staged is None:
                self._fits = False
                texts = f"SELECT {_OF_FILE}, json AS __json FROM read_json_objects($1, maximum_object_size={LARGEST_EVENT})"
                staged = self._stage(connection, self._judged(self._parsed(f"({texts})"), False), [paths])
        return Staged(*staged)

    def _stage_fitting(self, connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> tuple[str, int] | None:
        """Files whose lines all fit the schema beyond doubt; None for any others."""
        try:
            table, count = self._stage(connection, self._judged(self._parsed_lines(), False, with_texts=False), [paths])
        except (duckdb.InvalidInputException, duckdb.ConversionException):  # a line that is not a JSON object
            return None
        if not execute(connection, f"SELECT 1 FROM {quoted(table)} WHERE __fault IS NOT NULL LIMIT 1").fetchall():
            return table, count
        execute(connection, f"DROP TABLE {quoted(table)}")
        self.give_back(table)
        return None

    def _check_arrivals(self, given: bool) -> None:
        if self.plan.timestamp is None and not given:
            raise StreamEngineError(
                f"Input {self.plan.name} has no TIMESTAMP BY, so its events need arrival times. Add TIMESTAMP BY to the query."
            )

    def _stage(self, connection: duckdb.DuckDBPyConnection, judged: str, parameters: Sequence[object] = ()) -> tuple[str, int]:
        """Create a table of judged events; gives its name and their number."""
        table = self._free_name()
        created = execute(connection, f"CREATE TABLE {quoted(table)} AS {judged}", parameters).fetchone()
        return table, created[0] if created else 0

    def _free_name(self) -> str:
        """A name for a table: one that has been given back, or a new one."""
        try:
            return self._free_names.pop()
        except IndexError:  # several threads may ask
            return f"staged_{self.plan.name.lower()}_{next(self._numbers)}"

    def _free_place(self) -> _Place:
        """A place that nobody works at, or a new one."""
        try:
            return self._free_places.pop()
        except IndexError:  # several threads may ask
            place = _Place(self.database.cursor(), dict(_NO_EVENTS))
            place.connection.register("__events", place.events)
            place.connection.execute(_AS_WRITTEN)
            return place

    # ---- the SQL of it

    def _parsed(self, events: str) -> str:
        """Events with what is read of each as `__read`: texts as they are, and any other value as its JSON text."""
        structure = self._structure()
        read = (
            f"from_json(__json, {structure_literal(structure)})"
            if structure
            else "CASE json_type(__json) WHEN 'OBJECT' THEN 1 END"
        )
        return f"SELECT *, TRY({read}) AS __read FROM {events}"

    def _parsed_lines(self) -> str:
        """The same for the lines of a file, without their texts; fails for what is not an object.

        Of a single column DuckDB would find out whether lines are objects with that column or the column's values: it takes more
        than twice the time, and a line that is a text would pass for an event.
        """
        structure = self._structure()
        columns = ", ".join(f"{text_literal(name)}: {text_literal(_sql_type(inside))}" for name, inside in structure.items())
        read = f"format='newline_delimited', records=true, columns={{{columns}}}, maximum_object_size={LARGEST_EVENT}"
        lines = f"read_json($1, {read})"
        fields = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in structure)
        return f"SELECT {_OF_FILE}, struct_pack({fields}) AS __read FROM {lines}"

    def _judged(self, read: str, with_arrivals: bool, with_texts: bool = True) -> str:
        """The columns somebody reads of events, their time (`__event`) and, if they don't fit the schema, the reason (`__fault`).

        The first character of a value's JSON text shows its type. Without the events' texts what looks like a fault is one.
        """
        leaves = [f"{_inside('__read', path)} AS {_leaf(path)}" for path, _ in self._leaves]
        looked_at = f"SELECT {', '.join(['*', *leaves])} FROM ({read})"
        values = [f"{_value(self._path(column), column.type)} AS {quoted(column.name)}" for column in self._columns]
        values += [_leaf(self._path(column)) for column in self._datetimes]
        values += [f"{sql} AS {quoted(name)}" for name, sql in _METADATA.items() if name in self._metadata]
        faults = f"CASE {self._faults(with_texts)} END AS __fault"
        return self._timed(f"SELECT {', '.join(['__arrival', '__part', faults, *values])} FROM ({looked_at})", with_arrivals)

    def _timed(self, judged: str, with_arrivals: bool) -> str:
        """Judged events with their time, and with the faults that a time can have."""
        keys = "".join(f", {key.sql} AS __k{index}" for index, key in enumerate(self.plan.substream_keys))
        stamp = self.plan.timestamp
        moment = f"epoch_us({as_datetime(stamp, _NOWHERE, safe=True)})" if stamp is not None else "__arrival"
        timed = f"SELECT *{keys}, {moment} AS __event FROM ({judged})"
        branches = [
            f"WHEN {_leaf(self._path(column))} IS NOT NULL AND {quoted(column.name)} IS NULL "
            f"THEN {text_literal(f'{column.name} is not a datetime')}"
            for column in self._datetimes
        ]
        if stamp is not None:
            branches.append("WHEN __event IS NULL THEN 'TIMESTAMP BY finds no time'")
        fault = f"CASE WHEN __fault IS NOT NULL THEN __fault {' '.join(branches)} END AS __fault" if branches else "__fault"
        kept = [fault, "__event"]
        if self.plan.substream_keys:
            kept += ["__part", *(["__arrival"] if with_arrivals else [])]
            kept += [f"__k{index}" for index in range(len(self.plan.substream_keys))]
        return f"SELECT {', '.join([*kept, *map(quoted, self._stored)])} FROM ({timed})"

    @property
    def _datetimes(self) -> list[Column]:
        return [column for column in self._columns if column.type.kind == "datetime"]

    def _faults(self, with_texts: bool) -> str:
        """The branches of CASE that name what is wrong with an event, but for texts that are not times."""

        def is_none_of(path: Sequence[str], *kinds: str) -> str:
            return f"json_type(__json, {_json_path(path)}) NOT IN {kinds}" if with_texts else "TRUE"

        leaves = self._leaves
        unread = "WHEN __read IS NULL THEN CASE WHEN json_valid(__json) THEN 'not a JSON object' ELSE 'not valid JSON' END"
        branches = [unread] if with_texts else []
        branches.append(_record_fault(leaves, is_none_of((), "OBJECT", "NULL"), "not a JSON object"))
        records = dict.fromkeys(path[:depth] for path, _ in leaves for depth in range(1, len(path)))
        for record in records:
            inside = [leaf for leaf in leaves if leaf[0][: len(record)] == record]
            branches.append(_record_fault(inside, is_none_of(record, "OBJECT", "NULL"), f"{'.'.join(record)} is not a record"))
        judged_by_time = [] if with_texts else [self._path(column) for column in self._datetimes]
        for path, data_type in leaves:
            value, spelled = _leaf(path), ".".join(path)
            reason = text_literal(f"{spelled} is not {data_type.described}")
            if path in judged_by_time:
                continue
            if data_type.kind in _TEXTS:
                other = is_none_of(path, "VARCHAR", "NULL")
                branches.append(f"WHEN {_MAY_BE_NO_TEXT.format(value)} AND {other} THEN {reason}")
            elif unfit := _UNFIT.get(data_type.kind):
                branches.append(f"WHEN {unfit.format(value)} THEN {reason}")
            if data_type.is_json:
                branches.append(f"WHEN {has_nan(value)} THEN {text_literal(f'{spelled} holds NaN or an infinity')}")
        return " ".join(branches)

    def _path(self, column: Column) -> tuple[str, ...]:
        return self.plan.step.paths.get(column.name, (column.name,))

    @property
    def _leaves(self) -> list[tuple[tuple[str, ...], DataType]]:
        """The paths whose texts are read, each once."""
        return list(dict.fromkeys(leaf for column in self._columns for leaf in _leaves(self._path(column), column.type)))

    def _structure(self) -> dict[str, Any]:
        """What is read of an event: the paths to the columns and nothing else."""
        structure: dict[str, Any] = {}
        for path, data_type in self._leaves:
            inside = structure
            for record in path[:-1]:
                inside = inside.setdefault(record, {})
            inside[path[-1]] = "VARCHAR" if data_type.kind in _TEXTS else "JSON"
        return structure


def _leaves(path: tuple[str, ...], data_type: DataType) -> list[tuple[tuple[str, ...], DataType]]:
    """The paths whose texts are read for a value: its own, or those of the fields of a record, down to arrays."""
    if not data_type.fields:
        return [(path, data_type)]
    return [leaf for name, inner in data_type.fields for leaf in _leaves((*path, name), inner)]


def _record_fault(leaves: Sequence[tuple[tuple[str, ...], DataType]], is_no_record: str, reason: str) -> str:
    """What isn't a record looks as if all its fields were missing, so only then is its type worth a second look."""
    missing = " AND ".join(f"{_leaf(path)} IS NULL" for path, _ in leaves) or "TRUE"
    return f"WHEN {missing} AND {is_no_record} THEN {text_literal(reason)}"


def _sql_type(structure: dict[str, Any] | str) -> str:
    """The DuckDB type of what is read: a type's name, or a struct of them."""
    if isinstance(structure, str):
        return structure
    return f"STRUCT({', '.join(f'{quoted(name)} {_sql_type(inside)}' for name, inside in structure.items())})"


def _leaf(path: Sequence[str]) -> str:
    """The name of the column that holds the text at a path."""
    return quoted(f"__text {json.dumps(path)}")


def _inside(value: str, path: Sequence[str]) -> str:
    """The SQL of a field of a struct."""
    for part in path:
        value = f"struct_extract({value}, {text_literal(part)})"
    return value


def _json_path(path: Sequence[str]) -> str:
    """A path into an event, as DuckDB's JSON functions take it."""
    return text_literal("$" + "".join(f'."{part}"' for part in path))


def _value(path: tuple[str, ...], data_type: DataType) -> str:
    """The SQL of a value from what was read at its path: a text, or for a record with fields a struct."""
    if data_type.fields:
        fields = ", ".join(f"{quoted(name)} := {_value((*path, name), inner)}" for name, inner in data_type.fields)
        return f"CASE WHEN {_inside('__read', path)} IS NOT NULL THEN struct_pack({fields}) END"
    text = _leaf(path)
    if data_type.kind == "datetime":
        return moment_of(text)
    if data_type.is_json or data_type.kind in _TEXTS:
        return text
    return f"TRY_CAST(CAST({text} AS VARCHAR) AS {duckdb_type(data_type)})"
