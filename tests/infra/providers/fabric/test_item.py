"""Items and shortcuts as resources, end to end: made, found again, changed by us and by others, deleted."""

from __future__ import annotations

import base64
import json
from typing import Any

import grpc
import pytest
from pulumi.runtime import rpc

import powerbi.items
from infra.providers.fabric.item import CHANGED_ELSEWHERE, FabricItem, FabricItemProvider
from infra.providers.fabric.shortcut import Shortcut, ShortcutProvider
from infra.providers.fabric.workspace import WorkspaceProvider
from powerbi.items import WORKSPACE_ID, ItemError, Reference
from tests.infra.providers.fabric.conftest import Driver
from tests.infra.providers.fabric.fake_fabric import FakeFabric, Item, fabric_error
from tests.infra.providers.provider_server import ProviderServer, error_text

MODEL = Reference("SemanticModel", "RoomPulse", "id")
PICTURE = b"\x89PNG\x00\xff"


@pytest.fixture
def items(driver: Driver) -> ProviderServer:
    return driver(FabricItemProvider())


@pytest.fixture
def shortcuts(driver: Driver) -> ProviderServer:
    return driver(ShortcutProvider())


@pytest.fixture
def workspace(driver: Driver) -> str:
    return driver(WorkspaceProvider()).create({"name": "RoomPulse", "description": "", "capacity": "fabriccontosodev"})[0]


def declared(
    workspace: str, item: powerbi.items.FabricItem, references: dict[str, str] | None = None, **creation: Any
) -> dict[str, Any]:
    """The properties the program would declare (FabricItem makes them the same way)."""
    texts = {
        path: part if isinstance(part, str) else "base64:" + base64.b64encode(part).decode() for path, part in item.parts.items()
    }
    return {
        "workspaceId": workspace,
        "type": item.type,
        "name": item.name,
        "description": "stack dev",
        "parts": texts,
        "references": references or {},
        "creation": creation,
        "contentHash": item.content_hash,
    }


def report(workspace: str, title: str = "Lyon", name: str = "Lyon") -> dict[str, Any]:
    parts: dict[str, str | bytes] = {
        "definition.pbir": f'{{"connectionString": "semanticmodelid={MODEL.placeholder}"}}',
        "definition/report.json": json.dumps({"title": title}),
        "picture.png": PICTURE,
    }
    return declared(workspace, powerbi.items.FabricItem("Report", name, parts), {MODEL.placeholder: "model-1"})


def eventhouse(workspace: str) -> dict[str, Any]:
    return declared(workspace, powerbi.items.FabricItem("Eventhouse", "roompulse", {"EventhouseProperties.json": "{}"}))


def database(workspace: str, parent: str) -> dict[str, Any]:
    reference = Reference("Eventhouse", "roompulse", "id")
    properties = {"databaseType": "ReadWrite", "parentEventhouseItemId": reference.placeholder}
    item = powerbi.items.FabricItem("KQLDatabase", "roompulse", {"DatabaseProperties.json": json.dumps(properties)})
    return declared(workspace, item, {reference.placeholder: parent})


def part(item: Item, path: str) -> bytes:
    return base64.b64decode(item.parts[path])


