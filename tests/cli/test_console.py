"""A terminal shows names and does not obey them."""

from __future__ import annotations

import io
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.table import Table

from cli.console import PlainConsole
from cli.screen import Screen
from local.run_settings import RunSettings
from local.supervisor import PartSpec, PartState
from roompulse import write_what_is_lacking_as_escapes

HOSTILE = {
    "[red]Bar[/red] [/] [link=https://evil.example]x[/link]": "[red]Bar[/red] [/] [link=https://evil.example]x[/link]",
    "Bar :warning:": "Bar :warning:",
    "\x1b[2J\x1b]0;title\x07Bar\x9b31m": " [2J ]0;title Bar 31m",
    "a\rb\x08c\u202ed\u2028e": "a b cd e",
    "\\[bold]": "\\[bold]",
}


@pytest.fixture
def written() -> StringIO:
    return StringIO()


@pytest.fixture
def console(written: StringIO) -> PlainConsole:
    return PlainConsole(file=written, force_terminal=True, width=200)


@pytest.mark.parametrize(("name", "shown"), HOSTILE.items())
class TestNames:
    def test_printed(self, console: PlainConsole, written: StringIO, name: str, shown: str) -> None:
        console.print(f"Device {name} is down.")
        assert written.getvalue() == f"Device {shown} is down.\n"

    def test_in_a_table(self, console: PlainConsole, written: StringIO, name: str, shown: str) -> None:
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_row(name)
        console.print(table)
        assert written.getvalue().rstrip("\n ") == shown.rstrip()

    def test_in_a_warning_of_a_part(self, written: StringIO, name: str, shown: str, tmp_path: Path) -> None:
        console = PlainConsole(file=written, force_terminal=True, color_system=None, width=200)
        part = PartState(PartSpec("ingest", "Ingest"), warning=name)
        Screen(console, RunSettings(tmp_path, "dev", ())).said("warning", part)
        assert written.getvalue() == f"  ! Ingest: {shown}\n"


def test_our_own_colours_are_asked_for(console: PlainConsole, written: StringIO) -> None:
    console.print("[bold]ours[/]", markup=True)
    assert written.getvalue() == "\x1b[1mours\x1b[0m\n"


def test_a_character_that_the_outputs_encoding_lacks_is_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe on a machine that is set to ASCII: a sign or a city's accent ends no command."""
    written = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(written, encoding="ascii", write_through=True))
    write_what_is_lacking_as_escapes()
    PlainConsole(file=sys.stdout).print("▼ Lyon é")
    assert written.getvalue() == b"\\u25bc Lyon \\xe9\n"
