"""A status code is not a reason, an optional read decides nothing, and an identity is compared whole: as users have met
Fabric."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

import powerbi.items
from infra.providers.fabric.client import GONE
from infra.providers.fabric.connection import ConnectionProvider
from infra.providers.fabric.item import FabricItemProvider
from infra.providers.fabric.kql_script import KqlScriptProvider
from infra.providers.fabric.role_assignment import WorkspaceRoleAssignmentProvider
from infra.providers.fabric.shortcut import ShortcutProvider
from infra.providers.fabric.workspace import WorkspaceProvider
from tests.infra.providers.fabric.conftest import Driver
from tests.infra.providers.fabric.fake_fabric import FakeFabric, fabric_error
from tests.infra.providers.fake_service import Answer
from tests.infra.providers.provider_server import ProviderServer, error_text

WORKSPACE: dict[str, Any] = {"name": "RoomPulse", "description": "Stack dev.", "capacity": "fabriccontosodev"}
STORE: dict[str, Any] = {
    "name": "roompulse-store",
    "type": "AzureDataExplorer",
    "creationMethod": "AzureDataExplorer.Contents",
    "parameters": {"cluster": "https://store.westeurope.kusto.windows.net", "database": "roompulse"},
}


@pytest.fixture
def workspace(driver: Driver) -> tuple[str, dict[str, Any]]:
    made: tuple[str, dict[str, Any]] = driver(WorkspaceProvider()).create(WORKSPACE)
    return made


def item(workspace: str, type_: str = "Report", name: str = "Lyon", **parts: str) -> dict[str, Any]:
    """The properties of an item."""
    text = {"definition/report.json": "{}"} | parts if type_ == "Report" else parts
    content = powerbi.items.FabricItem(type_, name, text).content_hash
    more = {"description": "Stack dev.", "references": {}, "creation": {}, "contentHash": content}
    return {"workspaceId": workspace, "type": type_, "name": name, "parts": text, **more}


Made = tuple[ProviderServer, str, dict[str, Any]]


@pytest.fixture(params=["item", "role", "shortcut", "workspace", "connection"])
def made(request: pytest.FixtureRequest, driver: Driver, fabric: FakeFabric, workspace: tuple[str, dict[str, Any]]) -> Made:
    """One resource of each kind that Fabric may lose or keep."""
    lakehouse = driver(FabricItemProvider()).create(item(workspace[0], "Lakehouse", "roompulse"))[0]
    target = {"oneLake": {"workspaceId": "w", "itemId": "i", "path": "Tables/t"}}
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "item": (FabricItemProvider(), item(workspace[0])),
        "role": (
            WorkspaceRoleAssignmentProvider(),
            {"workspaceId": workspace[0], "principalId": "p", "principalType": "Group", "role": "Viewer"},
        ),
        "shortcut": (
            ShortcutProvider(),
            {"workspaceId": workspace[0], "itemId": lakehouse, "path": "Tables", "name": "t", "target": target},
        ),
        "connection": (ConnectionProvider(), STORE),
    }
    if request.param == "workspace":
        return driver(WorkspaceProvider()), *workspace
    provider, props = kinds[request.param]
    server = driver(provider)
    return server, *server.create(props)


NOT_GONE = ["CapacityNotActive", "EndpointNotFound", "UnknownError", "OperationNotFound", "DomainNotFound"]


@pytest.mark.parametrize("code", [*NOT_GONE, None])
def test_a_404_that_does_not_say_gone_loses_nothing(fabric: FakeFabric, made: Made, code: str | None) -> None:
    server, identifier, outs = made
    answer = fabric_error(404, code, "Some reason.") if code else Answer(404)
    for method, act in (("GET", server.read), ("DELETE", server.delete)):
        for verb in {"GET", method}:
            fabric.fail(verb, "", answer, times=50)
        with pytest.raises(grpc.RpcError) as failure:
            act(identifier, outs)
        assert f"HTTP 404 {code or 'Not Found'}" in error_text(failure.value)
        fabric.faults.clear()
    assert server.read(identifier, outs) == (identifier, outs)


@pytest.mark.parametrize("code", sorted(GONE))
def test_a_404_that_says_gone_is_gone(fabric: FakeFabric, made: Made, code: str) -> None:
    server, identifier, outs = made
    fabric.fail("GET", "", fabric_error(404, code, "Not there."), times=50)
    fabric.fail("DELETE", "", fabric_error(404, code, "Not there."), times=50)
    assert server.read(identifier, outs)[0] == ""
    server.delete(identifier, outs)


def test_on_a_paused_capacity_the_error_says_what_resumes_it(
    fabric: FakeFabric, driver: Driver, workspace: tuple[str, dict[str, Any]]
) -> None:
    items = driver(FabricItemProvider())
    identifier, outs = items.create(item(workspace[0]))
    fabric.paused = True
    for act in (items.read, items.delete):
        with pytest.raises(grpc.RpcError) as failure:
            act(identifier, outs)
        assert "CapacityNotActive" in error_text(failure.value)
        assert "Next: resume the capacity (az fabric capacity resume)" in error_text(failure.value)
    fabric.paused = False
    assert items.read(identifier, outs) == (identifier, outs)


# ---- an optional read decides nothing


@pytest.mark.parametrize(
    "answer",
    [
        fabric_error(403, "ProtectedLabel", "The item has a protected sensitivity label."),
        fabric_error(404, "ItemNotFound", "The requested item was not found."),
        fabric_error(404, "CapacityNotActive", "The capacity is not active."),
        fabric_error(400, "OperationNotSupportedForItem", "Not supported."),
    ],
    ids=lambda answer: answer.body["errorCode"],
)
def test_a_definition_that_is_not_given_back_stops_nothing_and_is_no_drift(
    fabric: FakeFabric, driver: Driver, workspace: tuple[str, dict[str, Any]], answer: Answer
) -> None:
    items = driver(FabricItemProvider())
    fabric.fail("POST", "/getDefinition", answer, times=1000)
    identifier, outs = items.create(item(workspace[0]))
    assert outs["liveHash"] == ""
    outs = items.update(identifier, outs, item(workspace[0], more="x"))
    assert items.read(identifier, outs) == (identifier, outs)


def test_a_definition_that_is_there_a_moment_later_is_watched(
    fabric: FakeFabric, driver: Driver, workspace: tuple[str, dict[str, Any]]
) -> None:
    items = driver(FabricItemProvider())
    fabric.fail("POST", "/getDefinition", fabric_error(404, "ItemNotFound", "Not found."), times=2)
    assert items.create(item(workspace[0]))[1]["liveHash"]


def test_a_label_that_somebody_sets_later_is_no_drift(
    fabric: FakeFabric, driver: Driver, workspace: tuple[str, dict[str, Any]]
) -> None:
    items = driver(FabricItemProvider())
    identifier, outs = items.create(item(workspace[0]))
    fabric.label_protects = True
    assert items.read(identifier, outs) == (identifier, outs)


def test_a_schema_that_cannot_be_read_does_not_undo_a_script_that_ran(fabric: FakeFabric, driver: Driver) -> None:
    scripts = driver(KqlScriptProvider())
    props = {"queryServiceUri": fabric.url, "database": "roompulse", "script": ".create-merge table T (a: string)"}
    fabric.fail_nth(2, Answer(403, {"error": {"code": "Forbidden", "@message": "No."}}), afterwards=False)
    identifier, outs = scripts.create(props)
    assert fabric.scripts and outs["schemaHash"] == ""
    assert scripts.read(identifier, outs) == (identifier, outs)


# ---- an identity is compared whole


OTHERS: dict[str, dict[str, dict[str, str]]] = {
    "a person's": {"credentialDetails": {"credentialType": "OAuth2"}},
    "a key's": {"credentialDetails": {"credentialType": "Key"}},
    "unsaid credential": {"credentialDetails": {}},
    "another database": {
        "connectionDetails": {"type": "AzureDataExplorer", "path": "https://store.westeurope.kusto.windows.net;roompulse-old"}
    },
    "a prefix": {"connectionDetails": {"type": "AzureDataExplorer", "path": "https://store.westeurope.kusto.windows.net;room"}},
    "another cluster": {
        "connectionDetails": {
            "type": "AzureDataExplorer",
            "path": "https://store.westeurope.kusto.windows.net.example.com;roompulse",
        }
    },
    "more": {
        "connectionDetails": {"type": "AzureDataExplorer", "path": "https://store.westeurope.kusto.windows.net;roompulse;x"}
    },
    "another kind": {"connectionDetails": {"type": "Kusto", "path": "https://store.westeurope.kusto.windows.net;roompulse"}},
    "no path": {"connectionDetails": {"type": "AzureDataExplorer"}},
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_connection_that_is_not_ours_in_everything_is_not_taken_up(fabric: FakeFabric, driver: Driver, other: str) -> None:
    connections = driver(ConnectionProvider())
    identifier, _ = connections.create(STORE)
    fabric.connections[identifier] |= OTHERS[other]
    with pytest.raises(grpc.RpcError) as failure:
        connections.create(STORE)
    assert "the name is taken by a connection to something else, or entered otherwise" in error_text(failure.value)


@pytest.mark.parametrize(
    "path",
    [
        "https://store.westeurope.kusto.windows.net;roompulse",
        "https://store.westeurope.kusto.windows.net/;roompulse",
        '{"cluster":"https://store.westeurope.kusto.windows.net","database":"roompulse"}',
        "https://store.westeurope.kusto.windows.net/roompulse",
        "https://Store.WestEurope.kusto.windows.net;roompulse",
    ],
)
def test_ours_is_taken_up_however_fabric_writes_its_path(fabric: FakeFabric, driver: Driver, path: str) -> None:
    connections = driver(ConnectionProvider())
    identifier, _ = connections.create(STORE)
    fabric.connections[identifier]["connectionDetails"]["path"] = path
    assert connections.create(STORE)[0] == identifier


def test_what_another_stack_made_is_not_taken_up(
    fabric: FakeFabric, driver: Driver, workspace: tuple[str, dict[str, Any]]
) -> None:
    items = driver(FabricItemProvider())
    items.create(item(workspace[0]))
    for act, props in ((items, item(workspace[0])), (driver(WorkspaceProvider()), WORKSPACE)):
        with pytest.raises(grpc.RpcError) as failure:
            act.create(props | {"description": "Stack prod."})
        assert "made by somebody else" in error_text(failure.value)


def test_of_two_capacities_of_one_name_none_is_chosen(fabric: FakeFabric, driver: Driver) -> None:
    fabric.capacities.append({**fabric.capacities[0], "id": "another"})
    with pytest.raises(grpc.RpcError) as failure:
        driver(WorkspaceProvider()).create(WORKSPACE)
    assert "2 capacities are called 'fabriccontosodev'" in error_text(failure.value)


# ---- the end of it is told as it is


@pytest.mark.parametrize("end", ["Failed", "Cancelled", "Undefined", "Skipped"])
def test_an_operation_that_ends_otherwise_is_not_waited_for(
    fabric: FakeFabric, driver: Driver, workspace: tuple[str, dict[str, Any]], end: str
) -> None:
    fabric.operations_end = end
    looks = len(fabric.requests)
    with pytest.raises(grpc.RpcError) as failure:
        driver(FabricItemProvider()).create(item(workspace[0]))
    assert f"Operation{end}: Fabric says no more than {end}." in error_text(failure.value)
    assert len(fabric.requests) - looks < 8


def test_an_operation_on_a_capacity_that_is_paused_meanwhile_says_so(
    fabric: FakeFabric, driver: Driver, workspace: tuple[str, dict[str, Any]]
) -> None:
    fabric.fail_nth(2, fabric_error(404, "CapacityNotActive", "The capacity is not active."), afterwards=False)
    with pytest.raises(grpc.RpcError) as failure:
        driver(FabricItemProvider()).create(item(workspace[0]))
    assert "resume the capacity" in error_text(failure.value)


@pytest.mark.parametrize("kind", ["item", "workspace", "connection"])
def test_a_taken_name_is_looked_for_while_the_list_lags(
    fabric: FakeFabric, driver: Driver, workspace: tuple[str, dict[str, Any]], kind: str
) -> None:
    provider, props, place = {
        "item": (FabricItemProvider(), item(workspace[0]), "/items"),
        "workspace": (WorkspaceProvider(), WORKSPACE, "/v1/workspaces"),
        "connection": (ConnectionProvider(), STORE, "/v1/connections"),
    }[kind]
    server = driver(provider)
    identifier = workspace[0] if kind == "workspace" else server.create(props)[0]
    fabric.fail("GET", place, Answer(200, {"value": []}), times=3)
    assert server.create(props)[0] == identifier


@pytest.mark.parametrize(
    ("status", "code", "step"),
    [
        (401, "TokenExpired", "Next: az login"),
        (401, "InvalidToken", "Next: az login"),
        (401, "Unauthorized", "Next: a Fabric administrator turns on"),
        (403, "InsufficientPrivileges", "Next: a Fabric administrator turns on"),
        (403, "InsufficientWorkspaceRole", "Next: an admin of the workspace makes the deploying principal a Member"),
        (403, "ProtectedLabel", "Next: fix what the message names"),
        (404, "CapacityNotActive", "Next: resume the capacity"),
        (400, "CapacityNotInActiveState", "Next: resume the capacity"),
    ],
)
def test_an_error_names_its_own_way_out(
    fabric: FakeFabric, driver: Driver, workspace: tuple[str, dict[str, Any]], status: int, code: str, step: str
) -> None:
    fabric.fail("POST", "/items", fabric_error(status, code, "No."))
    with pytest.raises(grpc.RpcError) as failure:
        driver(FabricItemProvider()).create(item(workspace[0]))
    assert step in error_text(failure.value)
