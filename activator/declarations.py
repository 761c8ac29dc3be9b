"""Declarations that people write in YAML: read strictly, and every fault listed at once with its path and the way out.

Used for alert rules (`activator/rules/*.yaml`) and for stack files (`Pulumi.<stack>.yaml`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a declaration: where (a path like `cities/lyon/timeZone`) and what to do about it."""

    path: str
    message: str


class DeclarationError(Exception):
    """A declaration can't be used. The text lists every fault with its path."""

    def __init__(self, what: str, faults: Sequence[Fault]) -> None:
        self.what = what
        self.faults = tuple(faults)
        super().__init__(self._render())

    def _render(self) -> str:
        count = f"{len(self.faults)} fault{'s' if len(self.faults) > 1 else ''}"
        width = min(44, max((len(fault.path) for fault in self.faults), default=0))
        lines = [f"  {fault.path.ljust(width)}  {fault.message}" for fault in self.faults]
        return "\n".join([f"{self.what} ({count}):", *lines])


class _StrictLoader(yaml.SafeLoader):
    """YAML 1.2-like scalars (no dates, no base-60 numbers, no yes/no booleans) and no silently overwritten key."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML wants a class attribute
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":bool", ":int", ":float"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f'"{key}" is given twice (first on line {seen[key]})', problem_mark=key_node.start_mark
                )
            seen[key] = line
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?$"), list("-+0123456789")
)


def read_yaml(path: Path, what: str) -> Any:
    """The content of a YAML file; raises DeclarationError (`what` names the declaration) when it can't be read or parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeclarationError(f"{path.name} is missing", [Fault(str(path), f"write {what} here")]) from None
    except UnicodeDecodeError as fault:
        line = fault.object[: fault.start].count(b"\n") + 1
        raise DeclarationError(
            f"{path.name} can't be read", [Fault(f"line {line}", "is not UTF-8: save the file as UTF-8.")]
        ) from fault
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        raise DeclarationError(f"{path.name} is not valid YAML", [Fault(where, _in_words(f"{fault.problem}"))]) from fault
    except yaml.reader.ReaderError as fault:
        line = text[: fault.position].count("\n") + 1
        says = f"has a character that text can't have (U+{fault.character:04X}): take it out, and save the file as UTF-8."
        raise DeclarationError(f"{path.name} is not valid YAML", [Fault(f"line {line}", says)]) from fault


def _in_words(problem: str) -> str:
    """A parser's complaint, with the way out for those that hands make most often."""
    ways_out = {
        "character '\\t'": "indented with a tab: YAML takes spaces only.",
        "expected <block end>": "indented unlike the lines above: keys of one level start in one column.",
        "mapping values are not allowed": "a colon in the middle of a value: put the value in quotes.",
        "given twice": f"{problem}: keep one of them.",
    }
    return next((words for said, words in ways_out.items() if said in problem), problem)


def schema_faults(document: Any, schema: Mapping[str, Any]) -> list[Fault]:
    """Every place where a document departs from its JSON Schema, in words a person can act on, ordered by path."""
    errors = sorted(_validator(schema).iter_errors(document), key=lambda error: [str(step) for step in error.absolute_path])
    return [fault for error in errors for fault in _explain(error)]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean X?` when a known word is close, otherwise nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    return _cached_validator(_Frozen(schema))


class _Frozen:
    """A schema as a cache key: by identity, since schemas are loaded once and never changed."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and other.schema is self.schema


@cache
def _cached_validator(frozen: _Frozen) -> Draft202012Validator:
    return Draft202012Validator(frozen.schema)


def _explain(error: ValidationError) -> list[Fault]:
    path = "/".join(str(step) for step in error.absolute_path)
    value = error.instance
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = [str(key) for key in value if key not in known]
        return [
            Fault(_join(path, key), f"is not a setting here.{did_you_mean(key, known)} Known: {', '.join(sorted(known))}.")
            for key in unknown
        ]
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in value]
        first = next((key for key in missing if f"'{key}'" in error.message), missing[0])
        described = error.schema.get("properties", {}).get(first, {}).get("description", "")
        return [Fault(_join(path, first), f"is missing{': ' + described if described else ''}.")]
    if "propertyNames" in error.absolute_schema_path:
        return [Fault(_join(path, str(value)), f"is no good name: {error.schema.get('description', error.message)}.")]
    return [Fault(path or "file", _sentence(error))]


def _sentence(error: ValidationError) -> str:
    value, limit = error.instance, error.validator_value
    description = error.schema.get("description", "") if isinstance(error.schema, Mapping) else ""
    hint = f" {description[0].upper()}{description[1:]}." if description else ""
    if isinstance(error.schema, Mapping) and error.schema.get("writeOnly"):  # it may be a secret: not repeated
        return f"has the wrong form.{hint}"
    if error.validator == "type":
        if value is None:
            return f"is empty: {_article(str(limit))} is wanted.{hint}"
        if limit == "string" and (quoted := _as_text(value, error.schema)):
            return f'{value} is a number: quote it ("{quoted}").'
        return f"{_show(value)} is {_kind(value)}; {_article(str(limit))} is wanted.{hint}"
    sentences = {
        "minimum": f"{value} is below {limit}: write {limit} or more.",
        "maximum": f"{value} is above {limit}: write {limit} or less.",
        "minItems": "is empty.",
        "minProperties": "is empty.",
        "minLength": f"{_show(value)} is shorter than {limit} characters." if value else "is empty.",
        "enum": f"{_show(value)} is none of {', '.join(map(str, limit)) if isinstance(limit, list) else limit}.",
        "pattern": f"{_show(value)} has the wrong form.",
        "uniqueItems": "lists something twice.",
        "maxLength": f"{_show(value)} is longer than {limit} characters.",
    }
    return sentences.get(str(error.validator), str(error.message)) + hint


def _as_text(value: Any, schema: Mapping[str, Any]) -> str | None:
    """What to write in quotes where a number stands for text; YAML has dropped the plus of a telephone number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return next((text for text in (f"{value}", f"+{value}") if re.search(schema.get("pattern", ""), text)), None)


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true/false", int: "a number", float: "a number"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def _article(kind: str) -> str:
    names = {
        "object": "a mapping",
        "array": "a list",
        "string": "text",
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
    }
    return names.get(kind, kind)


def _show(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _join(path: str, key: str) -> str:
    return f"{path}/{key}" if path else key
