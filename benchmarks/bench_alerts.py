"""How long the alert rules' own cases take, and their mutants: `roompulse alerts test` in a fresh process."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Table

REPOSITORY = Path(__file__).parents[1]


def tables() -> Sequence[Table]:
    """One table: cases alone, and with every wrong version of every rule."""
    return [
        Table(
            "Cases of the alert rules",
            ("what", "rules", "worlds", "wall s", "CPU s"),
            [_measured("cases"), _measured("cases and mutants", "--mutants")],
            "A fresh process: series to observations, the deployed query, the fan-out. A world is a case under one version of "
            "its rule.",
        )
    ]


def _measured(what: str, *options: str) -> tuple[str, int, int, str, str]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "cli", "alerts", "test", "--json", *options]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    rules: list[dict[str, Any]] = json.loads(result.stdout)["rules"]
    worlds = sum(len(rule["cases"]) * (1 + rule.get("mutants", {"all": 0})["all"]) for rule in rules)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return what, len(rules), worlds, f"{wall:.2f}", f"{processor:.2f}"
