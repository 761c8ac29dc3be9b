"""`roompulse scenario`: break things in the simulated Webex estate of a running pipeline, and fix them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.console import console, failed
from cli.durations import seconds
from local.run_settings import RunSettings
from webex_simulator.scenarios import NoSimulator, ScenarioClient, ScenarioError

scenario = typer.Typer(no_args_is_help=True, help="Break things in the running simulated estate, and fix them.")

Data = Annotated[Path, typer.Option(help="Data folder of the running pipeline.")]
City = Annotated[str | None, typer.Option(help="A city, by slug or name.")]
Location = Annotated[str | None, typer.Option(help="A location, by name.")]
Device = Annotated[str | None, typer.Option(help="A device, by name or id.")]
DATA = Path(".roompulse")


@contextmanager
def _client(data: Path) -> Iterator[ScenarioClient]:
    """The control of the run that uses the data folder; every fault ends the command with a text for people."""
    try:
        settings = RunSettings.read(data / "run.json")
    except FileNotFoundError:
        raise failed(
            "roompulse scenario", f"No pipeline has run in {data}: start one with `make run`, or name its folder with --data."
        ) from None
    try:
        yield ScenarioClient(settings.control_url)
    except NoSimulator as fault:
        raise failed(
            "roompulse scenario",
            f"No Webex simulator answers at {settings.control_url}: start the pipeline with `roompulse run`.",
        ) from fault
    except ScenarioError as fault:
        raise failed("roompulse scenario", str(fault)) from fault


def _target(city: str | None, location: str | None, device: str | None) -> dict[str, str]:
    """The one thing the options name."""
    named = {kind: name for kind, name in (("city", city), ("location", location), ("device", device)) if name}
    if len(named) != 1:
        raise typer.BadParameter("name exactly one of --city, --location and --device.")
    return named


@scenario.command()
def outage(city: City = None, location: Location = None, device: Device = None, data: Data = DATA) -> None:
    """Take a city, a location or a device down until `restore`."""
    target = _target(city, location, device)
    with _client(data) as client:
        client.outage(**target)
    console.print(f"{_name(target)} is down. `roompulse scenario restore` with the same option brings it back.")


@scenario.command()
def restore(city: City = None, location: Location = None, device: Device = None, data: Data = DATA) -> None:
    """Bring back what `outage` took down."""
    target = _target(city, location, device)
    with _client(data) as client:
        client.restore(**target)
    console.print(f"{_name(target)} is back.")


@scenario.command()
def heat(
    room: Annotated[str, typer.Option(help="A room, by name.")],
    celsius: Annotated[float, typer.Option(min=-20, max=60, help="Temperature its sensor reads from now on.")] = 31.0,
    data: Data = DATA,
) -> None:
    """Heat a room: its sensor reads the given temperature until `clear`."""
    with _client(data) as client:
        client.heat(room, celsius)
    console.print(f"{room} reads {celsius:g} °C.")


@scenario.command()
def firmware(
    version: Annotated[str, typer.Option(help="Software string the devices report.")] = "RoomOS 10.19.4.2 8d2a1f0c1b3",
    city: City = None,
    device: Device = None,
    data: Data = DATA,
) -> None:
    """Let a city's devices, or one device, report an old firmware until `clear`."""
    target = _target(city, None, device)
    with _client(data) as client:
        client.firmware(version=version, **target)
    console.print(f"{_name(target)} reports {version}.")


@scenario.command()
def issue(
    device: Annotated[str, typer.Option(help="A device, by name or id.")],
    code: Annotated[str, typer.Option(help="A Webex issue code.")] = "touchpanelconnection",
    data: Data = DATA,
) -> None:
    """Let a device report an issue until `clear`."""
    with _client(data) as client:
        client.issue(device, code)
    console.print(f"{device} reports {code}.")


@scenario.command()
def flap(
    down: Annotated[str, typer.Option(metavar="DURATION", help="How long it is down each time.")] = "30s",
    up: Annotated[str, typer.Option(metavar="DURATION", help="How long it is up in between.")] = "30s",
    city: City = None,
    location: Location = None,
    device: Device = None,
    data: Data = DATA,
) -> None:
    """Let devices go down and come back, over and over, until `clear`."""
    target = _target(city, location, device)
    down_seconds, up_seconds = seconds(down), seconds(up)
    with _client(data) as client:
        client.flap(**target, down_seconds=down_seconds, up_seconds=up_seconds)
    console.print(f"{_name(target)} flaps: {down_seconds:g} s down, {up_seconds:g} s up.")


@scenario.command()
def maintenance(
    city: City = None,
    location: Location = None,
    device: Device = None,
    room: Annotated[str | None, typer.Option(help="A room, by name.")] = None,
    lasting: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="How long; without it until `clear`.")] = None,
    data: Data = DATA,
) -> None:
    """Put devices or a room into planned maintenance: what is down there is no outage."""
    target = {"room": room} if room and not (city or location or device) else _target(city, location, device)
    duration = seconds(lasting) if lasting else None
    with _client(data) as client:
        client.maintenance(**target, seconds=duration)
    console.print(f"{_name(target)} is in planned maintenance.")


