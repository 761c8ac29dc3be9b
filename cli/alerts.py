"""`roompulse alerts`: what people do with alerts besides getting them."""

from __future__ import annotations

import typer

from cli.alerts_review import review
from cli.alerts_test import test

alerts = typer.Typer(help="Review the alerts of a stack, and test the alert rules.", no_args_is_help=True)
alerts.command()(review)
alerts.command()(test)
