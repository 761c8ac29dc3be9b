"""Whether what is left of the subscription's quotas is enough."""

from __future__ import annotations

from collections.abc import Iterator

from infra.azure_rest import Unanswered
from infra.preflight.findings import Finding, fault, ok, unknown
from infra.preflight.subscription import Stack, Subscription, deployed_already
from infra.providers.stream_analytics_service import API_VERSION

CHECK = "quota"
MORE = "ask for more quota in the portal (Help + support, service and subscription limits), or declare less."


def left(azure: Subscription, stack: Stack) -> Iterator[Finding]:
    """A finding for each quota that Azure reports by API: streaming units of a region, capacity units of Fabric."""
    ours = deployed_already(azure, stack)
    for job in stack.jobs:
        needed = float(job.inputs["streamingUnits"])
        yield _streaming_units(azure, stack.location, needed, _there(job.inputs["jobName"], ours))
    for capacity in stack.of_type("fabric:FabricCapacity"):
        needed = float(str(capacity.inputs["sku"]["name"]).removeprefix("F"))
        yield _capacity_units(azure, stack.location, needed, _there(capacity.inputs["capacityName"], ours))


def _there(name: object, ours: frozenset[str] | None) -> bool | None:
    """Whether it is deployed already; None where Azure won't say."""
    return None if ours is None else str(name).lower() in ours


def _streaming_units(azure: Subscription, location: str, needed: float, there: bool | None) -> Finding:
    about = "streaming units"
    try:
        quotas = azure.items(f"providers/Microsoft.StreamAnalytics/locations/{location}/quotas", API_VERSION)
    except Unanswered as why:
        return unknown(CHECK, about, why)
    reported = [one.get("properties") or {} for one in quotas if one.get("name") == "StreamingUnits"]
    return _held(about, location, needed, [(one.get("maxCount"), one.get("currentCount")) for one in reported], there)


def _capacity_units(azure: Subscription, location: str, needed: float, there: bool | None) -> Finding:
    about = "Fabric capacity units"
    try:
        usages = azure.items(f"providers/Microsoft.Fabric/locations/{location}/usages", "2023-11-01")
    except Unanswered as why:
        return unknown(CHECK, about, why)
    reported = [one for one in usages if (one.get("name") or {}).get("value") == "CapacityQuota"]
    return _held(about, location, needed, [(one.get("limit"), one.get("currentValue")) for one in reported], there)


def _held(about: str, location: str, needed: float, reported: list[tuple[object, object]], there: bool | None) -> Finding:
    """`reported` is the most there may be and what is used, as Azure has it; what is deployed already is among what is used."""
    if not reported or not all(isinstance(number, int | float) for number in reported[0]):
        return unknown(CHECK, about, f"Azure reports no such quota for {location}")
    most, used = (float(str(number)) for number in reported[0])
    figures = f"{used:g} of {most:g} used in {location}"
    if needed > most:
        return fault(CHECK, about, f"{needed:g} needed, {figures}", MORE)
    if there:
        return ok(CHECK, about, f"{figures}, this stack's among them")
    if used + needed <= most:
        return ok(CHECK, about, f"{needed:g} needed, {figures}")
    if there is None:
        return unknown(CHECK, about, f"{needed:g} needed, {figures}, and Azure does not say whether by this stack")
    return fault(CHECK, about, f"{needed:g} needed, {figures}", MORE)
