"""The event log of one partition: append-only segment files, of which memory keeps positions only.

A partition is a folder of segments, each named after its first sequence number. A segment begins with a header (magic, first
sequence number, offset at which it begins in the partition) followed by records: length, CRC-32, enqueued time, message. The
offset of an event is where its record begins in its segment, counted from the offset at which the segment begins. No offset is
ever given twice, whatever was deleted or lost: where it is not sure that the log ends where it ended last, counting goes on from
the present (microseconds). So the place of a reader in a log that was cut is before all that is new.

What `append` has returned survives the death of the process: the bytes are in the kernel's hands. They are not synced to disk,
so a power cut can take the last seconds. A record that was half written when the process died is cut off at the next start.
Damage is something else: there the numbers of the events that can't be read stay taken, and reading goes on behind them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import time
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from event_hubs_local.amqp import UINT64
from event_hubs_local.message import Event, bodies, sequence_of

SEGMENT_BYTES = 8 << 20
"""A new segment begins when the current one has grown to this size."""
RETAINED_BYTES = 128 << 20
"""How much a partition keeps; the oldest segments beyond it are dropped."""
SUFFIX = ".segment"
CLOSED = "closed"
"""The file in which a log notes its end when it is closed: the newest segment and its size."""

_MAGIC = b"EHSEG\x00\x00\x01"
_HEADER = struct.Struct(">8sQQ")
_RECORD = struct.Struct(">IIQ")
_MESSAGE_START = b"\x00\x53"
_MOST_EVENTS = 1 << 20
"""More than a segment can hold: a record that claims to be so far away is not a record but the body of one."""
Report = Callable[[str], None]
_log = logging.getLogger("event_hubs_local.log")


class LogError(Exception):
    """An event log can't be read or written. The text names the file and the next step."""


