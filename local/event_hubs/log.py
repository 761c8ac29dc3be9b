"""The event log of one partition: append-only segment files, of which memory keeps positions only.

A partition is a folder of segments, each named after its first sequence number. A segment begins with a header (magic, first
sequence number, offset at which it begins in the partition) followed by records: length, CRC-32, enqueued time, message. The
offset of an event is where its record begins in the partition, counted over all segments there ever were.

What `append` has returned survives the death of the process: the bytes are in the kernel's hands. They are not synced to disk,
so a power cut can take the last seconds. A record that was half written when the process died is cut off at the next start.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from local.event_hubs.amqp import UINT64
from local.event_hubs.message import Event, bodies

SEGMENT_BYTES = 8 << 20
"""A new segment begins when the current one has grown to this size."""
RETAINED_BYTES = 128 << 20
"""How much a partition keeps; the oldest segments beyond it are dropped."""
SUFFIX = ".segment"

_MAGIC = b"EHSEG\x00\x00\x01"
_HEADER = struct.Struct(">8sQQ")
_RECORD = struct.Struct(">IIQ")
_log = logging.getLogger("roompulse.event_hubs.log")


class LogError(Exception):
    """An event log can't be read or written. The text names the file and the next step."""


class _Segment:
    """One segment file. Its positions are read from the file when first needed, unless it is the one being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            magic, first, base = _HEADER.unpack(os.pread(self.descriptor, _HEADER.size, 0))
        except struct.error:
            magic, first, base = b"", 0, 0
        if magic != _MAGIC:
            os.close(self.descriptor)
            raise LogError(f"{path} is no event log segment: move it away, or delete the folder {path.parents[1]} to start anew.")
        self.first: int = first
        self.base: int = base
        self.size = os.fstat(self.descriptor).st_size
        self._positions: array[int] | None = None

    @property
    def positions(self) -> array[int]:
        """Where each record begins; raises LogError when the file is damaged."""
        if self._positions is None:
            positions, end = self._scan()
            if end != self.size:
                raise LogError(
                    f"{self.path} is damaged at byte {end} of {self.size}: delete this file and those after it in its folder, "
                    "or the whole folder to start anew."
                )
            self._positions = positions
        return self._positions

    @property
    def next(self) -> int:
        """The sequence number after its last event."""
        return self.first + len(self.positions)

    def cut_torn_tail(self) -> int:
        """Cut off what follows the last whole record; gives how many bytes that were."""
        self._positions, end = self._scan()
        torn = self.size - end
        if torn:
            os.ftruncate(self.descriptor, end)
            self.size = end
        return torn

    def extended(self, positions: Sequence[int], size: int) -> None:
        """Take records that have been written at the end into account."""
        self.positions.extend(positions)
        self.size = size

    def enqueued_ms(self, sequence: int) -> int:
        """Enqueued time of one event, milliseconds since the Unix epoch."""
        raw = os.pread(self.descriptor, _RECORD.size, self.positions[sequence - self.first])
        return int(_RECORD.unpack(raw)[2])

    def messages(self, sequence: int, count: int, most_bytes: int) -> list[bytes]:
        """Up to `count` messages from `sequence` on, about `most_bytes` of them but at least one, in one read."""
        positions, first = self.positions, sequence - self.first
        start, last = positions[first], min(first + count, len(positions))
        if self._begin_of(last) - start > most_bytes:
            last = max(first + 1, bisect_right(positions, start + most_bytes, first, last) - 1)
        edges = [position - start for position in positions[first:last]]
        edges.append(self._begin_of(last) - start)
        block = os.pread(self.descriptor, edges[-1], start)
        return [block[begin + _RECORD.size : end] for begin, end in pairwise(edges)]

    def whole_messages(self) -> Iterator[bytes]:
        """Every message up to the first record that is torn."""
        positions, end = self._scan()
        for begin, stop in pairwise([*positions, end]):
            yield os.pread(self.descriptor, stop - begin - _RECORD.size, begin + _RECORD.size)

    def close(self) -> None:
        """Give the file back."""
        os.close(self.descriptor)

    def _begin_of(self, index: int) -> int:
        return self.positions[index] if index < len(self.positions) else self.size

    def _scan(self) -> tuple[array[int], int]:
        """Positions of the whole records, and where the last of them ends."""
        positions: array[int] = array("Q")
        data = os.pread(self.descriptor, self.size, 0)
        at, size = _HEADER.size, len(data)
        view = memoryview(data)
        while at + _RECORD.size <= size:
            length, crc, _ = _RECORD.unpack_from(data, at)
            end = at + _RECORD.size + length
            if end > size or zlib.crc32(view[at + 8 : end]) != crc:
                break
            positions.append(at)
            at = end
        return positions, at


class PartitionLog:
    """The events of one partition, in order, by sequence number. Not safe for use from several threads."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, retained_bytes: int = RETAINED_BYTES) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self.retained_bytes = retained_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._segments = [_Segment(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
        self._needs_cut = False
        if self._segments:
            torn = self._segments[-1].cut_torn_tail()
            if torn:
                _log.warning("%s: cut off %d bytes that were half written when the process died", self._segments[-1].path, torn)
        else:
            self._begin_segment(0, 0)
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
            self._mend()
            if self._segments[-1].size >= self.segment_bytes:
                self._begin_segment(self.next_sequence, self._segments[-1].base + self._segments[-1].size)
                self._drop_old()
            self._write(events, max(now_ms, self.last_enqueued_ms))
        except OSError as fault:
            with contextlib.suppress(OSError):  # tried again before the next write
                self._mend()
            raise LogError(
                f"{self.folder} takes no more events ({fault.strerror}): free disk space, or stop the run and delete old data."
            ) from fault

    def read(self, sequence: int, count: int, most_bytes: int) -> list[bytes]:
        """Messages from `sequence` on: at most `count` and, beyond the first, about `most_bytes`; none at the end."""
        if not self.first_sequence <= sequence < self.next_sequence:
            return []
        segment = self._segment_of(sequence)
        if sequence >= segment.next:
            raise LogError(f"{segment.path} ends before event {sequence}: delete the folder {self.folder} to start anew.")
        return segment.messages(sequence, count, most_bytes)

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
            enqueued = self._segment_of(middle).enqueued_ms(middle)
            if enqueued < milliseconds or (enqueued == milliseconds and not inclusive):
                low = middle + 1
            else:
                high = middle
        return low

    def close(self) -> None:
        """Close every file."""
        for segment in self._segments:
            segment.close()

    def _segment_of(self, sequence: int) -> _Segment:
        index = bisect_right(self._segments, sequence, key=lambda segment: segment.first) - 1
        return self._segments[max(0, index)]

    def _last_enqueued_ms(self) -> int:
        for segment in reversed(self._segments):
            if segment.positions:
                return segment.enqueued_ms(segment.next - 1)
        return 0

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

    def _mend(self) -> None:
        """Cut off what a failed write may have left behind the last event."""
        if self._needs_cut:
            os.ftruncate(self._segments[-1].descriptor, self._segments[-1].size)
            self._needs_cut = False

    def _begin_segment(self, first: int, base: int) -> None:
        """Create a segment: written aside and renamed, so that no segment ever lacks its header."""
        path = self.folder / f"{first:020d}{SUFFIX}"
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(_HEADER.pack(_MAGIC, first, base))
        unfinished.replace(path)
        segment = _Segment(path)
        segment.cut_torn_tail()
        self._segments.append(segment)

    def _drop_old(self) -> None:
        while len(self._segments) > 1 and self.size - self._segments[0].size >= self.retained_bytes:
            oldest = self._segments.pop(0)
            oldest.close()
            oldest.path.unlink()


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    """Write everything at a position; raises OSError when the disk does not take it."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view = view[written:]
        at += written


def read_bodies(hubs_folder: Path, hub: str) -> Iterator[bytes]:
    """Bodies of all events a hub keeps, partition by partition, read from disk; the broker need not run.

    A torn record at the end of a partition is left out, and left alone. Raises LogError.
    """
    for folder in sorted((hubs_folder / hub).iterdir()):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            with contextlib.closing(_Segment(path)) as segment:
                yield from map(bodies, segment.whole_messages())