class TestCreation:
    def test_it_is_made_with_its_definition_and_its_references_resolved(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        identifier, outs = items.create(report(workspace))
        item = fabric.item("Report", "Lyon")
        assert identifier == item.id and outs["contentHash"] == report(workspace)["contentHash"]
        assert part(item, "definition.pbir") == b'{"connectionString": "semanticmodelid=model-1"}'
        assert part(item, "picture.png") == PICTURE
        assert item.description == "Deployed by RoomPulse. stack dev"

    def test_the_operation_is_followed_where_we_are_and_not_where_it_points(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        items.create(report(workspace))  # the Location is another host: the token stays with Fabric
        assert [r for r in fabric.requests if r.path.startswith("/v1/operations/")]

    def test_an_operation_that_was_accepted_and_fails_is_an_error_with_its_reason(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        fabric.failing.append({"errorCode": "Workload_FailedToParseFile", "message": "Visual 3 has no position."})
        with pytest.raises(grpc.RpcError) as failure:
            items.create(report(workspace))
        text = error_text(failure.value)
        assert (
            "Fabric Report Lyon: creating it failed" in text and "Workload_FailedToParseFile: Visual 3 has no position." in text
        )

    def test_a_create_is_never_repeated_after_it_was_accepted(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        items.create(report(workspace))
        assert len(fabric.made("POST", "/items")) == 1

    def test_an_eventhouse_tells_where_it_is_queried_once_it_is_known(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        fabric.unknown_for = 3
        assert items.create(eventhouse(workspace))[1]["queryServiceUri"] == fabric.url

    def test_a_parent_that_is_not_known_yet_is_waited_for(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        parent, _ = items.create(eventhouse(workspace))
        fabric.fail("POST", "/items", fabric_error(404, "ParentEventhouseItemWasNotFound", "not found"), times=2)
        assert items.create(database(workspace, parent))[0]

    def test_the_database_made_along_with_an_eventhouse_is_taken_up(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        parent, _ = items.create(eventhouse(workspace))
        sibling = fabric.item("KQLDatabase", "roompulse")
        identifier, outs = items.create(database(workspace, parent))
        assert identifier == sibling.id and outs["queryServiceUri"] == fabric.url
        assert json.loads(part(sibling, "DatabaseProperties.json"))["parentEventhouseItemId"] == parent
        assert sibling.description.startswith("Deployed by RoomPulse")

    def test_one_that_an_interrupted_run_left_is_taken_up_and_brought_up_to_date(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        identifier, _ = items.create(report(workspace))
        again, _ = items.create(report(workspace, title="Lyon, newly"))
        assert again == identifier and b"newly" in part(fabric.item("Report", "Lyon"), "definition/report.json")

    def test_one_of_somebody_else_s_is_not_touched(self, fabric: FakeFabric, items: ProviderServer, workspace: str) -> None:
        items.create(report(workspace))
        fabric.item("Report", "Lyon").description = "mine"
        with pytest.raises(grpc.RpcError) as failure:
            items.create(report(workspace, title="x"))
        assert "there is a Report Lyon in the workspace already, made by somebody else" in error_text(failure.value)

    def test_a_name_that_cools_down_is_waited_for(self, fabric: FakeFabric, items: ProviderServer, workspace: str) -> None:
        identifier, outs = items.create(report(workspace))
        items.delete(identifier, outs)
        fabric.cooling["Lyon"] = 5
        assert items.create(report(workspace))[0] != identifier

    def test_whichever_answer_is_lost_there_is_one_item_and_it_is_the_declared_one(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        """The connection breaks at each request in turn, before Fabric did what it was asked or after."""
        fabric.requests.clear()
        items.create(report(workspace))
        requests = len(fabric.requests)
        for number in range(1, requests + 1):
            for afterwards in (False, True):
                fabric.workspace.items.clear()
                fabric.fail_nth(number, None, afterwards=afterwards)
                identifier, outs = items.create(report(workspace))
                assert list(fabric.workspace.items) == [identifier], f"request {number}, afterwards {afterwards}"
                assert part(fabric.item("Report", "Lyon"), "picture.png") == PICTURE
                assert items.read(identifier, outs) == (identifier, outs)
        assert requests >= 8

    def test_an_item_without_a_definition_is_made_with_what_it_is_given(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        props = declared(workspace, powerbi.items.FabricItem("Lakehouse", "roompulse", {}), enableSchemas=False)
        items.create(props)
        (request,) = fabric.made("POST", "/items")
        assert request.json["creationPayload"] == {"enableSchemas": False} and "definition" not in request.json

    def test_an_item_of_an_unknown_type_is_refused_with_fabric_s_reason(self, items: ProviderServer, workspace: str) -> None:
        with pytest.raises(grpc.RpcError) as failure:
            items.create({**report(workspace), "type": "Dashboard"})
        assert "HTTP 400 UnsupportedItemType" in error_text(failure.value)

    def test_a_placeholder_without_a_value_is_refused(self, fabric: FakeFabric, items: ProviderServer, workspace: str) -> None:
        with pytest.raises(grpc.RpcError) as failure:
            items.create({**report(workspace), "references": {}})
        assert "nothing is known of {{fabric:SemanticModel/RoomPulse/id}}" in error_text(failure.value)
        assert not fabric.workspace.items

    def test_the_program_refuses_a_placeholder_without_a_value_before_anything_is_made(self) -> None:
        item = powerbi.items.FabricItem("Report", "Lyon", {"definition.pbir": MODEL.placeholder})
        with pytest.raises(ItemError, match=r"Report Lyon: nothing here is \{\{fabric:SemanticModel/RoomPulse/id\}\}"):
            FabricItem("lyon", workspace_id="w", item=item, references={WORKSPACE_ID.placeholder: "w"})


class TestUpdate:
    def test_another_content_is_an_update_of_the_definition_alone(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        identifier, outs = items.create(report(workspace))
        news = report(workspace, title="Lyon by night")
        difference = items.diff(identifier, outs, news)
        assert difference.changes and difference.replaces == []
        outs = items.update(identifier, outs, news)
        assert b"by night" in part(fabric.item("Report", "Lyon"), "definition/report.json")
        assert not fabric.made("PATCH", identifier) and not items.diff(identifier, outs, news).changes

    def test_another_name_renames(self, fabric: FakeFabric, items: ProviderServer, workspace: str) -> None:
        identifier, outs = items.create(report(workspace))
        news = report(workspace, name="Lyon (Rhône)")
        assert items.diff(identifier, outs, news).replaces == []
        items.update(identifier, outs, news)
        assert fabric.item("Report", "Lyon (Rhône)").id == identifier

    def test_another_workspace_or_kind_is_another_item_deleted_first(self, items: ProviderServer, workspace: str) -> None:
        identifier, outs = items.create(report(workspace))
        for name, value in (("workspaceId", "other"), ("type", "Reflex"), ("creation", {"a": "b"})):
            difference = items.diff(identifier, outs, {**report(workspace), name: value})
            assert difference.replaces == [name] and difference.delete_before_replace

    def test_unknown_values_in_a_preview_replace_nothing(self, items: ProviderServer, workspace: str) -> None:
        identifier, outs = items.create(report(workspace))
        unknown = {**report(workspace), "workspaceId": rpc.UNKNOWN, "references": {MODEL.placeholder: rpc.UNKNOWN}}
        difference = items.diff(identifier, outs, unknown)
        assert difference.changes and difference.replaces == []

    def test_one_that_is_gone_is_told_with_the_way_out(self, fabric: FakeFabric, items: ProviderServer, workspace: str) -> None:
        identifier, outs = items.create(report(workspace))
        fabric.workspace.items.clear()
        with pytest.raises(grpc.RpcError) as failure:
            items.update(identifier, outs, report(workspace, title="x"))
        assert "pulumi refresh" in error_text(failure.value)


class TestDrift:
    def test_refresh_finds_nothing_where_nobody_changed_anything(self, items: ProviderServer, workspace: str) -> None:
        identifier, outs = items.create(report(workspace))
        assert items.read(identifier, outs) == (identifier, outs)

    def test_what_somebody_edited_in_the_portal_is_an_update(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        identifier, outs = items.create(report(workspace))
        fabric.item("Report", "Lyon").parts["definition/report.json"] = base64.b64encode(b"{}").decode()
        _, live = items.read(identifier, outs)
        assert live["contentHash"] == CHANGED_ELSEWHERE and items.diff(identifier, live, report(workspace)).changes
        items.update(identifier, live, report(workspace))
        assert b"Lyon" in part(fabric.item("Report", "Lyon"), "definition/report.json")

    def test_what_somebody_renamed_or_deleted_is_seen(self, fabric: FakeFabric, items: ProviderServer, workspace: str) -> None:
        identifier, outs = items.create(report(workspace))
        fabric.item("Report", "Lyon").name = "Lugdunum"
        assert items.read(identifier, outs)[1]["name"] == "Lugdunum"
        fabric.workspace.items.clear()
        assert items.read(identifier, outs)[0] == ""

    def test_deleting_twice_is_fine_even_when_the_workspace_is_gone(
        self, fabric: FakeFabric, items: ProviderServer, workspace: str
    ) -> None:
        identifier, outs = items.create(report(workspace))
        items.delete(identifier, outs)
        items.delete(identifier, outs)
        fabric.workspaces.clear()
        items.delete(identifier, outs)


class TestShortcut:
    @pytest.fixture
    def props(self, fabric: FakeFabric, items: ProviderServer, workspace: str) -> dict[str, Any]:
        lakehouse, _ = items.create(declared(workspace, powerbi.items.FabricItem("Lakehouse", "roompulse", {})))
        fabric.connections["c-1"] = {"id": "c-1"}
        target = {"location": "https://stlake.dfs.core.windows.net", "subpath": "/lake/readings", "connectionId": "c-1"}
        return {
            "workspaceId": workspace,
            "itemId": lakehouse,
            "path": "Tables",
            "name": "readings",
            "target": {"adlsGen2": target},
        }

    def test_it_is_made_moved_and_deleted(self, fabric: FakeFabric, shortcuts: ProviderServer, props: dict[str, Any]) -> None:
        identifier, outs = shortcuts.create(props)
        assert identifier == f"{props['itemId']}/Tables/readings"
        assert shortcuts.read(identifier, outs) == (identifier, outs)
        moved = {**props, "target": {"adlsGen2": {**props["target"]["adlsGen2"], "subpath": "/lake/other"}}}
        assert shortcuts.diff(identifier, outs, moved).replaces == []
        outs = shortcuts.update(identifier, outs, moved)
        assert (
            fabric.item("Lakehouse", "roompulse").shortcuts["Tables/readings"]["target"]["adlsGen2"]["subpath"] == "/lake/other"
        )
        for _ in range(2):
            shortcuts.delete(identifier, outs)
        assert shortcuts.read(identifier, outs)[0] == ""

    def test_a_role_that_holds_only_after_minutes_is_waited_for(
        self, fabric: FakeFabric, shortcuts: ProviderServer, props: dict[str, Any]
    ) -> None:
        fabric.locations_refused = 4
        shortcuts.create(props)
        assert len(fabric.made("POST", "/shortcuts")) == 5

    def test_a_container_that_does_not_exist_is_named_in_the_end(
        self, fabric: FakeFabric, shortcuts: ProviderServer, props: dict[str, Any]
    ) -> None:
        fabric.containers.clear()
        with pytest.raises(grpc.RpcError) as failure:
            shortcuts.create(props)
        text = error_text(failure.value)
        assert "Tables/readings: its target can't be entered: Target path doesn't exist" in text
        assert "see that https://stlake.dfs.core.windows.net /lake/readings exists" in text

    def test_a_connection_that_does_not_exist_is_not_waited_for(
        self, fabric: FakeFabric, shortcuts: ProviderServer, props: dict[str, Any]
    ) -> None:
        fabric.connections.clear()
        with pytest.raises(grpc.RpcError):
            shortcuts.create(props)
        assert len(fabric.made("POST", "/shortcuts")) == 1

    def test_refresh_shows_where_somebody_pointed_it(
        self, fabric: FakeFabric, shortcuts: ProviderServer, props: dict[str, Any]
    ) -> None:
        identifier, outs = shortcuts.create(props)
        fabric.item("Lakehouse", "roompulse").shortcuts["Tables/readings"]["target"]["adlsGen2"]["subpath"] = "/lake/elsewhere"
        _, live = shortcuts.read(identifier, outs)
        assert live["target"]["adlsGen2"]["subpath"] == "/lake/elsewhere"

    def test_the_program_refuses_a_target_fabric_does_not_know(self) -> None:
        with pytest.raises(ValueError, match="a shortcut has one target of"):
            Shortcut("x", workspace_id="w", item_id="i", path="Tables", name="t", target={"s3": {"location": "x"}})
