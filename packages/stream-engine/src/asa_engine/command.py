"""`asa-engine`: prove a Stream Analytics query on this machine: check, explain, run on files, run its test cases."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asa_engine.allocator import FAST
from asa_engine.errors import StreamEngineError

if TYPE_CHECKING:
    from rich.table import Table

    from asa_engine.cases import CaseResult
    from asa_engine.column_types import ColumnType
    from asa_engine.commands import ExplainedStep, Ran

app = typer.Typer(
    name="asa-engine",
    no_args_is_help=True,
    help="Prove a Stream Analytics query on this machine.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

HERE = Path()
File = Annotated[Path, typer.Argument(help="A query (.asaql) or a job folder.")]
Inputs = Annotated[
    list[str] | None, typer.Option("--input", metavar="NAME=FILE", help="Events of an input: JSON lines, an array, or CSV.")
]


def failed(context: typer.Context, text: str) -> typer.Exit:
    """Say on standard error why the command can't go on; gives the exception that ends it with code 1."""
    typer.echo(_coloured(f"{context.command_path}: ", typer.colors.RED) + visible(text), err=True)
    return typer.Exit(1)


def _coloured(text: str, colour: str) -> str:
    """`text` in a colour where it is wanted; typer leaves colours out where nobody sees them."""
    return text if os.environ.get("NO_COLOR") else typer.style(text, fg=colour)


def visible(text: str) -> str:
    """`text` with a space for what can't be seen: a terminal takes control characters for orders."""
    return "".join(character if character in "\n\t" or character.isprintable() else " " for character in text)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # takes as long as all of this module's own imports

        typer.echo(f"asa-engine {version('asa-engine')}")
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Prove a Stream Analytics query on this machine."""


@app.command()
def check(
    context: typer.Context,
    file: File = HERE,
    inputs: Inputs = None,
    show_types: Annotated[
        bool, typer.Option("--types", help="Show what each column of the outputs would be on Azure, and where records differ.")
    ] = False,
) -> None:
    """Say what can't run, and what may run differently on Azure, each with its place and the way out. Exit code 1 on findings."""
    from asa_engine import commands  # the engine is large, and what mounts these commands may need none

    try:
        checked = commands.check(file, _named(inputs))
        types = commands.types(file, _named(inputs)) if show_types and not checked.errors else ()
    except StreamEngineError as fault:
        raise failed(context, str(fault)) from fault
    _print_types(types)
    differing = [column for column in types if column.differs]
    for column in differing:
        typer.echo(visible(f"{column.output}.{column.column}: records differ in its type ({column}). {TYPES_DIFFER}"))
    if not checked.is_clean:
        typer.echo(visible(checked.render()))
    elif not differing:
        typer.echo(visible(f"{checked.file}: nothing to say."))
    if differing or not checked.is_clean:
        raise typer.Exit(1)


TYPES_DIFFER = "A table takes the type of its first row, and a row that doesn't fit stops the output or is dropped: CAST it."


def _print_types(types: Sequence[ColumnType]) -> None:
    if not types:
        return
    table = _plain_table("Output", "Column", "On Azure")
    for column in types:
        table.add_row(visible(column.output), visible(column.column), str(column))
    _print_tables(table)


@app.command()
def explain(
    context: typer.Context,
    file: File = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show inputs, steps and outputs with their columns and types, the time policy, what is kept, what is parallel, and how it is
    known what each construct does on Azure."""
    from asa_engine import commands  # the engine is large, and what mounts these commands may need none

    try:
        explained = commands.explain(file)
    except StreamEngineError as fault:
        raise failed(context, str(fault)) from fault
    if as_json:
        typer.echo(json.dumps(asdict(explained), ensure_ascii=False, default=str, indent=1))
        return
    policy = explained.policy
    late = "waits for ever" if policy.late is None else f"{policy.late / 1e6:g} s"
    typer.echo(f"{visible(explained.name)} · late arrival {late} · out of order {policy.out_of_order / 1e6:g} s")
    shown: list[ExplainedStep] = []
    sections = (("Inputs", explained.inputs), ("Steps", explained.steps), ("Outputs", explained.outputs))
    steps = [_table(title, section, shown) for title, section in sections]
    kept = _plain_table("Kept by", "What", "For how long")
    for row in explained.kept:
        kept.add_row(*row)
    keyed = _plain_table("Step", "Keyed by", "Parallel on Azure")
    for place in explained.keyed:
        keyed.add_row(place.name, place.by, f"no: {place.breaks}" if place.breaks else "yes")
    made_of = _plain_table("Made of", "Times", "What it does on Azure is")
    for one in explained.made_of:
        made_of.add_row(visible(one.construct), str(one.times), one.mark)
    _print_tables(*steps, kept, keyed, made_of)


@app.command()
def run(
    context: typer.Context,
    file: File = HERE,
    inputs: Inputs = None,
    output: Annotated[Path, typer.Option(help="Folder the outputs are written to.")] = Path("output/query"),
    arrival: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="When an event arrived: the time policy applies. Else a file counts in order of time."
        ),
    ] = None,
) -> None:
    """Run a query over files; each output becomes a file of JSON lines, in order of time, and in the same order each time."""
    os.environ.update(FAST | os.environ)  # before what looks at it when it is loaded; what is set already stays
    from asa_engine import commands  # the engine is large, and what mounts these commands may need none

    named = _named(inputs)
    try:
        with _progress(named.values()) as fed:
            ran = commands.run(file, named, output, fed, arrival)
    except StreamEngineError as fault:
        raise failed(context, str(fault)) from fault
    except OSError as fault:
        advice = "Make room, or choose another folder with --output."
        raise failed(context, f"{fault.filename or output} can't be written: {fault.strerror}. {advice}") from fault
    for name, count in ran.rows.items():
        typer.echo(visible(f"{name:<16} {count:>9,} rows  {ran.files[name]}"))
    for name, count in ran.dropped.items():
        if count:
            typer.echo(visible(f"{name:<16} {count:>9,} events dropped by the time policy of JobConfig.json"))
    for line in _doubted_and_left_out(ran):
        typer.echo(visible(line), err=True)


def _doubted_and_left_out(ran: Ran) -> Iterator[str]:
    """What may run differently on Azure, and which events of each input were left out."""
    for doubt in ran.doubts:
        yield f"line {doubt.position.line}, column {doubt.position.column}: {doubt.text} {doubt.advice}"
    for name, left_out in ran.left_out.items():
        if left_out.count:
            yield f"{name}: {left_out.count:,} events can't be read and are left out, as on Azure. The first:"
            yield from (f"  {line}" for line in left_out.shown)


def _named(inputs: list[str] | None) -> dict[str, Path]:
    """The files of inputs by their names. Raises BadParameter."""
    named = {}
    for entry in inputs or []:
        name, separator, path = entry.partition("=")
        if not separator or not path:
            raise typer.BadParameter(f"{entry!r} is not a NAME=FILE, such as observations=events.jsonl.")
        named[name] = Path(path)
    return named


@contextmanager
def _progress(files: Iterable[Path]) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, where it is a terminal; gives what to report events fed and their characters."""
    if not sys.stderr.isatty():
        yield lambda events, characters: None
        return
    from rich.console import Console  # slow, as is the next
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[events]:,} events, {task.fields[rate]:,.0f}/s"))
    size = sum(file.stat().st_size for file in files if file.is_file())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size, events=0, rate=0.0)
        started, seen = time.monotonic(), 0

        def fed(events: int, characters: int) -> None:
            nonlocal seen
            seen += events
            bar.update(task, advance=characters, events=seen, rate=seen / (time.monotonic() - started))

        yield fed


