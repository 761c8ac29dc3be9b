"""Reads the dashboard tiles: one KQL query each, the same for Kusto and for the local live store.

A tile is a file in powerbi/dashboard/tiles; its comment header says `title`, what it `answers`, and its `columns` in order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TILES_DIR = Path(__file__).parent / "dashboard" / "tiles"

_HEADER = re.compile(r"// title: (?P<title>.+)\n// answers: (?P<answers>.+)\n// columns: (?P<columns>.+)\n(?P<kql>(?:.|\n)+)")


class TileError(Exception):
    """A tile can't be used. The text names the file and what is wrong with it."""


@dataclass(frozen=True)
class Tile:
    """A query with the words that go with it; `columns` are those of its result, in order."""

    name: str
    title: str
    answers: str
    columns: tuple[str, ...]
    kql: str


def read_tiles(folder: Path = TILES_DIR) -> dict[str, Tile]:
    """The tiles in `folder` by name (the file's name without .kql). Raises TileError for a file without the header."""
    return {path.stem: _read_tile(path) for path in sorted(folder.glob("*.kql"))}


def _read_tile(path: Path) -> Tile:
    header = _HEADER.fullmatch(path.read_text(encoding="utf-8"))
    if not header:
        raise TileError(f"{path}: begin the tile with the lines `// title: …`, `// answers: …` and `// columns: a, b, …`")
    columns = tuple(name.strip() for name in header["columns"].split(","))
    return Tile(path.stem, header["title"], header["answers"], columns, header["kql"].strip())
