"""The Stream Analytics job resource, end to end: Pulumi's provider server against a service that behaves as documented."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime import rpc

from infra.providers.stream_analytics_job import StreamAnalyticsJobArgs, StreamAnalyticsJobProvider, job_inputs
from infra.providers.stream_analytics_service import MADE_BY
from tests.infra.providers.fake_service import TOKEN, Answer, arm_error
from tests.infra.providers.fake_stream_analytics import FakeStreamAnalytics, Job
from tests.infra.providers.provider_server import ProviderServer, error_text

IDENTITY = "/subscriptions/s-1/resourceGroups/rg-1/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-stream"


def event_hub(hub: str, **more: Any) -> dict[str, Any]:
    properties = {"serviceBusNamespace": "evhns-1", "eventHubName": hub, "authenticationMode": "Msi", **more}
    return {"type": "Microsoft.EventHub/EventHub", "properties": properties}


BODY: dict[str, Any] = {
    "properties": {
        "sku": {"name": "StandardV2"},
        "compatibilityLevel": "1.2",
        "eventsLateArrivalMaxDelayInSeconds": 60,
        "eventsOutOfOrderPolicy": "Adjust",
        "inputs": [
            {
                "name": "observations",
                "properties": {
                    "type": "Stream",
                    "datasource": event_hub("observations", consumerGroupName="streamjob"),
                    "serialization": {"type": "Json", "properties": {"encoding": "UTF8"}},
                },
            }
        ],
        "outputs": [
            {
                "name": name,
                "properties": {
                    "datasource": event_hub(name, propertyColumns=["Table"]),
                    "serialization": {"type": "Json", "properties": {"encoding": "UTF8", "format": "LineSeparated"}},
                },
            }
            for name in ("alerts", "processed")
        ],
        "transformation": {
            "name": "Transformation",
            "properties": {"streamingUnits": 3, "query": "SELECT *\nINTO processed\nFROM observations\n"},
        },
    }
}


@pytest.fixture(scope="module")
def service() -> Iterator[FakeStreamAnalytics]:
    service = FakeStreamAnalytics()
    yield service
    service.close()


@pytest.fixture(scope="module")
def shared_server(service: FakeStreamAnalytics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderServer]:
    server = start_server(service, tmp_path_factory.mktemp("elsewhere"))
    yield server
    server.close()


def start_server(service: FakeStreamAnalytics, folder: Path) -> ProviderServer:
    return ProviderServer(StreamAnalyticsJobProvider(), folder, ROOMPULSE_ARM_ENDPOINT=service.url)


@pytest.fixture
def azure(service: FakeStreamAnalytics) -> FakeStreamAnalytics:
    """The service with nothing in it and no fault."""
    for memory in (service.jobs, service.faults, service.requests, service.puts):
        memory.clear()
    service.forgets_output_at_put, service.refuses_identity, service.ends_up = False, 0, "Running"
    service.provisioning = "Succeeded"
    return service


@pytest.fixture
def server(shared_server: ProviderServer, azure: FakeStreamAnalytics) -> ProviderServer:
    return shared_server


@pytest.fixture
def props() -> dict[str, Any]:
    """A declared job of a name of its own."""
    return job_inputs(
        StreamAnalyticsJobArgs(
            subscription_id="s-1",
            resource_group_name="rg-1",
            job_name=f"asa-{uuid.uuid4().hex[:8]}",
            location="westeurope",
            identity_id=IDENTITY,
            body=copy.deepcopy(BODY),
            tags={"stack": "dev"},
        )
    )


def with_query(props: dict[str, Any], query: str) -> dict[str, Any]:
    return {**props, "query": query}


def only_job(azure: FakeStreamAnalytics) -> Job:
    (job,) = azure.jobs.values()
    return job


def actions(azure: FakeStreamAnalytics) -> list[str]:
    """What was asked of the job that changes it, in order."""
    return [
        f"{r.method} {r.path.rsplit('/', 1)[-1]}" if r.method == "POST" else r.method for r in azure.requests if r.method != "GET"
    ]


def running(azure: FakeStreamAnalytics, server: ProviderServer, props: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A created job that runs and has produced output."""
    identifier, outs = server.create(props)
    only_job(azure).last_output = "2026-11-20T10:00:00Z"
    azure.requests.clear()
    azure.puts.clear()
    only_job(azure).starts.clear()
    return identifier, outs


