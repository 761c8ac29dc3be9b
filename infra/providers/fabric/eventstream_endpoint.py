"""A custom endpoint of an eventstream: where programs send to it or read from it, in the protocol of Event Hubs.

Fabric gives keys along with the address. They are not kept: our programs enter with their identities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from infra.providers.base import Patience, log
from infra.providers.fabric.client import NOT_KNOWN_YET, FabricClient
from infra.providers.fabric.provider import FabricProvider

SIDES = ("sources", "destinations")
NODE_PATIENCE_SECONDS = 600.0
"""An eventstream's nodes are Creating for 2 to 3 minutes after the definition is taken."""
READY = frozenset({"Running", "Created", "Warning", "External"})
ADDRESS = ("fullyQualifiedNamespace", "eventHubName", "consumerGroupName")


class EventstreamEndpointProvider(FabricProvider):
    """Waits until the node of an eventstream runs, and reports its address. Makes nothing."""

    declared: ClassVar = ("workspaceId", "eventstreamId", "side", "node", "definitionHash")
    fixed: ClassVar = ("workspaceId", "eventstreamId", "side", "node")

    def create(self, props: dict[str, Any]) -> CreateResult:
        """The address of the node once it runs."""
        client, address = _client(props), _address(props)
        node = self._running(client, props)
        connection = client.get(f"{address}/{props['side']}/{node['id']}/connection", "asking for its address") or {}
        if not all(connection.get(name) for name in ADDRESS[:2]):
            raise client.error("it has no address", "see in the eventstream whether it is a custom endpoint, then run pulumi up")
        reported = {name: connection.get(name, "") for name in ADDRESS}
        return CreateResult(f"{props['eventstreamId']}/{props['node']}", {**self.inputs(props), **reported})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """A new definition may have made the node anew: the same as creating."""
        return UpdateResult(self.create(_news).outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Whether the node is still there."""
        client = _client(props)
        if client.get(_address(props), "reading the eventstream") is None or _node(client, props) is None:
            return ReadResult("", {})
        return ReadResult(id_, dict(props), self.inputs(props))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Nothing to do: a node goes with its eventstream."""

    def _running(self, client: FabricClient, props: dict[str, Any]) -> dict[str, Any]:
        patience = Patience(NODE_PATIENCE_SECONDS)
        while True:
            node = _node(client, props) or {"status": "not there"}
            if node["status"] in READY:
                return node
            if node["status"] == "Failed":
                message = (node.get("error") or {}).get("errorMessage", "no reason given")
                raise client.error(f"it failed: {message}", "fix what it names and run pulumi up again")
            if not patience.wait(15.0):
                raise client.error(f"it is still {node['status']}", "look at the eventstream, then run pulumi up again")
            log.info("%s: is %s, looking again", client.subject, node["status"])


class EventstreamEndpoint(Resource, module="roompulse", name="EventstreamEndpoint"):
    """The address of a custom endpoint; `consumerGroupName` is empty for one that is sent to."""

    fullyQualifiedNamespace: pulumi.Output[str]
    eventHubName: pulumi.Output[str]
    consumerGroupName: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        workspace_id: pulumi.Input[str],
        eventstream_id: pulumi.Input[str],
        side: str,
        node: str,
        definition_hash: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`side` is one of SIDES; `definition_hash` is the content hash of the eventstream, whose nodes a change may renew."""
        if side not in SIDES:
            raise ValueError(f"{resource_name}: {side!r} is none of {SIDES}.")
        props = {"workspaceId": workspace_id, "eventstreamId": eventstream_id, "side": side, "node": node}
        unknown = dict.fromkeys(ADDRESS)
        super().__init__(
            EventstreamEndpointProvider(), resource_name, {**props, "definitionHash": definition_hash, **unknown}, opts
        )


def _client(props: Mapping[str, Any]) -> FabricClient:
    return FabricClient(f"Fabric eventstream node {props['node']}")


def _address(props: Mapping[str, Any]) -> str:
    return f"/v1/workspaces/{props['workspaceId']}/eventstreams/{props['eventstreamId']}"


def _node(client: FabricClient, props: Mapping[str, Any]) -> dict[str, Any] | None:
    """The node in the eventstream's topology. An eventstream that was just made may have none yet."""
    response = client.send("GET", f"{_address(props)}/topology")
    if response.status_code == 404 and client.failure(response, "").code in NOT_KNOWN_YET:
        return None
    topology = client.json(client.expect(response, "reading the topology", 200), "reading the topology")
    return next((node for node in topology.get(props["side"]) or [] if node["name"] == props["node"]), None)
