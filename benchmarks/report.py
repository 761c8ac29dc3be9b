"""What a benchmark gives: tables with a sentence each, and how they become a page with the machine and the date."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_HEAD = "# Results\n\nWritten by `make bench` and `make bench-engine`.\n"


@dataclass(frozen=True)
class Table:
    """One measured comparison. `note` says how it was measured and what was left out."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [f"## {self.title}", ""]
        if self.note:
            lines += [self.note, ""]
        lines += ["| " + " | ".join(self.columns) + " |", "|" + "---|" * len(self.columns)]
        lines += ["| " + " | ".join(_show(cell) for cell in row) + " |" for row in self.rows]
        return "\n".join([*lines, ""])


def machine() -> str:
    """The machine a figure belongs to: processor, cores, memory, system, Python."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}"
    )


def page(tables: Sequence[Table], before: str = "") -> str:
    """The page of results: these tables, and those of the page `before` that were not measured again.

    Every section says on which day and machine it was measured.
    """
    sections = _sections(before)
    for table in tables:
        sections[table.title] = f"{table.markdown()}\n*{datetime.now(UTC):%Y-%m-%d}, {machine()}*\n"
    return "\n".join([_HEAD, *(sections[title] for title in sorted(sections))])


def _sections(text: str) -> dict[str, str]:
    """The sections of a page by title."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].removeprefix("## "): f"{part.rstrip()}\n" for part in parts}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _show(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
