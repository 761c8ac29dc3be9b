"""A disk that fills up is said in a sentence, whichever command meets it."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from cli.main import _invoke

CONTEXT = SimpleNamespace(command_path="roompulse plan", params={})


@pytest.mark.parametrize(("path", "place"), [(None, "where the output goes"), ("output/x.json", "output/x.json")])
def test_a_full_disk_says_where_and_what_to_do(capsys: pytest.CaptureFixture[str], path: str | None, place: str) -> None:
    def command(_context: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", path)

    with pytest.raises(typer.Exit) as ended:
        _invoke(command, CONTEXT)
    assert ended.value.exit_code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert said == f"roompulse plan: The disk is full ({place}). Free some space, then run it again."


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["alerts", "list", "--help"]])
def test_help_needs_room_as_well(arguments: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = subprocess.run(
            [sys.executable, "-c", "from roompulse import main; main()", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (ended.returncode, ended.stderr) == (
        1, "roompulse: The disk is full (where the output goes). Free some space, then run it again.\n",
    )  # fmt: skip


def test_another_fault_of_the_machine_keeps_its_own_way(capsys: pytest.CaptureFixture[str]) -> None:
    def command(_context: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "output")

    with pytest.raises(PermissionError):
        _invoke(command, CONTEXT)
    assert capsys.readouterr().err == ""