class _Segment:
    """One segment file. Its positions are read from the file when first needed, unless it is the one being written.

    `until` is the number at which the segment after it begins, None as long as it is the newest. Only the newest keeps its file
    open: a log of any length has one.
    """

    def __init__(self, path: Path, report: Report = _log.warning) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.until: int | None = None
        self._descriptor: int | None = None
        try:
            magic, first, base = _HEADER.unpack(self._read(_HEADER.size, 0))
        except struct.error:
            magic, first, base = b"", 0, 0
        if magic != _MAGIC:
            raise LogError(
                f"{path} is not an event log segment, or its head is damaged: stop the run, put a good copy in its place, or "
                f"delete the folder {path.parent}. What was in it is then lost; its readers say so and go on."
            )
        self.first: int = first
        self.base: int = base
        self._report = report
        self._positions: array[int] | None = None
        self._lost: set[int] = set()

    @property
    def descriptor(self) -> int:
        """The file to write to; open until `close`."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        return self._descriptor

    def ended(self, until: int) -> None:
        """Another segment follows it and begins at this number."""
        self.until = until
        self.close()

    @property
    def positions(self) -> array[int]:
        """Where each record begins; one that can't be read stands where the damage begins."""
        if self._positions is None:
            self._load()
        assert self._positions is not None
        return self._positions

    @property
    def next(self) -> int:
        """The sequence number after its last event."""
        return self.first + len(self.positions)

    def cut_torn_tail(self) -> int:
        """Cut off what follows the last record; gives how many bytes that were."""
        end = self._load()
        torn = self.size - end
        if torn:
            os.ftruncate(self.descriptor, end)
            self.size = end
        return torn

    def extended(self, positions: Sequence[int], size: int) -> None:
        """Take records that have been written at the end into account."""
        self.positions.extend(positions)
        self.size = size

    def enqueued_ms(self, sequence: int) -> int | None:
        """Enqueued time (milliseconds since the Unix epoch) of an event or the next readable one; None when there is none."""
        for index in range(sequence - self.first, len(self.positions)):
            if index not in self._lost:
                return self._time_of(index)
        return None

    def last_enqueued_ms(self) -> int | None:
        """Enqueued time of the newest readable event; None when there is none."""
        for index in reversed(range(len(self.positions))):
            if index not in self._lost:
                return self._time_of(index)
        return None

    def messages(self, sequence: int, count: int, most_bytes: int) -> tuple[list[bytes], int]:
        """Up to `count` messages from `sequence` on, about `most_bytes` of them but at least one, in one read, and the sequence
        number to go on with. What can't be read is passed over; none when nothing readable is left.
        """
        positions, start = self.positions, sequence - self.first
        while start in self._lost:
            start += 1
        last = min(start + count, len(positions))
        if self._lost:
            last = next((index for index in range(start, last) if index in self._lost), last)
        if start == last:
            return [], self.first + last
        begin = positions[start]
        if self._begin_of(last) - begin > most_bytes:
            last = max(start + 1, bisect_right(positions, begin + most_bytes, start, last) - 1)
        block = self._read(self._begin_of(last) - begin, begin)
        found = [_message_at(block, position - begin) for position in positions[start:last]]
        return found, self.first + last

    def whole_messages(self) -> Iterator[bytes]:
        """Every message that can be read."""
        positions, lost, _ = self._scan()
        for index, begin in enumerate(positions):
            if index not in lost:
                length, _, _ = _RECORD.unpack(self._read(_RECORD.size, begin))
                yield self._read(length, begin + _RECORD.size)

    def close(self) -> None:
        """Give the file back, if it is open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _read(self, size: int, at: int) -> bytes:
        """Bytes of the file, fewer where it ends."""
        if self._descriptor is not None:
            return os.pread(self._descriptor, size, at)
        with self.path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, at)

    def _begin_of(self, index: int) -> int:
        return self.positions[index] if index < len(self.positions) else self.size

    def _time_of(self, index: int) -> int:
        return int(_RECORD.unpack(self._read(_RECORD.size, self.positions[index]))[2])

    def _load(self) -> int:
        """Find the records, say what can't be read, and give where the last record ends."""
        positions, lost, end = self._scan()
        if self.until is not None:
            missing = self.until - self.first - len(positions)
            lost.update(range(len(positions), len(positions) + missing))
            positions.extend([end] * missing)
        self._positions, self._lost = positions, lost
        if lost:
            self._report(
                f"{self.path} is damaged at byte {positions[min(lost)]}: {len(lost)} of the events {self.first + min(lost)} to "
                f"{self.first + max(lost)} can't be read and are passed over, all others are kept. To get them back stop the run "
                "and put a good copy of the file in its place; see to the disk."
            )
        return end

    def _scan(self) -> tuple[array[int], set[int], int]:
        """Positions of the records, the indexes of those that can't be read, and where the last record ends.

        A process that is killed leaves a half record and nothing behind it. A wrong checksum in front of whole records, or in a
        record that has its full length, is damage.
        """
        data = self._read(self.size, 0)
        positions: array[int] = array("Q")
        lost: set[int] = set()
        at = _HEADER.size
        while at < len(data):
            end = _end_of_whole(data, at)
            if end is not None:
                positions.append(at)
                at = end
                continue
            found = self._next_whole(data, at, len(positions))
            if found is None:
                end = _end_of_unproved(data, at)
                if end is None:
                    break
                found = end, len(positions) + 1
            lost.update(range(len(positions), found[1]))
            positions.extend([at] * (found[1] - len(positions)))
            at = found[0]
        return positions, lost, at

    def _next_whole(self, data: bytes, damaged_at: int, index: int) -> tuple[int, int] | None:
        """Where the next whole record behind a damaged one begins, and its index; its own number says how many are missing."""
        start = data.find(_MESSAGE_START, damaged_at + 1 + _RECORD.size)
        while start >= 0:
            at = start - _RECORD.size
            end = _end_of_whole(data, at)
            sequence = sequence_of(data[start:end]) if end is not None else None
            if sequence is not None and index < sequence - self.first < _MOST_EVENTS:
                return at, sequence - self.first
            start = data.find(_MESSAGE_START, start + 1)
        return None


