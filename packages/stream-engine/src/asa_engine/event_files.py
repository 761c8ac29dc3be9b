"""Files of events (JSON lines, an array, JSON over several lines, CSV): their events as JSON texts, and the columns they show.

What isn't JSON stays as it is and is refused, event by event, by who takes it in.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from asa_engine.databases import calculator
from asa_engine.errors import StreamEngineError
from asa_engine.expressions import moment_of
from asa_engine.types import NULL, DataType, Schema, array_of, record_of, type_of_json, type_of_structure, unified

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
_KINDS = bytes.maketrans(b"123456789[, \t\r\n", b"000000000::::::")
_LONG_NUMBER = b":" + b"0" * 19
"""What may be a whole number that is not a bigint (DuckDB takes it for a float), once each digit is a 0, what stands before a
number a colon, and no sign left. Digits within a text, such as an id's, are none. A regular expression takes five times as
long."""
_DEEPEST = 120
"""DuckDB doesn't survive looking for the structure of JSON that is deeper than 128."""
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|([{\[])|([}\]])')
_EVENTS_OF_CSV = 50_000
"""So many rows of a CSV file are given at a time."""


def parts_of_file(file: Path, size: int) -> Iterator[list[str]]:
    """The events of a file, about `size` characters at a time. Raises StreamEngineError for what can't be read at all."""
    try:
        with file.open(encoding="utf-8-sig", newline="" if file.suffix.lower() == ".csv" else None) as text:
            yield from _of_csv(text) if file.suffix.lower() == ".csv" else _of_json(text, size)
    except OSError as fault:
        raise StreamEngineError(f"{file} can't be read as events: {fault.strerror}.") from fault
    except (ValueError, csv.Error, RecursionError) as fault:
        raise StreamEngineError(f"{file} holds neither JSON lines nor an array nor CSV in UTF-8: {fault}.") from fault


def _of_json(text: TextIO, size: int) -> Iterator[list[str]]:
    first = _first_line(text)
    if first.startswith("[") or not _is_json(first):
        text.seek(0)
        whole = text.read().strip()
        if (events := _whole_values(whole)) is not None:
            yield events
            return
    text.seek(0)
    while part := text.readlines(size):
        if bodies := [line for line in part if line.strip()]:
            yield bodies


def _first_line(text: TextIO) -> str:
    """The first line that isn't blank."""
    return next((line.strip() for line in text if line.strip()), "")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    except RecursionError:  # it is, but deeper than can be read
        return True
    return True


def _whole_values(text: str) -> list[str] | None:
    """The events of an array, or JSON values that go over several lines each; None for what is neither."""
    decoder, values, place = json.JSONDecoder(), [], 0
    try:
        while place < len(text):
            value, place = decoder.raw_decode(text, place)
            values += value if isinstance(value, list) else [value]
            place += len(text[place:]) - len(text[place:].lstrip(" \t\r\n,"))
    except ValueError:
        return None
    return [json.dumps(value, ensure_ascii=False) for value in values]


def _of_csv(text: TextIO) -> Iterator[list[str]]:
    """Rows as JSON: what reads as a number is one, what is empty is missing."""
    bodies: list[str] = []
    for row in csv.DictReader(text, restkey=""):
        bodies.append("{" + ",".join(_member(name, value) for name, value in row.items() if value) + "}")
        if len(bodies) == _EVENTS_OF_CSV:
            yield bodies
            bodies = []
    if bodies:
        yield bodies


def _member(name: str, value: Any) -> str:
    is_number = isinstance(value, str) and _NUMBER.fullmatch(value)
    return f"{json.dumps(name)}:{value if is_number else json.dumps(value, ensure_ascii=False)}"


@dataclass(frozen=True)
class Shown:
    """The columns that the events of a file show. `is_mixed`: some events spell a name with other capitals."""

    schema: Schema
    is_mixed: bool

    def is_spelled_as(self, known: Mapping[str, DataType]) -> bool:
        """Whether every event spells the columns as they are known."""
        return not self.is_mixed and not is_spelled_otherwise(self.schema.columns, known)


