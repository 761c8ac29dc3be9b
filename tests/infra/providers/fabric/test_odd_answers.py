"""Answers in shapes that no document promises: names just freed, lists that lag, parts that are null, ends without a reason."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

import powerbi.items
from infra.providers.fabric.connection import ConnectionProvider
from infra.providers.fabric.eventstream_endpoint import EventstreamEndpointProvider
from infra.providers.fabric.item import FabricItemProvider
from infra.providers.fabric.kql_script import KqlScriptProvider
from infra.providers.fabric.role_assignment import WorkspaceRoleAssignmentProvider
from infra.providers.fabric.workspace import WorkspaceProvider
from tests.infra.providers.fabric.conftest import Driver
from tests.infra.providers.fabric.fake_fabric import FakeFabric, fabric_error
from tests.infra.providers.fabric.test_item import declared
from tests.infra.providers.fabric.test_misbehaviour import STORE, WORKSPACE, item
from tests.infra.providers.fake_service import Answer
from tests.infra.providers.provider_server import ProviderServer, error_text

TAKEN = {
    "/items": fabric_error(409, "ItemDisplayNameAlreadyInUse", "In use."),
    "/v1/connections": fabric_error(409, "DuplicateConnectionName", "In use."),
    "/v1/workspaces": fabric_error(409, "WorkspaceNameAlreadyExists", "In use."),
}


@pytest.fixture
def workspace(driver: Driver) -> str:
    return driver(WorkspaceProvider()).create(WORKSPACE)[0]


def role(workspace: str, role: str = "Viewer") -> dict[str, Any]:
    """A role of a group whose id somebody wrote in capitals."""
    principal = "AAAAAAAA-0000-4000-8000-00000000000C"
    return {"workspaceId": workspace, "principalId": principal, "principalType": "Group", "role": role}


def refusal(server: ProviderServer, props: dict[str, Any]) -> str:
    """How a creation fails."""
    with pytest.raises(grpc.RpcError) as failure:
        server.create(props)
    return error_text(failure.value)


# ---- names


@pytest.mark.parametrize("listed", [0, 3], ids=["list knows", "list lags"])
@pytest.mark.parametrize("place", TAKEN)
def test_a_name_that_was_just_freed_is_waited_for(
    fabric: FakeFabric, driver: Driver, workspace: str, place: str, listed: int
) -> None:
    provider, props = {
        "/items": (FabricItemProvider(), item(workspace)),
        "/v1/connections": (ConnectionProvider(), STORE),
        "/v1/workspaces": (WorkspaceProvider(), WORKSPACE | {"name": "Other"}),
    }[place]
    server = driver(provider)
    identifier, outs = server.create(props)
    name = props["name"]
    old = {"id": identifier, "displayName": name, "description": "Deployed by RoomPulse. Stack dev."}
    server.delete(identifier, outs)
    fabric.cooling.clear()
    fabric.fail("POST", place, TAKEN[place], times=3)
    fabric.fail("GET", place, Answer(200, {"value": [old]}), times=listed)
    assert server.create(props)[0] not in ("", identifier)


@pytest.mark.parametrize("name", ["roompulse", "ROOMPULSE"])
def test_a_name_in_other_letters_is_the_same_name(fabric: FakeFabric, driver: Driver, workspace: str, name: str) -> None:
    fabric.workspaces[workspace].name, fabric.workspaces[workspace].description = name, "Somebody's."
    fabric.fail("POST", "/v1/workspaces", TAKEN["/v1/workspaces"], times=300)
    assert "made by somebody else" in refusal(driver(WorkspaceProvider()), WORKSPACE)


def test_a_name_that_stays_taken_by_what_nobody_sees_names_the_way_out(fabric: FakeFabric, driver: Driver) -> None:
    for place, provider, props in (
        ("/v1/workspaces", WorkspaceProvider(), WORKSPACE),
        ("/v1/connections", ConnectionProvider(), STORE),
    ):
        fabric.fail("POST", place, TAKEN[place], times=300)
        assert "that the deploying principal can't see. Next: " in refusal(driver(provider), props)


def test_what_other_people_made_without_a_name_is_passed_over(fabric: FakeFabric, driver: Driver) -> None:
    connections = driver(ConnectionProvider())
    identifier, _ = connections.create(STORE)
    fabric.connections = {"p": {"id": "p", "displayName": None, "connectionDetails": {"type": "Web"}}, **fabric.connections}
    fabric.capacities.insert(0, {"id": "ppu", "sku": "PP3", "state": "Active"})
    assert connections.create(STORE)[0] == identifier
    driver(WorkspaceProvider()).create(WORKSPACE)


def test_a_role_that_is_there_already_is_looked_for_while_the_list_lags(
    fabric: FakeFabric, driver: Driver, workspace: str
) -> None:
    roles = driver(WorkspaceRoleAssignmentProvider())
    roles.create(role(workspace))
    fabric.fail("GET", "/roleAssignments", Answer(200, {"value": []}), times=2)
    roles.create(role(workspace, "Member"))
    assert [one["role"] for one in fabric.workspaces[workspace].roles.values()] == ["Member"]


def test_a_role_is_found_however_its_group_s_id_is_written(fabric: FakeFabric, driver: Driver, workspace: str) -> None:
    roles = driver(WorkspaceRoleAssignmentProvider())
    identifier, outs = roles.create(role(workspace))
    for one in fabric.workspaces[workspace].roles.values():
        one["principal"]["id"] = one["principal"]["id"].lower()
    assert roles.read(identifier, outs) == (identifier, outs)


# ---- lists


@pytest.mark.parametrize("value", [None, []], ids=["null", "empty"])
def test_a_page_with_nothing_on_it_is_not_the_last(fabric: FakeFabric, driver: Driver, workspace: str, value: Any) -> None:
    items = driver(FabricItemProvider())
    identifier, _ = items.create(item(workspace))
    fabric.fail("GET", "/items", Answer(200, {"value": value, "continuationToken": "0"}))
    assert items.create(item(workspace))[0] == identifier
    assert len(fabric.made("GET", "/items")) == 2


def test_a_page_that_leads_to_itself_is_not_followed_for_ever(fabric: FakeFabric, driver: Driver, workspace: str) -> None:
    items = driver(FabricItemProvider())
    items.create(item(workspace))
    fabric.fail("GET", "/items", Answer(200, {"value": [], "continuationToken": "7"}), times=100)
    assert "the list has no end" in refusal(items, item(workspace))


def test_nodes_that_are_null_are_not_there_yet(fabric: FakeFabric, driver: Driver, workspace: str) -> None:
    nodes = json.dumps({"sources": [{"name": "ingest"}], "destinations": []})
    stream = powerbi.items.FabricItem("Eventstream", "roompulse", {"eventstream.json": nodes})
    identifier, _ = driver(FabricItemProvider()).create(declared(workspace, stream))
    props = {"workspaceId": workspace, "eventstreamId": identifier, "side": "sources", "node": "ingest", "definitionHash": "h"}
    fabric.fail("GET", "/topology", Answer(200, {"sources": None, "destinations": None}), times=2)
    assert driver(EventstreamEndpointProvider()).create(props)[1]["eventHubName"] == "es_ingest"


# ---- operations


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        ("Out of memory.", "OperationFailed: Out of memory."),
        ([], "OperationFailed: Fabric says no more than Failed."),
        ({"message": None}, "OperationFailed: Fabric says no more than Failed."),
        ({"errorCode": None, "message": "No.", "moreDetails": None}, "OperationFailed: No."),
    ],
    ids=["text", "list", "null message", "null code"],
)
def test_an_operation_that_fails_in_its_own_words_is_an_error_of_ours(
    fabric: FakeFabric, driver: Driver, workspace: str, error: Any, reported: str
) -> None:
    fabric.fail_nth(2, Answer(200, {"status": "Failed", "error": error}), afterwards=False)
    assert f"creating it failed: HTTP 200 {reported}" in refusal(driver(FabricItemProvider()), item(workspace))


@pytest.mark.parametrize("state", ["null", [], {"status": None}, {"error": None}], ids=str)
def test_an_operation_without_a_state_is_at_its_end(fabric: FakeFabric, driver: Driver, workspace: str, state: Any) -> None:
    fabric.fail_nth(2, Answer(200, state), afterwards=False)
    assert "OperationUndefined: Fabric says no more than Undefined." in refusal(driver(FabricItemProvider()), item(workspace))


@pytest.mark.parametrize(
    "headers", [{}, {"Location": ""}, {"Location": "https://example.com/v1/workspaces", "Retry-After": "soon"}]
)
def test_an_item_that_is_accepted_without_an_operation_is_looked_for_by_its_name(
    fabric: FakeFabric, driver: Driver, workspace: str, headers: dict[str, str]
) -> None:
    fabric.fail("POST", "/items", Answer(202, None, headers), afterwards=True)
    fabric.fail("GET", "/items", Answer(200, {"value": []}), times=2)
    identifier, _ = driver(FabricItemProvider()).create(item(workspace))
    assert identifier == fabric.item("Report", "Lyon").id


def test_a_deletion_is_followed_to_its_end(fabric: FakeFabric, driver: Driver, workspace: str) -> None:
    items = driver(FabricItemProvider())
    identifier, outs = items.create(item(workspace))
    accepted = fabric._later(None)
    fabric.operations_end = "Failed"
    fabric.fail("DELETE", identifier, accepted)
    with pytest.raises(grpc.RpcError) as failure:
        items.delete(identifier, outs)
    assert "deleting it failed: HTTP 200 OperationFailed" in error_text(failure.value)


# ---- what is optional


@pytest.mark.parametrize(
    "definition",
    [None, "x", {}, {"parts": None}, {"parts": [{"path": "a"}]}, {"parts": [{"payload": "a"}]}],
    ids=str,
)
def test_a_definition_in_another_shape_undoes_no_creation(
    fabric: FakeFabric, driver: Driver, workspace: str, definition: Any
) -> None:
    items = driver(FabricItemProvider())
    fabric.fail("POST", "/getDefinition", Answer(200, {"definition": definition}), times=2)
    identifier, outs = items.create(item(workspace))
    assert items.read(identifier, outs) == (identifier, outs)


def test_a_script_is_gone_with_its_database(fabric: FakeFabric, driver: Driver) -> None:
    scripts = driver(KqlScriptProvider())
    props = {"queryServiceUri": fabric.url, "database": "roompulse", "script": ".create-merge table T (a: string)"}
    identifier, outs = scripts.create(props)
    for answer, gone in (
        (Answer(400, {"error": {"code": "BadRequest_EntityNotFound", "@message": "Database roompulse was not found"}}), True),
        (Answer(404, "no cluster here"), False),
        (Answer(403, {"error": {"code": "Forbidden", "@message": "No."}}), False),
    ):
        fabric.fail("POST", "/v1/rest/mgmt", answer)
        if gone:
            assert scripts.read(identifier, outs)[0] == ""
            continue
        with pytest.raises(grpc.RpcError):
            scripts.read(identifier, outs)
