"""The `roompulse` command: what it offers and how it reports errors."""

from __future__ import annotations

import errno
import json
import logging
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from activator.faults import DeclarationError

_COMMANDS = ("run", "ingest", "plan", "scenario", "query", "reports", "alerts", "new", "webex")
_PASSED_ON = {"ingest": {"allow_extra_args": True, "ignore_unknown_options": True}}
"""Commands whose options are those of another program."""


class _OnDemand(TyperGroup):
    """Imports a command when it is asked for: all of them cost `roompulse run` a sixth of a second and 8 MB."""

    def list_commands(self, ctx: Any) -> list[str]:
        for name in _COMMANDS:
            self.get_command(ctx, name)
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _command(cmd_name)
        if cmd_name not in _COMMANDS:
            self.list_commands(ctx)  # a near name is suggested
        return super().get_command(ctx, cmd_name)


@cache
def _command(name: str) -> Any:
    """A command as Click knows it, or a group of them."""
    found = getattr(import_module(f"cli.{name}"), name)
    holder = typer.Typer()
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    elif name in _PASSED_ON:
        holder.command(add_help_option=False, context_settings=_PASSED_ON[name])(found)
    else:
        holder.command()(found)
    command = typer.main.get_group(holder).commands[name]
    _guard(command)
    return command


def _guard(command: Any) -> None:
    """Let a command, or each command of a group, say what is wrong with a declaration instead of showing where it was found."""
    for inner in getattr(command, "commands", {}).values():
        _guard(inner)
    if not hasattr(command, "commands"):
        command.invoke = partial(_invoke, command.invoke)


def _invoke(invoke: Callable[[Any], Any], context: Any) -> Any:
    try:
        return invoke(context)
    except DeclarationError as refusal:
        from cli.console import failed  # loads Rich, which most commands get by without

        if context.params.get("as_json"):
            typer.echo(json.dumps(refusal.as_json(), indent=1, ensure_ascii=False))
        raise failed(context.command_path, str(refusal)) from refusal
    except OSError as fault:
        if fault.errno != errno.ENOSPC:
            raise
        from cli.console import failed

        raise failed(context.command_path, _full(fault)) from fault


def _full(fault: OSError) -> str:
    place = fault.filename or "where the output goes"
    return f"The disk is full ({place}). Free some space, then run it again."


def run() -> None:
    """Run the command line of the process. Help is printed before there is a command, so a full disk is said here then."""
    try:
        app()
    except OSError as fault:
        if fault.errno != errno.ENOSPC:
            raise
        sys.exit(f"roompulse: {_full(fault)}")


app = typer.Typer(
    name="roompulse",
    cls=_OnDemand,
    help="Live monitoring of Cisco Webex rooms and devices across cities.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

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
    # What azure-identity tried is in the error that we print: unasked, its log would stand there as well.
    logging.getLogger("azure").addHandler(logging.NullHandler())
