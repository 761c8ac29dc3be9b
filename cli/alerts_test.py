"""`roompulse alerts test`: the cases of the alert rules, through the deployed query and the real fan-out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from activator.declarations import did_you_mean
from activator.rules import RULES_FOLDER, Rule, load_rules
from cli.console import console, failed

if TYPE_CHECKING:
    from asa_engine.job_folder import JobFolder
    from local.alert_tests.mutants import Score
    from local.alert_tests.runner import CaseResult
    from local.alert_tests.worlds import World

JOB = Path(__file__).parents[1] / "asa-queries" / "roompulse"


def test(
    rule: Annotated[list[str] | None, typer.Argument(help="Rules to test; all when none is named.", show_default=False)] = None,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Make each rule wrong in every way (threshold, time, severity, city, recipients, "
                           "suppression) and see that a case notices.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Folder with the rules.", show_default="activator/rules")] = RULES_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:  # fmt: skip
    """Run the cases that alert rules carry: series become observations as the ingest makes them, go through roompulse.asaql, and
    what the fan-out would send is held against what the case expects: who, what, when, in which words.

    Exit code 1 when a case fails, or a mutant survives.
    """
    # the engine is large, and every `roompulse` command imports this module
    from asa_engine.errors import StreamEngineError
    from asa_engine.job_folder import read_job_folder
    from local.alert_tests.runner import check, run, worlds_of

    began = time.monotonic()
    try:
        rules = load_rules(folder)
        chosen = _chosen(rules, rule or [])
        check(rules)
        worlds = worlds_of(rules, chosen)
        job = read_job_folder(JOB)
        results = run(worlds, job)
        scored = _scores(rules, chosen, job, results) if mutants else {}
    except StreamEngineError as fault:
        raise failed("roompulse alerts test", str(fault)) from fault
    if as_json:
        typer.echo(json.dumps(_as_json(chosen, results, scored), ensure_ascii=False, indent=1))
    else:
        _print(chosen, worlds, results, scored, time.monotonic() - began)
    if not all(result.passed for result in results) or any(score.survivors for score in scored.values()):
        raise typer.Exit(1)


test.__test__ = False  # type: ignore[attr-defined] # a command, which pytest would take for a test


def _chosen(rules: Sequence[Rule], names: Sequence[str]) -> list[Rule]:
    known = {one.id: one for one in rules}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise typer.BadParameter(f"{name} is not an alert rule.{hint} There are {', '.join(known)}.")
    return [known[name] for name in names] if names else list(rules)


def _scores(rules: Sequence[Rule], chosen: Sequence[Rule], job: JobFolder, results: Sequence[CaseResult]) -> dict[str, Score]:
    """Mutants of the rules whose cases pass: of the others every mutant would be noticed."""
    from local.alert_tests.mutants import scores

    failing = {result.rule_id for result in results if not result.passed}
    return {score.rule_id: score for score in scores(rules, [one for one in chosen if one.id not in failing], job)}


def _print(
    chosen: Sequence[Rule], worlds: Sequence[World], results: Sequence[CaseResult], scored: dict[str, Score], seconds: float
) -> None:
    from local.alert_tests.drawing import LEGEND, drawn

    table = Table(box=None, show_header=False, pad_edge=True)
    for rule in chosen:
        table.add_row(*_row(rule, [result for result in results if result.rule_id == rule.id], scored))
    console.print(table)
    for world, result in zip(worlds, results, strict=True):
        if not result.passed:
            console.print(Text.assemble(("\n✗ ", "red"), (result.rule_id, "bold"), f": {result.case.name}"))
            for line in drawn(result, world):
                typer.echo(f"    {line}")
    if not all(result.passed for result in results):
        console.print(Text(f"\n    {LEGEND}", "dim"))
    for score in scored.values():
        for survivor in score.survivors:
            console.print(
                Text.assemble(("\n✗ ", "red"), (score.rule_id, "bold"), ": no case notices the mutant ", (survivor, "bold"))
            )
            typer.echo("    Add a case whose result it changes.")
    console.print(f"\n{_conclusion(chosen, results, scored)} ({seconds:.1f} s)")


def _row(rule: Rule, results: Sequence[CaseResult], scored: dict[str, Score]) -> Iterator[str | Text]:
    failures = sum(not result.passed for result in results)
    score = scored.get(rule.id)
    good = not failures and not (score and score.survivors)
    yield Text("✓", "green") if good else Text("✗", "red")
    yield rule.id
    yield Text(f"{rule.condition}, severity {rule.severity}", "dim")
    yield Text.assemble(f"{len(results)} cases", (f", {failures} failed" if failures else "", "red"))
    if score:
        yield f"{score.killed}/{len(score.mutants)} mutants noticed"


def _conclusion(chosen: Sequence[Rule], results: Sequence[CaseResult], scored: dict[str, Score]) -> str:
    failures = sum(not result.passed for result in results)
    summary = f"{len(results)} cases of {len(chosen)} rule{'s' * (len(chosen) != 1)}, {failures} failed"
    if scored:
        all_, killed = sum(len(score.mutants) for score in scored.values()), sum(score.killed for score in scored.values())
        summary += f"; {killed} of {all_} mutants noticed"
    return summary


def _as_json(chosen: Sequence[Rule], results: Sequence[CaseResult], scored: dict[str, Score]) -> dict[str, Any]:
    return {
        "rules": [
            {
                "id": rule.id,
                "cases": [_case_as_json(result) for result in results if result.rule_id == rule.id],
                **({"mutants": _score_as_json(scored[rule.id])} if rule.id in scored else {}),
            }
            for rule in chosen
        ],
    }


def _case_as_json(result: CaseResult) -> dict[str, Any]:
    from local.alert_tests.drawing import clock_time

    return {
        "name": result.case.name,
        "kind": result.case.kind,
        "passed": result.passed,
        "told": [
            {"at": clock_time(one.at), one.state: one.entity, "rule": one.rule_id, "severity": one.severity, "title": one.title,
             "text": one.text, "to": sorted(one.to)}
            for one in result.notified
        ],
        "missing": [{"at": clock_time(one.at), one.state: one.entity, "rule": one.rule_id} for one in result.missing],
    }  # fmt: skip


def _score_as_json(score: Score) -> dict[str, Any]:
    return {"all": len(score.mutants), "noticed": score.killed, "survivors": list(score.survivors)}
