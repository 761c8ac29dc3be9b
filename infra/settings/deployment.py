"""How a stack is deployed to Azure: its region, its names, its capacity. The part `azure` of a stack file, typed.

Capacity is declared and not derived from the cities, so that a new city changes no shared resource; `sizing` checks that what is
declared carries the cities.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Network
from typing import Any

from activator.declarations import Fault, did_you_mean
from infra.azure.limits import REGIONS, REGIONS_AS_OF, RESERVED_WORDS
from infra.settings.contacts import action_group_faults, too_long_faults, unheard_faults
from infra.settings.fabric import FabricSettings, Route, fabric_faults, fabric_settings

DEVELOPMENT_SKU = "Dev(No SLA)_Standard_E2a_v4"
"""The one Azure Data Explorer machine without a service level: a single instance, no zones."""
NOT_PUBLIC = [
    IPv4Network(range_)
    for range_ in ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
] + [IPv4Network("224.0.0.0/3")]
"""Ranges that no request from the internet comes from (RFC 6890)."""
STACK_NAME = re.compile(r"[a-z][a-z0-9]{1,7}")
"""2 to 8 characters: with the organisation's 8 and a purpose's 6, a storage account's name has exactly the 24 it may have."""


@dataclass(frozen=True)
class EventHubs:
    """The namespace: throughput units at rest and at most, partitions of every hub, hours an event can be read again."""

    throughput_units: int
    maximum_throughput_units: int
    partitions: int
    retention_hours: int


@dataclass(frozen=True)
class Kusto:
    """The live store: machines, how many, days in the fast cache and days kept, object ids of the Entra groups that may query."""

    sku: str
    instances: int
    hot_days: int
    keep_days: int
    readers: tuple[str, ...]

    @property
    def is_development(self) -> bool:
        """Whether this is the machine without a service level."""
        return self.sku == DEVELOPMENT_SKU


@dataclass(frozen=True)
class FabricCapacitySettings:
    """A Fabric capacity: its size (F2 has 2 capacity units, F64 has 64), and who administers it (addresses or object ids)."""

    sku: str
    admins: tuple[str, ...]


@dataclass(frozen=True)
class IncidentPages:
    """Who signs people in to the pages of incidents: an app registration of an Entra tenant, by their ids."""

    tenant_id: str
    client_id: str


@dataclass(frozen=True)
class AzureSettings:
    """Everything the program needs to know beside the cities. The stack does not have what is None."""

    location: str
    organisation: str
    operations_email: tuple[str, ...]
    zones: bool
    protect: bool
    private_network: bool
    deploy_from: tuple[str, ...]
    event_hubs: EventHubs
    streaming_units: int
    kusto: Kusto | None
    lake_cool_after_days: int
    logs_keep_days: int
    fabric_capacity: FabricCapacitySettings | None
    route: Route = "azure"
    fabric: FabricSettings | None = None
    incident_pages: IncidentPages | None = None


def azure_settings(azure: Mapping[str, Any], stack: str = "") -> AzureSettings:
    """The typed settings of a part `azure` that has no faults; what is left out gets the smallest deployment."""
    hubs = azure.get("eventHubs", {})
    units = hubs.get("throughputUnits", 1)
    return AzureSettings(
        location=azure["location"],
        organisation=azure["organisation"],
        operations_email=tuple(azure["operations"]["email"]),
        zones=azure.get("zones", False),
        protect=azure.get("protect", False),
        private_network=azure.get("network", {}).get("private", False),
        deploy_from=tuple(azure.get("network", {}).get("deployFrom", ())),
        event_hubs=EventHubs(
            throughput_units=units,
            maximum_throughput_units=hubs.get("maximumThroughputUnits", max(units, 4)),
            partitions=hubs.get("partitions", 4),
            retention_hours=hubs.get("retentionHours", 24),
        ),
        streaming_units=azure.get("streamAnalytics", {}).get("streamingUnits", 3),
        kusto=_kusto(azure.get("kusto", {"enabled": False})),
        lake_cool_after_days=azure.get("lake", {}).get("coolAfterDays", 30),
        logs_keep_days=azure.get("logs", {}).get("keepDays", 30),
        fabric_capacity=_fabric_capacity(azure.get("fabricCapacity")),
        route=azure.get("route", "azure"),
        fabric=fabric_settings(azure.get("fabric"), stack),
        incident_pages=_incident_pages(azure.get("incidentPages")),
    )


def _incident_pages(pages: Mapping[str, str] | None) -> IncidentPages | None:
    return IncidentPages(pages["tenantId"], pages["clientId"]) if pages else None


def deployment_faults(stack: str, azure: Any, cities: Any) -> list[Fault]:
    """What a schema can't say about a deployment: settings that contradict each other, cities nobody would be notified about."""
    if not isinstance(azure, Mapping):
        return []
    faults = [
        *_region_faults(azure),
        *_reserved_faults(azure.get("organisation"), stack),
        *_address_faults(azure.get("network")),
        *_operations_faults(azure.get("operations")),
        *_hub_faults(azure.get("eventHubs")),
        *_kusto_faults(azure),
        *fabric_faults(azure),
    ]
    if not STACK_NAME.fullmatch(stack):
        faults.append(
            Fault(
                "azure",
                f"a stack named \"{stack}\" can't be deployed: its name is part of a storage account's, which has 24 characters. "
                "Give the file another: 2 to 8 lower-case letters and digits, like Pulumi.prod.yaml.",
            )
        )
    for slug, city in (cities if isinstance(cities, Mapping) else {}).items():
        if isinstance(city, Mapping):
            path, contacts = f"cities/{slug}/contacts", city.get("contacts")
            faults += unheard_faults(path, contacts) + action_group_faults(path, contacts)
    return faults


