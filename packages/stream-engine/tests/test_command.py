"""The command `asa-engine` as people meet it: what it says, and how it fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from asa_engine.command import app
from asa_engine.engine import OutputRows, StreamEngine
from asa_engine.input_buffer import Rejection
from asa_engine.staging import Staged
from asa_engine.steps import Tick
from asa_engine.time_policy import END

COUNT = "SELECT COUNT(*) AS n INTO counted FROM events TIMESTAMP BY at GROUP BY TumblingWindow(minute, 1)"


def asa_engine(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_help_names_every_command() -> None:
    shown = asa_engine("--help").output
    assert all(command in shown for command in ("check", "explain", "run", "test", "replay"))


def test_version_is_one_line() -> None:
    assert asa_engine("--version").output == f"asa-engine {version('asa-engine')}\n"


def test_it_is_a_module_too() -> None:
    ran = subprocess.run([sys.executable, "-m", "asa_engine", "--version"], capture_output=True, text=True, timeout=60)
    assert (ran.stderr, ran.stdout) == ("", f"asa-engine {version('asa-engine')}\n")


def test_a_run_loads_nothing_that_it_can_do_without(tmp_path: Path) -> None:
    (tmp_path / "q.asaql").write_text("SELECT id INTO o FROM e")
    (tmp_path / "e.json").write_text('{"id": 1}')
    words = ["run", str(tmp_path / "q.asaql"), "--input", f"e={tmp_path / 'e.json'}", "--output", str(tmp_path)]
    code = f"""import sys
from asa_engine.command import app
app({words!r}, standalone_mode=False)
print([name for name in ("pydantic", "rich", "pandas", "pyarrow") if name in sys.modules])"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.splitlines()[1:] == ["[]"], ran.stderr


def test_a_finding_has_its_place_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "wrong.asaql").write_text("SELECT COUNT(*) AS n INTO o FROM i")
    result = asa_engine("check", str(tmp_path / "wrong.asaql"))
    assert result.exit_code == 1
    assert "wrong.asaql:1:" in result.output


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = asa_engine("check", str(tmp_path / "none.asaql"))
    assert result.exit_code == 1
    assert "none.asaql" in result.output


def test_a_query_runs_over_files(tmp_path: Path) -> None:
    (tmp_path / "count.asaql").write_text(
        "SELECT COUNT(*) AS n INTO counted FROM events TIMESTAMP BY at GROUP BY TumblingWindow(minute, 1)"
    )
    (tmp_path / "events.jsonl").write_text('{"at": "2026-11-24T10:00:01Z"}\n{"at": "2026-11-24T10:00:02Z"}\n')
    events, out = tmp_path / "events.jsonl", tmp_path / "out"
    result = asa_engine("run", str(tmp_path / "count.asaql"), "--input", f"events={events}", "--output", str(out))
    assert result.exit_code == 0, result.output
    assert json.loads((out / "counted.json").read_text())["n"] == 2


