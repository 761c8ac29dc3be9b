"""Reads the live tables and views from their declarations in powerbi/kusto/*.kql.

Those files are what gets deployed. Everything else that needs to know the columns (the local lake, the live page, tests) asks
here, so there is no second list. Only the commands these files use are understood; any other is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from activator.declarations import DeclarationError, Fault, did_you_mean, read_text

FOLDER = Path(__file__).parent / "kusto"
SCRIPTS = ("tables.kql", "views.kql", "cities.kql", "issues.kql", "functions.kql")
"""What a database gets, in this order."""
DAYS_SHOWN = 32
"""How far back the functions of the reports look: 31 days by every city's clock."""
TYPES = ("string", "datetime", "long", "real", "bool", "dynamic")

NEWEST = re.compile(r"\|\s*summarize\s+arg_max\((?P<time>\w+),\s*\*\)\s+by\s+(?P<key>[\w\s,]+)$")
"""How a view ends that keeps the newest row of each key."""

_COMMENT = re.compile(r"^\s*//.*$", re.MULTILINE)
_COMMAND_START = re.compile(r"^(?=\.)", re.MULTILINE)
_WITH = r"(?:\s*with\s*\((?:[^()\"]|\"[^\"]*\")*\))?"
_TABLE = re.compile(rf"\.create-merge table (?P<name>\w+)\s*\((?P<columns>[^()]*)\){_WITH}\s*")
_MAPPING = re.compile(
    r"\.create-or-alter table (?P<name>\w+) ingestion json mapping \"(?P=name)\"\s*```(?P<json>.*)```\s*", re.DOTALL
)
_BATCHING = re.compile(r"\.alter table \w+ policy ingestionbatching\s*```.*```\s*", re.DOTALL)
_STREAMING = re.compile(r"\.alter table \w+ policy streamingingestion enable\s*")
_CACHING = re.compile(r"\.alter (?:table|materialized-view) (?P<name>\w+) policy caching hot = (?P<days>\d+)d\s*")
_VIEW = re.compile(
    rf"\.create-or-alter materialized-view{_WITH}\s*(?P<name>\w+) on table (?P<source>\w+)\s*\{{(?P<query>.*)\}}\s*", re.DOTALL
)


@dataclass(frozen=True)
class KustoColumn:
    """A column: its name, its Kusto type (one of TYPES), and the JSON path its value has in an event's body."""

    name: str
    type: str
    path: str


@dataclass(frozen=True)
class KustoTable:
    """A live table with its columns in order."""

    name: str
    columns: tuple[KustoColumn, ...]

    @property
    def types(self) -> dict[str, str]:
        """Kusto type by column name."""
        return {column.name: column.type for column in self.columns}

    @property
    def time_column(self) -> str:
        """The column that says when a row was: the first datetime."""
        return next(column.name for column in self.columns if column.type == "datetime")


@dataclass(frozen=True)
class KustoView:
    """A materialized view: the table it summarises, and the KQL it does so with."""

    name: str
    source: str
    query: str

    @property
    def keeps_newest(self) -> bool:
        """Whether it has the newest row of each key; any other sums its table up."""
        return NEWEST.search(self.query) is not None


def read_tables(path: Path = FOLDER / "tables.kql") -> dict[str, KustoTable]:
    """The tables declared in `path`, by name. Raises DeclarationError for anything but tables, their mappings and policies."""
    types: dict[str, dict[str, str]] = {}
    paths: dict[str, Mapping[str, str]] = {}
    for command in _commands(path):
        if table := _TABLE.fullmatch(command):
            types[table["name"]] = _column_types(path, table["name"], table["columns"])
        elif mapping := _MAPPING.fullmatch(command):
            paths[mapping["name"]] = _paths(path, mapping["name"], mapping["json"])
        elif not any(policy.fullmatch(command) for policy in (_BATCHING, _STREAMING, _CACHING)):
            known = "a table, its json mapping named like the table, its batching, streaming or caching policy"
            raise _not_understood(path, command, known)
    for name, columns in types.items():
        if list(columns) != list(paths.get(name, ())):
            raise _refused(path, f"the json mapping of {name} must name the columns of the table, in their order.")
    return {
        name: KustoTable(name, tuple(KustoColumn(column, kind, paths[name][column]) for column, kind in columns.items()))
        for name, columns in types.items()
    }


def read_views(path: Path = FOLDER / "views.kql") -> dict[str, KustoView]:
    """The materialized views declared in `path`, by name. Raises DeclarationError for anything else in it."""
    views = {}
    for command in _commands(path):
        if view := _VIEW.fullmatch(command):
            views[view["name"]] = KustoView(view["name"], view["source"], view["query"].strip())
        elif not _CACHING.fullmatch(command):
            form = ".create-or-alter materialized-view NAME on table TABLE { QUERY }, or its caching policy"
            raise _not_understood(path, command, form)
    return views


def hot_days(folder: Path = FOLDER) -> dict[str, int]:
    """Days that tables and views of their own accord keep in the fast cache, by name; every other one goes by the stack's."""
    commands = (command for script in SCRIPTS[:2] for command in _commands(folder / script))
    found = (_CACHING.fullmatch(command) for command in commands)
    return {policy["name"]: int(policy["days"]) for policy in found if policy}


def _commands(path: Path) -> list[str]:
    text = _COMMENT.sub("", read_text(path, "what the Kusto database gets"))
    return [command for command in _COMMAND_START.split(text) if command.strip()]


def _column_types(path: Path, table: str, columns: str) -> dict[str, str]:
    types = {}
    for column in columns.split(","):
        name, _, kind = (part.strip() for part in column.partition(":"))
        if kind not in TYPES:
            text = f"column {name} of {table} has type '{kind}': use one of {', '.join(TYPES)}.{did_you_mean(kind, TYPES)}"
            raise _refused(path, text)
        types[name] = kind
    return types


def _paths(path: Path, table: str, mapping: str) -> dict[str, str]:
    try:
        return {entry["column"]: entry["Properties"]["Path"] for entry in json.loads(mapping)}
    except (ValueError, KeyError, TypeError) as fault:
        form = '[{"column": "cityId", "Properties": {"Path": "$.cityId"}}]'
        raise _refused(path, f"the json mapping of {table} can't be read ({fault}): write a list such as {form}.") from fault


def _not_understood(path: Path, command: str, expected: str) -> DeclarationError:
    return _refused(path, f"can't understand `{command.strip().splitlines()[0]}`: expected {expected}.")


def _refused(path: Path, text: str) -> DeclarationError:
    return DeclarationError("The Kusto tables and views can't be used", [Fault(path.name, text)])
