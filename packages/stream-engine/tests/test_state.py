"""A saved state is continued exactly, or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from query_runner import at, schema_of

from asa_engine.analytic_step import AnalyticStep
from asa_engine.engine import StreamEngine
from asa_engine.errors import CorruptState, StateMismatch

QUERY = "SELECT v, LAG(v) OVER (LIMIT DURATION(hour, 1)) AS p INTO o FROM inp TIMESTAMP BY ts"
SCHEMAS = {"inp": schema_of([{"v": 1, "ts": at(0)}])}


def saved(folder: Path) -> Path:
    engine = StreamEngine(QUERY, SCHEMAS)
    engine.feed("inp", [json.dumps({"v": number, "ts": at(number)}) for number in range(100)])
    engine.advance()
    file = folder / "state"
    engine.save(file, {"position": 7})
    return file


def test_the_callers_notes_come_back(tmp_path: Path) -> None:
    assert StreamEngine(QUERY, SCHEMAS).restore(saved(tmp_path)) == {"position": 7}


VALUES = {
    "bigint": 2**62,
    "float": 0.1,
    "text": 'déjà "vu"',
    "empty": "",
    "bit": True,
    "array": [1, {"a": [None]}],
    "record": {"x": 1, "y": {"z": "t"}},
    "missing": None,
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("depth", [1, 3])
def test_what_is_remembered_of_every_type_is_continued(tmp_path: Path, name: str, depth: int) -> None:
    """Of several keys, with as many entries as the offset asks for; what is too old isn't found any more."""
    value = VALUES[name]
    rows = [{"k": f"k{number % 3}", "v": value if number % 4 else None, "ts": at(number)} for number in range(40)]
    query = f"SELECT k, LAG(v, {depth}) OVER (PARTITION BY k LIMIT DURATION(second, 12)) AS p INTO o FROM inp TIMESTAMP BY ts"
    schemas = {"inp": schema_of([{"k": "a", "v": value if value is not None else "", "ts": at(0)}])}
    bodies = [json.dumps(row) for row in rows]
    first, second = StreamEngine(query, schemas), StreamEngine(query, schemas)
    first.feed("inp", bodies[:20])
    found = [row for output in first.advance() for row in output.rows()]
    first.save(tmp_path / "state", {})
    second.restore(tmp_path / "state")
    second.feed("inp", bodies[20:])
    found += [row for output in second.finish() for row in output.rows()]
    expected = [rows[number - 3 * depth]["v"] if number >= 3 * depth else None for number in range(40)]
    assert [row["p"] for row in found] == expected


def test_a_time_is_remembered(tmp_path: Path) -> None:
    query = "SELECT LAG(CAST(ts AS datetime)) OVER (LIMIT DURATION(hour, 1)) AS p INTO o FROM inp TIMESTAMP BY ts"
    schemas = {"inp": schema_of([{"ts": at(0)}])}
    first, second = StreamEngine(query, schemas), StreamEngine(query, schemas)
    first.feed("inp", [json.dumps({"ts": at(0)}), json.dumps({"ts": at(1)})])
    first.advance()
    first.save(tmp_path / "state", {})
    second.restore(tmp_path / "state")
    (rows,) = second.finish()
    assert rows.rows()[0]["p"][:19] == at(0)[:19]


def test_thousands_of_keys_are_continued(tmp_path: Path) -> None:
    query = "SELECT v, LAG(v) OVER (PARTITION BY k LIMIT DURATION(hour, 1)) AS p INTO o FROM inp TIMESTAMP BY ts"
    schemas = {"inp": schema_of([{"k": "a", "v": 1, "ts": at(0)}])}
    first, second = StreamEngine(query, schemas), StreamEngine(query, schemas)
    bodies = [json.dumps({"k": f"k{number}", "v": number, "ts": at(0)}) for number in range(3000)]
    first.feed("inp", [*bodies, json.dumps({"k": "later", "v": -1, "ts": at(1)})])
    first.advance()
    first.save(tmp_path / "state", {})
    second.restore(tmp_path / "state")
    second.feed("inp", [body.replace(at(0), at(2)) for body in bodies])
    (rows,) = second.finish()
    assert [row["p"] for row in rows.rows()] == [None, *range(3000)]


def test_keys_that_nobody_can_look_back_at_are_forgotten() -> None:
    """Most of them, in time: what is kept stays in proportion to what is needed."""
    query = "SELECT k, LAG(v) OVER (PARTITION BY k LIMIT DURATION(second, 60)) AS p INTO o FROM inp TIMESTAMP BY ts"
    engine = StreamEngine(query, {"inp": schema_of([{"k": "a", "v": 1, "ts": at(0)}])})
    found = []
    for batch in range(20):
        rows = [{"k": f"{batch}-{number}", "v": number, "ts": at(batch * 30)} for number in range(1500)]
        rows.append({"k": "always", "v": batch, "ts": at(batch * 30 + 1)})
        engine.feed("inp", [json.dumps(row) for row in rows])
        found += [row["p"] for output in engine.advance() for row in output.rows() if row["k"] == "always"]
    found += [row["p"] for output in engine.finish() for row in output.rows() if row["k"] == "always"]
    assert found == [None, *range(19)]
    (step,) = (step for step in engine.plan.steps if isinstance(step, AnalyticStep))
    ((kept,),) = engine.connection.sql(f'SELECT count(*) FROM "{step.keys.name}"').fetchall()
    assert kept == step.keys.count < 9000


def test_the_state_of_another_query_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path)
    with pytest.raises(StateMismatch, match="another query"):
        StreamEngine(QUERY.replace("hour, 1", "hour, 2"), SCHEMAS).restore(file)


def test_a_truncated_state_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CorruptState, match=str(file)):
        StreamEngine(QUERY, SCHEMAS).restore(file)


def test_a_state_with_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    """In every block that holds data: whatever is read has a checksum."""
    file = saved(tmp_path)
    content = bytearray(file.read_bytes())
    for place in range(12288 + 64, len(content), 262144):
        if any(content[place : place + 64]):
            damaged = bytearray(content)
            damaged[place] ^= 1
            file.write_bytes(damaged)
            with pytest.raises(CorruptState):
                StreamEngine(QUERY, SCHEMAS).restore(file)


def test_something_that_is_no_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("hello", encoding="utf-8")
    with pytest.raises(CorruptState):
        StreamEngine(QUERY, SCHEMAS).restore(tmp_path / "state")
