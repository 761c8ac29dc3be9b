"""Scripts, bindings and endpoints as resources, end to end."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from pulumi.runtime import rpc

import powerbi.items
from infra.fabric.eventhouse import eventhouse_script
from infra.providers.fabric.eventstream_endpoint import EventstreamEndpointProvider
from infra.providers.fabric.item import FabricItemProvider
from infra.providers.fabric.kql_script import KqlScriptProvider, entities
from infra.providers.fabric.semantic_model_binding import SemanticModelBindingProvider
from infra.providers.fabric.workspace import WorkspaceProvider
from infra.settings.fabric_items import view_of
from tests.infra.deployments import stack
from tests.infra.providers.fabric.conftest import Driver
from tests.infra.providers.fabric.fake_fabric import FakeFabric
from tests.infra.providers.fabric.test_item import declared
from tests.infra.providers.fake_service import Answer
from tests.infra.providers.provider_server import ProviderServer, error_text


@pytest.fixture
def workspace(driver: Driver) -> str:
    return driver(WorkspaceProvider()).create({"name": "RoomPulse", "description": "", "capacity": "fabriccontosodev"})[0]


class TestKqlScript:
    @pytest.fixture
    def scripts(self, driver: Driver) -> ProviderServer:
        return driver(KqlScriptProvider())

    @pytest.fixture
    def props(self, fabric: FakeFabric) -> dict[str, Any]:
        return {"queryServiceUri": fabric.url, "database": "roompulse", "script": ".create-merge table T (a: string)"}

    def test_it_runs_as_one_command_in_its_database(
        self, fabric: FakeFabric, scripts: ProviderServer, props: dict[str, Any]
    ) -> None:
        _, outs = scripts.create(props)
        (request, _) = fabric.made("POST", "/v1/rest/mgmt")
        assert request.json["db"] == "roompulse" and fabric.scripts == [props["script"]]
        assert not scripts.diff("id", outs, props).changes

    def test_another_text_runs_again_and_another_address_replaces_nothing(
        self, fabric: FakeFabric, scripts: ProviderServer, props: dict[str, Any]
    ) -> None:
        identifier, outs = scripts.create(props)
        for news in ({**props, "script": ".create-merge table U (a: string)"}, {**props, "queryServiceUri": rpc.UNKNOWN}):
            difference = scripts.diff(identifier, outs, news)
            assert difference.changes and difference.replaces == []
        scripts.update(identifier, outs, {**props, "script": "other"})
        assert fabric.scripts[-1] == "other"

    def test_a_command_that_fails_is_named_with_kusto_s_reason(self, scripts: ProviderServer, props: dict[str, Any]) -> None:
        with pytest.raises(grpc.RpcError) as failure:
            scripts.create({**props, "script": "kaputt"})
        assert "KQL database roompulse: `kaputt` failed: Syntax error" in error_text(failure.value)

    def test_a_refusal_is_told_in_kusto_s_own_words(
        self, fabric: FakeFabric, scripts: ProviderServer, props: dict[str, Any]
    ) -> None:
        error = {"error": {"code": "BadRequest_X", "message": "Request is invalid", "@message": "Entity Y: policy is malformed"}}
        fabric.fail("POST", "/v1/rest/mgmt", Answer(400, error))
        with pytest.raises(grpc.RpcError) as failure:
            scripts.create(props)
        assert "BadRequest_X: Entity Y: policy is malformed" in error_text(failure.value)

    def test_a_database_that_is_not_known_yet_is_waited_for(
        self, fabric: FakeFabric, scripts: ProviderServer, props: dict[str, Any]
    ) -> None:
        error = {"error": {"code": "BadRequest_EntityNotFound", "@message": "Database roompulse was not found"}}
        fabric.fail("POST", "/v1/rest/mgmt", Answer(400, error), times=3)
        scripts.create(props)
        assert fabric.scripts == [props["script"]]

    def test_a_schema_somebody_changed_is_run_again(
        self, fabric: FakeFabric, scripts: ProviderServer, props: dict[str, Any]
    ) -> None:
        identifier, outs = scripts.create(props)
        assert scripts.read(identifier, outs) == (identifier, outs)
        fabric.kusto_schema = []
        _, live = scripts.read(identifier, outs)
        assert scripts.diff(identifier, live, props).changes

    def test_what_another_script_makes_is_no_change_of_this_one(
        self, fabric: FakeFabric, scripts: ProviderServer, props: dict[str, Any]
    ) -> None:
        identifier, outs = scripts.create(props)
        view = '.create-or-alter function with (view = true, docstring = "City Lyon (69).", folder = "cities")\nCity_lyon()\n{ }'
        scripts.create({**props, "script": view})
        assert scripts.read(identifier, outs) == (identifier, outs)

    def test_what_a_script_makes_is_read_from_it(self) -> None:
        made = entities(eventhouse_script())
        assert {"Processed", "ProcessedLanding", "Latest", "LatestAlert", "AlertsFromAlertsLanding"} <= made
        assert entities(view_of(stack("dev").cities[0])) == {"City_lyon"}


class TestBinding:
    @pytest.fixture
    def bindings(self, driver: Driver) -> ProviderServer:
        return driver(SemanticModelBindingProvider())

    @pytest.fixture
    def props(self, fabric: FakeFabric, driver: Driver, workspace: str) -> dict[str, Any]:
        model = powerbi.items.FabricItem("SemanticModel", "RoomPulse", {"definition.pbism": "{}"})
        identifier, _ = driver(FabricItemProvider()).create(declared(workspace, model))
        return {
            "workspaceId": workspace,
            "semanticModelId": identifier,
            "connectionId": "c-1",
            "sourceType": "AzureDataExplorer",
            "modelHash": "h",
        }

    def test_every_source_of_its_kind_is_bound_and_let_go(
        self, fabric: FakeFabric, bindings: ProviderServer, props: dict[str, Any]
    ) -> None:
        identifier, outs = bindings.create(props)
        (source,) = fabric.item("SemanticModel", "RoomPulse").connections
        assert (source["id"], source["connectivityType"]) == ("c-1", "ShareableCloud")
        assert bindings.read(identifier, outs) == (identifier, outs)
        bindings.delete(identifier, outs)
        assert source["connectivityType"] == "None" and "id" not in source
        bindings.delete(identifier, outs)

    def test_a_bound_source_is_not_bound_again(self, fabric: FakeFabric, bindings: ProviderServer, props: dict[str, Any]) -> None:
        identifier, outs = bindings.create(props)
        bindings.update(identifier, outs, {**props, "modelHash": "another"})
        assert len(fabric.made("POST", "/bindConnection")) == 1

    def test_a_model_whose_sources_are_not_listed_yet_is_waited_for(
        self, fabric: FakeFabric, bindings: ProviderServer, props: dict[str, Any]
    ) -> None:
        fabric.fail("GET", "/connections", Answer(200, {"value": []}), times=2)
        bindings.create(props)
        assert fabric.item("SemanticModel", "RoomPulse").connections[0]["id"] == "c-1"

    def test_a_model_without_such_a_source_is_an_error_that_says_what_it_has(
        self, bindings: ProviderServer, props: dict[str, Any]
    ) -> None:
        with pytest.raises(grpc.RpcError) as failure:
            bindings.create({**props, "sourceType": "SQL"})
        assert "no data source of type SQL (it has: AzureDataExplorer)" in error_text(failure.value)

    def test_refresh_sees_what_somebody_bound_elsewhere(
        self, fabric: FakeFabric, bindings: ProviderServer, props: dict[str, Any]
    ) -> None:
        identifier, outs = bindings.create(props)
        fabric.item("SemanticModel", "RoomPulse").connections[0]["id"] = "c-2"
        assert bindings.read(identifier, outs)[1]["connectionId"] == "c-2"
        fabric.item("SemanticModel", "RoomPulse").connections[0].pop("id")
        assert bindings.diff(identifier, bindings.read(identifier, outs)[1], props).changes
        fabric.workspace.items.clear()
        assert bindings.read(identifier, outs)[0] == ""


class TestEndpoint:
    @pytest.fixture
    def endpoints(self, driver: Driver) -> ProviderServer:
        return driver(EventstreamEndpointProvider())

    @pytest.fixture
    def props(self, driver: Driver, workspace: str) -> dict[str, Any]:
        topology = {"sources": [{"name": "observations"}], "destinations": [{"name": "fanout"}]}
        stream = powerbi.items.FabricItem("Eventstream", "roompulse", {"eventstream.json": json.dumps(topology)})
        identifier, _ = driver(FabricItemProvider()).create(declared(workspace, stream))
        told = {"workspaceId": workspace, "eventstreamId": identifier, "side": "sources", "node": "observations"}
        return {**told, "definitionHash": "h"}

    def test_it_tells_the_address_once_the_node_runs_and_never_its_keys(
        self, fabric: FakeFabric, endpoints: ProviderServer, props: dict[str, Any]
    ) -> None:
        identifier, outs = endpoints.create(props)
        assert outs["eventHubName"] == "es_observations" and outs["consumerGroupName"] == ""
        assert outs["fullyQualifiedNamespace"].endswith(".servicebus.windows.net")
        assert len(fabric.made("GET", "/topology")) == 4  # unknown, twice Creating, Running
        assert "SECRET-KEY" not in json.dumps(outs) and "SECRET-KEY" not in endpoints.log
        assert endpoints.read(identifier, outs) == (identifier, outs)

    def test_one_that_is_read_from_has_a_consumer_group(self, endpoints: ProviderServer, props: dict[str, Any]) -> None:
        assert endpoints.create({**props, "side": "destinations", "node": "fanout"})[1]["consumerGroupName"] == "es-group"

    def test_a_node_that_failed_is_told_with_its_reason(
        self, fabric: FakeFabric, endpoints: ProviderServer, props: dict[str, Any]
    ) -> None:
        fabric.node_fails = "observations"
        with pytest.raises(grpc.RpcError) as failure:
            endpoints.create(props)
        assert "Fabric eventstream node observations: it failed: no such table" in error_text(failure.value)

    def test_a_node_that_is_gone_is_seen(self, fabric: FakeFabric, endpoints: ProviderServer, props: dict[str, Any]) -> None:
        identifier, outs = endpoints.create(props)
        assert endpoints.read(identifier, {**outs, "node": "other"})[0] == ""
        fabric.workspace.items.clear()
        assert endpoints.read(identifier, outs)[0] == ""