def _kusto(kusto: Mapping[str, Any]) -> Kusto | None:
    if not kusto["enabled"]:
        return None
    sku = kusto.get("sku", DEVELOPMENT_SKU)
    return Kusto(
        sku=sku,
        instances=kusto.get("instances", 1 if sku == DEVELOPMENT_SKU else 2),
        hot_days=kusto.get("hotDays", 7),
        keep_days=kusto.get("keepDays", 365),
        readers=tuple(kusto.get("readers", ())),
    )


def _fabric_capacity(capacity: Mapping[str, Any] | None) -> FabricCapacitySettings | None:
    return FabricCapacitySettings(capacity["sku"], tuple(capacity["admins"])) if capacity else None


def _region_faults(azure: Mapping[str, Any]) -> list[Fault]:
    """A region that Azure doesn't have, or that has not what the stack asks for."""
    location = azure.get("location")
    if not isinstance(location, str) or not location.isalnum():
        return []  # the schema says better how a region is written
    if location not in REGIONS:
        hint = did_you_mean(location, REGIONS) or " az account list-locations lists them."
        known = f"(known as of {REGIONS_AS_OF}; a newer one is added to infra/azure/limits.py)"
        return [Fault("azure/location", f'"{location}" is not a region of Azure {known}.{hint}')]
    wanted = {"flex": "function apps on Flex Consumption"}
    wanted |= {"zones": "availability zones (azure.zones)"} if azure.get("zones") is True else {}
    wanted |= {"fabric": "Fabric capacities (azure.fabricCapacity)"} if "fabricCapacity" in azure else {}
    lacking = [words for name, words in wanted.items() if not getattr(REGIONS[location], name)]
    others = [name for name, region in REGIONS.items() if all(getattr(region, one) for one in wanted)]
    near = get_close_matches(location, others, n=3, cutoff=0)
    return [
        Fault(
            "azure/location",
            f"{location} has no {words}, as of {REGIONS_AS_OF}: take {', '.join(near)} or another that has. If Azure offers it "
            "there since, add the region to the list of infra/azure/limits.py.",
        )
        for words in lacking
    ]


def _reserved_faults(organisation: Any, stack: str) -> list[Fault]:
    """An organisation that makes a word of Microsoft's, alone or with the stack's name, which follows it in every name."""
    return [
        Fault(
            "azure/organisation",
            f'"{organisation}" and the stack\'s name, {stack}, make names with "{word}", which Azure refuses: take another.',
        )
        for word in RESERVED_WORDS
        if word in f"{organisation}{stack}"
    ]


def _operations_faults(operations: Any) -> list[Fault]:
    """An address that is there twice, since Azure takes each once in a group of people, or that is too long for it."""
    addresses = operations.get("email") if isinstance(operations, Mapping) else None
    written = [str(address).casefold() for address in addresses] if isinstance(addresses, list) else []
    return too_long_faults("azure/operations/email", written) + [
        Fault(f"azure/operations/email/{index}", f"{address} is there already: take one of the two out.")
        for index, address in enumerate(written)
        if address in written[:index]
    ]


def _address_faults(network: Any) -> list[Fault]:
    """Addresses that no rule of a storage account takes: they are of a private network, or none."""
    addresses = network.get("deployFrom") if isinstance(network, Mapping) else None
    faults = []
    for index, address in enumerate(addresses if isinstance(addresses, list) else []):
        try:
            range_ = IPv4Network(str(address), strict=False)
        except ValueError:
            faults.append(
                Fault(f"azure/network/deployFrom/{index}", f"{address} is not an IPv4 address: each number is 0 to 255.")
            )
            continue
        if any(range_.overlaps(private) for private in NOT_PUBLIC):
            text = f"{address} is not known outside your network: write the public address that you come from."
            faults.append(Fault(f"azure/network/deployFrom/{index}", text))
    return faults


def _hub_faults(hubs: Any) -> list[Fault]:
    if not isinstance(hubs, Mapping):
        return []
    units, maximum = _number(hubs.get("throughputUnits", 1)), _number(hubs.get("maximumThroughputUnits"))
    if units and maximum and maximum < units:
        return [
            Fault("azure/eventHubs/maximumThroughputUnits", f"{maximum} is below throughputUnits ({units}): raise it to {units}.")
        ]
    return []


def _kusto_faults(azure: Mapping[str, Any]) -> list[Fault]:
    kusto = azure.get("kusto")
    if not isinstance(kusto, Mapping):
        return []
    faults = []
    development = kusto.get("sku", DEVELOPMENT_SKU) == DEVELOPMENT_SKU
    instances = _number(kusto.get("instances"))
    if development and instances and instances > 1:
        faults.append(Fault("azure/kusto/instances", f"{DEVELOPMENT_SKU} has one instance: write 1, or take another sku."))
    if not development and instances == 1:
        faults.append(Fault("azure/kusto/instances", f"{kusto['sku']} starts at 2 instances: or take {DEVELOPMENT_SKU}."))
    if development and kusto.get("enabled") is True and azure.get("zones") is True:
        faults.append(Fault("azure/kusto/sku", f"{DEVELOPMENT_SKU} can't span zones: take Standard_E2ads_v5, or zones: false."))
    hot, keep = _number(kusto.get("hotDays", 7)), _number(kusto.get("keepDays", 365))
    if hot and keep and hot > keep:
        text = f"{hot} is more than keepDays ({keep}): what is gone can't be in the cache. Write {keep} or less."
        faults.append(Fault("azure/kusto/hotDays", text))
    return faults


def _number(value: Any) -> int | None:
    """The value if it is a whole number: wrong types are the schema's to report."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
