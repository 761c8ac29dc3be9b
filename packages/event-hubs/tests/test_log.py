"""The event log of a partition: order, positions, segments, retention, and what a crash or a full disk leaves behind."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_hubs_local import amqp
from event_hubs_local.log import CLOSED, LogError, PartitionLog, read_bodies
from event_hubs_local.message import DATA, Event, bodies, sequence_of


def event(body: str) -> Event:
    return Event(b"", b"", 0, amqp.described(DATA, amqp.binary(body.encode())))


def append(log: PartitionLog, *contents: str, at: int = 1000) -> None:
    log.append([event(body) for body in contents], at)


def contents(log: PartitionLog, sequence: int = 0, count: int = 10_000) -> list[str]:
    """Everything from a sequence number on, in reads of about 300 bytes."""
    return [body for _, body in numbered(log, sequence, count)]


def numbered(log: PartitionLog, sequence: int = 0, count: int = 10_000) -> list[tuple[int, str]]:
    """The same with the sequence numbers that the messages carry."""
    found: list[tuple[int, str]] = []
    while len(found) < count:
        messages, sequence = log.read(sequence, count - len(found), 300)
        if not messages:
            break
        found += [(sequence_of(message) or 0, bodies(message).decode()) for message in messages]
        assert found[-1][0] == sequence - 1
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "hub" / "00"


batches = st.lists(st.lists(st.text("abcdef", max_size=60), min_size=1, max_size=8), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(batches, st.integers(50, 600))
def test_events_come_back_in_order_across_segments_and_restarts(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[str]], segment_bytes: int
) -> None:
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
    assert log.read(len(expected), 10, 1000) == ([], len(expected))
    log.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(-1, 21), st.booleans())
def test_a_time_finds_the_first_event_at_or_after_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], wanted: int, inclusive: bool
) -> None:
    log = PartitionLog(tmp_path_factory.mktemp("log"), segment_bytes=200)
    times = sorted(steps)
    for moment in times:
        append(log, "x", at=moment)
    expected = next((i for i, t in enumerate(times) if t > wanted or (inclusive and t == wanted)), len(times))
    assert log.sequence_at_time(wanted, inclusive=inclusive) == expected
    log.close()


def test_a_log_of_any_length_keeps_one_file_open(folder: Path) -> None:
    log = PartitionLog(folder, segment_bytes=1)
    for number in range(200):
        append(log, str(number))
    assert contents(log) == [str(number) for number in range(200)]
    opened = [_opened(folder)]
    log.close()
    log = PartitionLog(folder, segment_bytes=1)
    assert contents(log, 198) == ["198", "199"]
    append(log, "after the restart")
    opened.append(_opened(folder))
    log.close()
    assert [*opened, _opened(folder)] == [1, 1, 0]


def _opened(folder: Path) -> int:
    """How many files of a folder this process has open."""
    files, held = {path.stat().st_ino for path in folder.iterdir()}, 0
    for descriptor in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            held += os.fstat(int(descriptor.name)).st_ino in files
    return held


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
    assert log.sequence_at_offset(log.last_offset + 1, inclusive=False) == 10


class TestOffsets:
    """No offset is given twice: what a reader noted never means another event, and what is new is behind it."""

    @pytest.fixture
    def place(self, folder: Path) -> int:
        """The offset of the last of three events, a segment each."""
        log = PartitionLog(folder, segment_bytes=1)
        for body in ("one", "two", "three"):
            append(log, body)
        log.close()
        return log.last_offset

    @staticmethod
    def behind(folder: Path, place: int, *bodies: str) -> list[str]:
        """What a reader finds behind its place when the log has been opened again and got new events."""
        log = PartitionLog(folder, segment_bytes=1)
        append(log, *bodies)
        return contents(log, log.sequence_at_offset(place, inclusive=False))

    def test_a_log_that_was_left_alone_goes_on(self, folder: Path, place: int) -> None:
        log = PartitionLog(folder)
        assert log.last_offset == place
        append(log, "four")
        assert place < log.last_offset < place + 200
        assert contents(log, log.sequence_at_offset(place, inclusive=False)) == ["four"]

    def test_a_log_that_takes_the_place_of_a_deleted_one(self, folder: Path, place: int) -> None:
        shutil.rmtree(folder)
        assert self.behind(folder, place, "3", "4", "5", "6", "7") == ["3", "4", "5", "6", "7"]

    def test_a_log_whose_newest_segment_was_deleted(self, folder: Path, place: int) -> None:
        max(folder.glob("*.segment")).unlink()
        assert self.behind(folder, place, "three", "4", "5") == ["three", "4", "5"]

    def test_a_log_that_lost_its_end_in_a_power_cut(self, folder: Path) -> None:
        log = PartitionLog(folder)
        append(log, "one", "two", "three")
        place, (path,) = log.last_offset, folder.glob("*.segment")
        path.write_bytes(path.read_bytes()[: log._segments[0].positions[2]])
        log = PartitionLog(folder)
        append(log, "three", "4", "5")
        assert contents(log, log.sequence_at_offset(place, inclusive=False)) == ["three", "4", "5"]

    def test_a_log_whose_process_was_killed_goes_on_without_a_gap_in_its_numbers(self, folder: Path, place: int) -> None:
        (folder / "closed").unlink()
        append(PartitionLog(folder), "four")
        log = PartitionLog(folder)
        append(log, "five")
        assert numbered(log) == [(0, "one"), (1, "two"), (2, "three"), (3, "four"), (4, "five")]
        assert contents(log, log.sequence_at_offset(place, inclusive=False)) == ["four", "five"]


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
    assert numbered(again)[0] == (first, f"event {first}")


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
            shutil.rmtree(folder)
            folder.mkdir()
            path.write_bytes(whole[:cut])
            caplog.clear()
            log = PartitionLog(folder)
            found = contents(log)
            assert found == ["one", "two", "three"][: len(found)]
            assert len(found) >= 2
            torn = cut - log.size
            assert (f"cut off {torn} bytes" in caplog.text) == (torn > 0)
            append(log, "after")
            log.close()
            log = PartitionLog(folder)
            assert contents(log) == [*found, "after"]
            log.close()

    def test_what_a_failed_write_left_behind_a_noted_end_is_gone_from_the_file(self, folder: Path) -> None:
        """The disk was full, the log was closed all the same, and it goes on in the same file."""
        log = PartitionLog(folder)
        append(log, "one")
        log.close()
        noted = (folder / CLOSED).read_text()
        log = PartitionLog(folder)
        append(log, "x" * 500)
        log.close()
        (path,) = folder.glob("*.segment")
        path.write_bytes(path.read_bytes()[:-1])
        (folder / CLOSED).write_text(noted)
        log = PartitionLog(folder)
        append(log, "two")
        assert [path] == list(folder.glob("*.segment"))
        assert path.stat().st_size == log.size
        log.close()
        assert contents(PartitionLog(folder)) == ["one", "two"]

    def test_a_tail_of_zeros_that_a_power_cut_leaves_is_cut_off(self, folder: Path) -> None:
        log = PartitionLog(folder)
        append(log, "one")
        log.close()
        (path,) = folder.glob("*.segment")
        path.write_bytes(path.read_bytes() + bytes(4096))
        log = PartitionLog(folder)
        append(log, "two")
        assert numbered(log) == [(0, "one"), (1, "two")]

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
        monkeypatch.setattr("event_hubs_local.log.os.pwrite", disk.pwrite)
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
    """Bytes that were changed after they were written: what can't be read is counted and told, and nothing else is lost."""

    @pytest.fixture
    def told(self) -> list[str]:
        return []

    @staticmethod
    def flip(path: Path, at: int) -> None:
        data = bytearray(path.read_bytes())
        data[at] ^= 0xFF
        path.write_bytes(data)

    @staticmethod
    def records(log: PartitionLog) -> list[int]:
        """Where the records of the only segment begin, and where the last one ends."""
        (segment,) = log._segments
        return [*segment.positions, segment.size]

    def test_any_flipped_byte_costs_its_own_event_only(self, folder: Path, told: list[str]) -> None:
        log = PartitionLog(folder)
        append(log, "one", "two", "three")
        log.close()
        (path,) = folder.glob("*.segment")
        whole, (_, begin, end, _) = path.read_bytes(), self.records(log)
        for at in range(begin, end):
            path.write_bytes(whole)
            self.flip(path, at)
            told.clear()
            for later in sorted(folder.glob("*.segment"))[1:]:
                later.unlink()
            log = PartitionLog(folder, report=told.append)
            append(log, "four")
            assert numbered(log) == [(0, "one"), (2, "three"), (3, "four")], f"byte {at}"
            assert len(told) == 1
            assert f"{path} is damaged at byte {begin}: 1 of the events 1 to 1 can't be read" in told[0]
            assert "put a good copy of the file in its place" in told[0]
            log.close()
            again = PartitionLog(folder)
            assert numbered(again) == [(0, "one"), (2, "three"), (3, "four")]
            again.close()

    def test_the_newest_event_keeps_its_number_when_its_bytes_are_wrong(self, folder: Path, told: list[str]) -> None:
        log = PartitionLog(folder)
        append(log, "one", "two")
        log.close()
        (path,) = folder.glob("*.segment")
        self.flip(path, -1)
        log = PartitionLog(folder, report=told.append)
        append(log, "three")
        assert numbered(log) == [(0, "one"), (2, "three")]
        assert "1 of the events 1 to 1" in told[0]

    def test_several_damaged_places_are_told_in_one_breath(self, folder: Path, told: list[str]) -> None:
        log = PartitionLog(folder)
        append(log, *map(str, range(20)))
        log.close()
        (path,) = folder.glob("*.segment")
        records = self.records(log)
        for number in (3, 4, 5, 11):
            self.flip(path, records[number] + 20)
        log = PartitionLog(folder, report=told.append)
        assert numbered(log) == [(number, str(number)) for number in range(20) if number not in (3, 4, 5, 11)]
        assert numbered(log, sequence=4, count=2) == [(6, "6"), (7, "7")]
        assert len(told) == 1
        assert "4 of the events 3 to 11" in told[0]

    def test_a_hole_of_rubbish_is_passed_over(self, folder: Path) -> None:
        log = PartitionLog(folder)
        append(log, *map(str, range(20)))
        log.close()
        (path,) = folder.glob("*.segment")
        data, records = bytearray(path.read_bytes()), self.records(log)
        data[records[2] + 7 : records[9] + 30] = b"\x00\x53" * 200
        path.write_bytes(data)
        expected = [(number, str(number)) for number in range(20) if not 2 <= number <= 9]
        assert numbered(PartitionLog(folder)) == expected

    def test_a_damaged_old_segment_is_passed_over_and_told_when_it_is_read(self, folder: Path, told: list[str]) -> None:
        log = PartitionLog(folder, segment_bytes=1)
        append(log, "one", "two")
        append(log, "three")
        log.close()
        oldest = min(folder.glob("*.segment"))
        self.flip(oldest, -1)
        log = PartitionLog(folder, segment_bytes=1, report=told.append)
        assert not told
        assert numbered(log) == [(0, "one"), (2, "three")]
        assert numbered(log, sequence=1) == [(2, "three")]
        assert len(told) == 1
        assert "1 of the events 1 to 1" in told[0]

    @pytest.mark.parametrize("left", [24, 30])
    def test_an_old_segment_that_lost_its_end_is_passed_over(self, folder: Path, told: list[str], left: int) -> None:
        log = PartitionLog(folder, segment_bytes=1)
        append(log, "one", "two")
        append(log, "three")
        log.close()
        oldest = min(folder.glob("*.segment"))
        oldest.write_bytes(oldest.read_bytes()[:left])
        assert numbered(PartitionLog(folder, report=told.append)) == [(2, "three")]
        assert "2 of the events 0 to 1" in told[0]

    def test_a_segment_that_was_taken_away_is_passed_over(self, folder: Path, told: list[str]) -> None:
        log = PartitionLog(folder, segment_bytes=1)
        for body in ("one", "two", "three", "four"):
            append(log, body)
        log.close()
        sorted(folder.glob("*.segment"))[1].unlink()
        assert numbered(PartitionLog(folder, report=told.append)) == [(0, "one"), (2, "three"), (3, "four")]
        assert "1 of the events 1 to 1" in told[0]

    @pytest.mark.parametrize("damaged", range(6))
    @pytest.mark.parametrize("segment_bytes", [1, 250, 10_000])
    def test_a_time_finds_its_event_beside_a_damaged_one(self, folder: Path, segment_bytes: int, damaged: int) -> None:
        log = PartitionLog(folder, segment_bytes=segment_bytes)
        for number in range(6):
            append(log, str(number), at=1000 * number)
        segment = log._segment_of(damaged)
        self.flip(segment.path, segment.positions[damaged - segment.first] + 12)
        log.close()
        log = PartitionLog(folder, segment_bytes=segment_bytes)
        for number in range(6):
            found = numbered(log, log.sequence_at_time(1000 * number, inclusive=True))
            assert found == [(each, str(each)) for each in range(number, 6) if each != damaged]
        log.close()

    def test_a_foreign_file_is_named(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "00000000000000000000.segment").write_text("something else entirely, of some length")
        with pytest.raises(
            LogError, match=f"is not an event log segment.*a good copy in its place, or delete the folder {folder}"
        ):
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
