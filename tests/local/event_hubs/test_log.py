"""The event log of a partition: order, positions, segments, retention, and what a crash or a full disk leaves behind."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.event_hubs import amqp
from local.event_hubs import log as log_module
from local.event_hubs.log import LogError, PartitionLog, read_bodies
from local.event_hubs.message import DATA, Event, bodies


def event(body: str) -> Event:
    return Event(b"", b"", 0, amqp.described(DATA, amqp.binary(body.encode())))


def append(log: PartitionLog, *contents: str, at: int = 1000) -> None:
    log.append([event(body) for body in contents], at)


def contents(log: PartitionLog, sequence: int = 0, count: int = 10_000) -> list[str]:
    """Everything from a sequence number on, in reads of about 300 bytes."""
    found: list[str] = []
    at = max(sequence, log.first_sequence)
    while messages := log.read(at, count - len(found), 300):
        found += [bodies(message).decode() for message in messages]
        at += len(messages)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "hub" / "00"


batches = st.lists(st.lists(st.text("abcdef", max_size=60), min_size=1, max_size=8), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(batches, st.integers(50, 600))
def test_events_come_back_in_order_across_segments_and_restarts(tmp_path_factory, batches, segment_bytes) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("log")
    expected: list[str] = []
    for batch in batches:
        log = PartitionLog(folder, segment_bytes=segment_bytes)
        assert log.next_sequence == len(expected)
        append(log, *batch)
        expected += batch
        assert contents(log) == expected
        log.close()
    log = PartitionLog(folder, segment_bytes=segment_bytes)
    assert contents(log) == expected
    middle = len(expected) // 2
    assert contents(log, middle) == expected[middle:]
    assert log.read(len(expected), 10, 1000) == []
    log.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(-1, 21), st.booleans())
def test_a_time_finds_the_first_event_at_or_after_it(tmp_path_factory, steps, wanted, inclusive) -> None:  # type: ignore[no-untyped-def]
    log = PartitionLog(tmp_path_factory.mktemp("log"), segment_bytes=200)
    times = sorted(steps)
    for moment in times:
        append(log, "x", at=moment)
    expected = next((i for i, t in enumerate(times) if t > wanted or (inclusive and t == wanted)), len(times))
    assert log.sequence_at_time(wanted, inclusive=inclusive) == expected
    log.close()


def test_time_never_runs_backwards_in_a_partition(folder: Path) -> None:
    log = PartitionLog(folder)
    append(log, "a", at=5000)
    append(log, "b", at=4000)
    assert log.last_enqueued_ms == 5000
    assert log.sequence_at_time(4500, inclusive=True) == 0


def test_an_offset_finds_its_event_and_the_next_one(folder: Path) -> None:
    log = PartitionLog(folder, segment_bytes=150)
    offsets = []
    for number in range(10):
        append(log, str(number))
        offsets.append(log.last_offset)
    assert offsets == sorted(set(offsets))
    for sequence, offset in enumerate(offsets):
        assert log.sequence_at_offset(offset, inclusive=True) == sequence
        assert log.sequence_at_offset(offset, inclusive=False) == sequence + 1
    assert log.sequence_at_offset(10**9, inclusive=False) == 10


def test_old_segments_are_dropped_and_numbering_goes_on(folder: Path) -> None:
    log = PartitionLog(folder, segment_bytes=400, retained_bytes=1000)
    for number in range(100):
        append(log, f"event {number}")
    assert 0 < log.first_sequence < 100
    assert contents(log) == [f"event {number}" for number in range(log.first_sequence, 100)]
    assert log.size < 1000 + 2 * 500
    first, offset = log.first_sequence, log.last_offset
    log.close()
    again = PartitionLog(folder, segment_bytes=400, retained_bytes=1000)
    assert (again.first_sequence, again.next_sequence, again.last_offset) == (first, 100, offset)
    assert again.read(0, 10, 1000) == []


def test_memory_holds_positions_only(folder: Path) -> None:
    log = PartitionLog(folder)
    append(log, *["x" * 1000] * 2000)
    (segment,) = log._segments
    assert len(segment.positions) * segment.positions.itemsize == 16_000


class TestKilledWhileWriting:
    """kill -9 leaves any prefix of the last write; every cut must give the events before it and no half one."""

    def test_every_possible_tear_is_cut_at_an_event(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        log = PartitionLog(folder)
        append(log, "one", "two")
        kept = log.size
        append(log, "three", "four")
        log.close()
        (path,) = folder.glob("*.segment")
        whole = path.read_bytes()
        for cut in range(kept, len(whole)):
            path.write_bytes(whole[:cut])
            caplog.clear()
            log = PartitionLog(folder)
            found = contents(log)
            assert found == ["one", "two", "three"][: len(found)]
            assert len(found) >= 2
            torn = cut - log.size
            assert (f"cut off {torn} bytes" in caplog.text) == (torn > 0)
            append(log, "after")
            assert contents(log) == [*found, "after"]
            log.close()

    def test_a_record_with_wrong_bytes_is_cut_off(self, folder: Path) -> None:
        log = PartitionLog(folder)
        append(log, "one", "two")
        log.close()
        (path,) = folder.glob("*.segment")
        data = bytearray(path.read_bytes())
        data[-1] ^= 0xFF
        path.write_bytes(data)
        assert contents(PartitionLog(folder)) == ["one"]

    def test_a_segment_that_was_never_finished_being_created_is_no_segment(self, folder: Path) -> None:
        log = PartitionLog(folder)
        append(log, "one")
        log.close()
        (folder / f"{1:020d}.new").write_bytes(b"half a hea")
        log = PartitionLog(folder, segment_bytes=1)
        append(log, "two")
        assert contents(log) == ["one", "two"]


class TestFullDisk:
    @pytest.fixture
    def disk(self, monkeypatch: pytest.MonkeyPatch) -> FullDisk:
        disk = FullDisk()
        monkeypatch.setattr(log_module.os, "pwrite", disk.pwrite)
        return disk

    @pytest.mark.parametrize("room", [0, 1, 40, 100])
    def test_all_or_nothing_is_written_and_it_goes_on_when_there_is_room(self, folder: Path, disk: FullDisk, room: int) -> None:
        log = PartitionLog(folder)
        append(log, "one")
        disk.room = room
        with pytest.raises(LogError, match=r"No space left on device.*free disk space"):
            append(log, "two", "three", "four")
        assert contents(log) == ["one"]
        assert log.next_sequence == 1
        disk.room = None
        append(log, "five")
        assert contents(log) == ["one", "five"]
        log.close()
        assert contents(PartitionLog(folder)) == ["one", "five"]

    def test_a_restart_after_a_failed_write_shows_none_of_it(self, folder: Path, disk: FullDisk) -> None:
        log = PartitionLog(folder)
        append(log, "one")
        disk.room = 150
        with pytest.raises(LogError):
            append(log, "two", "three", "four")
        log.close()
        assert contents(PartitionLog(folder)) == ["one"]

    def test_no_room_for_a_new_segment_changes_nothing(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        log = PartitionLog(folder, segment_bytes=1)
        append(log, "one")

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(Path, "write_bytes", refuse)
            with pytest.raises(LogError):
                append(log, "two")
        append(log, "three")
        assert contents(log) == ["one", "three"]

    def test_a_segment_that_is_still_empty_hides_nothing(self, folder: Path, disk: FullDisk) -> None:
        log = PartitionLog(folder, segment_bytes=1)
        append(log, "one", at=5000)
        offset = log.last_offset
        disk.room = 0
        with pytest.raises(LogError):
            append(log, "two")
        disk.room = None
        assert log.last_offset == offset
        log.close()
        again = PartitionLog(folder, segment_bytes=1)
        assert (again.last_offset, again.last_enqueued_ms, contents(again)) == (offset, 5000, ["one"])


class FullDisk:
    """Stands in for os.pwrite on a disk with `room` bytes left."""

    def __init__(self) -> None:
        self.room: int | None = None
        self._pwrite = os.pwrite

    def pwrite(self, descriptor: int, data: memoryview, at: int) -> int:
        if self.room is None:
            return self._pwrite(descriptor, data, at)
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._pwrite(descriptor, data[: self.room], at)
        self.room -= written
        return written


class TestDamage:
    def test_a_damaged_old_segment_is_named_with_the_way_out(self, folder: Path) -> None:
        log = PartitionLog(folder, segment_bytes=1)
        append(log, "one")
        append(log, "two")
        log.close()
        oldest = min(folder.glob("*.segment"))
        data = bytearray(oldest.read_bytes())
        data[-1] ^= 0xFF
        oldest.write_bytes(data)
        with pytest.raises(LogError, match=rf"{oldest.name} is damaged at byte 24 of {len(data)}: delete"):
            contents(PartitionLog(folder))

    def test_an_old_segment_that_lost_events_is_named(self, folder: Path) -> None:
        log = PartitionLog(folder, segment_bytes=1)
        append(log, "one")
        append(log, "two")
        log.close()
        oldest = min(folder.glob("*.segment"))
        oldest.write_bytes(oldest.read_bytes()[:24])
        with pytest.raises(LogError, match="ends before event 0"):
            contents(PartitionLog(folder))

    def test_a_foreign_file_is_named(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "00000000000000000000.segment").write_text("something else entirely, of some length")
        with pytest.raises(LogError, match="is no event log segment"):
            PartitionLog(folder)


def test_bodies_are_read_without_the_broker_and_a_torn_end_is_left_alone(tmp_path: Path) -> None:
    for partition, body in (("00", "a"), ("01", "b")):
        log = PartitionLog(tmp_path / "hub" / partition, segment_bytes=1)
        append(log, f"{body}1", f"{body}2")
        append(log, f"{body}3")
        log.close()
    last = max((tmp_path / "hub" / "01").glob("*.segment"))
    last.write_bytes(last.read_bytes() + b"torn")
    before = last.stat().st_size
    assert list(read_bodies(tmp_path, "hub")) == [b"a1", b"a2", b"a3", b"b1", b"b2", b"b3"]
    assert last.stat().st_size == before


def test_a_clean_start_says_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    append(PartitionLog(folder), "one")
    PartitionLog(folder)
    assert caplog.text == ""
