"""`roompulse alerts`: what people do with alerts besides getting them."""

from __future__ import annotations

import typer

from cli.alerts_acts import COMMANDS
from cli.alerts_fire import fire
from cli.alerts_replay import replay
from cli.alerts_review import review
from cli.alerts_test import test

alerts = typer.Typer(
    help="See incidents and act on them, review and test alerts, drill them, replay what was not delivered.",
    no_args_is_help=True,
)
for name, command in COMMANDS.items():
    alerts.command(name)(command)
alerts.command()(review)
alerts.command()(test)
alerts.command()(fire)
alerts.command()(replay)
