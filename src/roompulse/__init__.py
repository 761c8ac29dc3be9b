"""The `roompulse` command.

RoomPulse is a checkout, not a library (docs/decisions/0013): this finds the checkout in which it lies, and starts `cli` there.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run the command. Where RoomPulse was copied into an environment there is no checkout: that ends with a text."""
    if not (CHECKOUT / "cli" / "main.py").is_file():
        sys.exit(
            "roompulse: only the command was installed, and it runs from a checkout: stacks, queries and rules are files of it. "
            "Clone the repository of RoomPulse, and use `make run` and .venv/bin/roompulse there."
        )
    write_what_is_lacking_as_escapes()
    sys.path.insert(0, str(CHECKOUT))
    from cli.main import run

    run()


def write_what_is_lacking_as_escapes() -> None:
    """A character that the output's encoding lacks is written as its escape, and ends no command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
