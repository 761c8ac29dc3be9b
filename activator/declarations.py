"""Declarations that people write: read strictly, and every fault listed at once with its path, its line and the way out.

Used for stack files, alert rules, report layouts, tiles, the dashboard, the semantic model and the Kusto tables. All of them are
refused by one exception, DeclarationError, which the command line (cli/main.py) and the program (infra/entry.py) catch once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from activator.faults import DeclarationError as DeclarationError
from activator.faults import Fault as Fault
from processors.contracts.schema_faults import did_you_mean as did_you_mean
from processors.contracts.schema_faults import explained, strict_validator

MOST_LEVELS = 100
"""Deeper than any declaration, and less than what whoever reads one can take."""
UNSAFE_LEVELS = 5_000
"""A twentieth of those at which libyaml ends the process."""


class _Strict(yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
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

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """A whole number as one: JSON Schema takes 2.0 where 2 is wanted, and whoever asks for an int would not."""
        number = super().construct_yaml_float(node)
        return int(number) if number.is_integer() else number


_Strict.add_constructor(  # type: ignore[type-var] # the stubs want a whole loader
    "tag:yaml.org,2002:float", _Strict.construct_yaml_float
)
_Strict.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Strict.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Strict.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?$"), list("-+0123456789")
)


class _FastLoader(_Strict, yaml.CSafeLoader):
    """Nine times as fast: libyaml reads."""


class _TellingLoader(_Strict, yaml.SafeLoader):
    """Its complaints are those that people get: libyaml says less of a fault."""


def read_yaml(path: Path, what: str) -> Any:
    """The content of a YAML file; raises DeclarationError (`what` names the declaration) when it can't be read or parsed."""
    text = read_text(path, what)
    try:
        return _parsed(text)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "file"
        raise DeclarationError(f"{path.name} is not valid YAML", [Fault(where, _in_words(f"{fault.problem}"))]) from fault
    except yaml.reader.ReaderError as fault:
        line = text[: fault.position].count("\n") + 1
        says = f"has a character that text can't have (U+{fault.character:04X}): take it out, and save the file as UTF-8."
        raise DeclarationError(f"{path.name} is not valid YAML", [Fault(f"line {line}", says)]) from fault
    except RecursionError:
        says = "nests hundreds of levels deep: take the brackets or the indentation out."
        raise DeclarationError(f"{path.name} is not valid YAML", [Fault("file", says)]) from None


def _parsed(text: str) -> Any:
    if _may_be_deep(text) and _is_deep(text):
        raise RecursionError(text[:80])
    try:
        loaded = yaml.load(text, Loader=_FastLoader)
    except yaml.YAMLError:
        if _is_deep(text):
            raise RecursionError(text[:80]) from None
        loaded = yaml.load(text, Loader=_TellingLoader)
    if _levels(loaded) > MOST_LEVELS:
        raise RecursionError(text[:80])
    return loaded


def _may_be_deep(text: str) -> bool:
    """Whether a text could nest so deep that libyaml would run out of stack, which ends the process."""
    longest = max(map(len, text.splitlines()), default=0)
    return longest + text.count("[") + text.count("{") > UNSAFE_LEVELS


def _is_deep(text: str) -> bool:
    """Whether a text opens more levels than may be, before what can't be parsed of it. That takes no stack."""
    levels = 0
    try:
        for event in yaml.parse(text, Loader=_FastLoader):
            levels += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if levels > MOST_LEVELS:
                return True
    except yaml.YAMLError:
        pass  # whoever asks gets the fault from the loader
    return False


def _levels(document: Any) -> int:
    """How deep lists and mappings are nested in each other. Aliases are followed, so more than enough is not looked at."""
    levels, layer = 0, [document]
    while layer and levels <= MOST_LEVELS:
        levels += 1
        inner = [list(each.values()) if isinstance(each, dict) else each for each in layer if isinstance(each, dict | list)]
        layer = list({id(each): each for each in chain.from_iterable(inner)}.values())
    return levels


def read_text(path: Path, what: str) -> str:
    """The text of a file; raises DeclarationError (`what` names the declaration) when it can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeclarationError(f"{path.name} is missing", [Fault(os.path.relpath(path), f"write {what} here")]) from None
    except UnicodeDecodeError as fault:
        line = fault.object[: fault.start].count(b"\n") + 1
        raise DeclarationError(
            f"{path.name} can't be read", [Fault(f"line {line}", "is not UTF-8: save the file as UTF-8.")]
        ) from fault
    except OSError as fault:
        text = f"{fault.strerror}: {what} is wanted here, in a file that can be read."
        raise DeclarationError(f"{path.name} can't be read", [Fault(os.path.relpath(path), text)]) from fault


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
    return list(_found(_Judged(document, schema)))


@lru_cache(maxsize=256)
def _found(judged: _Judged) -> tuple[Fault, ...]:
    found = explained(_validator(judged.schema).iter_errors(judged.document), judged.schema)
    return tuple(Fault(path or "file", message) for path, message in sorted(found))


def placed(faults: Iterable[Fault], path: Path, under: Sequence[str] = ("",)) -> list[Fault]:
    """Faults of a YAML file that can be parsed, each once with its line, in the order of the file.

    `under`: what the faults' paths leave out of the way from the top, such as `config/`; the way that leads farthest holds.
    """
    faults = list(faults)
    if not faults:
        return []
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=_FastLoader)  # read before, so not too deep
    lines = {fault: max(_way(root, f"{start}{fault.path}") for start in under)[1] for fault in faults}
    ordered = sorted(lines.items(), key=lambda item: (item[1], item[0].path))
    return [replace(fault, at=f"{path.name}:{line}") for fault, line in ordered]


def _way(root: yaml.Node | None, path: str) -> tuple[int, int]:
    """How far a path leads into a document (characters of it), and the line where that is. A key may hold slashes itself."""
    node, line, rest = root, root.start_mark.line + 1 if root else 1, path
    while rest and node is not None:
        if isinstance(node, yaml.MappingNode):
            steps = [(str(key.value), key.start_mark.line + 1, value) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            steps = [(str(index), value.start_mark.line + 1, value) for index, value in enumerate(node.value)]
        else:
            break
        fitting = [step for step in steps if f"{rest}/".startswith(f"{step[0]}/")]
        if not fitting:
            break
        key, line, node = max(fitting, key=lambda step: len(step[0]))
        rest = rest[len(key) + 1 :]
    return len(path) - len(rest), line


def _validator(schema: Mapping[str, Any]) -> Any:
    return _cached_validator(_Frozen(schema))


class _Judged:
    """A document and its schema as a cache key: most declarations are read again as they were, which costs less than judging."""

    def __init__(self, document: Any, schema: Mapping[str, Any]) -> None:
        self.document, self.schema = document, schema
        self._key = repr(document), _Frozen(schema)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Judged) and other._key == self._key


class _Frozen:
    """A schema as a cache key: by identity, since schemas are loaded once and never changed."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and other.schema is self.schema


@cache
def _cached_validator(frozen: _Frozen) -> Any:
    return strict_validator(frozen.schema)
