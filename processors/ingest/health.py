"""What a device's connectionStatus means for the people who use the room. The query has the same table; a test keeps them equal.

Webex treats connectionStatus as an open set (`pending` appeared in 2026), so a status that isn't listed here is unknown, never a
fault, and no proof of the contrary. `offline_deep_sleep` is energy saving of a board at night, not an outage.
"""

from __future__ import annotations

from typing import Literal

Health = Literal["up", "issues", "down", "asleep", "unknown"]

HEALTH_OF_STATUS: dict[str, Health] = {
    "connected": "up",
    "connected_with_issues": "issues",
    "disconnected": "down",
    "offline_expired": "down",
    "offline_deep_sleep": "asleep",
}

UNHEALTHY: frozenset[Health] = frozenset({"issues", "down"})


IN_BETWEEN = frozenset({"activating", "pending"})
"""Statuses of a device that is being set up: neither up nor down, and yet something that Webex knows."""


def says_nothing(connection_status: str | None) -> bool:
    """Whether a connectionStatus leaves open how the device is: `unknown`, none at all, or one that we have not met."""
    return health_of(connection_status) == "unknown" and connection_status not in IN_BETWEEN


def health_of(connection_status: str | None) -> Health:
    """The health a connectionStatus stands for; unknown for none and for one we have not met."""
    return HEALTH_OF_STATUS.get(connection_status or "", "unknown")
