"""Where the commands write, and how each of them says that it can't go on."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from processors.contracts.plain_text import visible


class PlainConsole(Console):
    """A console to which a text is text: what Webex names may hold `[red]`, `:warning:` or orders to the terminal.

    Markup of our own is asked for, with `markup=True` or Text.from_markup, and there a foreign text is escaped.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """What Rich makes of every text that is printed or put into a table."""
        return super().render_str(visible(text), **options)


console = PlainConsole()
errors = PlainConsole(stderr=True)


def failed(command: str, text: str) -> typer.Exit:
    """Say on standard error why `command` can't go on; gives the exception that ends it with code 1."""
    errors.print(Text.assemble((f"{command}: ", "red"), visible(text)), soft_wrap=True)
    return typer.Exit(1)
