"""`roompulse webex integration`: the Workspace Integration by which Webex says what rooms measure, instead of being asked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cli.console import console, failed
from cli.ingest import of_the_local_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from processors.ingest.push.app import App
    from processors.ingest.push.home import Home
    from processors.ingest.push.trust import Trust

webex = typer.Typer(no_args_is_help=True, help="What an administrator sets up at Webex.")
integration = typer.Typer(no_args_is_help=True, help="The Workspace Integration: rooms report by themselves what they measure.")
webex.add_typer(integration, name="integration")

Local = Annotated[Path | None, typer.Option(help="Data folder of a local run, whose integration is meant.")]
_CLIENT_SECRET = "WEBEX_INTEGRATION_CLIENT_SECRET"
_COMMAND = "roompulse webex integration"


@integration.command()
def manifest(
    email: Annotated[str, typer.Option(help="Whom Webex names as responsible for the integration.")],
) -> None:
    """Print the manifest (JSON) for Control Hub: Management, Apps, Workspace Integrations, Add integration."""
    from processors.ingest.push.manifest import manifest as ours

    typer.echo(json.dumps({**ours(), "email": email}, indent=2))


@integration.command()
def activate(
    client_id: Annotated[str, typer.Option(help="The client id that Control Hub showed for the manifest.")],
    code: Annotated[
        str, typer.Option(prompt="Activation code", hide_input=True, help="The activation code; asked for when it is left out.")
    ],
    local: Local = None,
) -> None:
    """Verify the activation code of Control Hub, store what it gives, and say to Webex that we are set up."""
    from processors.ingest.push.activation import activation_from
    from processors.ingest.push.trust import NotTrusted
    from processors.ingest.tokens import TokenStoreError
    from processors.ingest.webex_client import WebexError

    environment, trust, home = _place("activate", local)
    secret = environment.get(_CLIENT_SECRET) or typer.prompt("Client secret", hide_input=True)
    try:
        activation = activation_from(code, client_id, trust)
        home.keep(activation, secret)
        described = _app(home, trust).completed()
    except (NotTrusted, TokenStoreError, WebexError) as fault:
        _fail("activate", fault)
    console.print(f"Activated for organisation {activation.integration.org_id} in region {activation.integration.region}.")
    raise typer.Exit(_say_unapproved(described))


@integration.command()
def status(local: Local = None) -> None:
    """Say whether it is activated, listened to, and approved as its manifest is. Exit code 1: there is something to do."""
    from processors.ingest.push.trust import NotTrusted
    from processors.ingest.tokens import TokenStoreError
    from processors.ingest.webex_client import WebexError

    _, trust, home = _place("status", local)
    try:
        known = home.integration()
        if known is None:
            raise failed(f"{_COMMAND} status", f"No integration is activated: {_COMMAND} manifest says how to begin.")
        described = _app(home, trust).described()
    except (NotTrusted, TokenStoreError, WebexError) as fault:
        _fail("status", fault)
    queue = described.get("queue")
    listened = isinstance(queue, dict) and queue.get("state") == "enabled"
    console.print(f"Activated for organisation {known.org_id} in region {known.region}.")
    console.print(f"Provisioning: {described.get('provisioningState')}. " + ("Its queue is enabled." if listened else _NO_QUEUE))
    if places := described.get("publicLocationIds"):
        console.print(f"For {len(places)} locations only: rooms elsewhere are polled.")
    raise typer.Exit(_say_unapproved(described) or int(not listened))


_NO_QUEUE = "It has no queue: the ingest enables one where a city has `push: true`."


def _place(command: str, local: Path | None) -> tuple[Mapping[str, str], Trust, Home]:
    """The environment, whom to believe, and where the integration is kept."""
    from processors.ingest.environment import WEBEX_API
    from processors.ingest.push.home import home_from
    from processors.ingest.push.trust import Trust
    from processors.ingest.tokens import TokenStoreError

    environment = dict(os.environ) if local is None else {**os.environ, **of_the_local_run(local, f"{_COMMAND} {command}")}
    trust = Trust(environment.get("WEBEX_API_BASE", WEBEX_API))
    try:
        home = home_from(environment, trust)
    except TokenStoreError as fault:
        _fail(command, fault)
    if home is None:
        where = "WEBEX_INTEGRATION_FOLDER, or WEBEX_TOKEN_VAULT_URI and STATE_BLOB_URL"
        text = f"Nothing says where the integration is kept: set {where}, as the ingest has them; or give --local."
        raise failed(f"{_COMMAND} {command}", text)
    return environment, trust, home


def _app(home: Home, trust: Trust) -> App:
    from processors.ingest.push.app import App
    from processors.ingest.tokens import INTEGRATION, ServiceAppToken

    known = home.integration()
    assert known is not None, "it has just been stored or seen"
    return App(known, ServiceAppToken(home.store, known.oauth_url, INTEGRATION), trust)


def _say_unapproved(described: Mapping[str, Any]) -> int:
    """Say what the administrator has not approved; 1 when there is something."""
    from processors.ingest.push.manifest import unapproved

    missing = unapproved(described)
    if missing:
        console.print("Not approved yet: " + ", ".join(missing) + ".")
        console.print(f"→ Upload the manifest anew in Control Hub ({_COMMAND} manifest), and approve it there.")
    else:
        console.print("Everything that the manifest asks for is approved.")
    return int(bool(missing))


def _fail(command: str, fault: Exception) -> NoReturn:
    raise failed(f"{_COMMAND} {command}", str(fault)) from fault
