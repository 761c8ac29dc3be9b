"""Route fabric: an eventstream, an eventhouse and a lakehouse in place of Azure's services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from infra.azure.network import Network
from infra.azure.observability import Observability
from infra.azure.pipeline_alerts import Watched
from infra.azure.resource_group import ResourceGroup
from infra.fabric.content import Content, FabricContent
from infra.fabric.stream import FabricLiveStore, FabricStream
from infra.fabric.workspace import FabricWorkspace


class FabricRoute:
    """The way of the data through a Fabric workspace. It is reached by its public name: an app waits for nothing."""

    reachable: Sequence[pulumi.Resource] = ()

    def __init__(
        self, group: ResourceGroup, observability: Observability, network: Network | None, workspace: FabricWorkspace | None
    ) -> None:
        settings = group.azure.fabric
        assert workspace and settings and not network  # the settings refuse this route otherwise
        self._group, self._workspace = group, workspace
        self._live_store = FabricLiveStore(workspace, settings)
        self.entry = FabricStream(workspace, settings, self._live_store.database_id, waits_for=[self._live_store.schema])
        self.watched = Watched()

    def show(self, content: Content, cities: Mapping[str, pulumi.Resource], filled: Sequence[pulumi.Resource]) -> None:
        """Show what there is; tables are there before their rows, so nothing waits until it is `filled`."""
        schema = [self._live_store.schema]
        FabricContent(self._group, self._workspace, content, self._live_store.uri, schema).add_cities(cities, self._live_store)

    def outputs(self) -> Mapping[str, pulumi.Output[str]]:
        """What people look up about the way of the data."""
        return {"eventstreamNamespace": self.entry.host, "liveStore": self._live_store.uri}
