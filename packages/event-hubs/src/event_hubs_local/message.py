"""Encoded AMQP messages: split batches, find keys, stamp what the broker knows.

An event keeps the producer's own bytes. The broker only rewrites its annotations: sequence number, offset, enqueued time. What it
takes, every client can read: a message that lies about its sizes would stop each reader of its partition for ever.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from event_hubs_local import amqp
from event_hubs_local.amqp import AmqpError, Buffer

HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA, SEQUENCE, VALUE, FOOTER = range(0x70, 0x79)
BATCH_FORMAT = 0x80013700
"""Message format of a transfer whose data sections are encoded events."""

_PARTITION_KEY = b"x-opt-partition-key"
_SEQUENCE = b"\xa3\x15x-opt-sequence-number\x81"
_OFFSET = b"\xa3\x0cx-opt-offset\xa1"
_ENQUEUED = b"\xa3\x13x-opt-enqueued-time\x83"
_BROKER_KEYS = {b"x-opt-sequence-number", b"x-opt-offset", b"x-opt-enqueued-time"}
_MAPS = {DELIVERY_ANNOTATIONS, ANNOTATIONS, APPLICATION_PROPERTIES, FOOTER}
_MOST_FIELDS = {HEADER: 5, PROPERTIES: 13}
"""Sections that are lists of fields by position, and how many fields the standard knows."""
_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}


class Section(NamedTuple):
    """A section of a message: its code, where it starts, where its value starts, where it ends."""

    code: int
    start: int
    value: int
    end: int


class Event(NamedTuple):
    """One event as its producer encoded it: what precedes the annotations, their items, what follows them."""

    before: bytes
    annotations: bytes
    annotation_count: int
    after: bytes

    def stamped(self, sequence: int, offset: int, enqueued_ms: int) -> bytes:
        """The message as consumers get it."""
        place = str(offset).encode()
        items = b"".join((
            _SEQUENCE, amqp.UINT64.pack(sequence), _OFFSET, bytes((len(place),)), place,
            _ENQUEUED, amqp.UINT64.pack(enqueued_ms), self.annotations,
        ))  # fmt: skip
        size_and_count = amqp.UINT32.pack(len(items) + 4) + amqp.UINT32.pack(self.annotation_count + 6)
        return b"".join((self.before, b"\x00\x53\x72\xd1", size_and_count, items, self.after))


class Transfer(NamedTuple):
    """The events of one transfer, and the partition key they share, if any."""

    events: list[Event]
    partition_key: bytes | None


def parse_transfer(payload: bytes, message_format: int | None) -> Transfer:
    """The events in a payload: those of a batch, or the one it is. Raises AmqpError."""
    try:
        if message_format == BATCH_FORMAT:
            return _parse_batch(payload)
        event = _parse_event(payload)
        return Transfer([event], _partition_key(event.annotations))
    except (IndexError, struct.error) as fault:
        raise AmqpError(f"malformed message: {fault}") from fault


def bodies(message: Buffer) -> bytes:
    """The data sections of a message, joined."""
    return b"".join(_binary(message, section.value) for section in sections(message) if section.code == DATA)


def sequence_of(message: bytes) -> int | None:
    """The sequence number that `stamped` wrote into a message; None when there is none."""
    at = message.find(_SEQUENCE)
    return None if at < 0 else int(amqp.UINT64.unpack_from(message, at + len(_SEQUENCE))[0])


def with_delivery_annotations(message: bytes, annotations: bytes) -> bytes:
    """A message with a delivery annotations section (encoded map) put in its place: after the header."""
    first = next(sections(message))
    at = first.end if first.code == HEADER else 0
    return b"".join((message[:at], b"\x00\x53\x71", annotations, message[at:]))


def sections(message: Buffer) -> Iterator[Section]:
    """The sections of an encoded message, in order; raises AmqpError where there is none."""
    at, size = 0, len(message)
    while at < size:
        start = at
        if message[at] != 0x00:
            raise AmqpError(f"no section at byte {at}")
        if message[at + 1] == 0x53:
            code, value = message[at + 2], at + 3
        elif message[at + 1] == 0x80:
            code, value = amqp.UINT64.unpack_from(message, at + 2)[0], at + 10
        else:
            raise AmqpError(f"no section descriptor at byte {at + 1}")
        at = _end_of(message, value)
        if at > size:
            raise AmqpError(f"section 0x{code:02x} at byte {start} runs past the end")
        yield Section(code, start, value, at)


def _parse_batch(payload: bytes) -> Transfer:
    events, key = [], None
    for section in sections(payload):
        if section.code == DATA:
            events.append(_parse_event(_binary(payload, section.value)))
        elif section.code == ANNOTATIONS:
            key = _partition_key(_map_items(payload, section.value)[0])
    if not events:
        raise AmqpError("a batch without events")
    if key is not None:
        events = [_with_partition_key(event, key) for event in events]
    return Transfer(events, key)


def _parse_event(message: bytes) -> Event:
    at = after = count = 0
    items = b""
    found = tuple(sections(message))
    if not found:
        raise AmqpError("an empty message")
    if any(section.value - section.start != 3 for section in found):
        # azure-eventhub takes each descriptor for one of three bytes without looking
        return _parse_event(b"".join(amqp.described(section.code, message[section.value : section.end]) for section in found))
    for section in found:
        _prove(message, section)
        if section.code in (HEADER, DELIVERY_ANNOTATIONS):
            at = after = section.end
        elif section.code == ANNOTATIONS:
            items, count = _without_broker_keys(*_map_items(message, section.value))
            after = section.end
    return Event(message[:at], items, count, message[after:])


def _prove(message: bytes, section: Section) -> None:
    """Raise AmqpError unless a section holds what its code says, and every value in it is as large as it claims."""
    if section.code == DATA:
        _binary(message, section.value)
        return
    if section.code not in range(HEADER, FOOTER + 1):
        raise AmqpError(f"unknown section 0x{section.code:02x} at byte {section.start}")
    value, end = amqp.decode(message, section.value)
    if end != section.end:
        raise AmqpError(f"section 0x{section.code:02x} at byte {section.start} does not end where it says")
    if section.code in _MAPS and not isinstance(value, dict):
        raise AmqpError(f"section 0x{section.code:02x} at byte {section.start} is not a map")
    if section.code in _MOST_FIELDS and not (isinstance(value, list) and len(value) <= _MOST_FIELDS[section.code]):
        raise AmqpError(
            f"section 0x{section.code:02x} at byte {section.start} is not a list of {_MOST_FIELDS[section.code]} fields"
        )


def _with_partition_key(event: Event, key: bytes) -> Event:
    if _partition_key(event.annotations) is not None:
        return event
    item = amqp.symbol(_PARTITION_KEY.decode()) + amqp.text(key.decode("utf-8", "replace"))
    return event._replace(annotations=event.annotations + item, annotation_count=event.annotation_count + 2)


def _without_broker_keys(items: bytes, count: int) -> tuple[bytes, int]:
    """Annotations without those only the broker may set: an event that was read and is sent on still carries them."""
    if not items:
        return items, count
    kept = [(key_start, end) for key, key_start, _, end in _pairs(items) if key not in _BROKER_KEYS]
    return b"".join(items[start:end] for start, end in kept), 2 * len(kept)


def _partition_key(items: bytes) -> bytes | None:
    return next((_short_or_long(items, value) for key, _, value, _ in _pairs(items) if key == _PARTITION_KEY), None)


def _pairs(items: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """(key, start of the key, start of the value, end of the value) of raw map items."""
    at = 0
    while at < len(items):
        value = _end_of(items, at)
        end = _end_of(items, value)
        yield (_short_or_long(items, at) if items[at] >> 4 in (0xA, 0xB) else b""), at, value, end
        at = end


def _short_or_long(data: Buffer, at: int) -> bytes:
    """The bytes of a string, symbol or binary with a length of one or of four bytes."""
    if data[at] >> 4 == 0xA:
        return bytes(data[at + 2 : at + 2 + data[at + 1]])
    if data[at] >> 4 == 0xB:
        return bytes(data[at + 5 : at + 5 + amqp.UINT32.unpack_from(data, at + 1)[0]])
    raise AmqpError(f"expected text or bytes, found type 0x{data[at]:02x}")


def _binary(data: Buffer, at: int) -> bytes:
    if data[at] not in (0xA0, 0xB0):
        raise AmqpError(f"expected bytes, found type 0x{data[at]:02x}")
    return _short_or_long(data, at)


def _map_items(data: bytes, at: int) -> tuple[bytes, int]:
    """The raw items of a map, and how many there are."""
    if data[at] == 0xC1:
        return data[at + 3 : at + 2 + data[at + 1]], data[at + 2]
    if data[at] == 0xD1:
        size, count = amqp.UINT32.unpack_from(data, at + 1)[0], amqp.UINT32.unpack_from(data, at + 5)[0]
        return data[at + 9 : at + 5 + size], count
    raise AmqpError(f"expected a map, found type 0x{data[at]:02x}")


def _end_of(data: Buffer, at: int) -> int:
    """The index after the value that begins at `at`, whatever its type."""
    while data[at] == 0x00:  # a described value: skip the descriptor
        at = _end_of(data, at + 1)
    code, family = data[at], data[at] >> 4
    if family in (0xA, 0xC, 0xE):
        return at + 2 + data[at + 1]
    if family in (0xB, 0xD, 0xF):
        return int(at + 5 + amqp.UINT32.unpack_from(data, at + 1)[0])
    if family in _WIDTHS:
        return at + 1 + _WIDTHS[family]
    raise AmqpError(f"unknown type 0x{code:02x}")
