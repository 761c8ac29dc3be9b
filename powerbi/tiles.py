"""Reads the dashboard tiles: one KQL query each, the same for Kusto and for the local live store.

A tile is a file in powerbi/dashboard/tiles; its comment header says `title`, what it `answers`, and its `columns` in order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from activator.declarations import DeclarationError, Fault, read_text

TILES_DIR = Path(__file__).parent / "dashboard" / "tiles"
CARDS_DIR = Path(__file__).parent / "dashboard" / "cards"
"""Single figures of the real-time dashboard, in the same form; the live page has its own."""

_HEADER = re.compile(r"// title: (?P<title>.+)\n// answers: (?P<answers>.+)\n// columns: (?P<columns>.+)\n(?P<kql>(?:.|\n)+)")


@dataclass(frozen=True)
class Tile:
    """A query with the words that go with it; `columns` are those of its result, in order."""

    name: str
    title: str
    answers: str
    columns: tuple[str, ...]
    kql: str


def read_tiles(folder: Path = TILES_DIR) -> dict[str, Tile]:
    """The tiles in `folder` by name (the file's name without .kql). Raises DeclarationError naming all without a header."""
    tiles: dict[str, Tile] = {}
    faults: list[Fault] = []
    for path in sorted(folder.glob("*.kql")):
        try:
            header = _HEADER.fullmatch(read_text(path, "a tile"))
        except DeclarationError as error:
            faults += [Fault(f"{path.name}/{fault.path}", fault.message) for fault in error.faults]
            continue
        if header:
            columns = tuple(name.strip() for name in header["columns"].split(","))
            tiles[path.stem] = Tile(path.stem, header["title"], header["answers"], columns, header["kql"].strip())
        else:
            text = "begin the tile with the lines `// title: …`, `// answers: …` and `// columns: a, b, …`, then its query."
            faults.append(Fault(path.name, text, f"{path.name}:1"))
    if not tiles and not faults:
        faults.append(Fault(str(folder), "holds no tile: at least one *.kql is wanted"))
    if faults:
        raise DeclarationError("The dashboard's tiles can't be used", faults)
    return tiles
