"""`roompulse ingest`: the same as `python -m processors.ingest.fabric_real_time_ingest`; and `roompulse ingest doctor`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from cli.console import console, failed

_MARKS = {"ok": Text("✓ ok", "green"), "warning": Text("! look", "yellow"), "error": Text("✗ mend", "red")}


def ingest(context: typer.Context) -> None:
    """Poll Webex and send observations, once or at an interval; or `doctor`: see what an administrator must mend."""
    if context.args[:1] == ["doctor"]:
        raise typer.Exit(_doctor(context.args[1:]))
    from processors.ingest.fabric_real_time_ingest import main  # imports the Event Hubs client: not for `roompulse --help`

    raise typer.Exit(main(context.args))


def _doctor(arguments: Sequence[str]) -> int:
    """Look, and print what was found; 1 when something must be mended."""
    from processors.ingest.doctor import examine

    options = _parser().parse_args(arguments)
    environment = dict(os.environ)
    if options.local is not None:
        environment |= _of_the_local_run(options.local)
    if options.settings:
        environment["INGEST_SETTINGS"] = str(options.settings)
    findings = list(examine(environment, event_hubs=not options.no_event_hubs))
    if options.json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=1))
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for finding in findings:
            table.add_row(_MARKS[finding.verdict], finding.check, finding.text + (f"\n→ {finding.fix}" if finding.fix else ""))
        console.print(table)
        errors, warnings = (sum(one.verdict == verdict for one in findings) for verdict in ("error", "warning"))
        console.print(f"{errors} to mend, {warnings} to look at.")
    return int(any(finding.verdict == "error" for finding in findings))


def _of_the_local_run(data_dir: Path) -> dict[str, str]:
    """The environment the ingest of `roompulse run` has."""
    from local.functions.host import app_settings
    from local.part import PartError
    from local.run_settings import RunSettings

    try:
        return app_settings(RunSettings.read(data_dir / "run.json"))
    except (OSError, ValueError, KeyError, PartError) as fault:
        raise failed("roompulse ingest doctor", f"no run in {data_dir} ({fault}): start one with roompulse run.") from fault


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="roompulse ingest doctor",
        description="Looks at the token, its scopes, Webex's pages, cities and locations, and Event Hubs, and says what to mend.",
        epilog="The environment is that of roompulse ingest (see roompulse ingest --help). Exit code 1: something is to mend.",
    )
    parser.add_argument("--settings", type=Path, metavar="FILE", help="ingest-settings.json; default: INGEST_SETTINGS")
    parser.add_argument("--local", type=Path, nargs="?", const=Path(".roompulse"), metavar="FOLDER", help="look at the local run")
    parser.add_argument("--no-event-hubs", action="store_true", help="leave Event Hubs out")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    return parser
