"""The types of the language, and how each is held in DuckDB.

Records are DuckDB structs. Arrays, and values whose type differs from row to row, travel as the JSON text they arrived as:
passing them on is free and exact, and they are read only where a query looks inside.
Source: Data Types (Azure Stream Analytics), compatibility level 1.2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DataType:
    """A type. `kind` is bigint, float, nvarchar, datetime, bit, record, array, any or null.

    `fields` belongs to records, `element` to arrays; a record without fields and an array without element are opaque.
    """

    kind: str
    fields: tuple[tuple[str, DataType], ...] = ()
    element: DataType | None = None

    def __str__(self) -> str:
        return "nvarchar(max)" if self.kind == "nvarchar" else self.kind

    @property
    def described(self) -> str:
        """The type with its article, for a sentence."""
        if self.kind == "any":
            return "a value of any type"
        return f"an {self}" if self.kind == "array" else f"a {self}"

    @property
    def as_subject(self) -> str:
        """The type with its article, at the beginning of a sentence."""
        return self.described[0].upper() + self.described[1:]

    @property
    def is_number(self) -> bool:
        """Whether arithmetic applies."""
        return self.kind in ("bigint", "float")

    @property
    def is_json(self) -> bool:
        """Whether DuckDB holds values of this type as JSON text."""
        return self.kind in ("array", "any") or (self.kind == "record" and not self.fields)

    def field_named(self, name: str) -> tuple[str, DataType] | None:
        """A field of a record by its name, whatever its case, with the spelling of the data."""
        for spelled, data_type in self.fields:
            if spelled.lower() == name.lower():
                return spelled, data_type
        return None


BIGINT = DataType("bigint")
FLOAT = DataType("float")
NVARCHAR = DataType("nvarchar")
DATETIME = DataType("datetime")
BIT = DataType("bit")
ANY = DataType("any")
NULL = DataType("null")
ARRAY = DataType("array")
RECORD = DataType("record")

_BY_NAME = {
    "bigint": BIGINT, "float": FLOAT, "nvarchar": NVARCHAR, "datetime": DATETIME, "bit": BIT, "record": RECORD, "array": ARRAY,
}  # fmt: skip
_DUCKDB = {
    "bigint": "BIGINT",
    "float": "DOUBLE",
    "nvarchar": "VARCHAR",
    "datetime": "TIMESTAMP",
    "bit": "BOOLEAN",
    "null": "VARCHAR",
}


def type_named(name: str) -> DataType | None:
    """The type written `name` in CREATE TABLE or CAST; None when the language has no such type."""
    return _BY_NAME.get(name)


def record_of(fields: Mapping[str, DataType]) -> DataType:
    """A record type."""
    return DataType("record", tuple(fields.items()))


def array_of(element: DataType) -> DataType:
    """An array type."""
    return DataType("array", (), element)


def duckdb_type(data_type: DataType) -> str:
    """The DuckDB type that holds values of a type."""
    if data_type.is_json:
        return "JSON"
    if data_type.kind == "record":
        return "STRUCT(" + ", ".join(f"{quoted(name)} {duckdb_type(inner)}" for name, inner in data_type.fields) + ")"
    return _DUCKDB[data_type.kind]


def json_structure(data_type: DataType) -> Any:
    """The structure argument of DuckDB's from_json that reads JSON into `duckdb_type`. Datetimes are read as text first."""
    if data_type.is_json:
        return "JSON"
    if data_type.kind == "record":
        return {name: json_structure(inner) for name, inner in data_type.fields}
    return "VARCHAR" if data_type.kind == "datetime" else _DUCKDB[data_type.kind]


def structure_literal(structure: Any) -> str:
    """A from_json structure as an SQL literal."""
    return text_literal(json.dumps(structure, ensure_ascii=False))


