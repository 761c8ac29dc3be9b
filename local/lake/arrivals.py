"""Rows on their way from the hubs to the live store of the same process, which shows them before the lake has them.

A commit to a Delta table costs more than everything else that a row needs. So commits are few, and whoever looks at the page
waits for none of them. What is lost here with the process is still in the hub: the lake notes how far it has stored, and the
rest comes again.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence

TABLES = ("Processed", "CityMinute", "Alerts")
"""The tables whose rows are handed over. For a row of the others nobody waits."""
WAITING_CHARACTERS = 16_000_000
"""As much may wait for the live store; then the receivers of the hubs wait too. A look costs much the same for few rows as for
many: the more it finds, the sooner whoever is behind has caught up."""


class Arrivals:
    """Lines of live tables, put in by the sinks of the hubs and taken out by the live store. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, list[str]] = defaultdict(list)
        self._characters = 0
        self._is_closed = False

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be put in for now."""
        return self._characters >= WAITING_CHARACTERS

    def put(self, table: str, lines: str) -> None:
        """Hand over lines of a table, unless it is one that nobody takes."""
        with self._lock:
            if table in TABLES and not self._is_closed:
                self._lines[table].append(lines)
                self._characters += len(lines)

    def take(self) -> Mapping[str, Sequence[str]]:
        """What was put in since the last call, by table."""
        with self._lock:
            taken, self._lines, self._characters = self._lines, defaultdict(list), 0
        return taken

    def close(self) -> None:
        """Let go of what is here and of what still comes: nobody takes it any more."""
        with self._lock:
            self._is_closed = True
        self.take()
