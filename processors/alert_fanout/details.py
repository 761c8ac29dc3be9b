"""What of an observation's details (docs/contracts.md) is kept of an alert, for the messages about it.

They are somebody else's words and may be anything: what can't be read is left out, and costs no alert. What is kept is small,
since a book holds it for every open alert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from processors.contracts.plain_text import NAME_LIMIT, one_line

MOST = 3
"""More issues, lost peripherals or incidents are on the page."""
LONGEST = 300
"""Of prose; a name is as long as a name."""
CONNECTED = "Connected"
_LEVELS = ("error", "warning", "info")
_ISSUE = ("title", "recommendedAction", "since")
_PERIPHERAL = ("type", "name", "status", "serial")

Words = Mapping[str, str]


def kept_of(details: object) -> dict[str, Any] | None:
    """What is kept: texts by name, and lists of such. None where there is nothing to say."""
    kept: dict[str, Any] = {
        **{name: _text(details, name) for name in ("serial", "floor", "ip", "mac")},
        **{name: _text(_at(details, "network"), name) for name in ("switch", "port")},
        "lost": [one for one in _kept(_at(details, "peripherals"), _PERIPHERAL, NAME_LIMIT) if is_lost(one)][:MOST],
        "messages": _kept(_at(details, "messages"), ("level", "description"))[:MOST],
        "issues": _kept(_at(_at(details, "room"), "issues"), _ISSUE, key=_urgency)[:MOST],
        "incidents": _kept(_at(_at(details, "webexStatus"), "incidents"), ("name", "status", "since"))[:MOST],
    }
    return {name: value for name, value in kept.items() if value} or None


def is_lost(peripheral: Words) -> bool:
    """Whether a peripheral is not connected, as far as the device says."""
    return peripheral.get("status", CONNECTED) != CONNECTED


def _kept(
    records: object, names: Sequence[str], limit: int = LONGEST, key: Callable[[object], int] | None = None
) -> list[dict[str, str]]:
    """These fields of each record, where they are text; records without any are left out."""
    if not isinstance(records, list):
        return []
    ordered = sorted(records, key=key) if key else records
    found = ({name: text for name in names if (text := _text(record, name, limit))} for record in ordered)
    return [record for record in found if record]


def _urgency(issue: object) -> int:
    level = _at(issue, "level")
    return _LEVELS.index(level) if isinstance(level, str) and level in _LEVELS else len(_LEVELS)


def _at(record: object, name: str) -> object:
    return record.get(name) if isinstance(record, Mapping) else None


def _text(record: object, name: str, limit: int = NAME_LIMIT) -> str:
    value = _at(record, name)
    return one_line(value, limit) if isinstance(value, str) else ""
