"""`roompulse alerts list | show | why | ack | unack | take | comment | snooze | silence | unsilence | silences`: what people do
about incidents, and what became of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.alerts_replay import open_state
from cli.console import console, failed
from cli.durations import seconds
from cli.signed_in import NobodyError, author

if TYPE_CHECKING:
    from processors.alert_fanout.acting import Actor, Found
    from processors.alert_fanout.acts import Act
    from processors.alert_fanout.settings import FanoutSettings
    from processors.alert_fanout.state import State

_NAME = "roompulse alerts"
_WAY = "command line"

INCIDENT = Annotated[str, typer.Argument(help="The incident: as roompulse alerts list names it, or the beginning of that.")]
DATA = Annotated[Path, typer.Option(help="Folder of the local pipeline.")]
STATE_URL = Annotated[
    str, typer.Option(envvar="STATE_BLOB_URL", help="On Azure: https://ACCOUNT.blob.core.windows.net/state (az login first).")
]
STACK = Annotated[str, typer.Option(help="On Azure: the stack, Pulumi.<stack>.yaml, which says who is notified of what.")]
CITY = Annotated[str, typer.Option(help="Only of this city, by its slug.")]
OVER = Annotated[bool, typer.Option("--all", help="Those too that are over.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
HERE = Path(".roompulse")


@dataclass(frozen=True)
class Desk:
    """Where somebody works on incidents: the state, what time it is there, and who they are."""

    state: State
    data: Path
    state_url: str
    now: datetime

    @property
    def by(self) -> Actor:
        """Who does what is done."""
        from processors.alert_fanout.acting import Actor

        return Actor(author(self.state_url), _WAY)

    def until(self, for_: str) -> datetime:
        """The end of what begins now and lasts so long."""
        return self.now + timedelta(seconds=seconds(for_))


@contextmanager
def _desk(data: Path, state_url: str, command: str) -> Iterator[Desk]:
    """The desk at a local pipeline or on Azure; what goes wrong at it is said in a line."""
    from processors.alert_fanout.acting import Refusal
    from processors.alert_fanout.state import StateError
    from processors.contracts.validation import SettingsError

    with closing(open_state(data, state_url, f"{_NAME} {command}")) as state:
        try:
            yield Desk(state, data, state_url, _now(data, state_url))
        except (StateError, SettingsError, Refusal, NobodyError) as fault:
            raise failed(f"{_NAME} {command}", str(fault)) from fault


def _now(data: Path, state_url: str) -> datetime:
    """The time of the pipeline: a local one may run ahead."""
    from local.run_settings import RunSettings

    path = data / "run.json"
    return datetime.now(UTC) if state_url or not path.is_file() else RunSettings.read(path).clock.now()


def list_(
    city: CITY = "",
    over: OVER = False,
    data: DATA = HERE,
    state_url: STATE_URL = "",
    as_json: AS_JSON = False,
) -> None:
    """List the open incidents, the worst first: what, where, since when, who has it, what keeps it quiet."""
    from processors.alert_fanout.acting import every_incident

    with _desk(data, state_url, "list") as desk:
        found = [one for one in every_incident(desk.state) if one.city == (city or one.city) and (over or one.incident.open)]
        found.sort(key=lambda one: (not one.incident.open, one.incident.lead.severity, one.incident.lead.started_at))
        if as_json:
            console.print_json(json.dumps([_summary(one, desk.now) for one in found], ensure_ascii=False))
            return
        table = _table("incident", "sev", "city", "since", wraps=("alert", "state"))
        for one in found:
            summary = _summary(one, desk.now)
            lead = one.incident.lead
            what = f"{lead.rule_id} · {lead.name}"
            table.add_row(summary["handle"], str(lead.severity), one.city, _short(lead.started_at), what, summary["says"])
        console.print(table if found else "No incident is open." if not over else "There are no incidents.")
        if found:
            console.print("roompulse alerts why INCIDENT says who was notified; ack, take, snooze and silence act on it.")


def show(incident: INCIDENT, data: DATA = HERE, state_url: STATE_URL = "", as_json: AS_JSON = False) -> None:
    """Show an incident: what it is, who has it, and everything that became of it."""
    from processors.alert_fanout.acting import find
    from processors.alert_fanout.why import timeline

    with _desk(data, state_url, "show") as desk:
        found = find(desk.state, incident)
        entries = timeline(found.incident, found.acts)
        if as_json:
            shown = _summary(found, desk.now) | {"timeline": [entry._asdict() for entry in entries]}
            console.print_json(json.dumps(shown, ensure_ascii=False))
            return
        _head(found, desk.now)
        _print_timeline(entries)


def why(incident: INCIDENT, data: DATA = HERE, state_url: STATE_URL = "", stack: STACK = "", as_json: AS_JSON = False) -> None:
    """Say why each channel was notified of an incident, or was not: its rule, severity and hours, mutes, silences, what it became
    part of, limits, channels that are broken, and when each was notified.
    """
    from processors.alert_fanout.acting import find
    from processors.alert_fanout.whether import Place
    from processors.alert_fanout.why import timeline, verdicts
    from processors.timestamps import TIME

    with _desk(data, state_url, "why") as desk:
        found = find(desk.state, incident)
        settings = _settings(desk, stack, "why")
        if found.city not in settings.cities:
            raise failed(f"{_NAME} why", f"These settings have no city {found.city}: give the stack that has, with --stack.")
        place = Place(settings.cities[found.city], settings.rules, desk.now, found.acts)
        said = verdicts(found.book, found.incident, place)
        entries = timeline(found.incident, found.acts)
        if as_json:
            shown = _summary(found, desk.now) | {
                "channels": [one._asdict() for one in said],
                "timeline": [entry._asdict() for entry in entries],
            }
            console.print_json(json.dumps(shown, ensure_ascii=False))
            return
        _head(found, desk.now)
        table = _table(wraps=("channel", "", "why"))
        for one in said:
            table.add_row(one.channel, one.verdict, TIME.sub(lambda time: _long(time[0]), one.why))
        console.print(table)
        _print_timeline(entries)


def ack(
    incident: INCIDENT,
    for_: Annotated[str, typer.Option("--for", help="How long you have it: 30m, 8h. At most 168h.")] = "8h",
    text: Annotated[str, typer.Option(help="What you are doing about it.")] = "",
    data: DATA = HERE,
    state_url: STATE_URL = "",
    as_json: AS_JSON = False,
) -> None:
    """Acknowledge an incident: you have it. Nobody is reminded of it and it does not escalate, until that is over or it gets
    worse; its end is sent. Who has it already keeps it: see take.
    """
    _act("ack", "acknowledge", incident, data, state_url, as_json, for_, text)


def take(
    incident: INCIDENT,
    for_: Annotated[str, typer.Option("--for", help="How long you have it: 30m, 8h. At most 168h.")] = "8h",
    text: Annotated[str, typer.Option(help="What you are doing about it.")] = "",
    data: DATA = HERE,
    state_url: STATE_URL = "",
    as_json: AS_JSON = False,
) -> None:
    """Take an incident over from whoever has it, or acknowledge it."""
    _act("take", "take", incident, data, state_url, as_json, for_, text)


def unack(
    incident: INCIDENT,
    text: Annotated[str, typer.Option(help="Why.")] = "",
    data: DATA = HERE,
    state_url: STATE_URL = "",
    as_json: AS_JSON = False,
) -> None:
    """Take an acknowledgement back: nobody has the incident any more, and it escalates from its first step."""
    _act("unack", "unacknowledge", incident, data, state_url, as_json, "", text)


def comment(
    incident: INCIDENT,
    text: Annotated[str, typer.Argument(help="What there is to say.")],
    data: DATA = HERE,
    state_url: STATE_URL = "",
    as_json: AS_JSON = False,
) -> None:
    """Write something down for whoever looks at the incident."""
    _act("comment", "comment", incident, data, state_url, as_json, "", text)


def snooze(
    incident: INCIDENT,
    because: Annotated[str, typer.Option(help="Why: it hides something.")],
    for_: Annotated[str, typer.Option("--for", help="For how long: 30m, 8h. At most 168h.")] = "2h",
    data: DATA = HERE,
    state_url: STATE_URL = "",
    as_json: AS_JSON = False,
) -> None:
    """Keep one incident quiet for a while. What still burns then is sent; that it ended is sent to whoever was notified of it."""
    _act("snooze", "snooze", incident, data, state_url, as_json, for_, because)


def silence(
    city: Annotated[str, typer.Option(help="City, by its slug.")],
    because: Annotated[str, typer.Option(help="Why: it hides something.")],
    for_: Annotated[str, typer.Option("--for", help="For how long: 30m, 8h. At most 168h.")] = "2h",
    rule: Annotated[str, typer.Option(help="Only this alert rule: device-offline, ...")] = "",
    location: Annotated[str, typer.Option(help="Only this location, by id or name.")] = "",
    room: Annotated[str, typer.Option(help="Only this room, by id or name.")] = "",
    device: Annotated[str, typer.Option(help="Only this device, by id or name.")] = "",
    severity: Annotated[
        str, typer.Option(help="Severities, such as 1,2,3,4. The worst is silenced only by saying so.")
    ] = "2,3,4",
    stack: STACK = "",
    data: DATA = HERE,
    state_url: STATE_URL = "",
    as_json: AS_JSON = False,
) -> None:
    """Keep everything that fits quiet for a while, also what has not begun yet. What still burns at its end is sent then; that
    something ended is sent to whoever was notified of it.
    """
    from processors.alert_fanout import acting
    from processors.alert_fanout.acting import every_incident
    from processors.alert_fanout.acts import Acts, Scope

    scope = Scope(rule, location, room, device, _severities(severity))
    with _desk(data, state_url, "silence") as desk:
        _known_city(desk, city, stack)
        act = acting.silence(desk.state, city, scope, desk.by, desk.now, until=desk.until(for_), text=because)
        alone = Acts((act,))
        open_ = [one.incident for one in every_incident(desk.state) if one.city == city and one.incident.open]
        fits = [one.handle for one in open_ if alone.silence(one, desk.now)]
    if as_json:
        console.print_json(json.dumps(_act_as_json(act) | {"city": city, "fits": fits}, ensure_ascii=False))
        return
    fitting = f"It fits {len(fits)} open incident{'s' * (len(fits) != 1)}: {', '.join(fits)}." if fits else (
        "It fits no incident that is open now, and holds for what comes: see that the names are right."
    )  # fmt: skip
    console.print(f"Silence {act.id[:8]} in {city} until {act.until}. {fitting}", soft_wrap=True)
    console.print(f"roompulse alerts unsilence {act.id[:8]} ends it.")


def unsilence(
    silence: Annotated[str, typer.Argument(help="The silence or snooze: as roompulse alerts silences names it.")],
    text: Annotated[str, typer.Option(help="Why.")] = "",
    data: DATA = HERE,
    state_url: STATE_URL = "",
    as_json: AS_JSON = False,
) -> None:
    """End a silence or a snooze now: what it kept quiet and still burns is sent."""
    from processors.alert_fanout.acting import Refusal, end_silence

    with _desk(data, state_url, "unsilence") as desk:
        cities = [city for city in desk.state.acted_on() if any(act.id.startswith(silence) for act in desk.state.acts(city).all)]
        if len(cities) != 1:
            why = "fits silences of several cities" if cities else "is not the id of a silence"
            raise Refusal(f"{silence} {why}: roompulse alerts silences lists them.")
        act = end_silence(desk.state, cities[0], silence, desk.by, desk.now, text)
    if as_json:
        console.print_json(json.dumps(_act_as_json(act) | {"city": cities[0]}, ensure_ascii=False))
    else:
        console.print(f"Ended {act.ends[:8]} in {cities[0]}.")


def silences(
    city: CITY = "",
    over: OVER = False,
    data: DATA = HERE,
    state_url: STATE_URL = "",
    as_json: AS_JSON = False,
) -> None:
    """List the silences and snoozes that hold: what, until when, by whom and why."""
    from processors.alert_fanout.acts import SILENCE, SNOOZE

    with _desk(data, state_url, "silences") as desk:
        found = []
        for slug in desk.state.acted_on():
            acts = desk.state.acts(slug)
            wanted = [act for act in acts.all if act.kind in (SILENCE, SNOOZE)] if over else acts.silences(desk.now)
            found += [(slug, act, acts.end_of(act)) for act in wanted if city in ("", slug)]
    if as_json:
        rows = [_act_as_json(act) | {"city": slug, "endsAt": end} for slug, act, end in found]
        console.print_json(json.dumps(rows, ensure_ascii=False))
        return
    table = _table("silence", "city", "until", wraps=("what", "by", "because"))
    for slug, act, end in found:
        table.add_row(act.id[:8], slug, _short(end), _what(act), act.author, act.text)
    console.print(table if found else "Nothing is silenced.")


def _act(command: str, kind: str, incident: str, data: Path, state_url: str, as_json: bool, for_: str, text: str) -> None:
    from processors.alert_fanout.acting import act_on, find

    with _desk(data, state_url, command) as desk:
        found = find(desk.state, incident)
        until = desk.until(for_) if for_ else None
        act_on(desk.state, found, kind, desk.by, desk.now, until=until, text=text)
        after = find(desk.state, incident)
        summary = _summary(after, desk.now)
    if as_json:
        console.print_json(json.dumps(summary, ensure_ascii=False))
    else:
        console.print(f"{summary['handle']} {after.incident.lead.rule_id} · {after.incident.lead.name}: {summary['says']}")


def _summary(found: Found, now: datetime) -> dict[str, Any]:
    """An incident as programs get it; `says` is its state in words."""
    incident, acts = found.incident, found.acts
    held, quiet = acts.acknowledgement(incident, now), acts.silence(incident, now)
    words = ["open" if incident.open else "part of another" if incident.merged_into else "over"]
    words += [f"acknowledged by {held.author} until {_short(held.until)}"] if held and incident.open else []
    words += [f"quiet until {_short(acts.end_of(quiet))} ({quiet.text})"] if quiet and incident.open else []
    return {
        "handle": incident.handle,
        "id": incident.id,
        "city": found.city,
        "open": incident.open,
        "severity": incident.lead.severity,
        "rule": incident.lead.rule_id,
        "name": incident.lead.name,
        "startedAt": incident.lead.started_at,
        "acknowledgedBy": held.author if held else None,
        "acknowledgedUntil": held.until if held else None,
        "quietUntil": acts.end_of(quiet) if quiet else None,
        "says": ", ".join(words),
    }


def _head(found: Found, now: datetime) -> None:
    lead, summary = found.incident.lead, _summary(found, now)
    console.print(f"{summary['handle']}  {lead.rule_id} · {lead.name}, {found.city}, severity {lead.severity}", soft_wrap=True)
    console.print(f"since {_long(lead.started_at)}: {summary['says']}\n", soft_wrap=True)


def _print_timeline(entries: list[Any]) -> None:
    table = _table("when", wraps=("what", "channel", ""))
    for entry in entries:
        table.add_row(_long(entry.at), entry.what, entry.channel, entry.detail)
    console.print()
    console.print(table)


def _table(*whole: str, wraps: Sequence[str]) -> Table:
    """A table of columns that are never broken, and of others that are where the window is narrow; nothing is cut off."""
    table = Table(box=None, pad_edge=False)
    for name in whole:
        table.add_column(name, no_wrap=True)
    for name in wraps:
        table.add_column(name, overflow="fold")
    return table


def _long(time: str) -> str:
    """A time in UTC to the second: what follows what matters here."""
    return f"{time[:19].replace('T', ' ')}Z"


def _short(time: str) -> str:
    """A time in UTC as a table has room for."""
    return f"{time[5:16].replace('T', ' ')}Z"


def _act_as_json(act: Act) -> dict[str, Any]:
    return {name: value for name, value in asdict(act).items() if value and name != "more"}


def _what(act: Act) -> str:
    if act.scope is None:
        return f"incident {act.incident}"
    named = [("rule", act.scope.rule), ("location", act.scope.location), ("room", act.scope.room), ("device", act.scope.device)]
    parts = [f"{name} {value}" for name, value in named if value]
    return f"{', '.join(parts) or 'everything'}, severity {', '.join(map(str, act.scope.severities))}"


def _severities(text: str) -> tuple[int, ...]:
    found = tuple(sorted({part.strip() for part in text.split(",")}))
    if not set(found) <= {"1", "2", "3", "4"}:
        raise typer.BadParameter(f"{text!r} are not severities: write 2,3,4.", param_hint="--severity")
    return tuple(map(int, found))


def _settings(desk: Desk, stack: str, command: str) -> FanoutSettings:
    """Who is notified of what: as the local run wrote it, or as the stack says."""
    from infra.settings.processor_settings import deployed_fanout_settings
    from local.run import read_declarations
    from local.run_settings import RunSettings
    from processors.alert_fanout.settings import fanout_settings_of, load_fanout_settings

    run = desk.data / "run.json"
    if stack:
        return fanout_settings_of(deployed_fanout_settings(*read_declarations(stack)))
    if desk.state_url or not run.is_file():
        raise failed(f"{_NAME} {command}", "Which stack says who is notified? Give its name with --stack, such as --stack prod.")
    return load_fanout_settings(RunSettings.read(run).fanout_settings_path)


def _known_city(desk: Desk, city: str, stack: str) -> None:
    """See that a silence is about a city there is: what fits nothing would hide nothing, and say so to nobody."""
    from processors.alert_fanout.acting import Refusal

    known = set(desk.state.cities())
    if city not in known:
        known |= set(_settings(desk, stack, "silence").cities)
    if city not in known:
        raise Refusal(f"There is no city {city}. There are {', '.join(sorted(known))}.")


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_,
    "show": show,
    "why": why,
    "ack": ack,
    "unack": unack,
    "take": take,
    "comment": comment,
    "snooze": snooze,
    "silence": silence,
    "unsilence": unsilence,
    "silences": silences,
}
"""By name, in the order in which --help lists them."""
