"""What people look at and what tells them, on top of either route: semantic model, reports, dashboard, Activator rules.

The items are rendered by powerbi; here they become resources, the shared ones under one component, a city's under the city.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi import Output, ResourceOptions

from infra.azure.live_store import DATABASE
from infra.azure.resource_group import ResourceGroup
from infra.fabric.workspace import FabricWorkspace
from infra.providers.fabric.connection import Connection
from infra.providers.fabric.semantic_model_binding import SemanticModelBinding
from powerbi.items import FabricItem

KUSTO = "AzureDataExplorer"
"""What Fabric calls connections to Kusto, an eventhouse's among them."""


@dataclass(frozen=True)
class Content:
    """Rendered items: `shared` in the order they refer to each other, and `cities` by slug."""

    shared: Sequence[FabricItem] = ()
    cities: Mapping[str, Sequence[FabricItem]] = field(default_factory=dict)


NOTHING = Content()


class FabricContent(pulumi.ComponentResource):
    """The shared items. A semantic model is bound to a connection that enters as the workspace's identity."""

    def __init__(
        self,
        group: ResourceGroup,
        workspace: FabricWorkspace,
        content: Content,
        uri: Output[str],
        waits_for: Sequence[pulumi.Resource],
    ) -> None:
        super().__init__("roompulse:fabric:FabricContent", "fabric-content")
        self._workspace, self._content = workspace, content
        self._bound: list[pulumi.Resource] = []
        connection: Connection | None = None
        for item in content.shared:
            resource = workspace.add(item, self, depends_on=[*waits_for, *self._bound])
            if item.type != "SemanticModel":
                continue
            connection = connection or Connection(
                "live-store-connection",
                name=group.names.plain("con", "live-store"),
                type_=KUSTO,
                creation_method="AzureDataExplorer.Contents",
                parameters={"cluster": uri, "database": DATABASE},
                opts=ResourceOptions(parent=self),
            )
            binding = SemanticModelBinding(
                f"binding-{item.name.lower()}",
                workspace_id=workspace.id,
                semantic_model_id=resource.id,
                connection_id=connection.id,
                source_type=KUSTO,
                model_hash=item.content_hash,
                opts=ResourceOptions(parent=resource),
            )
            self._bound.append(binding)
        self.register_outputs({})

    def add_city(self, slug: str, city: pulumi.Resource) -> None:
        """A city's own items, under its component."""
        for item in self._content.cities.get(slug, ()):
            self._workspace.add(item, city, name=f"{item.type.lower()}-{slug}", depends_on=self._bound)
