"""The request budget of a poll: how many requests each tier may make before the poll has to be over.

The inventory (devices, workspaces, now and then locations) comes first and is never cut: it is what the pipeline is for. The rest
is shared by the two slow tiers, whose questions can wait for the next poll: when it isn't enough for both, each gets half, and
what one does not need goes to the other.
"""

from __future__ import annotations

from typing import NamedTuple


class RequestBudget(NamedTuple):
    """Requests in all, and of them those set aside for the inventory, for the status of rooms, and for workspace metrics."""

    total: int
    inventory: int
    room_status: int
    metrics: int


def share_out(total: int, inventory: int, room_status: int, metrics: int) -> RequestBudget:
    """A budget of `total` requests for what the tiers want to ask."""
    left = max(0, total - inventory)
    fair = left // 2
    rooms = min(room_status, max(fair, left - metrics))
    return RequestBudget(total, inventory, rooms, min(metrics, left - rooms))
