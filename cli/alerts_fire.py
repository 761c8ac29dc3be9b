"""`roompulse alerts fire`: a drill through the whole path, with the time of each hop."""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.alerts_replay import open_state
from cli.console import console, failed

if TYPE_CHECKING:
    from activator.rules import Rule
    from infra.settings.stack import StackSettings
    from local.drill import Drill, Hop
    from local.run_settings import RunSettings
    from processors.alert_fanout.settings import City, RuleMeaning

NAME = "roompulse alerts fire"


def fire(
    city: Annotated[str, typer.Option(help="City, by its slug.")],
    rule: Annotated[str, typer.Option(help="Alert rule, by its id: device-offline, site-outage, ...")],
    data: Annotated[Path, typer.Option(help="Folder of the local pipeline, which must be running.")] = Path(".roompulse"),
    stack: Annotated[str, typer.Option(help="On Azure: the stack, Pulumi.<stack>.yaml.")] = "",
    namespace: Annotated[str, typer.Option(help="On Azure: NAMESPACE.servicebus.windows.net, instead of a local pipeline.")] = "",
    state_url: Annotated[
        str, typer.Option(envvar="STATE_BLOB_URL", help="On Azure: https://ACCOUNT.blob.core.windows.net/state (az login first).")
    ] = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the beginning, and again for the end.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Fire a drill: one alert of a rule in a city, marked as a drill, through the entry stream, the query and the fan-out to
    everybody who would be notified of a real one. Says how long each hop took, and ends it.

    Exits with 1 when somebody who should have heard of it did not. A drill is in no statistics, and folds no other alert.
    """
    from local.drill import AlertsHub, Watch, run, unheard
    from local.part import PartError
    from local.supervisor import RunError
    from processors.ingest.sinks import EventHubsSink, SendError

    try:
        settings = None if namespace else _running(data)
        drill = _drill(city, rule, stack or (settings.stack if settings else "dev"), settings)
        environment = {"EVENT_HUBS__fullyQualifiedNamespace": namespace}
        if settings:
            environment = {"EVENT_HUBS": settings.event_hubs_connection_string}
        with (
            closing(open_state(data, state_url, NAME)) as state,
            closing(EventHubsSink(environment)) as sink,
            closing(AlertsHub(environment, drill.id)) as alerts,
        ):
            clock = settings.clock.now if settings else lambda: datetime.now(UTC)
            if not as_json:
                console.print(f"Drill {drill.id}: {rule} in {drill.city.name}, severity {drill.rule.severity}")
            hops = run(drill, Watch(sink, alerts, state, clock, timeout), (lambda hop: None) if as_json else _print)
    except (RunError, SendError, PartError) as fault:
        raise failed(NAME, str(fault)) from fault
    unheard_why = unheard(hops)
    if as_json:
        console.print_json(json.dumps({"drill": drill.id, "city": city, "rule": rule, "hops": [asdict(hop) for hop in hops]}))
    else:
        console.print(unheard_why or "Everybody who is to hear of it has, and heard of its end.", soft_wrap=True)
    if unheard_why:
        raise typer.Exit(1)


def _print(hop: Hop) -> None:
    when = "      -" if hop.seconds is None else f"{hop.seconds:6.1f} s"
    console.print(f"  {when:>8}  {hop.name}" + (f"  ({hop.note})" if hop.note else ""), soft_wrap=True)


def _running(data: Path) -> RunSettings:
    """The settings of the run in a data folder; raises RunError when there is none."""
    from local.run_settings import RunSettings
    from local.supervisor import RunError

    path = data / "run.json"
    if not path.is_file():
        raise RunError(f"No pipeline has run in {data}: start one with roompulse run, or give its folder with --data.")
    return RunSettings.read(path)


def _drill(city: str, rule_id: str, stack_name: str, settings: RunSettings | None) -> Drill:
    """The drill, with the rule as the city has it today; raises RunError naming what is not there."""
    from activator.rules import rules_of_city
    from local.drill import Drill
    from local.run import read_declarations
    from local.supervisor import RunError

    stack, rules = read_declarations(stack_name)
    place = next((place for place in stack.cities if place.slug == city), None)
    if place is None:
        raise RunError(f"Stack {stack_name} has no city {city}. It has {', '.join(sorted(one.slug for one in stack.cities))}.")
    today = (settings.clock.now() if settings else datetime.now(UTC)).date().isoformat()
    known = {one.id: one for one in rules if not one.by_platform}
    if rule_id in {one.id for one in rules} - known.keys():
        raise RunError(_of_the_platform(rule_id, stack))
    if rule_id not in known:
        raise RunError(f"{rule_id} is not a rule the query evaluates. Those are {', '.join(sorted(known))}.")
    here = {one.id: one for one in rules_of_city(rules, place.overrides, today)}
    if rule_id not in here:
        raise RunError(f"{city} has muted {rule_id}: nobody would be notified, and nobody is.")
    notified, meaning = _fan_out_settings(stack, rules, settings, city, rule_id)
    poll = settings.poll_seconds if settings else stack.poll.seconds
    return Drill(city, notified, here[rule_id], meaning, poll)


def _of_the_platform(rule_id: str, stack: StackSettings) -> str:
    """Why a rule can't be drilled from here, and how it can."""
    people = ", ".join(stack.azure.operations_email) if stack.azure else ""
    who = f"It notifies {people}" if people else "It notifies nobody: the stack has no azure.operations"
    return (
        f"{rule_id} is not a rule the query evaluates: Azure Monitor judges it, and no observation sets it off. {who}. "
        "See that they are reached with az monitor action-group test-notifications create --resource-group GROUP "
        "--action-group ag-ops --alert-type metricstaticthreshold --add-action email operations ADDRESS usecommonalertschema."
    )


def _fan_out_settings(
    stack: StackSettings, rules: tuple[Rule, ...], settings: RunSettings | None, city: str, rule_id: str
) -> tuple[City, RuleMeaning]:
    """The city and the rule as the fan-out knows them."""
    from infra.settings.processor_settings import deployed_fanout_settings
    from processors.alert_fanout.settings import load_fanout_settings

    if settings:
        written = load_fanout_settings(settings.fanout_settings_path)
    else:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(deployed_fanout_settings(stack, rules), file)
            file.flush()
            written = load_fanout_settings(Path(file.name))
    return written.cities[city], written.rules[rule_id]
