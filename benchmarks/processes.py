"""Processes of a benchmark: each part is measured alone, so that the figures are its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def output_of(module: str, role: str, *arguments: str) -> str:
    """What the role of a benchmark's module prints, run to its end in a process of its own."""
    command = [sys.executable, "-m", module, role, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout


@contextlib.contextmanager
def serving(module: str, role: str, *arguments: str) -> Iterator[str]:
    """A process that prints one line about where it serves, and is killed in the end."""
    command = [sys.executable, "-m", module, role, *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()
