"""Workspaces, roles and connections as resources, end to end: Pulumi's provider server against a published Fabric."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from pulumi.runtime import rpc

from infra.providers.fabric.connection import ConnectionProvider
from infra.providers.fabric.role_assignment import WorkspaceRoleAssignment, WorkspaceRoleAssignmentProvider
from infra.providers.fabric.workspace import WorkspaceProvider
from tests.infra.providers.fabric.conftest import Driver
from tests.infra.providers.fabric.fake_fabric import CAPACITY, FakeFabric, fabric_error
from tests.infra.providers.fake_service import Answer
from tests.infra.providers.provider_server import ProviderServer, error_text

PROPS: dict[str, Any] = {"name": "RoomPulse dev", "description": "stack dev", "capacity": "fabriccontosodev"}
PEOPLE = "11111111-0000-4000-8000-000000000001"
LAKE: dict[str, Any] = {
    "name": "roompulse-lake-dev",
    "type": "AzureDataLakeStorage",
    "creationMethod": "AzureDataLakeStorage",
    "parameters": {"server": "https://stlake.dfs.core.windows.net", "path": "lake"},
}


@pytest.fixture
def workspaces(driver: Driver) -> ProviderServer:
    return driver(WorkspaceProvider())


@pytest.fixture
def roles(driver: Driver) -> ProviderServer:
    return driver(WorkspaceRoleAssignmentProvider())


@pytest.fixture
def connections(driver: Driver) -> ProviderServer:
    return driver(ConnectionProvider())


class TestWorkspace:
    def test_it_is_made_on_its_capacity_with_an_identity_and_tells_both(
        self, fabric: FakeFabric, workspaces: ProviderServer
    ) -> None:
        identifier, outs = workspaces.create(PROPS)
        workspace = fabric.workspace
        assert (identifier, workspace.name, workspace.capacity) == (workspace.id, "RoomPulse dev", CAPACITY)
        assert workspace.identity is not None
        assert outs["capacityId"] == CAPACITY and outs["identityPrincipalId"] == workspace.identity["servicePrincipalId"]
        assert workspace.description == "Deployed by RoomPulse. stack dev"

    def test_a_capacity_may_be_named_by_its_guid(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        workspaces.create({**PROPS, "capacity": CAPACITY})
        assert fabric.workspace.capacity == CAPACITY

    def test_a_capacity_beyond_the_first_page_is_found(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        other = {"displayName": "other", "state": "Active", "sku": "F2", "region": ""}
        fabric.capacities[:0] = [{**other, "id": str(number)} for number in range(5)]
        workspaces.create(PROPS)
        assert fabric.workspace.capacity == CAPACITY

    def test_a_capacity_made_a_moment_ago_is_waited_for(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        fabric.fail("GET", "/v1/capacities", Answer(200, {"value": []}), times=3)
        workspaces.create(PROPS)
        assert len(fabric.made("GET", "/v1/capacities")) == 4

    def test_without_a_right_on_the_capacity_the_error_says_who_gives_it(
        self, fabric: FakeFabric, workspaces: ProviderServer
    ) -> None:
        fabric.capacities[0]["displayName"] = "somebody-else-s"
        with pytest.raises(grpc.RpcError) as failure:
            workspaces.create(PROPS)
        text = error_text(failure.value)
        assert "may use no capacity 'fabriccontosodev' (it may use: somebody-else-s)" in text
        assert "an administrator of the capacity adds the deploying principal" in text

    def test_a_paused_capacity_is_named_with_what_resumes_it(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        fabric.capacities[0]["state"] = "Paused"
        with pytest.raises(grpc.RpcError) as failure:
            workspaces.create(PROPS)
        assert "capacity fabriccontosodev is Paused. Next: resume it" in error_text(failure.value)

    def test_without_the_tenant_settings_the_error_names_them_and_who_turns_them_on(
        self, fabric: FakeFabric, workspaces: ProviderServer
    ) -> None:
        fabric.settings_on = False
        with pytest.raises(grpc.RpcError) as failure:
            workspaces.create(PROPS)
        text = error_text(failure.value)
        assert "HTTP 403 InsufficientPrivileges" in text and "Request id request-1." in text
        assert 'a Fabric administrator turns on "Service principals can call Fabric public APIs"' in text

    def test_one_that_an_interrupted_run_left_is_taken_up(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        fabric.fail("POST", "/v1/workspaces", None, afterwards=True)  # made, and the connection breaks before the answer
        identifier, outs = workspaces.create(PROPS)
        assert identifier == fabric.workspace.id and outs["identityApplicationId"]

    def test_one_of_somebody_else_s_is_not_touched(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        workspaces.create(PROPS)
        fabric.workspace.description = "the data team's"
        with pytest.raises(grpc.RpcError) as failure:
            workspaces.create(PROPS)
        assert "made by somebody else. Next: give yours another name" in error_text(failure.value)

    def test_throttling_is_waited_out(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        fabric.fail("POST", "/v1/workspaces", fabric_error(429, "RequestBlocked", "Too many requests"), times=3)
        workspaces.create(PROPS)
        assert len(fabric.made("POST", "/v1/workspaces")) == 4

    def test_another_name_and_another_capacity_are_updates(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        identifier, outs = workspaces.create(PROPS)
        fabric.capacities.append({**fabric.capacities[0], "id": "other-guid", "displayName": "other"})
        news = {**PROPS, "name": "RoomPulse", "capacity": "other"}
        assert workspaces.diff(identifier, outs, news).replaces == []
        outs = workspaces.update(identifier, outs, news)
        assert (fabric.workspace.name, fabric.workspace.capacity, outs["capacityId"]) == ("RoomPulse", "other-guid", "other-guid")
        assert not workspaces.diff(identifier, outs, news).changes

    def test_a_move_that_fails_is_no_success(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        identifier, outs = workspaces.create(PROPS)
        fabric.capacities.append({**fabric.capacities[0], "id": "other-guid", "displayName": "other"})
        fabric.moves_end = "Failed"
        with pytest.raises(grpc.RpcError) as failure:
            workspaces.update(identifier, outs, {**PROPS, "capacity": "other"})
        assert "the workspace did not move to the capacity" in error_text(failure.value)

    def test_refresh_shows_what_drifted(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        identifier, outs = workspaces.create(PROPS)
        assert workspaces.read(identifier, outs) == (identifier, outs)
        fabric.workspace.capacity = None
        assert workspaces.diff(identifier, workspaces.read(identifier, outs)[1], PROPS).changes
        fabric.workspaces.clear()
        assert workspaces.read(identifier, outs)[0] == ""

    def test_deleting_twice_is_fine(self, fabric: FakeFabric, workspaces: ProviderServer) -> None:
        identifier, outs = workspaces.create(PROPS)
        for _ in range(2):
            workspaces.delete(identifier, outs)
        assert not fabric.workspaces

    def test_a_capacity_that_is_not_known_in_a_preview_replaces_nothing(self, workspaces: ProviderServer) -> None:
        identifier, outs = workspaces.create(PROPS)
        difference = workspaces.diff(identifier, outs, {**PROPS, "capacity": rpc.UNKNOWN})
        assert difference.changes and difference.replaces == []


class TestRole:
    @pytest.fixture
    def props(self, fabric: FakeFabric, workspaces: ProviderServer) -> dict[str, Any]:
        identifier, _ = workspaces.create(PROPS)
        return {"workspaceId": identifier, "principalId": PEOPLE, "principalType": "Group", "role": "Viewer"}

    def test_it_is_given_changed_and_taken(self, fabric: FakeFabric, roles: ProviderServer, props: dict[str, Any]) -> None:
        identifier, outs = roles.create(props)
        assert fabric.workspace.roles[PEOPLE]["role"] == "Viewer" and outs == props
        news = {**props, "role": "Member"}
        assert roles.diff(identifier, outs, news).replaces == []
        outs = roles.update(identifier, outs, news)
        assert fabric.workspace.roles[PEOPLE]["role"] == "Member"
        for _ in range(2):
            roles.delete(identifier, outs)
        assert not fabric.workspace.roles

    def test_a_principal_that_has_a_role_gets_this_one(
        self, fabric: FakeFabric, roles: ProviderServer, props: dict[str, Any]
    ) -> None:
        roles.create(props)
        roles.create({**props, "role": "Contributor"})
        assert fabric.workspace.roles[PEOPLE]["role"] == "Contributor"

    def test_another_principal_is_another_resource(self, roles: ProviderServer, props: dict[str, Any]) -> None:
        identifier, outs = roles.create(props)
        assert roles.diff(identifier, outs, {**props, "principalId": "other"}).replaces == ["principalId"]
        assert roles.diff(identifier, outs, {**props, "principalId": rpc.UNKNOWN}).replaces == []

    def test_an_identity_made_a_moment_ago_is_waited_for(
        self, fabric: FakeFabric, roles: ProviderServer, props: dict[str, Any]
    ) -> None:
        fabric.fail("POST", "/roleAssignments", fabric_error(400, "PrincipalNotFound", "unknown principal"), times=2)
        roles.create(props)
        assert fabric.workspace.roles

    def test_refresh_shows_a_role_somebody_changed_or_took(
        self, fabric: FakeFabric, roles: ProviderServer, props: dict[str, Any]
    ) -> None:
        identifier, outs = roles.create(props)
        fabric.workspace.roles[PEOPLE]["role"] = "Admin"
        assert roles.read(identifier, outs)[1]["role"] == "Admin"
        fabric.workspace.roles.clear()
        assert roles.read(identifier, outs)[0] == ""
        fabric.workspaces.clear()
        assert roles.read(identifier, outs)[0] == ""
        roles.delete(identifier, outs)

    def test_a_role_fabric_does_not_have_is_refused_in_the_program(self) -> None:
        with pytest.raises(ValueError, match=r"Group as Reader: take one of"):
            WorkspaceRoleAssignment("x", workspace_id="w", principal_id="p", principal_type="Group", role="Reader")


class TestConnection:
    def test_it_enters_as_the_workspace_s_identity(self, fabric: FakeFabric, connections: ProviderServer) -> None:
        identifier, outs = connections.create(LAKE)
        (request,) = fabric.made("POST", "/v1/connections")
        assert request.json["credentialDetails"]["credentials"] == {"credentialType": "WorkspaceIdentity"}
        assert outs == {**LAKE, "path": "https://stlake.dfs.core.windows.net;lake"}
        assert connections.read(identifier, outs) == (identifier, outs)

    def test_one_that_an_interrupted_run_left_is_taken_up(self, fabric: FakeFabric, connections: ProviderServer) -> None:
        fabric.fail("POST", "/v1/connections", None, afterwards=True)
        identifier, _ = connections.create(LAKE)
        assert list(fabric.connections) == [identifier]

    def test_one_of_this_name_to_something_else_is_not_touched(self, connections: ProviderServer) -> None:
        connections.create(LAKE)
        with pytest.raises(grpc.RpcError) as failure:
            connections.create({**LAKE, "parameters": {"server": "https://other.dfs.core.windows.net", "path": "lake"}})
        assert "the name is taken by a connection to something else" in error_text(failure.value)

    def test_another_source_is_another_connection_and_an_unknown_one_is_not(self, connections: ProviderServer) -> None:
        identifier, outs = connections.create(LAKE)
        other = {**LAKE, "parameters": {**LAKE["parameters"], "server": "https://other"}}
        assert connections.diff(identifier, outs, other).replaces == ["parameters"]
        unknown = {**LAKE, "parameters": {**LAKE["parameters"], "server": rpc.UNKNOWN}}
        assert connections.diff(identifier, outs, unknown).replaces == []

    def test_deleting_twice_is_fine(self, fabric: FakeFabric, connections: ProviderServer) -> None:
        identifier, outs = connections.create(LAKE)
        for _ in range(2):
            connections.delete(identifier, outs)
        assert not fabric.connections
