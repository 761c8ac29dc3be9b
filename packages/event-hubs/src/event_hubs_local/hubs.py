"""The hubs of the namespace: their partitions on disk, who reads them, how a sender's events find a partition."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from event_hubs_local.amqp import AmqpError
from event_hubs_local.config import DEFAULT_GROUP, HubConfig
from event_hubs_local.log import RETAINED_BYTES, SEGMENT_BYTES, LogError, PartitionLog
from event_hubs_local.message import Event, parse_transfer

Milliseconds = Callable[[], int]
"""A clock: milliseconds since the Unix epoch."""

_SELECTOR = re.compile(r"amqp\.annotation\.(x-opt-[a-z-]+)\s*(>=|>)\s*'([^']*)'")


class Refused(Exception):
    """A request is turned down: an AMQP error condition, and a text for whoever made it."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition


class HubsFolderError(Exception):
    """The folder of the event logs can't be used. The text names it and the next step."""


class Reporter(Protocol):
    """Where trouble with the disk is reported."""

    def warning(self, text: str) -> None:
        """A fault began."""

    def recovered(self, text: str) -> None:
        """The fault is over."""


class LogReporter:
    """Reports trouble to the log only."""

    _log = logging.getLogger("event_hubs_local")

    def warning(self, text: str) -> None:
        """A fault began."""
        self._log.warning(text)

    def recovered(self, text: str) -> None:
        """The fault is over."""
        self._log.info(text)


class Reader(Protocol):
    """A receiver attached to a partition."""

    group: str
    owner_level: int | None

    def push(self) -> None:
        """Send what is there and wanted."""

    def detach(self, condition: str, text: str) -> None:
        """End the link with an error."""


class Partition:
    """One partition: its log and its readers."""

    def __init__(self, number: int, log: PartitionLog) -> None:
        self.id = str(number)
        self.log = log
        self.readers: list[Reader] = []

    def admit(self, reader: Reader) -> None:
        """Let a reader in. One with an owner level ends others of its group; Refused when one of a higher level is there."""
        rivals = [other for other in self.readers if other.group == reader.group]
        highest = max((other.owner_level for other in rivals if other.owner_level is not None), default=None)
        if highest is not None and (reader.owner_level is None or reader.owner_level < highest):
            raise Refused(
                "amqp:link:stolen", f"A receiver with epoch {highest} holds partition {self.id} for group {reader.group}."
            )
        if reader.owner_level is not None:
            for other in rivals:
                other.detach("amqp:link:stolen", f"A receiver with epoch {reader.owner_level} took partition {self.id} over.")
        self.readers.append(reader)

    def leave(self, reader: Reader) -> None:
        """Forget a reader; nothing happens when it is not here."""
        if reader in self.readers:
            self.readers.remove(reader)

    def position(self, selector: str | None) -> int:
        """Sequence number of the first event for a receiver with this filter; without a filter the oldest event.

        As on Azure a place behind the newest event is refused, and before the oldest one the oldest is meant.
        """
        if selector is None:
            return self.log.first_sequence
        match = _SELECTOR.search(selector)
        if match is None:
            raise Refused("amqp:invalid-field", f"The filter {selector!r} names no offset, sequence number or enqueued time.")
        what, comparison, value = match.groups()
        inclusive = comparison == ">="
        if what == "x-opt-offset" and value in ("@latest", "-1"):
            return self.log.next_sequence if value == "@latest" else self.log.first_sequence
        try:
            number = int(value)
        except ValueError:
            raise Refused(
                "amqp:invalid-field", f"The filter {selector!r} compares with {value!r}, which is not a number."
            ) from None
        if what == "x-opt-offset":
            _refuse_beyond("offset", number, self.log.last_offset)
            return self.log.sequence_at_offset(number, inclusive=inclusive)
        if what == "x-opt-sequence-number":
            _refuse_beyond("sequence number", number, self.log.next_sequence - 1)
            return max(self.log.first_sequence, number if inclusive else number + 1)
        return self.log.sequence_at_time(number, inclusive=inclusive)

    def wake(self) -> None:
        """Let every reader send what is new."""
        for reader in tuple(self.readers):
            reader.push()


class Hub:
    """One hub: its partitions and consumer groups."""

    def __init__(self, name: str, groups: Sequence[str], partitions: list[Partition], created_ms: int) -> None:
        self.name = name
        self.groups = {DEFAULT_GROUP, *(group.lower() for group in groups)}
        self.partitions = partitions
        self.created_ms = created_ms
        self._turn = 0

    def route(self, partition_key: bytes | None) -> Partition:
        """The partition for a key, always the same; without a key, each in turn."""
        if partition_key is not None:
            return self.partitions[zlib.crc32(partition_key) % len(self.partitions)]
        self._turn = (self._turn + 1) % len(self.partitions)
        return self.partitions[self._turn]


class Place:
    """What a link address names: a hub, maybe one of its partitions, maybe a consumer group."""

    def __init__(self, hub: Hub, partition: Partition | None, group: str | None) -> None:
        self.hub = hub
        self.partition = partition
        self.group = group


