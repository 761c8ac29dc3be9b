"""Event Hubs: one namespace without keys, the five hubs, and a consumer group for every reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pulumi
from pulumi import Output
from pulumi_azure_native import eventhub

from infra.azure.network import EVENT_HUBS, Network, public_access
from infra.azure.observability import Observability
from infra.azure.resource_group import ResourceGroup, unguarded
from infra.azure.roles import Identity, Role
from infra.meters import HOURS, ByUse, Meter, Purchase, free
from infra.parts import Kind, Part

READERS = {
    "observations": ("streamjob",),
    "processed": ("livestore",),
    "alerts": ("livestore", "fanout"),
    "incidents": ("livestore", "streamjob"),
    "deadletter": ("livestore",),
}
"""Hubs and their consumer groups (docs/contracts.md; local/event_hubs/Config.json is the same list for one machine)."""
SENDER = Role("Azure Event Hubs Data Sender", "2b629674-e913-4c01-ae53-ef4638d8f975")
RECEIVER = Role("Azure Event Hubs Data Receiver", "a638d3c7-ab3a-418d-83e6-5f17a39d4fde")


def _units_at_rest(_name: str, properties: Mapping[str, Any]) -> Iterator[Purchase]:
    units = properties["sku.capacity"]
    meter = Meter("Event Hubs", "Standard Throughput Unit", "1 Hour")
    yield Purchase("Event Hubs throughput units", meter, units * HOURS, f"{units} at rest x {HOURS} h")


class EventHubs(Part):
    """The namespace. `hubs` are the ARM ids of the hubs by name, `ready` what has to exist before anything reads.

    In a private network they can be reached once `reachable` exists.
    """

    title = "Event Hubs"
    resources: ClassVar = {
        "eventhub:Namespace": Kind(
            "namespace", _units_at_rest,
            ByUse("Event Hubs events, auto-inflated units", "by the million events, and by the hour above the units at rest"),
            named="namespaceName",
        ),
        "eventhub:EventHub": Kind("hub", free, named="namespaceName/eventHubName"),
        "eventhub:ConsumerGroup": Kind("consumer group", free, named="namespaceName/eventHubName/consumerGroupName"),
        "eventhub:NamespaceNetworkRuleSet": Kind("network rules", free, named="namespaceName", diagnosed=False),
    }  # fmt: skip

    def __init__(self, group: ResourceGroup, observability: Observability, network: Network | None) -> None:
        super().__init__("event-hubs")
        capacity = group.azure.event_hubs
        self._group = group
        namespace = eventhub.Namespace(
            "namespace",
            namespace_name=group.names.plain("evhns"),
            sku={"name": "Standard", "tier": "Standard", "capacity": capacity.throughput_units},
            is_auto_inflate_enabled=True,
            maximum_throughput_units=capacity.maximum_throughput_units,
            disable_local_auth=True,
            minimum_tls_version="1.2",
            public_network_access=public_access(network),
            zone_redundant=group.azure.zones or None,
            **group.placed,
            opts=group.guarded(self),
        )
        self.namespace_id: Output[str] = namespace.id
        self.namespace: Output[str] = namespace.name
        self.host: Output[str] = Output.concat(namespace.name, ".servicebus.windows.net")
        self.hubs: dict[str, Output[str]] = {}
        self.ready: list[pulumi.Resource] = []
        for hub, readers in READERS.items():
            self._add_hub(namespace, hub, readers)
        self.reachable: list[pulumi.Resource] = self._close(namespace, network) if network else []
        self.ready += self.reachable
        observability.diagnose("event-hubs", namespace.id, self)
        self.register_outputs({})

    def let_receive(self, identity: Identity, *hubs: str) -> None:
        """Let an identity read these hubs."""
        for hub in hubs:
            identity.may(RECEIVER, hub, self.hubs[hub])

    def let_write(self, identity: Identity, *hubs: str) -> None:
        """Let an identity send to these hubs."""
        for hub in hubs:
            identity.may(SENDER, hub, self.hubs[hub])

    def let_send(self, identity: Identity) -> dict[str, Output[str] | str]:
        """Let an identity send what was observed and what was not understood, and the settings its program finds the hubs by."""
        self.let_write(identity, "observations", "deadletter")
        return self._as_settings(identity)

    def let_hear_alerts(self, identity: Identity) -> dict[str, Output[str] | str]:
        """Let an identity read the alerts and send what becomes of them, and the settings its program finds the hubs by."""
        self.let_receive(identity, "alerts")
        self.let_write(identity, "incidents")
        hubs = {"ALERTS_HUB": "alerts", "ALERTS_GROUP": "fanout", "INCIDENTS_HUB": "incidents"}
        return {**self._as_settings(identity), **hubs}

    def _as_settings(self, identity: Identity) -> dict[str, Output[str] | str]:
        """The connection EVENT_HUBS without a key."""
        return {
            "EVENT_HUBS__fullyQualifiedNamespace": self.host,
            "EVENT_HUBS__credential": "managedidentity",
            "EVENT_HUBS__clientId": identity.client_id,
        }

    def _add_hub(self, namespace: eventhub.Namespace, name: str, readers: tuple[str, ...]) -> None:
        capacity = self._group.azure.event_hubs
        hub = eventhub.EventHub(
            name,
            event_hub_name=name,
            namespace_name=namespace.name,
            partition_count=capacity.partitions,
            retention_description={"cleanup_policy": "Delete", "retention_time_in_hours": capacity.retention_hours},
            **self._group.within,
            opts=self._group.guarded(namespace),
        )
        self.hubs[name] = hub.id
        for reader in readers:
            consumer_group = eventhub.ConsumerGroup(
                f"{name}-{reader}",
                consumer_group_name=reader,
                event_hub_name=hub.name,
                namespace_name=namespace.name,
                **self._group.within,
                opts=unguarded(hub),
            )
            self.ready.append(consumer_group)

    def _close(self, namespace: eventhub.Namespace, network: Network) -> list[pulumi.Resource]:
        """Only the network, and what Azure trusts: Stream Analytics and Data Explorer, with the roles of their identities."""
        rules = eventhub.NamespaceNetworkRuleSet(
            "event-hubs-rules",
            namespace_name=namespace.name,
            public_network_access="Disabled",
            default_action="Deny",
            trusted_service_access_enabled=True,
            **self._group.within,
            opts=unguarded(namespace),
        )
        return [rules, network.connect("event-hubs", namespace.id, "namespace", [EVENT_HUBS], namespace)]
