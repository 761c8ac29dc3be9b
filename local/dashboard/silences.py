"""How much people keep quiet: silences and snoozes of each city that hold now, as the fan-out's state has them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from processors.alert_fanout.acts import Acts, from_text
from processors.alert_fanout.state import ACTS

Silences = Mapping[str, int]
"""By city (slug): how many silences and snoozes hold."""
NONE: Silences = {}


class SilencesReader:
    """Reads what people did in the fan-out's SQLite file; a city's is parsed again only when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[str, tuple[int, Acts]] = {}

    def read(self, now: datetime) -> Silences:
        """What is kept quiet at this moment; nothing before the fan-out has made its file.

        Raises sqlite3.Error or ValueError when the file can't be read.
        """
        if not self._path.is_file():
            return NONE
        with contextlib.closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            if not database.execute("select 1 from sqlite_master where type = 'table' and name = 'book'").fetchone():
                return NONE
            written = "select name, version from book where instr(name, ?) = 1"
            for name, version in database.execute(written, (ACTS,)).fetchall():
                if self._read.get(name, (None,))[0] != version:
                    (text,) = database.execute("select text from book where name = ?", (name,)).fetchone()
                    self._read[name] = version, from_text(text)
        counts = {name.removeprefix(ACTS): len(acts.silences(now)) for name, (_, acts) in self._read.items()}
        return {city: count for city, count in counts.items() if count}
