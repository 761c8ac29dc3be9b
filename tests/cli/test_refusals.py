"""No command answers a typo in a declared file with a traceback: the file and the name are told, and the exit code is 1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from powerbi.layout import read_layout
from powerbi.semantic_model import read_model
from tests.support.shared_data import REPOSITORY

STACK = "Pulumi.fabric.yaml"
RULE = "activator/rules/room-too-warm.yaml"
REPORT = "powerbi/reports/city.yaml"
DASHBOARD = "powerbi/dashboard/layout.yaml"
TILE = "powerbi/dashboard/tiles/cities.kql"
MODEL = "powerbi/semantic_model/model.yaml"
TABLES = "powerbi/kusto/tables.kql"
READERS: dict[str, list[tuple[str, ...]]] = {
    STACK: [
        ("plan", "--stack", "fabric"),
        ("plan", "--stack", "fabric", "--cost"),
        ("alerts", "review", "--stack", "fabric"),
        ("alerts", "fire", "--stack", "fabric", "--city", "lyon", "--rule", "device-offline", "--namespace", "x"),
        ("reports", "build", "--stack", "fabric"),
        ("reports", "preview", "--stack", "fabric", "--no-pictures"),
        ("run", "--stack", "fabric", "--no-browser"),
    ],
    RULE: [
        ("plan",),
        ("alerts", "review"),
        ("alerts", "test", "room-too-warm"),
        ("alerts", "fire", "--city", "lyon", "--rule", "device-offline", "--namespace", "x"),
        ("reports", "build"),
        ("reports", "preview", "--no-pictures"),
        ("run", "--no-browser"),
    ],
    REPORT: [("reports", "build"), ("reports", "preview", "--no-pictures"), ("plan", "--stack", "fabric")],
    DASHBOARD: [("reports", "build"), ("plan", "--stack", "fabric")],
    TILE: [("reports", "build"), ("plan", "--stack", "fabric")],
    MODEL: [("reports", "build"), ("reports", "preview", "--no-pictures"), ("plan", "--stack", "fabric")],
    TABLES: [("plan", "--stack", "fabric")],
}
"""Which commands read a declared file."""
YAML = (STACK, RULE, REPORT, DASHBOARD, MODEL)
KQL = (TILE, TABLES)
WAYS: dict[str, tuple[tuple[str, ...], Callable[[str], bytes]]] = {
    "empty": ((*YAML, TILE), lambda text: b""),
    "not UTF-8": ((*YAML, *KQL), lambda text: b"# caf\xe9\n" + text.encode()),
    "no YAML": (YAML, lambda text: b"a: [\n"),
    "a key twice": (YAML, lambda text: (text + "\n" + text).encode()),
    "a list at the top": (YAML, lambda text: b"- a\n- b\n"),
    "a text at the top": (YAML, lambda text: b"nothing but words\n"),
    "another text": (KQL, lambda text: b"nothing but words\n"),
    "nested without end": (YAML, lambda text: b"[" * 1000),
}


def name_of(file: str) -> str:
    return Path(file).name


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str, bytes | None], None]]:
    """Lets a file of the repository have another content, or not be there, for whoever reads it."""
    contents: dict[Path, bytes | None] = {}
    read_text = Path.read_text

    def read(path: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if path.resolve() not in contents:
            return read_text(path, encoding, errors)
        content = contents[path.resolve()]
        if content is None:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return content.decode(encoding or "utf-8")

    def declare(file: str, content: bytes | None) -> None:
        contents[REPOSITORY / file] = content
        read_layout.cache_clear()
        read_model.cache_clear()

    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.chdir(tmp_path)
    yield declare
    read_layout.cache_clear()
    read_model.cache_clear()


def refused(result: Result) -> str:
    """What somebody is told; a traceback, or no refusal, fails the test."""
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    assert result.exit_code == 1, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("file", "way"), [pytest.param(file, way, id=f"{name_of(file)} {way}") for way, (files, _) in WAYS.items() for file in files]
)
def test_a_file_that_is_broken_in_any_way_is_named(declared: Callable[[str, bytes | None], None], file: str, way: str) -> None:
    declared(file, WAYS[way][1]((REPOSITORY / file).read_text(encoding="utf-8")))
    assert name_of(file) in refused(CliRunner().invoke(app, list(READERS[file][0])))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        pytest.param(file, words, id=f"{name_of(file)} {' '.join(words)}")
        for file, readers in READERS.items()
        for words in readers
    ],
)
def test_every_command_names_the_broken_file_it_reads(
    declared: Callable[[str, bytes | None], None], file: str, words: tuple[str, ...]
) -> None:
    declared(file, b"nothing but words\n")
    assert name_of(file) in refused(CliRunner().invoke(app, list(words)))


@pytest.mark.parametrize("file", [REPORT, DASHBOARD, MODEL, TABLES])
def test_a_missing_file_is_named(declared: Callable[[str, bytes | None], None], file: str) -> None:
    declared(file, None)
    assert f"{name_of(file)} is missing" in refused(CliRunner().invoke(app, list(READERS[file][0])))


TYPOS: list[tuple[str, str, str, str]] = [
    (STACK, "timeZone: Europe/Paris", "timeZone: Europe/Pariss", "Did you mean Europe/Paris?"),
    (STACK, "webexLocations:", "webexLocation:", "Did you mean webexLocations?"),
    (STACK, "route: fabric", "route: fabrik", "Did you mean fabric?"),
    (RULE, "signal: temperature", "signal: temprature", "Did you mean temperature?"),
    (RULE, "severity:", "severty:", "Did you mean severity?"),
    (RULE, "runbook: docs/runbooks/room-too-warm.md", "runbook: docs/runbooks/room-to-warm.md", "does not exist"),
    (REPORT, "visuals:", "visual:", "Did you mean visuals?"),
    (REPORT, "type: cardVisual", "type: cardVisuall", "Did you mean cardVisual?"),
    (REPORT, "Workspaces[Room count]", "Workspaces[Rom count]", "Did you mean Room count?"),
    (REPORT, "Workspaces.location]", "Workspaces.locaton]", "Did you mean location?"),
    (REPORT, "CityMinutes.minute", "CityMinuts.minute", "Did you mean CityMinutes?"),
    (REPORT, "Category: [Workspaces.location], ", "", "Category is missing: one field of the semantic model."),
    (REPORT, "drillThrough: Workspaces.room", "drillThrough: Workspaces/room", "write Table.column or Table[Measure]"),
    (DASHBOARD, "tile: cities,", "tile: citys,", "Did you mean cities?"),
    (DASHBOARD, "visual: table", "visual: tabel", "Did you mean table?"),
    (DASHBOARD, "x: windowEnd", "x: windowEnt", "Did you mean windowEnd?"),
    (DASHBOARD, "at: [0, 3, 16, 8]", "at: [0, 3, 16]", "has 3 of at least 4: add 1."),
    (MODEL, "Readers.cityId, Cities.cityId", "Readers.cityIdd, Cities.cityId", "Did you mean cityId?"),
    (MODEL, "function: ReportCities", "funktion: ReportCities", "Did you mean function?"),
    (MODEL, "type: datetime", "type: datetim", "Did you mean datetime?"),
    (MODEL, "\n  Workspaces:\n    Room count", "\n  Workspace:\n    Room count", "Did you mean Workspaces?"),
    (TILE, "// columns:", "// colums:", "begin the tile with the lines"),
    (TABLES, ": datetime", ": datetim", "Did you mean datetime?"),
]


@pytest.mark.parametrize(
    ("file", "written", "typo", "told"), TYPOS, ids=[f"{name_of(file)} {typo.strip() or told}" for file, _, typo, told in TYPOS]
)
def test_a_misspelt_name_is_told_with_what_was_meant(
    declared: Callable[[str, bytes | None], None], file: str, written: str, typo: str, told: str
) -> None:
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    assert written in text
    declared(file, text.replace(written, typo, 1).encode())
    said = refused(CliRunner().invoke(app, list(READERS[file][0])))
    assert name_of(file) in said and told in said


def test_programs_get_the_faults_as_json(declared: Callable[[str, bytes | None], None]) -> None:
    declared(DASHBOARD, (REPOSITORY / DASHBOARD).read_text(encoding="utf-8").replace("tile: cities", "tile: citys").encode())
    result = CliRunner().invoke(app, ["reports", "build", "--json"])
    refused(result)
    answer = json.loads(result.stdout)
    assert answer["error"] == "dashboard/layout.yaml is not a valid dashboard layout"
    (fault,) = answer["faults"]
    assert (fault["path"], fault["at"]) == ("pages/Now/6/tile", "layout.yaml:12")
    assert fault["message"].startswith("there is no tile citys. Did you mean cities? Known: ")
    assert "roompulse reports build: dashboard/layout.yaml is not a valid dashboard layout (1 fault):" in result.stderr
