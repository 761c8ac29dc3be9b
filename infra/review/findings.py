"""A finding: something about the alerts that a person should change, or know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]
"""An error is a hole or a lie (somebody is not notified, or by other rules than declared); a warning will become one or wastes
attention; a note is worth knowing and fails nothing."""
_RANK = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Finding:
    """What is wrong (`text`), where (`where`, such as `paris · room-unusable`), and what to do about it (`fix`).

    `kind` names the check, for programs. `cells` are the (city, rule) pairs it concerns, for the table.
    """

    level: Level
    kind: str
    where: str
    text: str
    fix: str
    cells: tuple[tuple[str, str], ...] = ()


def worst_first(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then notes, otherwise as they were found; no finding twice."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: _RANK[finding.level]))


def listed(names: list[str], at_most: int = 4) -> str:
    """Names for a sentence: all of a few, otherwise the first and how many more."""
    if len(names) <= at_most:
        return ", ".join(names)
    return f"{', '.join(names[: at_most - 1])} and {len(names) - at_most + 1} more"