def unified(first: DataType, second: DataType) -> DataType:
    """The type that holds values of both: bigint and float meet in float, unlike kinds in `any`."""
    if first == second or second.kind == "null":
        return first
    if first.kind == "null":
        return second
    if first.is_number and second.is_number:
        return FLOAT
    if first.kind == second.kind == "record":
        fields = dict(first.fields)
        for name, inner in second.fields:
            spelled = (first.field_named(name) or (name, inner))[0]
            fields[spelled] = unified(fields[spelled], inner) if spelled in fields else inner
        return record_of(fields)
    if first.kind == second.kind == "array":
        return array_of(unified(first.element or NULL, second.element or NULL))
    return ANY


def type_of_json(value: Any) -> DataType:
    """The type of a value read from JSON; texts that look like times stay texts, as in the service."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BIT
    if isinstance(value, int):
        return BIGINT
    if isinstance(value, float):
        return FLOAT
    if isinstance(value, str):
        return NVARCHAR
    if isinstance(value, dict):
        return record_of({name: type_of_json(inner) for name, inner in value.items()})
    element = NULL
    for inner in value:
        element = unified(element, type_of_json(inner))
    return array_of(element)


def type_of_structure(structure: Any) -> DataType:
    """The type DuckDB's json_group_structure describes."""
    if isinstance(structure, dict):
        return record_of({name: type_of_structure(inner) for name, inner in structure.items()})
    if isinstance(structure, list):
        return array_of(type_of_structure(structure[0]))
    return {"UBIGINT": BIGINT, "BIGINT": BIGINT, "DOUBLE": FLOAT, "VARCHAR": NVARCHAR, "BOOLEAN": BIT, "NULL": NULL}.get(
        structure, ANY
    )


def type_of_json_schema(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> DataType:
    """The type a JSON Schema describes. Times in records stay texts; what may be of several types is `any`.

    `$ref` within the document (`root`) is followed.
    """
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[part]
        return type_of_json_schema(target, root)
    kinds = schema.get("type")
    if isinstance(kinds, list):
        kinds = [kind for kind in kinds if kind != "null"]
        kinds = kinds[0] if len(kinds) == 1 else None
    if kinds is None and "enum" in schema:
        return NVARCHAR if all(isinstance(value, str) for value in schema["enum"]) else ANY
    if kinds is None and isinstance(schema.get("const"), str):
        return NVARCHAR
    if kinds == "object":
        return record_of({name: type_of_json_schema(inner, root) for name, inner in schema.get("properties", {}).items()})
    if kinds == "array":
        return array_of(type_of_json_schema(schema.get("items", {}), root))
    return {"string": NVARCHAR, "integer": BIGINT, "number": FLOAT, "boolean": BIT}.get(str(kinds), ANY)


def is_json_null(sql: str) -> str:
    """The SQL that says whether a value held as JSON is JSON's null; NULL when it is missing."""
    return f"CAST({sql} AS VARCHAR) = 'null'"


_NOT_A_NUMBER = ("NaN", "nan", "Inf", "inf")


def has_nan(json_sql: str) -> str:
    """The SQL that says whether NaN or an infinity stands in a JSON text as a value: DuckDB reads these, JSON has neither.

    First looked for as plain letters, then where values begin, at last without the texts: each costs more than the one before.
    """
    text = f"CAST({json_sql} AS VARCHAR)"
    named = " OR ".join(f"contains({text}, '{name}')" for name in _NOT_A_NUMBER)
    placed = f"regexp_matches({text}, '(?:^|[[:,])\\s*-?(?:nan|inf|NaN|Inf)')"
    without_texts = f"""regexp_replace({text}, '"([^"\\\\]|\\\\.)*"', '', 'g')"""
    return f"(({named}) AND {placed} AND regexp_matches({without_texts}, 'NaN|nan|Inf|inf'))"


def quoted(identifier: str) -> str:
    """An identifier quoted for DuckDB."""
    return '"' + identifier.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """A text quoted for DuckDB."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Schema:
    """The columns of an input, as they are spelled in its events.

    `is_sample`: they are what some events show, so others may have more, and a column nobody has seen is NULL.
    """

    columns: Mapping[str, DataType] = field(default_factory=dict)
    is_sample: bool = False
