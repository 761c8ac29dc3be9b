"""Checks of what belongs together inside Fabric: items, roles, endpoints and bindings, in an order that works."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from infra.azure.live_store import DATABASE
from infra.offline import Recording, Registration
from infra.policies.rules import at
from tests.infra.recorded import inside_fabric, of_type, ours

PROGRAMS = ("ingest", "fanout")
"""Who sends to an eventstream and hears it."""
IN_A_WORKSPACE = ("FabricItem", "WorkspaceRoleAssignment", "Shortcut", "EventstreamEndpoint", "SemanticModelBinding")


def items(recording: Recording, type_: str) -> dict[str, Registration]:
    """The items of a type by their id."""
    return {f"id-of-{one.name}": one for one in ours(recording, "FabricItem") if one.inputs["type"] == type_}


def check_everything_is_in_the_workspace(recording: Recording) -> Iterator[str]:
    """One workspace, on a capacity that has an administrator, holds it all."""
    workspaces = {f"id-of-{one.name}" for one in ours(recording, "Workspace")}
    for kind in IN_A_WORKSPACE:
        for one in ours(recording, kind):
            if one.inputs["workspaceId"] not in workspaces:
                yield f"{one.name}: is in workspace {one.inputs['workspaceId']}"
    yield from (f"{one.name}: is on no capacity" for one in ours(recording, "Workspace") if not one.inputs["capacity"])
    for capacity in of_type(recording, "fabric:FabricCapacity"):
        if not at(capacity.inputs, "administration.members"):
            yield f"{capacity.name}: a capacity without an administrator, which Azure refuses"
    for item in ours(recording, "FabricItem"):
        if not item.inputs["name"].strip():
            yield f"{item.name}: an item without a name"


def check_programs_and_people_have_their_roles(recording: Recording) -> Iterator[str]:
    """Programs of route fabric may contribute; a group has the role that the stack gives it, which its name says."""
    given = {role.inputs["principalId"] for role in ours(recording, "WorkspaceRoleAssignment")}
    for program in PROGRAMS if inside_fabric(recording) else ():
        if f"principal of {program}-identity" not in given:
            yield f"{program} has no role in the workspace"
    for role in ours(recording, "WorkspaceRoleAssignment"):
        if role.inputs["principalType"] == "Group" and not role.name.startswith(f"workspace-{role.inputs['role'].lower()}-"):
            yield f"{role.name}: gives role {role.inputs['role']}"


def check_tables_are_there_first(recording: Recording) -> Iterator[str]:
    """What asks or fills a table inside Fabric waits for the script that makes it."""
    schema = next((one.urn for one in ours(recording, "KqlScript") if one.name == "kql-schema"), None)
    if schema is None:
        return
    streams = items(recording, "Eventstream").values()
    views = [one for one in ours(recording, "KqlScript") if one.urn != schema]
    for one in (*streams, *views, *items(recording, "SemanticModel").values()):
        if schema not in one.depends_on:
            yield f"{one.name}: does not wait for kql-schema"


def check_every_city_has_its_view(recording: Recording) -> Iterator[str]:
    """A city's report asks its view inside Fabric, and every report waits until its model can be asked."""
    views = {one.name.removeprefix("view-") for one in ours(recording, "KqlScript")}
    cities = {one.name.removeprefix("reflex-") for one in items(recording, "Reflex").values()}
    bindings = {one.urn for one in ours(recording, "SemanticModelBinding")}
    for report in items(recording, "Report").values():
        slug = report.name.removeprefix("report-")
        if not bindings <= set(report.depends_on):
            yield f"{report.name}: does not wait for the model's connection"
        if inside_fabric(recording) and slug in cities - views:
            yield f"{report.name}: view-{slug} is missing"


def check_bindings_and_connections_lead_somewhere(recording: Recording) -> Iterator[str]:
    """A model is bound to a connection of ours, to the database that has the rows."""
    models = items(recording, "SemanticModel")
    connections = {f"id-of-{one.name}": one for one in ours(recording, "Connection")}
    for binding in ours(recording, "SemanticModelBinding"):
        if binding.inputs["semanticModelId"] not in models or binding.inputs["connectionId"] not in connections:
            yield f"{binding.name}: binds {binding.inputs['semanticModelId']} to {binding.inputs['connectionId']}"
    for connection in connections.values():
        database = connection.inputs["parameters"].get("database", DATABASE)
        if database != DATABASE:
            yield f"{connection.name}: leads to database {database}"
    for database in items(recording, "KQLDatabase").values():
        if (source := at(database.inputs, "creation.sourceDatabaseName")) not in (None, DATABASE):
            yield f"{database.name}: follows database {source}"


def check_endpoints_are_nodes(recording: Recording) -> Iterator[str]:
    """An endpoint is a custom endpoint of its eventstream, on its side."""
    streams = items(recording, "Eventstream")
    for endpoint in ours(recording, "EventstreamEndpoint"):
        stream = streams.get(endpoint.inputs["eventstreamId"])
        parts = json.loads(stream.inputs["parts"]["eventstream.json"]) if stream else {}
        nodes = {node["name"] for node in parts.get(endpoint.inputs["side"], ()) if node["type"] == "CustomEndpoint"}
        if endpoint.inputs["node"] not in nodes:
            yield f"{endpoint.name}: {endpoint.inputs['node']} is none of {sorted(nodes)}"


FABRIC_CHECKS: tuple[Callable[[Recording], Iterator[str]], ...] = (
    check_everything_is_in_the_workspace,
    check_programs_and_people_have_their_roles,
    check_tables_are_there_first,
    check_every_city_has_its_view,
    check_bindings_and_connections_lead_somewhere,
    check_endpoints_are_nodes,
)