@app.command()
def test(context: typer.Context, folder: Annotated[Path, typer.Argument(help="A job folder.")] = HERE) -> None:
    """Run the test cases of a job folder (test/testConfig.json, the format of Microsoft's own tool). Exit code 1 on a failure."""
    from asa_engine import commands  # the engine is large, and what mounts these commands may need none

    try:
        results = commands.test(folder)
    except StreamEngineError as fault:
        raise failed(context, str(fault)) from fault
    _report(results, "cases")


@app.command()
def replay(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="What a local run of VS Code's or Visual Studio's tools left.")],
    query: Annotated[
        Path | None, typer.Option(help="The recorded query; else the startFile of the project around the recording.")
    ] = None,
    inputs: Inputs = None,
) -> None:
    """Compare with a recording of the real engine, step by step. Exit code 1 on a difference."""
    from asa_engine.replay import replay as compare  # the engine is large, and what mounts these commands may need none

    try:
        results = compare(folder, query, _named(inputs))
    except StreamEngineError as fault:
        raise failed(context, str(fault)) from fault
    _report(results, "steps and outputs")


def _report(results: list[CaseResult], what: str) -> None:
    """Print what came of each case or step; ends the command with code 1 when one failed."""
    for result in results:
        mark = _coloured("✓", typer.colors.GREEN) if result.passed else _coloured("✗", typer.colors.RED)
        typer.echo(f"  {mark} {visible(result.name)}")
        for line in _differences(result):
            typer.echo(visible(f"      {line}"))
    failures = sum(not result.passed for result in results)
    typer.echo(f"{len(results)} {what}, {failures} failed")
    if failures:
        raise typer.Exit(1)


def _differences(result: CaseResult) -> list[str]:
    if result.error:
        return [result.error]
    reported = [f"left out, as on Azure: {line}" for line in result.left_out]
    sides = (("missing", result.missing), ("unexpected", result.unexpected))
    return reported + [
        f"{output}, {side}: {json.dumps(row)}" for side, rows in sides for output, found in rows.items() for row in found
    ]


def _print_tables(*tables: Table) -> None:
    """Names and events are somebody else's: text, never markup."""
    from rich.console import Console  # slow, and most commands print no table

    console = Console(highlight=False, markup=False, emoji=False)
    for table in tables:
        console.print(table)


def _plain_table(*headers: str) -> Table:
    from rich.table import Table  # slow, and most commands print no table

    return Table(*headers, box=None, header_style="bold", pad_edge=False)


def _table(title: str, steps: tuple[ExplainedStep, ...], shown: list[ExplainedStep]) -> Table:
    """A row for each step; one that only adds to the columns of a step `shown` before says which, and what it adds."""
    from rich.text import Text  # slow, and most commands print no table

    table = _plain_table(title, "Columns")
    for step in steps:
        below = next((earlier for earlier in reversed(shown) if step.columns[: len(earlier.columns)] == earlier.columns), None)
        columns = step.columns[len(below.columns) if below else 0 :]
        added = [Text.assemble(name, (f":{kind}", "dim")) for name, kind in columns]
        table.add_row(step.name, Text(", ").join([Text(f"those of {below.name}"), *added] if below else added))
        shown.append(step)
    return table