class Namespace:
    """All hubs, on disk under one folder that only one broker may use. Raises HubsFolderError, LogError."""

    def __init__(
        self,
        folder: Path,
        hubs: Sequence[HubConfig],
        clock: Milliseconds,
        reporter: Reporter,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        retained_bytes: int = RETAINED_BYTES,
    ) -> None:
        self.clock = clock
        self.reporter = reporter
        self.events_in = 0
        self.events_out = 0
        self.unfinished_bytes = 0
        self._failing: set[PartitionLog] = set()
        self._lock = _locked(folder)
        self.hubs: dict[str, Hub] = {}
        for hub in hubs:
            _refuse_fewer_partitions(folder / hub.name, hub)
            partitions = [
                Partition(
                    number,
                    PartitionLog(
                        folder / hub.name / f"{number:02d}",
                        segment_bytes=segment_bytes,
                        retained_bytes=retained_bytes,
                        report=reporter.warning,
                    ),
                )
                for number in range(hub.partitions)
            ]
            self.hubs[hub.name.lower()] = Hub(hub.name, hub.consumer_groups, partitions, _created_ms(folder / hub.name, clock()))

    def find(self, address: str) -> Place:
        """What an address like `sb://host/hub/ConsumerGroups/group/Partitions/0` names; raises Refused."""
        path = address.partition("://")[2].partition("/")[2] if "://" in address else address
        name, *rest = path.strip("/").split("/")
        hub = self.hubs.get(name.lower())
        if hub is None:
            known = ", ".join(hub.name for hub in self.hubs.values())
            raise _not_found(name, f"There is no hub {name!r}. Hubs here: {known}.")
        named = dict(zip((word.lower() for word in rest[::2]), rest[1::2], strict=False))
        group, partition = named.get("consumergroups"), named.get("partitions")
        if group is not None and group.lower() not in hub.groups:
            known = ", ".join(sorted(hub.groups))
            raise _not_found(path, f"Hub {hub.name} has no consumer group {group!r}. Its groups: {known}.")
        if partition is not None and not (partition.isdecimal() and int(partition) < len(hub.partitions)):
            raise Refused(
                "com.microsoft:argument-out-of-range",
                f"Hub {hub.name} has no partition {partition!r}: they are 0 to {len(hub.partitions) - 1}.",
            )
        return Place(hub, None if partition is None else hub.partitions[int(partition)], group and group.lower())

    def store(self, place: Place, payload: bytes, message_format: int | None) -> Partition:
        """Store the events of a transfer and give their partition; raises Refused when they are malformed or the disk is full."""
        try:
            events, key = parse_transfer(payload, message_format)
        except AmqpError as fault:
            raise Refused("amqp:decode-error", str(fault)) from fault
        partition = place.partition or place.hub.route(key)
        self._append(partition.log, events)
        self.events_in += len(events)
        return partition

    def retained_bytes(self) -> int:
        """Bytes on disk, all hubs."""
        return sum(partition.log.size for hub in self.hubs.values() for partition in hub.partitions)

    def close(self) -> None:
        """Close every log and let go of the folder."""
        for hub in self.hubs.values():
            for partition in hub.partitions:
                partition.log.close()
        os.close(self._lock)

    def _append(self, log: PartitionLog, events: list[Event]) -> None:
        try:
            log.append(events, self.clock())
        except LogError as fault:
            if not self._failing:
                self.reporter.warning(str(fault))
            self._failing.add(log)
            raise Refused("amqp:resource-limit-exceeded", str(fault)) from fault
        if log in self._failing:
            self._failing.discard(log)
            if not self._failing:
                self.reporter.recovered("The event logs take events again.")


def _not_found(entity: str, text: str) -> Refused:
    """The JavaScript client reports by the service's own words that it need not try again."""
    return Refused("amqp:not-found", f"The messaging entity '{entity}' could not be found. {text}")


def _refuse_beyond(what: str, supplied: int, last: int) -> None:
    if supplied > last:
        raise Refused(
            "com.microsoft:argument-error",
            f"The supplied {what} '{supplied}' is invalid. The last {what} in the system is '{last}'. "
            "The log was cut or deleted since the place was noted: begin at its start.",
        )


def selector_of(filters: Mapping[object, object]) -> str | None:
    """The text of the selector among a source's filters, if there is one."""
    for name, value in filters.items():
        if "selector" in str(name):
            return str(getattr(value, "value", value))
    return None


def _locked(folder: Path) -> int:
    """Hold the folder for this process; the kernel lets go of it when the process dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "broker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as fault:
        raise HubsFolderError(f"The folder {folder} can't be used: {fault.strerror}. Choose another data folder.") from fault
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as fault:
        os.close(descriptor)
        raise HubsFolderError(f"Another Event Hubs stand-in uses {folder}: stop it, or choose another data folder.") from fault
    return descriptor


def _created_ms(folder: Path, now_ms: int) -> int:
    """When the hub was created: noted in its folder, so that it is another hub when the folder was deleted."""
    note = folder / "created"
    try:
        return int(note.read_text())
    except (OSError, ValueError):
        note.write_text(str(now_ms))
        return now_ms


def _refuse_fewer_partitions(folder: Path, hub: HubConfig) -> None:
    """Fewer partitions than before would hide events that are still there."""
    stored = len(list(folder.glob("[0-9]*"))) if folder.is_dir() else 0
    if stored > hub.partitions:
        raise HubsFolderError(
            f"{folder} has {stored} partitions, the configuration of hub {hub.name} only {hub.partitions}: "
            f"put the number back, or delete the folder to start anew."
        )
