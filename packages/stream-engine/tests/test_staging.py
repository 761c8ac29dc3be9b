"""Every event is read as the schema says, or refused with the reason; nothing is converted on the sly."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from query_runner import at

from asa_engine.engine import StreamEngine
from asa_engine.input_buffer import Rejection
from asa_engine.types import ANY, ARRAY, BIGINT, BIT, DATETIME, FLOAT, NVARCHAR, RECORD, DataType, Schema, record_of

VALUES: list[Any] = [
    *("", "a", "12", "-1.5", "1e5", "true", "false", "null", "[x", "[1]", "{y", '{"a": 1}', "-", ":", "~", "déjà", 'q"\\', "0x"),
    *("2026-03-02", "2026-03-02T10:00:00Z", "2026-03-02T10:00:00.123+02:00", "1234-56-7", "-123-56-7", "12-34"),
    *(0, -1, 7, 2**62, 2**63 - 1, 1.5, -0.25, 1e300, True, False, [], [1, "x"], {}, {"a": 1}, {"b": [1]}),
]
FITTING: dict[str, tuple[type, ...]] = {
    "bigint": (int,), "float": (int, float), "nvarchar(max)": (str,), "bit": (bool,), "record": (dict,), "array": (list,),
}  # fmt: skip
TYPES = [BIGINT, FLOAT, NVARCHAR, BIT, RECORD, ARRAY]


def fits(value: Any, kind: str) -> bool:
    return isinstance(value, FITTING[kind]) and isinstance(value, bool) <= (kind == "bit")


def fitting(kind: str) -> list[Any]:
    return [float(value) if kind == "float" else value for value in VALUES if fits(value, kind)]


def taken_in(data_type: DataType, rows: list[dict[str, Any]], column: str = "v") -> tuple[list[Any], dict[int, str]]:
    """The values of a column of the events that were taken in, in order, and the reasons of the others by their number."""
    schema = Schema({"n": BIGINT, "ts": NVARCHAR, "v": data_type})
    engine = StreamEngine(f"SELECT n, {column} AS v INTO o FROM inp TIMESTAMP BY ts", {"inp": schema})
    bodies = [json.dumps({"n": number, "ts": at(number), **row}) for number, row in enumerate(rows)]
    rejected = {rejection.index: rejection.reason for rejection in engine.feed("inp", bodies)}
    (output,) = engine.finish()
    return [row["v"] for row in output.rows()], rejected


@pytest.mark.parametrize("data_type", TYPES, ids=str)
def test_a_value_is_taken_as_it_is_or_its_event_is_refused(data_type: DataType) -> None:
    kind = str(data_type)
    values, rejected = taken_in(data_type, [{"v": value} for value in VALUES])
    assert values == fitting(kind)
    assert rejected == {number: f"v is not {data_type.described}" for number, value in enumerate(VALUES) if not fits(value, kind)}


@pytest.mark.parametrize("data_type", TYPES, ids=str)
def test_what_is_null_or_missing_is_null(data_type: DataType) -> None:
    assert taken_in(data_type, [{"v": None}, {}]) == ([None, None], {})


@pytest.mark.parametrize("data_type", TYPES, ids=str)
def test_fields_of_a_record_are_judged_like_columns(data_type: DataType) -> None:
    """Also when the record is all that is missing, null, or something else."""
    kind, shape = str(data_type), record_of({"inner": record_of({"x": data_type, "y": NVARCHAR})})
    rows = [{"v": {"inner": {"x": value, "y": "there"}}} for value in VALUES]
    values, rejected = taken_in(shape, rows, "v.inner.x")
    assert values == fitting(kind)
    assert rejected == {
        number: f"v.inner.x is not {data_type.described}" for number, value in enumerate(VALUES) if not fits(value, kind)
    }
    inner: tuple[Any, ...] = (None, {}, 1, "text", [1])
    odd = [{"v": {"inner": value}} for value in inner] + [{"v": value} for value in (None, True, "text")]
    values, rejected = taken_in(shape, odd, "v.inner.x")
    assert values == [None, None, None]
    assert rejected == {
        **dict.fromkeys((2, 3, 4), "v.inner is not a record"),
        **dict.fromkeys((6, 7), "v is not a record"),
    }


def test_a_record_comes_whole() -> None:
    shape = record_of({"x": BIGINT, "inner": record_of({"y": NVARCHAR, "z": FLOAT})})
    whole = {"x": 1, "inner": {"y": "12", "z": 0.5}}
    rows: list[dict[str, Any]] = [{"v": whole}, {"v": {"x": None}}, {"v": None}, {"v": {"inner": {"y": 3}}}]
    values, rejected = taken_in(shape, rows)
    assert values == [whole, {}, None]
    assert rejected == {3: "v.inner.y is not a nvarchar(max)"}


def test_a_time_is_a_text_that_says_when() -> None:
    rows = [{"v": value} for value in ("2026-03-02T10:00:00+02:00", "soon", 12, None)]
    values, rejected = taken_in(DATETIME, rows)
    assert values == ["2026-03-02T08:00:00.0000000Z", None]
    assert rejected == {1: "v is not a datetime", 2: "v is not a datetime"}


def test_what_is_no_object_of_json_is_refused_among_good_events() -> None:
    engine = StreamEngine("SELECT v INTO o FROM inp TIMESTAMP BY ts", {"inp": Schema({"ts": NVARCHAR, "v": BIGINT})})
    bodies = ["[1]", "null", "nope", "", '{"ts": 1', '"text"', "7", json.dumps({"ts": at(1), "v": 1}), "{}"]
    rejected = {rejection.index: rejection.reason for rejection in engine.feed("inp", bodies)}
    assert rejected == {
        **dict.fromkeys((0, 1, 5, 6), "not a JSON object"),
        **dict.fromkeys((2, 3, 4), "not valid JSON"),
        8: "TIMESTAMP BY finds no time",
    }
    (output,) = engine.finish()
    assert output.rows() == [{"v": 1}]


NOT_JSON = ["NaN", "nan", "Infinity", "-Infinity", "-inf"]


@pytest.mark.parametrize(
    "value", [*NOT_JSON, *(f'[1, {name}, "x"]' for name in NOT_JSON), *(f'{{"k": {name}}}' for name in NOT_JSON)]
)
@pytest.mark.parametrize("data_type", [*TYPES, ANY], ids=str)
def test_what_json_does_not_know_is_refused_wherever_it_stands(data_type: DataType, value: str, tmp_path: Path) -> None:
    """DuckDB reads NaN and infinities, and would pass them on to whoever reads the output as JSON."""
    query, schema = "SELECT v INTO o FROM inp TIMESTAMP BY ts", {"inp": Schema({"ts": NVARCHAR, "v": data_type})}
    body = f'{{"ts": "{at(1)}", "v": {value}}}'
    file = tmp_path / "one.json"
    file.write_text(body + "\n", encoding="utf-8")
    by_line, by_file = StreamEngine(query, schema), StreamEngine(query, schema)
    (rejected,) = by_line.feed("inp", [body])
    holds = data_type == ANY or value[0] == {"array": "[", "record": "{"}.get(data_type.kind)
    assert rejected.reason == ("v holds NaN or an infinity" if holds else f"v is not {data_type.described}")
    assert by_file.take("inp", by_file.stage_files("inp", [file])) == [rejected]


def test_a_text_may_say_what_is_no_number() -> None:
    rows: list[dict[str, Any]] = [{"v": ["NaN", "inf, -Infinity", 'a "nan" b', {"Infinity": 1, "info": "x,nan"}]}]
    for data_type in (ARRAY, ANY):
        assert taken_in(data_type, rows) == ([rows[0]["v"]], {})


@pytest.mark.parametrize("time", ["10000-03-01T00:00:00Z", "290000-01-01T00:00:00Z", "0000-03-01T00:00:00Z"])
def test_a_time_that_no_calendar_has_is_refused(time: str) -> None:
    """One of the year 290000 was taken, and neither it nor a reason came out."""
    engine = StreamEngine("SELECT ts INTO o FROM inp TIMESTAMP BY ts", {"inp": Schema({"ts": DATETIME})})
    assert [one.reason for one in engine.feed("inp", [json.dumps({"ts": time})])] == ["ts is not a datetime"]


@pytest.mark.parametrize("as_array", [False, True])
def test_a_file_gives_what_its_lines_give(tmp_path: Path, as_array: bool) -> None:
    schema = Schema({"n": BIGINT, "ts": DATETIME, "v": FLOAT})
    query = "SELECT n, v INTO o FROM inp TIMESTAMP BY ts"
    bodies = [json.dumps({"n": n, "ts": at(n) if n != 5 else "soon", "v": n / 2 if n != 2 else "x"}) for n in range(8)]
    file = tmp_path / "it's.json"
    file.write_text(f"[{','.join(bodies)}]" if as_array else "\n".join(bodies) + "\n", encoding="utf-8")
    by_line, by_file = StreamEngine(query, {"inp": schema}), StreamEngine(query, {"inp": schema})
    rejected = by_line.feed("inp", bodies)
    assert [(one.index, one.reason) for one in rejected] == [(2, "v is not a float"), (5, "ts is not a datetime")]
    assert by_file.take("inp", by_file.stage_files("inp", [file])) == rejected
    assert by_file.finish()[0].rows() == by_line.finish()[0].rows() != []


PLACE = record_of({"x": BIGINT, "inner": record_of({"at": DATETIME, "name": NVARCHAR})})
MOMENTS = ["2026-03-02", "2026-03-02 10:00:00", "2026-03-02T10:00:00.1234567Z", "2026-03-02T10:00+02:30", "2026-03-02 10:00 CET"]
MOMENTS += ["infinity", "epoch", " 2026-03-02", "2026-13-02", "20260302", "2026-03-02T10:00:00z", "-123-03-02", "44-03-15 (BC)"]
PLACES: list[Any] = [{"x": 1}, {"x": "1"}, {"x": 1.5, "inner": {}}, {"inner": 1}, {"inner": {"at": "2026-03-02", "name": "12"}}]
PLACES += [{"inner": {"at": moment, "name": None}} for moment in (*MOMENTS, 5, [])]
ODD_LINES = [
    "[1]",
    "null",
    '"text"',
    "7",
    "{}",
    '{"V": 1, "v": 2}',
    '{"v": 1, "v": "a"}',
    '{"\\u0076": "\\u0061"}',
    ' { "v" : -0 } ',
]
LINES = [json.dumps({"v": value}) for value in [*VALUES, *MOMENTS, *PLACES]] + ODD_LINES
USUAL = {"bigint": 7, "float": 1.5, "nvarchar(max)": "a", "bit": True, "record": {"a": 1}, "array": [1], "datetime": "2026-03-02"}


@given(
    st.sampled_from([*TYPES, DATETIME, PLACE]),
    st.lists(st.one_of(st.none(), st.sampled_from(LINES)), min_size=1, max_size=4),
    st.booleans(),
)
@example(PLACE, [json.dumps({"v": {"inner": {"at": 5, "name": None}}})], False)
def test_whatever_a_file_holds_it_gives_what_its_lines_give(data_type: DataType, lines: list[str | None], again: bool) -> None:
    """Also a second file, when the first fitted the schema and when it didn't. None is a line that does."""
    schema = Schema({"ts": NVARCHAR, "v": data_type})
    query = "SELECT v, ts INTO o FROM inp TIMESTAMP BY coalesce(ts, '2026-03-02T08:00:00Z')"
    usual = json.dumps({"ts": at(1), "v": USUAL.get(str(data_type), PLACES[0])})
    bodies = [usual if line is None else line for line in lines]
    by_line, by_file = StreamEngine(query, {"inp": schema}), StreamEngine(query, {"inp": schema})
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1 + again):
            file = Path(folder) / f"{number}.json"
            file.write_text("\n".join(bodies) + "\n", encoding="utf-8")
            assert by_file.take("inp", by_file.stage_files("inp", [file])) == by_line.feed("inp", bodies)
    assert [output.rows() for output in by_file.finish()] == [output.rows() for output in by_line.finish()]


