"""What the page asks of the live store besides its tiles: every device as it is now, and the history of a few of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Row = dict[str, Any]

DEVICES = """
Latest
| where entity == 'device' and coalesce(connectionStatus, '') != 'removed'
| order by cityId asc, locationName asc, workspaceName asc, name asc, entityId asc
"""
OBSERVATIONS = """
Processed
| where observedAt > ago(24h) and (entityId in ({ids}) or workspaceId in ({ids}))
| project observedAt, entity, entityId, name, health, errorCodes, signals
| order by observedAt asc
"""
NEWEST = """
Processed
| where entityId in ({ids}) or workspaceId in ({ids})
| where entity == 'device'
| summarize arg_max(observedAt, *) by entityId
"""
ALERTS = """
Alerts
| where entityId in ({ids}) or workspaceId in ({ids})
| project alertId, ruleId, severity, state, entity, entityId, name, cityId, signal, value, startedAt, observedAt
| order by observedAt desc
| take 400
"""


class Store(Protocol):
    """A live store; LiveStore of local/lake is one."""

    def refresh(self) -> bool:
        """See LiveStore.refresh."""

    def tiles(self) -> dict[str, list[Row]]:
        """See LiveStore.tiles."""

    def answer(self, kql: str) -> list[Row]:
        """See LiveStore.answer."""


class LakeSource:
    """The page's questions, asked of a live store. Every method raises what the store raises."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.refresh = store.refresh
        self.tiles = store.tiles

    def devices(self) -> list[Row]:
        """The newest row of every device that has not been removed."""
        return self._store.answer(DEVICES)

    def observations_of(self, ids: Sequence[str]) -> list[Row]:
        """What was observed of devices and rooms, and of the devices of these rooms, in the last 24 hours, the oldest first."""
        return self._store.answer(OBSERVATIONS.format(ids=quoted(ids)))

    def newest_of(self, ids: Sequence[str]) -> list[Row]:
        """The newest row, however old, of devices and of all devices that rooms ever had."""
        return self._store.answer(NEWEST.format(ids=quoted(ids)))

    def alerts_of(self, ids: Sequence[str]) -> list[Row]:
        """The rows of alerts about devices, rooms or locations, and about the devices of these rooms, the newest first."""
        return self._store.answer(ALERTS.format(ids=quoted(ids)))


def quoted(texts: Sequence[str]) -> str:
    """Texts as KQL writes them in a list: whatever they hold, they stay text."""
    return ", ".join("'" + "".join(_ESCAPED.get(letter, letter) for letter in text) + "'" for text in texts)


_ESCAPED = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
