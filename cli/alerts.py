"""`roompulse alerts`: what people do with alerts besides getting them."""

from __future__ import annotations

import typer

from cli.alerts_review import review

alerts = typer.Typer(help="Review the alerts of a stack.", no_args_is_help=True)
alerts.command()(review)
