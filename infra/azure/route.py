"""Route azure: Event Hubs, Stream Analytics, a lake and Data Explorer; a Fabric workspace, where there is one, shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from infra.azure.event_hubs import EventHubs
from infra.azure.lake import Lake
from infra.azure.live_store import LiveStore
from infra.azure.network import Network
from infra.azure.observability import Observability
from infra.azure.pipeline_alerts import Watched
from infra.azure.resource_group import ResourceGroup
from infra.azure.stream_job import StreamJob
from infra.fabric.content import Content, FabricContent
from infra.fabric.follower import FabricLake, FabricLiveStore
from infra.fabric.workspace import FabricWorkspace


class AzureRoute:
    """The way of the data through Azure's services. `reachable` is what has to exist before an app can use the `entry`."""

    def __init__(
        self, group: ResourceGroup, observability: Observability, network: Network | None, workspace: FabricWorkspace | None
    ) -> None:
        self._group, self._workspace = group, workspace
        self.entry = EventHubs(group, observability, network)
        self._lake = Lake(group, observability, network)
        self._job = StreamJob(group, observability, self.entry, self._lake)
        kusto = group.azure.kusto
        self._live_store = LiveStore(group, kusto, observability, network, self.entry) if kusto else None
        self.reachable: Sequence[pulumi.Resource] = self.entry.reachable
        self.watched = Watched(self.entry.namespace_id, self._job.id, self._live_store, self._lake.blob_service)

    def show(self, content: Content, cities: Mapping[str, pulumi.Resource], filled: Sequence[pulumi.Resource]) -> None:
        """Show in Fabric what there is. `filled` is what brings the first row."""
        if not (self._workspace and self._live_store):
            return
        FabricLake(self._group, self._workspace, self._lake, waits_for=[self._job.running, *filled])
        followed = FabricLiveStore(self._workspace, self._live_store)
        shown = FabricContent(self._group, self._workspace, content, followed.uri, waits_for=[followed.database])
        shown.add_cities(cities, self._live_store)

    def outputs(self) -> Mapping[str, pulumi.Output[str]]:
        """What people look up about the way of the data."""
        always = {"eventHubsNamespace": self.entry.host, "lake": self._lake.address}
        return {**always, "liveStore": self._live_store.uri} if self._live_store else always
