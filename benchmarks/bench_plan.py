"""How long the offline plan takes: the whole program, evaluated and rendered in a fresh process, as `roompulse plan` does."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Table

REPOSITORY = Path(__file__).parents[1]
CITIES = (3, 60, 500)
DEVICES = 16
"""In each: 500 cities have as many devices as stack prod is declared for."""
SCRIPT = """
import sys
from dataclasses import replace
from activator.rules import load_rules
from infra.plan import plan_of
from infra.plan_text import render
from infra.packaging import REPOSITORY
from infra.settings.stack import load_stack

rules = load_rules()
prod = load_stack(REPOSITORY / "Pulumi.prod.yaml", rules)
city = replace(prod.cities[0], devices=int(sys.argv[2]))
stack = replace(prod, cities=tuple(replace(city, slug=f"city-{number}") for number in range(int(sys.argv[1]))))
plan = plan_of(stack, rules)
render(plan)
print(sum(len(service.resources) for service in plan.services))
"""


def tables() -> Sequence[Table]:
    """One table: how long, by number of cities."""
    return [
        Table(
            "Offline plan",
            ("cities", "resources", "wall s", "CPU s", "bar s"),
            [_measured(cities) for cities in CITIES],
            "A fresh process each: imports, evaluation of the program and rendering. Median of three.",
        )
    ]


def _measured(cities: int) -> tuple[int, int, str, str, str]:
    runs = sorted(_run(cities) for _ in range(3))
    wall, processor, resources = runs[1]
    bar = "3" if cities <= 3 else "20" if cities == 500 else ""
    return cities, resources, f"{wall:.2f}", f"{processor:.2f}", bar


def _run(cities: int) -> tuple[float, float, int]:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-c", SCRIPT, str(cities), str(DEVICES)]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, processor, int(result.stdout)