def test_an_input_that_ends_early_holds_nothing_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asa_engine.feed.TEXT_PER_TICK", 500)
    (tmp_path / "both.asaql").write_text(
        "SELECT COUNT(*) AS n INTO counted FROM events TIMESTAMP BY at GROUP BY TumblingWindow(minute, 1) "
        "SELECT name INTO named FROM names TIMESTAMP BY at"
    )
    events = [f'{{"at": "2026-11-24T10:{second // 60:02}:{second % 60:02}Z"}}' for second in range(1, 601)]
    (tmp_path / "events.jsonl").write_text("\n".join(events))
    (tmp_path / "names.jsonl").write_text('{"at": "2026-11-24T10:00:30Z", "name": "a"}')
    released: set[int] = set()
    advance = StreamEngine.advance_beside

    def watched(engine: StreamEngine, consume: Callable[[OutputRows], None]) -> list[None]:
        found = advance(engine, consume)
        released.add(engine.released)
        return found

    monkeypatch.setattr(StreamEngine, "advance_beside", watched)
    inputs = [part for name in ("events", "names") for part in ("--input", f"{name}={tmp_path / (name + '.jsonl')}")]
    result = asa_engine("run", str(tmp_path / "both.asaql"), *inputs, "--output", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["n"] for line in (tmp_path / "counted.json").read_text().splitlines()] == [60] * 10
    assert json.loads((tmp_path / "named.json").read_text())["name"] == "a"
    assert len(released) > 10, "time moves on while events are read"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"id": 1', "events.jsonl shows no columns of input events"),
        (b"\xff\xfe{", "events.jsonl holds neither JSON lines nor an array"),
        (b"\n\n", "events.jsonl shows no columns of input events"),
    ],
)
def test_a_file_whose_columns_cannot_be_told_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "copy.asaql").write_text("SELECT id INTO o FROM events TIMESTAMP BY at")
    (tmp_path / "events.jsonl").write_bytes(content)
    result = asa_engine("run", str(tmp_path / "copy.asaql"), "--input", f"events={tmp_path / 'events.jsonl'}")
    assert result.exit_code == 1
    assert says in result.output.replace("\n", "")


def test_the_folder_in_which_one_stands_is_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = asa_engine("check")
    assert (result.exit_code, result.output.strip()) == (1, "asa-engine check: asaproj.json is missing.")


def test_what_is_kept_is_explained(tmp_path: Path) -> None:
    query = tmp_path / "count.asaql"
    query.write_text("CREATE TABLE events (at datetime); " + COUNT)
    explained = json.loads(asa_engine("explain", str(query), "--json").output)
    assert ["counted", "TumblingWindow: the rows of open windows", "1 minute"] in explained["kept"]
    assert "TumblingWindow: the rows of open windows" in " ".join(asa_engine("explain", str(query)).output.split())


def test_what_is_not_parallel_is_explained(tmp_path: Path) -> None:
    query = tmp_path / "count.asaql"
    query.write_text("CREATE TABLE events (at datetime); " + COUNT)
    told = {"name": "counted", "by": "GROUP BY nothing", "breaks": "add PartitionId"}
    assert json.loads(asa_engine("explain", str(query), "--json").output)["keyed"] == [told]
    assert "no: add PartitionId" in " ".join(asa_engine("explain", str(query)).output.split())


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job folder with one test case, which passes."""
    case = {
        "Name": "one event",
        "Inputs": [{"InputAlias": "events", "FilePath": "events.json"}],
        "ExpectedOutputs": [{"OutputAlias": "counted", "FilePath": "counted.json"}],
    }
    files = {
        "count.asaql": COUNT,
        "asaproj.json": json.dumps({"name": "count", "startFile": "count.asaql"}),
        "test/events.json": '{"at": "2026-11-24T10:00:01Z"}',
        "test/counted.json": '{"n": 1}',
        "test/testConfig.json": json.dumps({"TestCases": [case]}),
    }
    (tmp_path / "test").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_cases_of_a_job_folder_pass(job: Path) -> None:
    result = asa_engine("test", str(job))
    assert (result.exit_code, "1 cases, 0 failed" in result.output) == (0, True), result.output


def test_a_case_that_fails_shows_the_rows(job: Path) -> None:
    (job / "test" / "counted.json").write_text('{"n": 2}')
    result = asa_engine("test", str(job))
    assert result.exit_code == 1
    assert 'counted, missing: {"n": 2.0}' in result.output
    assert 'counted, unexpected: {"n": 1.0}' in result.output


def test_an_event_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    query = "CREATE TABLE events (id bigint, at datetime); SELECT id INTO o FROM events TIMESTAMP BY at"
    (tmp_path / "copy.asaql").write_text(query)
    (tmp_path / "events.jsonl").write_text(json.dumps({"id": "[red]\x9b31m", "at": "2026-11-24T10:00:01Z"}, ensure_ascii=False))
    result = asa_engine("run", str(tmp_path / "copy.asaql"), "--input", f"events={tmp_path / 'events.jsonl'}")
    assert result.exit_code == 0
    assert "event 1: id is not a bigint" in result.output and "[red] 31m" in result.output


def test_the_example_of_the_readme_runs() -> None:
    readme = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    ran = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60)
    assert (ran.stderr, ran.stdout) == ("", "means Lyon 1 21.0\n")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("events=gone.jsonl", "gone.jsonl can't be read as events: No such file or directory."),
        ("events=.", "can't be read as events: Is a directory."),
        ("event=q.asaql", "The query reads no input event; it reads events."),
    ],
)
@pytest.mark.parametrize("options", [[], ["--types"]])
def test_a_file_that_is_no_input_s_is_named(tmp_path: Path, given: str, says: str, options: list[str]) -> None:
    (tmp_path / "q.asaql").write_text(COUNT)
    name, _, file = given.partition("=")
    result = asa_engine("check", str(tmp_path / "q.asaql"), "--input", f"{name}={tmp_path / file}", *options)
    assert result.exit_code == 1 and says in " ".join(result.output.split()), result.output


def test_a_small_file_is_one_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fed, begun = _ticks_of_a_run(tmp_path, monkeypatch, events=40)
    assert fed == [40]
    assert begun == [END]


def test_a_tick_takes_what_has_room_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It bounds the memory of a run, however large its file is."""
    monkeypatch.setattr("asa_engine.feed.TEXT_PER_TICK", 400)
    fed, begun = _ticks_of_a_run(tmp_path, monkeypatch, events=40)
    assert fed == [13, 13, 13, 1], "of 31 characters each: 403, and never much more"
    assert len(begun) == 4
    assert begun[-1] == END


