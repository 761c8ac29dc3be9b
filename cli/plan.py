"""`roompulse plan`: what a stack deploys, offline: no Pulumi command line, no account. Only prices need the internet, and
`--check` asks Azure.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import failed
from processors.contracts.plain_text import visible

if TYPE_CHECKING:
    from infra.plan import Plan

NAME = "roompulse plan"


def plan(
    stack: Annotated[str, typer.Option(help="Stack to plan: Pulumi.<stack>.yaml.")] = "dev",
    against: Annotated[str | None, typer.Option(help="Another stack, or a git revision: show only what differs.")] = None,
    cost: Annotated[bool, typer.Option(help="Price what is declared, from Azure's public list (needs the internet).")] = False,
    check: Annotated[
        bool, typer.Option(help="Ask Azure what can be known before: roles, regions, sizes, quota, names, the query (az login).")
    ] = False,
    subscription: Annotated[
        str, typer.Option(envvar=["AZURE_SUBSCRIPTION_ID", "ARM_SUBSCRIPTION_ID"], help="Subscription, for --check.")
    ] = "",
    details: Annotated[bool, typer.Option(help="Show every property of every resource.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show what `pulumi up` deploys for a stack: resources by service and city, capacity and why, who may what, what is open."""
    try:
        # the Pulumi SDKs are large and come with the deploy path only
        from infra.cost import CostError
        from infra.plan import PlanError
        from infra.plan import plan as planned
        from infra.providers.base import ProviderError
    except ModuleNotFoundError as missing:
        raise failed(
            NAME, f"{missing.name} is not installed: `make plan` installs what is needed, then shows the plan."
        ) from missing
    if sum((cost, check, against is not None)) > 1:
        raise failed(NAME, "--cost and --check are of one stack, each by itself: leave out --against and the other.")
    try:
        if check:
            _check(stack, subscription, as_json=as_json)
        elif cost:
            _cost(planned(stack), as_json=as_json)
        elif against is not None:
            _difference(planned(stack), against, as_json=as_json)
        else:
            _plan(planned(stack), details=details, as_json=as_json)
    except (PlanError, CostError, ProviderError) as fault:
        raise failed(NAME, str(fault)) from fault


def _plan(plan: Plan, *, details: bool, as_json: bool) -> None:
    from infra.plan_text import render, render_details

    if as_json:
        typer.echo(json.dumps(plan.as_json(), indent=1, ensure_ascii=False))
    else:
        typer.echo(render_details(plan) if details else render(plan))


def _cost(plan: Plan, *, as_json: bool) -> None:
    from infra.cost import RetailPrices, cost_of, render_cost

    month = cost_of(plan, RetailPrices())
    as_data = {**asdict(month), "total": month.total}
    typer.echo(json.dumps(as_data, indent=1, ensure_ascii=False) if as_json else render_cost(month))


def _difference(plan: Plan, against: str, *, as_json: bool) -> None:
    from infra.plan import plan_against
    from infra.plan_difference import compare, render_difference

    difference = compare(plan, plan_against(plan.stack, against), label=against)
    typer.echo(json.dumps(asdict(difference), indent=1, ensure_ascii=False) if as_json else render_difference(difference))
    if difference.refused:
        raise failed(NAME, f"{len(difference.refused)} changes can't be deployed over {against}: see above.")


def _check(stack: str, subscription: str, *, as_json: bool) -> None:
    from infra.azure_rest import MANAGEMENT
    from infra.preflight.check import preflight, stack_named
    from infra.preflight.findings import passes, render
    from infra.preflight.subscription import Subscription
    from infra.providers.credentials import access_token

    if not subscription:
        raise failed(NAME, "Which subscription? Give --subscription, or AZURE_SUBSCRIPTION_ID (az account show --query id).")
    azure = Subscription(subscription, access_token, os.environ.get("ROOMPULSE_ARM_ENDPOINT", MANAGEMENT))
    findings = preflight(azure, stack_named(stack))
    as_data = {"subscription": subscription, "passes": passes(findings), "findings": [asdict(one) for one in findings]}
    typer.echo(json.dumps(as_data, indent=1, ensure_ascii=False) if as_json else visible(render(subscription, findings)))
    if not passes(findings):
        raise typer.Exit(1)
