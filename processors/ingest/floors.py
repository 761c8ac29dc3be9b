"""The names of floors: a workspace reports its floor by an id only, and Webex names the floors location by location.

So it is one small request a location and day, some in each poll after the estate has been reported: where a device is not well
first.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime, timedelta

from processors.ingest.endpoint import floors_at
from processors.ingest.left_alone import LeftAlone
from processors.ingest.records import BadRecord, Workspace, read_floor
from processors.ingest.slow_tier import Run
from processors.ingest.webex_client import DeadlinePassed, WebexClient, WebexError

AT_ONCE = 10
"""Locations that a poll asks at most: what a new estate has to learn comes over some polls, and costs none its slow tiers."""
LONGEST_SECONDS = 5.0
"""How long they may take in a poll, all of them."""
SOONEST_AGAIN = timedelta(minutes=5)
"""After a failure; twice as long after each further one."""


class Floors:
    """The names of floors by their ids, as far as they have been asked for in the life of the process."""

    def __init__(self, client: WebexClient, every: timedelta) -> None:
        """`every`: how often a location is asked."""
        self.names: dict[str, str] = {}
        self._client = client
        self._every = every
        self._asked: dict[str, datetime] = {}
        self._failures: LeftAlone[str] = LeftAlone(SOONEST_AGAIN)

    def due(self, workspaces: Iterable[Workspace], now: datetime) -> set[str]:
        """The locations that may be asked now: those with a workspace on a floor."""
        located = {room.location_id for room in workspaces if room.floor_id and room.location_id}
        return {location_id for location_id in located if self._may_ask(location_id, now)}

    def read(self, run: Run, due: Iterable[str], unwell: Container[str]) -> None:
        """Ask some, those that are `unwell` first, as far as there is time. One that fails is left alone a while, and said."""
        deadline = run.deadline.at_most(LONGEST_SECONDS)
        for location_id in sorted(due, key=lambda one: (one not in unwell, one))[:AT_ONCE]:
            try:
                page = self._client.get(floors_at(location_id), {}, deadline)
            except DeadlinePassed:
                return
            except WebexError as fault:
                self._failures.failed(location_id, run.slot)
                run.fault(fault)
                continue
            self._failures.answered(location_id)
            self._asked[location_id] = run.slot
            self._learn(page.items)

    def _may_ask(self, location_id: str, now: datetime) -> bool:
        asked = self._asked.get(location_id)
        known = asked is not None and timedelta() <= now - asked < self._every
        return not known and not self._failures.includes(location_id, now)

    def _learn(self, records: Iterable[object]) -> None:
        for record in records:
            try:
                floor = read_floor(record)
            except BadRecord:
                continue  # a floor without an id is nobody's
            if floor.name:
                self.names[floor.id] = floor.name