@scenario.command()
def overcrowd(
    room: Annotated[str, typer.Option(help="A room, by name.")],
    people: Annotated[int | None, typer.Option(min=0, max=1000, help="People in it; default: three more than seats.")] = None,
    data: Data = DATA,
) -> None:
    """Fill a room with more people than it has seats, until `clear`."""
    with _client(data) as client:
        client.overcrowd(room, people)
    console.print(f"{room} is over-full." if people is None else f"{room} counts {people} people.")


@scenario.command("bad-call")
def bad_call(
    device: Annotated[str, typer.Option(help="A room device, by name or id.")],
    loss: Annotated[float, typer.Option(min=0, max=100, help="Packets lost, in %.")] = 8,
    jitter: Annotated[float, typer.Option(min=0, max=10_000, help="Jitter, in ms.")] = 80,
    data: Data = DATA,
) -> None:
    """Put a device into a call of poor quality until `clear`."""
    with _client(data) as client:
        client.bad_call(device, loss, jitter)
    console.print(f"{device} is in a call with {loss:g} % loss and {jitter:g} ms jitter.")


@scenario.command()
def throttle(
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long Webex answers 429.")] = "30s",
    retry_after: Annotated[str, typer.Option(help="Retry-After header; anything goes, the real API once sent rubbish.")] = "5",
    data: Data = DATA,
) -> None:
    """Let Webex answer every request with 429 for a while."""
    duration = seconds(lasting)
    with _client(data) as client:
        client.throttle(duration, retry_after)
    console.print(f"Webex answers 429 for {duration:g} s.")


@scenario.command()
def fail(
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long Webex fails.")] = "30s",
    status: Annotated[int, typer.Option(min=500, max=599, help="The HTTP status it answers with.")] = 503,
    data: Data = DATA,
) -> None:
    """Let Webex answer every request with a server error for a while."""
    duration = seconds(lasting)
    with _client(data) as client:
        client.fail(duration, status)
    console.print(f"Webex answers {status} for {duration:g} s.")


@scenario.command("webex-incident")
def webex_incident(
    name: Annotated[str, typer.Option(help="What Webex's status page calls it.")] = "Meetings: some users can't join",
    impact: Annotated[str, typer.Option(help="How bad Webex says it is.")] = "minor",
    data: Data = DATA,
) -> None:
    """Let Webex's own status page report an incident until `clear`."""
    with _client(data) as client:
        client.webex_incident(name, impact)
    console.print(f"Webex reports: {name}.")


@scenario.command("fail-status-page")
def fail_status_page(
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long it fails.")] = "5m",
    status: Annotated[int, typer.Option(min=500, max=599, help="The HTTP status it answers with.")] = 503,
    data: Data = DATA,
) -> None:
    """Let Webex's own status page fail for a while."""
    duration = seconds(lasting)
    with _client(data) as client:
        client.fail_status_page(duration, status)
    console.print(f"Webex's status page answers {status} for {duration:g} s.")


@scenario.command()
def corrupt(pages: Annotated[int, typer.Option(min=1, help="How many pages are corrupted.")] = 3, data: Data = DATA) -> None:
    """Corrupt the next pages that Webex answers with."""
    with _client(data) as client:
        client.corrupt(pages)
    console.print(f"The next {pages} pages are corrupt.")


@scenario.command()
def push(
    loss: Annotated[float, typer.Option(min=0, max=100, help="So many % of what is pushed are lost.")] = 0,
    duplicates: Annotated[float, typer.Option(min=0, max=100, help="So many % come twice.")] = 0,
    disorder: Annotated[bool, typer.Option("--disorder", help="It comes out of order.")] = False,
    silence: Annotated[bool, typer.Option("--silence", help="Nothing is pushed, and what changes meanwhile is lost.")] = False,
    drop_queue: Annotated[bool, typer.Option("--drop-queue", help="The queue is dropped, with what is in it.")] = False,
    data: Data = DATA,
) -> None:
    """Disturb what Webex pushes (see `roompulse run --push`) until `clear`."""
    with _client(data) as client:
        if loss:
            client.push_loss(loss)
        if duplicates:
            client.push_duplicates(duplicates)
        if disorder:
            client.push_disorder()
        if silence:
            client.push_silence()
        if drop_queue:
            client.drop_queue()
    console.print("What is pushed is disturbed.")


@scenario.command("list")
def list_effects(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False, data: Data = DATA
) -> None:
    """Show what is broken on purpose now."""
    with _client(data) as client:
        effects = client.list()
    if as_json:
        typer.echo(json.dumps(effects, ensure_ascii=False))
    elif not effects:
        console.print("Nothing is broken on purpose.")
    else:
        console.print(_table(effects))


@scenario.command()
def clear(data: Data = DATA) -> None:
    """End everything that was broken on purpose."""
    with _client(data) as client:
        client.clear()
    console.print("Nothing is broken on purpose any more.")


def _name(target: dict[str, str]) -> str:
    ((kind, name),) = target.items()
    return f"{kind.capitalize()} {name}"


def _table(effects: list[dict[str, object]]) -> Table:
    """A row for each effect, whose other fields are reported in one column: each kind has its own."""
    table = Table("id", "action", "what", box=None, header_style="bold")
    for effect in effects:
        reported = (f"{name} {value}" for name, value in effect.items() if name not in ("id", "action") and value is not None)
        table.add_row(str(effect.get("id", "")), str(effect.get("action", "")), ", ".join(reported))
    return table
