"""The `roompulse` command: what it offers and how it reports errors."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from cli.alerts import alerts
from cli.ingest import ingest
from cli.plan import plan
from cli.query import query
from cli.reports import reports
from cli.run import run
from cli.scenario import scenario

app = typer.Typer(
    name="roompulse",
    help="Live monitoring of Cisco Webex rooms and devices across cities.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(ingest)
app.command()(plan)
app.add_typer(scenario, name="scenario")
app.add_typer(query, name="query")
app.add_typer(reports, name="reports")
app.add_typer(alerts, name="alerts")


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"roompulse {version('roompulse')}")
        except PackageNotFoundError:
            typer.echo("roompulse (not installed: `make run` installs it)")
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Live monitoring of Cisco Webex rooms and devices across cities."""
