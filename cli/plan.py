"""`roompulse plan`: what a stack deploys, offline: no Pulumi command line, no account. Only prices need the internet."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from cli.console import failed


def plan(
    stack: Annotated[str, typer.Option(help="Stack to plan: Pulumi.<stack>.yaml.")] = "dev",
    against: Annotated[str | None, typer.Option(help="Another stack, or a git revision: show only what differs.")] = None,
    cost: Annotated[bool, typer.Option(help="Price what is declared, from Azure's public list (needs the internet).")] = False,
    details: Annotated[bool, typer.Option(help="Show every property of every resource.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show what `pulumi up` deploys for a stack: resources by service and city, capacity and why, who may what, what is open."""
    try:
        # the Pulumi SDKs are large and come with the deploy path only
        from infra.cost import CostError, RetailPrices, cost_of, render_cost
        from infra.plan import PlanError, plan_against
        from infra.plan import plan as planned
        from infra.plan_difference import compare, render_difference
        from infra.plan_text import render, render_details
    except ModuleNotFoundError as missing:
        raise failed(
            "roompulse plan", f"{missing.name} is not installed: `make plan` installs what is needed, then shows the plan."
        ) from missing
    if cost and against is not None:
        raise failed("roompulse plan", "--cost prices one stack: leave out --against.")
    try:
        ours = planned(stack)
        if cost:
            month = cost_of(ours, RetailPrices())
            as_data = {**asdict(month), "total": month.total}
            typer.echo(json.dumps(as_data, indent=1, ensure_ascii=False) if as_json else render_cost(month))
        elif against is not None:
            difference = compare(ours, plan_against(stack, against), label=against)
            typer.echo(json.dumps(asdict(difference), indent=1, ensure_ascii=False) if as_json else render_difference(difference))
            if difference.refused:
                raise failed("roompulse plan", f"{len(difference.refused)} changes can't be deployed over {against}: see above.")
        elif as_json:
            typer.echo(json.dumps(ours.as_json(), indent=1, ensure_ascii=False))
        else:
            typer.echo(render_details(ours) if details else render(ours))
    except (PlanError, CostError) as fault:
        raise failed("roompulse plan", str(fault)) from fault
