"""What every stack's state holds about our Fabric resources: changing it would strand them."""

from __future__ import annotations

import base64

import pytest
from pulumi.dynamic import Resource, ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider

from infra.offline import FABRIC
from infra.providers.fabric.connection import Connection, ConnectionProvider
from infra.providers.fabric.eventstream_endpoint import EventstreamEndpoint, EventstreamEndpointProvider
from infra.providers.fabric.item import FabricItem, FabricItemProvider
from infra.providers.fabric.kql_script import KqlScript, KqlScriptProvider
from infra.providers.fabric.role_assignment import WorkspaceRoleAssignment, WorkspaceRoleAssignmentProvider
from infra.providers.fabric.semantic_model_binding import SemanticModelBinding, SemanticModelBindingProvider
from infra.providers.fabric.shortcut import Shortcut, ShortcutProvider
from infra.providers.fabric.workspace import Workspace, WorkspaceProvider

FROZEN: list[tuple[type[Resource], type[ResourceProvider], str]] = [
    (Workspace, WorkspaceProvider, "workspace"),
    (WorkspaceRoleAssignment, WorkspaceRoleAssignmentProvider, "role_assignment"),
    (Connection, ConnectionProvider, "connection"),
    (FabricItem, FabricItemProvider, "item"),
    (Shortcut, ShortcutProvider, "shortcut"),
    (KqlScript, KqlScriptProvider, "kql_script"),
    (SemanticModelBinding, SemanticModelBindingProvider, "semantic_model_binding"),
    (EventstreamEndpoint, EventstreamEndpointProvider, "eventstream_endpoint"),
]


@pytest.mark.parametrize(("resource", "provider", "module"), FROZEN)
def test_state_names_a_class_and_holds_nothing_else(
    resource: type[Resource], provider: type[ResourceProvider], module: str
) -> None:
    blob = base64.b64decode(serialize_provider(provider()))
    assert f"infra.providers.fabric.{module}".encode() in blob and provider.__name__.encode() in blob
    assert len(blob) < 160, "more than a name was pickled"
    assert resource.__name__ in FABRIC


def test_nothing_is_forgotten_here() -> None:
    assert {resource.__name__ for resource, _, _ in FROZEN} == FABRIC
