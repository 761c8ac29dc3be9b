"""A Delta table takes every row once: repeats, replays, crashes, a full disk and a damaged folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from duckdb import DuckDBPyConnection as Connection
from hypothesis import given, settings
from hypothesis import strategies as st

from asa_engine.databases import calculator
from local.lake import delta_table
from local.lake.delta_table import DeltaTableWriter, LakeTableError
from local.lake.stored_files import stored_files

ROOT = Path(__file__).resolve().parents[3]
COLUMNS = {"id": "VARCHAR", "signal": "VARCHAR", "observedAt": "TIMESTAMPTZ", "date": "VARCHAR", "value": "DOUBLE"}
KEY = ("id", "signal")


@pytest.fixture
def connection() -> Iterator[Connection]:
    with calculator() as opened:
        yield opened


def table(path: Path, **narrowed: str) -> DeltaTableWriter:
    return DeltaTableWriter(path / "readings", KEY, COLUMNS, **narrowed)


def rows(ids: list[int]) -> str:
    """A row per id, one an hour from 2026-11-01: the same id gives the same row."""
    return f"""select i::varchar as id, 'temperature' as signal,
                   timestamptz '2026-11-01 00:00:00.000123Z' + interval 1 hour * i as "observedAt",
                   strftime(timestamptz '2026-11-01 00:00:00Z' + interval 1 hour * i, '%Y-%m-%d') as date, i / 2 as value
            from (select unnest({ids}::bigint[]) as i)"""


def reopened(writer: DeltaTableWriter, path: Path) -> DeltaTableWriter:
    writer.close()
    return table(path)


def stored_ids(connection: Connection, writer: DeltaTableWriter) -> list[int]:
    files = DeltaTable(str(writer.path)).file_uris()
    return sorted(int(row[0]) for row in connection.sql(f"select id from read_parquet({files})").fetchall())


def test_the_first_append_makes_the_table(tmp_path: Path, connection: Connection) -> None:
    writer = table(tmp_path)
    assert not DeltaTable.is_deltatable(str(writer.path))
    assert writer.append(connection, rows([1, 2])) == 2
    assert stored_ids(connection, writer) == [1, 2]


def test_a_row_that_comes_again_is_dropped_in_the_batch_and_across_appends(tmp_path: Path, connection: Connection) -> None:
    writer = table(tmp_path)
    assert writer.append(connection, rows([1, 2, 2, 1])) == 2
    assert writer.append(connection, rows([2, 3])) == 1
    assert reopened(writer, tmp_path).append(connection, rows([1, 2, 3])) == 0


def test_an_empty_key_column_counts_as_a_value(tmp_path: Path, connection: Connection) -> None:
    writer = table(tmp_path)
    without_signal = f"select * replace (null as signal) from ({rows([1])})"
    assert writer.append(connection, without_signal) == 1
    assert writer.append(connection, without_signal) == 0
    assert writer.append(connection, rows([1])) == 1


@settings(max_examples=15, deadline=None)
@given(
    batches=st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=20), min_size=1, max_size=6),
    narrowed=st.fixed_dictionaries({}, optional={"partition_by": st.just("date"), "time_column": st.just("observedAt")}),
)
def test_whatever_repeats_every_row_is_stored_once(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], narrowed: dict[str, str]
) -> None:
    connection = calculator()
    writer = table(tmp_path_factory.mktemp("lake"), **narrowed)
    added = sum(writer.append(connection, rows(batch)) for batch in batches)
    everything = sorted({number for batch in batches for number in batch})
    assert stored_ids(connection, writer) == everything
    assert added == len(everything)


def test_a_transaction_is_stored_once_from_version_zero_on(tmp_path: Path, connection: Connection) -> None:
    writer = table(tmp_path)
    assert writer.position("job") is None
    assert writer.append(connection, rows([1]), transaction=("job", 0)) == 1
    assert writer.append(connection, rows([2]), transaction=("job", 0)) == 0
    assert writer.append(connection, rows([2]), transaction=("job", 1)) == 1
    assert reopened(writer, tmp_path).append(connection, rows([3]), transaction=("job", 1)) == 0


def test_positions_are_stored_with_the_rows_and_may_go_back(tmp_path: Path, connection: Connection) -> None:
    writer = table(tmp_path)
    writer.append(connection, rows([1]), positions={"processed/0": 41, "processed/1": 7})
    writer = reopened(writer, tmp_path)
    assert (writer.position("processed/0"), writer.position("processed/1")) == (41, 7)
    writer.append(connection, rows([2]), positions={"processed/0": 3})
    assert writer.position("processed/0") == 3


def test_only_files_that_may_hold_a_copy_are_searched(tmp_path: Path, connection: Connection) -> None:
    writer = table(tmp_path, partition_by="date", time_column="observedAt")
    for day in range(5):
        writer.append(connection, rows([24 * day, 24 * day + 1]))
    for file in (tmp_path / "readings").glob("date=2026-11-0[1-4]/*.parquet"):
        file.write_bytes(b"unreadable")
    assert writer.append(connection, rows([97, 98])) == 1


def test_compaction_keeps_every_row_and_open_readers(
    tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_table, "COMMITS_PER_COMPACTION", 5)
    monkeypatch.setattr(delta_table, "COMPACTIONS_PER_VACUUM", 1)
    writer = table(tmp_path)
    for number in range(4):
        writer.append(connection, rows([number]))
    listed_before = DeltaTable(str(writer.path)).file_uris()
    for number in range(4, 11):
        writer.append(connection, rows([number]), positions={"processed/0": number})
    assert len(DeltaTable(str(writer.path)).file_uris()) == 2
    assert stored_ids(connection, writer) == list(range(11))
    assert connection.sql(f"select count(*) from read_parquet({listed_before})").fetchall() == [(4,)]
    assert writer.append(connection, rows([3])) == 0
    assert reopened(writer, tmp_path).position("processed/0") == 10


@pytest.mark.parametrize("partition_by", [None, "date"])
def test_a_file_that_no_version_knows_goes_after_an_hour_and_no_other(
    tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch, partition_by: str | None
) -> None:
    """Left by who was killed before its commit, or replaced so long ago that the log has forgotten it."""
    monkeypatch.setattr(delta_table, "COMPACTIONS_PER_VACUUM", 1)
    writer = table(tmp_path, **({"partition_by": partition_by} if partition_by else {}))
    writer.append(connection, rows([1]))
    (stored,) = writer.path.rglob("*.parquet")
    old, young = (stored.with_name(f"part-{name}.parquet") for name in ("old", "young"))
    for file in (old, young):
        shutil.copyfile(stored, file)
    for file in (stored, old):
        os.utime(file, (time.time() - 3700, time.time() - 3700))
    writer.compact()
    assert (stored.exists(), old.exists(), young.exists()) == (True, False, True)
    assert stored_ids(connection, writer) == [1]
    assert (writer.path / delta_table.LOCK_FILE).exists()


def test_a_reader_beside_the_writer_never_sees_fewer_rows(
    tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_table, "COMMITS_PER_COMPACTION", 4)
    writer = table(tmp_path)
    writer.append(connection, rows([0]))
    finished = threading.Event()
    counts: list[int] = []

    def read() -> None:
        with duckdb.connect(config={"threads": 1}) as reader:
            while not finished.is_set():
                files = DeltaTable(str(writer.path)).file_uris()
                counts.append(reader.sql(f"select count(*) from read_parquet({files})").fetchall()[0][0])

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(1, 30):
        writer.append(connection, rows([number]))
    finished.set()
    thread.join()
    assert counts == sorted(counts)
    assert stored_ids(connection, writer) == list(range(30))


def test_a_table_has_one_writer_at_a_time(tmp_path: Path, connection: Connection) -> None:
    first = table(tmp_path)
    with pytest.raises(LakeTableError, match="stop the other run that uses this data folder"):
        table(tmp_path)
    first.close()
    assert table(tmp_path).append(connection, rows([1])) == 1


WRITE_FOR_EVER = """
    import duckdb, sys
    from pathlib import Path
    from local.lake.delta_table import DeltaTableWriter
    connection = duckdb.connect(config={"threads": 1})
    writer = DeltaTableWriter(Path(sys.argv[1]), ("id",), {"id": "BIGINT"})
    number = writer.position("test") or 0
    while True:
        number += 1
        writer.append(connection, f"select {number}::bigint as id", transaction=("test", number))
        print(number, flush=True)
