"""Checks KQL with Kusto's own parser (npm package @kusto/language-service-next), started once per test process."""

from __future__ import annotations

import atexit
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from powerbi.kusto_schema import FOLDER, SCRIPTS
from powerbi.tiles import read_tiles
from tests.support.tools import node

CHECKER = Path(__file__).resolve().parents[1] / "powerbi" / "kql_check"


@dataclass(frozen=True)
class Findings:
    """What the parser says: faults as `where:line:column message`, and for every query its columns with their Kusto types."""

    faults: tuple[str, ...]
    columns: Mapping[str, Mapping[str, str]]
    functions: Mapping[str, Mapping[str, str]]
    """The same of every declared function."""


def check_kql(queries: Mapping[str, str], more: Mapping[str, str] | None = None) -> Findings:
    """Check queries against the declared live tables and views; `more` are scripts with further tables, by name."""
    scripts = [{"name": name, "text": (FOLDER / name).read_text(encoding="utf-8")} for name in SCRIPTS]
    scripts += [{"name": name, "text": text} for name, text in (more or {}).items()]
    request = {"scripts": scripts, "queries": [{"name": name, "text": text} for name, text in queries.items()]}
    checker = _checker()
    assert checker.stdin is not None and checker.stdout is not None
    print(json.dumps(request), file=checker.stdin, flush=True)
    answer = json.loads(checker.stdout.readline())
    return Findings(
        faults=tuple("{where}:{line}:{column} {message}".format(**fault) for fault in answer["faults"]),
        columns=_by_name(answer["columns"]),
        functions=_by_name(answer["functions"]),
    )


@cache
def _checker() -> subprocess.Popen[str]:
    """The parser; it ends when its standard input does, with this process at the latest."""
    command = [node(), str(CHECKER / "check.js")]
    checker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    atexit.register(checker.communicate)
    return checker


def _by_name(found: Mapping[str, list[dict[str, str]]]) -> dict[str, dict[str, str]]:
    return {name: {column["name"]: column["type"] for column in columns} for name, columns in found.items()}


@cache
def tile_findings() -> Findings:
    """The findings on everything in powerbi/: tables, views, functions and tiles."""
    return check_kql({name: tile.kql for name, tile in read_tiles().items()})
