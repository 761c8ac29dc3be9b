"""What people look at and what notifies them, on top of either route: semantic model, reports, dashboard, Activator rules.

The items are rendered by powerbi; here they become resources, the shared ones under one component, a city's under the city.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pulumi
from pulumi import Output, ResourceOptions

from activator.rules import Rule
from infra.azure.live_store import DATABASE, LiveStore
from infra.azure.resource_group import ResourceGroup
from infra.fabric.stream import FabricLiveStore
from infra.fabric.workspace import FabricWorkspace, logical_name
from infra.meters import free
from infra.parts import Kind, Part
from infra.providers.fabric.connection import Connection
from infra.providers.fabric.semantic_model_binding import SemanticModelBinding
from infra.settings.fabric import Content as ContentKind
from infra.settings.fabric_items import fabric_items, view_of
from infra.settings.stack import StackSettings
from powerbi.items import FabricItem

KUSTO = "AzureDataExplorer"
"""What Fabric calls connections to Kusto, an eventhouse's among them."""


KINDS: Mapping[ContentKind, tuple[str, ...]] = {
    "reports": ("SemanticModel", "Report"),
    "dashboard": ("KQLDashboard",),
    "activator": ("Reflex",),
}
"""Types of items by what a stack file calls them."""


@dataclass(frozen=True)
class Content:
    """Rendered items: `shared` in the order they refer to each other, `cities` by slug; and the command for each city's view."""

    shared: Sequence[FabricItem]
    cities: Mapping[str, Sequence[FabricItem]]
    views: Mapping[str, str]


def rendered(stack: StackSettings, rules: Sequence[Rule], wanted: Sequence[ContentKind], today: str) -> Content:
    """What a stack shows of the `wanted` kinds on a day (ISO date). Raises DeclarationError for cities that can't be named."""
    kinds = {kind for name in wanted for kind in KINDS[name]}
    if not wanted:
        return Content((), {}, {})
    items = fabric_items(stack, rules, today)
    return Content(
        shared=[item for item in items.shared if item.type in kinds],
        cities={slug: [item for item in of_city if item.type in kinds] for slug, of_city in items.cities.items()},
        views={city.slug: view_of(city) for city in stack.cities},
    )


class FabricContent(Part):
    """The shared items. A semantic model is bound to a connection that enters as the workspace's identity."""

    title = "Fabric content"
    resources: ClassVar = {"SemanticModelBinding": Kind("binding", free)}

    def __init__(
        self,
        group: ResourceGroup,
        workspace: FabricWorkspace,
        content: Content,
        uri: Output[str],
        waits_for: Sequence[pulumi.Resource],
    ) -> None:
        super().__init__("fabric-content")
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
                f"binding-{logical_name(item.name)}",
                workspace_id=workspace.id,
                semantic_model_id=resource.id,
                connection_id=connection.id,
                source_type=KUSTO,
                model_hash=item.content_hash,
                opts=ResourceOptions(parent=resource),
            )
            self._bound.append(binding)
        self.register_outputs({})

    def add_cities(self, cities: Mapping[str, pulumi.Resource], live_store: LiveStore | FabricLiveStore) -> None:
        """Each city's own items, under its component, and its view in the live store, by which they know its name and hours."""
        live_store.add_views(self._content.views, cities)
        for slug, city in cities.items():
            for item in self._content.cities.get(slug, ()):
                self._workspace.add(item, city, name=f"{item.type.lower()}-{slug}", depends_on=self._bound)