def _end_of_whole(data: bytes, at: int) -> int | None:
    """Where the record at `at` ends, None unless all of it is there and its checksum is right."""
    end = _end_of_unproved(data, at)
    if end is None or zlib.crc32(memoryview(data)[at + 8 : end]) != _RECORD.unpack_from(data, at)[1]:
        return None
    return end


def _end_of_unproved(data: bytes, at: int) -> int | None:
    """Where the record at `at` ends by its own word, None when that can't be."""
    if at + _RECORD.size > len(data):
        return None
    length: int = _RECORD.unpack_from(data, at)[0]
    end = at + _RECORD.size + length
    return end if length and end <= len(data) else None


def _message_at(block: bytes, at: int) -> bytes:
    begin = at + _RECORD.size
    return block[begin : begin + _RECORD.unpack_from(block, at)[0]]


class PartitionLog:
    """The events of one partition, in order, by sequence number. Not safe for use from several threads."""

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        retained_bytes: int = RETAINED_BYTES,
        report: Report = _log.warning,
    ) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self.retained_bytes = retained_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._report = report
        self._segments = [_Segment(path, report) for path in sorted(folder.glob(f"*{SUFFIX}"))]
        for segment, following in pairwise(self._segments):
            segment.ended(following.first)
        self._needs_cut = False
        if self._segments:
            torn = self._segments[-1].cut_torn_tail()
            if torn:
                _log.warning("%s: cut off %d bytes that were half written when the process died", self._segments[-1].path, torn)
            self._ends_as_noted = self._end() == _read_text(folder / CLOSED)
        else:
            self._begin_segment(0, _now_us())
            self._ends_as_noted = True
        with contextlib.suppress(OSError):
            (folder / CLOSED).unlink(missing_ok=True)
        self.last_enqueued_ms = self._last_enqueued_ms()

    @property
    def first_sequence(self) -> int:
        """Sequence number of the oldest event kept (of the next event, when there is none)."""
        return self._segments[0].first

    @property
    def next_sequence(self) -> int:
        """Sequence number the next event will get."""
        return self._segments[-1].next

    @property
    def last_offset(self) -> int:
        """Offset of the newest event, -1 when none is kept."""
        for segment in reversed(self._segments):
            if segment.positions:
                return segment.base + segment.positions[-1]
        return -1

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in self._segments)

    def append(self, events: Sequence[Event], now_ms: int) -> None:
        """Write events, all or none; raises LogError when the disk does not take them (nothing has changed then).

        Times never run backwards within a partition, so that it can be searched by time.
        """
        try:
            self._fix()
            newest = self._segments[-1]
            if newest.size >= self.segment_bytes or not self._ends_as_noted:
                end = newest.base + newest.size
                self._begin_segment(self.next_sequence, end if self._ends_as_noted else max(end, _now_us()))
                self._ends_as_noted = True
                self._drop_old()
            self._write(events, max(now_ms, self.last_enqueued_ms))
        except OSError as fault:
            with contextlib.suppress(OSError):  # tried again before the next write
                self._fix()
            raise LogError(
                f"{self.folder} takes no more events ({fault.strerror}): free disk space, or stop the run and delete old data."
            ) from fault

    def read(self, sequence: int, count: int, most_bytes: int) -> tuple[list[bytes], int]:
        """Messages from `sequence` on, at most `count` and, beyond the first, about `most_bytes`, none at the end; and the
        sequence number to go on with. What is gone or can't be read is passed over.
        """
        sequence = max(sequence, self.first_sequence)
        while sequence < self.next_sequence:
            messages, sequence = self._segment_of(sequence).messages(sequence, count, most_bytes)
            if messages:
                return messages, sequence
        return [], sequence

    def sequence_at_offset(self, offset: int, *, inclusive: bool) -> int:
        """Sequence number of the first event after (or at) an offset."""
        index = max(0, bisect_right(self._segments, offset, key=lambda segment: segment.base) - 1)
        segment = self._segments[index]
        search = bisect_left if inclusive else bisect_right
        return segment.first + search(segment.positions, offset - segment.base)

    def sequence_at_time(self, milliseconds: int, *, inclusive: bool) -> int:
        """Sequence number of the first event enqueued after (or at) a time."""
        low, high = self.first_sequence, self.next_sequence
        while low < high:
            middle = (low + high) // 2
            enqueued = self._enqueued_ms(middle)
            if enqueued < milliseconds or (enqueued == milliseconds and not inclusive):
                low = middle + 1
            else:
                high = middle
        return low

    def close(self) -> None:
        """Close every file, and note where the log ends."""
        with contextlib.suppress(OSError):  # without the note offsets go on from the present
            (self.folder / CLOSED).write_text(self._end())
        for segment in self._segments:
            segment.close()

    def _end(self) -> str:
        return f"{self._segments[-1].path.name} {self._segments[-1].size}"

    def _segment_of(self, sequence: int) -> _Segment:
        index = bisect_right(self._segments, sequence, key=lambda segment: segment.first) - 1
        return self._segments[max(0, index)]

    def _enqueued_ms(self, sequence: int) -> int:
        """Enqueued time of an event or, where it can't be read, of the next one that can."""
        found = None
        while found is None and sequence < self.next_sequence:
            segment = self._segment_of(sequence)
            found, sequence = segment.enqueued_ms(sequence), segment.next
        return self.last_enqueued_ms if found is None else found

    def _last_enqueued_ms(self) -> int:
        return next((found for each in reversed(self._segments) if (found := each.last_enqueued_ms()) is not None), 0)

    def _write(self, events: Sequence[Event], enqueued_ms: int) -> None:
        segment = self._segments[-1]
        sequence, at = segment.next, segment.size
        time_crc = zlib.crc32(UINT64.pack(enqueued_ms))
        positions: list[int] = []
        pieces: list[bytes] = []
        for event in events:
            message = event.stamped(sequence, segment.base + at, enqueued_ms)
            crc = zlib.crc32(message, time_crc)
            pieces += (_RECORD.pack(len(message), crc, enqueued_ms), message)
            positions.append(at)
            sequence += 1
            at += _RECORD.size + len(message)
        self._needs_cut = True
        _write_all(segment.descriptor, b"".join(pieces), segment.size)
        self._needs_cut = False
        segment.extended(positions, at)
        self.last_enqueued_ms = enqueued_ms

    def _fix(self) -> None:
        """Cut off what a failed write may have left behind the last event."""
        if self._needs_cut:
            os.ftruncate(self._segments[-1].descriptor, self._segments[-1].size)
            self._needs_cut = False

    def _begin_segment(self, first: int, base: int) -> None:
        """Create a segment: written aside and renamed, so that no segment ever lacks its header. It replaces an empty one."""
        if self._segments and self._segments[-1].first == first:
            self._segments.pop().close()
        path = self.folder / f"{first:020d}{SUFFIX}"
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(_HEADER.pack(_MAGIC, first, base))
        unfinished.replace(path)
        segment = _Segment(path, self._report)
        segment.cut_torn_tail()
        if self._segments:
            self._segments[-1].ended(first)
        self._segments.append(segment)

    def _drop_old(self) -> None:
        while len(self._segments) > 1 and self.size - self._segments[0].size >= self.retained_bytes:
            oldest = self._segments.pop(0)
            oldest.close()
            oldest.path.unlink()


def _now_us() -> int:
    return time.time_ns() // 1000


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    """Write everything at a position; raises OSError when the disk does not take it."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view = view[written:]
        at += written


def read_bodies(hubs_folder: Path, hub: str) -> Iterator[bytes]:
    """Bodies of all events a hub keeps, partition by partition, read from disk; the broker need not run.

    A torn or damaged record is left out, and left alone. Raises LogError.
    """
    for folder in sorted((hubs_folder / hub).iterdir()):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            with contextlib.closing(_Segment(path)) as segment:
                yield from map(bodies, segment.whole_messages())
