"""Checks of a private network: what is closed answers inside it, by its name, and apps are in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, ip_network
from itertools import combinations

from infra.offline import Recording, Registration
from infra.policies.rules import at
from tests.infra.recorded import id_of, of_type

FLEX = "Microsoft.App/environments"
"""Who gets the subnet of a Flex Consumption app: learn.microsoft.com/azure/azure-functions/flex-consumption-how-to."""
HOLDS = ("storage:StorageAccount", "keyvault:Vault", "eventhub:Namespace", "kusto:Cluster")
"""What holds data or secrets, and has a door of its own."""
ZONES = {
    "namespace": {"privatelink.servicebus.windows.net"},
    "blob": {"privatelink.blob.core.windows.net"},
    "dfs": {"privatelink.dfs.core.windows.net"},
    "vault": {"privatelink.vaultcore.azure.net"},
    "cluster": {
        "privatelink.{location}.kusto.windows.net",
        "privatelink.blob.core.windows.net",
        "privatelink.queue.core.windows.net",
        "privatelink.table.core.windows.net",
    },
}
"""Zones by the part of a service that an endpoint leads to: learn.microsoft.com/azure/private-link/private-endpoint-dns."""


def networks(recording: Recording) -> list[Registration]:
    """The network, where there is one."""
    return of_type(recording, "network:VirtualNetwork")


def check_subnets(recording: Recording) -> Iterator[str]:
    """Subnets lie side by side within the network, and an app's is delegated to what runs it."""
    for network in networks(recording):
        space = [ip_network(prefix) for prefix in at(network.inputs, "addressSpace.addressPrefixes")]
        ranges = {subnet["name"]: IPv4Network(subnet["addressPrefix"]) for subnet in network.inputs["subnets"]}
        for name, inner in ranges.items():
            if not any(isinstance(outer, IPv4Network) and inner.subnet_of(outer) for outer in space):
                yield f"{network.name}: subnet {name} ({inner}) is not within the network"
        for (one, first), (other, second) in combinations(ranges.items(), 2):
            if first.overlaps(second):
                yield f"{network.name}: subnets {one} and {other} overlap"
        for subnet in network.inputs["subnets"]:
            owners = [delegation["serviceName"] for delegation in subnet.get("delegations") or ()]
            if subnet["name"] != "endpoints" and owners != [FLEX]:
                yield f"{network.name}: subnet {subnet['name']} is delegated to {', '.join(owners) or 'nobody'}, not {FLEX}"


def check_apps_are_in_their_subnet(recording: Recording) -> Iterator[str]:
    """An app outside the network reaches nothing that is closed; an app in another's subnet is refused."""
    if networks(recording):
        for app in of_type(recording, "web:WebApp"):
            place = str(app.inputs.get("virtualNetworkSubnetId"))
            if not place.endswith(f"/subnets/{app.name.removesuffix('-app')}"):
                yield f"{app.name}: is in {place}, not in its own subnet"


def check_nothing_answers_outside(recording: Recording) -> Iterator[str]:
    """With a network, what holds data or secrets has no public door, and the lake lets Azure's trusted services in."""
    if not networks(recording):
        return
    for token in HOLDS:
        for resource in of_type(recording, token):
            door = resource.inputs.get("publicNetworkAccess") or at(resource.inputs, "properties.publicNetworkAccess")
            rules = resource.inputs.get("networkRuleSet") or {}
            if door != "Disabled" and not rules.get("ipRules"):
                yield f"{resource.name}: answers by its public name"
            if rules and rules["defaultAction"] != "Deny":
                yield f"{resource.name}: lets everybody in who is not named"
            if resource.name == "lake-account" and rules.get("bypass") != "AzureServices":
                yield f"{resource.name}: shuts the query and the live store out"


def check_names_lead_into_the_network(recording: Recording) -> Iterator[str]:
    """Every endpoint has the zones of its part, every zone is linked to the network, and no link takes names by itself."""
    zones = {id_of(zone): zone.inputs["privateZoneName"] for zone in of_type(recording, "privatedns:PrivateZone")}
    groups = {group.parent: group for group in of_type(recording, "network:PrivateDnsZoneGroup")}
    for endpoint in of_type(recording, "network:PrivateEndpoint"):
        if not str(at(endpoint.inputs, "subnet.id")).endswith("/subnets/endpoints"):
            yield f"{endpoint.name}: is not in the subnet of endpoints"
        (connection,) = endpoint.inputs["privateLinkServiceConnections"]
        (part,) = connection["groupIds"]
        configs = groups[endpoint.urn].inputs["privateDnsZoneConfigs"] if endpoint.urn in groups else ()
        named = {zones.get(str(config["privateDnsZoneId"])) for config in configs}
        wanted = {zone.format(location=endpoint.inputs["location"]) for zone in ZONES.get(part, {"no such part"})}
        if named != wanted:
            yield f"{endpoint.name}: {part} is named in {sorted(map(str, named))}, not in {sorted(wanted)}"
    links = Counter(link.inputs["privateZoneName"] for link in of_type(recording, "privatedns:VirtualNetworkLink"))
    for zone in zones.values():
        if links[zone] != 1:
            yield f"{zone}: has {links[zone]} links to the network, not one"
    for link in of_type(recording, "privatedns:VirtualNetworkLink"):
        if link.inputs.get("registrationEnabled"):
            yield f"{link.name}: registers machines in a zone of Azure's"


NETWORK_CHECKS: tuple[Callable[[Recording], Iterator[str]], ...] = (
    check_subnets,
    check_apps_are_in_their_subnet,
    check_nothing_answers_outside,
    check_names_lead_into_the_network,
)
