"""`roompulse ingest`: the same as `python -m processors.ingest.fabric_real_time_ingest`; and its `doctor` and `accept`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from cli.console import console, failed

if TYPE_CHECKING:
    from processors.ingest.disappearance import Held

_MARKS = {"ok": Text("✓ ok", "green"), "warning": Text("! look", "yellow"), "error": Text("✗ fix", "red")}


def ingest(context: typer.Context) -> None:
    """Poll Webex and send observations, once or at an interval; or `doctor`: see what an administrator must fix; or `accept`:
    say that devices which are no longer listed are gone."""
    for name, command in (("doctor", _doctor), ("accept", _accept)):
        if context.args[:1] == [name]:
            raise typer.Exit(command(context.args[1:]))
    from processors.ingest.fabric_real_time_ingest import main  # imports the Event Hubs client: not for `roompulse --help`

    raise typer.Exit(main(context.args))


def _doctor(arguments: Sequence[str]) -> int:
    """Look, and print what was found; 1 when something must be fixed."""
    from processors.ingest.doctor import examine
    from processors.ingest.environment import ORGANISATION, of_organisation

    options = _parser().parse_args(arguments)
    environment = of_organisation(os.environ, os.environ.get(ORGANISATION, ""))
    if options.local is not None:
        environment |= of_the_local_run(options.local)
    if options.settings:
        environment["INGEST_SETTINGS"] = str(options.settings)
    findings = list(examine(environment, event_hubs=not options.no_event_hubs))
    if options.json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=1))
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for finding in findings:
            text = Text(finding.text + (f"\n→ {finding.fix}" if finding.fix else ""))
            table.add_row(_MARKS[finding.verdict], finding.check, text)
        console.print(table)
        errors, warnings = (sum(one.verdict == verdict for one in findings) for verdict in ("error", "warning"))
        console.print(f"{errors} to fix, {warnings} to look at.")
    return int(any(finding.verdict == "error" for finding in findings))


def _accept(arguments: Sequence[str]) -> int:
    """List the removals that are held back, or accept those that are named; 1 when one of them is none."""
    from processors.ingest.acceptance import AcceptanceError, accept, held
    from processors.ingest.environment import ORGANISATION, of_organisation

    options = _accept_parser().parse_args(arguments)
    of_shell = of_organisation(os.environ, os.environ.get(ORGANISATION, ""))
    environment = of_shell if options.local is None else of_the_local_run(options.local, "roompulse ingest accept")
    try:
        if options.what:
            for subject, removal in accept(environment, options.what).items():
                console.print(
                    Text(f"accepted: {_removal(subject, removal)}; the next complete listing that lacks them removes them")
                )
            return 0
        found = held(environment)
    except AcceptanceError as fault:
        raise failed("roompulse ingest accept", str(fault)) from fault
    if not found:
        console.print("No removal is held back.")
    for subject, removal in found.items():
        console.print(Text(f"{_removal(subject, removal)}, held back since {removal.since}\n→ roompulse ingest accept {subject}"))
    return 0


def _removal(subject: str, removal: Held) -> str:
    return f"{subject}: {removal.missing} of {removal.known} devices of {removal.name}"


def of_the_local_run(data_dir: Path, command: str = "roompulse ingest doctor") -> dict[str, str]:
    """The environment the ingest of `roompulse run` has."""
    from local.functions.host import app_settings
    from local.part import PartError
    from local.run_settings import RunSettings

    try:
        return app_settings(RunSettings.read(data_dir / "run.json"))
    except (OSError, ValueError, KeyError, PartError) as fault:
        raise failed(command, f"no run in {data_dir} ({fault}): start one with roompulse run.") from fault


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="roompulse ingest doctor",
        description="Looks at the token, its scopes, Webex's pages, cities and locations, and Event Hubs, and says what to fix.",
        epilog="The environment is that of roompulse ingest (see roompulse ingest --help). Exit code 1: something is to fix.",
    )
    parser.add_argument("--settings", type=Path, metavar="FILE", help="ingest-settings.json; default: INGEST_SETTINGS")
    parser.add_argument("--local", type=Path, nargs="?", const=Path(".roompulse"), metavar="FOLDER", help="look at the local run")
    parser.add_argument("--no-event-hubs", action="store_true", help="leave Event Hubs out")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    return parser


def _accept_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="roompulse ingest accept",
        description="Devices that go missing in bulk are kept as they were: a token that lost its admin role looks the same. "
        "Says which removals are held back; with names, that these devices are really gone, as many as are missing now.",
        epilog="The state is found as roompulse ingest finds it (STATE_FOLDER or STATE_BLOB_URL); it may be polling meanwhile.",
    )
    parser.add_argument("what", nargs="*", metavar="REMOVAL", help="organisation, or the id of a location, as the list names it")
    parser.add_argument("--local", type=Path, nargs="?", const=Path(".roompulse"), metavar="FOLDER", help="of the local run")
    return parser
