"""`roompulse alerts replay`: notify people of what a channel never took."""

from __future__ import annotations

import json
import os
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.console import console, failed

if TYPE_CHECKING:
    from processors.alert_fanout.state import State

NAME = "roompulse alerts replay"
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def open_state(data: Path, url: str, command: str) -> State:
    """The fan-out's state: in blobs where a URL is given, else in the data folder of a local run. Raises typer.Exit."""
    from processors.alert_fanout.state import SqliteTexts, State, StateError

    try:
        if url:
            from processors.alert_fanout.state_blobs import BlobTexts

            return State(BlobTexts(url, os.environ))
        path = data / "state" / "fanout.sqlite"
        if not path.is_file():
            raise failed(command, f"{path} is not there: has a pipeline run with --data {data}? For Azure give --state-url.")
        return State(SqliteTexts(path))
    except StateError as fault:
        raise failed(command, str(fault)) from fault


def replay(
    since: Annotated[str, typer.Option(help="Only what was given up since: 2h, 3d, or a time such as 2026-11-24T08:00Z.")] = "",
    channel: Annotated[str, typer.Option(help="Only channels whose name begins so: teams, webex, pagerduty, ...")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List them and change nothing.")] = False,
    data: Annotated[Path, typer.Option(help="Folder of the local pipeline.")] = Path(".roompulse"),
    state_url: Annotated[
        str, typer.Option(envvar="STATE_BLOB_URL", help="On Azure: https://ACCOUNT.blob.core.windows.net/state (az login first).")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Notify people of what their channel never took: dead letters, once whatever was wrong with the channel is fixed.

    The fan-out notifies them with its next look, a second later (on Azure ten). What is over by now says so.
    """
    from processors.alert_fanout.replay import dead_letters, revive
    from processors.alert_fanout.state import StateError

    moment = _since(since)
    with closing(open_state(data, state_url, NAME)) as state:
        try:
            letters = dead_letters(state, since=moment, channel=channel)
            if not dry_run:
                revive(state, letters)
        except StateError as fault:
            raise failed(NAME, str(fault)) from fault
    if as_json:
        console.print_json(json.dumps({"replayed": not dry_run, "letters": [letter._asdict() for letter in letters]}))
        return
    if not letters:
        console.print("There are no dead letters" + (" like that." if since or channel else "."))
        return
    table = Table("given up", "city", "alert", "channel", "why", box=None, pad_edge=False)
    for letter in letters:
        table.add_row(f"{letter.dead_at[:16].replace('T', ' ')}Z", letter.city, letter.title, letter.channel, letter.why)
    console.print(table)
    count = f"{len(letters)} dead letter{'s' * (len(letters) != 1)}"
    console.print(f"{count}. Without --dry-run they are notified again." if dry_run else f"{count}, sent again in a moment.")


def _since(text: str) -> str:
    """A moment as the books write it; empty for all."""
    from processors.timestamps import format_time, parse_time

    if not text:
        return ""
    match = re.fullmatch(r"(\d+)([mhd])", text)
    if match:
        return format_time(datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])}))
    moment = parse_time(text)
    if moment is None:
        raise typer.BadParameter(f"{text!r} is neither 30m, 2h or 3d nor a time such as 2026-11-24T08:00Z.", param_hint="--since")
    return format_time(moment)
