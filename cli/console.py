"""Where the commands write, and how each of them says that it can't go on."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.text import Text

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def failed(command: str, text: str) -> typer.Exit:
    """Say on standard error why `command` can't go on; gives the exception that ends it with code 1."""
    errors.print(Text.assemble((f"{command}: ", "red"), text), soft_wrap=True)
    return typer.Exit(1)