@pytest.mark.parametrize("data_type", [NVARCHAR, DATETIME], ids=str)
def test_lines_that_are_texts_are_no_events_where_one_column_is_read(tmp_path: Path, data_type: DataType) -> None:
    (tmp_path / "events.json").write_text("".join(f"{json.dumps(at(second))}\n" for second in range(2)), encoding="utf-8")
    engine = StreamEngine("SELECT ts INTO o FROM inp TIMESTAMP BY ts", {"inp": Schema({"ts": data_type})})
    rejected = engine.take("inp", engine.stage_files("inp", [tmp_path / "events.json"]))
    assert [(one.index, one.reason) for one in rejected] == [(0, "not a JSON object"), (1, "not a JSON object")]


def test_events_of_which_nothing_is_read_are_counted_all_the_same(tmp_path: Path) -> None:
    query = "SELECT COUNT(*) AS n INTO o FROM inp TIMESTAMP BY EventEnqueuedUtcTime GROUP BY TumblingWindow(minute, 1)"
    bodies = ['{"n": 1}', "[]", "{}"]
    (tmp_path / "events.json").write_text("\n".join(bodies), encoding="utf-8")
    feeds: tuple[Callable[[StreamEngine], list[Rejection]], ...] = (
        lambda engine: engine.feed("inp", bodies),
        lambda engine: engine.take("inp", engine.stage_files("inp", [tmp_path / "events.json"])),
    )
    for feed in feeds:
        engine = StreamEngine(query, {"inp": Schema({"n": BIGINT})})
        assert [(one.index, one.reason) for one in feed(engine)] == [(1, "not a JSON object")]
        assert engine.finish()[0].rows() == [{"n": 2}]


