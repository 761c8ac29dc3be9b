"""Where events go: Event Hubs, a Fabric eventstream, a file of JSON lines, or standard output. `send` returns when everything is
acknowledged.

An eventstream's custom endpoint speaks the protocol of Event Hubs, but is a single hub with a name of Fabric's choice: what is
for the hub `deadletter` goes there too, kept apart by its type, unless an Event Hubs namespace is named as well.

Events of one subject stay in order because they share a partition key. A batch has one key, so a subject's key is not its id but
one of a few numbers it is hashed to. That fills batches, needs one connection instead of one per partition (each costs half a
second to open), and lets the service spread the keys over however many partitions there are.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from processors.ingest.cloud_events import Event

OBSERVATIONS = "observations"
DEADLETTER = "deadletter"
PARTITION_KEYS = 32
"""Enough to spread over the partitions of a hub, few enough to fill batches."""
RETRY_BACKOFF_SECONDS = 0.2
"""The client tries four times with growing waits of this size, 3 s in all: the next poll is a better retry than a long one."""
BUSY_WAITS_SECONDS = (4.0,) * 5
"""How long a batch waits, again and again, while the namespace is throttled: error 50002 asks for 4 s, in which a throughput unit
takes 4 MB. The client itself tries such a batch only twice, within half a second."""

log = logging.getLogger("roompulse.ingest.sinks")


class SendError(Exception):
    """Events were not acknowledged. The text names the destination and the next step."""


class Sink(Protocol):
    """A destination of events."""

    def send(self, events: Sequence[Event], hub: str) -> list[Event]:
        """Send to `observations` or `deadletter`; gives back the events that are too large to be sent at all.

        Returns when the others are acknowledged. Raises SendError, after which any part of them may have arrived.
        """

    def close(self) -> None:
        """Let go of connections and files."""


class EventHubsSink:
    """Event Hubs, its stand-in, or an eventstream: full batches per partition key, the key a stable hash of the subject."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` names the namespace: EVENT_HUBS (connection string) or EVENT_HUBS__fullyQualifiedNamespace (keyless); and
        an eventstream, if observations go to one: EVENTSTREAM (connection string with EntityPath), or
        EVENTSTREAM__fullyQualifiedNamespace and EVENTSTREAM__eventHubName (keyless).
        """
        self._environment = environment
        self._producers: dict[str, Any] = {}

    def send(self, events: Sequence[Event], hub: str) -> list[Event]:
        """See Sink.send."""
        if not events:
            return []
        from azure.core.exceptions import AzureError
        from azure.eventhub.exceptions import EventHubError

        too_large: list[Event] = []
        try:
            if hub not in self._producers:
                self._producers[hub] = self.producer(hub)
            producer = self._producers[hub]
            for key, of_key in _by_partition_key(events).items():
                for batch in _batches(producer, key, of_key, too_large):
                    _send_patiently(producer, batch, hub)
        except (EventHubError, AzureError, OSError) as fault:
            raise SendError(
                f"Event Hubs did not take the events for hub {hub} ({type(fault).__name__}: {fault}). See that the namespace in "
                f"{self._destination(hub)} runs, has that hub, and lets this identity send. The next poll sends again what was "
                "not acknowledged."
            ) from fault
        return too_large

    def close(self) -> None:
        """Close the connections."""
        for producer in self._producers.values():
            producer.close()
        self._producers.clear()

    def _destination(self, hub: str) -> str:
        """Which of the two variables says where a hub is."""
        has_hubs = _is_named(self._environment, "EVENT_HUBS")
        has_stream = _is_named(self._environment, "EVENTSTREAM")
        return "EVENTSTREAM" if has_stream and (hub == OBSERVATIONS or not has_hubs) else "EVENT_HUBS"

    def producer(self, hub: str) -> Any:
        """A producer of the Event Hubs client for a hub."""
        from azure.eventhub import EventHubProducerClient  # 80 ms: not while a function app starts

        name = self._destination(hub)
        entity = self._environment.get(f"{name}__eventHubName") if name == "EVENTSTREAM" else hub
        if connection_string := self._environment.get(name):
            return EventHubProducerClient.from_connection_string(
                connection_string, eventhub_name=entity, retry_backoff_factor=RETRY_BACKOFF_SECONDS
            )
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential(managed_identity_client_id=self._environment.get(f"{name}__clientId"))
        namespace = self._environment[f"{name}__fullyQualifiedNamespace"]
        return EventHubProducerClient(namespace, entity or hub, credential=credential, retry_backoff_factor=RETRY_BACKOFF_SECONDS)


class JsonLinesSink:
    """A file that is appended to, or standard output: one CloudEvent a line; quarantined records are there too, by their type."""

    def __init__(self, path: Path | None) -> None:
        """None is standard output. Raises SendError when the file can't be opened."""
        self._path = path
        try:
            # Without a buffer, nothing is left to be written when the file is closed.
            self._stream: BinaryIO = path.open("ab", buffering=0) if path else sys.stdout.buffer
        except OSError as fault:
            raise SendError(f"{path} can't be opened for writing ({fault.strerror}): choose another file with --to.") from fault

    def send(self, events: Sequence[Event], hub: str) -> list[Event]:
        """See Sink.send; a file is on disk when this returns, and ends with whole lines when it raises."""
        begin = self._stream.tell() if self._is_file() else None
        try:
            self._write(b"".join(event.body + b"\n" for event in events))
        except OSError as fault:
            if begin is not None:
                os.truncate(self._stream.fileno(), begin)
            name = self._path or "standard output"
            raise SendError(f"{name} can't be written ({fault.strerror}): see that it is open and its disk has room.") from fault
        return []

    def close(self) -> None:
        """Close the file."""
        if self._path:
            self._stream.close()

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[self._stream.write(rest) :]
        self._stream.flush()
        if self._path:
            os.fsync(self._stream.fileno())

    def _is_file(self) -> bool:
        """Whether it can be cut back: no pipe, no device."""
        return self._path is not None and self._path.is_file()


