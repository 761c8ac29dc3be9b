"""`roompulse new`: the files of a new rule, signal, channel or tile, what turns red until it is done, and how to see it live.

What is written can be read, and does nothing yet: the cases of a rule expect nobody to be notified, a signal is sent by nobody.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from activator.declarations import did_you_mean
from cli.console import console, failed
from local.alert_tests.estate import MADE_BY, NUMBERS
from processors.contracts.signals import OF_ENTITY, SIGNALS, Entity, Signal, Unit

_RULE = """\
# yaml-language-server: $schema=../rule.schema.json
id: {name}
meaning: "TODO: what is wrong, as an operator would say it."
evidence: "TODO: where the threshold and the time come from, and what was rejected."
entity: {entity}
signal: {signal}
when: {{ at_least: {at_least}, for: 10m }}
severity: {{ default: 3 }}
no_data: keep
runbook: docs/runbooks/{name}.md
tests:
  - name: it fires when it has lasted, and resolves when it is over
    step: 5m
    series: {{ "{who}": "{good}, {bad} x4, {good} x2" }}
    expect: []  # nobody is notified yet: write who is to be, of what, and when
  - name: too short is not an alert
    step: 5m
    series: {{ "{who}": "{good}, ({bad}, {good}) x3" }}
    expect: []
  - name: readings that stop change nothing
    step: 5m
    series: {{ "{who}": "{good}, _ x6" }}
    expect: []
"""
_RUNBOOK = """\
# {name}: TODO

**What it means.** TODO

**Look first**: TODO

| finding | fix |
|---|---|
| TODO | TODO |

**Escalate** TODO
**False alarms.** TODO
**Resolved** by itself TODO