class TestCreation:
    def test_one_put_with_everything_inline_then_start(
        self, azure: FakeStreamAnalytics, server: ProviderServer, props: dict[str, Any]
    ) -> None:
        identifier, outs = server.create(props)
        assert (
            identifier
            == f"/subscriptions/s-1/resourceGroups/rg-1/providers/Microsoft.StreamAnalytics/streamingjobs/{props['jobName']}"
        )
        assert outs == {**props, "running": True}
        assert actions(azure) == ["PUT", "POST start"]
        (body,) = azure.puts
        assert body["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
        assert body["tags"]["stack"] == "dev"
        assert body["properties"] == BODY["properties"]

    def test_whole_numbers_stay_whole_on_the_wire(
        self, azure: FakeStreamAnalytics, server: ProviderServer, props: dict[str, Any]
    ) -> None:
        server.create(props)
        (put,) = [request for request in azure.requests if request.method == "PUT"]
        assert b'"streamingUnits": 3,' in put.body

    def test_output_starts_at_the_creation_so_that_nothing_sent_meanwhile_is_lost(
        self, azure: FakeStreamAnalytics, server: ProviderServer, props: dict[str, Any]
    ) -> None:
        server.create(props)
        assert only_job(azure).starts == [{"outputStartMode": "CustomTime", "outputStartTime": "2026-11-01T08:00:00Z"}]

    def test_a_job_somebody_else_made_is_left_alone(
        self, azure: FakeStreamAnalytics, server: ProviderServer, props: dict[str, Any]
    ) -> None:
        azure.jobs[props["jobName"]] = Job({"location": "westeurope", "properties": {}}, state="Running")
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "exists and was not made by RoomPulse" in error_text(failure.value)
        assert actions(azure) == []


class TestDifference:
    def test_nothing_changed_is_no_change(
        self, azure: FakeStreamAnalytics, server: ProviderServer, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        assert not server.diff(identifier, outs, props).changes

    @pytest.mark.parametrize("name", ["subscriptionId", "resourceGroupName", "jobName", "location"])
    def test_another_name_or_place_is_another_job(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any], name: str
    ) -> None:
        identifier, outs = running(azure, server, props)
        difference = server.diff(identifier, outs, {**props, name: "northeurope"})
        assert difference.changes and difference.replaces == [name] and difference.delete_before_replace

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("identityId", IDENTITY + "-2"),
            ("tags", {"stack": "prod"}),
            ("sku", "Standard"),
            ("streamingUnits", 7),
            ("query", "SELECT 1 INTO alerts FROM observations"),
            ("policies", {"compatibilityLevel": "1.2"}),
            ("inputs", {}),
            ("outputs", {}),
        ],
    )
    def test_everything_else_is_an_update(
        self,
        server: ProviderServer,
        azure: FakeStreamAnalytics,
        props: dict[str, Any],
        name: str,
        value: str | int | dict[str, Any],
    ) -> None:
        identifier, outs = running(azure, server, props)
        difference = server.diff(identifier, outs, {**props, name: value})
        assert difference.changes and difference.replaces == []

    def test_what_a_preview_cannot_know_yet_is_a_change_and_no_replacement(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        asked = len(azure.requests)
        for name in ("resourceGroupName", "identityId"):
            difference = server.diff(identifier, outs, {**props, name: rpc.UNKNOWN})
            assert difference.changes and difference.replaces == []
        outputs = copy.deepcopy(props["outputs"])
        outputs["alerts"]["datasource"]["properties"]["serviceBusNamespace"] = rpc.UNKNOWN
        assert server.diff(identifier, outs, {**props, "outputs": outputs}).replaces == []
        assert server.check({}, {**props, "outputs": outputs}) == []
        assert len(azure.requests) == asked

    def test_another_spelling_of_the_region_is_no_change(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        assert not server.diff(identifier, outs, {**props, "location": "West Europe"}).changes

    def test_a_job_that_stopped_in_azure_is_an_update(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        only_job(azure).state = "Stopped"
        assert server.diff(identifier, outs, props).changes

    def test_a_job_that_was_deleted_in_azure_is_an_update_that_makes_it_again(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        azure.jobs.clear()
        assert server.diff(identifier, outs, props).changes
        server.update(identifier, outs, props)
        assert only_job(azure).state == "Running"


class TestUpdate:
    def test_stop_then_write_then_start_from_the_last_output(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        news = with_query(props, "SELECT 2 INTO alerts FROM observations")
        assert server.update(identifier, outs, news) == {**news, "running": True}
        assert actions(azure) == ["POST stop", "PUT", "POST start"]
        assert only_job(azure).starts == [{"outputStartMode": "LastOutputEventTime"}]
        assert only_job(azure).body["properties"]["transformation"]["properties"]["query"] == news["query"]

    def test_before_the_first_output_it_starts_again_where_it_started_first(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        only_job(azure).last_output = None
        server.update(identifier, outs, with_query(props, "SELECT 2 INTO alerts FROM observations"))
        assert only_job(azure).starts == [{"outputStartMode": "CustomTime", "outputStartTime": "2026-11-01T08:00:00Z"}]

    def test_a_service_that_forgets_the_last_output_when_the_job_is_replaced_loses_nothing(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        azure.forgets_output_at_put = True
        server.update(identifier, outs, with_query(props, "SELECT 2 INTO alerts FROM observations"))
        assert only_job(azure).starts == [{"outputStartMode": "CustomTime", "outputStartTime": "2026-11-20T10:00:00Z"}]

    def test_a_stopped_job_that_is_as_declared_is_only_started(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        only_job(azure).state = "Stopped"
        server.update(identifier, outs, props)
        assert actions(azure) == ["POST start"]

    def test_a_job_that_runs_as_declared_is_left_alone(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        server.update(identifier, outs, props)
        assert actions(azure) == []

    def test_a_change_that_failed_and_was_taken_back_still_gets_the_job_running(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        azure.fail("PUT", props["jobName"], arm_error(400, "BadRequest", "Query compilation error: column x"))
        with pytest.raises(grpc.RpcError):
            server.update(identifier, outs, with_query(props, "SELECT x"))
        assert server.diff(identifier, outs, props).changes
        server.update(identifier, outs, props)
        assert only_job(azure).state == "Running" and only_job(azure).starts == [{"outputStartMode": "LastOutputEventTime"}]

    def test_a_job_somebody_is_starting_is_waited_for(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        only_job(azure).move("Starting", "Running")
        server.update(identifier, outs, with_query(props, "SELECT 2 INTO alerts FROM observations"))
        assert actions(azure) == ["POST stop", "PUT", "POST start"]


REFUSED = arm_error(400, "BadRequest", "Something Azure does not like.")
REQUESTS_OF_AN_UPDATE = 18
"""At least as many as a clean update makes (the test proves it)."""


class TestInterruption:
    """An update cut off at any request is finished by the next run, and output goes on from the last output."""

    def test_the_table_below_covers_every_request(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        server.update(identifier, outs, with_query(props, "SELECT 2 INTO alerts FROM observations"))
        assert len(azure.requests) <= REQUESTS_OF_AN_UPDATE

    @pytest.mark.parametrize("afterwards", [False, True], ids=["before it took effect", "after it took effect"])
    @pytest.mark.parametrize("number", range(1, REQUESTS_OF_AN_UPDATE + 1))
    def test_refused_at_request(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any], number: int, afterwards: bool
    ) -> None:
        identifier, outs = running(azure, server, props)
        news = with_query(props, "SELECT 2 INTO alerts FROM observations")
        azure.fail_nth(number, REFUSED, afterwards=afterwards)
        try:
            server.update(identifier, outs, news)
        except grpc.RpcError as failure:
            assert props["jobName"] in error_text(failure) and "BadRequest" in error_text(failure)
            server.update(identifier, outs, news)
        self.assert_finished(azure, news)

    @pytest.mark.parametrize("number", range(1, REQUESTS_OF_AN_UPDATE + 1, 2))
    def test_killed_at_request(
        self, service: FakeStreamAnalytics, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any],
        tmp_path: Path, number: int,
    ) -> None:  # fmt: skip
        first = start_server(service, tmp_path)
        try:
            identifier, outs = running(azure, first, props)
            news = with_query(props, "SELECT 2 INTO alerts FROM observations")
            azure.fail_nth(number, None, afterwards=True, happening=first.process.kill)
            try:
                first.update(identifier, outs, news)
            except grpc.RpcError:
                first.process.wait()
        finally:
            first.close()
        server.update(identifier, outs, news)  # by another process
        self.assert_finished(azure, news)

    @pytest.mark.parametrize("number", range(1, 12))
    def test_a_creation_cut_off_at_request(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any], number: int
    ) -> None:
        azure.fail_nth(number, REFUSED, afterwards=True)
        try:
            server.create(props)
        except grpc.RpcError:
            server.create(props)
        assert len(azure.puts) == 1 and len(only_job(azure).starts) == 1
        assert only_job(azure).state == "Running"

    @staticmethod
    def assert_finished(azure: FakeStreamAnalytics, news: dict[str, Any]) -> None:
        job = only_job(azure)
        assert job.state == "Running"
        assert job.body["properties"]["transformation"]["properties"]["query"] == news["query"]
        assert job.starts == [{"outputStartMode": "LastOutputEventTime"}]
        assert len(azure.puts) == 1


class TestFaults:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    @pytest.mark.parametrize("request_", ["GET", "PUT", "start", "stop"])
    def test_throttling_and_outages_are_waited_out(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any], status: int, request_: str
    ) -> None:
        identifier, outs = running(azure, server, props)
        method, ending = ("POST", f"/{request_}") if request_ in {"start", "stop"} else (request_, props["jobName"])
        azure.fail(
            method, ending, Answer(status, {"error": {"code": "Busy", "message": "Later."}}, {"Retry-After": "2"}), times=3
        )
        server.update(identifier, outs, with_query(props, "SELECT 2 INTO alerts FROM observations"))
        assert only_job(azure).state == "Running" and len(azure.puts) == 1

    @pytest.mark.parametrize("afterwards", [False, True])
    @pytest.mark.parametrize("request_", ["GET", "PUT", "start", "stop"])
    def test_a_connection_that_breaks_is_tried_again(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any], request_: str, afterwards: bool
    ) -> None:
        identifier, outs = running(azure, server, props)
        method, ending = ("POST", f"/{request_}") if request_ in {"start", "stop"} else (request_, props["jobName"])
        azure.fail(method, ending, None, afterwards=afterwards)
        server.update(identifier, outs, with_query(props, "SELECT 2 INTO alerts FROM observations"))
        assert only_job(azure).state == "Running" and len(only_job(azure).starts) == 1

    def test_throttling_that_does_not_end_is_an_error_with_the_next_step(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        azure.fail("GET", props["jobName"], arm_error(429, "TooManyRequests", "Later.", **{"Retry-After": "60"}), times=1000)
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "429 TooManyRequests: Later. Correlation id correlation-1. Next: run pulumi up again" in error_text(failure.value)

    @pytest.mark.parametrize("refusals", [1, 2, 5])
    def test_fresh_roles_are_waited_for(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any], refusals: int
    ) -> None:
        azure.refuses_identity = refusals
        server.create(props)
        assert only_job(azure).state == "Running"

    def test_a_fresh_role_that_only_shows_at_the_start_is_waited_for(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        azure.fail("POST", "/start", arm_error(403, "Forbidden", "Access denied. 'Listen' claim required."), times=3)
        server.create(props)
        assert only_job(azure).state == "Running"

    def test_roles_that_never_come_are_an_error(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        azure.refuses_identity = 10_000
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "not authorized to access the Event Hub" in error_text(failure.value)

    @pytest.mark.parametrize("code", ["AuthorizationFailed", "LinkedAuthorizationFailed"])
    def test_a_deployer_without_the_role_is_told_at_once(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any], code: str
    ) -> None:
        azure.fail(
            "PUT", props["jobName"], arm_error(403, code, "The client does not have permission to perform action 'write'.")
        )
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "Next: give the deploying principal the missing role" in error_text(failure.value)
        assert actions(azure) == ["PUT"]

    def test_a_long_running_operation_that_fails_is_an_error_whatever_its_status(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        failed = Answer(200, {"status": "Failed", "error": {"code": "InvalidQuery", "message": "Line 3: no column zone."}})
        azure.faults.append(fault_on_operations(failed))
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "writing the job failed" in error_text(failure.value) and "InvalidQuery: Line 3: no column zone." in error_text(
            failure.value
        )

    def test_a_job_that_starts_and_falls_over_is_an_error_with_the_services_reasons(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        azure.ends_up = "Failed"
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "starting the job led to Failed: observations: observations can't be reached." in error_text(failure.value)
        azure.ends_up = "Running"
        server.create(props)
        assert only_job(azure).state == "Running"

    def test_a_job_the_service_could_not_provision_is_an_error_and_is_written_again(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        azure.provisioning = "Failed"
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "the job was written, but its provisioning failed" in error_text(failure.value)
        azure.fail_nth(2, None, afterwards=False, happening=lambda: setattr(azure, "provisioning", "Succeeded"))
        server.create(props)
        assert only_job(azure).state == "Running" and len(azure.puts) == 2

    def test_a_page_instead_of_an_answer_is_an_error_that_shows_it(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        azure.fail("GET", props["jobName"], Answer(200, "<html>Please log in to the proxy"))
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "the answer is not JSON ('<html>Please log in to the proxy')" in error_text(failure.value)

    @pytest.mark.parametrize("status", [400, 409, 422])
    def test_a_start_that_is_refused_for_good_is_never_taken_for_one(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any], status: int
    ) -> None:
        azure.fail("POST", "/start", arm_error(status, "Refused", "OutputStartTime must lie after LastOutputEventTime."), times=9)
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "starting the job failed" in error_text(failure.value) and "OutputStartTime must lie" in error_text(failure.value)

    def test_a_polling_address_elsewhere_gets_no_token(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        azure.fail("PUT", props["jobName"], Answer(201, {}, {"Azure-AsyncOperation": "http://127.0.0.1:9/steal"}))
        with pytest.raises(grpc.RpcError) as failure:
            server.create(props)
        assert "sent us to 127.0.0.1:9" in error_text(failure.value)


def fault_on_operations(answer: Answer) -> Any:
    from tests.infra.providers.fake_service import Fault

    return Fault(lambda request: request.path.startswith("/operations/"), answer)


class TestDrift:
    def test_a_job_as_declared_reads_as_declared(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        assert server.read(identifier, outs) == (identifier, outs)

    @pytest.mark.parametrize("state", ["Degraded", "Idle"])
    def test_a_job_with_passing_troubles_has_not_drifted(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any], state: str
    ) -> None:
        identifier, outs = running(azure, server, props)
        only_job(azure).state = state
        assert server.read(identifier, outs) == (identifier, outs)

    def test_what_the_service_only_spells_differently_is_no_drift(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        body = only_job(azure).body
        query = body["properties"]["transformation"]["properties"]
        query["query"] = query["query"].replace("\n", "\r\n") + "\r\n"
        body["identity"]["userAssignedIdentities"] = {IDENTITY.replace("resourceGroups", "resourcegroups"): {"principalId": "p"}}
        body["location"] = "West Europe"
        assert server.read(identifier, outs) == (identifier, outs)
        assert not server.diff(identifier, outs, props).changes

    def test_what_somebody_changed_is_told_by_property_and_put_right(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        inner = only_job(azure).body["properties"]
        inner["transformation"]["properties"]["query"] = "SELECT 3 INTO alerts FROM observations"
        inner["outputs"][0]["properties"]["datasource"]["properties"]["eventHubName"] = "elsewhere"
        inner["outputs"].append({"name": "debug", "properties": {"datasource": event_hub("debug")}})
        del only_job(azure).body["tags"]["stack"]
        _, live = server.read(identifier, outs)
        assert {name for name in props if live.get(name) != props[name]} == {"query", "outputs", "tags"}
        assert live["outputs"]["alerts"]["datasource"]["properties"]["eventHubName"] == "elsewhere"
        assert set(live["outputs"]) == {"alerts", "processed", "debug"}
        assert server.diff(identifier, live, props).changes
        server.update(identifier, live, props)
        assert server.read(identifier, outs) == (identifier, outs)

    def test_a_stopped_job_shows_as_not_running(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        only_job(azure).state = "Stopped"
        assert server.read(identifier, outs)[1]["running"] is False

    def test_a_job_that_is_gone_reads_as_gone(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        azure.jobs.clear()
        assert server.read(identifier, outs)[0] == ""

    def test_our_own_marks_are_no_drift(self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]) -> None:
        identifier, outs = running(azure, server, props)
        assert MADE_BY in only_job(azure).body["tags"]
        assert server.read(identifier, outs)[1]["tags"] == props["tags"]


class TestDeletion:
    def test_a_running_job_is_stopped_first(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        identifier, outs = running(azure, server, props)
        server.delete(identifier, outs)
        assert actions(azure) == ["POST stop", "DELETE"] and not azure.jobs

    def test_a_job_that_is_gone_is_fine(self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]) -> None:
        identifier, outs = running(azure, server, props)
        azure.jobs.clear()
        server.delete(identifier, outs)

    @pytest.mark.parametrize("number", range(1, 9))
    def test_a_deletion_cut_off_is_finished_by_the_next_run(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any], number: int
    ) -> None:
        identifier, outs = running(azure, server, props)
        azure.fail_nth(number, REFUSED, afterwards=True)
        try:
            server.delete(identifier, outs)
        except grpc.RpcError:
            server.delete(identifier, outs)
        assert not azure.jobs


class TestSecrets:
    def test_the_pickled_provider_is_a_name_and_nothing_else(
        self, shared_server: ProviderServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import base64

        monkeypatch.setenv("ROOMPULSE_ACCESS_TOKEN", TOKEN)
        blob = base64.b64decode(shared_server.blob)
        assert b"infra.providers.stream_analytics_job" in blob and len(blob) < 200
        assert TOKEN.encode() not in blob

    def test_no_token_in_state_log_or_errors(
        self, server: ProviderServer, azure: FakeStreamAnalytics, props: dict[str, Any]
    ) -> None:
        _, outs = server.create(props)
        azure.fail("GET", props["jobName"], arm_error(403, "Forbidden", "No."))
        with pytest.raises(grpc.RpcError) as failure:
            server.update("id", outs, props)
        assert TOKEN not in f"{outs}{server.log}{failure.value.details()}"