def destination_faults(environment: Mapping[str, str]) -> list[str]:
    """What is wrong with the variables that say where events go."""
    stream = environment.get("EVENTSTREAM")
    if stream and "entitypath=" not in stream.lower():
        return ["EVENTSTREAM has no EntityPath: take the connection string from the eventstream's custom endpoint, whole."]
    if (
        not stream
        and environment.get("EVENTSTREAM__fullyQualifiedNamespace")
        and not environment.get("EVENTSTREAM__eventHubName")
    ):
        return ["EVENTSTREAM__eventHubName is not set: the custom endpoint's page shows it beside the namespace."]
    if _is_named(environment, "EVENT_HUBS") or _is_named(environment, "EVENTSTREAM"):
        return []
    return [
        "EVENT_HUBS is not set: a connection string; or set EVENT_HUBS__fullyQualifiedNamespace, the namespace's host name; "
        "or EVENTSTREAM for a Fabric eventstream."
    ]


def _is_named(environment: Mapping[str, str], name: str) -> bool:
    return bool(environment.get(name) or environment.get(f"{name}__fullyQualifiedNamespace"))


def _by_partition_key(events: Sequence[Event]) -> dict[str, list[Event]]:
    """Events by partition key, in their order."""
    grouped: dict[str, list[Event]] = {}
    for event in events:
        key = str(zlib.crc32(event.subject.encode()) % PARTITION_KEYS)
        grouped.setdefault(key, []).append(event)
    return grouped


def _send_patiently(producer: Any, batch: Any, hub: str) -> None:
    """Send a batch, and give a namespace that is throttled time. Raises what the client raises, in the end this as well."""
    from azure.eventhub.exceptions import EventHubError

    for wait in BUSY_WAITS_SECONDS:
        try:
            producer.send_batch(batch)
            return
        except EventHubError as fault:
            if fault.error != "server-busy":
                raise
            log.warning(
                "Event Hubs is throttled: it has too few throughput units for what comes at once",
                extra={"ids": {"hub": hub, "waitSeconds": wait}},
            )
            time.sleep(wait)
    producer.send_batch(batch)


def _batches(producer: Any, partition_key: str, events: list[Event], too_large: list[Event]) -> Iterator[Any]:
    """Full batches of `events`; what doesn't even fit into an empty batch goes to `too_large`."""
    from azure.eventhub import EventData

    batch = producer.create_batch(partition_key=partition_key)
    for event in events:
        data = EventData(event.body)
        try:
            batch.add(data)
            continue
        except ValueError:  # the batch is full
            if len(batch):
                yield batch
                batch = producer.create_batch(partition_key=partition_key)
        try:
            batch.add(data)
        except ValueError:
            log.warning("event too large to be sent", extra={"ids": {"subject": event.subject, "bytes": len(event.body)}})
            too_large.append(event)
    if len(batch):
        yield batch