def shown_by_file(file: Path, size: int) -> Shown:
    """The columns that the events of a file show, names that differ only in case being one. Raises StreamEngineError."""
    found, is_mixed = NULL, False
    for bodies in parts_of_file(file, size):
        plain = [body for body in bodies if _LONG_NUMBER not in body.encode().translate(_KINDS, b"-")]
        shallow = [body for body in plain if _is_shallow(body)]
        for one in (_type_of(shallow), *map(_type_of_one, set(bodies).difference(plain))):
            found = unified(found, regardless_of_case(one))
            is_mixed |= is_spelled_otherwise(dict(one.fields), dict(found.fields))
    columns = dict(found.fields) if found.kind == "record" else {}
    return Shown(Schema(columns, is_sample=True), is_mixed)


def _is_shallow(body: str) -> bool:
    """Whether DuckDB can look for the structure of an event."""
    if body.count("{") + body.count("[") < _DEEPEST:
        return True
    steps = ((opens != "") - (closes != "") for opens, closes in _BRACKET.findall(body))
    return max(itertools.accumulate(steps), default=0) < _DEEPEST


def _type_of(bodies: Sequence[str]) -> DataType:
    texts = np.empty(len(bodies), dtype=object)
    texts[:] = bodies
    objects = "SELECT CAST(body AS JSON) AS event FROM events WHERE json_valid(body) AND ltrim(body) LIKE '{%'"
    with calculator() as connection:
        connection.register("events", {"body": texts})
        row = connection.execute(f"SELECT json_group_structure(event) FROM ({objects})").fetchone()
    return type_of_structure(json.loads(row[0])) if row and row[0] else NULL


def _type_of_one(body: str) -> DataType:
    """The type an event shows; NULL for what is no JSON object."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return NULL
    return type_of_json(event) if isinstance(event, dict) else NULL


def regardless_of_case(data_type: DataType) -> DataType:
    """A type whose records have no two fields that differ only in case; the first spelling stays."""
    if data_type.kind == "array":
        return array_of(regardless_of_case(data_type.element or NULL))
    fields: dict[str, tuple[str, DataType]] = {}
    for name, inner in data_type.fields:
        spelled, known = fields.get(name.lower(), (name, NULL))
        fields[name.lower()] = (spelled, unified(known, regardless_of_case(inner)))
    return record_of(dict(fields.values())) if data_type.fields else data_type


def is_spelled_otherwise(shown: Mapping[str, DataType], known: Mapping[str, DataType]) -> bool:
    """Whether events show a column or a field that is known by a name with other capitals."""
    by_lower = {name.lower(): (name, inner) for name, inner in known.items()}
    for name, inner in shown.items():
        spelled, data_type = by_lower.get(name.lower(), (name, NULL))
        if spelled != name or is_spelled_otherwise(dict(inner.fields), dict(data_type.fields)):
            return True
    return False


def respelled(body: str, known: Mapping[str, DataType]) -> str:
    """An event with its columns and fields spelled as they are known; what isn't JSON stays as it is."""
    try:
        return json.dumps(_respelled(json.loads(body), known), ensure_ascii=False)
    except (ValueError, RecursionError):
        return body


def _respelled(value: Any, known: Mapping[str, DataType]) -> Any:
    if not isinstance(value, dict):
        return value
    by_lower = {name.lower(): (name, inner) for name, inner in known.items()}
    found = {}
    for name, inner in value.items():
        spelled, data_type = by_lower.get(name.lower(), (name, NULL))
        found[spelled] = _respelled(inner, dict(data_type.fields))
    return found


def arrivals_of(bodies: Sequence[str], column: str, otherwise: np.ndarray) -> np.ndarray:
    """The times in a column of events in microseconds; for what has none the time that `otherwise` has for it."""
    path = "$." + json.dumps(column)
    texts = np.empty(len(bodies), dtype=object)
    texts[:] = bodies
    with calculator() as connection:
        connection.register("events", {"body": texts, "otherwise": otherwise})
        text = "CASE WHEN json_valid(body) THEN json_extract_string(body, $1) END"
        read = f"SELECT coalesce(epoch_us({moment_of(text)}), otherwise) AS moment FROM events"
        moments: np.ndarray = connection.execute(read, [path]).fetchnumpy()["moment"]
    return np.ma.getdata(moments)
