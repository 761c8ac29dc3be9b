"""`roompulse alerts review`: what can fire, for whom, with which threshold and why; what drifted; what never fired."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from activator.history import History
from activator.rules import Rule, load_rules
from cli.console import failed
from processors.contracts.plain_text import visible

if TYPE_CHECKING:
    from infra.review.azure_reader import AzureReader
    from infra.review.deployed import DeclaredAlerting
    from infra.review.review import Review
    from infra.settings.stack import StackSettings

NAME = "roompulse alerts review"


class Source(StrEnum):
    """Where a review looks besides the stack file and the rules."""

    plan = "plan"
    local = "local"
    azure = "azure"


def review(
    stack: Annotated[str, typer.Option(help="Stack to review: Pulumi.<stack>.yaml.")] = "dev",
    source: Annotated[
        Source,
        typer.Option(
            "--from",
            help="plan: what is declared, offline. local: and what fired in the local pipeline. azure: and what is deployed, and "
            "what fired there (az login first).",
        ),
    ] = Source.plan,
    data: Annotated[Path, typer.Option(help="Folder of the local pipeline, for --from local.")] = Path(".roompulse"),
    subscription: Annotated[
        str, typer.Option(envvar=["AZURE_SUBSCRIPTION_ID", "ARM_SUBSCRIPTION_ID"], help="Subscription, for --from azure.")
    ] = "",
    html: Annotated[Path | None, typer.Option(help="Write a page to share and print to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    replay: Annotated[
        list[str] | None,
        typer.Option(
            help="RULE=THRESHOLD: say only what another threshold would have given, over the local pipeline's readings."
        ),
    ] = None,
) -> None:
    """Review a stack's alerts: coverage and its holes, overrides and their ends, who is notified, drift, what fired and what not.

    Exits with 1 when something should be changed (errors and warnings), so that a workflow can run it every morning.
    """
    try:
        from infra.providers.base import ProviderError
        from infra.review.azure_reader import AzureReadError
        from infra.review.page import page
        from infra.review.text import render
    except ModuleNotFoundError as missing:
        raise failed(NAME, f"{missing.name} is not installed: `make plan` installs what is needed.") from missing
    if replay:
        _replay(replay, stack, data)
        return
    try:
        found = _review(stack, source, data, subscription)
        if html is not None:
            html.write_text(page(found), encoding="utf-8")
    except (AzureReadError, ProviderError) as fault:
        raise failed(NAME, str(fault)) from fault
    except OSError as fault:
        raise failed(NAME, f"{html} can't be written ({fault.strerror}): name a file in a folder that exists.") from fault
    typer.echo(json.dumps(found.as_json(), indent=1, ensure_ascii=False) if as_json else visible(render(found)))
    if html is not None and not as_json:
        typer.echo(f"The page is in {html}.")
    if not found.passes:
        raise typer.Exit(1)


def _replay(changes: list[str], name: str, data: Path) -> None:
    from cli.threshold_replay import ReplayError, replayed
    from infra.packaging import REPOSITORY
    from infra.settings.stack import load_stack

    rules = load_rules()
    cities = load_stack(REPOSITORY / f"Pulumi.{name}.yaml", rules).cities
    try:
        for line in replayed(changes, rules, cities, data):
            typer.echo(line)
    except ReplayError as fault:
        raise failed(NAME, str(fault)) from fault


def _review(name: str, source: Source, data: Path, subscription: str) -> Review:
    from infra.packaging import REPOSITORY
    from infra.review.review import review as reviewed
    from infra.settings.stack import load_stack

    rules = load_rules()
    stack = load_stack(REPOSITORY / f"Pulumi.{name}.yaml", rules)
    now = datetime.now(UTC)
    if source is Source.local:
        return reviewed(stack, rules, now, history=_local_history(data))
    if source is Source.azure:
        declared, reader = _azure(stack, rules, subscription)
        return reviewed(stack, rules, now, declared=declared, deployed=reader.deployed(), history=reader.history(now))
    return reviewed(stack, rules, now)


def _local_history(data: Path) -> History:
    from local.lake.alert_history import local_history
    from local.lake.live_store import LiveStoreError

    try:
        return local_history(data)
    except FileNotFoundError:
        raise failed(NAME, f"No pipeline has run in {data}: start one with `make run`, or name its folder with --data.") from None
    except LiveStoreError as fault:
        raise failed(NAME, str(fault)) from fault


def _azure(stack: StackSettings, rules: tuple[Rule, ...], subscription: str) -> tuple[DeclaredAlerting, AzureReader]:
    from infra.plan import recorded
    from infra.providers.credentials import access_token
    from infra.review.azure_reader import AzureReader, place_of
    from infra.review.deployed import declared_alerting

    if not subscription:
        raise failed(NAME, "Which subscription? Give --subscription, or AZURE_SUBSCRIPTION_ID (az account show --query id).")
    recording = recorded(stack, rules)
    return declared_alerting(recording), AzureReader(place_of(recording, subscription), access_token)
