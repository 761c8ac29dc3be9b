"""How far a reader has read each partition of a hub, and what it says when the log does not go on there.

A log may be cut, damaged or deleted while nobody reads, or keep events for a shorter time than a reader is away. Event Hubs
refuses a place behind the newest event, and for one that is gone it takes the oldest event; what is lost it does not say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

START = "-1"
"""The place before the oldest event."""
_REFUSAL = re.compile(r"The supplied (?:offset|sequence number) '[^']*' is invalid\. The last \S.* in the system is '([^']*)'")


class Position(NamedTuple):
    """The last event read. Numbers begin again in a log that takes the place of a deleted one; offsets never do here."""

    sequence: int
    offset: int


class Bookmarks(Mapping[str, str]):
    """The places to go on from, by partition; `report` gets what is lost.

    Handed to the client as its starting positions: it asks again each time that it takes up a partition.
    """

    def __init__(self, hub: str, report: Callable[[str], None]) -> None:
        self._hub = hub
        self._report = report
        self._read: dict[str, Position] = {}

    def __getitem__(self, partition: str) -> str:
        return str(self._read[partition].offset)

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)

    def put(self, partition: str, position: Position | None) -> None:
        """Go on behind this event; None begins at the start."""
        self._read.pop(partition, None)
        if position is not None:
            self._read[partition] = position

    def position(self, partition: str) -> Position | None:
        """The last event read, None when there is none."""
        return self._read.get(partition)

    def passes(self, partition: str, event: Any) -> bool:
        """Whether an event comes for the first time; the bookmark then moves behind it. A client that was interrupted repeats."""
        last, here = self._read.get(partition), Position(event.sequence_number, int(event.offset))
        if last is not None and here.offset <= last.offset:
            return False
        self._read[partition] = here
        if last is not None and here.sequence != last.sequence + 1:
            self._report_gap(partition, last.sequence, here.sequence)
        return True

    def refused(self, partition: str, fault: Exception) -> bool:
        """Whether a fault says that the place to go on from is gone; then it is reported, and reading begins at the start."""
        refusal = _REFUSAL.search(str(fault))
        if refusal is None:
            return False
        last = self._read.pop(partition, None)
        self._report(
            f"hub {self._hub}, partition {partition}: its log ends ({refusal[1]}) before the place that was read"
            f"{'' if last is None else f' (event {last.sequence})'}: it was cut or deleted. What was in it and not read is lost; "
            "from now on it is read from its start. If nobody deleted it on purpose, see to the disk."
        )
        return True

    def _report_gap(self, partition: str, last: int, here: int) -> None:
        where = f"hub {self._hub}, partition {partition}"
        if here > last:
            self._report(
                f"{where}: {here - last - 1} events are gone, {last + 1} to {here - 1}: the log was cut or damaged, or nobody "
                "read for longer than it keeps them. What follows them is read. The log of the broker says more."
            )
        else:
            self._report(
                f"{where}: its log began anew: event {last} was read last, and now comes event {here} of a younger log. What the "
                "old one had behind that is lost; the new one is read. If nobody deleted it on purpose, see to the disk."
            )
