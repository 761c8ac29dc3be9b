"""All checks of a pre-flight, in the order in which a deployment would meet them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from activator.rules import load_rules
from infra.azure_rest import Unanswered
from infra.packaging import REPOSITORY
from infra.plan import recorded
from infra.preflight import names, offers, query, quotas, rights
from infra.preflight.findings import Finding, fault, ok, unknown
from infra.preflight.subscription import Stack, Subscription
from infra.program import sized
from infra.settings.stack import load_stack

Check = Callable[[Subscription, Stack], Iterator[Finding]]
CHECKS: dict[str, Check] = {
    "roles": rights.held,
    "providers": offers.providers,
    "sizes": offers.sizes,
    "quota": quotas.left,
    "names": names.free,
    "query": query.compiled,
}


def stack_named(name: str) -> Stack:
    """What `Pulumi.<name>.yaml` would deploy; raises DeclarationError when it can't be."""
    rules = load_rules()
    settings = load_stack(REPOSITORY / f"Pulumi.{name}.yaml", rules)
    return Stack(sized(settings).location, recorded(settings, rules))


def preflight(azure: Subscription, stack: Stack) -> list[Finding]:
    """Everything Azure says of a stack before it is deployed. A check that gets no answer hides none of the others; where nobody
    answers at all, each is reported as not asked.
    """
    try:
        found = [_usable(azure.get("", "2022-12-01"))]
    except Unanswered as why:
        found = [unknown("account", "subscription", why)]
        if why.status is None:
            return found + [unknown(name, "everything", "not asked: Azure can't be reached") for name in CHECKS]
    for name, check in CHECKS.items():
        found += _answered(name, check(azure, stack))
    return found


def _usable(subscription: dict[str, object]) -> Finding:
    name, state = str(subscription.get("displayName")), subscription.get("state")
    if state == "Enabled":
        return ok("account", "subscription", f"{name} is enabled")
    return fault("account", "subscription", f"{name} is {state}", "take another (--subscription), or settle it in the portal.")


def _answered(name: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    try:
        yield from findings
    except Unanswered as why:
        yield unknown(name, "everything", why)
    except (AttributeError, KeyError, TypeError, ValueError) as odd:  # whatever stands where Azure documents something else
        yield unknown(name, "the rest", f"Azure answered in a form that is not documented ({type(odd).__name__}: {odd})")
