"""What alert rules have done: how often and when they fired, and which of their signals have data, however it was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

QUERIES = Path(__file__).parents[1] / "powerbi" / "kusto" / "review"
"""The same questions for every live store, in KQL."""

WATCHED_DAYS = 30
"""How far back a history looks: long enough for a rule that fires once a month."""


@dataclass(frozen=True)
class Firings:
    """What one rule did in one city within the watched days: how often it fired, when last (ISO 8601), open since when."""

    count: int
    last: str
    open_since: str | None = None


@dataclass(frozen=True)
class History:
    """What is known of the past, and where from (`source`, for people).

    `firings` by (city, rule); `signals` the time of the latest value by (city, signal), as ISO 8601. `since` is the beginning of
    what the source remembers: a history that began yesterday can't say that a rule never fires. `signals` is None where the
    source knows nothing about them.
    """

    source: str
    since: str
    firings: Mapping[tuple[str, str], Firings] = field(default_factory=dict)
    signals: Mapping[tuple[str, str], str] | None = None


def history_from(source: str, ask: Callable[[str], Iterable[Mapping[str, Any]]], now: datetime) -> History:
    """The history that a live store reports: `ask` runs KQL and gives its rows."""
    since = next(iter(ask(_query("since"))), {}).get("since") or now.isoformat()
    signals = {(str(row["cityId"]), str(row["signal"])): str(row["lastSeen"]) for row in ask(_query("signals"))}
    return History(source, str(since), firings_of(ask(_query("fired"))), signals)


def firings_of(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Firings]:
    """Firings by city and rule, from rows of cityId, ruleId, fired, lastFired, openSince."""
    return {
        (str(row["cityId"]), str(row["ruleId"])): Firings(
            int(row["fired"]), str(row["lastFired"] or ""), row["openSince"] or None
        )
        for row in rows
    }


def _query(name: str) -> str:
    return (QUERIES / f"{name}.kql").read_text(encoding="utf-8")