"""


def test_kill_9_in_the_middle_of_commits_leaves_a_table_that_goes_on(tmp_path: Path, connection: Connection) -> None:
    acknowledged = 0
    command = [sys.executable, "-c", textwrap.dedent(WRITE_FOR_EVER), str(tmp_path / "numbers")]
    for lines in (3, 17, 40):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        for _ in range(lines):
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    files = DeltaTable(str(tmp_path / "numbers")).file_uris()
    found = sorted(row[0] for row in connection.sql(f"select id from read_parquet({files})").fetchall())
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= acknowledged


WRITE_WITHOUT_ROOM = """
    import duckdb, resource, signal, sys
    from pathlib import Path
    from local.lake.delta_table import DeltaTableWriter, LakeFullError
    connection = duckdb.connect(config={"threads": 1})
    writer = DeltaTableWriter(Path(sys.argv[1]), ("id",), {"id": "VARCHAR"})
    batch = "select md5(i::varchar) as id from range(20000) r(i)"
    writer.append(connection, f"{batch} limit 10")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    try:
        writer.append(connection, batch, transaction=("test", 1))
    except LakeFullError as fault:
        print(fault, flush=True)
    assert writer.position("test") is None
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(writer.append(connection, batch, transaction=("test", 1)))
"""


def test_without_room_nothing_is_stored_and_the_same_append_succeeds_later(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITE_WITHOUT_ROOM), str(tmp_path / "numbers")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    message, added = done.stdout.splitlines()
    assert message == f"no room to write the Delta table {tmp_path / 'numbers'}: free disk space; it then goes on by itself"
    assert added == "19990"


@pytest.mark.parametrize("stored_before", [[], [1]])
def test_an_append_that_failed_once_it_was_stored_is_not_stored_again(
    tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch, stored_before: list[int]
) -> None:
    """What the writer knew of the table before it failed doesn't have the rows: it has to look anew."""
    writer = table(tmp_path)
    writer.append(connection, rows(stored_before))
    commit = DeltaTable.create_write_transaction

    def stores_and_fails(*arguments: Any, **options: Any) -> None:
        commit(*arguments, **options)
        raise OSError("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(DeltaTable, "create_write_transaction", stores_and_fails)
        with pytest.raises(LakeTableError, match="the answer was lost"):
            writer.append(connection, rows([2, 3]), transaction=("test", 7))
    assert writer.append(connection, rows([2, 3, 4])) == 1
    assert writer.append(connection, rows([5]), transaction=("test", 7)) == 0
    assert stored_ids(connection, writer) == [*stored_before, 2, 3, 4]


def test_a_partition_of_any_name_is_found_again(tmp_path: Path, connection: Connection) -> None:
    writer = DeltaTableWriter(tmp_path / "cities", ("city",), {"city": "VARCHAR", "rooms": "BIGINT"}, partition_by="city")
    for city in ("Saint Denis", "100 %", "a/b", "é#?"):
        some = f"select '{city}' as city, 1::bigint as rooms"
        assert [writer.append(connection, some), writer.append(connection, some)] == [1, 0], city
    assert all(Path(file).is_file() for file in stored_files(writer.path)) and len(stored_files(writer.path)) == 4


def test_a_table_being_made_when_the_process_died_is_made_anew(tmp_path: Path, connection: Connection) -> None:
    (tmp_path / "readings" / "_delta_log").mkdir(parents=True)
    assert table(tmp_path).append(connection, rows([1])) == 1


@pytest.mark.parametrize("damage", ["torn log", "torn file", "file gone"])
def test_a_damaged_table_is_named_with_the_next_step(tmp_path: Path, connection: Connection, damage: str) -> None:
    writer = table(tmp_path)
    writer.append(connection, rows([1]))
    writer.append(connection, rows([2]))
    log = sorted((writer.path / "_delta_log").glob("*.json"))[-1]
    data = next(writer.path.glob("*.parquet"))
    match damage:
        case "torn log":
            log.write_bytes(log.read_bytes()[:100])
        case "torn file":
            data.write_bytes(data.read_bytes()[:100])
        case "file gone":
            data.unlink()
    with pytest.raises(LakeTableError, match=rf"{tmp_path}/readings can't be read.*move the folder away and start again"):
        reopened(writer, tmp_path).append(connection, rows([1, 2, 3]))


def test_other_columns_than_declared_are_refused_by_name(tmp_path: Path, connection: Connection) -> None:
    writer = table(tmp_path)
    writer.append(connection, rows([1]))
    writer.close()
    with pytest.raises(LakeTableError, match=r"made with other columns \(value\)"):
        DeltaTableWriter(tmp_path / "readings", KEY, {**COLUMNS, "value": "BIGINT"})


def test_a_declaration_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use one of VARCHAR"):
        DeltaTableWriter(tmp_path / "readings", KEY, {**COLUMNS, "errors": "VARCHAR[]"})
    with pytest.raises(ValueError, match="pollId is not among its columns"):
        DeltaTableWriter(tmp_path / "readings", ("pollId",), COLUMNS)