**Mute.** A reason and an end, in the stack file, under the city: `alerts: {{ {name}: {{ mute: true, because: "TODO", until: "TODO" }} }}`.
"""  # noqa: E501 - one line of a document
_TILE = """\
// title: TODO
// answers: TODO?
// columns: cityId, devices
Latest
| where entity == 'device'
| summarize devices = count() by cityId
| order by devices desc, cityId asc
"""
REPOSITORY = Path(__file__).resolve().parents[1]
CATALOGUE = "processors/contracts/signals.py"
RULES_PAGE = "docs/stages/alert-rules.md"
CHANNELS_PAGE = "docs/stages/alert-fanout.md"
LAYOUT = "powerbi/dashboard/layout.yaml"

new = typer.Typer(
    help="Write the files of a new rule, signal, channel or tile, and say what is still to do.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Option("--repository", help="The checkout that the files are written into.", hidden=True)]


@new.callback()
def _new() -> None:
    """Write the files of a new rule, signal, channel or tile, and say what is still to do."""


@new.command()
def rule(
    name: Annotated[str, typer.Argument(help="Id of the rule, such as room-too-loud: what people will read.")],
    signal: Annotated[str, typer.Option(help="The signal it looks at (docs/contracts.md).")],
    entity: Annotated[str | None, typer.Option(help="Whose signal, where several have one of this name.")] = None,
    repository: Folder = REPOSITORY,
) -> None:
    """Write a rule with its cases, its runbook, and its row in the table of rules."""
    _checked(name, r"[a-z][a-z0-9]*(-[a-z0-9]+)+", "two or more words in lower case, joined by hyphens: room-too-loud")
    looked_at = _signal(signal, entity)
    _write(repository, f"activator/rules/{name}.yaml", _RULE.format(name=name, **_case(looked_at)))
    _write(repository, f"docs/runbooks/{name}.md", _RUNBOOK.format(name=name))
    _insert(repository, RULES_PAGE, "\n## How it gets to people", f"| [{name}](../runbooks/{name}.md) | TODO | 3 |\n")
    _say(
        [
            f"activator/rules/{name}.yaml: what it means, where its numbers come from, its cases",
            f"docs/runbooks/{name}.md: what somebody does who gets the message",
            f"{RULES_PAGE}: when it fires, in the table",
        ],
        f"roompulse alerts test {name} --mutants",
        f"roompulse scenario --help has what makes it fire, `roompulse alerts fire {name}` a drill",
    )


@new.command()
def signal(
    name: Annotated[str, typer.Argument(help="Name of the signal, such as micMuted: what observations will have.")],
    entity: Annotated[str, typer.Option(help="device, workspace, location or city.")],
    unit: Annotated[str, typer.Option(help=f"One of: {', '.join(get_args(Unit))}.")] = "count",
    repository: Folder = REPOSITORY,
) -> None:
    """Declare a signal, and write what follows from it."""
    _checked(name, r"[a-z][A-Za-z0-9]+", "camelCase, as in observations: micMuted")
    _one_of(entity, [each for each in get_args(Entity) if each != "pipeline"], "entity")
    _one_of(unit, get_args(Unit), "unit")
    if name in OF_ENTITY[entity]:
        raise failed("roompulse new signal", f"A {entity} has a signal {name} already: {CATALOGUE} says what it is.")
    last = [each for each in SIGNALS if each.entity == entity][-1]
    following = SIGNALS[SIGNALS.index(last) + 1]
    heading = {
        "workspace": "# ---- rooms",
        "location": "# ---- locations",
        "city": "# ---- cities",
        "pipeline": "# ---- the platform",
    }
    high = ", high=1" if unit == "0 or 1" else ""
    entry = f'    Signal("{name}", "{entity}", "{unit}", "TODO", label="TODO"{high}),\n'
    _insert(repository, CATALOGUE, f"    {heading[following.entity]}\n", entry)
    _generate(repository)
    _say(
        [f"{CATALOGUE}: its source, its words, its range; then `make generate` again", *_READ_IN[entity]],
        f"pytest tests/processors/contracts/test_signals.py -k {name}",
        "roompulse ingest --once --to - shows what is sent",
    )


@new.command()
def channel(
    name: Annotated[str, typer.Argument(help="Name of the kind, such as googlechat: what stack files will say.")],
    title: Annotated[str | None, typer.Option(help='What people call it, such as "Google Chat".')] = None,
    repository: Folder = REPOSITORY,
) -> None:
    """Write a kind of channel that posts to an address, its section in the documentation, and what follows."""
    _checked(name, r"[a-z][a-z0-9]+", "one word in lower case: googlechat")
    called = title or name.capitalize()
    text = (Path(__file__).with_name("new_channel.txt")).read_text(encoding="utf-8")
    for placeholder, word in (("NAME", name), ("TITLE", called), ("CLASS", "".join(filter(str.isalnum, called)))):
        text = text.replace(placeholder, word)
    _write(repository, f"processors/alert_fanout/channels/{name}.py", text)
    _insert(
        repository, CHANNELS_PAGE, "## Guarantees\n", f"## {called}\n\nTODO: what the secret holds, what the service takes.\n\n"
    )
    _generate(repository)
    _say(
        [
            f"processors/alert_fanout/channels/{name}.py: the message, the service's limits, what it would take for markup",
            f"{CHANNELS_PAGE}: its section, and its row under Names in messages",
            "docs/judges.md or docs/unproven.md: who judges its messages",
        ],
        f'make lint, and make test ARGS="tests/processors/alert_fanout -k {name}" (faults that every kind has to bear)',
        f"a contact `{name}` in the stack, then roompulse alerts fire device-offline",
    )


@new.command()
def tile(
    name: Annotated[str, typer.Argument(help="Name of the tile, such as loudest_rooms.")],
    page: Annotated[str, typer.Option(help="The page of the dashboard it is on.")] = "Now",
    repository: Folder = REPOSITORY,
) -> None:
    """Write a tile of the real-time dashboard, and place it below what its page has."""
    _checked(name, r"[a-z][a-z0-9]*(_[a-z0-9]+)*", "lower case, words joined by underscores: loudest_rooms")
    lines = (repository / LAYOUT).read_text(encoding="utf-8").splitlines(keepends=True)
    pages = {line.strip(" :\n"): number for number, line in enumerate(lines) if re.fullmatch(r"  \w+:\n", line)}
    _one_of(page, pages, "page")
    end = min((number for number in pages.values() if number > pages[page]), default=len(lines))
    places = (re.search(r"at: \[\d+, (\d+), \d+, (\d+)\]", line) for line in lines[pages[page] : end])
    below = max(int(place[1]) + int(place[2]) for place in places if place)
    _write(repository, f"powerbi/dashboard/tiles/{name}.kql", _TILE)
    shows = "{ City: cityId, Devices: devices }"
    lines.insert(end, f"    - {{ tile: {name}, visual: table, at: [0, {below}, 24, 7], shows: {shows} }}\n")
    (repository / LAYOUT).write_text("".join(lines), encoding="utf-8")
    console.print(f"extended {LAYOUT}")
    _say(
        [
            f"powerbi/dashboard/tiles/{name}.kql: its title, the question it answers, its columns, its query",
            f"{LAYOUT}: where it is and how it is drawn",
        ],
        f"pytest tests/powerbi/test_tiles.py -k {name}",
        "roompulse reports preview draws it, roompulse reports build writes it",
    )


_ANSWERED = "processors/ingest/room_status.py: what devices are asked, how their answer is read, an example of one in ANSWERS"
_COUNTED = [
    "processors/ingest/fleet.py: what is counted",
    "local/alert_tests/estate.py: what has to be counted for it to be a number",
]
_READ_IN = {
    "device": [_ANSWERED, "processors/ingest/changes.py: what is kept of it from poll to poll, a field of Condition"],
    "workspace": [f"{CATALOGUE}: the `capability` of a metric of Webex; or {_ANSWERED}"],
    "location": _COUNTED,
    "city": [*_COUNTED, "or, of what is not counted, processors/ingest/city_facts.py and poll.py"],
}


def _generate(repository: Path) -> None:
    subprocess.run([sys.executable, "-m", "scripts.generate"], cwd=repository, check=True)


def _signal(name: str, entity: str | None) -> Signal:
    found = [each for each in SIGNALS if each.name == name and each.entity != "pipeline" and entity in (None, each.entity)]
    if not found:
        hint = did_you_mean(name, {each.name for each in SIGNALS})
        raise failed("roompulse new rule", f'There is no signal "{name}".{hint} docs/contracts.md has them all.')
    if len(found) > 1:
        entities = " or ".join(each.entity for each in found)
        raise failed("roompulse new rule", f"{name} is a signal of several: say --entity {entities}.")
    return found[0]


def _case(looked_at: Signal) -> dict[str, str]:
    """What a rule about a signal begins as: a threshold that says something, and series that reach it."""
    high = 1 if looked_at.high == 1 else 2
    who = "lyon" if looked_at.entity == "city" else "lyon/somewhere"
    bad, good = (MADE_BY[looked_at.name], "up") if looked_at.name not in NUMBERS[looked_at.entity] else (str(high), "0")
    at_least = "0.5" if looked_at.unit == "share" else str(high)
    return {"entity": looked_at.entity, "signal": looked_at.name, "at_least": at_least, "who": who, "bad": bad, "good": good}


def _checked(name: str, pattern: str, wanted: str) -> None:
    if not re.fullmatch(pattern, name):
        raise failed("roompulse new", f'"{name}" can\'t be its name. Wanted: {wanted}.')


def _one_of(value: str, known: object, what: str) -> None:
    names = list(known)  # type: ignore[call-overload]
    if value not in names:
        raise failed("roompulse new", f'"{value}" is not a {what}.{did_you_mean(value, names)} Known: {", ".join(names)}.')


def _write(repository: Path, name: str, text: str) -> None:
    path = repository / name
    if path.exists():
        raise failed("roompulse new", f"{name} is there already: take another name, or edit it.")
    path.write_text(text, encoding="utf-8")
    console.print(f"written  {name}")


def _insert(repository: Path, name: str, before: str, text: str) -> None:
    path = repository / name
    whole = path.read_text(encoding="utf-8")
    if whole.count(before) != 1:
        raise failed(
            "roompulse new", f'{name} has no single "{before.strip()}", before which it would be added: add by hand: {text}'
        )
    path.write_text(whole.replace(before, text + before), encoding="utf-8")
    console.print(f"extended {name}")


def _say(steps: list[str], test: str, live: str) -> None:
    console.print("\nstill to do:")
    for step in steps:
        console.print(f"  - {step}", soft_wrap=True, markup=False)
    console.print(f"\nred until then:  {test}", soft_wrap=True, markup=False)
    console.print(f"see it live:     {live}", soft_wrap=True, markup=False)
