"""What every test shares: the repository on the import path, Node.js and Go of `make test` on the path of programs."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
# Workers and the processes that tests start find what one of them has compiled, also where the machine says not to keep it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ["PATH"] = os.pathsep.join([str(ROOT / ".venv-toolchains" / "bin"), os.environ.get("PATH", "")])


atexit.register(gc.unfreeze)  # DuckDB complains of what is frozen when the process ends

settings.register_profile("roompulse", deadline=None)  # a slow machine makes no test red
settings.load_profile("roompulse")

pytest_plugins = ["tests.support.blobs"]

BEGINNINGS = (
    ("tests/local/lake/test_hub", "tests/local/stream_job", "tests/local/event_hubs"),
    (
        "tests/pipeline",
        *(f"tests/processors/ingest/test_{name}" for name in ("killed", "fault", "doctor", "sinks")),
    ),
    (
        *(f"tests/local/{name}" for name in ("test_drill", "test_supervisor", "functions")),
        "tests/processors/functions_worker",
        "tests/processors/alert_fanout/test_bulkheads",
        "tests/processors/ingest/test_places",
    ),
)
"""Tests that take long and mostly wait: each row begins in another worker, one after the other, while those that compute keep the
cores busy in the rest. So none of them is what everybody waits for in the end, and they don't all wait at once."""


def pytest_xdist_auto_num_workers() -> int:
    """Half of the tests' time is waiting for processes and sockets: three keep a core busy, more are in each other's way."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(3 * cores, max(8, cores))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What the modules hold stays to the end: looking for garbage in it again and again took a quarter of the tests' time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        gc.enable()


def pytest_collection_finish() -> None:
    """The modules are loaded now."""
    _engines_run_as_in_the_job()


def _engines_run_as_in_the_job() -> None:
    """In one thread: handing some rows from thread to thread costs a quarter of every statement."""
    if databases := sys.modules.get("asa_engine.databases"):
        databases.calculator().execute("SET GLOBAL threads = 1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with an even part of the items in their order, and takes from the ends of others' when it is through. So
    neighbours run in the same worker, mostly, and what one of them starts serves all; and what begins a part stays together.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    begin: list[list[pytest.Item]] = [[] for _ in range(workers)]
    others: list[pytest.Item] = []
    for item in items:
        row = _beginning(item)
        (others if row is None else begin[row % workers]).append(item)
    size = -(-len(items) // workers)
    ordered: list[pytest.Item] = []
    for first in begin:
        room = max(0, size - len(first))
        ordered += first + others[:room]
        del others[:room]
    items[:] = ordered + others


def _beginning(item: pytest.Item) -> int | None:
    """The row of BEGINNINGS that a test is in, or the one after them for those that ask Kusto's language service."""
    if item.get_closest_marker("kusto"):
        return len(BEGINNINGS)
    path = item.path.relative_to(ROOT).as_posix()
    return next((row for row, paths in enumerate(BEGINNINGS) if path.startswith(paths)), None)


@pytest.fixture(autouse=True)
def _log_as_in_a_fresh_process() -> None:
    """Some libraries set everybody's level when they are loaded (fabric-cicd: errors only); no test depends on that."""
    logging.disable(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def _function_apps_as_in_a_fresh_process() -> None:
    """A function app gives its functions once in a process, and asks once where its log goes; tests of a process ask again."""
    if telemetry := sys.modules.get("processors.telemetry"):
        telemetry.stop_exporting()
    for name in ("processors.ingest.function_app", "processors.alert_fanout.function_app"):
        if name in sys.modules:
            sys.modules[name].app.functions_bindings = {}
