"""What a stack has in Microsoft Fabric, and which way its data goes: `azure.fabric` and `azure.route` of a stack file, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from activator.declarations import Fault
from activator.reflex import Action
from powerbi.kusto_schema import DAYS_SHOWN

Route = Literal["azure", "fabric"]
"""`azure`: Event Hubs, Stream Analytics, Data Explorer. `fabric`: an eventstream and an eventhouse in their place."""
EVENTHOUSES: Mapping[Route, str] = {"azure": "roompulse-follower", "fabric": "roompulse"}
"""The eventhouse that the database is in. Fabric makes a database of an eventhouse's name along with it: in route fabric that is
ours, taken up; the one that follows Azure Data Explorer has to be made, so its eventhouse is called otherwise.
"""
Content = Literal["reports", "dashboard", "activator"]
"""What people look at and what notifies them: chosen by kind, because each costs capacity."""
ACTIONS: tuple[Action, ...] = ("email",)
"""How Activator notifies people unless a stack says otherwise."""
ROLES = {"admins": "Admin", "members": "Member", "viewers": "Viewer"}
"""Keys of `azure.fabric` that list Entra groups, and the role each gets in the workspace."""
REPLACED = {
    "eventHubs": "the eventstream takes its place",
    "streamAnalytics": "the eventstream's query takes its place",
    "kusto": "the eventhouse takes its place: its days are in fabric.hotDays and fabric.keepDays",
    "lake": "the lakehouse takes its place",
}
"""Keys of `azure` that mean nothing in route `fabric`."""


@dataclass(frozen=True)
class FabricSettings:
    """A workspace on a capacity. `capacity` is the name or GUID of one that exists, or None: the one this stack makes.

    `roles` are object ids of Entra groups by role. `hot_days` and `keep_days` are the eventhouse's, in route `fabric` alone.
    """

    workspace: str
    capacity: str | None
    roles: Mapping[str, tuple[str, ...]]
    content: tuple[Content, ...]
    activator_actions: tuple[Action, ...]
    hot_days: int
    keep_days: int


def fabric_settings(fabric: Mapping[str, Any] | None, stack: str) -> FabricSettings | None:
    """The typed settings of a part `azure.fabric` that has no faults; None where there is none, or it is off."""
    if not fabric or not fabric["enabled"]:
        return None
    return FabricSettings(
        workspace=fabric.get("workspace", f"RoomPulse {stack}"),
        capacity=fabric.get("capacity"),
        roles={role: tuple(fabric[key]) for key, role in ROLES.items() if fabric.get(key)},
        content=tuple(fabric.get("content", get_args(Content))),
        activator_actions=tuple(fabric.get("activatorActions", ACTIONS)),
        hot_days=fabric.get("hotDays", 7),
        keep_days=fabric.get("keepDays", 365),
    )


def fabric_faults(azure: Mapping[str, Any]) -> list[Fault]:
    """What a schema can't say about Fabric: a route without it, a workspace without a capacity, a group with two roles."""
    fabric = azure.get("fabric")
    enabled = isinstance(fabric, Mapping) and fabric.get("enabled") is True
    faults = _route_faults(azure, enabled)
    if isinstance(fabric, Mapping) and enabled:
        faults += _capacity_faults(azure, fabric) + _role_faults(fabric) + _days_faults(fabric) + _shown_faults(azure, fabric)
        network = azure.get("network")
        if isinstance(network, Mapping) and network.get("private") is True:
            text = "Fabric can't enter a private network: take network.private out, or fabric: { enabled: false }."
            faults.append(Fault("azure/fabric", text))
    return faults


def _route_faults(azure: Mapping[str, Any], enabled: bool) -> list[Fault]:
    kusto = azure.get("kusto")
    if azure.get("route", "azure") == "fabric":
        faults = [
            Fault(f"azure/{key}", f"means nothing in route fabric: {why}.") for key, why in REPLACED.items() if key in azure
        ]
        if not enabled:
            faults.append(Fault("azure/fabric", "route fabric runs in Fabric: write fabric: { enabled: true, capacity: NAME }."))
        return faults
    if enabled and not (isinstance(kusto, Mapping) and kusto.get("enabled") is True):
        text = "reports and dashboards follow the live store: write kusto: { enabled: true }, or take route: fabric."
        return [Fault("azure/fabric", text)]
    return []


def _capacity_faults(azure: Mapping[str, Any], fabric: Mapping[str, Any]) -> list[Fault]:
    if "capacity" in fabric and "fabricCapacity" in azure:
        text = "names one that exists, and fabricCapacity makes another: the workspace can be on one. Take one of them out."
        return [Fault("azure/fabric/capacity", text)]
    if "capacity" not in fabric and "fabricCapacity" not in azure:
        text = "is missing: the name or GUID of a capacity, or let the stack make one (azure.fabricCapacity)."
        return [Fault("azure/fabric/capacity", text)]
    return []


def _role_faults(fabric: Mapping[str, Any]) -> list[Fault]:
    faults, owners = [], dict[str, str]()
    for key in ROLES:
        groups = fabric.get(key)
        for index, group in enumerate(groups if isinstance(groups, list) else []):
            owner = owners.setdefault(str(group), key)
            if owner != key:
                text = f"{group} is in {owner} already: a group has one role in a workspace."
                faults.append(Fault(f"azure/fabric/{key}/{index}", text))
    return faults


def _days_faults(fabric: Mapping[str, Any]) -> list[Fault]:
    hot, keep = fabric.get("hotDays", 7), fabric.get("keepDays", 365)
    if isinstance(hot, int) and isinstance(keep, int) and hot > keep:
        text = f"{hot} is more than keepDays ({keep}): what is gone can't be in the cache. Write {keep} or less."
        return [Fault("azure/fabric/hotDays", text)]
    return []


def _shown_faults(azure: Mapping[str, Any], fabric: Mapping[str, Any]) -> list[Fault]:
    """What is deleted before the reports' span is over would be missing from them without a word."""
    content = fabric.get("content", get_args(Content))
    place = "fabric" if azure.get("route", "azure") == "fabric" else "kusto"
    kept = azure.get(place)
    keep = kept.get("keepDays") if isinstance(kept, Mapping) else None
    if isinstance(content, list | tuple) and "reports" in content and isinstance(keep, int) and keep < DAYS_SHOWN:
        text = f"{keep} is less than the {DAYS_SHOWN} days that reports show: write {DAYS_SHOWN}, or take reports out of content."
        return [Fault(f"azure/{place}/keepDays", text)]
    return []
