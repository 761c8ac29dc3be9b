"""The optional private network: a virtual network, private endpoints of the services, and the DNS zones that lead to them.

Without it everything is reached by its public name with Entra tokens. With it, Event Hubs, storage, the vault and the live store
answer only in the network, and to the two Azure services that can't be in it: Stream Analytics and Data Explorer come with their
managed identities as trusted services (docs/decisions/0109-private-network.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_azure_native import network, privatedns

from infra.azure.resource_group import ResourceGroup, unguarded
from infra.meters import HOURS, Each, Meter, free
from infra.parts import Kind, Part

ADDRESSES = "10.71.0.0/22"
ENDPOINTS = "endpoints"
SUBNETS = {ENDPOINTS: "10.71.0.0/26", "ingest": "10.71.1.0/26", "fanout": "10.71.1.64/26"}
"""Every app has a subnet of its own; 59 usable addresses are more than its 40 instances need."""
APP_SUBNET_OWNER = "Microsoft.App/environments"
"""Who gets the subnet of a Flex Consumption app."""
BLOB = "privatelink.blob.core.windows.net"
DATA_LAKE = "privatelink.dfs.core.windows.net"
QUEUE = "privatelink.queue.core.windows.net"
TABLE = "privatelink.table.core.windows.net"
EVENT_HUBS = "privatelink.servicebus.windows.net"
VAULT = "privatelink.vaultcore.azure.net"
"""Azure's fixed names of the zones."""
ENDPOINT_HOURS = Each(
    "Private endpoints",
    Meter("Virtual Network", "Standard Private Endpoint", "1 Hour"),
    HOURS,
    f"endpoints x {HOURS} h; their traffic comes on top",
)


def data_explorer_zones(location: str) -> tuple[str, ...]:
    """A cluster's zones: its own, and those of the storage it takes data in through."""
    return f"privatelink.{location}.kusto.windows.net", BLOB, QUEUE, TABLE


class Network(Part):
    """The virtual network. `connect` brings a service into it."""

    title = "Network"
    resources: ClassVar = {
        "network:VirtualNetwork": Kind("virtual network", free, named="virtualNetworkName", diagnosed=False),
        "network:PrivateEndpoint": Kind("private endpoint", ENDPOINT_HOURS, named="privateEndpointName", diagnosed=False),
        "network:PrivateDnsZoneGroup": Kind("DNS group", free, named="privateEndpointName/privateDnsZoneGroupName"),
        "privatedns:PrivateZone": Kind("DNS zone", free, named="privateZoneName", diagnosed=False),
        "privatedns:VirtualNetworkLink": Kind("zone link", free, named="privateZoneName/virtualNetworkLinkName"),
    }

    def __init__(self, group: ResourceGroup) -> None:
        super().__init__("network")
        self._group = group
        self._zones: dict[str, privatedns.PrivateZone] = {}
        self._network = network.VirtualNetwork(
            "virtual-network",
            virtual_network_name=group.names.plain("vnet"),
            address_space={"address_prefixes": [ADDRESSES]},
            # Inline, because an update of the network without its subnets would delete them.
            subnets=[_subnet(name, prefix) for name, prefix in SUBNETS.items()],
            **group.placed,
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({})

    def subnet(self, name: str) -> Output[str]:
        """The id of one of the SUBNETS."""
        return Output.concat(self._network.id, "/subnets/", name)

    def connect(
        self, name: str, service: Input[str], member: str, zones: Sequence[str], parent: pulumi.Resource
    ) -> pulumi.Resource:
        """Let the service with ARM id `service` answer in the network; `member` is Azure's name of the part of it.

        What runs in the network depends on the returned resource: until then the service's name leads nowhere.
        """
        endpoint = network.PrivateEndpoint(
            f"{name}-endpoint",
            private_endpoint_name=self._group.names.plain("pep", name),
            subnet={"id": self.subnet(ENDPOINTS)},
            private_link_service_connections=[{"name": name, "private_link_service_id": service, "group_ids": [member]}],
            **self._group.placed,
            opts=unguarded(parent),
        )
        configs = [{"name": zone.replace(".", "-"), "private_dns_zone_id": self._zone(zone).id} for zone in zones]
        named: pulumi.Resource = network.PrivateDnsZoneGroup(
            f"{name}-names",
            private_dns_zone_group_name="default",
            private_endpoint_name=endpoint.name,
            private_dns_zone_configs=configs,
            **self._group.within,
            opts=ResourceOptions(parent=endpoint, depends_on=[self._zone(zone) for zone in zones]),
        )
        return named

    def _zone(self, name: str) -> privatedns.PrivateZone:
        if name not in self._zones:
            self._zones[name] = privatedns.PrivateZone(
                name, private_zone_name=name, **self._group.global_, opts=ResourceOptions(parent=self)
            )
            privatedns.VirtualNetworkLink(
                f"{name}-link",
                virtual_network_link_name="roompulse",
                private_zone_name=self._zones[name].name,
                virtual_network={"id": self._network.id},
                registration_enabled=False,
                **self._group.global_,
                opts=ResourceOptions(parent=self._zones[name]),
            )
        return self._zones[name]


def public_access(network: Network | None) -> str:
    """Whether a service answers by its public name."""
    return "Disabled" if network else "Enabled"


def storage_access(network: Network | None, *, trusted: bool, addresses: Sequence[str] = ()) -> dict[str, Any]:
    """The arguments of a storage account that say who reaches it; `trusted` lets Azure's trusted services past a closed door,
    `addresses` whoever comes from there.
    """
    if network is None:
        return {"network_rule_set": {"default_action": "Allow", "bypass": "AzureServices"}}
    rules: dict[str, Any] = {"default_action": "Deny", "bypass": "AzureServices" if trusted else "None"}
    if addresses:
        rules["ip_rules"] = [{"i_p_address_or_range": address, "action": "Allow"} for address in addresses]
    return {"public_network_access": "Enabled" if addresses else "Disabled", "network_rule_set": rules}


def _subnet(name: str, prefix: str) -> dict[str, Any]:
    if name == ENDPOINTS:
        return {"name": name, "address_prefix": prefix, "private_endpoint_network_policies": "Disabled"}
    return {"name": name, "address_prefix": prefix, "delegations": [{"name": "app", "service_name": APP_SUBNET_OWNER}]}
