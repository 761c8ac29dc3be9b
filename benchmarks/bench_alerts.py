"""How long the alert rules' own cases take, and their mutants (`roompulse alerts test` in a fresh process); and what a storm of
alerts costs the fan-out, beside the fan-out that told one channel after another.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Table

REPOSITORY = Path(__file__).parents[1]
ONE_AFTER_ANOTHER = "5d4fd21"
"""The last commit whose fan-out told one channel after another, and wrote a city's book for each notice."""


def tables() -> Sequence[Table]:
    """Two tables: cases alone, and with every wrong version of every rule; storms, before and after."""
    return [
        _storms(),
        Table(
            "Cases of the alert rules",
            ("what", "rules", "worlds", "wall s", "CPU s"),
            [_measured("cases"), _measured("cases and mutants", "--mutants")],
            "A fresh process: series to observations, the deployed query, the fan-out. A world is a case under one version of "
            "its rule.",
        ),
    ]


def _storms() -> Table:
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", ONE_AFTER_ANOTHER, "processors"], cwd=REPOSITORY, capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        rows = [_storm("one after another", Path(folder), *size) for size in ((4, 60), (4, 120))]
        rows += [_storm("a thread per channel", REPOSITORY, *size) for size in ((4, 60), (4, 120), (40, 5000))]
    return Table(
        "A storm of alerts",
        ("fan-out", "cities", "alerts", "CPU s", "wall s"),
        rows,
        "Until the inbox has all; each city has a webhook besides, which takes 100 in ten minutes. CPU includes the webhook's "
        f"server. Before: commit {ONE_AFTER_ANOTHER}, in the same run.",
    )


def _storm(what: str, tree: Path, cities: int, alerts: int) -> tuple[str, int, int, str, str]:
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "alert_storm.py"), str(cities), str(alerts)]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
    result = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=True)
    spent = json.loads(result.stdout.splitlines()[-1])
    if spent["told"] != alerts:
        raise RuntimeError(f"{what}: {spent['told']} of {alerts} alerts were told in time; see GIVE_UP_SECONDS in alert_storm.py")
    return what, cities, alerts, f"{spent['cpu']:.1f}", f"{spent['wall']:.1f}"


def _measured(what: str, *options: str) -> tuple[str, int, int, str, str]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "cli", "alerts", "test", "--json", *options]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    rules: list[dict[str, Any]] = json.loads(result.stdout)["rules"]
    worlds = sum(len(rule["cases"]) * (1 + rule.get("mutants", {"all": 0})["all"]) for rule in rules)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return what, len(rules), worlds, f"{wall:.2f}", f"{processor:.2f}"