def _ticks_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: int) -> tuple[list[int], list[int]]:
    """How many events were taken in at a time, and how far each tick of the run went."""
    lines = [f'{{"at": "2026-11-24T10:00:{second:02}Z"}}\n' for second in range(events)]
    (tmp_path / "events.jsonl").write_text("".join(lines))
    (tmp_path / "all.asaql").write_text("SELECT at INTO same FROM events TIMESTAMP BY at")
    fed: list[int] = []
    begun: list[int] = []
    take, begin = StreamEngine.take, StreamEngine._begin

    def taking(engine: StreamEngine, name: str, staged: Staged) -> list[Rejection]:
        fed.append(staged.count)
        return take(engine, name, staged)

    def beginning(engine: StreamEngine, hi: int) -> Tick:
        begun.append(hi)
        return begin(engine, hi)

    monkeypatch.setattr(StreamEngine, "take", taking)
    monkeypatch.setattr(StreamEngine, "_begin", beginning)
    inputs = ("--input", f"events={tmp_path / 'events.jsonl'}")
    result = asa_engine("run", str(tmp_path / "all.asaql"), *inputs, "--output", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "same.json").read_text().splitlines()) == events
    return fed, begun


def test_results_of_one_moment_have_an_order(tmp_path: Path) -> None:
    """A window's results that begin with the same event come in an order of DuckDB's own, else."""
    names = [f"signal {number:02}" for number in range(40)]
    (tmp_path / "events.jsonl").write_text(json.dumps({"at": "2026-11-24T10:00:01Z", "names": names[::-1]}))
    (tmp_path / "each.asaql").write_text(
        "WITH single AS (SELECT n.ArrayValue AS name FROM events TIMESTAMP BY at CROSS APPLY GetArrayElements(names) AS n) "
        "SELECT name, COUNT(*) AS n INTO counted FROM single GROUP BY name, TumblingWindow(minute, 1)"
    )
    inputs = ("--input", f"events={tmp_path / 'events.jsonl'}")
    result = asa_engine("run", str(tmp_path / "each.asaql"), *inputs, "--output", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["name"] for line in (tmp_path / "counted.json").read_text().splitlines()] == names