def test_events_are_counted_by_their_arrival_without_a_look_inside() -> None:
    query = "SELECT COUNT(*) AS n INTO o FROM inp GROUP BY TumblingWindow(second, 2)"
    engine = StreamEngine(query, {"inp": Schema({"n": BIGINT})})
    rejected = engine.feed("inp", ['{"n": 1}', "x", "null", "{}", "{}"], np.arange(1, 6) * 1_000_000)
    assert [(one.index, one.reason) for one in rejected] == [(1, "not valid JSON"), (2, "not a JSON object")]
    assert engine.finish()[0].rows() == [{"n": 1}, {"n": 1}, {"n": 1}]


def test_files_parsed_ahead_are_taken_in_their_turn(tmp_path: Path) -> None:
    engine = StreamEngine("SELECT n INTO o FROM inp TIMESTAMP BY ts", {"inp": Schema({"n": BIGINT, "ts": DATETIME})})
    files = [tmp_path / f"{number}.json" for number in range(6)]
    for number, file in enumerate(files):
        file.write_text(json.dumps({"n": number, "ts": at(number)}) + "\n", encoding="utf-8")
    found: list[int] = []
    waiting = [engine.stage_files("inp", [file]) for file in files[:2]]
    following: list[Path | None] = [*files[2:], None, None]
    for next_file in following:
        engine.take("inp", waiting.pop(0))
        found += [row["n"] for output in engine.advance() for row in output.rows()]
        if next_file is not None:
            waiting.append(engine.stage_files("inp", [next_file]))
    assert found + [row["n"] for row in engine.finish()[0].rows()] == [0, 1, 2, 3, 4, 5]
